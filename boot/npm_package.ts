// `deno task npm [OUTPUT]`: the library as a package for Node, dist/tsvisor.tgz. `deno pack` transpiles it and writes its types;
// it takes the whole project, so that what mod.ts imports is laid out alone first.

import { DIST, ROOT } from "./build.ts";

/** A file that mod.ts imports, as `deno info --json` has it. */
interface Module {
  readonly specifier: string;
}

/** Makes the package anew, at `output`. */
export async function pack(output: string): Promise<void> {
  const work = await Deno.makeTempDir({ prefix: "tsvisor-npm-" });
  try {
    for (const path of await modules()) {
      Deno.mkdirSync(`${work}/${path}`.replace(/[^/]+$/, ""), { recursive: true });
      Deno.copyFileSync(ROOT + path, `${work}/${path}`);
    }
    for (const file of ["README.md", "CHANGELOG.md"]) Deno.copyFileSync(ROOT + file, `${work}/${file}`);
    const { name, version, compilerOptions } = JSON.parse(Deno.readTextFileSync(`${ROOT}deno.json`));
    const config = { name, version, compilerOptions, exports: { ".": "./mod.ts" }, lock: false };
    Deno.writeTextFileSync(`${work}/deno.json`, JSON.stringify(config));
    await deno(work, ["pack", "--quiet", "--allow-dirty", `--output=${work}/package.tgz`]);
    Deno.mkdirSync(output.replace(/[^/]+$/, ""), { recursive: true });
    Deno.copyFileSync(`${work}/package.tgz`, output);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** mod.ts and what it imports, relative to the project. */
async function modules(): Promise<string[]> {
  const { modules } = JSON.parse(await deno(ROOT, ["info", "--json", "mod.ts"]));
  const own = new URL(`file://${ROOT}`).href;
  return (modules as Module[]).map(({ specifier }) => specifier)
    .filter((specifier) => specifier.startsWith(own)).map((specifier) => specifier.slice(own.length));
}

async function deno(cwd: string, args: string[]): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), { args, cwd, env: { NO_COLOR: "1" } });
  const { success, stdout, stderr } = await command.output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`deno ${args[0]}: ${new TextDecoder().decode(stderr)}`);
}

if (import.meta.main) {
  const output = Deno.args[0] ?? `${DIST}/tsvisor.tgz`;
  await pack(output.startsWith("/") ? output : `${Deno.cwd()}/${output}`);
  console.log(output);
}
