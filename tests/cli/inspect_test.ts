// Commands that look into a sandbox that runs: debug, usage, read, control files, metrics, forwarded ports and streams.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { decodeMessage, type Schema } from "../../boot/protobuf.ts";
import { Bundle, type Config } from "../support/bundle.ts";
import { command, delay, type Finished, tsvisorPath } from "../support/tsvisor.ts";

/** A container "box" in the background. */
class Live extends Bundle implements AsyncDisposable {
  async start(script: string, change: (config: Config) => void = () => {}): Promise<void> {
    this.write(script, change);
    const words = [await tsvisorPath(), "--root", this.state, "--debug-log", `${this.directory}/log`];
    const run = [...words, "run", "--detach", "--bundle", this.directory, "box"];
    const { code, stderr } = await command(["sh", "-c", `exec "$0" "$@" >/dev/null 2>&1`, ...run]);
    equal(code, 0, stderr);
  }

  async call(...args: string[]): Promise<Finished> {
    return await this.tsvisor(args);
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...args);
    deepEqual([code, stderr], [0, ""], `${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** A command that goes on; killed with the test. */
  async spawn(...args: string[]): Promise<Deno.ChildProcess> {
    const command = new Deno.Command(await tsvisorPath(), {
      args: ["--root", this.state, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    });
    return command.spawn();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call("delete", "--force", "box");
    this[Symbol.dispose]();
  }
}

/** The first line that a child prints. */
async function firstLine(child: Deno.ChildProcess): Promise<string> {
  const reader = child.stdout.getReader(), decoder = new TextDecoder();
  let text = "";
  while (!text.includes("\n")) {
    const { value, done } = await reader.read();
    if (done) break;
    text += decoder.decode(value, { stream: true });
  }
  reader.releaseLock();
  return text.split("\n")[0];
}

async function ended(child: Deno.ChildProcess): Promise<void> {
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended.
  }
  await child.stdout.cancel();
  await child.status;
}

/** What comes back of `bytes` until the other end closes. */
async function echoed(connection: Deno.Conn, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const send = async () => {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
    await connection.closeWrite();
  };
  const sending = send();
  const received: number[] = [];
  const chunk = new Uint8Array(65536);
  for (let n = await connection.read(chunk); n !== null; n = await connection.read(chunk)) {
    received.push(...chunk.subarray(0, n));
  }
  await sending;
  connection.close();
  return Uint8Array.from(received);
}

Deno.test("inspect: a sandbox tells of itself", async () => {
  await using live = new Live();
  await live.start("echo content > /tmp/file; sleep 1000 & wait");
  for (let tries = 0; tries < 600 && (await live.call("read", "box", "/tmp/file")).code !== 0; tries++) {
    await delay(20);
  }
  equal(await live.must("read", "box", "/tmp/file"), "content\n");
  equal(await live.must("read", "--offset", "2", "--size", "3", "box", "/tmp/file"), "nte");
  match((await live.call("read", "box", "/missing")).stderr, /: opening \/missing: ENOENT\n$/);
  match((await live.call("read", "box", "/tmp")).stderr, /: \/tmp is not a regular file\n$/);
  match(
    await live.must("debug", "--ps", "box"),
    /^UID +PID +PPID +C +TTY +STIME +TIME +CMD\n0 +1 +0 .* sh\n/,
  );
  match(await live.must("debug", "--stacks", "box"), /task 1 \(process 1, container box\) "sh"/);
  ok(JSON.parse(await live.must("usage", "--full", "box")).Total > 0);
  equal(await live.must("read-control", "box", "pids", "pids.current"), "2\n");
  await live.must("write-control", "box", "", "pids.max", "2");
  equal(await live.must("read-control", "box", "pids", "pids.max"), "2\n");
  match((await live.call("exec", "box", "/bin/echo")).stderr, /its limit of tasks is reached/);
  match((await live.call("read-control", "box", "pids", "x")).stderr, /control file "x" not found\n$/);
  match(
    (await live.call("write-control", "box", "pids", "pids.max", "many")).stderr,
    /^tsvisor: pids.max of container "box": invalid argument\n$/,
  );
  await live.must("debug", "--strace", "all", "box");
  await live.must("write-control", "box", "pids", "pids.max", "max");
  await live.must("exec", "box", "/bin/echo", "traced");
  await live.must("debug", "--strace", "off", "box");
  match(Deno.readTextFileSync(`${live.directory}/log`), /echo write\(1, .*, 7\) = 7/);
  equal((await live.call("debug", "box")).code, 128);
});

Deno.test("inspect: profiles say where guests' time and memory go", async () => {
  await using live = new Live();
  await live.start("while :; do sleep 0.01; done");
  const path = `${live.directory}/profile`;
  const take = async (flag: string) => {
    await live.must("debug", `--${flag}`, path, "--duration", "500ms", "box");
    return Deno.readFileSync(path);
  };
  for (
    const [flag, unit, call] of [["block", "nanoseconds", "wait4"], ["cpu", "nanoseconds", "(guest code)"]]
  ) {
    const { samples, strings } = profileOf(await take(`profile-${flag}`));
    ok(strings.includes(unit) && strings.includes(call), strings.join());
    const found = samples.filter(({ stack }) => stack[0] === call && stack[1] === "sh" && stack[2] === "box");
    equal(found.length, 1, JSON.stringify(samples));
    ok(found[0].values[0] > 0 && found[0].values[1] > 100_000);
  }
  const heap = profileOf(await take("profile-heap"));
  ok(heap.samples.some(({ stack, values }) => stack.join() === "anonymous,sh,box" && values[0] >= 4096));
  deepEqual(profileOf(await take("profile-mutex")).samples, []);
  const { traceEvents } = JSON.parse(new TextDecoder().decode(await take("trace")));
  // deno-lint-ignore no-explicit-any
  const sleeps = traceEvents.filter((event: any) => event.name === "clock_nanosleep" && event.dur > 9000);
  ok(
    sleeps.length > 0 && sleeps.every(({ args }: { args: { process: string } }) => args.process === "sleep"),
  );
  match(
    (await live.call("debug", "--profile-cpu", path, "--duration", "x", "box")).stderr,
    /--duration: "x" is not a duration/,
  );
});

/** What `go tool pprof` reads of a profile. */
function profileOf(bytes: Uint8Array) {
  const schema: Schema = {
    sample: [2, [{ location_id: [1, ["uint64"]], value: [2, ["int64"]] }]],
    location: [4, [{ id: [1, "uint64"], line: [4, [{ function_id: [1, "uint64"] }]] }]],
    function: [5, [{ id: [1, "uint64"], name: [2, "int64"] }]],
    string_table: [6, ["string"]],
  };
  // deno-lint-ignore no-explicit-any
  const profile = decodeMessage(schema, bytes) as any;
  const strings: string[] = profile.string_table;
  equal(strings[0], "");
  const byId = (list: { id: number }[] | undefined, id: number): any => list!.find((one) => one.id === id);
  const frame = (id: number) =>
    strings[byId(profile.function, byId(profile.location, id).line[0].function_id).name];
  const samples = (profile.sample ?? []).map((sample: { location_id: number[]; value: number[] }) => ({
    stack: sample.location_id.map(frame),
    values: sample.value,
  })) as { stack: string[]; values: number[] }[];
  return { strings, samples };
}

Deno.test("inspect: metrics are text that Prometheus reads, of one sandbox and of all", async () => {
  await using live = new Live();
  await live.start("sleep 1000 & wait");
  await live.must("debug", "--ps", "box");
  const text = await live.must("export-metrics", "box");
  match(
    text,
    /^# HELP tsvisor_sandbox_tasks .*\n# TYPE tsvisor_sandbox_tasks gauge\ntsvisor_sandbox_tasks\{sandbox="box"\} \d+$/m,
  );
  match(
    text,
    /^tsvisor_control_call_latency_count\{method="containerManager.Processes",sandbox="box"\} 1$/m,
  );
  const few = ["export-metrics", "--exporter-prefix", "p_", "--sandbox-metrics-filter", "uptime", "box"];
  match(
    await live.must(...few),
    /^# HELP p_sandbox_uptime .*\n# TYPE p_sandbox_uptime counter\np_sandbox_uptime\{sandbox="box"\} \d+\n$/,
  );
  const server = await live.spawn("metric-server", "127.0.0.1:0");
  try {
    const address = (await firstLine(server)).replace(/^Serving metrics on /, "");
    for (let scrape = 0; scrape < 2; scrape++) {
      const answer = await fetch(`http://${address}/metrics`);
      const body = await answer.text();
      equal(answer.status, 200);
      match(body, /^tsvisor_meta_sandboxes 1$/m);
      match(body, /^tsvisor_meta_sandboxes_failed 0$/m);
      match(body, /^tsvisor_sandbox_uptime\{sandbox="box"\} \d+$/m);
    }
    const other = await fetch(`http://${address}/`);
    equal(other.status, 404);
    await other.body?.cancel();
  } finally {
    await ended(server);
  }
});

Deno.test("inspect: ports and Unix sockets of a container are reached from outside", async () => {
  await using live = new Live();
  await live.start("busybox nc -ll -p 80 -e /bin/cat & busybox nc -ll -p 81 -e /bin/cat & wait");
  const bytes = crypto.getRandomValues(new Uint8Array(60_000));
  const listens = async () => {
    const table = (await live.call("exec", "box", "/bin/cat", "/proc/net/tcp", "/proc/net/tcp6")).stdout;
    return ["0050", "0051"].every((port) => table.includes(`:${port} `));
  };
  for (let tries = 0; tries < 600 && !await listens(); tries++) await delay(20);
  const forward = await live.spawn("port-forward", "box", "0:80");
  try {
    const port = Number(/^Forwarding 127\.0\.0\.1:(\d+) to 80$/.exec(await firstLine(forward))?.[1]);
    const connections = await Promise.all([1, 2, 3].map(() => Deno.connect({ port })));
    for (const received of await Promise.all(connections.map((one) => echoed(one, bytes)))) {
      deepEqual(received, bytes);
    }
  } finally {
    await ended(forward);
  }
  // An engine's stream: it listens, we connect.
  const path = `${live.directory}/stream`;
  using listener = Deno.listen({ transport: "unix", path });
  const accepted = listener.accept();
  await live.must("port-forward", "--stream", path, "box", "81");
  deepEqual(await echoed(await accepted, bytes), bytes);
  match(
    (await live.call("port-forward", "--stream", path, "box", "9")).stderr,
    /connecting to port 9: ECONNREFUSED\n$/,
  );
  match(
    (await live.call("port-forward", "--stream", path, "box", "/missing")).stderr,
    /connecting to \/missing: ENOENT\n$/,
  );
  match((await live.call("port-forward", "box", "x")).stderr, /"x" is not \[LOCAL:\]REMOTE/);
});

const UNIX_SERVER = `
import socket
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/socket")
listener.listen()
while True:
    one, _ = listener.accept()
    while data := one.recv(65536): one.sendall(data)
    one.close()
`;

Deno.test("inspect: a Unix socket of a container is reached from outside", async () => {
  await using live = new Live();
  // The host's root, below an overlay in memory: it has an interpreter.
  await live.start("", (config) => {
    config.root = { path: "/", readonly: true };
    config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmp" });
    config.process.args = ["/usr/bin/python3", "-c", UNIX_SERVER];
  });
  const path = `${live.directory}/stream`, bytes = new Uint8Array(200_000).map((_, i) => i * 31 % 251);
  using listener = Deno.listen({ transport: "unix", path });
  for (let tries = 0;; tries++) {
    const accepted = listener.accept();
    const { code, stderr } = await live.call("port-forward", "--stream", path, "box", "/tmp/socket");
    const connection = await accepted;
    if (code === 0) {
      deepEqual(await echoed(connection, bytes), bytes);
      return;
    }
    connection.close();
    match(stderr, /ENOENT|ECONNREFUSED/);
    ok(tries < 600, stderr);
    await delay(50);
  }
});
