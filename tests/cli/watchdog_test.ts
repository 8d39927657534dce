// A sentry whose loop does not turn: the watchdog says so, ends the sandbox where it is told to, and hears SIGTERM in its place.
// hold_thread.c stops the sentry's main thread, as a call of ours that does not end would.

import { deepEqual, doesNotMatch, equal, match, ok } from "node:assert/strict";
import { isAlive, sandboxOf } from "../support/host_processes.ts";
import { command, delay, PLATFORMS, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

const HELD_MILLIS = 300_000;
/** Milliseconds until what is to happen has happened, on a busy machine. */
const HAPPENS_MILLIS_MAX = 10_000, ENDS_MILLIS_MAX = 60_000;
/** Random bytes, which the sentry makes itself: most of the time the loop is not waiting. */
const BUSY = ["sh", "-c", "echo It runs >&2; exec dd if=/dev/urandom of=/dev/null bs=8M"];
/** Times that the thread may be held while it waits after all. */
const TRIES = 20;

interface Held {
  readonly process: Deno.ChildProcess;
  /** Sentry, gofer, stubs. */
  readonly pids: readonly number[];
  readonly errors: () => string;
}

/** Starts a sandbox with `flags`, and calls `test` while the sentry's thread is held. */
async function whileHeld(flags: readonly string[], test: (held: Held) => Promise<boolean>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    const holder = `${directory}/hold_thread`;
    const built = await command(["gcc", "-O1", "-w", "-o", holder, `${import.meta.dirname}/hold_thread.c`]);
    if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
    for (let round = 0; round < TRIES; round++) {
      const process = new Deno.Command(await tsvisorPath(), {
        args: [...flags, "do", "--", ...BUSY],
        stdin: "null",
        stdout: "null",
        stderr: "piped",
      }).spawn();
      let errors = "";
      const reading = process.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
        new WritableStream({
          write(text) {
            errors += text;
          },
        }),
      );
      const pids = (await sandboxOf(process.pid)).map(({ pid }) => pid);
      const sentry = pids[0];
      // Before that it is the start which is held.
      ok(await eventually(() => errors.includes("It runs"), ENDS_MILLIS_MAX), `it runs: ${errors}`);
      const holding = new Deno.Command(holder, {
        args: [String(sentry), String(HELD_MILLIS)],
        stdout: "piped",
      }).spawn();
      const reader = holding.stdout.getReader();
      await reader.read();
      let isDone: boolean;
      try {
        isDone = await test({ process, pids, errors: () => errors });
      } finally {
        stop(holding, "SIGKILL");
        stop(process, "SIGKILL");
        await reader.cancel();
        await Promise.all([holding.status, process.status, reading]);
      }
      if (isDone) return;
    }
    throw new Error("The loop was waiting each time it was held");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

function stop(process: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    process.kill(signal);
  } catch {
    // It has ended.
  }
}

async function eventually(is: () => boolean, millis: number): Promise<boolean> {
  for (let waited = 0; waited < millis; waited += 50) {
    if (is()) return true;
    await delay(50);
  }
  return is();
}

for (const platform of PLATFORMS) {
  Deno.test(`a loop that does not turn is reported with its call, on ${platform}`, () =>
    whileHeld([`--platform=${platform}`, "--watchdog-timeout=1"], async ({ process, errors }) => {
      if (!await eventually(() => errors().includes("Watchdog"), HAPPENS_MILLIS_MAX)) return false;
      match(
        errors(),
        /Watchdog: the sentry's loop has not turned for \d+ s: (between calls|task \d+, call \d+ \(\w+\))/,
      );
      ok(isAlive(process.pid), "it goes on");
      return true;
    }));

  Deno.test(`--watchdog-action=kill ends the sandbox, on ${platform}`, () =>
    whileHeld(
      [`--platform=${platform}`, "--watchdog-timeout=1", "--watchdog-action=kill"],
      async ({ process, pids, errors }) => {
        if (!await eventually(() => !isAlive(process.pid), HAPPENS_MILLIS_MAX)) return false;
        equal((await process.status).code, 137, `as SIGKILL of init; it says: ${errors()}`);
        ok(await eventually(() => !pids.some(isAlive), ENDS_MILLIS_MAX), "nothing is left");
        return true;
      },
    ));

  Deno.test(`SIGTERM ends a sandbox whose loop does not turn, on ${platform}`, () =>
    whileHeld([`--platform=${platform}`], async ({ process, pids }) => {
      await delay(1000);
      process.kill("SIGTERM");
      ok(await eventually(() => !isAlive(process.pid), ENDS_MILLIS_MAX), "the command line ends");
      ok((await process.status).code === 143, "as SIGTERM of init");
      ok(await eventually(() => !pids.some(isAlive), ENDS_MILLIS_MAX), "nothing is left");
      return true;
    }));
}

for (const platform of PLATFORMS) {
  Deno.test(`--watchdog-step logs the steps that take longer, and no flag none, on ${platform}`, async () => {
    const log = await Deno.makeTempFile();
    try {
      // The first time all this is done the runtime has not compiled it: tens of milliseconds in all.
      const program = [
        "sh",
        "-c",
        "ls -lR /proc/self /etc > /dev/null; cat /proc/self/smaps > /dev/null; ls /",
      ];
      const run = (...flags: string[]) =>
        tsvisor([`--platform=${platform}`, `--debug-log=${log}`, ...flags, "do", "--", ...program]);
      equal((await run()).code, 0);
      doesNotMatch(await Deno.readTextFile(log), /Watchdog/);
      equal((await run("--watchdog-step=1")).code, 0);
      match(
        await Deno.readTextFile(log),
        /^Watchdog: a (step|turn of \d+ steps) took \d+\.\d ms of CPU time: task \d+ \(\w+\), call \d+ \(\w+\)$/m,
      );
    } finally {
      await Deno.remove(log);
    }
  });
}

Deno.test("--watchdog-step: what is no number is refused", async () => {
  const { code, stderr } = await tsvisor(["--watchdog-step=soon", "do", "--", "true"]);
  deepEqual([code, stderr], [
    128,
    'tsvisor: --watchdog-step: "soon" is not a number of milliseconds up to 60000\n',
  ]);
});
