// Programs driven over a pseudo-terminal of the host, as a person would (drive_terminal.py).

import { equal, ok } from "node:assert/strict";
import { command } from "./tsvisor.ts";

const DRIVER = new URL("drive_terminal.py", import.meta.url).pathname;

export type Step =
  | ["send", string]
  | ["expect", string]
  | ["resize", number, number]
  | ["sleep", number]
  | ["kill", number]
  | ["modes"]
  | ["close"];

/** What has been seen. */
export interface Driven {
  /** For each expect what was printed up to it, for each modes the modes; at the end the modes once more. */
  readonly seen: string[];
  readonly status: number | null;
  readonly rest: string;
}

/** Runs `argv` on a terminal, or takes its terminal from its --console-socket (@SOCKET@ in `argv`). */
export async function drive(argv: readonly string[], steps: Step[], isSocket = false): Promise<Driven> {
  const plan = JSON.stringify({
    argv,
    steps,
    socket: isSocket,
    seconds: Number(Deno.env.get("SECS") ?? 120),
  });
  const { stdout, stderr } = await command(["python3", DRIVER], { stdin: plan, timeoutMillis: 600_000 });
  ok(stdout !== "", stderr);
  const result = JSON.parse(stdout) as Driven & { failure: string | null };
  equal(result.failure, null);
  return result;
}
