// Random calls from a seed (fuzz.c) in sandboxes of both platforms: the sentry never dies, no handler throws, no answer is
// none, and the sandbox works after each program. TSVISOR_SEED=N starts elsewhere, TSVISOR_FUZZ_SECONDS=N goes on for so
// long. `fuzz SEED 1 9 show` in a sandbox shows a program's calls.

import { equal, match } from "node:assert/strict";
import { command, PLATFORMS, tsvisor } from "../support/tsvisor.ts";
import { fuzzTable } from "./fuzz_table.ts";

const SEED = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
const SECONDS = Number(Deno.env.get("TSVISOR_FUZZ_SECONDS") ?? 6);
/** A sandbox is used up after some programs: as root they take files away that others need. */
const PROGRAMS_A_SANDBOX = 300;

const HERE = `${import.meta.dirname}/`;
const directory = Deno.makeTempDirSync({ prefix: "tsvisor-fuzz-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

async function compile(): Promise<string> {
  const path = `${directory}/fuzz`;
  Deno.writeTextFileSync(`${directory}/fuzz_calls.h`, fuzzTable());
  const flags = ["-O1", "-w", "-static", "-pthread", `-I${directory}`];
  const done = await command(["gcc", ...flags, "-o", path, `${HERE}fuzz.c`]);
  if (done.code !== 0) throw new Error(`gcc: ${done.stderr}`);
  return path;
}

const program = compile();

for (const platform of PLATFORMS) {
  Deno.test(`random calls harm only their program on ${platform}, from seed ${SEED}`, async () => {
    const log = `${directory}/${platform}.log`;
    const end = performance.now() + SECONDS * 1000;
    for (let seed = SEED; performance.now() < end;) {
      const seconds = String(Math.ceil((end - performance.now()) / 1000));
      const argv = ["do", "--", await program, String(seed), String(PROGRAMS_A_SANDBOX), seconds];
      const { code, stdout } = await tsvisor([`--platform=${platform}`, `--debug-log=${log}`, ...argv], {
        timeoutMillis: (SECONDS + 60) * 1000,
      });
      // Stubs may die, as programs do things to their own; stacks are ours.
      const logged = Deno.readTextFileSync(log).split("\n").filter((line) =>
        /^Task|^Failed|^ +at /.test(line)
      );
      equal(logged.join("\n"), "", `seeds from ${seed}`);
      match(stdout, /^\d+ programs\ndone\n$/, `seeds from ${seed}, exit ${code}: ${stdout.slice(0, 4000)}`);
      equal(code, 0);
      seed += Math.max(1, parseInt(stdout));
    }
  });
}
