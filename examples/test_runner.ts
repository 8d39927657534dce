// A test runner: each test file of a directory in a sandbox of its own, several at once. Tests see the directory, cannot change
// it, and reach no network.
//
//     deno run -A examples/test_runner.ts DIRECTORY

import { Sandbox } from "../mod.ts";

export interface Result {
  readonly file: string;
  readonly hasPassed: boolean;
  /** What it has printed, where it failed. */
  readonly output: string;
}

/** Runs every test_*.py of `directory`, an absolute path, at most `atOnce` at a time; results by the files' names. */
export async function runTests(directory: string, atOnce = 2): Promise<Result[]> {
  const files = [...Deno.readDirSync(directory)].map(({ name }) => name)
    .filter((name) => /^test_.*\.py$/.test(name)).sort();
  const results: Result[] = [];
  const waiting = files.values();
  const worker = async () => {
    // One iterator for all workers: each takes the next file.
    for (const file of waiting) results.push(await runFile(directory, file));
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return results.sort((a, b) => a.file < b.file ? -1 : 1);
}

async function runFile(directory: string, file: string): Promise<Result> {
  await using sandbox = await Sandbox.create({
    timeout: "2m",
    mounts: { "/tests": { kind: "bind", source: directory } },
    env: { PYTHONDONTWRITEBYTECODE: "1" },
    cwd: "/tests",
  });
  const { success, stdout, stderr } = await sandbox.spawn("python3", { args: ["-m", "unittest", file] })
    .output();
  const output = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
  return { file, hasPassed: success, output: success ? "" : output };
}

if (import.meta.main) {
  const results = await runTests(Deno.realPathSync(Deno.args[0] ?? "."));
  for (const { file, hasPassed, output } of results) {
    console.log(hasPassed ? "ok    " : "FAILED", file, output);
  }
  Deno.exit(results.every(({ hasPassed }) => hasPassed) ? 0 : 1);
}
