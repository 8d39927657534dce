import { deepEqual, equal } from "node:assert/strict";
import { ENOENT, ENOTEMPTY, EROFS } from "../../abi/errno.ts";
import {
  AT_FDCWD,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  RENAME_EXCHANGE,
  S_IFCHR,
} from "../../abi/file.ts";
import { VfsTask } from "../../../tests/support/vfs_task.ts";
import { changeMode } from "../../vfs/attributes.ts";
import { makeDirectory, makeLink, makeSymlink } from "../../vfs/create.ts";
import type { File } from "../../vfs/file.ts";
import { newMount } from "../../vfs/mount.ts";
import { openByName } from "../../vfs/open.ts";
import type { Path } from "../../vfs/path.ts";
import { resolve } from "../../vfs/path_walk.ts";
import { removeDirectory, removeFile, renamePath } from "../../vfs/remove.ts";
import { attach } from "../../vfs/mounting.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import type { Tmpfs as TmpfsFilesystem } from "../tmpfs.ts";
import { OverlayFilesystem } from "./overlay.ts";

/**
 * /lower with file "low", d/{one,two}, d/sub/deep, link -> low; /upper empty; the overlay of both at /m.
 */
function layers(): VfsTask {
  const t = new VfsTask();
  for (const name of ["/lower", "/upper", "/m", "/lower/d", "/lower/d/sub"]) {
    makeDirectory(t.task, AT_FDCWD, name, 0o755);
  }
  for (const name of ["/lower/d/one", "/lower/d/two", "/lower/d/sub/deep"]) write(t, name, name);
  write(t, "/lower/low", "below");
  makeSymlink(t.task, "low", AT_FDCWD, "/lower/link");
  const fs = new OverlayFilesystem(at(t, "/upper").inode, [at(t, "/lower").inode], "");
  fs.task = t.task;
  attach(t.namespaces.mount, newMount(fs, "overlay", 0), at(t, "/m"));
  return t;
}

function at(t: VfsTask, name: string): Path {
  const path = resolve(t.task, AT_FDCWD, name, 0);
  if (typeof path === "number") throw new Error(`${name}: ${path}`);
  return path;
}
function open(t: VfsTask, name: string, flags: number): File {
  const file = openByName(t.task, AT_FDCWD, name, flags, 0o644);
  if (typeof file === "number") throw new Error(`${name}: ${file}`);
  return file;
}
function write(t: VfsTask, name: string, text: string, flags = O_CREAT | O_TRUNC): void {
  const file = open(t, name, O_WRONLY | flags);
  const bytes = new TextEncoder().encode(text);
  equal(file.write(t.task, bytes, 0, bytes.length, 0), bytes.length);
  file.drop();
}
function textOf(t: VfsTask, file: File): string {
  const bytes = new Uint8Array(256);
  return new TextDecoder().decode(bytes.subarray(0, file.read(t.task, bytes, 0, 256, 0)));
}
function read(t: VfsTask, name: string): string | number {
  const file = openByName(t.task, AT_FDCWD, name, O_RDONLY, 0);
  if (typeof file === "number") return file;
  const text = textOf(t, file);
  file.drop();
  return text;
}
function wholeText(t: VfsTask, name: string): string {
  const file = open(t, name, O_RDONLY);
  const bytes = new Uint8Array(file.inode.size + 1);
  const n = file.read(t.task, bytes, 0, bytes.length, 0);
  file.drop();
  return new TextDecoder().decode(bytes.subarray(0, n));
}
/** Names in a directory, sorted, without dots. */
function list(t: VfsTask, name: string): string {
  const file = open(t, name, O_RDONLY | O_DIRECTORY);
  const names: string[] = [];
  equal(file.asDirectory()!.readDirectory(t.task, { emit: (entry) => names.push(entry) > 0 }), 0);
  file.drop();
  return names.filter((entry) => !entry.startsWith(".")).sort().join(" ");
}

Deno.test("what stands below shows, and stays as it is when it is written above", () => {
  const t = layers();
  equal(list(t, "/m"), "d link low");
  equal(read(t, "/m/low"), "below");
  const before = at(t, "/m/low").inode;
  write(t, "/m/low", "!", O_APPEND);
  equal(read(t, "/m/low"), "below!");
  equal(read(t, "/lower/low"), "below");
  equal(read(t, "/upper/low"), "below!");
  equal(at(t, "/m/low").inode, before);
  equal(list(t, "/upper"), "low");
});

Deno.test("truncating at open copies nothing", () => {
  const t = layers();
  write(t, "/m/low", "new");
  equal(read(t, "/m/low"), "new");
  equal(read(t, "/lower/low"), "below");
});

Deno.test("a file open for reading sees what is written after it was copied up", () => {
  const t = layers();
  const reader = open(t, "/m/low", O_RDONLY);
  const writer = open(t, "/m/low", O_RDWR);
  writer.write(t.task, new TextEncoder().encode("BE"), 0, 2, 0);
  equal(textOf(t, reader), "BElow");
  equal(reader.inode, writer.inode);
});

Deno.test("copying up brings the directories along and keeps mode, times and inode number", () => {
  const t = layers();
  changeMode(t.task, at(t, "/lower/d/sub/deep"), 0o4711);
  changeMode(t.task, at(t, "/lower/d"), 0o751);
  const { mtimeNsec, ino } = at(t, "/m/d/sub/deep").inode;
  const directoryTime = at(t, "/m/d").inode.mtimeNsec;
  changeMode(t.task, at(t, "/m/d/sub/deep"), 0o600);
  equal(at(t, "/upper/d").inode.mode & 0o7777, 0o751);
  equal(at(t, "/upper/d/sub/deep").inode.mode & 0o7777, 0o600);
  equal(at(t, "/m/d/sub/deep").inode.mtimeNsec, mtimeNsec);
  equal(at(t, "/m/d/sub/deep").inode.ino, ino);
  equal(at(t, "/m/d").inode.mtimeNsec, directoryTime);
  equal(at(t, "/lower/d/sub/deep").inode.mode & 0o7777, 0o4711);
});

Deno.test("a copy-up whose lower file must be waited for goes on where it is, and shows no part of the file", () => {
  const t = layers();
  const text = Array.from({ length: 100_000 }, (_, i) => String(i)).join("\n");
  write(t, "/lower/low", text);
  const lower = at(t, "/lower/low").inode, open = lower.open.bind(lower);
  const offsets: number[] = [];
  let opened = 0;
  lower.open = (task, flags) => {
    opened++;
    const file = open(task, flags) as File;
    const read = file.read.bind(file);
    // Each piece is there when it is asked for the second time, as a late answer of the gofer's is.
    file.read = (task, into, at, length, offset) => {
      if (!offsets.includes(offset)) return offsets.push(offset), MUST_WAIT;
      return read(task, into, at, length, offset);
    };
    return file;
  };
  const change = at(t, "/m/low");
  let calls = 0, result: number;
  do {
    result = changeMode(t.task, change, 0o600);
    if (result === MUST_WAIT) {
      deepEqual([++calls <= 10, list(t, "/upper"), change.inode.mode & 0o777], [true, "", 0o644]);
    }
  } while (result === MUST_WAIT);
  deepEqual([result, calls, opened], [0, offsets.length, 1]);
  equal(at(t, "/upper/low").inode.mode & 0o777, 0o600);
  equal(wholeText(t, "/upper/low"), text);
  equal(at(t, "/upper/low").inode.nlink, 1);
});

Deno.test("a copy-up that is never finished is dropped with the overlay, and with many newer ones", () => {
  const t = layers();
  const fs = at(t, "/m").inode.fs as OverlayFilesystem, upper = at(t, "/upper").inode.fs as TmpfsFilesystem;
  const names = Array.from({ length: 40 }, (_, i) => `/lower/d/${i}`);
  for (const name of names) {
    write(t, name, name);
    const lower = at(t, name).inode, open = lower.open.bind(lower);
    lower.open = (task, flags) => {
      const file = open(task, flags) as File;
      file.read = () => MUST_WAIT;
      return file;
    };
  }
  const before = upper.inodesUsed;
  for (const name of names) equal(changeMode(t.task, at(t, name.replace("/lower", "/m")), 0o600), MUST_WAIT);
  // The directory above has come up.
  equal(upper.inodesUsed, before + 1 + 16);
  fs.copies.release();
  equal(upper.inodesUsed, before + 1);
});

Deno.test("a removed file is covered by a whiteout, and its name can be used again", () => {
  const t = layers();
  equal(removeFile(t.task, AT_FDCWD, "/m/low"), 0);
  equal(read(t, "/m/low"), -ENOENT);
  equal(list(t, "/m"), "d link");
  equal(at(t, "/upper/low").inode.mode & 0o170000, S_IFCHR);
  write(t, "/m/low", "again");
  equal(read(t, "/m/low"), "again");
  equal(removeFile(t.task, AT_FDCWD, "/m/low"), 0);
  equal(read(t, "/m/low"), -ENOENT);
  equal(read(t, "/lower/low"), "below");
});

Deno.test("a removed directory does not show through the one that takes its name", () => {
  const t = layers();
  equal(removeDirectory(t.task, AT_FDCWD, "/m/d/sub"), -ENOTEMPTY);
  for (const name of ["sub/deep", "one", "two"]) equal(removeFile(t.task, AT_FDCWD, `/m/d/${name}`), 0);
  equal(removeDirectory(t.task, AT_FDCWD, "/m/d/sub"), 0);
  equal(list(t, "/m/d"), "");
  equal(removeDirectory(t.task, AT_FDCWD, "/m/d"), 0);
  equal(list(t, "/m"), "link low");
  equal(makeDirectory(t.task, AT_FDCWD, "/m/d", 0o755), 0);
  equal(list(t, "/m/d"), "");
  write(t, "/m/d/one", "mine");
  equal(list(t, "/m/d"), "one");
});

Deno.test("files and directories of the lower layer can be renamed", () => {
  const t = layers();
  const rename = (from: string, to: string, flags = 0) =>
    renamePath(t.task, AT_FDCWD, from, AT_FDCWD, to, flags);
  equal(rename("/m/low", "/m/d/one"), 0);
  equal(read(t, "/m/d/one"), "below");
  equal(read(t, "/m/low"), -ENOENT);
  equal(rename("/m/d", "/m/e"), 0);
  equal(list(t, "/m"), "e link");
  equal(list(t, "/m/e"), "one sub two");
  equal(read(t, "/m/e/sub/deep"), "/lower/d/sub/deep");
  equal(makeDirectory(t.task, AT_FDCWD, "/m/d", 0o755), 0);
  equal(list(t, "/m/d"), "");
  equal(rename("/m/e", "/m/d"), 0);
  equal(list(t, "/m/d"), "one sub two");
  equal(rename("/m/d/two", "/m/d/sub", RENAME_EXCHANGE), 0);
  equal(read(t, "/m/d/sub"), "/lower/d/two");
  equal(list(t, "/m/d/two"), "deep");
  equal(rename("/m/d/two", "/m/d/two/x"), -22);
});

Deno.test("hard links are one inode above", () => {
  const t = layers();
  equal(makeLink(t.task, at(t, "/m/low"), AT_FDCWD, "/m/twin"), 0);
  equal(at(t, "/m/low").inode, at(t, "/m/twin").inode);
  equal(at(t, "/m/low").inode.nlink, 2);
  write(t, "/m/twin", "both");
  equal(read(t, "/m/low"), "both");
});

Deno.test("extended attributes come up, the overlay's own stay hidden", () => {
  const t = layers();
  at(t, "/lower/low").inode.setXattr("user.a", new Uint8Array([1]), 0);
  changeMode(t.task, at(t, "/m/low"), 0o600);
  deepEqual(at(t, "/m/low").inode.listXattr(), ["user.a"]);
  removeFile(t.task, AT_FDCWD, "/m/d/one");
  equal(renamePath(t.task, AT_FDCWD, "/m/d", AT_FDCWD, "/m/e", 0), 0);
  deepEqual(at(t, "/upper/e").inode.listXattr(), ["trusted.overlay.opaque"]);
  deepEqual(at(t, "/m/e").inode.listXattr(), []);
});

Deno.test("without an upper layer nothing can be written", () => {
  const t = layers();
  const fs = new OverlayFilesystem(null, [at(t, "/lower").inode, at(t, "/m").inode], "");
  attach(t.namespaces.mount, newMount(fs, "overlay", 0), at(t, "/upper"));
  equal(list(t, "/upper"), "d link low");
  equal(openByName(t.task, AT_FDCWD, "/upper/low", O_WRONLY, 0), -EROFS);
  equal(makeDirectory(t.task, AT_FDCWD, "/upper/new", 0o755), -EROFS);
  equal(removeFile(t.task, AT_FDCWD, "/upper/low"), -EROFS);
});

Deno.test("an upper layer that was used before shows the same tree again", () => {
  const t = layers();
  removeFile(t.task, AT_FDCWD, "/m/low");
  renamePath(t.task, AT_FDCWD, "/m/d", AT_FDCWD, "/m/e", 0);
  makeDirectory(t.task, AT_FDCWD, "/m/d", 0o755);
  const fs = new OverlayFilesystem(at(t, "/upper").inode, [at(t, "/lower").inode], "");
  fs.task = t.task;
  makeDirectory(t.task, AT_FDCWD, "/n", 0o755);
  attach(t.namespaces.mount, newMount(fs, "overlay", 0), at(t, "/n"));
  equal(list(t, "/n"), "d e link");
  equal(list(t, "/n/d"), "");
  equal(list(t, "/n/e"), "one sub two");
});
