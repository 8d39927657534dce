// No call holds up other processes, however large its arguments are: turns.c makes each with the largest, while another
// process of the sandbox beats.

import { deepEqual } from "node:assert/strict";
import { command, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

/** What a busy machine may add to a beat. On an idle one none is longer than 20 ms. */
const BEAT_MILLIS_MAX = 150;
/** Or this part of the call: one that held up everybody would have all of it. */
const BEAT_PART_MAX = 0.2;
const TRIES = 3;
/** All calls of one round: on ptrace and a slow machine they take minutes. */
const TIMEOUT_MILLIS = 300_000;

for (const platform of PLATFORMS) {
  Deno.test(`others have their turn during calls with large arguments, on ${platform}`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const program = `${directory}/turns`;
      const built = await command(["gcc", "-O1", "-w", "-o", program, `${import.meta.dirname}/turns.c`]);
      if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
      let late: string[] = [], names: string[] = [];
      for (let round = 0; round < TRIES && (round === 0 || late.length > 0); round++) {
        const { stdout, stderr, code } = await command([
          await tsvisorPath(),
          `--platform=${platform}`,
          "do",
          "--",
          program,
          ...names,
        ], { timeoutMillis: TIMEOUT_MILLIS });
        if (code !== 0) throw new Error(`It ended with ${code}: ${stdout}${stderr}`);
        late = stdout.trim().split("\n").filter(isLate);
        names = late.map((line) => line.split(" ")[0]);
      }
      deepEqual(late, []);
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

/** "name milliseconds longest": the call's time, and the longest that another process has waited. */
function isLate(line: string): boolean {
  const [, millis, longest] = line.split(" ").map(Number);
  return !(longest <= Math.max(BEAT_MILLIS_MAX, millis * BEAT_PART_MAX));
}
