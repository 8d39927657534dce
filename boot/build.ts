// Makes dist/: a bundle per role, the native library, the runtime, and the launcher `tsvisor`. It works wherever dist/ is
// moved to as a whole. `deno task build`.

import { buildNative, modified } from "../native/build.ts";

const ROOT = new URL("..", import.meta.url).pathname;
const DIST = `${ROOT}dist`;

/** Each role is a bundle of its own, so that none loads (or even reads) what another needs. */
const ROLES: Readonly<Record<string, string>> = {
  cli:
    `import { runCommandLine } from "${ROOT}boot/cli/main.ts"; Deno.exit(await runCommandLine(Deno.args));`,
  sentry: `import { runSentry } from "${ROOT}boot/sentry.ts"; runSentry();`,
  gofer: `import { runGofer } from "${ROOT}boot/gofer.ts"; runGofer();`,
};

const SOURCES = ["boot", "kernel", "platform", "netstack", "gofer", "native", "main.ts", "deno.json"];

/** Path of the launcher, built if anything is newer than it. */
export async function build(): Promise<string> {
  const launcher = `${DIST}/tsvisor`;
  const library = buildNative();
  const built = modified(launcher);
  if (built > 0 && SOURCES.every((name) => sourceTime(`${ROOT}${name}`) <= built)) return launcher;
  Deno.mkdirSync(DIST, { recursive: true });
  await Promise.all(Object.entries(ROLES).map(([role, text]) => bundle(role, text)));
  Deno.copyFileSync(library, `${DIST}/libtsvisor_native.so`);
  placeRuntime(`${DIST}/deno`);
  Deno.copyFileSync(`${ROOT}boot/launcher.sh`, launcher);
  Deno.chmodSync(launcher, 0o755);
  return launcher;
}

/** As modified(), without what is built or installed. */
function sourceTime(path: string): number {
  const info = Deno.statSync(path);
  if (!info.isDirectory) return info.mtime?.getTime() ?? 0;
  let newest = 0;
  for (const entry of Deno.readDirSync(path)) {
    if (entry.name === "target" || entry.name === "node_modules") continue;
    newest = Math.max(newest, sourceTime(`${path}/${entry.name}`));
  }
  return newest;
}

async function bundle(role: string, text: string): Promise<void> {
  const entry = `${DIST}/.${role}.entry.ts`;
  Deno.writeTextFileSync(entry, text);
  try {
    const output = await new Deno.Command(Deno.execPath(), {
      args: ["bundle", "--quiet", "--config", `${ROOT}deno.json`, "--output", `${DIST}/${role}.js`, entry],
      cwd: ROOT,
      stdin: "null",
    }).output();
    if (!output.success) {
      throw new Error(`Cannot bundle ${role}: ${new TextDecoder().decode(output.stderr).trim()}`);
    }
  } finally {
    Deno.removeSync(entry);
  }
}

/** The runtime that builds is the one that runs: linked, or copied where dist/ is on another file system. */
function placeRuntime(path: string): void {
  const runtime = Deno.realPathSync(Deno.execPath());
  if (modified(path) > 0) {
    if (Deno.statSync(path).size === Deno.statSync(runtime).size) return;
    Deno.removeSync(path);
  }
  try {
    Deno.linkSync(runtime, path);
  } catch {
    Deno.copyFileSync(runtime, path);
  }
}

if (import.meta.main) {
  try {
    console.log(await build());
  } catch (error) {
    console.error(`build: ${(error as Error).message}`);
    Deno.exit(1);
  }
}
