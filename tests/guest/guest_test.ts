// Conformance: each C program here runs on the host first, then in the sandbox on each platform, and must print the same.
// A program prints "name: result" per check; each check counts, and is named when it differs. What a man page decides is
// expected by the program itself (check.h), which fails on the host as well when that is not what happens.
// At its end the kernel has to have given back every descriptor of the host.

import { AS_IN_A_SANDBOX, command, type Finished, PLATFORMS, tsvisor } from "../support/tsvisor.ts";

const HERE = `${import.meta.dirname}/`;
const PROGRAM_MILLIS_MAX = 120_000;
/** Further runs on the host before a difference counts. */
const HOST_RUNS_MAX = 3;

/** Programs that run as a static, position-independent executable too: another loader path, other code of libc. */
const STATIC = new Set(["memory", "process", "signal", "thread"]);

/** Programs that run as a user without rights too. */
const UNPRIVILEGED = new Set([
  "control",
  "datagrams",
  "file",
  "limits",
  "peers",
  "pointers",
  "proc_inspect",
  "sockets",
  "unix",
]);
const AS_USER = ["setpriv", "--reuid=1000", "--regid=1000", "--clear-groups"];

/**
 * At least so many checks each program and variant prints: one that leaves out half of them, because a set-up failed on the
 * host and in the sandbox alike, would compare equal. Raise a floor with the checks that are added.
 */
const FLOORS: Readonly<Record<string, number>> = {
  "control": 163,
  "control, as a user": 129,
  "datagrams": 374,
  "datagrams, as a user": 340,
  "edges": 194,
  "elf": 2700,
  "exec": 34,
  "faults": 131,
  "file": 890,
  "file, as a user": 844,
  "filters": 150,
  "futex": 90,
  "futex_pi": 64,
  "held": 245,
  "inet": 645,
  "ipc": 303,
  "kinds": 2760,
  "limits": 42,
  "limits, as a user": 42,
  "made_files": 61,
  "memory": 97,
  "memory, static-pie": 97,
  "netlink": 102,
  "netlink, as a user": 70,
  "notify": 45,
  "overlay": 48,
  "packets": 100,
  "patching": 116,
  "peers": 106,
  "peers, as a user": 106,
  "pointers": 1484,
  "pointers, as a user": 1484,
  "privileges": 240,
  "propagation": 85,
  "proc": 335,
  "proc_inspect": 57,
  "proc_inspect, as a user": 57,
  "process": 112,
  "process, static-pie": 112,
  "procfs": 308,
  "queues": 116,
  "restart": 214,
  "reuse": 10,
  "rights": 1480,
  "seccomp": 108,
  "signal": 84,
  "signal, static-pie": 84,
  "small_calls": 123,
  "sockets": 307,
  "sockets, as a user": 307,
  "sysctls": 265,
  "thread": 76,
  "thread, static-pie": 76,
  "threads_end": 2,
  "time": 124,
  "torture": 2,
  "transfer": 274,
  "traps": 65,
  "tty": 286,
  "tty_keys": 200,
  "unix": 277,
  "unix, as a user": 266,
  "urgent": 83,
  "usage": 35,
};

/** Programs whose checks the ptrace platform cannot pass by design, with the reason. */
const EXCLUDED: ReadonlyMap<string, string> = new Map();

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-guest-" });
Deno.chmodSync(directory, 0o755);
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

for (const program of programs()) {
  compare(program, false, []);
  if (STATIC.has(program)) compare(program, true, []);
  if (UNPRIVILEGED.has(program) && Deno.uid() === 0) compare(program, false, AS_USER);
}

/** `prefix`: the command that runs the program, on either side. */
function compare(program: string, isStatic: boolean, prefix: readonly string[]): void {
  const variant = isStatic ? ", static-pie" : prefix === AS_USER ? ", as a user" : "";
  Deno.test(`guest program ${program}${variant}`, async (t) => {
    const path = await compile(program, isStatic);
    const native = await command([...AS_IN_A_SANDBOX, ...prefix, path], {
      timeoutMillis: PROGRAM_MILLIS_MAX,
    });
    const expected = checks(native.stdout);
    const unexpected = expected.filter(({ result }) => result.includes(", expected "));
    if (unexpected.length > 0) {
      const lines = unexpected.map(({ name, result }) => `${name}: ${result}`);
      throw new Error(`On the host, ${lines.length} checks do not hold:\n${lines.join("\n")}`);
    }
    if (native.code !== 0) throw new Error(`On the host it ends with ${native.code}: ${tail(native)}`);
    const floor = FLOORS[program + variant];
    if (floor === undefined) throw new Error(`FLOORS has no "${program}${variant}"`);
    if (expected.length < floor) {
      throw new Error(
        `On the host it prints ${expected.length} checks of at least ${floor}: ${tail(native)}`,
      );
    }
    const others: Map<string, string>[] = [];
    /** Whether Linux gives `check` this result too: what it leaves to a worker of its own is not the same each time. */
    const isLinuxToo = async (check: string, result: string): Promise<boolean> => {
      for (let i = 0; i < HOST_RUNS_MAX; i++) {
        if (i === others.length) {
          const more = await command([...AS_IN_A_SANDBOX, ...prefix, path], {
            timeoutMillis: PROGRAM_MILLIS_MAX,
          });
          others.push(new Map(checks(more.stdout).map(({ name, result }) => [name, result])));
        }
        if (others[i].get(check) === result) return true;
      }
      return false;
    };
    for (const platform of PLATFORMS) {
      if (EXCLUDED.has(`${program} ${platform}`)) continue;
      await t.step(`on ${platform}`, async (step) => {
        // Below a shell: as a container's first process it would be everybody's init.
        const argv = ["do", "--", "/bin/sh", "-c", '"$@"; exit $?', "sh", ...prefix, path];
        const log = `${path}-${platform}.log`;
        const flags = [`--platform=${platform}`, "--debug", `--debug-log=${log}`];
        const got = await tsvisor([...flags, ...argv], { timeoutMillis: PROGRAM_MILLIS_MAX });
        const found = new Map(checks(got.stdout).map((check) => [check.name, check]));
        for (const check of expected) {
          await step.step(check.name, async () => {
            const result = found.get(check.name)?.result;
            if (result === check.result) return;
            if (result !== undefined && await isLinuxToo(check.name, result)) return;
            throw new Error(
              result === undefined
                ? `never came to this check: exit ${got.code}, ${tail(got)}`
                : `sandbox "${result}", host "${check.result}"`,
            );
          });
        }
        if (got.code !== native.code) {
          throw new Error(`exit ${got.code}, on the host ${native.code}: ${tail(got)}`);
        }
        checkEnd(Deno.readTextFileSync(log));
      });
    }
  });
}

/** What --debug writes to the log at a sandbox's end. */
function checkEnd(log: string): void {
  const left = log.match(/^Descriptor left open: .*$/gm);
  if (left !== null) throw new Error(left.join("; "));
  if (!log.includes("the kernel has given everything back")) throw new Error("it did not end in order");
}

function programs(): string[] {
  return [...Deno.readDirSync(HERE)].map((entry) => entry.name).filter((name) => name.endsWith(".c"))
    .map((name) => name.slice(0, -2)).sort();
}

async function compile(program: string, isStatic: boolean): Promise<string> {
  const path = `${directory}/${program}${isStatic ? "-static" : ""}`;
  const kind = isStatic ? ["-static-pie"] : [];
  const args = ["-O1", "-w", "-pthread", ...kind, "-o", path, `${HERE}${program}.c`, "-lrt", "-lm"];
  const done = await command(["gcc", ...args]);
  if (done.code !== 0) throw new Error(`gcc: ${done.stderr}`);
  return path;
}

interface Check {
  readonly name: string;
  readonly result: string;
}

/** Names may come again; each time counts, and is numbered. */
function checks(output: string): Check[] {
  const seen = new Map<string, number>();
  const list: Check[] = [];
  for (const line of output.split("\n")) {
    const at = line.indexOf(": ");
    if (at < 0) continue;
    const name = line.slice(0, at);
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    list.push({ name: count === 1 ? name : `${name} (${count})`, result: line.slice(at + 2) });
  }
  return list;
}

function tail(finished: Finished): string {
  return JSON.stringify((finished.stdout.slice(-200) + finished.stderr.slice(-400)).trim());
}
