// The control API's methods that make containers, forward streams, trace, profile, and read files of a live sandbox, asked by a
// client that writes JSON and descriptors to the socket: gVisor's URPC, nothing of our codec.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { launchGofer } from "../../boot/launch.ts";
import { parseOverlay2 } from "../../boot/api/overlay_medium.ts";
import { containerOf } from "../../boot/oci/container.ts";
import { PodHints } from "../../boot/oci/pod.ts";
import { readBundle } from "../../boot/oci/spec.ts";
import { sendGoferSetup } from "../../boot/gofer_setup.ts";
import { commandLineHost } from "../../native/host.ts";
import { killProcess, socketPair, waitProcess } from "../../native/process.ts";
import { connectToPath, NativeStreams, pollEvents, setPollEntry, SOCK_STREAM } from "../../native/stream.ts";
import { Bundle, type Config } from "../support/bundle.ts";
import { command, delay, tsvisorPath } from "../support/tsvisor.ts";

const POLLIN = 1;
const ANSWER_MILLIS_MAX = 120_000;
const SIGKILL = 9;

interface Answer {
  readonly success: boolean;
  readonly err: string;
  // deno-lint-ignore no-explicit-any
  readonly result: any;
}

class Live extends Bundle implements AsyncDisposable {
  async start(script: string): Promise<void> {
    this.write(script);
    const words = [
      await tsvisorPath(),
      "--root",
      this.state,
      "run",
      "--detach",
      "--bundle",
      this.directory,
      "box",
    ];
    const { code } = await command(["sh", "-c", `exec "$0" "$@" >/dev/null 2>&1`, ...words]);
    equal(code, 0);
  }

  /** One call with these descriptors, on a connection of its own. */
  async call(method: string, arg: unknown, files: readonly number[] = []): Promise<Answer> {
    const socket = connectToPath(`${this.state}/runsc-box.sock`, SOCK_STREAM);
    ok(socket >= 0, `connect: ${socket}`);
    const streams = new NativeStreams(), request = new TextEncoder().encode(JSON.stringify({ method, arg }));
    equal(streams.send(socket, request, 0, request.length, Int32Array.from(files)), request.length);
    const chunk = new Uint8Array(65536), fds = new Int32Array(128), entries = new Int32Array(2);
    const end = Date.now() + ANSWER_MILLIS_MAX;
    let text = "";
    try {
      for (;;) {
        setPollEntry(entries, 0, socket, POLLIN);
        // Not longer at a time: this process may serve the other end of a descriptor meanwhile.
        if (streams.poll(entries, 1, 10) > 0 && pollEvents(entries, 0) !== 0) {
          const n = streams.receive(socket, chunk, 0, chunk.length, fds);
          ok(n > 0, `receive: ${n} after ${JSON.stringify(text)}`);
          text += new TextDecoder().decode(chunk.subarray(0, n));
          try {
            return JSON.parse(text);
          } catch {
            // More is to come.
          }
        }
        ok(Date.now() < end, `${method}: no answer`);
        await delay(1);
      }
    } finally {
      commandLineHost().close(socket);
    }
  }

  async must(method: string, arg: unknown, files: readonly number[] = []): Promise<Answer["result"]> {
    const { success, err, result } = await this.call(method, arg, files);
    equal(success, true, `${method}: ${err}`);
    return result;
  }

  async refused(method: string, arg: unknown, files: readonly number[] = []): Promise<string> {
    const { success, err } = await this.call(method, arg, files);
    equal(success, false, method);
    return err;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.tsvisor(["delete", "--force", "box"]);
    this[Symbol.dispose]();
  }
}

/** A file as a descriptor of ours. */
function opened(path: string): number {
  Deno.writeTextFileSync(path, "");
  const fd = commandLineHost().openForAppend(path);
  ok(fd >= 0);
  return fd;
}

/** A gofer that serves `bundle`, and our end of its socket. */
function goferOf(bundle: Bundle): { readonly socket: number; end(): void } {
  const options = {
    id: "sub",
    platform: "systrap" as const,
    mayPatch: true,
    watchdog: { timeoutSeconds: 30, kills: false, stepMillis: 0 },
    stubCalls: "own" as const,
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
  const host = commandLineHost();
  const container = containerOf(bundle.directory, readBundle(bundle.directory).config, options);
  const launch = {
    ...container,
    stdio: [0, 1, 2] as const,
    debugLog: "",
    oomScoreAdj: null,
    isRootInside: true,
  };
  const roles = launchGofer(launch);
  const [client, server] = socketPair(), log = host.openForAppend("/dev/null");
  sendGoferSetup(host, roles.goferControl, launch.gofer, [log, server]);
  for (const fd of [server, log, roles.control]) host.close(fd);
  const end = () => {
    killProcess(roles.gofer, SIGKILL);
    waitProcess(roles.gofer, true);
    host.close(roles.goferControl);
    host.close(client);
  };
  return { socket: client, end };
}

Deno.test("urpc: a container is made, started, watched and destroyed in a sandbox that runs", async () => {
  await using live = new Live();
  await live.start("sleep 1000 & wait");
  using bundle = new Bundle();
  bundle.write("echo from $WHO; read line; echo got $line; mkdir /tmp/x 2>&1; exit 6", (config: Config) => {
    config.process.env.push("WHO=sub");
    config.linux.namespaces = [{ type: "pid" }];
  });
  const spec = JSON.parse(Deno.readTextFileSync(`${bundle.directory}/config.json`));
  const start = { Spec: spec, Conf: {}, CID: "sub" };
  equal(await live.refused("containerManager.StartSubcontainer", start), 'container "sub" not found');
  deepEqual(await live.must("containerManager.CreateSubcontainer", { CID: "sub" }), {});
  equal(
    await live.refused("containerManager.CreateSubcontainer", { CID: "sub" }),
    'container "sub" already exists',
  );
  match(
    await live.refused("containerManager.CreateSubcontainer", { CID: "x" }, [0, 0]),
    /^start arguments must have at most 1 files for TTY$/,
  );
  equal(
    await live.refused("containerManager.StartSubcontainer", { ...start, Spec: null }),
    "start arguments missing spec",
  );
  const { process: { args: _, ...rest } } = spec;
  match(
    await live.refused("containerManager.StartSubcontainer", { ...start, Spec: { ...spec, process: rest } }),
    /^json: cannot unmarshal/,
  );
  match(await live.refused("containerManager.StartSubcontainer", start, [0, 1]), /must contain 4 files/);
  const terminal = { ...spec, process: { ...spec.process, terminal: true } };
  match(
    await live.refused("containerManager.StartSubcontainer", { ...start, Spec: terminal }),
    /^terminal enabled but no TTY provided/,
  );
  const seccomp = {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["mkdir", "mkdirat"], action: "SCMP_ACT_ERRNO", errnoRet: 95 }],
  };
  const filtered = {
    ...start,
    Conf: { OCISeccomp: true },
    Spec: { ...spec, linux: { ...spec.linux, seccomp } },
  };
  const wrong = { ...spec, linux: { ...spec.linux, seccomp: { ...seccomp, defaultAction: "x" } } };
  match(
    await live.refused("containerManager.StartSubcontainer", { ...filtered, Spec: wrong }),
    /^linux\.seccomp\.defaultAction: /,
  );
  const gofer = goferOf(bundle);
  const output = `${live.directory}/output`, out = opened(output);
  const path = `${live.directory}/input`;
  using listener = Deno.listen({ transport: "unix", path });
  const accepted = listener.accept(), stdin = connectToPath(path, SOCK_STREAM);
  using input = await accepted;
  try {
    await live.must("containerManager.StartSubcontainer", filtered, [stdin, out, out, gofer.socket]);
    equal(await live.must("containerManager.ContainerRuntimeState", "sub"), 2);
    const rows = await live.must("containerManager.Processes", "sub");
    deepEqual(rows.map(({ ppid, cmd }: { ppid: number; cmd: string }) => [ppid, cmd]), [[0, "sh"]]);
    const { event, containerUsage } = await live.must("containerManager.Event", "sub");
    deepEqual([event.id, Object.keys(containerUsage)], ["sub", ["box", "sub"]]);
    await input.write(new TextEncoder().encode("word\n"));
    equal(await live.must("containerManager.Wait", "sub"), 6 << 8);
    equal(
      Deno.readTextFileSync(output),
      "from sub\ngot word\nmkdir: can't create directory '/tmp/x': Operation not supported\n",
    );
    equal(await live.must("containerManager.Wait", "sub"), 6 << 8, "its status stays known");
    equal(await live.must("containerManager.ContainerRuntimeState", "sub"), 3);
    await live.must("containerManager.DestroySubcontainer", "sub");
    equal(await live.refused("containerManager.Wait", "sub"), 'container "sub" not found');
    match(await live.refused("containerManager.DestroySubcontainer", "box"), /is the sandbox's own/);
    equal(await live.must("containerManager.ContainerRuntimeState", "box"), 2);
  } finally {
    for (const fd of [stdin, out]) commandLineHost().close(fd);
    gofer.end();
  }
});

Deno.test("urpc: files, control files, streams, traces and profiles of a sandbox", async () => {
  await using live = new Live();
  await live.start(
    "echo content > /tmp/file; busybox nc -ll -p 80 -e /bin/cat & while :; do sleep 0.01; done",
  );
  const file = { container_id: "box", path: "/tmp/file", offset: 2, size: 3 };
  for (let tries = 0; tries < 600 && !(await live.call("Fs.Read", file)).success; tries++) await delay(20);
  equal(atob((await live.must("Fs.Read", file)).data), "nte");
  equal(await live.refused("Fs.Read", { ...file, path: "/missing" }), "opening /missing: ENOENT");
  equal(await live.refused("Fs.Read", { ...file, container_id: "x" }), 'container "x" not found');

  const control = (name: string, more = {}) => ({
    file: { controller: "pids", path: "/box", name },
    ...more,
  });
  const written = await live.must("Cgroups.WriteControlFiles", {
    args: [control("pids.max", { value: "77" }), control("pids.current", { value: "1" })],
  });
  deepEqual(written.results, [
    { value: "" },
    { value: 'control file "pids.current" is read-only', is_error: true },
  ]);
  const read = await live.must("Cgroups.ReadControlFiles", { args: [control("pids.max"), control("x")] });
  deepEqual(read.results, [{ value: "77" }, { value: 'control file "x" not found', is_error: true }]);

  equal(
    await live.refused("containerManager.PortForward", { ContainerID: "box", Port: 80 }),
    "stream FD is required",
  );
  const host = commandLineHost();
  const path = `${live.directory}/stream`;
  using listener = Deno.listen({ transport: "unix", path });
  const accepted = listener.accept();
  const stream = connectToPath(path, SOCK_STREAM);
  for (let tries = 0;; tries++) {
    const { success, err } = await live.call(
      "containerManager.PortForward",
      { ContainerID: "box", Port: 80 },
      [stream],
    );
    if (success) break;
    equal(err, "connecting to port 80: ECONNREFUSED");
    ok(tries < 600);
    await delay(20);
  }
  host.close(stream);
  const connection = await accepted;
  await connection.write(new TextEncoder().encode("there and back"));
  await connection.closeWrite();
  const back = new Uint8Array(64), n = await connection.read(back);
  equal(new TextDecoder().decode(back.subarray(0, n ?? 0)), "there and back");
  connection.close();

  const events = `${live.directory}/events`, out = opened(events);
  const Config = {
    name: "Default",
    points: [{ name: "syscall/sysno/230/enter", context_fields: ["process_name"] }],
    sinks: [{ name: "json", config: { path: "unused" } }],
  };
  await live.must("containerManager.CreateTraceSession", { Config, Force: false }, [out]);
  equal(
    await live.refused("containerManager.CreateTraceSession", { Config }, [out]),
    'session "Default" already exists',
  );
  for (let tries = 0; tries < 600 && Deno.readTextFileSync(events) === ""; tries++) await delay(20);
  const [listed] = await live.must("containerManager.ListTraceSessions", null);
  deepEqual(listed.sinks[0].status, { dropped_count: 0 });
  await live.must("containerManager.DeleteTraceSession", "Default");
  equal(await live.refused("containerManager.DeleteTraceSession", "Default"), 'session "Default" not found');
  const event = JSON.parse(Deno.readTextFileSync(events).split("\n")[0]);
  deepEqual([event.sysno, event.context_data], [230, { process_name: "sleep" }]);
  host.close(out);

  for (const name of ["CPU", "Heap", "Block", "Mutex", "Trace"]) {
    equal(await live.refused(`Profile.${name}`, { duration: 1 }), "no output writer provided");
    const profile = `${live.directory}/profile-${name}`, fd = opened(profile);
    await live.must(`Profile.${name}`, { duration: 100_000_000, delay: 0 }, [fd]);
    host.close(fd);
    ok(Deno.statSync(profile).size > 20, name);
  }
});
