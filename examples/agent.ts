// An agent: a model writes Python, the sandbox runs it, and the model sees what it printed until it is content. The model here
// is a list of answers; put a call of yours in its place.
//
//     deno run -A examples/agent.ts "How many primes are below 1000?"

import { Sandbox } from "../mod.ts";

/** What the model is told of a program that it has written. */
export interface Observation {
  readonly code: number;
  readonly printed: string;
}

/** Answers a program to run, or the final answer. */
export type Model = (task: string, seen: readonly Observation[]) => { run: string } | { answer: string };

const ROUNDS_MAX = 10;
/** Characters of a program's output that the model is shown. */
const SHOWN_MAX = 10_000;

/** Lets `model` work on `task`; its answer. Programs share the sandbox's files, and each has ten seconds. */
export async function solve(task: string, model: Model): Promise<string> {
  await using sandbox = await Sandbox.create({ timeout: "5m", user: 1000, cwd: "/tmp" });
  const seen: Observation[] = [];
  while (seen.length < ROUNDS_MAX) {
    const step = model(task, seen);
    if ("answer" in step) return step.answer;
    const child = sandbox.spawn("python3", { args: ["-c", step.run], timeout: "10s" });
    try {
      const { code, stdout, stderr } = await child.output();
      const printed = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
      seen.push({ code, printed: printed.slice(0, SHOWN_MAX) });
    } catch (error) {
      seen.push({ code: -1, printed: (error as Error).message });
    }
  }
  return "I do not know.";
}

/** A model that errs once, reads the error, and counts primes. */
const scripted: Model = (_task, seen) => {
  const last = seen.at(-1);
  if (last === undefined) return { run: "print(sum(is_prime(n) for n in range(1000)))" };
  if (last.code === 0) return { answer: last.printed.trim() };
  return {
    run: "is_prime = lambda n: n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))\n" +
      "print(sum(is_prime(n) for n in range(1000)))",
  };
};

if (import.meta.main) console.log(await solve(Deno.args[0] ?? "How many primes are below 1000?", scripted));
