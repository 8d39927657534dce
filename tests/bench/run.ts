// deno task bench [--only=NAME,...] [--rounds=N] [--markdown]: native, runc, runsc and tsvisor side by side, in turns, one
// line a number with the best of all rounds. RUNSC names a newer runsc. --markdown writes the table of docs/PERFORMANCE.md.

import { tsvisorPath } from "../support/tsvisor.ts";
import { Containers } from "./containers.ts";
import { processTree, pssBytes, schedNanos } from "./processes.ts";
import { writeTable } from "./report.ts";
import { Bundles, type Runtime, runtimes } from "./runtimes.ts";
import { ratio, type Row, show } from "./row.ts";

const HERE = new URL(".", import.meta.url).pathname;
const ROUNDS = 3;
/** Starts of /bin/true measured in each round. */
const STARTS_A_ROUND = 5;
/** How long one runtime may take over one round of one kind. */
const ROUND_MILLIS_MAX = 60_000;
const IDLE_SETTLE_MILLIS = 1000;
const IDLE_WATCH_MILLIS = 2000;

/** Files of a directory of the host that the sandbox has not seen yet. */
const FIRST = ["first-stat-files", "first-open-files"];
const MICRO = [
  "getpid",
  "clock_gettime",
  "pread-1-tmpfs",
  "pwrite-1-tmpfs",
  "pread-64k-tmpfs",
  "pwrite-64k-tmpfs",
  "pread-1-files",
  "pwrite-1-files",
  "pread-64k-files",
  "pwrite-64k-files",
  "open-close-tmpfs",
  "open-close-files",
  "stat-tmpfs",
  "stat-files",
  "create-unlink-tmpfs",
  "create-unlink-files",
  "pipe-self",
  "pipe-ping-pong",
  "unix-ping-pong",
  "futex-ping-pong",
  "epoll-eventfd",
  "signal-self",
  "fork-wait",
  "fork-exec-wait",
  "vfork-exec-wait",
  "thread-join",
  "mmap-4k",
  "mmap-4m",
];
const PROGRAMS = [
  "shell-200-true",
  "find-usr-share",
  "python-pass",
  "python-imports",
  "gcc-compile",
  "git-commit-500",
  "find-10k",
  "grep-10k",
  "rg-10k",
  "fd-10k",
  "git-status-10k",
  "git-grep-10k",
  "tar-10k",
  "cp-10k",
  "redis-unix",
];
/** Commands of engines on a container in the background. */
const LIFE = [
  "create",
  "start",
  "exec-true",
  "state",
  "list",
  "ps",
  "kill",
  "delete",
  "create-start-delete",
  "fifty-at-once",
];
const WHOLE = ["start-true", "idle-memory", "idle-cpu"];

const flags = new Map(Deno.args.map((word) => {
  const match = /^--([a-z]+)(?:=(.*))?$/.exec(word);
  if (match === null || !["only", "rounds", "markdown", "without"].includes(match[1])) {
    console.error(`Unknown argument ${word}: --only=NAME,... --without=RUNTIME,... --rounds=N --markdown`);
    Deno.exit(2);
  }
  return [match[1], match[2] ?? ""] as const;
}));
const only = flags.get("only")?.split(",") ?? [];
const isWanted = (name: string) => only.length === 0 || only.some((word) => name.startsWith(word));
const names = [...FIRST, ...MICRO, ...PROGRAMS, ...LIFE, ...WHOLE].filter(isWanted);
if (names.length === 0) {
  console.error(
    `Nothing is named ${only.join(",")}: ${[...FIRST, ...MICRO, ...PROGRAMS, ...LIFE, ...WHOLE].join(" ")}`,
  );
  Deno.exit(2);
}
const rounds = Number(flags.get("rounds") || ROUNDS);
const rows = new Map<string, Row>(
  names.map((name) => [name, { name, unit: unitOf(name), values: new Map() }]),
);

const bundles = new Bundles();
try {
  await compile();
  if (names.some((name) => name.startsWith("first-") || name.endsWith("-10k"))) await bundles.makeTree();
  const missing: string[] = [];
  const without = flags.get("without")?.split(",") ?? [];
  const found = (await runtimes(bundles, await tsvisorPath(), missing)).filter(({ name }) =>
    !without.includes(name)
  );
  for (const line of missing) console.log(`missing: ${line}`);
  for (let round = 0; round < rounds; round++) {
    for (const [kind, all] of Object.entries({ first: FIRST, micro: MICRO, programs: PROGRAMS })) {
      const wanted = all.filter(isWanted);
      for (const runtime of wanted.length === 0 ? [] : found) await inside(runtime, kind, wanted);
    }
    for (const runtime of LIFE.some(isWanted) ? found : []) await live(runtime);
    if (isWanted("start-true")) await starts(found);
  }
  if (isWanted("idle-memory") || isWanted("idle-cpu")) { for (const runtime of found) await idle(runtime); }
  printRows(found.map(({ name }) => name));
  if (flags.has("markdown")) await writeTable([...rows.values()], found.map(({ name }) => name), rounds);
} finally {
  bundles.remove();
}

function unitOf(name: string): string {
  if (name === "idle-memory") return "MiB";
  if (name === "idle-cpu") return "ms/s";
  return name === "start-true" || LIFE.includes(name) || (PROGRAMS.includes(name) && name !== "redis-unix")
    ? "ms"
    : "us";
}

async function compile(): Promise<void> {
  const { success } = await new Deno.Command("gcc", {
    args: ["-O2", "-pthread", `${HERE}bench.c`, "-o", `${bundles.files}/bench`],
  }).output();
  if (!success) throw new Error("Cannot compile tests/bench/bench.c");
}

function take(name: string, runtime: Runtime, value: number): void {
  const values = rows.get(name)?.values;
  if (values === undefined || !Number.isFinite(value)) return;
  values.set(runtime.name, Math.min(values.get(runtime.name) ?? Infinity, value));
}

async function spawn(runtime: Runtime, argv: string[], stdin: "null" | "piped"): Promise<Deno.ChildProcess> {
  const [program, ...args] = await runtime.command(argv);
  return new Deno.Command(program, {
    args,
    stdin,
    stdout: "piped",
    stderr: "inherit",
    env: runtime.environment,
    cwd: "/",
  }).spawn();
}

/** Lines "NAME MICROSECONDS" of the benchmark program. */
async function inside(runtime: Runtime, kind: string, wanted: string[]): Promise<void> {
  const child = await spawn(runtime, ["/files/bench", kind, ...wanted], "null");
  const timer = setTimeout(() => child.kill("SIGKILL"), ROUND_MILLIS_MAX);
  const text = new TextDecoder().decode((await child.output()).stdout);
  clearTimeout(timer);
  for (const line of text.trim().split("\n")) {
    const [name, value, ...rest] = line.split(" ");
    if (value === "failed") console.log(`${runtime.name}: ${name} failed: ${rest.join(" ")}`);
    else take(name, runtime, Number(value) / (unitOf(name) === "ms" ? 1000 : 1));
  }
}

/** Times of commands on containers; what they leave is deleted. */
async function live(runtime: Runtime): Promise<void> {
  if (runtime.container === null) return;
  const containers = new Containers(runtime.container, bundles);
  try {
    for (const [name, millis] of await containers.lifeMillis()) take(name, runtime, millis);
    if (isWanted("fifty-at-once")) take("fifty-at-once", runtime, await containers.crowdMillis(50));
  } catch (error) {
    console.log(`${runtime.name}: ${(error as Error).message}`);
  } finally {
    await containers.remove();
  }
}

/** From the command to its end; runtimes take turns, so that a busy moment hits them all. */
async function starts(found: Runtime[]): Promise<void> {
  for (let n = 0; n < STARTS_A_ROUND; n++) {
    for (const runtime of found) {
      const begin = performance.now();
      const child = await spawn(runtime, ["/bin/true"], "null");
      const { success } = await child.output();
      if (success) take("start-true", runtime, performance.now() - begin);
    }
  }
}

/** Memory and CPU time of all processes of a sandbox whose only process reads. */
async function idle(runtime: Runtime): Promise<void> {
  const child = await spawn(runtime, ["/files/bench", "idle"], "piped");
  const reader = child.stdout.getReader();
  await reader.read();
  await new Promise((resolve) => setTimeout(resolve, IDLE_SETTLE_MILLIS));
  const before = schedNanos(processTree(child.pid));
  await new Promise((resolve) => setTimeout(resolve, IDLE_WATCH_MILLIS));
  const tree = processTree(child.pid);
  take("idle-cpu", runtime, (schedNanos(tree) - before) / 1e6 / (IDLE_WATCH_MILLIS / 1000));
  take("idle-memory", runtime, pssBytes(tree) / 1048576);
  await child.stdin.close();
  reader.releaseLock();
  await child.stdout.cancel();
  await child.status;
}

function printRows(runtimeNames: string[]): void {
  const peers = runtimeNames.filter((name) => name !== "tsvisor");
  console.log(
    ["name".padEnd(21), "unit".padEnd(5), ...runtimeNames.map((name) => name.padStart(10))].join(" ") +
      peers.map((name) => `x ${name}`.padStart(12)).join(""),
  );
  for (const { name, unit, values } of rows.values()) {
    const numbers = runtimeNames.map((runtime) => show(values.get(runtime)).padStart(10));
    const ratios = peers.map((peer) => ratio(values.get("tsvisor"), values.get(peer)).padStart(12));
    console.log([name.padEnd(21), unit.padEnd(5), ...numbers].join(" ") + ratios.join(""));
  }
}
