// Trace sessions of a live sandbox: what a monitor hears over its socket, read without our codec, and lines of JSON.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { command, delay, type Finished, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

/** A container "box" that has been made and waits to be started. */
class Held extends Bundle implements AsyncDisposable {
  readonly #flags: readonly string[];
  constructor(flags: readonly string[] = []) {
    super();
    this.#flags = flags;
  }

  async create(script: string): Promise<void> {
    this.write(script);
    const words = [await tsvisorPath(), "--root", this.state, ...this.#flags];
    const create = [...words, "create", "--bundle", this.directory, "box"];
    const { code } = await command(["sh", "-c", `exec "$0" "$@" >/dev/null 2>&1`, ...create]);
    equal(code, 0);
  }

  async call(...args: string[]): Promise<Finished> {
    return await this.tsvisor([...this.#flags, ...args]);
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...args);
    deepEqual([code, stderr], [0, ""], `${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Writes the file of a session. */
  session(value: unknown): string {
    const path = `${this.directory}/session.json`;
    Deno.writeTextFileSync(path, JSON.stringify({ trace_session: value }));
    return path;
  }

  async ended(): Promise<void> {
    const status = async () => JSON.parse((await this.call("state", "box")).stdout).status;
    for (let tries = 0; tries < 1200 && await status() !== "stopped"; tries++) await delay(25);
    equal(await status(), "stopped");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call("delete", "--force", "box");
    this[Symbol.dispose]();
  }
}

const SCRIPT = "cat /etc/passwd >/dev/null; cd /tmp; cat /missing 2>/dev/null; exit 3";
const CONTEXT = ["time", "thread_id", "group_id", "container_id", "credentials", "cwd", "process_name"];
const POINTS = [
  { name: "container/start", optional_fields: ["env"], context_fields: ["container_id"] },
  { name: "sentry/clone", context_fields: CONTEXT },
  { name: "sentry/execve", optional_fields: ["binary_info"], context_fields: CONTEXT },
  { name: "sentry/task_exit", context_fields: CONTEXT },
  { name: "sentry/exit_notify_parent" },
  { name: "syscall/openat/enter", optional_fields: ["fd_path"], context_fields: CONTEXT },
  { name: "syscall/openat/exit" },
  { name: "syscall/open/enter", context_fields: CONTEXT },
  { name: "syscall/open/exit" },
  { name: "syscall/chdir/exit" },
  { name: "syscall/sysno/231/enter" },
];

for (const platform of PLATFORMS) {
  Deno.test(`trace: lines of JSON tell what a container does, on ${platform}`, async () => {
    await using held = new Held([`--platform=${platform}`]);
    await held.create(SCRIPT);
    const path = `${held.directory}/events`;
    const sinks = [{ name: "null" }, { name: "json", config: { path } }];
    const file = held.session({ name: "Default", points: POINTS, sinks });
    await held.must("trace", "create", "--config", file, "box");
    match(
      (await held.call("trace", "create", "--config", file, "box")).stderr,
      /session "Default" already exists\n$/,
    );
    const [listed] = JSON.parse(await held.must("trace", "list", "box"));
    equal(listed.name, "Default");
    deepEqual(listed.sinks.map(({ name, status }: { name: string; status: unknown }) => [name, status]), [
      ["null", { dropped_count: 0 }],
      ["json", { dropped_count: 0 }],
    ]);
    await held.must("start", "box");
    await held.ended();
    // deno-lint-ignore no-explicit-any
    const events: any[] = Deno.readTextFileSync(path).trim().split("\n").map((line) => JSON.parse(line));
    const of = (point: string) => events.filter((event) => event.point === point);
    const [start] = of("container/start");
    deepEqual([start.id, start.args, start.cwd, start.terminal], [
      "box",
      ["/bin/sh", "-c", SCRIPT],
      "/",
      false,
    ]);
    ok(start.env.some((entry: string) => entry.startsWith("PATH=")));
    deepEqual(start.context_data, { container_id: "box" });
    ok(of("sentry/clone").length >= 2);
    const created = of("sentry/clone").map((event) => event.created_thread_id);
    const executed = of("sentry/execve").filter((event) => created.includes(event.context_data.thread_id));
    deepEqual(executed.map(({ binary_path, argv }) => [binary_path, argv]), [
      ["/bin/busybox", ["cat", "/etc/passwd"]],
      ["/bin/busybox", ["cat", "/missing"]],
    ]);
    equal(executed[0].binary_mode & 0o777, 0o755);
    const opens = [...of("syscall/open/enter"), ...of("syscall/openat/enter")];
    const opened = opens.find((event) => event.pathname === "/etc/passwd");
    const { process_name, cwd, credentials, time_ns } = opened.context_data;
    deepEqual([process_name, cwd, credentials.effective_uid], ["cat", "/", 0]);
    ok(Math.abs(time_ns / 1e6 - Date.now()) < 3_600_000);
    equal(opens.find((event) => event.pathname === "/missing").context_data.cwd, "/tmp");
    const exits = [...of("syscall/open/exit"), ...of("syscall/openat/exit")];
    deepEqual(exits.find((event) => event.pathname === "/missing").exit, { result: -1, errorno: 2 });
    ok(exits.find((event) => event.pathname === "/etc/passwd").exit.result >= 3);
    deepEqual(of("syscall/chdir/exit").map(({ pathname, exit }) => [pathname, exit.result]), [["/tmp", 0]]);
    ok(of("syscall/sysno/231/enter").some((event) => event.arg1 === 3));
    const ends = of("sentry/task_exit").map((event) => event.exit_status).sort();
    deepEqual(ends, [0, 256, 768]);
    equal(of("sentry/exit_notify_parent").length, 3);
  });
}

Deno.test("trace: a session from before a container runs, by --pod-init-config", async () => {
  using bundle = new Bundle();
  bundle.write("exit 4");
  const events = `${bundle.directory}/events`, file = `${bundle.directory}/init.json`;
  const points = [{ name: "container/start" }];
  const session = { name: "Default", points, sinks: [{ name: "json", config: { path: events } }] };
  Deno.writeTextFileSync(file, JSON.stringify({ trace_session: session }));
  const ran = await bundle.run(["--pod-init-config", file]);
  deepEqual([ran.code, ran.stderr], [4, ""]);
  deepEqual(JSON.parse(Deno.readTextFileSync(events)).args, ["/bin/sh", "-c", "exit 4"]);
  Deno.writeTextFileSync(file, JSON.stringify({ trace_session: session, more: 1 }));
  const warned = await bundle.run(["--pod-init-config", file, "--log", `${bundle.directory}/log`]);
  deepEqual([warned.code, warned.stderr], [4, ""]);
  match(
    Deno.readTextFileSync(`${bundle.directory}/log`),
    /--pod-init-config: Cannot read .*init.json: the document: /,
  );
});

/** A monitor: greets, then prints what comes: types, dropped counts, and text in a message's fields 2 to 8. */
const MONITOR = `
import json, os, socket, sys
def fields(data):
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]; at += 1
            value |= (byte & 127) << shift; shift += 7
            if byte < 128: return value
    while at < len(data):
        key = varint()
        if key & 7 == 0: yield key >> 3, varint()
        else:
            assert key & 7 == 2, key
            n = varint(); yield key >> 3, bytes(data[at:at + n]); at += n
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1]); listener.listen()
one, _ = listener.accept()
assert one.recv(1024) == b"\\x08\\x01"
one.send(b"\\x08\\x01")
while packet := one.recv(65536):
    size, kind = int.from_bytes(packet[0:2], "little"), int.from_bytes(packet[2:4], "little")
    text = {n: v.decode("latin1") for n, v in fields(packet[size:]) if n > 1 and isinstance(v, bytes)}
    print(json.dumps([size, kind, int.from_bytes(packet[4:8], "little"), text]), flush=True)
`;

Deno.test("trace: a monitor gets packets over its socket", async () => {
  await using held = new Held();
  await held.create(SCRIPT);
  const endpoint = `${held.directory}/monitor`;
  const monitor = new Deno.Command("python3", { args: ["-c", MONITOR, endpoint], stdout: "piped" }).spawn();
  const output = monitor.output();
  try {
    for (let tries = 0; tries < 600 && !exists(endpoint); tries++) await delay(25);
    const config = { endpoint, retries: 100, backoff: "25us", backoff_max: "1ms" };
    const sinks = [{ name: "remote", config }];
    await held.must(
      "trace",
      "create",
      "--config",
      held.session({ name: "Default", points: POINTS, sinks }),
      "box",
    );
    await held.must("start", "box");
    await held.ended();
    const packets = new TextDecoder().decode((await output).stdout).trim().split("\n")
      .map((line) => JSON.parse(line) as [number, number, number, Record<string, string>]);
    ok(packets.every(([size, , dropped]) => size === 8 && dropped === 0));
    const texts = (kind: number) => packets.filter((packet) => packet[1] === kind).map((packet) => packet[3]);
    equal(texts(1)[0][2], "box");
    ok(texts(3).some((text) => text[2] === "/bin/busybox" && text[3] === "/etc/passwd"));
    ok(texts(7).some((text) => text[6] === "/etc/passwd"));
    deepEqual(texts(13).map((text) => text[6]), ["/tmp"]);
    deepEqual([texts(2).length >= 2, texts(4).length, texts(5).length], [true, 3, 3]);
  } finally {
    try {
      monitor.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await output;
  }
});

Deno.test("trace: what a monitor does not take is dropped and counted, and nobody waits for it", async () => {
  await using held = new Held();
  await held.create("i=0; while [ $i -lt 3000 ]; do cd /tmp; i=$((i+1)); done; sleep 1000 & wait");
  const endpoint = `${held.directory}/monitor`;
  // It greets and reads nothing more.
  const program = MONITOR.replace(/while packet[\s\S]*/, "import time; time.sleep(1000)");
  const monitor = new Deno.Command("python3", { args: ["-c", program, endpoint] }).spawn();
  try {
    for (let tries = 0; tries < 600 && !exists(endpoint); tries++) await delay(25);
    const points = [{ name: "syscall/chdir/enter" }];
    const file = held.session({ name: "Default", points, sinks: [{ name: "remote", config: { endpoint } }] });
    await held.must("trace", "create", "--config", file, "box");
    await held.must("start", "box");
    const dropped = async () =>
      JSON.parse(await held.must("trace", "list", "box"))[0].sinks[0].status.dropped_count;
    for (let tries = 0; tries < 1200 && await dropped() === 0; tries++) await delay(50);
    ok(await dropped() > 0);
    await held.must("trace", "delete", "box");
    equal(await held.must("trace", "list", "box"), "[]\n");
    match((await held.call("trace", "delete", "box")).stderr, /session "Default" not found\n$/);
  } finally {
    monitor.kill("SIGKILL");
    await monitor.status;
  }
});

Deno.test("trace: a session that makes no sense is refused, and why", async () => {
  await using held = new Held();
  await held.create("sleep 1000 & wait");
  const refused = async (session: unknown) => {
    const { code, stderr } = await held.call("trace", "create", "--config", held.session(session), "box");
    equal(code, 128);
    return stderr;
  };
  const point = (change: unknown) => ({ name: "Default", points: [change], sinks: [{ name: "null" }] });
  match(await refused({ name: "Other" }), /only a single "Default" session is supported/);
  match(await refused(point({ name: "sentry/birth" })), /point "sentry\/birth" not found\n$/);
  match(await refused(point({ name: "syscall/sysno/9999/enter" })), /not found\n$/);
  match(
    await refused(point({ name: "sentry/clone", context_fields: ["age"] })),
    /context field "age" not found\n$/,
  );
  match(
    await refused(point({ name: "sentry/clone", optional_fields: ["age"] })),
    /configuring point "sentry\/clone": optional field "age" not found\n$/,
  );
  match(await refused({ name: "Default", sinks: [{ name: "pigeon" }] }), /sink "pigeon" not found\n$/);
  match(await refused({ name: "Default", sinks: [{ name: "remote" }] }), /endpoint is missing\n$/);
  match(
    await refused({ name: "Default", sinks: [{ name: "remote", config: { endpoint: "/missing" } }] }),
    /Cannot set up sink "remote": \/missing: ENOENT\n$/,
  );
  match(await refused({ name: "Default", extra: 1 }), /session\.json: trace_session: /);
  equal(await held.must("trace", "list", "box"), "[]\n");
  const ignoring = { ...point({ name: "sentry/birth" }), ignore_missing: true };
  await held.must("trace", "create", "--config", held.session(ignoring), "box");
  await held.must("trace", "create", "--force", "--config", held.session(ignoring), "box");
  match(
    await held.must("trace", "metadata"),
    /Name: syscall\/openat\/enter, optional fields: \[fd_path\], context/,
  );
  ok(JSON.parse(await held.must("trace", "procfs", "box")).length >= 1);
});

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
