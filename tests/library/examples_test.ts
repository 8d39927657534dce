// What examples/ shows, run.

import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { solve } from "../../examples/agent.ts";
import { judge } from "../../examples/judge.ts";
import { Kernel } from "../../examples/kernel.ts";
import { runTests } from "../../examples/test_runner.ts";
import { tsvisorPath } from "../support/tsvisor.ts";

Deno.env.set("TSVISOR", await tsvisorPath());

Deno.test("example agent: a program's error leads to the next", async () => {
  const codes: number[] = [];
  const answer = await solve("How much is 6 times 7?", (_task, seen) => {
    const last = seen.at(-1);
    if (last !== undefined) codes.push(last.code);
    if (last === undefined) return { run: "print(6 x 7)" };
    return last.code === 0 ? { answer: last.printed.trim() } : { run: "print(6 * 7)" };
  });
  deepEqual([answer, codes], ["42", [1, 0]]);
});

Deno.test("example judge: each verdict", async () => {
  const cases = [{ input: "1 2\n", expected: "3\n" }, { input: "40 2\n", expected: "42\n" }];
  const patient = 60_000;
  deepEqual(await judge("print(sum(map(int, input().split())))", cases, patient), ["accepted", "accepted"]);
  deepEqual(await judge("print(3)", cases, patient), ["accepted", "wrong answer"]);
  deepEqual(await judge("raise SystemExit(1)", cases.slice(1), patient), ["runtime error"]);
  deepEqual(await judge("while True: print('spam' * 1000)", cases.slice(1), patient), ["output limit"]);
  deepEqual(await judge("while True: pass", cases.slice(1), 2000), ["time limit"]);
});

Deno.test("example test runner: what passes, what fails, and the directory stays as it is", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-examples-" });
  try {
    const testOf = (body: string) =>
      `import unittest\nclass T(unittest.TestCase):\n  def test_it(self):\n    ${body}\n`;
    Deno.writeTextFileSync(`${directory}/test_good.py`, testOf("self.assertEqual(1 + 1, 2)"));
    Deno.writeTextFileSync(`${directory}/test_bad.py`, testOf("self.assertEqual(1 + 1, 3)"));
    Deno.writeTextFileSync(`${directory}/test_writes.py`, testOf("open('/tests/new', 'w')"));
    const results = await runTests(directory);
    deepEqual(results.map(({ file, hasPassed }) => [file, hasPassed]), [
      ["test_bad.py", false],
      ["test_good.py", true],
      ["test_writes.py", false],
    ]);
    match(results[0].output, /2 != 3/);
    match(results[2].output, /Read-only file system/);
    deepEqual([...Deno.readDirSync(directory)].length, 3);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("example kernel: variables stay, values and errors come back", async () => {
  await using kernel = await Kernel.start();
  deepEqual(await kernel.run("x = 20"), { printed: "", value: "", error: "" });
  deepEqual(await kernel.run("print('hello')\nx + 1"), { printed: "hello\n", value: "21", error: "" });
  match((await kernel.run("1 / 0")).error, /ZeroDivisionError/);
  equal((await kernel.run("x")).value, "20");
  await rejects(kernel.run("import os; os._exit(7)"), /ended with 7/);
});
