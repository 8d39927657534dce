// The life of a container in the background: create, start, exec, pause, kill, delete, as engines call them; and what is left
// when somebody is killed on the way.

import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import type { Config } from "../support/bundle.ts";
import { isAlive, link } from "../support/host_processes.ts";
import { exists, Life } from "../support/life.ts";
import { command, delay, eventually, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

const SIGKILLED = 137;

/** Waits until what was running on the host is not any more. */
async function goes(pid: number): Promise<void> {
  ok(await eventually(() => !isAlive(pid)), `process ${pid} is still there`);
}

/** How many of its descriptors are sockets. */
function sockets(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)]
    .filter(({ name }) => link(`/proc/${pid}/fd/${name}`).startsWith("socket:")).length;
}

for (const platform of PLATFORMS) {
  Deno.test(`life cycle: create, start, state, kill, delete (${platform})`, async () => {
    await using life = new Life([`--platform=${platform}`]);
    const pid = await life.create("echo runs; trap 'echo term; exit 3' TERM; while :; do sleep 0.1; done");
    const state = JSON.parse(await life.must("state", "box"));
    deepEqual([state.status, state.pid, state.bundle], ["created", pid, life.directory]);
    ok(isAlive(pid));
    // Nothing of it has run.
    equal(Deno.statSync(life.rootfs).isDirectory && await exists(`${life.rootfs}/output`), false);
    match((await life.call("exec", "box", "true")).stderr, /in state created/);
    await life.must("start", "box");
    equal(await life.status(), "running");
    match((await life.call("start", "box")).stderr, /Cannot start container "box" in state running/);
    match((await life.call("delete", "box")).stderr, /in state running without --force/);
    match((await life.call("create", "--bundle", life.directory, "box")).stderr, /already exists/);
    while (!life.printed.includes("runs")) await delay(20);
    await life.must("kill", "box", "TERM");
    await life.reaches("stopped");
    equal(life.printed, "runs\nterm\n");
    await goes(pid);
    equal((await life.call("kill", "box", "TERM")).code, 128);
    await life.must("delete", "box");
    equal((await life.call("state", "box")).code, 128);
    equal((await life.call("delete", "box")).code, 128);
    equal((await life.call("delete", "--force", "box")).code, 0);
  });

  Deno.test(`life cycle: exec, ps, pause, resume, wait (${platform})`, async () => {
    await using life = new Life([`--platform=${platform}`]);
    await life.create("while :; do echo x; sleep 0.01; done");
    await life.must("start", "box");
    equal(
      await life.must("exec", "-e", "A=b", "--cwd", "/tmp", "box", "sh", "-c", "echo $A; pwd"),
      "b\n/tmp\n",
    );
    equal((await life.call("exec", "box", "sh", "-c", "exit 7")).code, 7);
    equal((await life.call("exec", "box", "sh", "-c", "kill -9 $$")).code, SIGKILLED);
    const missing = await life.call("exec", "box", "nothing");
    deepEqual([missing.code, missing.stderr], [
      127,
      "tsvisor: Cannot run nothing: executable file not found in $PATH\n",
    ]);
    equal(
      await life.must("exec", "--user", "1000:1001", "-g", "7", "box", "id"),
      "uid=1000(ann) gid=1001 groups=7\n",
    );
    const process = {
      args: ["sh", "-c", "echo $0 $HOME"],
      cwd: "/",
      env: ["PATH=/bin"],
      user: { uid: 1000, gid: 0 },
    };
    Deno.writeTextFileSync(`${life.directory}/process.json`, JSON.stringify(process));
    equal(await life.must("exec", "--process", `${life.directory}/process.json`, "box"), "sh /home/ann\n");

    match(await life.must("ps", "box"), /^UID +PID +PPID +C +TTY +STIME +TIME +CMD\n0 +1 +0 .* sh\n/);
    ok((JSON.parse(await life.must("ps", "--format", "json", "box")) as number[]).includes(1));
    equal(JSON.parse(await life.must("events", "--stats", "box")).type, "stats");

    await life.must("pause", "box");
    equal(await life.status(), "paused");
    match((await life.call("exec", "box", "true")).stderr, /in state paused/);
    const before = life.printed.length;
    await delay(300);
    equal(life.printed.length, before);
    equal((await life.call("pause", "box")).code, 128);
    await life.must("resume", "box");
    equal(await life.status(), "running");
    ok(await eventually(() => life.printed.length > before));

    // Once it waits it has a connection to the sentry.
    const { pid } = JSON.parse(Deno.readTextFileSync(`${life.state}/box.json`));
    const connections = () => sockets(pid);
    const others = connections();
    const waits = life.call("wait", "box");
    ok(await eventually(() => connections() > others));
    await life.must("kill", "box", "KILL");
    equal((await waits).code, SIGKILLED);
    await life.must("delete", "box");
  });
}

Deno.test("life cycle: a process in the background is its own pid, which ends with its status", async () => {
  await using life = new Life();
  // The shell is its parent, as an engine's monitor is by being a subreaper.
  await life.create("while :; do sleep 1; done");
  await life.must("start", "box");
  const pidFile = `${life.directory}/exec-pid`, inside = `${life.directory}/exec-inside`;
  await life.background(
    ...["exec", "--detach", "--pid-file", pidFile, "--internal-pid-file", inside, "box", "sh", "-c"],
    "echo $$ >/number; sleep 100",
  );
  const pid = Number(Deno.readTextFileSync(pidFile));
  ok(isAlive(pid));
  const number = Deno.readTextFileSync(inside);
  // It is there before it is written.
  while (!await exists(`${life.rootfs}/number`) || Deno.readTextFileSync(`${life.rootfs}/number`) === "") {
    await delay(20);
  }
  equal(Deno.readTextFileSync(`${life.rootfs}/number`).trim(), number);
  await life.must("kill", "--pid", number, "box", "KILL");
  await goes(pid);
  equal(await life.status(), "running");
});

Deno.test("life cycle: run --detach leaves it running, with the caller's stdio", async () => {
  await using life = new Life();
  life.write("echo to stdout; sleep 0.3; echo still; exit 4");
  const { code, stdout } = await life.call("run", "--detach", "--bundle", life.directory, "box");
  // The pipe ends with the container, not with the command.
  deepEqual([code, stdout], [0, "to stdout\nstill\n"]);
  await life.reaches("stopped");
  await life.must("delete", "box");
});

Deno.test("life cycle: what cannot be made leaves nothing", async () => {
  await using life = new Life();
  Deno.mkdirSync(life.state, { mode: 0o700 });
  const refused = async (words: RegExp, ...more: string[]) => {
    const { code, stderr } = await life.call("create", "--bundle", life.directory, ...more, "box");
    match(stderr, words);
    ok(code !== 0);
    equal(await life.must("list", "-q"), "");
  };
  life.write("true", (config) => config.process.args = ["/missing"]);
  await refused(/Cannot run \/missing: executable file not found in \$PATH/);
  life.write("true");
  await refused(/Cannot write --pid-file/, "--pid-file", "/nowhere/pid");
  life.write("true", (config) => config.process.terminal = true);
  await refused(/there is no --console-socket/);
  await refused(/Cannot connect to --console-socket/, "--console-socket", `${life.directory}/none`);
  life.write("true", (config) => config.hooks = { createRuntime: [{ path: "/bin/false" }] });
  await refused(/Hook createRuntime\[0\] \(\/bin\/false\) failed: exit status 1/);
  life.write("true", (config) => {
    config.hooks = { prestart: [{ path: "/bin/sleep", args: ["sleep", "100"], timeout: 1 }] };
  });
  await refused(/Hook prestart\[0\] \(\/bin\/sleep\) failed: it took longer than 1 s/);
});

Deno.test("life cycle: hooks get the state, each at its stage", async () => {
  await using life = new Life();
  const notes = `${life.directory}/notes`;
  const hook = (name: string) => [{
    path: "/bin/sh",
    args: ["sh", "-c", `read line; echo "${name} $line $A" >>${notes}`],
    env: ["A=b"],
  }];
  life.write("sleep 100", (config) => {
    config.hooks = Object.fromEntries(
      ["prestart", "createRuntime", "createContainer", "poststart", "poststop"].map((
        name,
      ) => [name, hook(name)]),
    );
  });
  await life.background("create", "--bundle", life.directory, "box");
  const stages = () =>
    Deno.readTextFileSync(notes).trim().split("\n").map((line) => {
      const [, name, state, variable] = /^(\w+) (\{.*\}) (\w+)$/.exec(line)!;
      const { id, status, bundle } = JSON.parse(state);
      deepEqual([id, bundle, variable], ["box", life.directory, "b"]);
      return `${name} ${status}`;
    });
  deepEqual(stages(), ["prestart creating", "createRuntime creating", "createContainer creating"]);
  await life.must("start", "box");
  equal(stages().at(-1), "poststart running");
  await life.must("delete", "--force", "box");
  equal(stages().at(-1), "poststop stopped");
});

Deno.test("life cycle: createContainer hooks are in the container's namespaces, the others in the caller's", async () => {
  await using life = new Life();
  const notes = `${life.directory}/notes`, place = `${life.directory}/place`;
  Deno.mkdirSync(place);
  const names = "for kind in net ipc uts mnt; do readlink /proc/self/ns/$kind; done";
  const hook = (name: string, more: string) => [{
    path: "/bin/sh",
    args: [
      "sh",
      "-c",
      `read state; pid=\${state#*\\"pid\\":}; pid=\${pid%%,*}; ${more}` +
      `echo ${name} $(${names}) $(for kind in net ipc uts; do readlink /proc/$pid/ns/$kind; done) >>${notes}`,
    ],
    env: ["PATH=/bin:/usr/bin"],
  }];
  life.write("sleep 100", (config) => {
    config.hooks = {
      createRuntime: hook("createRuntime", ""),
      createContainer: hook("createContainer", `busybox mount -t tmpfs none ${place}; `),
      poststart: hook("poststart", ""),
    };
  });
  await life.background("create", "--bundle", life.directory, "box");
  await life.must("start", "box");
  const own = ["net", "ipc", "uts", "mnt"].map((kind) => Deno.readLinkSync(`/proc/self/ns/${kind}`));
  const lines = Deno.readTextFileSync(notes).trim().split("\n").map((line) => line.split(" "));
  deepEqual(lines.map(([name]) => name), ["createRuntime", "createContainer", "poststart"]);
  const [runtime, inside, after] = lines.map((words) => ({
    hook: words.slice(1, 5),
    sandbox: words.slice(5),
  }));
  deepEqual(runtime.hook, own);
  deepEqual(after.hook, own);
  deepEqual(inside.hook.slice(0, 3), inside.sandbox);
  for (const [i, name] of inside.hook.entries()) notEqual(name, own[i]);
  equal(Deno.readTextFileSync("/proc/self/mountinfo").includes(place), false, "its mounts are its own");
  await life.must("delete", "--force", "box");
});

Deno.test("life cycle: hooks of the container run in it, before its program", async () => {
  await using life = new Life();
  const hook = (script: string, more = {}) => ({
    path: "/bin/sh",
    args: ["sh", "-c", script],
    env: ["PATH=/bin"],
    ...more,
  });
  const note = (name: string) => `echo ${name} $(id -u) $(pwd) "$(cat)" >>/tmp/notes`;
  const change = (hooks: unknown[]) => (config: Config) => {
    config.hooks = { startContainer: hooks };
    config.process.cwd = "/tmp";
    config.annotations = { a: "b" };
  };
  const notes = `${life.rootfs}/tmp/notes`;
  await life.create("echo program >>/tmp/notes", "box", change([hook(note("one")), hook(note("two"))]));
  equal(await exists(notes), false);
  await life.must("start", "box");
  await life.reaches("stopped");
  const state = JSON.stringify({
    ...{ ociVersion: "1.2.0", id: "box", status: "created", pid: 1, bundle: life.directory },
    annotations: { a: "b" },
  });
  equal(Deno.readTextFileSync(notes), `one 0 /tmp ${state}\ntwo 0 /tmp ${state}\nprogram\n`);
  await life.must("delete", "box");

  const failures: readonly (readonly [unknown, RegExp])[] = [
    [hook("exit 3"), /^tsvisor: Hook startContainer\[0\] \(\/bin\/sh\) failed: exit status 3\n$/],
    [hook("kill -9 $$"), /failed: killed by signal 9\n$/],
    [hook("exec sleep 100", { timeout: 1 }), /failed: it took longer than 1 s\n$/],
    [
      { path: "/missing" },
      /\(\/missing\) failed: Cannot run \/missing: executable file not found in \$PATH\n$/,
    ],
  ];
  for (const [one, words] of failures) {
    await life.create("echo never >/tmp/never", "box", change([one, hook("echo never >/tmp/never")]));
    const { code, stderr } = await life.call("start", "box");
    match(stderr, words);
    equal(code, 128);
    await life.reaches("stopped");
    await life.must("delete", "box");
    // The same of `run`, attached and in the background.
    for (const flags of [[], ["--detach"]]) {
      const ran = await life.call("run", ...flags, "--bundle", life.directory, "box");
      match(ran.stderr, words);
      deepEqual([ran.code, await life.must("list", "-q")], [128, ""]);
    }
  }
  equal(await exists(`${life.rootfs}/tmp/never`), false);
});

Deno.test("life cycle: whoever is killed, state tells it and delete removes it", async () => {
  await using life = new Life();
  const victims: readonly ((record: { pid: number; runner: { pid: number } }) => number)[] = [
    (record) => record.pid,
    (record) => record.runner.pid,
  ];
  for (const victim of victims) {
    for (const isStarted of [false, true]) {
      const pid = await life.create("sleep 100");
      if (isStarted) await life.must("start", "box");
      const record = JSON.parse(Deno.readTextFileSync(`${life.state}/box.json`));
      Deno.kill(victim(record), "SIGKILL");
      await life.reaches("stopped");
      for (const one of [pid, record.pid]) await goes(one);
      await life.must("delete", "box");
    }
  }
});

Deno.test("life cycle: of two who start, or delete, one succeeds", async () => {
  await using life = new Life();
  await life.create("sleep 100");
  const codes = async (...args: string[]) =>
    (await Promise.all([1, 2, 3].map(() => life.call(...args)))).map(({ code }) => code).sort();
  deepEqual(await codes("start", "box"), [0, 128, 128]);
  await life.must("kill", "box", "KILL");
  await life.reaches("stopped");
  deepEqual(await codes("delete", "box"), [0, 128, 128]);
});

Deno.test("life cycle: of a container whose bundle's disk has gone, commands say so in a line or need no bundle", async () => {
  await using life = new Life();
  life.write("trap 'exit 3' TERM; while :; do sleep 0.1; done");
  const disk = `${life.directory}/disk`;
  const refused = async (words: RegExp, ...args: string[]) => {
    const { code, stderr } = await life.call(...args);
    match(stderr, words);
    equal(code, 128, stderr);
  };
  Deno.mkdirSync(disk);
  equal((await command(["mount", "-t", "tmpfs", "tmpfs", disk])).code, 0);
  try {
    await command(["cp", "-a", life.rootfs, `${life.directory}/config.json`, disk]);
    for (const id of ["made", "runs"]) await life.background("create", "--bundle", disk, id);
    await life.must("start", "runs");
  } finally {
    await command(["umount", "-l", disk]);
  }
  const gone = /^tsvisor: Cannot read \S+\/disk\/config\.json: no such file\n$/;
  await refused(gone, "start", "made");
  await refused(gone, "exec", "runs", "/bin/true");
  await refused(gone, "create", "--bundle", disk, "more");
  equal(await life.status("made"), "created");
  const process = { args: ["/bin/echo", "inside"], cwd: "/" };
  Deno.writeTextFileSync(`${life.directory}/process.json`, JSON.stringify(process));
  equal(await life.must("exec", "--process", `${life.directory}/process.json`, "runs"), "inside\n");
  // The shell may not have come to its trap yet, and the init of a container is not ended by a signal that it has no handler for.
  const ends = async () => {
    if (await life.status("runs") === "stopped") return true;
    await life.call("kill", "runs", "TERM");
    return false;
  };
  ok(await eventually(ends));
  for (const id of ["made", "runs"]) await life.must("delete", id);
  equal(await life.must("list", "-q"), "");
});

Deno.test("life cycle: ids that cannot be, and a console socket that nobody serves, leave nothing", async () => {
  await using life = new Life();
  life.write("true");
  for (const id of ["../x", "", ".", "a/b", "a b", "x".repeat(10_240), "\n"]) {
    for (const command of ["create", "run"]) {
      const { code, stderr } = await life.call(command, "--bundle", life.directory, id);
      match(stderr, /^tsvisor: Container id ".*" is not valid: [^\n]*\n$/);
      deepEqual([code, await life.must("list", "-q")], [128, ""]);
    }
  }
  life.write("true", (config) => config.process.terminal = true);
  const path = `${life.directory}/console.sock`;
  // Bound, and closed again: whoever connects is refused.
  Deno.listen({ transport: "unix", path }).close();
  for (const socket of [path, "/dev/null", life.directory]) {
    const flags = ["--bundle", life.directory, "--console-socket", socket];
    for (
      const words of [["create", ...flags, "box"], ["run", ...flags, "box"], ["run", "-d", ...flags, "box"]]
    ) {
      const { code, stderr } = await life.call(...words);
      match(stderr, /^tsvisor: Cannot connect to --console-socket \S+: \w+\n$/);
      deepEqual([code, await life.must("list", "-q")], [128, ""]);
    }
  }
});

Deno.test("life cycle: a signal to a process group; several containers deleted at once", async () => {
  await using life = new Life();
  for (const id of ["box", "other"]) {
    await life.create("exec sleep 1000000", id);
    await life.must("start", id);
  }
  const inside = `${life.directory}/exec-inside`;
  await life.background(
    ...["exec", "--detach", "--internal-pid-file", inside, "box", "/bin/sh", "-c"],
    "sleep 1000000 & sleep 1000000 & wait",
  );
  const processes = async () => JSON.parse(await life.must("ps", "--format", "json", "box")) as number[];
  ok(await eventually(async () => (await processes()).length === 4));
  await life.must("kill", "--pgid", Deno.readTextFileSync(inside), "box", "TERM");
  ok(await eventually(async () => (await processes()).length === 1));
  match(
    (await life.call("kill", "--pgid", "1", "--all", "box")).stderr,
    /kill takes one of --all, --pid and --pgid/,
  );
  await life.must("kill", "box", "KILL");
  await life.must("kill", "other", "KILL");
  await life.reaches("stopped");
  await life.reaches("stopped", "other");
  const { code, stderr } = await life.call("delete", "box", "none", "other");
  deepEqual([code, stderr], [128, 'tsvisor: Container "none" does not exist\n']);
  equal(await life.must("list", "--quiet"), "other\n");
  await life.must("delete", "--force", "box", "other");
  equal(await life.must("list", "--quiet"), "");
});

Deno.test("life cycle: descriptors of the caller get the numbers that --pass-fd says", async () => {
  await using life = new Life();
  for (const name of ["one", "two"]) Deno.writeTextFileSync(`${life.directory}/${name}`, `${name}\n`);
  const redirected = `exec "$0" "$@" 4<${life.directory}/one 5<${life.directory}/two`;
  const call = async (...words: string[]) =>
    await command(["sh", "-c", redirected, await tsvisorPath(), "--root", life.state, ...words]);
  const script = "cat <&9; cat <&4; test -e /proc/self/fd/5 || echo no 5";
  life.write(script);
  const flags = ["--pass-fd", "5:4", "--pass-fd", "4:9"];
  const run = await call("run", ...flags, "--bundle", life.directory, "box");
  deepEqual(run, { code: 0, stdout: "one\ntwo\nno 5\n", stderr: "" });
  await life.create("exec sleep 1000000");
  await life.must("start", "box");
  const exec = await call("exec", ...flags, "box", "/bin/sh", "-c", script);
  deepEqual(exec, { code: 0, stdout: "one\ntwo\nno 5\n", stderr: "" });
  for (
    const [words, said] of [
      [["--pass-fd", "5"], /a mapping is HOST:GUEST/],
      [["--pass-fd", "5:2"], /the second number is 3 to 65536/],
      [["--pass-fd", "99:3"], /descriptor 99 is not open/],
      [["--pass-fd", "5:9", "--pass-fd", "4:9"], /two descriptors as 9/],
    ] as const
  ) {
    const refused = await call("exec", ...words, "box", "/bin/true");
    match(refused.stderr, said);
    equal(refused.stderr.split("\n").length, 2, refused.stderr);
  }
});
