// Makes dist/: the launcher `tsvisor`, and in lib/ a bundle per role, the native library, the runtime and a list of what is
// built in (sbom.cdx.json), and the manual page (tsvisor.8). It works wherever
// dist/ is moved to as a whole. `deno task build`.

import { buildNative, modified } from "../native/build.ts";
import { manual } from "./cli/manual.ts";
import { checkedComponents } from "./components.ts";
import { roleArguments, roleEnvironment, RUN } from "./roles.ts";

export const ROOT = import.meta.dirname!.replace(/[^/]+$/, "");
export const DIST = `${ROOT}dist`;
export const LIB = `${DIST}/lib`;

/** Each role is a bundle of its own, so that none loads (or even reads) what another needs. */
const ROLES: Readonly<Record<string, string>> = {
  cli:
    `import { runCommandLine } from "${ROOT}boot/cli/main.ts"; Deno.exit(await runCommandLine(Deno.args, "${commit()}"));`,
  sentry:
    `import { startRole } from "${ROOT}boot/code_cache.ts"; import { runSentry } from "${ROOT}boot/sentry.ts";` +
    `import { readNetstack } from "${ROOT}boot/netstack_bundle.ts"; startRole(() => runSentry(readNetstack));`,
  gofer: role("gofer", "runGofer"),
  controller: role("controller", "runController"),
  relay: role("relay", "runRelay"),
  syscall_rows: `export { syscallRows, syscallSynopsis } from "${ROOT}boot/syscall_rows.ts";`,
  netstack: `export * from "${ROOT}netstack/mod.ts";`,
};

/** Bundles that are no modules, as they are evaluated without a promise (boot/netstack_bundle.ts). */
const COMMON_JS = ["netstack"];

/**
 * What the launcher starts: lines of arguments, and the roles' environment. `{lib}` stands for where dist/lib is by
 * then, `{cache}` for where compiled code is kept.
 */
export const OWN_ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  "cli.argv": ["{lib}/deno", ...RUN, "--ext=js", "-A", "--v8-flags=--no-lazy", "{lib}/cli.js"],
  "sentry.argv": roleArguments("{lib}/deno", "{lib}/sentry.js", true),
  "gofer.argv": roleArguments("{lib}/deno", "{lib}/gofer.js", true),
  "controller.argv": roleArguments("{lib}/deno", "{lib}/controller.js", true),
  "roles.envp": roleEnvironment("{lib}/libtsvisor_native.so", "{cache}"),
};

const SOURCES = ["boot", "kernel", "platform", "netstack", "gofer", "native", "main.ts", "deno.json"];

/** Path of the launcher, built if anything is newer than it. */
export async function build(): Promise<string> {
  const launcher = `${DIST}/tsvisor`;
  const library = buildNative();
  const built = modified(launcher);
  if (built > 0 && SOURCES.every((name) => sourceTime(`${ROOT}${name}`) <= built)) return launcher;
  // Made aside and renamed: a process that runs the old one meanwhile is not disturbed.
  const fresh = `${DIST}/lib.${Deno.pid}`;
  Deno.mkdirSync(fresh, { recursive: true });
  try {
    // One after the other: the first one ever fetches the bundler, and two would do that over each other.
    for (const [role, text] of Object.entries(ROLES)) await bundle(fresh, role, text);
    Deno.copyFileSync(library, `${fresh}/libtsvisor_native.so`);
    for (const [name, lines] of Object.entries(OWN_ARGUMENTS)) {
      Deno.writeTextFileSync(`${fresh}/${name}`, lines.map((line) => `${line}\n`).join(""));
    }
    placeRuntime(`${fresh}/deno`);
    Deno.writeTextFileSync(`${fresh}/sbom.cdx.json`, await checkedComponents());
    Deno.writeTextFileSync(`${fresh}/tsvisor.8`, await manual());
    if (modified(LIB) > 0) Deno.renameSync(LIB, `${fresh}/old`);
    Deno.renameSync(fresh, LIB);
    remove(`${LIB}/old`);
  } catch (error) {
    remove(fresh);
    throw error;
  }
  Deno.copyFileSync(library.replace(/[^/]+$/, "tsvisor"), `${launcher}.new`);
  Deno.chmodSync(`${launcher}.new`, 0o755);
  Deno.renameSync(`${launcher}.new`, launcher);
  return launcher;
}

function remove(path: string): void {
  if (modified(path) > 0) Deno.removeSync(path, { recursive: true });
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

/** Of the checkout, with "-dirty" when it holds other changes; "unknown" outside git. */
function commit(): string {
  try {
    const args = ["describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"];
    const { stdout, success } = new Deno.Command("git", { args, cwd: ROOT, stderr: "null" }).outputSync();
    return success ? new TextDecoder().decode(stdout).trim() : "unknown";
  } catch {
    return "unknown";
  }
}

function role(name: string, run: string): string {
  return `import { startRole } from "${ROOT}boot/code_cache.ts"; import { ${run} } from "${ROOT}boot/${name}.ts"; startRole(${run});`;
}

/** Bundles one role into one file. What is imported when needed (a command of the command line) is evaluated when needed. */
async function bundle(directory: string, role: string, text: string): Promise<void> {
  const entry = `${directory}/${role}.ts`;
  Deno.writeTextFileSync(entry, text);
  const args = [
    "--quiet",
    "--config",
    `${ROOT}deno.json`,
    "--minify",
    "--sourcemap=external",
    ...(COMMON_JS.includes(role) ? ["--format=cjs"] : []),
    "--output",
    `${directory}/${role}.js`,
    entry,
  ];
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", ...args],
    cwd: ROOT,
    stdin: "null",
  })
    .output();
  Deno.removeSync(entry);
  if (!output.success) {
    throw new Error(`Cannot bundle ${role}: ${new TextDecoder().decode(output.stderr).trim()}`);
  }
}

/** The runtime that builds is the one that runs: linked, or copied where dist/ is on another file system. */
function placeRuntime(path: string): void {
  const runtime = Deno.realPathSync(Deno.execPath());
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
