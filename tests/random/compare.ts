// Random sequences of calls (main.c) on the host and in the sandbox, compared call by call. As a program, `deno task random
// [SEQUENCES]`: so many of each family, from TSVISOR_SEED on; random_test.ts makes some.

import { command, type PlatformName, PLATFORMS, tsvisor } from "../support/tsvisor.ts";

/** A family and where its files are made: a directory of the container's root, or a tmpfs. */
export const SCENES = [
  ["files", "/tmp"],
  ["files", "/dev/shm"],
  ["locks", "/tmp"],
  ["signals", "/tmp"],
] as const;
/**
 * Scenes in which some sequences still differ: `deno task random` shows them, the test waits for their faults to be mended.
 * memory: a move whose source the host sees as two mappings fails after its target is gone; reads into what lies beyond
 * the end of a mapped file are EFAULT as a whole. sockets: the order in which a datagram's send is refused, an error
 * reported when a stream with unread bytes is reset, backlogs of 0.
 */
const OPEN_SCENES = [
  ["memory", "/tmp"],
  ["memory", "/dev/shm"],
  ["sockets", "/tmp"],
] as const;

const HERE = `${import.meta.dirname}/`;
/** Sequences of one process on the host and one sandbox. */
const BATCH = 200;
const BATCH_MILLIS_MAX = 300_000;
/** Lines before the one that differs. */
const CONTEXT_LINES = 8;
const DIFFERENCES_MAX = 20;

/** Builds the program into `directory`; its path. */
export async function compile(directory: string): Promise<string> {
  const path = `${directory}/random`;
  const done = await command(["gcc", "-O1", "-w", "-static", "-o", path, `${HERE}main.c`, "-lrt"]);
  if (done.code !== 0) throw new Error(`gcc: ${done.stderr}`);
  return path;
}

/** The sequences that differ, each with its seed, its last calls, and the first call that differs. */
export async function compare(
  program: string,
  platform: PlatformName,
  [family, place]: readonly [string, string],
  seed: number,
  count: number,
): Promise<string[]> {
  const differences: string[] = [];
  for (let at = seed; at < seed + count && differences.length < DIFFERENCES_MAX; at += BATCH) {
    const args = [family, place, String(at), String(Math.min(BATCH, seed + count - at))];
    const options = { timeoutMillis: BATCH_MILLIS_MAX };
    const host = await command([program, ...args], options);
    // Below a shell: as a container's first process it would be everybody's init.
    const argv = ["do", "--", "/bin/sh", "-c", '"$@"; exit $?', "sh", program, ...args];
    const sandbox = await tsvisor([`--platform=${platform}`, ...argv], options);
    const found = sequences(sandbox.stdout);
    for (const [number, calls] of sequences(host.stdout)) {
      const difference = firstDifference(calls, found.get(number) ?? []);
      if (difference !== null) differences.push(`${family} in ${place}, seed ${number}:\n${difference}`);
    }
    if (host.code !== 0 || sandbox.code !== 0) {
      differences.push(`exit ${sandbox.code}, on the host ${host.code}: ${host.stderr}${sandbox.stderr}`);
    }
  }
  return differences;
}

/** Lines of each sequence, by seed. */
function sequences(output: string): Map<number, string[]> {
  const found = new Map<number, string[]>();
  let lines: string[] = [];
  for (const line of output.split("\n")) {
    const start = /^seed (\d+)$/.exec(line);
    if (start !== null) found.set(Number(start[1]), lines = []);
    else if (line !== "") lines.push(line);
  }
  return found;
}

function firstDifference(host: readonly string[], sandbox: readonly string[]): string | null {
  const length = Math.max(host.length, sandbox.length);
  for (let i = 0; i < length; i++) {
    if (host[i] === sandbox[i]) continue;
    const before = host.slice(Math.max(0, i - CONTEXT_LINES), i).map((line) => `            ${line}`);
    return [...before, `  host      ${host[i] ?? "(none)"}`, `  sandbox   ${sandbox[i] ?? "(none)"}`].join(
      "\n",
    );
  }
  return null;
}

if (import.meta.main) {
  const count = Number(Deno.args[0] ?? 1000), seed = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-random-" });
  Deno.chmodSync(directory, 0o755);
  let failures = 0;
  try {
    const program = await compile(directory);
    for (const scene of [...SCENES, ...OPEN_SCENES]) {
      for (const platform of PLATFORMS) {
        const differences = await compare(program, platform, scene, seed, count);
        failures += differences.length;
        console.log(
          [`${scene.join(" in ")} on ${platform}: ${differences.length} differ`, ...differences].join("\n"),
        );
      }
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
  Deno.exit(failures > 0 ? 1 : 0);
}
