// kill -9 at moments of a container's life that a seed chooses: of the command that is at work, of the attendant, of sentry,
// gofer or controller. Afterwards `state` says what is, `delete --force` succeeds, and nothing is left: no process, mount,
// network namespace, cgroup or file. TSVISOR_SEED=N chooses others, TSVISOR_ROUNDS=N how many.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { isAlive } from "../support/host_processes.ts";
import { command, delay, tsvisorPath } from "../support/tsvisor.ts";

const seed = Number(Deno.env.get("TSVISOR_SEED") ?? 1);
const rounds = Number(Deno.env.get("TSVISOR_ROUNDS") ?? 20);
/** Longest that anything may take to end, in steps of 20 ms. */
const TRIES_MAX = 1500;

const ID = `kill-${Deno.pid}`;
/** Connects to the control API, which starts a controller, and stays for as long as that does. */
const CONNECT = "connect";

/** Lives by their commands; the round after the last begins with the first again. */
const LIVES: readonly (readonly (readonly string[])[])[] = [
  [
    ["create", ID],
    ["start", ID],
    ["exec", ID, "/bin/true"],
    ["exec", "--detach", ID, "/bin/sleep", "100"],
    [CONNECT],
    ["pause", ID],
    ["state", ID],
    ["resume", ID],
    ["kill", ID, "KILL"],
    ["delete", "--force", ID],
  ],
  [["run", "--detach", ID], [CONNECT], ["exec", ID, "/bin/true"], ["kill", "--all", ID], [
    "delete",
    "--force",
    ID,
  ]],
  // Attached: it ends with the command that ends it, which runs beside it.
  [["run", ID], ["exec", ID, "/bin/sleep", "100"], ["kill", ID, "KILL"]],
  [["create", ID], ["delete", "--force", ID]],
];
const CREATES = new Set(["create", "run"]);

/** Numbers below 1, the same for a seed. */
function sequence(state: number): () => number {
  return () => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b_3c6d) + 0x9e37_79b9 | 0;
    return (state >>> 0) / 2 ** 32;
  };
}

interface HostProcess {
  readonly pid: number;
  readonly args: string;
}

/** Host processes of this bundle's containers: those whose arguments name it, and theirs. */
async function processesOf(bundle: Bundle): Promise<HostProcess[]> {
  const { stdout } = await command(["ps", "-eo", "pid=,ppid=,stat=,args="]);
  const all = stdout.trim().split("\n").map((line) => {
    const [, pid, parent, stat, args] = /^ *(\d+) +(\d+) +(\S+) +(.*)$/.exec(line)!;
    return { pid: Number(pid), parent: Number(parent), stat, args };
  }).filter(({ stat }) => !stat.startsWith("Z"));
  const found = new Map(
    all.filter(({ args }) => args.includes(bundle.directory)).map((one) => [one.pid, one]),
  );
  for (let size = -1; size !== found.size;) {
    size = found.size;
    for (const one of all) if (found.has(one.parent)) found.set(one.pid, one);
  }
  return [...found.values()];
}

/** What is on the host besides processes. */
async function tracesOf(bundle: Bundle): Promise<string[]> {
  const cgroups = await command(["find", "/sys/fs/cgroup", "-type", "d", "-name", `*${ID}*`]);
  const namespaces = await command(["sh", "-c", "ls /run/netns 2>/dev/null"]);
  const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
  return [
    ...cgroups.stdout.split("\n"),
    ...namespaces.stdout.split("\n").filter((name) => name.includes(ID)),
    ...mounts.filter((line) => line.includes(bundle.directory) || line.includes(ID)),
    ...[...Deno.readDirSync(bundle.state)].map(({ name }) => name),
  ].filter((line) => line !== "");
}

/** One life. Its commands take some milliseconds each, or wait for the container's end. */
class Lived {
  readonly #bundle: Bundle;
  readonly #tool: string;
  readonly #running: Promise<unknown>[] = [];
  isOver = false;

  constructor(bundle: Bundle, tool: string) {
    this.#bundle = bundle;
    this.#tool = tool;
  }

  async live(commands: readonly (readonly string[])[]): Promise<void> {
    for (const words of commands) {
      if (this.isOver) break;
      const isEnded = words[0] === CONNECT ? this.#connect() : this.#begin(words);
      this.#running.push(isEnded);
      const isAttached = words[0] === "run" && words.length === 2 || words.at(-2) === "/bin/sleep";
      // Whether it waits for what the next ones do cannot be seen; so they get a while to begin.
      await (isAttached ? Promise.race([isEnded, this.#shown()]) : isEnded);
    }
    await Promise.all(this.#running);
  }

  async #begin([name, ...words]: readonly string[]): Promise<void> {
    const more = CREATES.has(name) ? ["--bundle", this.#bundle.directory] : [];
    const args = ["--root", this.#bundle.state, name, ...more, ...words];
    const stdio = { stdin: "null", stdout: "null", stderr: "null" } as const;
    await new Deno.Command(this.#tool, { args, ...stdio }).spawn().status;
  }

  async #shown(): Promise<void> {
    const record = `${this.#bundle.state}/${ID}.json`;
    for (let tries = 0; tries < TRIES_MAX && !this.isOver; tries++) {
      const text = await Deno.readTextFile(record).catch(() => "");
      if (text.includes('"running"')) return;
      await delay(5);
    }
  }

  async #connect(): Promise<void> {
    try {
      using connection = await Deno.connect({
        transport: "unix",
        path: `${this.#bundle.state}/runsc-${ID}.sock`,
      });
      await connection.write(new TextEncoder().encode('{"method":"containerManager.Processes","arg":"x"}'));
      await connection.read(new Uint8Array(1024));
    } catch {
      // There is none, or it has just been killed.
    }
  }
}

Deno.test(`life cycle: kill -9 of anybody at any moment leaves nothing (seed ${seed})`, async () => {
  using bundle = new Bundle();
  const random = sequence(seed);
  bundle.write("sleep 100");
  const tool = await tsvisorPath();
  // How long a whole life takes here: moments are chosen within.
  const millis: number[] = [];
  for (const commands of LIVES) {
    const begin = performance.now();
    await new Lived(bundle, tool).live(commands);
    millis.push(performance.now() - begin);
  }
  const struck = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    const kind = round % LIVES.length, moment = random() * millis[kind], choice = random();
    const lived = new Lived(bundle, tool);
    const life = lived.live(LIVES[kind]);
    await delay(moment);
    const victims = await processesOf(bundle);
    const victim = victims[Math.floor(choice * victims.length)];
    const what = `seed ${seed}, round ${round}: ${victim?.args ?? "nobody"} after ${Math.round(moment)} ms`;
    try {
      if (victim !== undefined) Deno.kill(victim.pid, "SIGKILL");
    } catch {
      // It has just ended.
    }
    const name = nameOf(victim);
    // Such a life is shorter than it was thought to be.
    if (victim === undefined) millis[kind] = moment;
    struck.set(name, (struck.get(name) ?? 0) + 1);
    lived.isOver = true;
    await truth(bundle, what);
    equal((await bundle.tsvisor(["delete", "--force", ID])).code, 0, what);
    await life;
    // A command that was at work has ended only now.
    equal((await bundle.tsvisor(["delete", "--force", ID])).code, 0, what);
    let left = await processesOf(bundle);
    for (let tries = 0; tries < TRIES_MAX && left.length > 0; tries++) {
      await delay(20);
      left = await processesOf(bundle);
    }
    deepEqual([what, left, (await bundle.tsvisor(["list", "-q"])).stdout], [what, [], ""]);
    deepEqual([what, await tracesOf(bundle)], [what, []]);
  }
  console.log(`struck: ${[...struck].map(([name, count]) => `${name} ${count}`).join(", ")}`);
});

/** What a process is, by its arguments. */
function nameOf(victim: HostProcess | undefined): string {
  if (victim === undefined) return "nobody";
  const role = /(sentry|gofer|controller)\.js/.exec(victim.args);
  return role?.[1] ?? (victim.args.includes("tsvisor") ? "command or attendant" : "stub");
}

/** `state` comes to say what is: a container that is not stopped has its process, one that is has none. */
async function truth(bundle: Bundle, what: string): Promise<void> {
  for (let tries = 0;; tries++) {
    const { code, stdout, stderr } = await bundle.tsvisor(["state", ID]);
    if (code !== 0) return match(stderr, /^tsvisor: Container "\S+" does not exist\n$/, what);
    const { status, pid } = JSON.parse(stdout);
    ok(["creating", "created", "running", "paused", "stopped"].includes(status), what);
    if (status === "stopped" || status === "creating" ? pid === 0 : isAlive(pid)) return;
    // Between the answer and the look it may have ended.
    ok(tries < TRIES_MAX, `${what}: ${stdout}`);
    await delay(20);
  }
}
