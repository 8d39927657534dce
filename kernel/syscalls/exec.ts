// execve(2) and execveat(2): the arguments, read out of the caller's memory before it goes.

import { E2BIG, EBADF, EFAULT, EINVAL } from "../abi/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PATH_MAX } from "../abi/file.ts";
import { u64 } from "../abi/struct.ts";
import { ARG_STRING_BYTES_MAX } from "../loader/stack.ts";
import type { Target } from "../loader/program.ts";
import { execute } from "../task/exec.ts";
import type { Task } from "../task/task.ts";
import { EMPTY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

/** Pointers read at once from argv and envp. */
const POINTERS_STEP = 64;
/** Strings of one list; the byte limit comes first in practice. */
const STRINGS_MAX = 0x7fffff;

export const EXEC_CALLS: SyscallFamily = {
  execve: {
    nr: { x64: 59, arm64: 221 },
    args: { pathname: "path", argv: "word", envp: "word" },
    returns: "none",
    support: FULL,
    run: execve,
  },
  execveat: {
    nr: { x64: 322, arm64: 281 },
    args: {
      dirfd: "dirfd",
      pathname: "path",
      argv: "word",
      envp: "word",
      flags: { flags: { AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW } },
    },
    returns: "none",
    support: FULL,
    run: execveat,
  },
};

function execve(task: Task, args: Args): number {
  return executeAt(task, AT_FDCWD, args.word(0), args.word(1), args.word(2), FOLLOW);
}

function execveat(task: Task, args: Args): number {
  const flags = args.u32(4);
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) !== 0) return -EINVAL;
  const how = ((flags & AT_SYMLINK_NOFOLLOW) !== 0 ? 0 : FOLLOW) |
    ((flags & AT_EMPTY_PATH) !== 0 ? EMPTY : 0);
  return executeAt(task, args.i32(0), args.word(1), args.word(2), args.word(3), how);
}

function executeAt(
  task: Task,
  dirfd: number,
  name: number,
  argvAt: number,
  envpAt: number,
  how: number,
): number {
  const path = task.memory.readString(name, PATH_MAX);
  if (typeof path === "number") return path;
  const target = findTarget(task, dirfd, path, how);
  if (typeof target === "number") return target;
  const argv = readStrings(task, argvAt);
  if (typeof argv === "number") return argv;
  const envp = readStrings(task, envpAt);
  if (typeof envp === "number") return envp;
  return execute(task, target, argv, envp);
}

/** What a name means: an object in the tree, or a descriptor's file. */
function findTarget(task: Task, dirfd: number, name: string, how: number): Target | number {
  const isByDescriptor = dirfd !== AT_FDCWD && !name.startsWith("/");
  const isGoneAfter = isByDescriptor && task.files.isCloseOnExec(dirfd);
  if (isByDescriptor && name === "" && (how & EMPTY) !== 0) {
    const file = task.files.get(dirfd);
    if (file === null) return -EBADF;
    return { inode: file.inode, path: file.path, filename: `/dev/fd/${dirfd}`, isGoneAfter };
  }
  const path = resolve(task, dirfd, name, how);
  if (typeof path === "number") return path;
  const filename = isByDescriptor ? `/dev/fd/${dirfd}/${name}` : name;
  return { inode: path.inode, path, filename, isGoneAfter };
}

/** A NULL-terminated array of strings; a null pointer is an empty list, as on Linux. */
function readStrings(task: Task, address: number): string[] | number {
  const strings: string[] = [];
  if (address === 0) return strings;
  let bytes = 0;
  for (let from = address;; from += POINTERS_STEP * 8) {
    const pointers = readPointers(task, from);
    if (typeof pointers === "number") return pointers;
    for (let i = 0; i < pointers.length; i++) {
      if (pointers[i] === 0) return strings;
      if (strings.length >= STRINGS_MAX) return -E2BIG;
      const text = task.memory.readString(pointers[i], ARG_STRING_BYTES_MAX + 1);
      if (typeof text === "number") return text === -EFAULT ? -EFAULT : -E2BIG;
      bytes += text.length + 9;
      if (bytes > 64 * ARG_STRING_BYTES_MAX) return -E2BIG;
      strings.push(text);
    }
    if (pointers.length < POINTERS_STEP) return -EFAULT;
  }
}

/** Up to POINTERS_STEP pointers, fewer where memory ends; at least one, or -EFAULT. */
function readPointers(task: Task, address: number): number[] | number {
  for (let count = POINTERS_STEP; count >= 1; count = count >> 1) {
    const at = task.memory.inView(address, count * 8);
    if (at < 0) continue;
    const view = task.memory.view;
    const pointers: number[] = [];
    for (let i = 0; i < count; i++) {
      const pointer = u64(view, at + i * 8);
      pointers.push(pointer);
      if (pointer === 0) return pointers;
    }
    return count === POINTERS_STEP ? pointers : continuePointers(task, address + count * 8, pointers);
  }
  return -EFAULT;
}

/** After a short read: one by one, up to the step. */
function continuePointers(task: Task, address: number, pointers: number[]): number[] {
  while (pointers.length < POINTERS_STEP) {
    const at = task.memory.inView(address, 8);
    if (at < 0) return pointers;
    const pointer = u64(task.memory.view, at);
    pointers.push(pointer);
    if (pointer === 0) return pointers;
    address += 8;
  }
  return pointers;
}
