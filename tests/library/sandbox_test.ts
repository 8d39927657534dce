// The library on real sandboxes: each test makes those it uses, in a state directory of its own.

import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { Sandbox, type SandboxOptions } from "../../mod.ts";
import { delay } from "../support/tsvisor.ts";
import { isError, Root } from "./root.ts";

Deno.test("library: a command's output, exit code and signal", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  const output = await sandbox.spawn("sh", { args: ["-c", "echo out; echo err >&2; exit 3"] }).output();
  deepEqual(
    [output.text(), new TextDecoder().decode(output.stderr), output.code, output.success, output.signal],
    ["out\n", "err\n", 3, false, null],
  );
  equal((await sandbox.spawn("true").status).success, true);
  const killed = sandbox.spawn("sleep", { args: ["1000"] });
  await killed.kill("SIGTERM");
  deepEqual(await killed.status, { success: false, code: 143, signal: "SIGTERM" });
});

Deno.test("library: streams, while the command runs", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  await using child = sandbox.spawn("cat", { stdin: "piped" });
  const writer = child.stdin.getWriter();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (const line of ["one\n", "two\n"]) {
    await writer.write(new TextEncoder().encode(line));
    equal((await reader.read()).value, line);
  }
  await writer.close();
  equal((await child.status).code, 0);
});

Deno.test("library: a shell command's values are words; its env, cwd, lines, JSON and failure", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  const odd = "a b'c\"d$HOME;`x`\n*";
  equal(await sandbox.sh`printf %s ${odd}`.text(), odd);
  equal(await sandbox.sh`printf '%s,' ${["x y", "z"]}`.text(), "x y,z,");
  equal(await sandbox.sh`echo $A; pwd`.env({ A: "1" }).cwd("/usr").text(), "1\n/usr\n");
  deepEqual(await sandbox.sh`echo '{"a":1}'`.json(), { a: 1 });
  const lines: string[] = [];
  for await (const line of sandbox.sh`printf 'a\nb\nc'`.lines()) lines.push(line);
  deepEqual(lines, ["a", "b", "c"]);
  await rejects(
    async () => await sandbox.sh`echo why >&2; exit 4`,
    isError("COMMAND_FAILED", /ended with 4: why/),
  );
  equal((await sandbox.sh`exit 4`.noThrow()).code, 4);
});

Deno.test("library: what is written stays in the sandbox; env, user, cwd, mounts and labels are as asked for", async () => {
  await using root = new Root();
  const directory = Deno.makeTempDirSync({ dir: root.path });
  Deno.writeTextFileSync(`${directory}/file`, "of the host\n");
  await using sandbox = await root.create({
    env: { COLOR: "red" },
    cwd: "/usr",
    labels: { task: "seven" },
    mounts: {
      "/mnt": { kind: "bind", source: directory },
      "/opt": { kind: "tmpfs", size: "1MiB" },
      "/srv": { kind: "bind", source: directory, readOnly: false },
    },
  });
  equal(await sandbox.sh`echo $COLOR; pwd`.text(), "red\n/usr\n");
  equal(await sandbox.sh`cat /mnt/file`.text(), "of the host\n");
  await rejects(
    async () => await sandbox.sh`echo x > /mnt/file`,
    isError("COMMAND_FAILED", /Read-only file system/),
  );
  equal(await sandbox.sh`stat -f -c '%T %b' /opt`.text(), "tmpfs 256\n");
  await sandbox.sh`echo written > /srv/new; echo x > /usr/tsvisor-library-test`;
  equal(Deno.readTextFileSync(`${directory}/new`), "written\n");
  equal(await sandbox.sh`cat /usr/tsvisor-library-test`.text(), "x\n");
  await rejects(Deno.stat("/usr/tsvisor-library-test"));
  const id = sandbox.spawn("id", { args: ["-u"], user: "1000:1000" });
  equal((await id.output()).text(), "1000\n");
  for await (const one of Sandbox.list(await root.place())) {
    deepEqual(one, { id: sandbox.id, status: "running", labels: { task: "seven" } });
  }
});

Deno.test("library: loopback alone, or the caller's network as far as egress lets it", async () => {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    () => new Response("hi"),
  );
  const { port } = server.addr;
  await using root = new Root();
  const names = async (options: SandboxOptions) => {
    await using sandbox = await root.create(options);
    const interfaces = await sandbox.sh`cat /proc/net/dev`.noThrow().text();
    const got = await sandbox.sh`curl -s http://10.0.2.2:${port}/`.noThrow().text();
    return [interfaces.includes("eth0"), got];
  };
  deepEqual(await names({}), [false, ""]);
  deepEqual(await names({ network: "user" }), [true, ""]);
  deepEqual(await names({ network: "user", egress: `allow:127.0.0.1:${port}` }), [true, "hi"]);
  await rejects(root.create({ egress: "allow:x" }), isError("INVALID_ARGUMENT", /egress goes with/));
});

Deno.test("library: timeouts and abort signals kill a command, or the sandbox", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  await rejects(sandbox.spawn("sleep", { args: ["1000"], timeout: "200ms" }).status, isError("TIMED_OUT"));
  const controller = new AbortController();
  const child = sandbox.spawn("sleep", { args: ["1000"], signal: controller.signal });
  controller.abort();
  await rejects(child.status, isError("ABORTED"));
  equal(await sandbox.sh`ps -e -o comm= | grep -c sleep || true`.text(), "0\n");
  await using short = await root.create({ timeout: 300 });
  await rejects(short.exited, isError("TIMED_OUT"));
  const stop = new AbortController();
  await using stopped = await root.create({ signal: stop.signal });
  stop.abort();
  await rejects(stopped.exited, isError("ABORTED"));
});

Deno.test("library: pause and resume, stats, connect, kill", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  const again = await Sandbox.connect(sandbox.id, await root.place());
  equal(await again.sh`echo from another object`.text(), "from another object\n");
  await sandbox.pause();
  const paused = await sandbox.spawn("true").output();
  match(new TextDecoder().decode(paused.stderr), /paused/);
  await sandbox.resume();
  equal(await sandbox.sh`echo later`.text(), "later\n");
  const { tasks, memoryBytes, cpuNanoseconds } = await sandbox.stats();
  ok(tasks >= 1 && memoryBytes > 0 && cpuNanoseconds >= 0n, `${tasks} ${memoryBytes} ${cpuNanoseconds}`);
  await sandbox.kill();
  equal((await sandbox.exited).code, 137);
  await again.exited.catch(() => {});
  await again.kill();
  await sandbox.kill();
  await rejects(Sandbox.connect(sandbox.id, await root.place()), isError("NOT_FOUND"));
});

Deno.test("library: eight sandboxes at once, each on its own", async () => {
  await using root = new Root();
  const sandboxes = await Promise.all(Array.from({ length: 8 }, () => root.create()));
  try {
    const texts = await Promise.all(
      sandboxes.map((sandbox, i) => sandbox.sh`echo ${i} > /tmp/mine; sleep 0.1; cat /tmp/mine`.text()),
    );
    deepEqual(texts, sandboxes.map((_, i) => `${i}\n`));
  } finally {
    await Promise.all(sandboxes.map((sandbox) => sandbox.kill()));
  }
});

Deno.test("library: options that make no sense, an executable that is missing, a root that is missing", async () => {
  await using root = new Root();
  await rejects(root.create({ memory: "5 apples" as never }), isError("INVALID_ARGUMENT", /no size/));
  await rejects(root.create({ timeout: -1 }), isError("INVALID_ARGUMENT", /no time/));
  await rejects(root.create({ mounts: { mnt: { kind: "tmpfs" } } }), isError("INVALID_ARGUMENT", /no slash/));
  await rejects(root.create({ env: { "A=B": "" } }), isError("INVALID_ARGUMENT", /no name/));
  await rejects(root.create({ rootfs: "/nonexistent" }), isError("FAILED", /nonexistent/));
  await rejects(Sandbox.create({ executable: "/nonexistent" }), isError("NOT_FOUND", /executable/));
  await using sandbox = await root.create();
  const { code, stderr } = await sandbox.spawn("no-such-program").output();
  equal(code, 127);
  match(new TextDecoder().decode(stderr), /no-such-program/);
});

for (const [how, script] of [["ends", "Deno.exit(0)"], ["throws", "throw new Error()"], ["is killed", ""]]) {
  Deno.test(`library: a sandbox goes with the program that made it when that ${how}`, async () => {
    await using root = new Root();
    const place = JSON.stringify(await root.place());
    const mod = `${import.meta.dirname}/../../mod.ts`;
    const program = `import { Sandbox } from "${mod}";
      await Sandbox.create(${place});
      console.log("made");
      ${script}
      await new Promise((resolve) => setTimeout(resolve, 1e9));`;
    const path = `${root.path}/program.ts`;
    Deno.writeTextFileSync(path, program);
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--no-check", "--quiet", path],
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.getReader();
    equal(new TextDecoder().decode((await reader.read()).value), "made\n");
    if (how === "is killed") child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
    for (let tries = 0; tries < 1000 && (await root.ids()).length > 0; tries++) await delay(20);
    deepEqual(await root.ids(), []);
  });
}
