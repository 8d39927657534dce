// A judge of programming contests: runs a submission on each case in a sandbox of its own, without network, with limits of time
// and output, and compares what it prints.
//
//     deno run -A examples/judge.ts

import { Sandbox, SandboxError } from "../mod.ts";

export interface Case {
  readonly input: string;
  readonly expected: string;
}

export type Verdict = "accepted" | "wrong answer" | "time limit" | "output limit" | "runtime error";

const OUTPUT_MAX = 1 << 16;

/** The verdict on each case. `program` is Python; it reads a case's input and has `millis` for each. */
export async function judge(program: string, cases: readonly Case[], millis = 5000): Promise<Verdict[]> {
  const verdicts: Verdict[] = [];
  for (const { input, expected } of cases) {
    // One sandbox a case: nothing that a run leaves behind helps the next.
    await using sandbox = await Sandbox.create({ user: 1000, cwd: "/tmp", pids: 8 });
    verdicts.push(await runOne(sandbox, program, input, expected, millis));
  }
  return verdicts;
}

async function runOne(
  sandbox: Sandbox,
  program: string,
  input: string,
  expected: string,
  millis: number,
): Promise<Verdict> {
  await using child = sandbox.spawn("python3", {
    args: ["-c", program],
    stdin: "piped",
    stderr: "null",
    timeout: millis,
  });
  // It may end without having read all.
  const fed = new Blob([input]).stream().pipeTo(child.stdin).catch(() => {});
  let printed = "";
  const decoder = new TextDecoder();
  for await (const chunk of child.stdout) {
    printed += decoder.decode(chunk, { stream: true });
    if (printed.length > OUTPUT_MAX) return "output limit";
  }
  try {
    const { success } = await child.status;
    await fed;
    if (!success) return "runtime error";
  } catch (error) {
    if (error instanceof SandboxError && error.code === "TIMED_OUT") return "time limit";
    throw error;
  }
  return printed.trimEnd() === expected.trimEnd() ? "accepted" : "wrong answer";
}

if (import.meta.main) {
  const cases = [{ input: "1 2\n", expected: "3\n" }, { input: "40 2\n", expected: "42\n" }];
  for (
    const program of [
      "print(sum(map(int, input().split())))",
      "print(3)",
      "while True: pass",
      "while True: print('spam' * 1000)",
      "print(open('/etc/shadow', 'w'))",
    ]
  ) console.log(program.padEnd(40), await judge(program, cases));
}
