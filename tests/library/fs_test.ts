// Files of a sandbox through the library: sandbox.fs.

import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { type FileChange, type Sandbox, SandboxError } from "../../mod.ts";
import { staysInTree } from "../../boot/library/trees.ts";
import { isError, Root } from "./root.ts";

function isErrno(errno: string): (error: unknown) => boolean {
  return (error) => error instanceof SandboxError && error.errno === errno;
}

async function namesIn(sandbox: Sandbox, path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const { name, kind } of sandbox.fs.readDir(path)) names.push(`${kind} ${name}`);
  return names.sort();
}

Deno.test("library fs: what one writes the other reads; names, kinds, attributes", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  const { fs } = sandbox;
  await fs.writeTextFile("/t/a", "one\n");
  equal(await sandbox.sh`cat /t/a`.text(), "one\n");
  await sandbox.sh`echo two >> /t/a`;
  equal(await fs.readTextFile("/t/a"), "one\ntwo\n");
  await fs.writeTextFile("/t/a", "three\n", { append: true });
  equal(await sandbox.sh`cat /t/a`.text(), "one\ntwo\nthree\n");
  await fs.writeFile("/t/a", new Uint8Array(0), { mode: 0o600 });
  equal((await fs.stat("/t/a")).size, 0);
  await rejects(fs.writeTextFile("/t/a", "", { createNew: true }), isError("EXISTS"));
  await fs.mkdir("/t/d/e/f", { recursive: true });
  await fs.mkdir("/t/d/e/f", { recursive: true });
  await rejects(fs.mkdir("/t/d"), isError("EXISTS"));
  await fs.writeTextFile("/t/d/x", "x", { mode: 0o640 });
  await fs.symlink("d/x", "/t/l");
  await sandbox.sh`mkfifo /t/p; ln -s nowhere /t/n`;
  deepEqual(await namesIn(sandbox, "/t"), [
    "directory d",
    "fifo p",
    "file a",
    "symlink l",
    "symlink n",
  ]);
  const link = await fs.lstat("/t/l"), file = await fs.stat("/t/l");
  deepEqual([link.kind, link.target, file.kind, file.mode, file.size], ["symlink", "d/x", "file", 0o640, 1]);
  ok(Math.abs(file.mtime.getTime() - Date.now()) < 600_000, String(file.mtime));
  await fs.rename("/t/d/x", "/t/d/y");
  await rejects(fs.stat("/t/l"), isError("NOT_FOUND", /ENOENT/));
  await rejects(fs.remove("/t/d"), isErrno("ENOTEMPTY"));
  await fs.remove("/t/d", { recursive: true });
  await fs.remove("/t/n");
  deepEqual(await namesIn(sandbox, "/t"), ["fifo p", "file a", "symlink l"]);
  await rejects(fs.readFile("/t/p"), isError("FAILED", /not a regular file/));
  await rejects(fs.writeTextFile("/t/p", "x"), isError("FAILED", /not a regular file/));
  await rejects(fs.readFile("/t"), isError("FAILED", /not a regular file/));
  await rejects(fs.readFile("t/a"), isError("FAILED", /absolute/));
  match(await fs.readTextFile("/proc/1/status"), /^Name:\t/);
  match(await fs.readTextFile("/etc/passwd"), /^root:/);
  await fs.writeTextFile("/etc/tsvisor-library-test", "stays in the sandbox\n");
  equal(await sandbox.sh`cat /etc/tsvisor-library-test`.text(), "stays in the sandbox\n");
  await rejects(Deno.stat("/etc/tsvisor-library-test"));
});

Deno.test("library fs: large files in pieces, both ways; a limit; a file that is replaced meanwhile", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs", size: "64MiB" } } });
  const { fs } = sandbox;
  const size = 5 * 1024 * 1024 + 321;
  const content = new Uint8Array(size);
  for (let at = 0; at < size; at++) content[at] = at * 31 + (at >> 13);
  await fs.writeFile("/t/large", content);
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (let at = 0; at < size; at += 700_001) controller.enqueue(content.slice(at, at + 700_001));
      controller.close();
    },
  });
  await fs.writeFile("/t/streamed", stream);
  equal(await sandbox.sh`cmp /t/large /t/streamed && stat -c %s /t/large`.text(), `${size}\n`);
  deepEqual(await fs.readFile("/t/large"), content);
  await rejects(fs.readFile("/t/large", { maxBytes: "1MiB" }), isError("FAILED", /more than/));
  // A sparse file of any size says nothing of what has to be held here.
  await sandbox.sh`truncate -s 1T /t/sparse`;
  await rejects(fs.readFile("/t/sparse", { maxBytes: "4MiB" }), isError("FAILED", /more than/));
  const reader = fs.readable("/t/large").getReader();
  await reader.read();
  await sandbox.sh`mv /t/streamed /t/large`;
  await rejects(async () => {
    for (let { done } = await reader.read(); !done; { done } = await reader.read());
  }, isErrno("ESTALE"));
});

Deno.test("library fs: a full tmpfs, a read-only mount, another user's files", async () => {
  await using root = new Root();
  const directory = Deno.makeTempDirSync({ dir: root.path });
  Deno.chmodSync(root.path, 0o755);
  Deno.chmodSync(directory, 0o755);
  await using sandbox = await root.create({
    user: "1000:1000",
    mounts: {
      "/t": { kind: "tmpfs", size: "1MiB" },
      "/ro": { kind: "bind", source: directory },
    },
  });
  const { fs } = sandbox;
  await rejects(fs.writeFile("/t/full", new Uint8Array(3 * 1024 * 1024)), isErrno("ENOSPC"));
  const { size } = await fs.stat("/t/full");
  ok(size > 0 && size <= 1024 * 1024, String(size));
  await fs.remove("/t/full");
  await fs.writeFile("/t/full", new Uint8Array(1000));
  await rejects(fs.writeTextFile("/ro/new", ""), isErrno("EROFS"));
  await rejects(fs.writeTextFile("/etc/passwd", ""), isErrno("EACCES"));
  await rejects(fs.mkdir("/etc/new"), isErrno("EACCES"));
  equal((await fs.stat("/t/full")).uid, 1000);
});

Deno.test("library fs: links of the sandbox's lead nowhere else", async () => {
  await using root = new Root();
  const rootfs = `${root.path}/rootfs`;
  Deno.mkdirSync(`${rootfs}/sub`, { recursive: true });
  Deno.writeTextFileSync(`${root.path}/secret`, "of the host\n");
  Deno.symlinkSync(`${root.path}/secret`, `${rootfs}/absolute`);
  Deno.symlinkSync("../../../secret", `${rootfs}/sub/relative`);
  Deno.symlinkSync("/proc/1/root", `${rootfs}/magic`);
  Deno.symlinkSync("loop", `${rootfs}/loop`);
  await using sandbox = await root.create({ rootfs });
  const { fs } = sandbox;
  await rejects(fs.readFile("/absolute"), isErrno("ENOENT"));
  await rejects(fs.readFile("/sub/relative"), isErrno("ENOENT"));
  await rejects(fs.readFile("/../../secret"), isErrno("ENOENT"));
  await rejects(fs.readFile(`/magic${root.path}/secret`), isErrno("ENOENT"));
  await rejects(fs.readFile("/loop"), isErrno("ELOOP"));
  await rejects(fs.readFile(`/${"x".repeat(5000)}`), isErrno("ENAMETOOLONG"));
  await rejects(fs.readFile("/a\0b"), isError("FAILED", /NUL/));
  await fs.mkdir(root.path, { recursive: true });
  await fs.writeTextFile("/absolute", "of the sandbox\n");
  equal(Deno.readTextFileSync(`${root.path}/secret`), "of the host\n");
  equal(await fs.readTextFile("/absolute"), "of the sandbox\n");
  await fs.remove("/sub", { recursive: true });
  equal(Deno.lstatSync(`${rootfs}/sub/relative`).isSymlink, true);
});

Deno.test("library fs: several write at once, and none loses its own", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  const { fs } = sandbox;
  const texts = Array.from({ length: 24 }, (_, i) => `${i}`.repeat(200_000));
  await Promise.all(texts.map((text, i) => fs.writeTextFile(`/t/${i}`, text)));
  deepEqual(await Promise.all(texts.map((_, i) => fs.readTextFile(`/t/${i}`))), texts);
  const lines = Array.from({ length: 40 }, (_, i) => `line ${i}\n`);
  await Promise.all([
    sandbox.sh`for i in $(seq 40); do echo guest $i >> /t/log; done`,
    ...lines.map((line) => fs.writeTextFile("/t/log", line, { append: true })),
  ]);
  const seen = (await fs.readTextFile("/t/log")).trimEnd().split("\n");
  equal(seen.length, 80);
  deepEqual(
    seen.filter((line) => line.startsWith("line")).sort(),
    lines.map((line) => line.trimEnd()).sort(),
  );
});

Deno.test("library fs: trees to the sandbox and back", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  const { fs } = sandbox;
  const source = `${root.path}/source`, back = `${root.path}/back`;
  Deno.mkdirSync(`${source}/a/b`, { recursive: true });
  for (let i = 0; i < 300; i++) Deno.writeTextFileSync(`${source}/a/${i}`, String(i));
  Deno.writeFileSync(`${source}/a/b/large`, new Uint8Array(3_000_000).fill(7), { mode: 0o755 });
  Deno.symlinkSync("../a/b/large", `${source}/a/link`);
  const up = await fs.upload(source, "/t/tree");
  deepEqual(up.skipped, []);
  equal(up.files, 305);
  equal(
    await sandbox.sh`cat /t/tree/a/234; stat -c ' %s %a' /t/tree/a/b/large; find /t/tree | wc -l`.text(),
    "234 3000000 755\n305\n",
  );
  await rejects(fs.upload(source, "/t/tree"), isError("EXISTS"));
  await fs.upload(source, "/t/tree", { overwrite: true });
  const down = await fs.download("/t/tree", back);
  deepEqual([down.files, down.bytes, down.skipped], [up.files, up.bytes, []]);
  const { code } = await new Deno.Command("diff", { args: ["-r", "--no-dereference", source, back] })
    .output();
  equal(code, 0);
  await rejects(fs.download("/t/tree", back), isError("EXISTS"));
  await fs.download("/t/tree", back, { overwrite: true });
  await fs.download("/t/tree/a/7", `${root.path}/seven`);
  equal(Deno.readTextFileSync(`${root.path}/seven`), "7");
  await rejects(
    fs.download("/t/tree", `${root.path}/few`, { maxFiles: 100 }),
    isError("FAILED", /more than 100 files/),
  );
  await rejects(
    fs.download("/t/tree", `${root.path}/small`, { maxBytes: "1MiB" }),
    isError("FAILED", /more than/),
  );
  await fs.remove("/t/tree", { recursive: true });
  deepEqual(await namesIn(sandbox, "/t"), []);
});

Deno.test("library fs: a hostile tree stays where it is downloaded to", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  const outside = `${root.path}/outside`, to = `${root.path}/to`;
  Deno.mkdirSync(outside);
  await sandbox.sh`mkdir -p /t/h/d/e; cd /t/h
    ln -s ${outside} absolute; ln -s ../../outside up; ln -s .. d/top; ln -s ../d/../../outside e-up
    ln -s . d/self; ln -s self/../../outside d/through; ln -s ../../x d/e/fine
    mkfifo pipe; echo x > "$(printf 'n\377n')"; echo s > setuid; chmod 4755 setuid; echo last > z`;
  const report = await sandbox.fs.download("/t/h", to);
  deepEqual(report.skipped.map(({ path }) => path).sort(), [
    "/t/h/absolute",
    "/t/h/d/through",
    "/t/h/e-up",
    "/t/h/n�n",
    "/t/h/pipe",
    "/t/h/up",
  ]);
  equal(Deno.statSync(`${to}/setuid`).mode! & 0o7777, 0o755);
  equal(Deno.readTextFileSync(`${to}/z`), "last\n");
  // A name that is a link on the host already is not followed.
  const trap = `${root.path}/trap`;
  Deno.mkdirSync(trap);
  Deno.symlinkSync(outside, `${trap}/d`);
  Deno.symlinkSync(`${outside}/z`, `${trap}/z`);
  await rejects(sandbox.fs.download("/t/h", trap), isError("EXISTS"));
  await rejects(sandbox.fs.download("/t/h", trap, { overwrite: true }), isError("EXISTS"));
  deepEqual([...Deno.readDirSync(outside)], []);
});

Deno.test("library fs: which links stay in a tree", () => {
  for (
    const [target, depth] of [["x", 1], ["./x", 1], ["..", 2], ["../x/y", 2], ["a/b", 1], [
      "../..",
      3,
    ]] as const
  ) {
    equal(staysInTree(target, depth), true, target);
  }
  for (
    const [target, depth] of [["", 1], ["/x", 5], ["..", 1], ["../x", 1], ["a/../x", 3], ["../../x", 2], [
      "x",
      0,
    ]] as const
  ) {
    equal(staysInTree(target, depth), false, target);
  }
});

Deno.test("library fs: a tree of any shape is removed, within its sandbox's turns", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  await sandbox
    .sh`mkdir /t/r /t/kept; cd /t/r; touch $(seq 700); ln -s /t/kept link; echo x > "$(printf '\377')"
    i=0; while [ $i -lt 60 ]; do mkdir d; cd d; touch f; i=$((i + 1)); done; touch /t/kept/file`;
  await sandbox.fs.remove("/t/r", { recursive: true });
  deepEqual(await namesIn(sandbox, "/t"), ["directory kept"]);
  deepEqual(await namesIn(sandbox, "/t/kept"), ["file file"]);
  await sandbox.sh`ln -s /t/kept /t/link`;
  await sandbox.fs.remove("/t/link", { recursive: true });
  deepEqual(await namesIn(sandbox, "/t"), ["directory kept"]);
});

Deno.test("library fs: a directory of many names in pages", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  await sandbox.sh`cd /t; seq 5000 | xargs touch`;
  const names = await namesIn(sandbox, "/t");
  deepEqual(names, Array.from({ length: 5000 }, (_, i) => `file ${i + 1}`).sort());
  // One that is left half way is closed by the sandbox; others go on.
  for await (const _ of sandbox.fs.readDir("/t")) break;
  await rejects(async () => {
    for await (const _ of sandbox.fs.readDir("/t/1"));
  }, isErrno("ENOTDIR"));
});

Deno.test("library fs: watch tells what happens, until it is aborted or its file goes", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  const controller = new AbortController();
  const changes = sandbox.fs.watch("/t", { signal: controller.signal });
  const next = async (): Promise<FileChange> => (await changes.next()).value as FileChange;
  await changes.started;
  const first = next();
  await sandbox.sh`echo x > /t/a`;
  deepEqual(await first, { kind: "create", path: "/t/a" });
  deepEqual(await next(), { kind: "modify", path: "/t/a" });
  await sandbox.fs.rename("/t/a", "/t/b");
  deepEqual(await next(), { kind: "remove", path: "/t/a" });
  deepEqual(await next(), { kind: "create", path: "/t/b" });
  const waiting = next();
  controller.abort();
  await rejects(waiting, isError("ABORTED"));
  const file = sandbox.fs.watch("/t/b"), seen: string[] = [];
  const all = (async () => {
    for await (const { kind, path } of file) seen.push(`${kind} ${path}`);
  })();
  await file.started;
  await sandbox.sh`rm /t/b`;
  await all;
  equal(seen.at(-1), "remove /t/b");
  await rejects(async () => {
    for await (const _ of sandbox.fs.watch("/t/b"));
  }, isError("NOT_FOUND"));
});

Deno.test("library fs: aborted calls end, and the next go on", async () => {
  await using root = new Root();
  await using sandbox = await root.create({ mounts: { "/t": { kind: "tmpfs" } } });
  const { fs } = sandbox;
  await rejects(fs.readFile("/etc/passwd", { signal: AbortSignal.abort() }), isError("ABORTED"));
  const controller = new AbortController();
  const endless = new ReadableStream<Uint8Array>({
    pull(stream) {
      stream.enqueue(new Uint8Array(1000));
      controller.abort();
    },
  });
  await rejects(fs.writeFile("/t/x", endless, { signal: controller.signal }), isError("ABORTED"));
  equal(await fs.readTextFile("/proc/1/comm"), ".tsvisor-init\n");
  await sandbox.kill();
  await rejects(fs.readFile("/etc/passwd"), isError("FAILED"));
});

Deno.test("library fs: a state directory with a long name; another object of the same sandbox", async () => {
  await using root = new Root(`${"long".repeat(40)}/`);
  await using sandbox = await root.create();
  await sandbox.fs.writeTextFile("/tmp/x", "x");
  equal(await sandbox.fs.readTextFile("/tmp/x"), "x");
});
