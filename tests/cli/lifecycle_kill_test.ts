// kill -9 at moments of a container's life that a seed chooses: of the command that is at work, of the attendant, of the sentry
// or of the gofer. Afterwards `state` says what is, `delete --force` succeeds, and nothing is left.
// TSVISOR_SEED=N chooses others, TSVISOR_ROUNDS=N how many.

import { deepEqual, equal, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { command, delay, tsvisorPath } from "../support/tsvisor.ts";

const seed = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
const rounds = Number(Deno.env.get("TSVISOR_ROUNDS") ?? 24);
/** A whole life takes about this long; moments are chosen within. */
const LIFE_MILLIS = 900;

/** Numbers below 1, the same for a seed. */
function sequence(state: number): () => number {
  return () => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b_3c6d) + 0x9e37_79b9 | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

/** Host processes of this bundle's containers: those whose arguments name it, and theirs. */
async function processesOf(bundle: Bundle): Promise<{ pid: number; args: string }[]> {
  const { stdout } = await command(["ps", "-eo", "pid=,ppid=,stat=,args="]);
  const all = stdout.trim().split("\n").map((line) => {
    const [, pid, parent, stat, args] = /^ *(\d+) +(\d+) +(\S+) +(.*)$/.exec(line)!;
    return { pid: Number(pid), parent: Number(parent), stat, args };
  }).filter(({ stat }) => !stat.startsWith("Z"));
  const found = new Map(
    all.filter(({ args }) => args.includes(bundle.directory) && !args.startsWith("sh "))
      .map((one) => [one.pid, one]),
  );
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const one of all) if (found.has(one.parent)) found.set(one.pid, one);
  }
  return [...found.values()];
}

Deno.test(`life cycle: kill -9 of anybody at any moment leaves nothing (seed ${seed})`, async () => {
  using bundle = new Bundle();
  const random = sequence(seed);
  bundle.write("sleep 100");
  const tool = await tsvisorPath();
  const begin = (...args: string[]) =>
    new Deno.Command(tool, {
      args: ["--root", bundle.state, ...args],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    })
      .spawn();
  for (let round = 0; round < rounds; round++) {
    const moment = random() * LIFE_MILLIS, choice = random();
    let isOver = false;
    const life = (async () => {
      for (
        const args of [
          ["create", "--bundle", bundle.directory, "box"],
          ["start", "box"],
          ["exec", "box", "/bin/true"],
          ["pause", "box"],
          ["resume", "box"],
          ["kill", "box", "KILL"],
          ["delete", "box"],
        ]
      ) if (!isOver) await begin(...args).status;
    })();
    await delay(moment);
    const victims = await processesOf(bundle);
    const victim = victims[Math.floor(choice * victims.length)];
    const what = `seed ${seed}, round ${round}: ${victim?.args ?? "nobody"} after ${Math.round(moment)} ms`;
    try {
      if (victim !== undefined) Deno.kill(victim.pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
    isOver = true;
    await life;
    const { code, stdout, stderr } = await bundle.tsvisor(["state", "box"]);
    if (code === 0) {
      const { status, pid } = JSON.parse(stdout);
      ok(["created", "running", "paused", "stopped", "creating"].includes(status), what);
      equal(status === "stopped" || status === "creating", pid === 0, `${what}: ${stdout}`);
    } else ok(/does not exist/.test(stderr), `${what}: ${stderr}`);
    equal((await bundle.tsvisor(["delete", "--force", "box"])).code, 0, what);
    let left = await processesOf(bundle);
    for (let tries = 0; tries < 100 && left.length > 0; tries++) {
      await delay(50);
      left = await processesOf(bundle);
    }
    deepEqual([left, (await bundle.tsvisor(["list", "-q"])).stdout], [[], ""], what);
    const files = [...Deno.readDirSync(bundle.state)].map(({ name }) => name).filter((name) =>
      !name.startsWith(".")
    );
    deepEqual(files, [], what);
  }
});
