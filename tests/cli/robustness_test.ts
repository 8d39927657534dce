// What a sandbox survives, and what ends it whole: killed processes, limits, a full disk, readers and writers that go away.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { cpuTicks, gone, type HostProcess, isAlive, sandboxOf, statusOf } from "../support/host_processes.ts";
import { command, delay, type PlatformName, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

/** How often each process of a sandbox is killed: TSVISOR_KILLS=50 on a quiet machine, to see that it ends within a second. */
const KILLS_ASKED = Number(Deno.env.get("TSVISOR_KILLS") ?? 0);
const KILLS = KILLS_ASKED || 5;
/** Milliseconds for all to be gone. It takes some ten; a busy machine may take its time. */
const END_MILLIS_MAX = KILLS_ASKED > 0 ? 1000 : 60_000;
/** How long a fork bomb may grow: to some thousand processes. */
const BOMB_MILLIS = 3000;
/** Milliseconds it may take to end then: a second or two on a quiet machine. */
const BOMB_END_MILLIS_MAX = KILLS_ASKED > 0 ? 3500 : 60_000;
const IDLE_MILLIS = 2000;
/** Looks at an idle sandbox: on a busy machine the runtimes' own start-up work is not over at the first. */
const IDLE_LOOKS_MAX = 20;
const SETTLE_MILLIS = 200;
/** How long a failure waits to see whether it is one of time. */
const PATIENCE_MILLIS = 30_000;
/** Clock ticks (10 ms) that all processes together may use meanwhile: a sandbox that wakes 100 times a second uses more. */
const IDLE_TICKS_MAX = 3;

interface Sandbox {
  readonly child: Deno.ChildProcess;
  readonly list: HostProcess[];
  of(role: HostProcess["role"]): number[];
}

/** `do -- sh -c script`, once it has printed "on", which it does after `first`. */
async function start(script: string, platform: PlatformName = "systrap", first = ":"): Promise<Sandbox> {
  const child = new Deno.Command(await tsvisorPath(), {
    args: [`--platform=${platform}`, "do", "--", "sh", "-c", `${first}; echo on; ${script}`],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  if ((await reader.read()).done) throw new Error("It ended before it ran");
  reader.releaseLock();
  const list = await sandboxOf(child.pid);
  return { child, list, of: (role) => list.filter((one) => one.role === role).map(({ pid }) => pid) };
}

/** All of `pids` end in time; else says who did not, and when they have. */
async function ends(pids: readonly number[], what: string): Promise<void> {
  const began = performance.now();
  const late = (await gone(pids, END_MILLIS_MAX)).map((pid) => {
    const { Name: name, State: state } = statusOf(`/proc/${pid}/status`);
    return `${pid} (${name} ${state})`;
  });
  if (late.length === 0) return;
  const left = await gone(pids, END_MILLIS_MAX + PATIENCE_MILLIS);
  const millis = Math.round(performance.now() - began);
  throw new Error(`${what}: ${late.join(", ")} were left; after ${millis} ms, ${left.join(", ") || "none"}`);
}

async function end({ child }: Sandbox): Promise<{ code: number; stderr: string }> {
  await child.stdout.cancel();
  const stderr = await new Response(child.stderr).text();
  return { code: (await child.status).code, stderr };
}

/** Of an idle sandbox: whom to kill, and what the command line ends with. */
const KILLED: readonly {
  readonly whom: string;
  readonly pid: (sandbox: Sandbox) => number;
  readonly code: number;
  readonly stderr: RegExp;
}[] = [
  { whom: "the sentry", pid: ({ of }) => of("sentry")[0], code: 137, stderr: /^$/ },
  {
    whom: "the gofer",
    pid: ({ of }) => of("gofer")[0],
    code: 128,
    stderr: /^tsvisor: The gofer is gone: .+\n$/,
  },
  { whom: "the command line", pid: ({ child }) => child.pid, code: 137, stderr: /^$/ },
  {
    whom: "the stub that new programs are forked from",
    pid: ({ of }) => Math.min(...of("stub")),
    code: 128,
    stderr: /^tsvisor: The first stub has ended\n$/,
  },
  { whom: "the stub of init", pid: ({ of }) => of("stub").sort((a, b) => a - b)[1], code: 137, stderr: /^$/ },
];

for (const platform of PLATFORMS) {
  for (const { whom, pid, code, stderr } of KILLED) {
    Deno.test(`kill -9 of ${whom} ends the sandbox and leaves no process, on ${platform}`, async () => {
      for (let i = 0; i < KILLS; i++) {
        const sandbox = await start("sleep 100 & sleep 101; exit 0", platform);
        // Up to when nobody asks the gofer for anything, and the start is over.
        await delay(SETTLE_MILLIS * (1 + i % 3));
        const all = [...sandbox.list.map((one) => one.pid), sandbox.child.pid];
        Deno.kill(pid(sandbox), "SIGKILL");
        await ends(all, `${whom}, time ${i + 1} of ${KILLS}`);
        const ended = await end(sandbox);
        equal(ended.code, code);
        match(ended.stderr, stderr);
      }
    });
  }

  Deno.test(`kill -9 of every stub ends the guest's processes, and so the sandbox, on ${platform}`, async () => {
    const sandbox = await start("sleep 100 & sleep 101; exit 0", platform);
    for (const pid of sandbox.of("stub")) {
      try {
        Deno.kill(pid, "SIGKILL");
      } catch {
        // It went with another.
      }
    }
    deepEqual(await gone([...sandbox.list.map(({ pid }) => pid), sandbox.child.pid], END_MILLIS_MAX), []);
    ok((await end(sandbox)).code !== 0);
  });

  Deno.test(`an idle sandbox uses no CPU on ${platform}`, async () => {
    const sandbox = await start("sleep 100", platform);
    const all = [...sandbox.list.map(({ pid }) => pid), sandbox.child.pid];
    const ticks = () => all.reduce((sum, pid) => sum + cpuTicks(pid), 0);
    let used = Infinity;
    for (let looks = 0; looks < IDLE_LOOKS_MAX && used > IDLE_TICKS_MAX; looks++) {
      const before = ticks();
      await delay(IDLE_MILLIS);
      used = ticks() - before;
    }
    const living = all.filter(isAlive).length;
    sandbox.child.kill("SIGKILL");
    await end(sandbox);
    equal(living, all.length);
    ok(used <= IDLE_TICKS_MAX, `${used} ticks in ${IDLE_MILLIS} ms`);
  });
}

for (const name of ["TERM", "HUP", "USR1", "USR2"] as const) {
  Deno.test(`SIG${name} of the caller reaches the program, and its exit code comes back`, async () => {
    const sandbox = await start("while :; do sleep 0.1; done", "systrap", `trap 'exit 5' ${name}`);
    sandbox.child.kill(`SIG${name}`);
    deepEqual(await end(sandbox), { code: 5, stderr: "" });
  });
}

Deno.test("a signal that comes while the sandbox starts is not lost", async () => {
  for (let millis = 10; millis < 200; millis += 30) {
    const child = new Deno.Command(await tsvisorPath(), {
      args: ["do", "--", "sh", "-c", "sleep 100"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await delay(millis);
    child.kill("SIGTERM");
    const { code, signal } = await child.status;
    // Early enough it ends the launcher or the command line itself.
    ok(code === 143 || signal === "SIGTERM", `${millis} ms: code ${code}, signal ${signal}`);
  }
});

Deno.test("a reader of stdout that is slow holds the program up; nothing is lost and nothing piles up", async () => {
  const { code, stdout } = await command([
    "sh",
    "-c",
    `'${await tsvisorPath()}' do -- sh -c 'dd if=/dev/zero bs=64k count=400 2>/dev/null; echo end' | (sleep 1; wc -c)`,
  ]);
  deepEqual([code, stdout.trim()], [0, String(400 * 65536 + 4)]);
});

Deno.test("stdout that is closed is SIGPIPE; with it ignored, EPIPE", async () => {
  const path = await tsvisorPath();
  const script = `'${path}' do -- sh -c 'yes; echo $? >&2' | head -n 1`;
  const plain = await command(["bash", "-c", script], { timeoutMillis: 30_000 });
  deepEqual([plain.stdout, plain.stderr], ["y\n", "141\n"]);
  const ignored = await command(
    ["bash", "-c", `'${path}' do -- sh -c 'trap "" PIPE; yes; echo $? >&2' | head -n 1`],
    { timeoutMillis: 30_000 },
  );
  equal(ignored.stdout, "y\n");
  match(ignored.stderr, /Broken pipe\n1\n$/);
});

Deno.test("stdin, stdout and stderr that are not open", async () => {
  const path = await tsvisorPath();
  const none = await command(["sh", "-c", `'${path}' do -- sh -c 'cat; echo out; exit 3' <&-`]);
  deepEqual([none.code, none.stdout], [3, "out\n"]);
  equal((await command(["sh", "-c", `'${path}' do -- sh -c 'exit 4' >&-`])).code, 4);
  equal((await command(["sh", "-c", `'${path}' do -- sh -c 'exit 5' >&- 2>&- <&-`])).code, 5);
});

Deno.test("a disk that is full below a writable root is the program's ENOSPC", async () => {
  using bundle = new Bundle();
  const disk = `${bundle.rootfs}/disk`;
  Deno.mkdirSync(disk);
  const mounted = await command(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk]);
  equal(mounted.code, 0, mounted.stderr);
  try {
    const { stdout, code } = await bundle.script(
      "dd if=/dev/zero of=/disk/file bs=4k count=200 2>&1 | grep -o 'No space left on device'; echo x >/fine; cat /fine",
    );
    deepEqual([stdout, code], ["No space left on device\nx\n", 0]);
  } finally {
    await command(["umount", disk]);
  }
});

Deno.test("a fork bomb meets the limit of tasks: the sandbox goes on, and says which limit it was", async () => {
  using bundle = new Bundle();
  const { code, stdout, stderr } = await bundle.script(
    "b() { b 2>/dev/null | b 2>/dev/null & }; (b) 2>/dev/null; sleep 1; n=0; for p in /proc/[0-9]*; do n=$((n+1)); done; [ $n -le 40 ] && echo bounded",
    (config) => {
      config.linux.resources = { pids: { limit: 40 } };
    },
  );
  equal(stdout, "bounded\n");
  equal(code, 0);
  match(stderr, /tsvisor: Limit of tasks reached: 40 tasks/);
});

for (const platform of PLATFORMS) {
  Deno.test(`a fork bomb without a limit of its own ends as soon as it is told to, on ${platform}`, async () => {
    const bomb = "b() { b 2>/dev/null | b 2>/dev/null & }; (b) 2>/dev/null; sleep 100";
    const sandbox = await start(bomb, platform);
    await delay(BOMB_MILLIS);
    const from = performance.now();
    sandbox.child.kill("SIGTERM");
    const { code } = await end(sandbox);
    equal(code, 143);
    const took = performance.now() - from;
    ok(took < BOMB_END_MILLIS_MAX, `${took} ms`);
  });
}

/** Takes megabytes and uses them, says how many it has, waits. */
const TAKER = `
import sys, time
size, pause = int(sys.argv[1]), float(sys.argv[2])
taken = []
try:
    for n in range(size):
        taken.append(bytearray(1 << 20))
    print("took", size, flush=True)
except MemoryError:
    print("refused", flush=True)
time.sleep(pause)
`;

Deno.test("a process that allocates without end gets ENOMEM at the limit, and the user is told", async () => {
  using bundle = new Bundle();
  const { code, stdout, stderr } = await withHostPrograms(bundle, 'python3 -c "$TAKER" 100000 0; echo on');
  deepEqual([stdout, code], ["refused\non\n", 0]);
  match(stderr, /tsvisor: Limit of memory reached: 268435456 bytes; a process gets ENOMEM\n/);
});

Deno.test("processes that take too much memory together: one is killed, the others go on, the user is told", async () => {
  using bundle = new Bundle();
  const script = 'for n in 1 2 3 4; do python3 -c "$TAKER" 120 4 & done; wait; echo on';
  const { code, stdout, stderr } = await withHostPrograms(bundle, script);
  match(stdout, /on\n$/);
  equal(code, 0);
  match(
    stderr,
    /tsvisor: Limit of memory reached: 268435456 bytes; process \d+ \(python3[^)]*\) is killed\n/,
  );
});

/** As TAKER, under a name that would set a terminal's title, begin a line and change its colours. */
const EVIL_NAME = `
import ctypes
ctypes.CDLL(None).prctl(15, b"\\x1b]0;\\x07\\n\\xc2\\x9b7mroot", 0, 0, 0)
`;

for (const platform of PLATFORMS) {
  Deno.test(`a guest's name does not act on the user's terminal, on ${platform}`, async () => {
    using bundle = new Bundle();
    const script = 'for n in 1 2 3 4; do python3 -c "$EVIL$TAKER" 120 4 & done; wait; echo on';
    const { stderr } = await withHostPrograms(bundle, script, [`--platform=${platform}`]);
    // What the shell says of its children has their command line.
    const lines = stderr.split("\n").filter((line) => line.startsWith("tsvisor: "));
    ok(lines.length > 0, stderr);
    for (const line of lines) {
      match(line, /^[\x20-\x7e]+$/);
      match(line, /process \d+ \(\\x1b\]0;\\x07\\n\\x9b7mroot\) is killed$/);
    }
  });
}

Deno.test("files in memory are bounded", async () => {
  using bundle = new Bundle();
  const { stdout } = await bundle.script(
    "dd if=/dev/zero of=/tmp/file bs=1M count=200 2>&1 | grep -c 'No space'",
    (config) => {
      config.root.readonly = true;
      config.mounts.push({ destination: "/tmp", type: "tmpfs" });
      config.linux.resources = { memory: { limit: 1 << 27 } };
    },
  );
  equal(stdout, "1\n");
});

/** Over the host's root, with 256 MiB of memory, which our kernel alone keeps. */
async function withHostPrograms(
  bundle: Bundle,
  script: string,
  flags: readonly string[] = [],
): Promise<{ code: number; stdout: string; stderr: string }> {
  bundle.write(script, (config) => {
    config.root = { path: "/", readonly: true };
    config.process.args = ["/bin/sh", "-c", script];
    config.process.env = [`PATH=${Deno.env.get("PATH")}`, `TAKER=${TAKER}`, `EVIL=${EVIL_NAME}`];
    config.linux.resources = { memory: { limit: 1 << 28 } };
  });
  return await bundle.run([...flags, "--ignore-cgroups"]);
}
