// The calls on files over tmpfs, as a guest makes them: open, io, vector, transfer, directory, attribute, xattr, mount.

import { deepEqual, equal } from "node:assert/strict";
import {
  EACCES,
  EAGAIN,
  EBADF,
  EBUSY,
  EEXIST,
  EFAULT,
  EFBIG,
  EINTR,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  EPERM,
  ERANGE,
  EROFS,
  ESPIPE,
  ETXTBSY,
  EXDEV,
} from "../abi/errno.ts";
import {
  AT_FDCWD,
  MNT_DETACH,
  MS_BIND,
  MS_RDONLY,
  MS_REMOUNT,
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_NONBLOCK,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  POLLERR,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
} from "../abi/file.ts";
import { i64, put64, u16, u32 } from "../abi/struct.ts";
import { RLIMIT_NOFILE } from "../abi/task.ts";
import { TMPFS_TYPE } from "../fs/tmpfs.ts";
import { TEST_BLOCKED, VfsTask } from "../../tests/support/vfs_task.ts";
import { DIRECT_READ, type DirectFile, NOT_MOVED } from "../../platform/platform.ts";
import { denyWriteAccess } from "../vfs/write_access.ts";
import { FAMILIES } from "./families.ts";
import type { SyscallHandler } from "./table.ts";

const calls = new Map<string, SyscallHandler>();
for (const family of FAMILIES) for (const [name, spec] of Object.entries(family)) calls.set(name, spec.run);

/** A task that makes calls by name. */
function guest(parent: VfsTask | null = null) {
  const t = new VfsTask(parent, [TMPFS_TYPE]);
  const sys = (name: string, ...values: (number | string | Uint8Array)[]) =>
    t.make(calls.get(name)!, ...values);
  /** A call of another thread's. */
  const sysOn = (other: VfsTask, name: string, ...values: (number | string | Uint8Array)[]) =>
    other.make(calls.get(name)!, ...values);
  return { t, sys, sysOn };
}
const OUT = 0x9_0000;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (t: VfsTask, length: number, at = OUT) =>
  new TextDecoder().decode(t.bytes.slice(at, at + length));
function iovecs(...pairs: [number, number][]): Uint8Array {
  const result = new Uint8Array(16 * pairs.length);
  pairs.forEach(([base, length], i) => {
    put64(result, 16 * i, base);
    put64(result, 16 * i + 8, length);
  });
  return result;
}

Deno.test("fallocate of much lets others have their turns, and is ended by a signal", () => {
  const { t, sys, sysOn } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o644);
  const MIB = 2 ** 20;
  equal(sys("fallocate", fd, 0, 5 * MIB, 15 * MIB), TEST_BLOCKED);
  equal(sys("lseek", fd, 0, 2), 8 * MIB);
  equal(sys("fallocate", fd, 0, 5 * MIB, 15 * MIB), TEST_BLOCKED);
  equal(t.goOn(), TEST_BLOCKED);
  equal(t.goOn(), 0);
  equal(sys("lseek", fd, 0, 2), 20 * MIB);
  equal(sys("fallocate", fd, 0, 0, 256 * MIB), TEST_BLOCKED);
  equal(t.interrupt(), -EINTR);
  equal(sys("fallocate", fd, 0, 0, 24 * MIB), TEST_BLOCKED);
  // Linux keeps the file of a call in progress: fdget().
  equal(sysOn(t.thread(), "close", fd), 0);
  equal(t.goOn(), TEST_BLOCKED);
  equal(t.goOn(), 0);
});

Deno.test("what a thread moves by itself may be a part: the rest goes by views, and nothing is short", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o644);
  const content = Uint8Array.from({ length: 40_000 }, (_, i) => i * 7 & 0xff);
  t.bytes.set(content, OUT);
  equal(sys("pwrite64", fd, OUT, content.length, 0), content.length);
  let moved = 0;
  const host = (fd: number) => t.host.files.get(fd)!.bytes;
  // Every second time, 5000 bytes.
  const move = (
    _: unknown,
    direction: number,
    file: DirectFile,
    address: number,
    _length: number,
    offset: number,
  ) => {
    if (moved++ % 2 === 1) return NOT_MOVED;
    const file_ = host(file.hostFd()), memory = t.bytes;
    if (direction === DIRECT_READ) memory.set(file_.subarray(offset, offset + 5000), address);
    else file_.set(memory.subarray(address, address + 5000), offset);
    return 5000;
  };
  Object.assign(t, { thread: { addressSpace: { move } } });
  for (let i = 0; i < 8; i++) {
    t.bytes.fill(0, OUT, OUT + content.length);
    equal(sys("pread64", fd, OUT, content.length + 9000, 0), content.length);
    deepEqual(t.bytes.slice(OUT, OUT + content.length), content);
    content.reverse();
    t.bytes.set(content, OUT);
    equal(sys("pwrite64", fd, OUT, content.length, 0), content.length);
  }
  equal(moved > 8, true);
});

Deno.test("write, lseek and read share the position of the open file description", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o644);
  equal(fd, 0);
  equal(sys("write", fd, bytes("hello world"), 11), 11);
  const twin = sys("dup", fd);
  equal(sys("lseek", twin, 6, 0), 6);
  equal(sys("read", fd, OUT, 100), 5);
  equal(text(t, 5), "world");
  equal(sys("read", fd, OUT, 100), 0);
  equal(sys("pread64", fd, OUT, 4, 1), 4);
  equal(text(t, 4), "ello");
  equal(sys("pwrite64", fd, bytes("J"), 1, 0), 1);
  equal(sys("lseek", fd, 0, 1), 11);
  equal(sys("lseek", fd, -12, 2), -EINVAL);
  equal(sys("lseek", fd, 4, 3), 4);
  equal(sys("lseek", fd, 0, 4), 11);
});

Deno.test("holes read as zeros, small and large", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o644);
  for (const end of [5000, 700_000]) {
    equal(sys("pwrite64", fd, bytes("x"), 1, end), 1);
    t.bytes.fill(7, OUT, OUT + 16);
    equal(sys("pread64", fd, OUT, 16, end - 8), 9);
    deepEqual([...t.bytes.slice(OUT, OUT + 9)], [0, 0, 0, 0, 0, 0, 0, 0, 0x78]);
  }
  equal(sys("ftruncate", fd, 3), 0);
  equal(sys("ftruncate", fd, 10), 0);
  equal(sys("pread64", fd, OUT, 16, 0), 10);
  deepEqual([...t.bytes.slice(OUT, OUT + 10)], new Array(10).fill(0));
});

Deno.test("O_APPEND writes at the end wherever the position is", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR | O_APPEND, 0o644);
  sys("write", fd, bytes("ab"), 2);
  sys("lseek", fd, 0, 0);
  sys("write", fd, bytes("cd"), 2);
  equal(sys("lseek", fd, 0, 1), 4);
  equal(sys("pread64", fd, OUT, 9, 0), 4);
  equal(text(t, 4), "abcd");
});

Deno.test("descriptors that cannot do it answer EBADF, directories EISDIR, bad addresses EFAULT", () => {
  const { sys } = guest();
  const readOnly = sys("open", "/f", O_CREAT | O_RDONLY, 0o644);
  const place = sys("open", "/f", O_PATH);
  const directory = sys("open", "/", O_RDONLY | O_DIRECTORY);
  equal(sys("write", readOnly, bytes("x"), 1), -EBADF);
  equal(sys("read", place, OUT, 1), -EBADF);
  equal(sys("lseek", place, 0, 0), -EBADF);
  equal(sys("read", 99, OUT, 1), -EBADF);
  equal(sys("read", directory, OUT, 1), -EISDIR);
  equal(sys("open", 0, O_RDONLY), -EFAULT);
  const writable = sys("open", "/f", O_RDWR);
  equal(sys("write", writable, 0x1000_0000, 4), -EFAULT);
  equal(sys("pread64", writable, OUT, 1, -1), -EINVAL);
});

Deno.test("vectors gather and scatter in order", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o644);
  const a = t.put("one"), b = t.put("two!");
  equal(sys("writev", fd, iovecs([a, 3], [0, 0], [b, 4]), 3), 7);
  equal(sys("preadv", fd, iovecs([OUT, 2], [OUT + 100, 10]), 2, 1), 6);
  equal(text(t, 2), "ne");
  equal(text(t, 4, OUT + 100), "two!");
  equal(sys("pwritev2", fd, iovecs([a, 1], [b, 1]), 2, -1, 0, 0), 2);
  equal(sys("lseek", fd, 0, 1), 9);
  equal(sys("writev", fd, iovecs([a, 3]), 1025), -EINVAL);
});

Deno.test("a blocking pipe write goes on until all is written", () => {
  const { t, sys, sysOn } = guest();
  equal(sys("pipe2", OUT, O_NONBLOCK), 0);
  const reader = u32(t.bytes, OUT), writer = u32(t.bytes, OUT + 4);
  equal(sys("read", reader, OUT, 1), -EAGAIN);
  equal(sys("fcntl", writer, 4, 0), 0); // F_SETFL: blocking
  const size = 100_000;
  equal(sys("write", writer, 0x1_0000, size), TEST_BLOCKED);
  equal(t.call.done, 65536);
  const other = t.thread();
  equal(sysOn(other, "read", reader, OUT, 60_000), 60_000);
  equal(t.isWoken, true);
  equal(t.goOn(), size);
  equal(sys("splice", reader, 0, sys("open", "/f", O_CREAT | O_RDWR, 0o644), 0, 200_000, 0), 40_000);
});

Deno.test("a read that waits stays with its file when another thread closes and reuses the descriptor", () => {
  const { t, sys, sysOn } = guest();
  sys("pipe", OUT);
  const reader = u32(t.bytes, OUT), writer = u32(t.bytes, OUT + 4);
  equal(sys("read", reader, OUT, 10), TEST_BLOCKED);
  const other = t.thread();
  equal(sysOn(other, "close", reader), 0);
  equal(sysOn(other, "open", "/f", O_CREAT | O_RDWR, 0o644), reader);
  sysOn(other, "write", reader, bytes("wrong"), 5);
  sysOn(other, "lseek", reader, 0, 0);
  equal(sysOn(other, "write", writer, bytes("right"), 5), 5);
  equal(t.goOn(), 5);
  equal(text(t, 5), "right");
  // With the call the last user of the pipe's end is gone.
  equal(other.files.get(writer)!.readiness() & POLLERR, POLLERR);
});

Deno.test("sendfile and copy_file_range keep their offsets", () => {
  const { t, sys } = guest();
  const from = sys("open", "/from", O_CREAT | O_RDWR, 0o644),
    to = sys("open", "/to", O_CREAT | O_RDWR, 0o644);
  sys("write", from, bytes("0123456789"), 10);
  const offset = new Uint8Array(8);
  put64(offset, 0, 4);
  const at = t.put(offset);
  equal(sys("sendfile", to, from, at, 3), 3);
  equal(i64(t.bytes, at), 7);
  equal(sys("lseek", from, 0, 1), 10);
  equal(sys("lseek", from, 8, 0), 8);
  equal(sys("copy_file_range", from, 0, to, 0, 100, 0), 2);
  equal(sys("pread64", to, OUT, 10, 0), 5);
  equal(text(t, 5), "45689");
  equal(sys("lseek", from, 0, 1), 10);
});

Deno.test("names: EEXIST, ENOENT, EISDIR, ENOTDIR, ENOTEMPTY and EBUSY where Linux says so", () => {
  const { t, sys } = guest();
  equal(sys("mkdir", "/d", 0o755), 0);
  equal(sys("mkdir", "/d/", 0o755), -EEXIST);
  equal(sys("mkdir", "/", 0o755), -EEXIST);
  equal(sys("mkdir", "/d/.", 0o755), -EEXIST);
  equal(sys("mkdir", "/x/y", 0o755), -ENOENT);
  equal(sys("mknod", "/d/f", 0o100644, 0), 0);
  equal(sys("mknod", "/d/slash/", 0o100644, 0), -ENOENT);
  equal(sys("unlink", "/d"), -EISDIR);
  equal(sys("unlink", "/d/f/"), -ENOTDIR);
  equal(sys("rmdir", "/d/f"), -ENOTDIR);
  equal(sys("rmdir", "/d"), -ENOTEMPTY);
  equal(sys("rmdir", "/d/."), -EINVAL);
  equal(sys("rmdir", "/d/.."), -ENOTEMPTY);
  equal(sys("rmdir", "/"), -EBUSY);
  equal(sys("symlink", "", "/l"), -ENOENT);
  equal(sys("link", "/d", "/e"), -EPERM);
  equal(sys("link", "/d/f", "/e"), 0);
  equal(sys("unlink", "/d/f"), 0);
  equal(sys("rmdir", "/d"), 0);
  equal(t.task.fs.root.inode.nlink, 2);
});

Deno.test("rename replaces, exchanges and refuses", () => {
  const { sys } = guest();
  for (const name of ["/a", "/a/b", "/empty"]) sys("mkdir", name, 0o755);
  for (const name of ["/f", "/a/g"]) sys("mknod", name, 0o100644, 0);
  const rename = (from: string, to: string, flags = 0) =>
    sys("renameat2", AT_FDCWD, from, AT_FDCWD, to, flags);
  equal(rename("/a", "/a/b/c"), -EINVAL);
  equal(rename("/a/b", "/a"), -ENOTEMPTY);
  equal(rename("/f", "/a"), -EISDIR);
  equal(rename("/a", "/f"), -ENOTDIR);
  equal(rename("/f", "/a/g", RENAME_NOREPLACE), -EEXIST);
  equal(rename("/f", "/none", RENAME_EXCHANGE), -ENOENT);
  equal(rename("/f", "/a/g", RENAME_NOREPLACE | RENAME_EXCHANGE), -EINVAL);
  equal(rename("/a", "/empty"), 0);
  equal(rename("/f", "/f"), 0);
  equal(rename("/f", "/empty/b", RENAME_EXCHANGE), 0);
  equal(sys("rmdir", "/f"), 0);
  equal(sys("unlink", "/empty/b"), 0);
  equal(rename("/empty/.", "/x"), -EBUSY);
});

Deno.test("getdents64 goes on behind what was removed meanwhile", () => {
  const { t, sys } = guest();
  sys("mkdir", "/d", 0o755);
  for (let i = 0; i < 20; i++) sys("mknod", `/d/file${i}`, 0o100644, 0);
  const fd = sys("open", "/d", O_RDONLY | O_DIRECTORY);
  const seen: string[] = [];
  equal(sys("getdents64", fd, OUT, 10), -EINVAL);
  for (;;) {
    const length = sys("getdents64", fd, OUT, 200);
    if (length <= 0) {
      equal(length, 0);
      break;
    }
    for (let at = OUT; at < OUT + length; at += u16(t.bytes, at + 16)) {
      const end = t.bytes.indexOf(0, at + 19);
      const name = text(t, end - at - 19, at + 19);
      seen.push(name);
      if (name.startsWith("f")) equal(sys("unlink", `/d/${name}`), 0);
    }
  }
  equal(seen.length, 22);
  equal(sys("rmdir", "/d"), 0);
  equal(sys("getdents64", fd, OUT, 200), -ENOENT);
});

Deno.test("getcwd follows renames and tells of a removed directory", () => {
  const { t, sys } = guest();
  sys("mkdir", "/a", 0o755);
  sys("mkdir", "/a/b", 0o755);
  equal(sys("chdir", "/a/b"), 0);
  sys("rename", "/a", "/c");
  equal(sys("getcwd", OUT, 4), -ERANGE);
  equal(sys("getcwd", OUT, 100), 5);
  equal(text(t, 4), "/c/b");
  sys("rmdir", "/c/b");
  equal(sys("getcwd", OUT, 100), -ENOENT);
  equal(sys("mknod", "x", 0o100644, 0), -ENOENT);
  equal(sys("chdir", ".."), 0);
});

Deno.test("chmod, chown and writes take privileges off as Linux does", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o644);
  const inode = t.files.get(fd)!.inode;
  equal(sys("fchmod", fd, 0o6755), 0);
  equal(sys("chown", "/f", 1000, 1000), 0);
  equal(inode.mode & 0o7777, 0o755);
  sys("chmod", "/f", 0o4777);
  t.dropTo(1001);
  equal(sys("chmod", "/f", 0o700), -EPERM);
  equal(sys("chown", "/f", 1001, 0xffff_ffff), -EPERM);
  const mine = sys("open", "/f", O_WRONLY);
  equal(sys("write", mine, bytes("x"), 1), 1);
  equal(inode.mode & 0o7777, 0o777);
  t.dropTo(1000);
  equal(sys("chmod", "/f", 0o2700), 0);
  equal(inode.mode & 0o7777, 0o2700);
});

Deno.test("utimensat sets, omits and checks", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o666);
  const inode = t.files.get(fd)!.inode;
  const times = new Uint8Array(32);
  put64(times, 0, 12345);
  put64(times, 8, 678);
  put64(times, 24, 0x3ffffffe);
  const { mtimeSec } = inode;
  equal(sys("utimensat", AT_FDCWD, "/f", times, 0), 0);
  deepEqual([inode.atimeSec, inode.atimeNsec, inode.mtimeSec], [12345, 678, mtimeSec]);
  put64(times, 8, 1e9);
  equal(sys("utimensat", AT_FDCWD, "/f", times, 0), -EINVAL);
  t.dropTo(1000);
  equal(sys("utimensat", fd, 0, 0, 0), -EACCES);
  put64(times, 8, 5);
  equal(sys("utimensat", fd, 0, times, 0), -EPERM);
});

Deno.test("xattrs come back with their sizes and rules", () => {
  const { t, sys } = guest();
  sys("mknod", "/f", 0o100644, 0);
  equal(sys("setxattr", "/f", "user.a", bytes("value"), 5, 0), 0);
  equal(sys("setxattr", "/f", "user.a", bytes("v"), 1, 1), -EEXIST);
  equal(sys("getxattr", "/f", "user.a", OUT, 0), 5);
  equal(sys("getxattr", "/f", "user.a", OUT, 3), -ERANGE);
  equal(sys("getxattr", "/f", "user.a", OUT, 9), 5);
  equal(text(t, 5), "value");
  equal(sys("listxattr", "/f", OUT, 100), 7);
  equal(sys("getxattr", "/f", "user.b", OUT, 9), -61);
  equal(sys("setxattr", "/f", "other.a", bytes("v"), 1, 0), -95);
  t.dropTo(1000);
  equal(sys("setxattr", "/f", "user.a", bytes("v"), 1, 0), -EACCES);
  equal(sys("setxattr", "/f", "trusted.a", bytes("v"), 1, 0), -EPERM);
  equal(sys("removexattr", "/f", "user.a"), -EACCES);
});

Deno.test("mounts: tmpfs with options, bind, read-only remount, busy and lazy unmount", () => {
  const { t, sys } = guest();
  for (const name of ["/m", "/b"]) sys("mkdir", name, 0o755);
  equal(sys("mount", "none", "/m", "nosuchfs", 0, 0), -19);
  equal(sys("mount", "none", "/m", "tmpfs", 0, "size=bad"), -EINVAL);
  equal(sys("mount", "none", "/m", "tmpfs", 0, "size=8k,mode=700"), 0);
  const fd = sys("open", "/m/f", O_CREAT | O_RDWR, 0o644);
  equal(sys("ftruncate", fd, 1_000_000), 0);
  equal(sys("write", fd, new Uint8Array(9000), 9000), 8192);
  equal(sys("write", fd, new Uint8Array(10), 10), -28);
  equal(sys("mount", "/m", "/b", 0, MS_BIND, 0), 0);
  equal(sys("mount", "none", "/b", 0, MS_REMOUNT | MS_BIND | MS_RDONLY, 0), 0);
  equal(sys("open", "/b/f", O_RDWR), -EROFS);
  equal(sys("open", "/b/g", O_RDWR | O_CREAT, 0o644), -EROFS);
  equal(sys("mkdir", "/b/f", 0o755), -EEXIST);
  equal(sys("rename", "/m/f", "/b/f"), -EXDEV);
  equal(sys("link", "/m/f", "/b/g"), -EROFS);
  equal(sys("link", "/b/f", "/g"), -EXDEV);
  equal(sys("rmdir", "/m"), -EBUSY);
  equal(sys("umount2", "/m", 0), -EBUSY);
  equal(sys("umount2", "/m", MNT_DETACH), 0);
  equal(sys("open", "/m/f", O_RDONLY), -ENOENT);
  equal(sys("pread64", fd, OUT, 1, 0), 1);
  equal(sys("umount2", "/b", 0), 0);
  equal(sys("umount2", "/b", 0), -EINVAL);
  t.dropTo(1000);
  equal(sys("mount", "none", "/m", "tmpfs", 0, 0), -EPERM);
});

Deno.test("pivot_root puts everyone into the new root", () => {
  const { t, sys } = guest();
  sys("mkdir", "/new", 0o755);
  equal(sys("pivot_root", "/new", "/new"), -EBUSY);
  equal(sys("mount", "none", "/new", "tmpfs", 0, 0), 0);
  sys("mkdir", "/new/old", 0o755);
  equal(sys("pivot_root", "/new", "/new/old"), 0);
  equal(sys("open", "/old/new", O_RDONLY | O_DIRECTORY) >= 0, true);
  equal(sys("chdir", "/"), 0);
  equal(sys("umount2", "/old", MNT_DETACH), 0);
  equal(t.namespaces.mount.count, 1);
});

Deno.test("pivot_root works with the same directory for both, as runc does it", () => {
  const { sys } = guest();
  sys("mkdir", "/new", 0o755);
  sys("mount", "none", "/new", "tmpfs", 0, 0);
  sys("mknod", "/new/here", 0o100644, 0);
  const old = sys("open", "/", O_DIRECTORY);
  sys("chdir", "/new");
  equal(sys("pivot_root", ".", "."), 0);
  equal(sys("fchdir", old), 0);
  equal(sys("umount2", ".", MNT_DETACH), 0);
  equal(sys("chdir", "/"), 0);
  equal(sys("access", "/here", 0), 0);
});

Deno.test("descriptors: lowest number, limit, close_range, dup2 onto itself", () => {
  const { t, sys } = guest();
  for (let i = 0; i < 5; i++) equal(sys("open", "/f", O_CREAT | O_RDWR, 0o644), i);
  equal(sys("close", 1), 0);
  equal(sys("close", 3), 0);
  equal(sys("dup", 0), 1);
  equal(sys("fcntl", 0, 0, 2), 3);
  equal(sys("fcntl", 0, 1030, 10), 10);
  equal(sys("fcntl", 10, 1), 1);
  equal(sys("dup2", 4, 4), 4);
  equal(sys("dup2", 9, 9), -EBADF);
  equal(sys("close_range", 2, 0xffff_ffff, 0), 0);
  equal(t.files.count, 2);
  t.threadGroup.limits.set(RLIMIT_NOFILE, 3, 3);
  equal(sys("dup", 0), 2);
  equal(sys("dup", 0), -24);
  equal(sys("dup2", 0, 3), -EBADF);
  equal(sys("lseek", 0, 0, 9), -EINVAL);
  equal(sys("ioctl", 0, 0x5421, 0), -EFAULT);
});

Deno.test("a running program's file cannot be written, a written one cannot run", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR, 0o755);
  const { inode } = t.files.get(fd)!;
  equal(denyWriteAccess(inode), -ETXTBSY);
  sys("close", fd);
  equal(denyWriteAccess(inode), 0);
  equal(sys("open", "/f", O_WRONLY), -ETXTBSY);
  equal(sys("open", "/f", O_RDONLY), 0);
  equal(sys("truncate", "/f", -1), -EINVAL);
});

Deno.test("RLIMIT_FSIZE cuts a write short and then refuses", () => {
  const { t, sys } = guest();
  const fd = sys("open", "/f", O_CREAT | O_RDWR | O_TRUNC, 0o644);
  t.threadGroup.limits.set(1, 4, 4);
  equal(sys("write", fd, bytes("abcdef"), 6), 4);
  let signals = 0;
  Object.defineProperty(t.threadGroup, "liveCount", { get: () => (signals++, 0) });
  equal(sys("write", fd, bytes("x"), 1), -EFBIG);
  equal(sys("ftruncate", fd, 100), -EFBIG);
  equal(signals, 2);
});

Deno.test("pipes have no position", () => {
  const { t, sys } = guest();
  equal(sys("pipe", OUT), 0);
  const reader = u32(t.bytes, OUT);
  equal(sys("lseek", reader, 0, 0), -ESPIPE);
  equal(sys("pread64", reader, OUT, 1, 0), -ESPIPE);
  equal(sys("getdents64", reader, OUT, 100), -ENOTDIR);
  equal(sys("fchdir", reader), -ENOTDIR);
});

Deno.test("what a kind of file cannot do has the errno that Linux gives for it", () => {
  const F_SETFL = 4, F_SETPIPE_SZ = 1031, F_GETPIPE_SZ = 1032, F_ADD_SEALS = 1033, F_GET_SEALS = 1034;
  const O_DIRECT = 0o40000;
  const { t, sys } = guest();
  const pipeAt = t.put(new Uint8Array(8));
  equal(sys("pipe2", pipeAt, 0), 0);
  const directory = sys("openat", AT_FDCWD, "/", O_RDONLY);
  const file = sys("openat", AT_FDCWD, "/f", O_RDWR | O_CREAT, 0o600);
  const place = sys("openat", AT_FDCWD, "/f", O_PATH);
  const memory = sys("memfd_create", "m", 2);
  const [reader, writer] = [0, 4].map((at) => u32(t.bytes, pipeAt + at));
  const kinds = [directory, file, place, memory, reader, writer];
  const on = (name: string, ...values: number[]) => kinds.map((fd) => sys(name, fd, ...values));
  deepEqual(on("ftruncate", 0), [-EINVAL, 0, -EBADF, 0, -EINVAL, -EINVAL]);
  deepEqual(on("fallocate", 0, 0, 4096), [-EBADF, 0, -EBADF, 0, -EBADF, -ESPIPE]);
  deepEqual(on("fcntl", F_GETPIPE_SZ), [-EBADF, -EBADF, -EBADF, -EBADF, 65536, 65536]);
  deepEqual(on("fcntl", F_SETPIPE_SZ, 5000), [-EBADF, -EBADF, -EBADF, -EBADF, 8192, 8192]);
  deepEqual(on("fcntl", F_GET_SEALS).filter((_, i) => i !== 1), [-EINVAL, -EBADF, 0, -EINVAL, -EINVAL]);
  deepEqual(on("fcntl", F_ADD_SEALS, 0).filter((_, i) => i !== 1), [-EPERM, -EBADF, 0, -EPERM, -EINVAL]);
  deepEqual(on("fcntl", F_SETFL, O_DIRECT), [-EINVAL, 0, -EBADF, 0, 0, 0]);
  deepEqual(on("getdents64", 8192, 0), [-EINVAL, -ENOTDIR, -EBADF, -ENOTDIR, -ENOTDIR, -ENOTDIR]);
  deepEqual(on("lseek", 0, 0), [0, 0, -EBADF, 0, -ESPIPE, -ESPIPE]);
});
