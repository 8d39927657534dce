// Fs.Stat, Fs.MakeDirectory, Fs.MakeLink, Fs.Remove and Fs.Rename: names of a container's files, and what they name.

import {
  EEXIST,
  EISDIR,
  ENAMETOOLONG,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  errnoName,
} from "../../../../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  PATH_MAX,
  S_IFBLK,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
} from "../../../../kernel/abi/file.ts";
import type { Task } from "../../../../kernel/task/task.ts";
import { byteStringToUtf8, utf8ToByteString } from "../../../../kernel/util/bytes.ts";
import { makeDirectory, makeSymlink } from "../../../../kernel/vfs/create.ts";
import type { DirectorySink } from "../../../../kernel/vfs/file_kinds.ts";
import { openByName } from "../../../../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../../../../kernel/vfs/path_walk.ts";
import { removeDirectory, removeFile, renamePath } from "../../../../kernel/vfs/remove.ts";
import { Refusal, type Service } from "../query.ts";
import { initOf, pathOf } from "./place.ts";

/** What a call removes of a tree before others have their turn. */
const REMOVE_NANOS = 2e6;
/** Names of a directory that are looked at together. */
const NAMES_MAX = 128;

const KINDS: Readonly<Record<number, string>> = {
  [S_IFREG]: "file",
  [S_IFDIR]: "directory",
  [S_IFLNK]: "symlink",
  [S_IFIFO]: "fifo",
  [S_IFSOCK]: "socket",
  [S_IFCHR]: "character-device",
  [S_IFBLK]: "block-device",
};

/** The word for the S_IFMT bits of a mode. */
export function kindOf(type: number): string {
  return KINDS[type] ?? "unknown";
}

/** As lstat(2), or stat(2) with `follow`; of a symlink its target too. Times are milliseconds. */
export const stat: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const found = resolve(init, AT_FDCWD, path, query.flag("follow") ? FOLLOW : 0);
  const refuse = (errno: number) => new Refusal(`examining ${query.string("path")}: ${errnoName(errno)}`);
  if (typeof found === "number") return refuse(-found);
  const { inode } = found;
  const refreshed = inode.refresh();
  if (refreshed < 0) return refuse(-refreshed);
  const target = inode.isSymlink ? inode.readlink() : "";
  if (typeof target === "number") return refuse(-target);
  return {
    kind: kindOf(inode.type),
    mode: inode.mode & 0o7777,
    uid: inode.uid,
    gid: inode.gid,
    size: inode.size,
    dev: inode.fs.device,
    ino: inode.ino,
    nlink: inode.nlink,
    atime: millisOf(inode.atimeSec, inode.atimeNsec),
    mtime: millisOf(inode.mtimeSec, inode.mtimeNsec),
    ctime: millisOf(inode.ctimeSec, inode.ctimeNsec),
    target: byteStringToUtf8(target),
  };
};

function millisOf(seconds: number, nanos: number): number {
  return seconds * 1000 + Math.floor(nanos / 1e6);
}

/** As mkdir(2); with `recursive` the directories above too, and one that is there already is as good. */
export const makeDirectories: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const mode = query.number("mode") & 0o1777;
  const result = query.flag("recursive")
    ? makePath(init, path, mode)
    : makeDirectory(init, AT_FDCWD, path, mode);
  return result < 0 ? new Refusal(`making ${query.string("path")}: ${errnoName(-result)}`) : {};
};

function makePath(init: Task, path: string, mode: number): number {
  const names = path.split("/").filter((name) => name !== "");
  let at = "";
  for (const name of names) {
    at += `/${name}`;
    const made = makeDirectory(init, AT_FDCWD, at, mode);
    if (made === 0) continue;
    const found = resolve(init, AT_FDCWD, at, FOLLOW);
    if (typeof found === "number") return made;
    if (!found.inode.isDirectory) return made === -EEXIST ? -ENOTDIR : made;
  }
  return 0;
}

/** As symlink(2). */
export const makeLink: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const target = utf8ToByteString(query.string("target"));
  if (target.includes("\0")) return new Refusal("target has a NUL");
  const result = target.length >= PATH_MAX ? -ENAMETOOLONG : makeSymlink(init, target, AT_FDCWD, path);
  return result < 0 ? new Refusal(`making ${query.string("path")}: ${errnoName(-result)}`) : {};
};

export const rename: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), from = pathOf(query, "from"), to = pathOf(query, "to");
  if (init instanceof Refusal) return init;
  if (from instanceof Refusal) return from;
  if (to instanceof Refusal) return to;
  const result = renamePath(init, AT_FDCWD, from, AT_FDCWD, to, 0);
  if (result >= 0) return {};
  return new Refusal(`renaming ${query.string("from")} to ${query.string("to")}: ${errnoName(-result)}`);
};

/**
 * Removes a file or an empty directory; with `recursive` a tree, as much as there is time for: `isDone` says whether all of it has
 * gone. No symlink is followed below the directories of `path`, since nothing else runs between two looks.
 */
export const remove: Service = (sandbox, query) => {
  const init = initOf(sandbox, query), path = pathOf(query, "path");
  if (init instanceof Refusal) return init;
  if (path instanceof Refusal) return path;
  const { clock } = sandbox.kernel;
  const until = clock.monotonic() + REMOVE_NANOS;
  const result = removeName(init, path);
  if (result === 0) return { isDone: true };
  if (result !== -ENOTEMPTY || !query.flag("recursive")) {
    return new Refusal(`removing ${query.string("path")}: ${errnoName(-result)}`);
  }
  const left = removeTree(init, path, () => clock.monotonic() < until);
  return left < 0
    ? new Refusal(`removing ${query.string("path")}: ${errnoName(-left)}`)
    : { isDone: left === 0 };
};

function removeName(init: Task, path: string): number {
  const result = removeFile(init, AT_FDCWD, path);
  return result === -EISDIR ? removeDirectory(init, AT_FDCWD, path) : result;
}

/** 0 = it has gone, 1 = not all of it, or -ERRNO. At least one name goes. */
function removeTree(init: Task, top: string, hasTime: () => boolean): number {
  const open = [top.replace(/\/+$/, "")];
  let removed = 0;
  while (open.length > 0) {
    if (removed > 0 && !hasTime()) return 1;
    const directory = open[open.length - 1];
    const names = new NameList();
    const listed = list(init, directory, names);
    if (listed < 0) return listed;
    let isComplete = !names.isCut;
    for (const { name, isDirectory } of names.found) {
      if (removed > 0 && !hasTime()) return 1;
      const path = `${directory}/${name}`;
      const result = isDirectory ? removeDirectory(init, AT_FDCWD, path) : removeFile(init, AT_FDCWD, path);
      if (result === -ENOTEMPTY) {
        open.push(path);
        isComplete = false;
        break;
      }
      if (result < 0 && result !== -ENOENT) return result;
      removed++;
    }
    if (!isComplete) continue;
    const result = removeDirectory(init, AT_FDCWD, directory);
    if (result < 0) return result;
    removed++;
    open.pop();
  }
  return 0;
}

class NameList implements DirectorySink {
  readonly found: { readonly name: string; readonly isDirectory: boolean }[] = [];
  isCut = false;

  emit(name: string, _ino: number, type: number): boolean {
    if (name === "." || name === "..") return true;
    if (this.found.length >= NAMES_MAX) {
      this.isCut = true;
      return false;
    }
    this.found.push({ name, isDirectory: type << 12 === S_IFDIR });
    return true;
  }
}

function list(init: Task, path: string, names: NameList): number {
  const file = openByName(init, AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
  if (typeof file === "number") return file;
  const result = file.asDirectory()?.readDirectory(init, names) ?? -ENOTDIR;
  file.drop();
  return Math.min(result, 0);
}
