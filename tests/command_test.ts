// command() of tests/support/tsvisor.ts, on which most tests stand: it returns in time, whatever a program leaves behind.

import { deepEqual, equal } from "node:assert/strict";
import { command, eventually } from "./support/tsvisor.ts";

/** How long an orphan lives by itself: longer than any of the times below. */
const ORPHAN_SECONDS = 300;
/** Within this a program starts and prints, on a machine that has nothing else to do; if not, it gets twice the time. */
const FIRST_MILLIS = 1000, LAST_MILLIS = 100_000;

Deno.test("command() gives output, error output and code, and feeds stdin", async () => {
  const { code, stdout, stderr } = await command(["sh", "-c", "cat; echo error >&2; exit 3"], {
    stdin: "in\n",
  });
  deepEqual([code, stdout, stderr], [3, "in\n", "error\n"]);
});

Deno.test("command() returns when its time is up though an orphan of the program holds its output", async () => {
  const script = `sleep ${ORPHAN_SECONDS} & echo orphan $!`;
  deepEqual(await leavesBehind(script), { code: -1, stdout: "orphan PID\n" });
});

Deno.test("command() returns when its time is up though the orphan has a session of its own and the program waits", async () => {
  const script = `setsid sleep ${ORPHAN_SECONDS} & echo orphan $!; wait`;
  deepEqual(await leavesBehind(script), { code: -1, stdout: "orphan PID\n" });
});

Deno.test("command() returns when its time is up though nobody reads what it feeds", async () => {
  const script = `sleep ${ORPHAN_SECONDS} <&0 & echo orphan $!`;
  deepEqual(await leavesBehind(script, "x".repeat(1 << 20)), { code: -1, stdout: "orphan PID\n" });
});

/** Runs `script`, which prints the pid of a process that outlives it, until it has done so; and ends that process. */
async function leavesBehind(script: string, stdin?: string): Promise<{ code: number; stdout: string }> {
  for (let timeoutMillis = FIRST_MILLIS; timeoutMillis < LAST_MILLIS; timeoutMillis *= 2) {
    const { code, stdout } = await command(["sh", "-c", script], { timeoutMillis, stdin });
    const pid = Number(/orphan (\d+)\n/.exec(stdout)?.[1] ?? 0);
    if (pid === 0) continue;
    equal(lives(pid), true, "the process that should outlive the program has not");
    Deno.kill(pid, "SIGKILL");
    equal(await eventually(() => !lives(pid)), true);
    return { code, stdout: stdout.replace(/\d+/, "PID") };
  }
  throw new Error("The program has never printed anything");
}

function lives(pid: number): boolean {
  try {
    // A zombie is gone: its parent, the reaper of orphans, may take its time.
    return !/^\d+ \(.*\) Z/.test(Deno.readTextFileSync(`/proc/${pid}/stat`));
  } catch {
    return false;
  }
}
