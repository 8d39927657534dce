// Fs.Read and Fs.Write: a piece of a regular file of a container, by its path there. Each call opens the file anew, so nothing
// is left when a client goes between two pieces; `file` names what was opened, and a later piece may ask for the same.

import { EEXIST, EFBIG, EIO, EISDIR, ENOENT, errnoName, ESTALE } from "../../../../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  IN_ACCESS,
  IN_MODIFY,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_NONBLOCK,
  O_RDONLY,
  O_TRUNC,
  O_WRONLY,
  S_IFREG,
} from "../../../../kernel/abi/file.ts";
import { RLIMIT_FSIZE } from "../../../../kernel/abi/task.ts";
import type { Task } from "../../../../kernel/task/task.ts";
import { mayBePrivileged, removePrivileges } from "../../../../kernel/vfs/attributes.ts";
import type { File } from "../../../../kernel/vfs/file.ts";
import type { Inode } from "../../../../kernel/vfs/inode.ts";
import { notifyPath } from "../../../../kernel/vfs/notify.ts";
import { openByName } from "../../../../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../../../../kernel/vfs/path_walk.ts";
import { type Query, Refusal, type Service } from "../query.ts";
import { initOf, pathOf } from "./place.ts";

/** Of one answer: as base64 it has to fit into a document. */
const READ_BYTES_MAX = 4 * 1024 * 1024;
/** Of one call, whose document ends at 4 MiB. */
const WRITE_BYTES_MAX = 2 * 1024 * 1024;
/** Read or written before the next look at what the file system answers. */
const PIECE_BYTES = 256 * 1024;

/** Bytes as Go has them, in base64; fewer than asked for at the end of the file. */
export const read: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const offset = query.number("offset"), size = query.number("size");
  if (offset < 0) return new Refusal(`offset (${offset}) cannot be negative`);
  if (size < 0 || size > READ_BYTES_MAX) {
    return new Refusal(`size (${size}) must be between 0 and ${READ_BYTES_MAX}`);
  }
  const file = openRegular(init, query, path, O_RDONLY, 0);
  if (file instanceof Refusal) return file;
  try {
    const bytes = new Uint8Array(size === 0 ? READ_BYTES_MAX : size);
    let length = 0;
    while (length < bytes.length) {
      const n = file.read(init, bytes, length, Math.min(PIECE_BYTES, bytes.length - length), offset + length);
      if (n < 0) return new Refusal(`reading ${query.string("path")}: ${errnoName(-n)}`);
      if (n === 0) break;
      length += n;
    }
    notifyPath(file.path, IN_ACCESS);
    return { data: bytes.subarray(0, length).toBase64(), file: identityOf(file.inode) };
  } finally {
    file.drop();
  }
};

/** How many bytes are written: fewer than came where there is no room for all. */
export const write: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const offset = query.number("offset");
  if (offset < 0) return new Refusal(`offset (${offset}) cannot be negative`);
  const bytes = Uint8Array.fromBase64(query.string("data"));
  if (bytes.length > WRITE_BYTES_MAX) return new Refusal(`data has more than ${WRITE_BYTES_MAX} bytes`);
  const flags = O_WRONLY |
    (query.flag("create") ? O_CREAT : 0) |
    (query.flag("exclusive") ? O_CREAT | O_EXCL : 0) |
    (query.flag("truncate") ? O_TRUNC : 0) |
    (query.flag("append") ? O_APPEND : 0);
  const file = openRegular(init, query, path, flags, query.number("mode") & 0o777);
  if (file instanceof Refusal) return file;
  try {
    const { inode } = file;
    const isAppended = (flags & O_APPEND) !== 0;
    const room = bytes.length === 0 ? 0 : roomAt(init, inode, isAppended ? inode.size : offset, bytes.length);
    if (room < 0) return new Refusal(`writing ${query.string("path")}: ${errnoName(-room)}`);
    let done = 0;
    while (done < room) {
      const n = file.write(init, bytes, done, Math.min(PIECE_BYTES, room - done), offset + done);
      if (n < 0 && done === 0) return new Refusal(`writing ${query.string("path")}: ${errnoName(-n)}`);
      if (n <= 0) break;
      done += n;
    }
    if (done > 0) notifyPath(file.path, IN_MODIFY);
    return { written: done, file: identityOf(inode) };
  } finally {
    file.drop();
  }
};

/** Opens what `path` names where that is, or becomes, a regular file: anything else could make us wait, or act. */
function openRegular(init: Task, query: Query, path: string, flags: number, mode: number): File | Refusal {
  const refuse = (errno: number) => new Refusal(`opening ${query.string("path")}: ${errnoName(errno)}`);
  const found = resolve(init, AT_FDCWD, path, FOLLOW);
  if (typeof found === "number") {
    if (found !== -ENOENT || (flags & O_CREAT) === 0) return refuse(-found);
  } else {
    if ((flags & O_EXCL) !== 0) return refuse(EEXIST);
    if (found.inode.isDirectory && flags !== O_RDONLY) return refuse(EISDIR);
    if (found.inode.type !== S_IFREG) return new Refusal(`${query.string("path")} is not a regular file`);
    const wanted = query.string("file");
    if (wanted !== "" && wanted !== identityOf(found.inode)) return refuse(ESTALE);
  }
  const file = openByName(init, AT_FDCWD, path, flags | O_NONBLOCK, mode);
  return typeof file !== "number" ? file : refuse(file < 0 ? -file : EIO);
}

/** Bytes that RLIMIT_FSIZE lets the init write, or -EFBIG; its signal is for who makes the call, and here that is nobody. */
function roomAt(init: Task, inode: Inode, offset: number, count: number): number {
  if (mayBePrivileged(inode)) removePrivileges(init, inode);
  const limit = Math.min(init.threadGroup.limits.soft(RLIMIT_FSIZE), Number.MAX_SAFE_INTEGER);
  return offset >= limit ? -EFBIG : Math.min(count, limit - offset);
}

function identityOf(inode: Inode): string {
  return `${inode.fs.device}:${inode.ino}`;
}
