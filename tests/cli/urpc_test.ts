// The control API of a live sandbox, asked by a client that writes bytes to its socket: gVisor's URPC, nothing of our codec.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { exists } from "../support/life.ts";
import { command, delay, eventually, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

interface Answer {
  readonly success: boolean;
  readonly err: string;
  // deno-lint-ignore no-explicit-any
  readonly result: any;
}

/** What a script says when it has come so far. */
const UP = "echo >/up";

/** A container "box" that runs, with its control socket. */
class LiveSandbox implements AsyncDisposable {
  readonly bundle = new Bundle();
  readonly #child: Deno.ChildProcess;
  readonly #output: Promise<Deno.CommandOutput>;
  constructor(launcher: string, script: string, flags: readonly string[] = []) {
    this.bundle.write(script);
    const { state, directory } = this.bundle;
    const args = ["--root", state, ...flags, "run", "--bundle", directory, "box"];
    this.#child = new Deno.Command(launcher, { args, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    this.#output = this.#child.output();
  }

  static async start(script: string, flags: readonly string[] = []): Promise<LiveSandbox> {
    const sandbox = new LiveSandbox(await tsvisorPath(), script, flags);
    ok(await eventually(() => sandbox.#isRunning()), "it runs");
    // Of a script that says so: it has come so far.
    if (script.includes(UP)) ok(await eventually(() => exists(`${sandbox.bundle.rootfs}/up`)), "it is up");
    return sandbox;
  }

  #isRunning(): boolean {
    try {
      return JSON.parse(Deno.readTextFileSync(`${this.bundle.state}/box.json`)).status === "running";
    } catch {
      return false;
    }
  }

  get socket(): string {
    return `${this.bundle.state}/runsc-box.sock`;
  }

  async connect(): Promise<RawClient> {
    return new RawClient(await Deno.connect({ transport: "unix", path: this.socket }));
  }

  /** One call on a connection of its own. */
  async call(method: string, arg: unknown = null): Promise<Answer> {
    const client = await this.connect();
    try {
      return await client.call(JSON.stringify({ method, arg }));
    } finally {
      client.close();
    }
  }

  /** Waits for its end: what it has printed, and its code. */
  async ended(): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
    const { code, stdout, stderr } = await this.#output;
    return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#output;
    this.bundle[Symbol.dispose]();
  }
}

class RawClient {
  readonly #connection: Deno.UnixConn;
  constructor(connection: Deno.UnixConn) {
    this.#connection = connection;
  }

  async write(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** The next whole document; null at the end. */
  async read(): Promise<Answer | null> {
    let text = "";
    const chunk = new Uint8Array(65536), decoder = new TextDecoder();
    for (;;) {
      const n = await this.#connection.read(chunk);
      if (n === null) return null;
      text += decoder.decode(chunk.subarray(0, n), { stream: true });
      try {
        return JSON.parse(text);
      } catch {
        // More is to come.
      }
    }
  }

  async call(text: string): Promise<Answer> {
    await this.write(text);
    const answer = await this.read();
    ok(answer !== null, "the server hung up");
    return answer;
  }

  close(): void {
    this.#connection.close();
  }
}

const IDLE = `trap 'echo got' USR2; sleep 1000 & ${UP}; while :; do sleep 0.1; done`;
const refused = (err: string): Answer => ({ success: false, err, result: null });
/** Controllers of this tsvisor. */
async function controllers(): Promise<number> {
  const script = `${(await tsvisorPath()).slice(0, -"tsvisor".length)}lib/controller.js`;
  const { stdout } = await command(["ps", "-eo", "args="]);
  return stdout.split("\n").filter((line) => line.includes(script)).length;
}

for (const platform of PLATFORMS) {
  Deno.test(`urpc: a live sandbox tells what it runs, on ${platform}`, async () => {
    await using sandbox = await LiveSandbox.start(IDLE, [`--platform=${platform}`]);
    deepEqual(await sandbox.call("containerManager.ContainerRuntimeState", "box"), {
      success: true,
      err: "",
      result: 2,
    });
    const processes = async () => (await sandbox.call("containerManager.Processes", "box")).result;
    // A child is the shell until it has executed its program.
    ok(await eventually(async () => (await processes())[1].cmd === "sleep"));
    const rows = await processes();
    deepEqual(Object.keys(rows[0]), "uid pid ppid pgid threads c tty stime time cmd".split(" "));
    deepEqual([rows[0].pid, rows[0].ppid, rows[0].cmd, rows[0].threads], [1, 0, "sh", [1]]);
    equal(rows[1].cmd, "sleep");
    match(rows[0].stime, /^\d\d:\d\d$/);
    match(rows[0].time, /^[\d.]+(µs|ms|s)$/);
    const { result: { event, containerUsage } } = await sandbox.call("containerManager.Event", "box");
    deepEqual([event.type, event.id, Object.keys(containerUsage)], ["stats", "box", ["box"]]);
    ok(
      event.data.memory.usage.usage > 100_000 && event.data.pids.current >= 2 && containerUsage.box > 100_000,
    );
    let stacks = "";
    const hasSleep = async () => {
      stacks = (await sandbox.call("debug.Stacks")).result;
      return stacks.includes("in clock_nanosleep(");
    };
    ok(await eventually(hasSleep), stacks);
    match(stacks, /^sentry: up .*\n {4}at /);
    match(stacks, /task 1 \(process 1, container box\) "sh" \[/);
    match(stacks, /in clock_nanosleep\(.*\n {4}waits for .*deadline in 9\d\d\.\d+ s/);
    const { result: usage } = await sandbox.call("Usage.Collect", { Full: true });
    equal(usage.Total, usage.System + usage.Anonymous + usage.PageCache + usage.Mapped + usage.Tmpfs);
    ok(usage.Anonymous > 0);
    const { result: [first] } = await sandbox.call("containerManager.ProcfsDump");
    deepEqual([first.exe, first.args[0], first.cwd, first.status.pid], ["/bin/busybox", "/bin/sh", "/", 1]);
    deepEqual(first.fdlist[0], { number: 0, path: "/dev/null", mode: 0o020666 });
  });

  Deno.test(`urpc: signals, and waits for the end, on ${platform}`, async () => {
    await using sandbox = await LiveSandbox.start(
      `trap 'echo got; exit 7' USR2; echo up; ${UP}; while :; do sleep 0.05; done`,
      [`--platform=${platform}`],
    );
    const waiting = sandbox.call("containerManager.Wait", "box");
    const waitingToo = sandbox.call("containerManager.WaitPID", { PID: 1, CID: "box" });
    const signal = (args: object) =>
      sandbox.call("containerManager.Signal", { CID: "box", Signo: 12, ...args });
    deepEqual(await signal({ CID: "none" }), refused('container "none" not found'));
    deepEqual(await signal({ PID: -1 }), refused("PID (-1) must be positive"));
    deepEqual(
      await signal({ PID: 1, Mode: 1 }),
      refused("PID (1) cannot be set when signaling all processes"),
    );
    deepEqual(await signal({ Mode: 2 }), refused("no TTY attached"));
    deepEqual(await signal({ Mode: 9 }), refused("unknown signal delivery mode: 9"));
    deepEqual(await signal({ Signo: 65 }), refused("invalid signal number 65"));
    deepEqual(await signal({ PID: 99 }), refused("no such process with PID 99"));
    equal((await signal({})).success, true);
    deepEqual((await waiting).result, 7 << 8);
    deepEqual((await waitingToo).result, 7 << 8);
    const { code, stdout, stderr } = await sandbox.ended();
    deepEqual([code, stdout, stderr], [7, "up\ngot\n", ""]);
    deepEqual([...Deno.readDirSync(sandbox.bundle.state)].map(({ name }) => name), []);
  });
}

for (const platform of PLATFORMS) {
  Deno.test(`urpc: a further process has the files it is given, and its end is told once, on ${platform}`, async () => {
    await using sandbox = await LiveSandbox.start(IDLE, [`--platform=${platform}`]);
    const python = `
import array, json, os, socket, sys
def call(method, arg, fds=[]):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    request = json.dumps({"method": "containerManager." + method, "arg": arg}).encode()
    s.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
    return json.loads(s.recv(65536))
r, w = os.pipe()
nothing = os.open("/dev/null", os.O_RDWR)
script = "echo $A; echo extra >&3; id -u; pwd; grep CapEff /proc/self/status; exit 5"
arg = {"argv": ["/bin/sh", "-c", script], "envv": ["A=b", "PATH=/bin"], "wd": "/tmp", "KUID": 1000, "KGID": 1000,
       "Capabilities": {"EffectiveCaps": 1, "PermittedCaps": 1, "BoundingCaps": 1},
       "GuestFDs": [0, 1, 2, 3], "ContainerID": "box"}
first = call("ExecuteAsync", arg, [nothing, w, w, w])
os.close(w)
ends = [call("WaitPID", {"PID": first["result"], "CID": "box"}) for _ in range(2)]
text = ""
while chunk := os.read(r, 4096): text += chunk.decode()
refused = [call("ExecuteAsync", {**arg, **change}, [nothing] * files)["err"] for change, files in [
    ({"ContainerID": "none"}, 4), ({}, 3), ({"argv": ["/none"]}, 4), ({"GuestFDs": [0, 1, 2, 9]}, 4),
    ({"filename": "/bin/sh"}, 5)]]
print(json.dumps([first["success"], ends[0], ends[1]["success"], text, refused]))
`;
    const { stdout, stderr } = await command(["python3", "-c", python, sandbox.socket]);
    equal(stderr, "");
    const [success, end, isToldAgain, text, errors] = JSON.parse(stdout);
    deepEqual([success, end, isToldAgain], [true, { success: true, err: "", result: 5 << 8 }, false]);
    // A program that is executed by who is not root keeps none.
    equal(text, "b\nextra\n1000\n/tmp\nCapEff:\t0000000000000000\n");
    equal(errors[0], 'container "none" not found');
    equal(errors[1], "4 files were announced, and 3 have come");
    match(errors[2], /\/none/);
    match(errors[3], /without a gap/);
    equal(errors[4], "must either be started from a file or a filename, not both");
  });

  Deno.test(`urpc: pause stops every task, resume lets them go on, on ${platform}`, async () => {
    await using sandbox = await LiveSandbox.start("while :; do :; done", [`--platform=${platform}`]);
    const cpu = async () => (await sandbox.call("containerManager.Event", "box")).result.containerUsage.box;
    equal((await sandbox.call("containerManager.Pause")).success, true);
    deepEqual(await sandbox.call("Lifecycle.Pause"), refused("cannot pause sandbox in state paused"));
    const before = await cpu();
    await delay(300);
    // What a stub has done for us meanwhile counts too.
    ok(await cpu() < before + 20e6);
    equal((await sandbox.call("Lifecycle.Resume")).success, true);
    deepEqual(
      await sandbox.call("containerManager.Resume"),
      refused("cannot resume sandbox in state running"),
    );
    ok(await eventually(async () => await cpu() > before + 10e6));
    deepEqual(
      await sandbox.call("containerManager.StartRoot", "box"),
      refused("sandbox is not in created state"),
    );
  });
}

Deno.test("urpc: strace is switched on and off while the sandbox runs", async () => {
  const log = Deno.makeTempFileSync();
  await using sandbox = await LiveSandbox.start(IDLE, ["--debug-log", log]);
  const change = (args: object) => sandbox.call("Logging.Change", args);
  deepEqual(
    await change({ SetStrace: true, EnableStrace: true, StraceAllowlist: ["nosuch"] }),
    refused('error configuring strace: syscall "nosuch" not found'),
  );
  equal(
    (await change({ SetStrace: true, EnableStrace: true, StraceAllowlist: ["clock_nanosleep"] })).success,
    true,
  );
  ok(await eventually(() => Deno.readTextFileSync(log).includes("sleep clock_nanosleep(CLOCK_REALTIME")));
  equal((await change({ SetStrace: true })).success, true);
  const text = Deno.readTextFileSync(log);
  await delay(300);
  equal(Deno.readTextFileSync(log), text);
  Deno.removeSync(log);
});

Deno.test("urpc: descriptors go both ways", async () => {
  await using sandbox = await LiveSandbox.start(IDLE);
  // Deno's sockets carry none.
  const python = `
import array, json, os, socket, sys
def call(request, fds=[]):
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
    data, ancillary, _, _ = s.recvmsg(65536, 4096)
    got = [fd for _, _, bytes in ancillary for fd in array.array("i", bytes)]
    return json.loads(data), got
answer, fds = call(b'{"method":"Usage.UsageFD","arg":{"Version":1}}')
total = int.from_bytes(os.pread(fds[0], 8, 0), "little") + os.fstat(fds[1]).st_blocks * 512
many, _ = call(b'{"method":"debug.Stacks","arg":null}', [0] * 200)
still, _ = call(b'{"method":"debug.Stacks","arg":null}', [0] * 128)
print(json.dumps([answer, len(fds), total > 100000, many["err"], still["success"]]))
`;
  const { stdout, stderr } = await command(["python3", "-c", python, sandbox.socket]);
  equal(stderr, "");
  deepEqual(JSON.parse(stdout), [{ success: true, err: "", result: {} }, 2, true, "too many files", true]);
  deepEqual(
    await sandbox.call("Usage.UsageFD", { Version: 2 }),
    refused("unsupported version requested: 2"),
  );
});

Deno.test("urpc: metrics are registered and exported under the same names", async () => {
  await using sandbox = await LiveSandbox.start(IDLE);
  const { result: { RegisteredMetrics: { metrics } } } = await sandbox.call("Metrics.GetRegisteredMetrics");
  const { result: { snapshot } } = await sandbox.call("Metrics.Export");
  const names = new Set(metrics.map((metric: { prometheus_name: string }) => metric.prometheus_name));
  for (const { metric } of snapshot.data) ok(names.has(metric.name), metric.name);
  match(snapshot.when, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  const { result } = await sandbox.call("Metrics.Export", { only_metrics: "^sandbox_t" });
  deepEqual(result.snapshot.data.map((one: { metric: { name: string } }) => one.metric.name), [
    "sandbox_tasks",
  ]);
  equal((await sandbox.call("Metrics.Export", { only_metrics: "(a*)*b" })).success, false);
});

Deno.test("urpc: a hostile client hurts itself, and no other", async () => {
  await using sandbox = await LiveSandbox.start(IDLE);
  const stalled = await sandbox.connect(), flood = await sandbox.connect(), honest = await sandbox.connect();
  await stalled.write(`{"method":"debug.St`);
  // JSON without end: the server hangs up long before 1 GiB.
  const chunk = "x".repeat(1 << 20);
  let sent = 0;
  await (async () => {
    await flood.write(`{"method":"`);
    for (; sent < 1024; sent++) await flood.write(chunk);
  })().catch(() => {});
  ok(sent < 16, `${sent} MiB`);
  for (const text of ["nonsense", "[]", `{"method":7}`, "\0\0\0\0"]) {
    const client = await sandbox.connect();
    equal((await client.call(text)).success, false);
    equal(await client.read().catch(() => null), null);
    client.close();
  }
  const crowd = await Promise.all(Array.from({ length: 100 }, () => sandbox.connect()));
  for (let i = 0; i < 3; i++) {
    equal((await honest.call(`{"method":"containerManager.ContainerRuntimeState","arg":"box"}`)).result, 2);
  }
  deepEqual(await sandbox.call("No.Such"), refused("unknown method"));
  deepEqual(
    await sandbox.call("containerManager.Wait", 7),
    refused("json: cannot unmarshal number into Go value of type string"),
  );
  for (const client of [stalled, flood, honest, ...crowd]) client.close();
});

Deno.test("urpc: a waiting client that goes away leaves nothing waiting", async () => {
  await using sandbox = await LiveSandbox.start(IDLE);
  for (let i = 0; i < 50; i++) {
    const client = await sandbox.connect();
    await client.write(`{"method":"containerManager.Wait","arg":"box"}`);
    client.close();
  }
  equal((await sandbox.call("containerManager.ContainerRuntimeState", "box")).result, 2);
});

Deno.test("urpc: an idle sandbox has no controller, a client brings one, which goes again", async () => {
  const before = await controllers();
  await using sandbox = await LiveSandbox.start(IDLE);
  equal(await controllers(), before);
  equal((await sandbox.call("debug.Stacks")).success, true);
  equal(await controllers(), before + 1);
  ok(await eventually(async () => await controllers() === before), "it has gone");
  equal((await sandbox.call("debug.Stacks")).success, true);
});

Deno.test("urpc: the controller of a sandbox that is killed goes with it", async () => {
  const before = await controllers();
  await using sandbox = await LiveSandbox.start(IDLE);
  const client = await sandbox.connect();
  // It is there, and hears what comes next.
  equal((await client.call(`{"method":"debug.Stacks","arg":null}`)).success, true);
  await client.write(`{"method":"containerManager.Wait","arg":"box"}`);
  equal((await sandbox.bundle.tsvisor(["kill", "box", "KILL"])).code, 0);
  deepEqual(await client.read(), refused("the sandbox has ended"));
  client.close();
  equal((await sandbox.ended()).code, 137);
  equal(await controllers(), before);
});
