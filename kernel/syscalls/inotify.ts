// inotify_init(2), inotify_add_watch(2), inotify_rm_watch(2). io.ts reads events, fs/anonymous/inotify.ts has the
// queue.

import { EBADF, EEXIST, EINVAL, EMFILE, ENOSPC } from "../abi/errno.ts";
import {
  AT_FDCWD,
  IN_ALL_EVENTS,
  IN_DONT_FOLLOW,
  IN_EXCL_UNLINK,
  IN_MASK_ADD,
  IN_MASK_CREATE,
  IN_ONESHOT,
  IN_ONLYDIR,
  O_CLOEXEC,
  O_NONBLOCK,
  O_RDONLY,
  PATH_MAX,
} from "../abi/file.ts";
import { InotifyFile } from "../fs/anonymous/inotify.ts";
import type { Task } from "../task/task.ts";
import { userAccount } from "../task/user_account.ts";
import { DIRECTORY, FOLLOW, resolve } from "../vfs/path_walk.ts";
import { MAY_READ, mayAccess } from "../vfs/permission.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const KEPT = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK;
const KNOWN = IN_ALL_EVENTS | IN_ONESHOT | IN_EXCL_UNLINK | IN_ONLYDIR | IN_DONT_FOLLOW | IN_MASK_ADD |
  IN_MASK_CREATE;
const INIT_FLAGS = { IN_NONBLOCK: O_NONBLOCK, IN_CLOEXEC: O_CLOEXEC };
const CHANGES_BELOW = partial("changes made on the host are not seen");

export const INOTIFY_CALLS: SyscallFamily = {
  inotify_init: { nr: { x64: 253 }, args: {}, returns: "fd", support: FULL, run: inotifyInit },
  inotify_add_watch: {
    nr: { x64: 254, arm64: 27 },
    args: { fd: "fd", pathname: "path", mask: "uint" },
    returns: "int",
    support: CHANGES_BELOW,
    run: addWatch,
  },
  inotify_rm_watch: {
    nr: { x64: 255, arm64: 28 },
    args: { fd: "fd", wd: "int" },
    returns: "int",
    support: FULL,
    run: removeWatch,
  },
  inotify_init1: {
    nr: { x64: 294, arm64: 26 },
    args: { flags: { flags: INIT_FLAGS } },
    returns: "fd",
    support: FULL,
    run: inotifyInit1,
  },
};

function inotifyInit(task: Task): number {
  return newInotify(task, 0);
}

function inotifyInit1(task: Task, args: Args): number {
  const flags = args.u32(0);
  return (flags & ~(O_NONBLOCK | O_CLOEXEC)) !== 0 ? -EINVAL : newInotify(task, flags);
}

function newInotify(task: Task, flags: number): number {
  const account = userAccount(task.kernel, task.credentials.euid);
  if (account.inotifyInstances >= task.kernel.parameters.inotifyInstancesMax) return -EMFILE;
  const file = new InotifyFile(task.kernel, O_RDONLY | (flags & O_NONBLOCK), account);
  const fd = task.files.allocate(task, file, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) file.drop();
  return fd;
}

function addWatch(task: Task, args: Args): number {
  const mask = args.u32(2);
  if ((mask & ~KNOWN) !== 0 || (mask & IN_ALL_EVENTS) === 0) return -EINVAL;
  if ((mask & IN_MASK_ADD) !== 0 && (mask & IN_MASK_CREATE) !== 0) return -EINVAL;
  const file = task.files.getOpen(args.i32(0));
  if (file === null) return -EBADF;
  if (!(file instanceof InotifyFile)) return -EINVAL;
  const name = task.memory.readString(args.word(1), PATH_MAX);
  if (typeof name === "number") return name;
  const flags = ((mask & IN_DONT_FOLLOW) !== 0 ? 0 : FOLLOW) | ((mask & IN_ONLYDIR) !== 0 ? DIRECTORY : 0);
  const path = resolve(task, AT_FDCWD, name, flags);
  if (typeof path === "number") return path;
  const access = mayAccess(task.credentials, path.inode, MAY_READ);
  if (access < 0) return access;
  const watch = file.watchOn(path.inode);
  if (watch === null) {
    return file.account.inotifyWatches >= task.kernel.parameters.inotifyWatchesMax
      ? -ENOSPC
      : file.add(path.inode, mask & KEPT);
  }
  if ((mask & IN_MASK_CREATE) !== 0) return -EEXIST;
  watch.mask = (mask & IN_MASK_ADD) !== 0 ? watch.mask | mask & KEPT : mask & KEPT;
  return watch.descriptor;
}

function removeWatch(task: Task, args: Args): number {
  const file = task.files.getOpen(args.i32(0));
  if (file === null) return -EBADF;
  if (!(file instanceof InotifyFile)) return -EINVAL;
  const watch = file.watches.get(args.i32(1));
  if (watch === undefined) return -EINVAL;
  file.remove(watch);
  return 0;
}
