// No call holds up other processes, however large its arguments are: the programs here make each with large ones, while
// another process of the sandbox beats, and the sentry measures its steps. Every call of the table is among them, or among those
// whose work is the same always.

import { deepEqual } from "node:assert/strict";
import { FAMILIES } from "../../../kernel/syscalls/families.ts";
import { command, PLATFORMS, tsvisorPath } from "../../support/tsvisor.ts";

/** What a busy machine may add to a beat. On an idle one few are longer than 20 ms. */
const BEAT_MILLIS_MAX = 250;
/** Or this part of the case: one that held up everybody would have all of it. */
const BEAT_PART_MAX = 0.25;
/**
 * The most CPU time of a step, whatever else the machine does. Most are of 1 to 5 ms, and what Linux does not let be cut, as the
 * walk of a robust list, of 15; a busy machine takes up to twice the time for them, as its caches are others' too.
 */
const STEP_MILLIS_MAX = 40;
/** Cases that were late are run again: what is our fault is late each time. */
const TRIES = 4;
/** All cases of one round, on a machine many times slower than ours: some 10 s. */
const TIMEOUT_MILLIS = 600_000;

/** Calls without a case: no argument, and nothing that a guest has made, adds to their work. */
const ALWAYS_SMALL = new Set(
  `fchmod fchown umask getuid getgid setuid setgid geteuid getegid setreuid setregid setresuid getresuid setresgid
  getresgid setfsuid setfsgid capget capset dup epoll_create epoll_create1 eventfd eventfd2 signalfd signalfd4
  pidfd_open pidfd_getfd get_robust_list pkey_alloc pkey_free set_mempolicy get_mempolicy mq_notify mq_getsetattr
  arch_prctl getpid getrusage times setpgid getppid getpgrp setsid getpgid getsid personality gettid set_tid_address
  getrlimit setrlimit prlimit64 sched_yield sched_setparam sched_getparam sched_setscheduler sched_getscheduler
  sched_get_priority_max sched_get_priority_min sched_rr_get_interval sched_setaffinity sched_getaffinity getcpu
  sched_setattr sched_getattr rseq rt_sigaction rt_sigprocmask rt_sigreturn pause rt_sigsuspend sigaltstack
  restart_syscall pidfd_send_signal getsockname getpeername fstat fstatfs uname sysinfo vhangup reboot nanosleep
  gettimeofday settimeofday adjtimex clock_adjtime time clock_settime clock_gettime clock_getres clock_nanosleep
  getitimer alarm timer_gettime timer_getoverrun timerfd_create timerfd_gettime kcmp sysfs`.split(
    /\s+/,
  ),
);

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-turns-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
const program = compile();

async function compile(): Promise<string> {
  const path = `${directory}/turns`;
  const sources = [...Deno.readDirSync(import.meta.dirname!)].map(({ name }) => name)
    .filter((name) => name.endsWith(".c")).map((name) => `${import.meta.dirname}/${name}`);
  const built = await command([
    "gcc",
    "-O1",
    "-Wall",
    "-Wno-unused-result",
    "-pthread",
    "-o",
    path,
    ...sources,
  ]);
  if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
  return path;
}

Deno.test("every call of the table has a case with large arguments, or needs none", async () => {
  const { stdout } = await command([await program, "--list"]);
  const measured = new Set(stdout.trim().split("\n").flatMap((line) => line.split(" ").slice(1)));
  const served = FAMILIES.flatMap((family) => Object.entries(family))
    .filter(([, spec]) => spec.support.level !== "none").map(([name]) => name);
  deepEqual(served.filter((name) => !measured.has(name) && !ALWAYS_SMALL.has(name)), [], "without a case");
  const known = [...measured, ...ALWAYS_SMALL];
  deepEqual(known.filter((name) => !served.includes(name)), [], "not in the table");
  deepEqual(known.filter((name) => measured.has(name) && ALWAYS_SMALL.has(name)), [], "in both");
});

for (const platform of PLATFORMS) {
  Deno.test(`others have their turn during calls with large arguments, on ${platform}`, async () => {
    let late: string[] = [], names: string[] = [];
    for (let round = 0; round < TRIES && (round === 0 || late.length > 0); round++) {
      const flags = [
        `--platform=${platform}`,
        "--debug-log=/dev/stderr",
        `--watchdog-step=${STEP_MILLIS_MAX}`,
      ];
      const { stdout, stderr, code } = await command(
        [await tsvisorPath(), ...flags, "do", "--", await program, ...names],
        { timeoutMillis: TIMEOUT_MILLIS },
      );
      if (code !== 0) throw new Error(`It ended with ${code}: ${stdout}${stderr}`);
      const lines = stdout.trim().split("\n"), steps = longSteps(stderr);
      late = lines.filter((line) => isLate(line) || steps.has(nameOf(line)))
        .map((line) => [line, ...steps.get(nameOf(line)) ?? []].join("; "));
      names = late.map(nameOf);
    }
    deepEqual(late, []);
  });
}

/** What the sentry says of its steps between "begin NAME", the last of which counts, and "end NAME". */
function longSteps(log: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  let current = "";
  for (const line of log.split("\n")) {
    const [word, name] = line.split(" ");
    if (word === "begin") found.delete(current = name);
    else if (word === "end") current = "";
    else if (word === "Watchdog:" && current !== "") found.set(current, [...found.get(current) ?? [], line]);
  }
  return found;
}

function nameOf(line: string): string {
  return line.split(" ")[0].replace(":", "");
}

/** "name milliseconds longest": the case's time, and the longest that another process has waited. */
function isLate(line: string): boolean {
  const [, millis, longest] = line.split(" ").map(Number);
  return !(longest <= Math.max(BEAT_MILLIS_MAX, millis * BEAT_PART_MAX));
}
