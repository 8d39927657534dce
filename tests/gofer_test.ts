// The gofer's two ends in one process, over a directory of the host: what is asked for how often, and that both ends agree.

import { deepEqual, equal, ok } from "node:assert/strict";
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
import { EEXIST, ENOENT } from "../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  S_IFDIR,
  S_IFREG,
} from "../kernel/abi/file.ts";
import { RecordListing } from "../kernel/fs/gofer/listing.ts";
import { makeDirectory, makeLink, makeSymlink } from "../kernel/vfs/create.ts";
import { FilesystemStat } from "../kernel/vfs/filesystem.ts";
import { openByName } from "../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import { removeDirectory, removeFile, renamePath } from "../kernel/vfs/remove.ts";
import { FORGOTTEN_NANOS, Mounted } from "./support/gofer_mount.ts";

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

Deno.test("a path is looked up with one request, and again with one when that is old", async () => {
  await using m = new Mounted();
  const { host, clock } = m;
  Deno.mkdirSync(`${m.directory}/a/b/c`, { recursive: true });
  Deno.writeTextFileSync(`${m.directory}/a/b/c/f`, "f");
  Deno.symlinkSync("a/b", `${m.directory}/link`);
  m.inode("/host");
  host.forget();
  ok(typeof m.inode("/host/a//b/c/f") !== "number");
  ok(typeof m.inode("/host/a/b/c") !== "number");
  deepEqual(host.forget(), ["WALK"]);
  equal(m.inode("/host/a/b/none/x"), -ENOENT);
  deepEqual(host.forget(), ["WALK"]);
  equal(m.inode("/host/a/b/none"), -ENOENT);
  ok(typeof m.inode("/host/a/b/../b/./c") !== "number");
  deepEqual(host.forget(), []);
  // The link, its target, and the rest of the path.
  ok(typeof m.inode("/host/link/c/f") !== "number");
  deepEqual(host.forget(), ["WALK", "READLINK"]);
  for (let i = 0; i < 3; i++) {
    clock.stoppedAt += 60e6;
    ok(typeof m.inode("/host/a/b/c/f") !== "number");
    deepEqual(host.forget(), ["WALK"]);
  }
  // Other descriptors of this process come and go meanwhile; a leak would be one a round.
  const nodes = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = nodes(), rounds = 40;
  for (let i = 0; i < rounds; i++) {
    clock.stoppedAt += 60e6;
    ok(typeof m.inode("/host/a/b/c/f") !== "number");
  }
  ok(nodes() < before + rounds / 2, `${before} descriptors became ${nodes()}`);
  host.forget();
  // A file that is opened comes with its content.
  clock.stoppedAt += 60e6;
  m.open("/host/a/b/c/f", O_RDONLY).drop();
  deepEqual(host.forget().slice(0, 1), ["WALK"]);
  // What is no directory ends it.
  ok(typeof m.inode("/host/a/b/c/f/x") === "number");
});

Deno.test("nodes that were asked for along with others, and that nobody came for, are closed", async () => {
  await using m = new Mounted();
  const { t } = m;
  const COUNT = 300;
  for (let i = 0; i < COUNT; i++) Deno.mkdirSync(`${m.directory}/${i}/in`, { recursive: true });
  const place = resolve(t.task, AT_FDCWD, "/host", FOLLOW);
  if (typeof place === "number") throw new Error("no /host");
  const { vfs } = t.kernel, nodes = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = nodes();
  for (let i = 0; i < COUNT; i++) {
    vfs.aheadText = "in";
    vfs.aheadAt = 0;
    ok(typeof place.dentry.lookup(String(i)) !== "number");
  }
  vfs.aheadAt = -1;
  m.clock.stoppedAt += FORGOTTEN_NANOS;
  // Those that were asked for, and some that are closed together.
  ok(nodes() - before < COUNT + CLOSE_COUNT_MAX, `${nodes() - before}`);
});

Deno.test("what is not in a directory that was just made is not asked for", async () => {
  await using m = new Mounted();
  const { host, t, clock } = m;
  m.mount("/twin", false);
  equal(makeDirectory(t.task, AT_FDCWD, "/host/new", 0o755), 0);
  host.forget();
  equal(m.inode("/host/new/none"), -ENOENT);
  deepEqual(host.forget(), []);
  m.open("/host/new/made", O_WRONLY | O_CREAT | O_EXCL).drop();
  deepEqual(host.forget(), ["CREATE"]);
  const made = m.inode("/host/new/made");
  ok(typeof made !== "number");
  equal(m.inode("/host/new/none"), -ENOENT);
  deepEqual(host.forget(), []);
  // Made through another mount, or by the host a moment ago.
  m.open("/twin/new/other", O_WRONLY | O_CREAT | O_EXCL).drop();
  ok(typeof m.inode("/host/new/other") !== "number");
  Deno.writeTextFileSync(`${m.directory}/new/hosts`, "");
  clock.stoppedAt += 60e6;
  ok(typeof m.inode("/host/new/hosts") !== "number");
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

Deno.test("the more files of a tree are looked at, the sooner those of the next directory come along", async () => {
  await using m = new Mounted();
  const counts: number[] = [];
  for (let d = 0; d < 5; d++) {
    Deno.mkdirSync(`${m.directory}/${d}`);
    for (let i = 0; i < 50; i++) Deno.writeTextFileSync(`${m.directory}/${d}/${i}`, "x".repeat(i));
  }
  m.inode("/host");
  for (let d = 0; d < 5; d++) {
    m.host.forget();
    for (let i = 0; i < 50; i++) {
      const inode = m.inode(`/host/${d}/${i}`);
      equal(typeof inode === "number" ? inode : inode.size, i);
    }
    counts.push(m.host.forget().length);
  }
  ok(counts[0] > 5 && counts[4] <= 3, String(counts));
  // Where only some are looked at, those of further directories do not come along for long.
  for (let d = 0; d < 20; d++) {
    Deno.mkdirSync(`${m.directory}/other${d}`);
    for (let i = 0; i < 50; i++) Deno.writeTextFileSync(`${m.directory}/other${d}/${i}`, "");
  }
  m.host.forget();
  for (let d = 0; d < 20; d++) for (const i of [0, 1, 2]) m.inode(`/host/other${d}/${i}`);
  const frames = m.host.forget().filter((kind) => kind === "READ_ATTRIBUTES").length;
  ok(frames <= 4, `${frames} frames`);
});

Deno.test("a file that the host replaces after it was read ahead is opened as what it is now", async () => {
  await using m = new Mounted();
  for (let i = 0; i < 30; i++) Deno.writeTextFileSync(`${m.directory}/${i}`, "old");
  for (let i = 0; i < 20; i++) m.inode(`/host/${i}`);
  Deno.writeTextFileSync(`${m.directory}/new`, "newer");
  Deno.renameSync(`${m.directory}/new`, `${m.directory}/25`);
  const file = m.open("/host/25", O_RDONLY), into = new Uint8Array(10);
  equal(file.read(m.t.task, into, 0, 10, 0), 5);
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
  m.clock.stoppedAt += FORGOTTEN_NANOS;
  const file = m.inode("/host/d/f"), directory = m.inode("/host/d");
  equal(typeof file === "number" ? file : file.size, 5);
  equal(typeof directory === "number" ? directory : directory.mode & 0o777, 0o700);
  deepEqual(m.names("/host"), [".", "..", "d", "e"]);
  // A directory that was listed and is another one by the time it is entered.
  Deno.renameSync(`${m.directory}/e`, `${m.directory}/gone`);
  Deno.mkdirSync(`${m.directory}/e`);
  Deno.writeTextFileSync(`${m.directory}/e/in`, "");
  m.clock.stoppedAt += FORGOTTEN_NANOS;
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
    m.clock.stoppedAt += FORGOTTEN_NANOS;
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
