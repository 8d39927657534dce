// The gofer's two ends in one process, over a directory of the host: what is asked for how often, and that both ends agree.

import { deepEqual, equal, ok } from "node:assert/strict";
import { GoferClient, GoferConnection } from "../gofer/client.ts";
import {
  ATTRIBUTES_BYTES,
  CLOSE_COUNT_MAX,
  CONTENT_BYTES_MAX,
  FETCH_BYTES_MAX,
  HAS,
  NAME_BYTES_MAX,
  NO_NODE,
  OPEN_TO_MAP,
  PROTOCOL_VERSION,
  REQUEST,
  SET_ATIME,
  SET_GID,
  SET_MODE,
  SET_MTIME,
  SET_SIZE,
  SET_UID,
  TRANSFER_BYTES_MAX,
  WALK_COUNT_MAX,
  WANTS,
  WRITE_APPENDS,
  WRITE_DATA_SYNC,
  WRITE_SYNC,
} from "../gofer/protocol.ts";
import { EAGAIN, EEXIST, ENOENT } from "../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_CREAT,
  O_DSYNC,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_SYNC,
  O_WRONLY,
  S_IFDIR,
  S_IFREG,
} from "../kernel/abi/file.ts";
import { HostDescriptors } from "../kernel/host/host_descriptor.ts";
import { GoferFilesystem } from "../kernel/fs/gofer/filesystem.ts";
import { RecordListing } from "../kernel/fs/gofer/listing.ts";
import { makeDirectory, makeLink, makeSymlink } from "../kernel/vfs/create.ts";
import type { File } from "../kernel/vfs/file.ts";
import { FilesystemStat } from "../kernel/vfs/filesystem.ts";
import { newMount } from "../kernel/vfs/mount.ts";
import { attach } from "../kernel/vfs/mounting.ts";
import { openByName } from "../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import { removeDirectory, removeFile, renamePath } from "../kernel/vfs/remove.ts";
import { NativeHost } from "../native/host.ts";
import type { GoferChannel } from "../platform/platform.ts";
import { TestGofer } from "./support/gofer.ts";
import { VfsTask } from "./support/vfs_task.ts";

/** Longer than an answer about a shared mount holds. */
const FORGOTTEN_MILLIS = 60;
const NAMES = new Map<number, string>(Object.entries(REQUEST).map(([name, id]) => [id, name]));

/**
 * A host whose time can be stopped, for tests of what holds for a while: the machine may be slow. And one that may have
 * nothing of a file in memory, or take its time over a write.
 */
class StoppableHost extends NativeHost {
  stoppedAt = 0;
  isCold = false;
  writeNanos = 0;
  override preadNow(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    return this.isCold ? -EAGAIN : super.preadNow(fd, into, at, length, offset);
  }
  override pwrite(fd: number, from: Uint8Array, at: number, length: number, offset: number): number {
    this.stoppedAt += this.writeNanos;
    return super.pwrite(fd, from, at, length, offset);
  }
  override clockNanos(clock: number): number {
    return this.stoppedAt > 0 ? this.stoppedAt : super.clockNanos(clock);
  }
  stop(): void {
    this.stoppedAt = super.clockNanos(1);
  }
}

/** The channel, with what is asked on it. */
class CountingChannel implements GoferChannel {
  readonly asked: string[] = [];
  readonly #channel: GoferChannel;
  readonly #host: StoppableHost;
  constructor(channel: GoferChannel, host: StoppableHost) {
    this.#channel = channel;
    this.#host = host;
  }
  get slot() {
    return this.#channel.slot;
  }
  get hasOthers() {
    return this.#channel.hasOthers;
  }
  get donated() {
    return this.#channel.donated;
  }
  get answeredAtNanos() {
    return this.#host.stoppedAt || this.#channel.answeredAtNanos;
  }
  ask(question: Uint8Array, length: number, answer: Uint8Array, micros: number): number {
    this.asked.push(NAMES.get(question[0] | question[1] << 8)!);
    return this.#channel.ask(question, length, answer, micros);
  }
  take(slot: number, answer: Uint8Array): number {
    return this.#channel.take(slot, answer);
  }
  answered(): number {
    return this.#channel.answered();
  }
  close(): void {
    this.#channel.close();
  }

  /** What was asked since the last time. */
  forget(): string[] {
    return this.asked.splice(0);
  }
}

class Mounted implements AsyncDisposable {
  readonly t = new VfsTask();
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-gofer-" });
  // The same directory twice, for two mounts.
  readonly gofer = new TestGofer([this.directory, this.directory]);
  readonly clock = new StoppableHost();
  readonly descriptors = new HostDescriptors(this.clock);
  readonly host = new CountingChannel(this.gofer.channel, this.clock);
  readonly #connection = new GoferConnection(this.host);
  #mounts = 0;

  constructor() {
    this.mount("/host", false);
  }

  /** Mounts the directory once more. */
  mount(at: string, isExclusive: boolean): GoferFilesystem {
    const { t } = this;
    const client = new GoferClient(this.#connection, this.#mounts++);
    const fs = new GoferFilesystem(t.kernel, client, this.descriptors, false, isExclusive);
    makeDirectory(t.task, AT_FDCWD, at, 0o755);
    const place = resolve(t.task, AT_FDCWD, at, FOLLOW);
    if (typeof place === "number") throw new Error(`No ${at}: ${place}`);
    attach(t.namespaces.mount, newMount(fs, "host", 0), place);
    this.host.forget();
    return fs;
  }

  open(name: string, flags: number): File {
    const file = openByName(this.t.task, AT_FDCWD, name, flags, 0o644);
    if (typeof file === "number") throw new Error(`Cannot open ${name}: ${file}`);
    return file;
  }

  names(name: string): string[] {
    const file = this.open(name, O_RDONLY), names: string[] = [];
    equal(file.asDirectory()!.readDirectory(this.t.task, { emit: (entry) => names.push(entry) > 0 }), 0);
    file.drop();
    return names.sort();
  }

  inode(name: string) {
    const path = resolve(this.t.task, AT_FDCWD, name, 0);
    if (typeof path === "number") return path;
    const refreshed = path.inode.refresh();
    return refreshed < 0 ? refreshed : path.inode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.gofer[Symbol.asyncDispose]();
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("a new file costs one request, and so does its end", async () => {
  await using m = new Mounted();
  const { host, t } = m;
  m.inode("/host");
  host.forget();
  const file = m.open("/host/new", O_WRONLY | O_CREAT | O_EXCL);
  deepEqual(host.forget(), ["CREATE"]);
  equal(file.write(t.task, new Uint8Array([1, 2, 3]), 0, 3, 0), 3);
  file.drop();
  deepEqual(Deno.readFileSync(`${m.directory}/new`), new Uint8Array([1, 2, 3]));
  equal(removeFile(t.task, AT_FDCWD, "/host/new"), 0);
  deepEqual(host.forget(), ["UNLINK"]);
  equal(resolve(t.task, AT_FDCWD, "/host/new", 0), -ENOENT);
  deepEqual(host.forget(), []);
});

Deno.test("a large file that was deleted is given back to the host at once", async () => {
  await using m = new Mounted();
  const { host, t } = m;
  const file = m.open("/host/large", O_RDWR | O_CREAT);
  equal(file.asContent()!.truncate(2 ** 20), 0);
  host.forget();
  equal(removeFile(t.task, AT_FDCWD, "/host/large"), 0);
  deepEqual(host.forget(), ["UNLINK"]);
  file.drop();
  deepEqual(host.forget(), ["CLOSE"]);
});

Deno.test("O_CREAT opens what is there, follows links, and O_EXCL refuses", async () => {
  await using m = new Mounted();
  const { host, t } = m;
  Deno.writeTextFileSync(`${m.directory}/old`, "old");
  Deno.symlinkSync("old", `${m.directory}/link`);
  Deno.symlinkSync("made", `${m.directory}/dangling`);
  host.forget();
  m.open("/host/old", O_RDWR | O_CREAT).drop();
  deepEqual(host.forget(), ["CREATE", "OPEN"]);
  equal(openByName(t.task, AT_FDCWD, "/host/old", O_RDWR | O_CREAT | O_EXCL, 0o644), -EEXIST);
  equal(openByName(t.task, AT_FDCWD, "/host/dangling", O_RDWR | O_CREAT | O_EXCL, 0o644), -EEXIST);
  equal(m.open("/host/link", O_RDWR | O_CREAT).inode, m.inode("/host/old"));
  m.open("/host/dangling", O_RDWR | O_CREAT).drop();
  ok(Deno.lstatSync(`${m.directory}/made`).isFile);
  equal(Deno.readTextFileSync(`${m.directory}/old`), "old");
});

Deno.test("attributes of a directory follow our changes without asking", async () => {
  await using m = new Mounted();
  const { t } = m;
  const check = (name: string) => {
    const inode = m.inode(`/host${name}`), real = Deno.lstatSync(m.directory + name);
    if (typeof inode === "number") throw new Error(`${name}: ${inode}`);
    equal(inode.nlink, real.nlink, name);
    equal(inode.mtimeSec * 1000 + Math.floor(inode.mtimeNsec / 1e6), real.mtime!.getTime(), name);
  };
  equal(makeDirectory(t.task, AT_FDCWD, "/host/a", 0o755), 0);
  equal(makeDirectory(t.task, AT_FDCWD, "/host/b", 0o755), 0);
  m.open("/host/a/f", O_CREAT | O_WRONLY).drop();
  for (const name of ["", "/a", "/b"]) check(name);
  const path = resolve(t.task, AT_FDCWD, "/host/a/f", 0);
  if (typeof path === "number") throw new Error("no /host/a/f");
  equal(makeLink(t.task, path, AT_FDCWD, "/host/b/g"), 0);
  equal(makeSymlink(t.task, "x", AT_FDCWD, "/host/b/s"), 0);
  for (const name of ["/a", "/b", "/a/f", "/b/g"]) check(name);
  equal(removeFile(t.task, AT_FDCWD, "/host/a/f"), 0);
  for (const name of ["/a", "/b/g"]) check(name);
  equal(renamePath(t.task, AT_FDCWD, "/host/b/g", AT_FDCWD, "/host/a/h", 0), 0);
  equal(renamePath(t.task, AT_FDCWD, "/host/a", AT_FDCWD, "/host/b/a", 0), 0);
  for (const name of ["", "/b", "/b/a", "/b/a/h"]) check(name);
  equal(removeFile(t.task, AT_FDCWD, "/host/b/a/h"), 0);
  equal(removeDirectory(t.task, AT_FDCWD, "/host/b/a"), 0);
  for (const name of ["", "/b"]) check(name);
});

Deno.test("a tree is walked with one request a directory", async () => {
  await using m = new Mounted();
  const { host, t } = m;
  for (const name of ["a", "a/x", "b"]) Deno.mkdirSync(`${m.directory}/${name}`);
  for (let i = 0; i < 700; i++) Deno.writeTextFileSync(`${m.directory}/a/file${i}`, "");
  Deno.writeTextFileSync(`${m.directory}/b/${"n".repeat(255)}`, "");
  m.clock.stop();
  m.inode("/host");
  host.forget();
  deepEqual(m.names("/host"), [".", "..", "a", "b"]);
  for (const name of ["/host/a", "/host/a/x", "/host/b"]) {
    const inode = m.inode(name);
    if (typeof inode === "number") throw new Error(`${name}: ${inode}`);
    equal(inode.mode & 0o170000, S_IFDIR);
    equal(m.names(name).length, { "/host/a": 703, "/host/a/x": 2, "/host/b": 3 }[name]);
    inode.fs.statfs(new FilesystemStat());
  }
  deepEqual(host.forget(), [
    "READ_DIRECTORY",
    "READ_DIRECTORY",
    "STATFS",
    "READ_DIRECTORY",
    "READ_DIRECTORY",
  ]);
  // Entries are as stat(2) has them, and a listing begins where the reader wants.
  const file = m.open("/host/a", O_RDONLY), seen = new Map<string, number[]>();
  for (let rest = 0; rest < 703;) {
    let count = 0;
    const emit = (name: string, ino: number, type: number, next: number) => {
      if (count++ === 50) return false;
      seen.set(name, [ino, type, next]);
      return true;
    };
    equal(file.asDirectory()!.readDirectory(t.task, { emit }), 0);
    ok(file.position > rest);
    rest = file.position;
  }
  equal(seen.size, 703);
  for (const name of ["x", "file0", "file699"]) {
    const { ino, isDirectory } = Deno.lstatSync(`${m.directory}/a/${name}`);
    deepEqual(seen.get(name)!.slice(0, 2), [ino, (isDirectory ? S_IFDIR : S_IFREG) >> 12]);
  }
  equal(file.seek(seen.get("file5")![2], 0), seen.get("file5")![2]);
  file.drop();
});

Deno.test("many files of a directory are asked for in few requests, and one that is opened in one", async () => {
  await using m = new Mounted();
  const { host, t } = m;
  const COUNT = 1500;
  for (let i = 0; i < COUNT; i++) Deno.writeTextFileSync(`${m.directory}/${i}`, "x".repeat(i % 7));
  m.inode("/host");
  host.forget();
  const open = (i: number) => {
    const file = m.open(`/host/${i}`, O_RDONLY), into = new Uint8Array(10);
    equal(file.read(t.task, into, 0, 10, 0), i % 7);
    file.drop();
  };
  for (let i = 0; i < 3; i++) open(i);
  deepEqual(host.forget(), ["WALK", "WALK", "WALK"]);
  m.clock.stop();
  for (let i = 3; i < COUNT; i++) {
    const inode = m.inode(`/host/${i}`);
    equal(typeof inode === "number" ? inode : inode.size, i % 7, String(i));
  }
  const asked = host.forget();
  ok(asked.length < COUNT / 10, `${asked.length} requests`);
  open(COUNT - 1);
  deepEqual(host.forget(), ["WALK"]);
  // What is changed here is not as it was read ahead, what is not changed still is.
  const next = (i: number) => m.inode(`/host/${i}`);
  const file = m.open("/host/20", O_WRONLY);
  equal(file.write(t.task, new Uint8Array(100), 0, 100, 0), 100);
  const changed = next(20);
  equal(typeof changed === "number" ? changed : changed.size, 100);
  file.drop();
  equal(removeFile(t.task, AT_FDCWD, "/host/21"), 0);
  equal(next(21), -ENOENT);
});

Deno.test("a file that the host replaces after it was read ahead is opened as what it is now", async () => {
  await using m = new Mounted();
  for (let i = 0; i < 30; i++) Deno.writeTextFileSync(`${m.directory}/${i}`, "old");
  m.clock.stop();
  for (let i = 0; i < 20; i++) m.inode(`/host/${i}`);
  Deno.writeTextFileSync(`${m.directory}/new`, "newer");
  Deno.renameSync(`${m.directory}/new`, `${m.directory}/25`);
  const file = m.open("/host/25", O_RDONLY), into = new Uint8Array(10);
  equal(file.read(m.t.task, into, 0, 10, 0), 5);
  file.drop();
});

Deno.test("a small file is read with the question that looks it up, and no descriptor", async () => {
  await using m = new Mounted();
  const { t } = m;
  Deno.writeTextFileSync(`${m.directory}/small`, "small");
  Deno.writeTextFileSync(`${m.directory}/large`, "x".repeat(CONTENT_BYTES_MAX + 1));
  Deno.writeTextFileSync(`${m.directory}/program`, "\x7fELF and so on");
  m.inode("/host");
  m.clock.stop();
  m.host.forget();
  const file = m.open("/host/small", O_RDONLY), into = new Uint8Array(100);
  const text = (n: number) => new TextDecoder().decode(into.subarray(0, n));
  equal(file.inode.refresh(), 0);
  equal(text(file.read(t.task, into, 0, 100, 0)), "small");
  equal(text(file.read(t.task, into, 0, 3, 1)), "mal");
  equal(file.read(t.task, into, 0, 100, 5), 0);
  deepEqual(m.host.forget(), ["WALK"]);
  equal(m.descriptors.count, 0);
  // What is written by another descriptor is read, and so is what the host writes, once the content is old.
  const writer = m.open("/host/small", O_WRONLY);
  equal(writer.write(t.task, new TextEncoder().encode("SM"), 0, 2, 0), 2);
  equal(text(file.read(t.task, into, 0, 100, 0)), "SMall");
  writer.drop();
  file.drop();
  // The descriptor stays for a while, for who opens it next.
  equal(m.descriptors.count, 1);
  for (const name of ["large", "program"]) {
    m.host.forget();
    const file = m.open(`/host/${name}`, O_RDONLY);
    ok(file.read(t.task, into, 0, 4, 0) === 4);
    deepEqual(m.host.forget(), ["WALK"]);
    file.drop();
  }
});

Deno.test("content that came with a look-up is read for a moment only", async () => {
  await using m = new Mounted();
  Deno.writeTextFileSync(`${m.directory}/f`, "before");
  m.clock.stop();
  const file = m.open("/host/f", O_RDONLY), into = new Uint8Array(100);
  equal(file.read(m.t.task, into, 0, 100, 0), 6);
  Deno.writeTextFileSync(`${m.directory}/f`, "afterwards");
  equal(file.read(m.t.task, into, 0, 100, 0), 6);
  m.clock.stoppedAt += 60e6;
  equal(file.read(m.t.task, into, 0, 100, 0), 10);
  equal(file.inode.refresh(), 0);
  equal(file.inode.size, 10);
  file.drop();
});

Deno.test("what the host does not have in memory is fetched by the gofer first", async () => {
  await using m = new Mounted();
  const text = "0123456789".repeat(10_000);
  Deno.writeTextFileSync(`${m.directory}/f`, text);
  const file = m.open("/host/f", O_RDONLY), into = new Uint8Array(text.length);
  m.host.forget();
  m.clock.isCold = true;
  equal(file.read(m.t.task, into, 0, text.length, 0), text.length);
  equal(new TextDecoder().decode(into), text);
  deepEqual(m.host.forget(), ["FETCH"]);
  m.clock.isCold = false;
  equal(file.read(m.t.task, into, 0, 10, 20), 10);
  deepEqual(m.host.forget(), []);
  file.drop();
});

Deno.test("after a write that took long the gofer writes for a while, and always where the disk must have it", async () => {
  await using m = new Mounted();
  const { t, clock } = m;
  const bytes = new Uint8Array(10).fill(65);
  const file = m.open("/host/f", O_RDWR | O_CREAT);
  clock.stop();
  const write = (flags: number, at: number) => {
    file.flags = O_RDWR | flags;
    m.host.forget();
    equal(file.write(t.task, bytes, 0, 10, at), 10);
    return m.host.forget();
  };
  deepEqual(write(0, 0), []);
  deepEqual(write(O_SYNC, 0), ["WRITE"]);
  deepEqual(write(O_DSYNC, 0), ["WRITE"]);
  clock.writeNanos = 1e9;
  deepEqual(write(0, 0), []);
  deepEqual(write(0, 10), ["WRITE"]);
  deepEqual(write(O_APPEND, 0), ["WRITE"]);
  equal(Deno.statSync(`${m.directory}/f`).size, 30);
  equal(file.inode.size, 30);
  clock.stoppedAt += 2e9;
  deepEqual(write(0, 30), []);
  // What changes a file otherwise is the gofer's in any case.
  equal(file.asContent()!.truncate(5), 0);
  equal(file.asContent()!.allocate(0, 0, 4096), 0);
  deepEqual(m.host.forget(), ["SET_ATTRIBUTES", "ALLOCATE"]);
  equal(Deno.statSync(`${m.directory}/f`).size, 4096);
  equal(file.inode.size, 4096);
  file.drop();
});

Deno.test("what one mount changes the other shows at once", async () => {
  await using m = new Mounted();
  const { t } = m;
  m.mount("/twin", false);
  equal(m.inode("/twin/f"), -ENOENT);
  const file = m.open("/host/f", O_CREAT | O_RDWR);
  let twin = m.inode("/twin/f");
  if (typeof twin === "number") throw new Error(`not in the twin: ${twin}`);
  equal(file.write(t.task, new Uint8Array(10), 0, 10, 0), 10);
  equal(twin.refresh(), 0);
  equal(twin.size, 10);
  equal(file.asContent()!.truncate(3), 0);
  twin = m.inode("/twin/f");
  equal(typeof twin === "number" ? twin : twin.size, 3);
  equal(removeFile(t.task, AT_FDCWD, "/twin/f"), 0);
  equal(m.inode("/host/f"), -ENOENT);
  file.drop();
});

Deno.test("what the host changes is seen soon after", async () => {
  await using m = new Mounted();
  Deno.mkdirSync(`${m.directory}/d`);
  equal(m.inode("/host/d/f"), -ENOENT);
  m.names("/host");
  Deno.writeTextFileSync(`${m.directory}/d/f`, "12345");
  Deno.mkdirSync(`${m.directory}/e`);
  Deno.chmodSync(`${m.directory}/d`, 0o700);
  await new Promise((resolve) => setTimeout(resolve, FORGOTTEN_MILLIS));
  const file = m.inode("/host/d/f"), directory = m.inode("/host/d");
  equal(typeof file === "number" ? file : file.size, 5);
  equal(typeof directory === "number" ? directory : directory.mode & 0o777, 0o700);
  deepEqual(m.names("/host"), [".", "..", "d", "e"]);
  // A directory that was listed and is another one by the time it is entered.
  Deno.renameSync(`${m.directory}/e`, `${m.directory}/gone`);
  Deno.mkdirSync(`${m.directory}/e`);
  Deno.writeTextFileSync(`${m.directory}/e/in`, "");
  await new Promise((resolve) => setTimeout(resolve, FORGOTTEN_MILLIS));
  deepEqual(m.names("/host/e"), [".", "..", "in"]);
});

Deno.test("an exclusive mount lists and finds without asking again", async () => {
  await using m = new Mounted();
  Deno.mkdirSync(`${m.directory}/d`);
  Deno.writeTextFileSync(`${m.directory}/d/f`, "1");
  m.mount("/own", true);
  deepEqual(m.names("/own/d"), [".", "..", "f"]);
  m.host.forget();
  const file = m.inode("/own/d/f");
  equal(typeof file === "number" ? file : file.size, 1);
  equal(m.inode("/own/d/none"), -ENOENT);
  deepEqual(m.names("/own/d"), [".", "..", "f"]);
  deepEqual(m.host.forget(), []);
});

Deno.test("directories that are read again and again keep a bounded number of descriptors", async () => {
  await using m = new Mounted();
  const COUNT = 300;
  for (let i = 0; i < COUNT; i++) Deno.mkdirSync(`${m.directory}/${i}`);
  const openFds = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const readAll = () => {
    for (let i = 0; i < COUNT; i++) equal(m.names(`/host/${i}`).length, 2);
  };
  readAll();
  const before = openFds();
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, FORGOTTEN_MILLIS));
    readAll();
  }
  ok(openFds() <= before + COUNT, `${before} became ${openFds()}`);
});

Deno.test("both ends of the protocol have the same numbers", () => {
  const native = (file: string) =>
    Deno.readTextFileSync(new URL(`../native/src/gofer/${file}.rs`, import.meta.url));
  const numberOf = (text: string, name: string) =>
    Number(new RegExp(`const ${name}: \\w+ = ([0-9_a-fx]+);`).exec(text)?.[1].replaceAll("_", ""));
  const requests = native("requests"),
    channel = native("channel"),
    frame = native("frame"),
    content = native("content");
  for (const [name, kind] of Object.entries(REQUEST)) equal(numberOf(requests, name), kind, name);
  equal(numberOf(channel, "VERSION"), PROTOCOL_VERSION);
  equal(numberOf(requests, "CLOSE_COUNT_MAX"), CLOSE_COUNT_MAX);
  equal(numberOf(requests, "WALK_COUNT_MAX"), WALK_COUNT_MAX);
  equal(numberOf(requests, "NO_NODE"), NO_NODE);
  equal(numberOf(frame, "ATTRIBUTES_BYTES"), ATTRIBUTES_BYTES);
  equal(numberOf(frame, "NAME_BYTES_MAX"), NAME_BYTES_MAX);
  for (const [name, value] of Object.entries({ CONTENT_BYTES_MAX, FETCH_BYTES_MAX, TRANSFER_BYTES_MAX })) {
    const [, text] = new RegExp(`const ${name}: \\w+ = ([0-9 *]+);`).exec(content)!;
    equal(text.split("*").reduce((all, one) => all * Number(one), 1), value, name);
  }
  equal(numberOf(content, "OPEN_TO_MAP"), OPEN_TO_MAP);
  const flags = {
    WRITE_APPENDS,
    WRITE_DATA_SYNC,
    WRITE_SYNC,
    WANTS_NOTHING: 0,
    WANTS_CONTENT: WANTS.CONTENT,
  };
  for (const [name, value] of Object.entries(flags)) equal(numberOf(content, name), value, name);
  const has = {
    HAS_NOTHING: "NOTHING",
    HAS_DESCRIPTOR: "DESCRIPTOR",
    HAS_CONTENT: "CONTENT",
    IS_SERVED_HERE: "SERVED",
  };
  for (const [name, key] of Object.entries(has)) {
    equal(numberOf(content, name), HAS[key as keyof typeof HAS], name);
  }
  const masks = { SET_MODE, SET_UID, SET_GID, SET_SIZE, SET_ATIME, SET_MTIME };
  for (const [name, mask] of Object.entries(masks)) equal(numberOf(requests, name), mask, name);
});

Deno.test("entries that a gofer makes up are refused", () => {
  const record = (name: string, size = 24 + name.length) => {
    const bytes = new Uint8Array(size + 8);
    bytes[16] = size;
    for (let i = 0; i < name.length; i++) bytes[19 + i] = name.charCodeAt(i);
    return bytes;
  };
  const isTaken = (bytes: Uint8Array, length: number) => new RecordListing().add(bytes, 0, length, []);
  equal(isTaken(record("ab"), 26), true);
  equal(isTaken(record("a/b"), 27), false);
  equal(isTaken(record(""), 24), false);
  equal(isTaken(record("ab"), 25), false); // cut short
  equal(isTaken(record("ab", 20), 20), false); // smaller than an entry
  equal(isTaken(record("abcdefgh", 24), 24), false); // no end
});
