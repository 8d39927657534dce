// The suites that `deno task suites` knows.

import { linesOf, type Suite } from "./suite.ts";

/** Stressors that fill the memory there is: on a shared machine others would pay. */
const FILLS_MEMORY = new Set(["clone", "oom-pipe", "bigheap", "brk", "stack"]);
const PYTHON_TESTS = "/usr/lib/python3.11/test";

export const SUITES: readonly Suite[] = [
  {
    name: "stress_ng",
    package: "stress-ng",
    file: "/usr/bin/stress-ng",
    parts: async () =>
      (await linesOf(["stress-ng", "--stressors"])).filter((name) => !FILLS_MEMORY.has(name)),
    // One instance for at most a second or a hundred operations, with its own checks on.
    argv: (part) => [
      ...["stress-ng", `--${part}`, "1", `--${part}-ops`, "100", "--timeout", "1s"],
      ...["--verify", "--temp-path", "."],
    ],
    partMillisMax: 120_000,
  },
  {
    name: "python",
    package: "libpython3.11-testsuite",
    file: `${PYTHON_TESTS}/test_os.py`,
    parts: () => Promise.resolve(pythonTests()),
    argv: (part) => ["/usr/bin/python3.11", "-m", "test", "-u", "none", "--timeout", "500", part],
    partMillisMax: 600_000,
  },
];

function pythonTests(): string[] {
  const names: string[] = [];
  for (const { name } of Deno.readDirSync(PYTHON_TESTS)) {
    if (name.startsWith("test_")) names.push(name.replace(/\.py$/, ""));
  }
  return names.sort();
}
