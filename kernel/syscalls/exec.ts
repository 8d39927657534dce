// execve(2) and execveat(2): reads the arguments from the caller's memory before that is replaced.

import { EBADF, EINVAL } from "../abi/errno.ts";
import { AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, PATH_MAX } from "../abi/file.ts";
import { refusalOf, type Target } from "../loader/program.ts";
import { execute } from "../task/exec.ts";
import type { Task } from "../task/task.ts";
import { giveTurnKillable, mayKeep } from "../task/wait_engine.ts";
import { EMPTY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import type { Args } from "./args.ts";
import { ExecStrings } from "./exec_strings.ts";
import { FULL, type SyscallFamily } from "./table.ts";

export const EXEC_CALLS: SyscallFamily = {
  execve: {
    nr: { x64: 59, arm64: 221 },
    args: { pathname: "path", argv: "strings", envp: "strings" },
    returns: "none",
    support: FULL,
    run: execve,
  },
  execveat: {
    nr: { x64: 322, arm64: 281 },
    args: {
      dirfd: "dirfd",
      pathname: "path",
      argv: "strings",
      envp: "strings",
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
  const { call } = task;
  const strings = call.kept as ExecStrings | null ?? new ExecStrings();
  let left = strings.read(task, argvAt, envpAt, true);
  if (left > 0 && mayKeep(task)) {
    call.keep(strings);
    return giveTurnKillable(task);
  }
  if (left > 0) left = strings.read(task, argvAt, envpAt, false);
  if (call.kept !== null) call.keep(null);
  return left < 0 ? refusalOf(task, target) || left : execute(task, target, strings.argv, strings.envp);
}

/** The file to execute: by its path, or an open descriptor's. */
function findTarget(task: Task, dirfd: number, name: string, how: number): Target | number {
  const isByDescriptor = dirfd !== AT_FDCWD && !name.startsWith("/");
  const isGoneAfter = isByDescriptor && task.files.isCloseOnExec(dirfd);
  if (isByDescriptor && name === "" && (how & EMPTY) !== 0) {
    const file = task.files.get(dirfd);
    if (file === null) return -EBADF;
    return { inode: file.inode, path: file.path, filename: `/dev/fd/${dirfd}`, isGoneAfter, lastName: "" };
  }
  const path = resolve(task, dirfd, name, how);
  if (typeof path === "number") return path;
  const filename = isByDescriptor ? `/dev/fd/${dirfd}/${name}` : name;
  return { inode: path.inode, path, filename, isGoneAfter, lastName: "" };
}
