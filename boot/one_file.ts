// `deno task compile [OUTPUT]`: makes dist/tsvisor one executable that needs no file beside it. `deno compile` does it, with a base of
// ours in place of Deno's own (DENORT_BIN), which has one set of permissions for all roles and cannot be fetched everywhere:
// the launcher, linked statically, and behind it the runtime as it is, aligned so that it can be mapped. What `deno compile`
// includes is an archive of the bundles and the native library. native/src/parts.rs has the format and reads it,
// native/launcher/runtime.rs starts the runtime from within the file.

import { crc32 } from "node:zlib";
import { build, DIST, LIB, OWN_ARGUMENTS, ROOT } from "./build.ts";

const MAGIC = "tsvisor parts 1\n";
const PAGE = 4096;
/** What the archive has of dist/lib; without source maps and the runtime. */
const PARTS = /\.(js|so|argv|envp)$|^sbom\.cdx\.json$/;
/** Libraries of the runtime's, for hosts that have none: the interpreter and what it loads. */
const RUNTIME_LIBRARIES =
  /^(ld-linux-x86-64\.so\.2|libc\.so\.6|libm\.so\.6|libgcc_s\.so\.1|libpthread\.so\.0|libdl\.so\.2|librt\.so\.1)$/;

interface Part {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Makes the file anew, at `output`. */
export async function compile(output: string): Promise<void> {
  await build();
  // Beside where it goes: it is put there at once.
  const work = await Deno.makeTempDir({ dir: output.replace(/[^/]+$/, "") || ".", prefix: ".compile." });
  try {
    const { base, runtime } = await makeBase(work);
    const parts = [...commandParts(), ...libParts(), ...await runtimeLibraries()];
    Deno.writeFileSync(`${work}/parts`, await archive(parts, runtime));
    Deno.writeTextFileSync(
      `${work}/entry.js`,
      "// The launcher and the bundles of the archive are the program.\n",
    );
    // `deno compile` notes when they were written, and the same sources are to give the same file.
    for (const name of ["parts", "entry.js"]) Deno.utimeSync(`${work}/${name}`, 0, 0);
    await run(
      "deno compile",
      Deno.execPath(),
      [
        "compile",
        "--quiet",
        "--no-check",
        "--no-config",
        "--no-lock",
        "--no-npm",
        "--no-remote",
        "--include=parts",
        "--output=tsvisor",
        "entry.js",
      ],
      work,
      { DENORT_BIN: base },
    );
    Deno.chmodSync(`${work}/tsvisor`, 0o755);
    Deno.renameSync(`${work}/tsvisor`, output);
  } finally {
    Deno.removeSync(work, { recursive: true });
  }
}

/** The launcher with the runtime behind it, and where the runtime begins and how long it is. */
async function makeBase(
  work: string,
): Promise<{ base: string; runtime: { place: number; bytes: Uint8Array } }> {
  await run(
    "cargo",
    "cargo",
    [
      "build",
      "--release",
      "--quiet",
      "--bin=tsvisor",
      // With a target flags do not concern build scripts.
      "--target=x86_64-unknown-linux-gnu",
      "--target-dir=target/static",
    ],
    `${ROOT}native`,
    { RUSTFLAGS: "-C target-feature=+crt-static" },
  );
  const launcher = Deno.readFileSync(`${ROOT}native/target/static/x86_64-unknown-linux-gnu/release/tsvisor`);
  const bytes = Deno.readFileSync(Deno.execPath());
  const place = Math.ceil(launcher.length / PAGE) * PAGE;
  const base = new Uint8Array(place + Math.ceil(bytes.length / PAGE) * PAGE);
  base.set(launcher);
  base.set(bytes, place);
  Deno.writeFileSync(`${work}/base`, base, { mode: 0o755 });
  return { base: `${work}/base`, runtime: { place, bytes } };
}

/** What the launcher reads of what to start, as dist/lib has it. */
function commandParts(): Part[] {
  return Object.entries(OWN_ARGUMENTS).map(([name, lines]) => ({
    name,
    bytes: new TextEncoder().encode(lines.map((line) => `${line}\n`).join("")),
  }));
}

function libParts(): Part[] {
  return [...Deno.readDirSync(LIB)]
    .filter(({ name }) => PARTS.test(name) && !(name in OWN_ARGUMENTS))
    .map(({ name }) => ({ name, bytes: Deno.readFileSync(`${LIB}/${name}`) }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Those that the runtime is linked with on this machine. */
async function runtimeLibraries(): Promise<Part[]> {
  const text = await run("ldd", "ldd", [Deno.realPathSync(Deno.execPath())], ROOT, {});
  const parts: Part[] = [];
  for (const [path, name] of text.matchAll(/\/\S+\/([^\s/]+)/g)) {
    if (RUNTIME_LIBRARIES.test(name)) parts.push({ name, bytes: Deno.readFileSync(path) });
  }
  if (!parts.some(({ name }) => name.startsWith("ld-linux"))) {
    throw new Error("Cannot find the runtime's libraries");
  }
  return parts.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** The archive, as native/src/parts.rs reads it. Its first line names the build by what is in it. */
async function archive(
  parts: readonly Part[],
  runtime: { place: number; bytes: Uint8Array },
): Promise<Uint8Array<ArrayBuffer>> {
  const length = parts.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const contents = new Uint8Array(length);
  let at = 0;
  for (const { bytes } of parts) {
    contents.set(bytes, at);
    at += bytes.length;
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", contents));
  const build = [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  // Places count from the archive's beginning, whose length they have a part in: room for the longest numbers.
  const listLength = 32 + (parts.length + 1) * 96;
  const start = Math.ceil((MAGIC.length + 4 + listLength) / PAGE) * PAGE;
  const lines = [build];
  at = start;
  for (const { name, bytes } of parts) {
    lines.push(`${name} ${at} ${bytes.length} ${crc32(bytes).toString(16)}`);
    at += bytes.length;
  }
  lines.push(`deno ${runtime.place} ${runtime.bytes.length} ${crc32(runtime.bytes).toString(16)}`);
  const list = new TextEncoder().encode(`${lines.join("\n")}\n`);
  if (list.length > start - MAGIC.length - 4) throw new Error("The list of parts is longer than thought");
  const archive = new Uint8Array(start + length);
  archive.set(new TextEncoder().encode(MAGIC));
  new DataView(archive.buffer).setUint32(MAGIC.length, list.length, true);
  archive.set(list, MAGIC.length + 4);
  archive.set(contents, start);
  return archive;
}

/** Runs a program of the build; what it has printed. */
async function run(
  what: string,
  program: string,
  args: string[],
  cwd: string,
  env: Record<string, string>,
): Promise<string> {
  const output = await new Deno.Command(program, { args, cwd, env, stdin: "null" }).output();
  if (!output.success) throw new Error(`${what} failed: ${new TextDecoder().decode(output.stderr).trim()}`);
  return new TextDecoder().decode(output.stdout);
}

if (import.meta.main) {
  try {
    const output = Deno.args[0] ?? `${DIST}/tsvisor`;
    await compile(output);
    console.log(output);
  } catch (error) {
    console.error(`compile: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
