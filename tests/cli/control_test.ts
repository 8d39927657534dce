// The control protocol between processes: an honest end and one that has been taken over, in both directions.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { send } from "../../boot/control/channel.ts";
import { ControlClient, IN_FLIGHT_MAX } from "../../boot/control/client.ts";
import { encode, type Message } from "../../boot/control/protocol.ts";
import { CONNECTIONS_MAX } from "../../boot/control/server.ts";
import { type Launch, launch, RunningSandbox } from "../../boot/launch.ts";
import { containerOf } from "../../boot/oci/container.ts";
import { parseOverlay2 } from "../../boot/api/overlay_medium.ts";
import { PodHints } from "../../boot/oci/pod.ts";
import { readBundle } from "../../boot/oci/spec.ts";
import { ROLE_FDS } from "../../boot/setup.ts";
import { StartError } from "../../boot/start_error.ts";
import { EBUSY, EINVAL, EPIPE } from "../../kernel/abi/errno.ts";
import { borrowDescriptor, openProcess } from "../../native/directory.ts";
import { NativeHost } from "../../native/host.ts";
import { socketPair, startRoles } from "../../native/process.ts";
import { Bundle } from "../support/bundle.ts";
import { read, sandboxOf, statusOf } from "../support/host_processes.ts";
import { delay, tsvisorPath } from "../support/tsvisor.ts";

const host = new NativeHost();
const ANSWER_MILLIS = 60_000;
const SIGUSR1 = 10;
/** How often each frame of nonsense is sent, and descriptors that a guest which loads its program may open or close meanwhile. */
const NONSENSE_ROUNDS = 10, LOADING_FDS = 20;

/** A container of `script`, started by this process as the command line starts it. */
async function launched(bundle: Bundle, script: string): Promise<RunningSandbox> {
  bundle.write(script);
  const options = {
    id: "box",
    platform: "systrap" as const,
    mayPatch: true,
    stubCalls: "own" as const,
    watchdog: { timeoutSeconds: 30, kills: false, stepMillis: 0 },
    isDebug: false,
    strace: false,
    straceCalls: [],
    straceStyle: { isJson: false, textMax: 32 },
    overlay: parseOverlay2("none"),
    wantsSeccomp: false,
    isLenient: false,
    isExclusive: true,
    hints: new PodHints({}),
  };
  const started: Launch = {
    ...containerOf(bundle.directory, readBundle(bundle.directory).config, options),
    stdio: [0, 1, 2],
    debugLog: `${bundle.directory}/log`,
    oomScoreAdj: null,
    isRootInside: true,
  };
  return await launch(started);
}

/** A connection of its own to the sentry. */
function connection(sandbox: RunningSandbox): ControlClient {
  const [ours, theirs] = socketPair();
  ok(send(host, sandbox.controlFd, { kind: "connect" }, { fds: Int32Array.of(theirs) }));
  host.close(theirs);
  return new ControlClient(host, ours);
}

Deno.test("control: `ready` is sent by a sentry that is confined", async () => {
  for (let i = 0; i < 5; i++) {
    using bundle = new Bundle();
    const sandbox = await launched(bundle, "sleep 100");
    await sandbox.ready();
    const { Seccomp } = statusOf(`/proc/${sandbox.sentryPid}/status`);
    sandbox.kill();
    equal(Seccomp, "2");
  }
});

Deno.test("control: requests over several connections are each answered", async () => {
  using bundle = new Bundle();
  const sandbox = await launched(bundle, `trap 'echo x >>/got' USR1; while :; do sleep 0.1; done`);
  try {
    await sandbox.ready();
    const one = connection(sandbox), two = connection(sandbox);
    const asked = [];
    for (let i = 0; i < 50; i++) {
      asked.push(one.request({ kind: "signal", signal: SIGUSR1, pid: 0, scope: 0 }, ANSWER_MILLIS));
      // What the sentry hears only as it starts.
      asked.push(two.request({ kind: "hello", facts: 0 }, ANSWER_MILLIS));
    }
    const answers = await Promise.all(asked);
    deepEqual([...new Set(answers.filter((_, i) => i % 2 === 0))], [0]);
    deepEqual([...new Set(answers.filter((_, i) => i % 2 === 1))], [-EINVAL]);
    // A connection cannot make more of them.
    const [ours, theirs] = socketPair();
    equal(await one.request({ kind: "connect" }, ANSWER_MILLIS), -EINVAL);
    for (const fd of [ours, theirs]) host.close(fd);
    const many = Array.from(
      { length: IN_FLIGHT_MAX + 1 },
      () => one.request({ kind: "resized", pid: 0 }, ANSWER_MILLIS),
    );
    equal((await Promise.all(many)).filter((result) => result === -EBUSY).length, 1);
  } finally {
    sandbox.kill();
  }
});

Deno.test("control: a sentry that hears nonsense goes on, and keeps none of its descriptors", async () => {
  using bundle = new Bundle();
  const sandbox = await launched(bundle, "sleep 100");
  try {
    await sandbox.ready();
    const fds = () => [...Deno.readDirSync(`/proc/${sandbox.sentryPid}/fd`)].length;
    const before = fds();
    const noise = new Uint8Array(20_000);
    crypto.getRandomValues(noise);
    for (const length of [1, 15, 16, 17, 300, 16 * 1024, 20_000]) {
      for (let i = 0; i < NONSENSE_ROUNDS; i++) {
        host.sendMessage(sandbox.controlFd, noise, 0, length, Int32Array.of(0, 1, 2), 3);
      }
    }
    const newer = encode({ kind: "connect" });
    newer[0] = 9;
    for (let i = 0; i < 3 * NONSENSE_ROUNDS; i++) {
      host.sendMessage(sandbox.controlFd, newer, 0, newer.length, Int32Array.of(0), 1);
    }
    // No socket, no descriptor at all.
    send(host, sandbox.controlFd, { kind: "connect" });
    const client = connection(sandbox);
    equal(await client.request({ kind: "resized", pid: 0 }, ANSWER_MILLIS), 0);
    ok(fds() < before + LOADING_FDS, `${fds()} descriptors, ${before} before`);
    match(Deno.readTextFileSync(`${bundle.directory}/log`), /version 9 of the control protocol, ours is \d+/);
  } finally {
    sandbox.kill();
  }
});

Deno.test("control: connections are bounded, and one that does not read its answers is dropped", async () => {
  using bundle = new Bundle();
  const sandbox = await launched(bundle, "sleep 100");
  try {
    await sandbox.ready();
    const [ours, theirs] = socketPair();
    send(host, sandbox.controlFd, { kind: "connect" }, { fds: Int32Array.of(theirs) });
    host.close(theirs);
    host.setNonblocking(ours);
    let isGone = false;
    for (let i = 0; i < 100_000 && !isGone; i++) {
      isGone = !send(host, ours, { kind: "resized", pid: 0 }, { request: i + 1 }) &&
        (await delay(20), host.poll(ours, 16) !== 0);
    }
    ok(isGone, "it has been hung up on");
    host.close(ours);
    const clients = Array.from({ length: CONNECTIONS_MAX + 1 }, () => connection(sandbox));
    const results = await Promise.all(
      clients.map((client) => client.request({ kind: "resized", pid: 0 }, ANSWER_MILLIS)),
    );
    deepEqual(results.filter((result) => result !== 0), [-EPIPE]);
  } finally {
    sandbox.kill();
  }
});

/** What the command line makes of a sentry that sends `frames`: the error it ends with, and what it has printed. */
async function hostile(frames: readonly (Message | Uint8Array<ArrayBuffer>)[], fds = 0): Promise<string> {
  const idle = ["/bin/sleep", "100"];
  const roles = startRoles({ sentry: idle, gofer: idle, environment: [], isRootInside: true, terminal: -1 });
  if (typeof roles === "number") throw new Error(`errno ${-roles}`);
  host.close(roles.control);
  const [control, theirs] = socketPair();
  const sandbox = new RunningSandbox(host, { ...roles, control });
  const end = sandbox.ready().then(() => sandbox.exited()).then(() => null, (error) => error);
  for (const frame of frames) {
    const bytes = frame instanceof Uint8Array ? frame : encode(frame);
    host.sendMessage(theirs, bytes, 0, bytes.length, new Int32Array(fds), fds);
    await delay(1);
  }
  const error = await end;
  ok(error instanceof StartError);
  equal(error.code, 128);
  host.close(theirs);
  return error.message;
}

Deno.test("control: a sentry that sends what no sentry sends is ended", async () => {
  const open = () => [...Deno.readDirSync("/proc/self/fd")].length;
  await hostile([{ kind: "signal", signal: 9, pid: 0, scope: 0 }]);
  const before = open();
  match(
    await hostile([{ kind: "signal", signal: 9, pid: 0, scope: 0 }]),
    /sent what it never sends \(kind 3\)/,
  );
  match(await hostile([{ kind: "ready" }, { kind: "ready" }]), /\(ready out of its turn\)/);
  match(await hostile([{ kind: "done" }]), /\(done out of its turn\)/);
  match(await hostile([{ kind: "exit", status: 0 }]), /^The sandbox has ended before the container ran$/);
  match(await hostile([new TextEncoder().encode('{"kind":"exit","status":0}')]), /\(version \d+ /);
  match(await hostile([new Uint8Array(20_000)]), /\(a frame of 16385 bytes\)/);
  match(await hostile([{ kind: "ready" }], 30), /\(ready with 30 descriptors\)/);
  equal(open(), before, "descriptors that it sent are closed");
});

/** What `do` ends with when its sentry, which the launcher waits for, sends `frames`. */
async function withLauncher(
  frames: readonly (Message | Uint8Array<ArrayBuffer>)[],
): Promise<{ code: number; stderr: string }> {
  const child = new Deno.Command(await tsvisorPath(), {
    args: ["do", "--", "sh", "-c", "echo on; sleep 100"],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  if ((await reader.read()).done) throw new Error(await new Response(child.stderr).text());
  const sentry = (await sandboxOf(child.pid)).find(({ role }) => role === "sentry")!;
  while (!read(`/proc/${child.pid}/cmdline`).includes("--attend")) await delay(20);
  // The sentry's own end, as code that has taken it over would use it.
  const process = openProcess(sentry.pid);
  const socket = borrowDescriptor(process, ROLE_FDS.control);
  host.close(process);
  ok(socket >= 0);
  for (const frame of frames) {
    const bytes = frame instanceof Uint8Array ? frame : encode(frame);
    host.sendMessage(socket, bytes, 0, bytes.length, new Int32Array(1), 0);
  }
  host.close(socket);
  await reader.cancel();
  const stderr = await new Response(child.stderr).text();
  return { code: (await child.status).code, stderr };
}

Deno.test("control: behind the launcher too a sentry that sends what no sentry sends is ended", async () => {
  const late = encode({ kind: "exit", status: 0 });
  new DataView(late.buffer).setInt32(16, -1, true);
  const longer = new Uint8Array(24);
  longer.set(encode({ kind: "exit", status: 0 }));
  const reply = encode({ kind: "exit", status: 0 }, 7, true);
  const CASES: readonly (readonly [Message | Uint8Array<ArrayBuffer>, RegExp])[] = [
    [late, /\(exit\.status -1\)/],
    [longer, /\(exit of a wrong length\)/],
    [new TextEncoder().encode('{"kind":"exit","status":0}'), /\(version \d+ /],
    [{ kind: "ready" }, /\(ready out of its turn\)/],
    [{ kind: "signal", signal: 9, pid: 0, scope: 0 }, /\(kind 3\)/],
    [reply, /\(exit as a reply\)/],
  ];
  for (const [frame, words] of CASES) {
    const { code, stderr } = await withLauncher([frame]);
    equal(code, 128);
    match(stderr, /^tsvisor: The sentry sent what it never sends [^\n]+\n$/);
    match(stderr, words);
  }
});

Deno.test("control: what a sentry says through the launcher is a bounded number of clean lines", async () => {
  const notices: Message[] = Array.from(
    { length: 100 },
    (_, i) => ({ kind: "notice", message: `${i}\x1b]0;title\x07\rtsvisor: fine` }),
  );
  const { code, stderr } = await withLauncher([...notices, { kind: "exit", status: 5 << 8 }]);
  equal(code, 5);
  const lines = stderr.trimEnd().split("\n");
  equal(lines.length, 16);
  for (const [i, line] of lines.entries()) equal(line, `tsvisor: ${i}\\x1b]0;title\\x07\\x0dtsvisor: fine`);
});
