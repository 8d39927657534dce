// Extended attributes: setxattr(2), getxattr(2), listxattr(2), removexattr(2) and their l and f forms; xattr(7).

import { E2BIG, EBADF, EINVAL, ENODATA, EOPNOTSUPP, EPERM, ERANGE, EROFS } from "../abi/errno.ts";
import {
  AT_FDCWD,
  IN_ATTRIB,
  O_PATH,
  PATH_MAX,
  S_IFDIR,
  S_IFREG,
  S_ISVTX,
  XATTR_CREATE,
  XATTR_LIST_MAX,
  XATTR_NAME_MAX,
  XATTR_REPLACE,
  XATTR_SIZE_MAX,
} from "../abi/file.ts";
import { ENAMETOOLONG } from "../abi/errno.ts";
import { u32 } from "../abi/struct.ts";
import { CAP_SETFCAP, CAP_SYS_ADMIN } from "../abi/task.ts";
import type { Task } from "../task/task.ts";
import { latin1ToBytes } from "../util/bytes.ts";
import { CAPABILITY_XATTR } from "../vfs/attributes.ts";
import type { Inode } from "../vfs/inode.ts";
import { notifyPath } from "../vfs/notify.ts";
import type { Path } from "../vfs/path.ts";
import { FOLLOW, resolve } from "../vfs/path_walk.ts";
import { isOwnerOrCapable, MAY_READ, MAY_WRITE, mayAccess } from "../vfs/permission.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const XATTR_FLAGS = { XATTR_CREATE, XATTR_REPLACE };
const SET_ARGS = {
  name: "string",
  value: { inBuffer: "size" },
  size: "size",
  flags: { flags: XATTR_FLAGS },
} as const;
const GET_ARGS = { name: "string", value: { outBuffer: "size" }, size: "size" } as const;
const LIST_ARGS = { list: { outBuffer: "size" }, size: "size" } as const;

export const XATTR_CALLS: SyscallFamily = {
  setxattr: {
    nr: { x64: 188, arm64: 5 },
    args: { path: "path", ...SET_ARGS },
    returns: "int",
    support: FULL,
    run: setxattr,
  },
  lsetxattr: {
    nr: { x64: 189, arm64: 6 },
    args: { path: "path", ...SET_ARGS },
    returns: "int",
    support: FULL,
    run: lsetxattr,
  },
  fsetxattr: {
    nr: { x64: 190, arm64: 7 },
    args: { fd: "fd", ...SET_ARGS },
    returns: "int",
    support: FULL,
    run: fsetxattr,
  },
  getxattr: {
    nr: { x64: 191, arm64: 8 },
    args: { path: "path", ...GET_ARGS },
    returns: "size",
    support: FULL,
    run: getxattr,
  },
  lgetxattr: {
    nr: { x64: 192, arm64: 9 },
    args: { path: "path", ...GET_ARGS },
    returns: "size",
    support: FULL,
    run: lgetxattr,
  },
  fgetxattr: {
    nr: { x64: 193, arm64: 10 },
    args: { fd: "fd", ...GET_ARGS },
    returns: "size",
    support: FULL,
    run: fgetxattr,
  },
  listxattr: {
    nr: { x64: 194, arm64: 11 },
    args: { path: "path", ...LIST_ARGS },
    returns: "size",
    support: FULL,
    run: listxattr,
  },
  llistxattr: {
    nr: { x64: 195, arm64: 12 },
    args: { path: "path", ...LIST_ARGS },
    returns: "size",
    support: FULL,
    run: llistxattr,
  },
  flistxattr: {
    nr: { x64: 196, arm64: 13 },
    args: { fd: "fd", ...LIST_ARGS },
    returns: "size",
    support: FULL,
    run: flistxattr,
  },
  removexattr: {
    nr: { x64: 197, arm64: 14 },
    args: { path: "path", name: "string" },
    returns: "int",
    support: FULL,
    run: removexattr,
  },
  lremovexattr: {
    nr: { x64: 198, arm64: 15 },
    args: { path: "path", name: "string" },
    returns: "int",
    support: FULL,
    run: lremovexattr,
  },
  fremovexattr: {
    nr: { x64: 199, arm64: 16 },
    args: { fd: "fd", name: "string" },
    returns: "int",
    support: FULL,
    run: fremovexattr,
  },
};

function named(task: Task, args: Args, flags: number): Path | number {
  const name = task.memory.readString(args.word(0), PATH_MAX);
  return typeof name === "number" ? name : resolve(task, AT_FDCWD, name, flags);
}

/** The object of an f call: pipes and sockets are inodes without a path. */
function opened(task: Task, args: Args): Path | Inode | number {
  const file = task.files.get(args.i32(0));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  return file.path ?? file.inode;
}

function setxattr(task: Task, args: Args): number {
  return set(task, args, named(task, args, FOLLOW));
}
function lsetxattr(task: Task, args: Args): number {
  return set(task, args, named(task, args, 0));
}
function fsetxattr(task: Task, args: Args): number {
  return set(task, args, opened(task, args));
}

function getxattr(task: Task, args: Args): number {
  return get(task, args, named(task, args, FOLLOW));
}
function lgetxattr(task: Task, args: Args): number {
  return get(task, args, named(task, args, 0));
}
function fgetxattr(task: Task, args: Args): number {
  return get(task, args, opened(task, args));
}

function listxattr(task: Task, args: Args): number {
  return list(task, args, named(task, args, FOLLOW));
}
function llistxattr(task: Task, args: Args): number {
  return list(task, args, named(task, args, 0));
}
function flistxattr(task: Task, args: Args): number {
  return list(task, args, opened(task, args));
}

function removexattr(task: Task, args: Args): number {
  return remove(task, args, named(task, args, FOLLOW));
}
function lremovexattr(task: Task, args: Args): number {
  return remove(task, args, named(task, args, 0));
}
function fremovexattr(task: Task, args: Args): number {
  return remove(task, args, opened(task, args));
}

function inodeOf(target: Path | Inode): Inode {
  return "dentry" in target ? target.inode : target;
}

/** The attribute's name, argument 1: 1..255 bytes. */
function readName(task: Task, args: Args): string | number {
  const name = task.memory.readString(args.word(1), XATTR_NAME_MAX + 1);
  if (typeof name === "number") return name === -ENAMETOOLONG ? -ERANGE : name;
  return name === "" ? -ERANGE : name;
}

function set(task: Task, args: Args, target: Path | Inode | number): number {
  const flags = args.u32(4);
  if ((flags & ~(XATTR_CREATE | XATTR_REPLACE)) !== 0) return -EINVAL;
  const name = readName(task, args);
  if (typeof name === "number") return name;
  const size = args.word(3);
  if (size > XATTR_SIZE_MAX) return -E2BIG;
  const value = new Uint8Array(size);
  const copied = task.memory.copyIn(args.word(2), value, 0, size);
  if (copied < 0) return copied;
  if (typeof target === "number") return target;
  if (name === CAPABILITY_XATTR && !isFileCapability(value)) return -EINVAL;
  const refused = mayChange(task, target, name);
  if (refused < 0) return refused;
  const inode = inodeOf(target);
  const result = inode.setXattr(name, value, flags);
  if (result < 0) return result;
  if (name === CAPABILITY_XATTR) inode.mayHaveCapabilities = true;
  if ("dentry" in target) notifyPath(target, IN_ATTRIB);
  return result;
}

function remove(task: Task, args: Args, target: Path | Inode | number): number {
  const name = readName(task, args);
  if (typeof name === "number") return name;
  if (typeof target === "number") return target;
  const refused = mayChange(task, target, name);
  if (refused < 0) return refused;
  const result = inodeOf(target).removeXattr(name);
  if (result === 0 && "dentry" in target) notifyPath(target, IN_ATTRIB);
  return result;
}

function get(task: Task, args: Args, target: Path | Inode | number): number {
  const name = readName(task, args);
  if (typeof name === "number") return name;
  if (typeof target === "number") return target;
  const inode = inodeOf(target);
  const refused = checkName(task, inode, name, MAY_READ);
  if (refused < 0) return refused;
  const value = inode.getXattr(name);
  if (typeof value === "number") return value;
  const size = args.word(3);
  if (size === 0) return value.length;
  if (size < value.length) return -ERANGE;
  const written = task.memory.copyOut(args.word(2), value, 0, value.length);
  return written < 0 ? written : value.length;
}

function list(task: Task, args: Args, target: Path | Inode | number): number {
  if (typeof target === "number") return target;
  const names = inodeOf(target).listXattr();
  if (typeof names === "number") return names === -EOPNOTSUPP ? 0 : names;
  const isTrusted = task.credentials.has(CAP_SYS_ADMIN);
  let text = "";
  for (const name of names) if (isTrusted || !name.startsWith("trusted.")) text += `${name}\0`;
  const size = args.word(2);
  if (size === 0) return text.length;
  if (text.length > XATTR_LIST_MAX) return -E2BIG;
  if (size < text.length) return -ERANGE;
  const written = task.memory.copyOut(args.word(1), latin1ToBytes(text), 0, text.length);
  return written < 0 ? written : text.length;
}

function mayChange(task: Task, target: Path | Inode, name: string): number {
  if ("dentry" in target && target.mount.isReadOnly) return -EROFS;
  return checkName(task, inodeOf(target), name, MAY_WRITE);
}

/** struct vfs_cap_data of revision 2 or 3: validheader() of security/commoncap.c. */
function isFileCapability(value: Uint8Array): boolean {
  if (value.length !== 20 && value.length !== 24) return false;
  return (u32(value, 0) & 0xff00_0000) === (value.length === 20 ? 0x0200_0000 : 0x0300_0000);
}

/** The rules of each name space, xattr_permission(): user. for files and directories, trusted. for administrators. */
function checkName(task: Task, inode: Inode, name: string, mask: number): number {
  const { credentials } = task;
  const isWrite = mask === MAY_WRITE;
  if (name.startsWith("security.") || name.startsWith("system.")) {
    if (!isWrite) return 0;
    // What a program may do is given by who may give it, not by who owns the file.
    if (name === CAPABILITY_XATTR) return credentials.has(CAP_SETFCAP) ? 0 : -EPERM;
    if (!name.startsWith("security.")) return isOwnerOrCapable(credentials, inode) ? 0 : -EPERM;
    return credentials.has(CAP_SYS_ADMIN) ? 0 : -EPERM;
  }
  if (name.startsWith("trusted.")) {
    if (credentials.has(CAP_SYS_ADMIN)) return 0;
    return isWrite ? -EPERM : -ENODATA;
  }
  if (!name.startsWith("user.")) return -EOPNOTSUPP;
  if (name === "user.") return -EINVAL;
  const type = inode.type;
  if (type !== S_IFREG && type !== S_IFDIR) return isWrite ? -EPERM : -ENODATA;
  if (isWrite && type === S_IFDIR && (inode.mode & S_ISVTX) !== 0 && !isOwnerOrCapable(credentials, inode)) {
    return -EPERM;
  }
  return mayAccess(credentials, inode, mask);
}
