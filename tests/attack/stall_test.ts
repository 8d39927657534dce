// Guest programs that do not answer the sentry's commands, or that ask for what takes the host long (stall.c): others are
// served all the same, and who does not answer is killed. Not to answer needs the stub's code, which is in a guest's process on
// systrap only: on ptrace the sentry makes the call itself, in a thread that it has stopped. What is left there is to keep the
// host process busy meanwhile, by calls and threads as any program has them.

import { equal, match, ok } from "node:assert/strict";
import { command, PLATFORMS, tsvisor } from "../support/tsvisor.ts";

const HERE = `${import.meta.dirname}/`;
const directory = Deno.makeTempDirSync({ prefix: "tsvisor-stall-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

/** Longest an honest process may have waited, milliseconds, and how many of the others are left in the end. */
interface Expected {
  readonly waitMillisMax: number;
  readonly left: number;
}

/** By mode of stall.c, on both platforms: what every program may do. */
const ORDINARY_MODES: Readonly<Record<string, Expected>> = {
  honest: { waitMillisMax: 20_000, left: 1 },
  map_beside: { waitMillisMax: 20_000, left: 1 },
  fork_beside: { waitMillisMax: 20_000, left: 1 },
};
/** The same of those that need the stub's code. The waits are some five times what they are on an idle machine. */
const MODES: Readonly<Record<string, Expected>> = {
  sleep: { waitMillisMax: 1000, left: 0 },
  burn: { waitMillisMax: 1000, left: 0 },
  burn_beside: { waitMillisMax: 1000, left: 0 },
  fork: { waitMillisMax: 6000, left: 0 },
  page_beside: { waitMillisMax: 6000, left: 0 },
  forge: { waitMillisMax: 500, left: 1 },
};

async function compile(): Promise<string> {
  const path = `${directory}/stall`;
  const flags = ["-O1", "-Wall", "-Werror", "-mfsgsbase", "-pthread"];
  const done = await command(["gcc", ...flags, "-o", path, `${HERE}stall.c`]);
  if (done.code !== 0) throw new Error(`gcc: ${done.stderr}`);
  return path;
}

const program = compile();

/** Runs `count` processes of `mode` for some seconds. */
async function stall(
  mode: string,
  count: number,
  seconds: number,
  platform = "systrap",
): Promise<{ left: number; worst: number }> {
  const argv = [`--platform=${platform}`, "do", "--", await program, mode, String(count), String(seconds)];
  const { stdout } = await tsvisor(argv, { timeoutMillis: 120_000 });
  match(stdout, /^started \d+ left \d+ worst \d+\n$/);
  const [started, left, worst] = stdout.match(/\d+/g)!.map(Number);
  equal(started, count);
  return { left, worst };
}

for (const [mode, expected] of Object.entries(MODES)) {
  Deno.test(`stall: ${mode} holds nobody else up`, async () => {
    const { left, worst } = await stall(mode, 1, 4);
    ok(worst <= expected.waitMillisMax, `an honest process has waited ${worst} ms`);
    equal(left, expected.left);
  });
}

for (const platform of PLATFORMS) {
  for (const [mode, expected] of Object.entries(ORDINARY_MODES)) {
    Deno.test(`stall: ${mode} holds nobody else up, on ${platform}`, async () => {
      const { left, worst } = await stall(mode, 1, 4, platform);
      ok(worst <= expected.waitMillisMax, `an honest process has waited ${worst} ms`);
      equal(left, expected.left);
    });
  }
}

Deno.test("stall: many that do not answer cost little more than one", async () => {
  for (const mode of ["sleep", "fork"]) {
    const { left, worst } = await stall(mode, 8, 8);
    ok(worst <= MODES[mode].waitMillisMax, `${mode}: an honest process has waited ${worst} ms`);
    equal(left, 0, mode);
  }
});
