// Path resolution: from text to a Path. Linux: fs/namei.c, path_resolution(7), openat2(2).

import { EACCES, EEXIST, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from "../abi/errno.ts";
import {
  AT_FDCWD,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_ISVTX,
} from "../abi/file.ts";
import { EBADF } from "../abi/errno.ts";
import type { Task } from "../task/task.ts";
import { acrossMounts, parentOf, Path } from "./path.ts";
import { MAY_EXEC, mayAccess } from "./permission.ts";

export const PATH_MAX = 4096;
export const NAME_MAX = 255;
/** Symlinks followed in one resolution (MAXSYMLINKS). */
export const SYMLINKS_MAX = 40;

/** Follow a symlink in the last component. */
export const FOLLOW = 1;
/** An empty path means the descriptor itself (AT_EMPTY_PATH). */
export const EMPTY = 2;
/** The result must be a directory. */
export const DIRECTORY = 4;

/** The last component of a path that is to be created, removed or renamed. */
export interface Parent {
  readonly path: Path;
  /** Never empty; "." and ".." as they stand. */
  readonly name: string;
  /** The path ended in a slash. */
  readonly hasSlash: boolean;
}

/** State of one resolution. */
class Walk {
  readonly task: Task;
  readonly flags: number;
  readonly resolve: number;
  readonly root: Path;
  /** Links followed so far, counted together with the walks of their targets. */
  readonly links: LinkCount;

  constructor(task: Task, flags: number, resolve: number, root: Path, links: LinkCount) {
    this.task = task;
    this.flags = flags;
    this.resolve = resolve;
    this.root = root;
    this.links = links;
  }
}

class LinkCount {
  count = 0;
}

/** Resolves `name` from `dirfd` to something that exists. `flags`: FOLLOW, EMPTY, DIRECTORY; `how`: RESOLVE_ bits. */
export function resolve(task: Task, dirfd: number, name: string, flags: number, how = 0): Path | number {
  const found = walkTo(task, dirfd, name, flags, how, false);
  if (typeof found === "number") return found;
  const { path } = found;
  if (path.dentry.inode === null) return -ENOENT;
  if ((flags & DIRECTORY) !== 0 && !path.inode.isDirectory) return -ENOTDIR;
  return path;
}

/** Resolves all but the last component; the last one need not exist. */
export function resolveParent(task: Task, dirfd: number, name: string, how = 0): Parent | number {
  const found = walkTo(task, dirfd, name, 0, how, true);
  return typeof found === "number" ? found : { path: found.path, name: found.last, hasSlash: found.hasSlash };
}

/** The child `name` of `parent` (mounts crossed), possibly negative. */
export function lookupChild(task: Task, parent: Path, name: string): Path | number {
  const access = mayAccess(task.credentials, parent.inode, MAY_EXEC);
  if (access < 0) return access;
  const dentry = parent.dentry.lookup(name);
  if (typeof dentry === "number") return dentry;
  return acrossMounts(task.namespaces.mount, new Path(parent.mount, dentry));
}

interface Found {
  path: Path;
  last: string;
  hasSlash: boolean;
}

function walkTo(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  how: number,
  wantsParent: boolean,
): Found | number {
  if (name.length >= PATH_MAX) return -ENAMETOOLONG;
  const start = startOf(task, dirfd, name, flags);
  if (typeof start === "number") return start;
  const isScoped = (how & (RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !== 0;
  let from = start;
  if (name.charCodeAt(0) === 0x2f) {
    if ((how & RESOLVE_BENEATH) !== 0) return -EXDEV;
    from = (how & RESOLVE_IN_ROOT) !== 0 ? start : task.fs.root;
  }
  const walk = new Walk(task, flags, how, isScoped ? start : task.fs.root, new LinkCount());
  if (name === "") return { path: from, last: "", hasSlash: false };
  return walkFrom(walk, from, name, wantsParent);
}

function startOf(task: Task, dirfd: number, name: string, flags: number): Path | number {
  if (name === "" && (flags & EMPTY) === 0) return -ENOENT;
  if (name.charCodeAt(0) === 0x2f && dirfd === AT_FDCWD) return task.fs.root;
  if (dirfd === AT_FDCWD) return task.fs.cwd;
  if (name.charCodeAt(0) === 0x2f) return task.fs.root;
  const file = task.files.get(dirfd);
  if (file === null) return -EBADF;
  const path = file.path as Path | null;
  if (path === null) return -ENOTDIR;
  if (name !== "" && !path.inode.isDirectory) return -ENOTDIR;
  return path;
}

/** Walks `name` from `at`. With `wantsParent` it stops before the last component. */
function walkFrom(walk: Walk, at: Path, name: string, wantsParent: boolean): Found | number {
  let index = 0;
  for (;;) {
    while (name.charCodeAt(index) === 0x2f) index++;
    if (index >= name.length) return { path: at, last: ".", hasSlash: true };
    let end = name.indexOf("/", index);
    if (end < 0) end = name.length;
    const component = name.slice(index, end);
    let next = end;
    while (name.charCodeAt(next) === 0x2f) next++;
    const isLast = next >= name.length;
    const hasSlash = end < name.length;
    if (component.length > NAME_MAX) return -ENAMETOOLONG;
    if (at.dentry.inode === null) return -ENOENT;
    if (!at.inode.isDirectory) return -ENOTDIR;
    if (isLast && wantsParent) return { path: at, last: component, hasSlash };
    const step = takeStep(walk, at, component, !isLast || hasSlash || (walk.flags & FOLLOW) !== 0);
    if (typeof step === "number") return step;
    at = step;
    if (isLast) {
      if (hasSlash && at.dentry.inode !== null && !at.inode.isDirectory) return -ENOTDIR;
      return { path: at, last: component, hasSlash };
    }
    index = next;
  }
}

function takeStep(walk: Walk, at: Path, component: string, followsLink: boolean): Path | number {
  const task = walk.task;
  const access = mayAccess(task.credentials, at.inode, MAY_EXEC);
  if (access < 0) return access;
  if (component === ".") return at;
  const namespace = task.namespaces.mount;
  if (component === "..") {
    if ((walk.resolve & RESOLVE_BENEATH) !== 0 && at.equals(walk.root)) return -EXDEV;
    const up = parentOf(namespace, at, walk.root);
    return (walk.resolve & RESOLVE_NO_XDEV) !== 0 && up.mount !== at.mount ? -EXDEV : up;
  }
  const dentry = at.dentry.lookup(component);
  if (typeof dentry === "number") return dentry;
  const path = acrossMounts(namespace, new Path(at.mount, dentry));
  if ((walk.resolve & RESOLVE_NO_XDEV) !== 0 && path.mount !== at.mount) return -EXDEV;
  if (dentry.inode === null || !followsLink || !path.inode.isSymlink) return path;
  return follow(walk, at, path);
}

function follow(walk: Walk, directory: Path, link: Path): Path | number {
  const task = walk.task;
  if (++walk.links.count > SYMLINKS_MAX || (walk.resolve & RESOLVE_NO_SYMLINKS) !== 0) return -ELOOP;
  if (isForeignLink(task, directory, link)) return -EACCES;
  const magic = link.inode.magicLink(task);
  if (magic !== null) {
    if ((walk.resolve & (RESOLVE_NO_MAGICLINKS | RESOLVE_BENEATH | RESOLVE_IN_ROOT)) !== 0) return -ELOOP;
    return magic as Path | number;
  }
  const target = link.inode.readlink();
  if (typeof target === "number") return target;
  if (target === "") return -ENOENT;
  let from = directory;
  if (target.charCodeAt(0) === 0x2f) {
    if ((walk.resolve & RESOLVE_BENEATH) !== 0) return -EXDEV;
    from = walk.root;
  }
  const inside = new Walk(task, walk.flags | FOLLOW, walk.resolve, walk.root, walk.links);
  const inner = walkFrom(inside, from, target, false);
  if (typeof inner === "number") return inner;
  return inner.path;
}

/** protected_symlinks: in a sticky directory that anyone may write, only one's own links and the directory owner's count. */
function isForeignLink(task: Task, directory: Path, link: Path): boolean {
  const mode = directory.inode.mode;
  if ((mode & (S_ISVTX | 0o002)) !== (S_ISVTX | 0o002)) return false;
  return link.inode.uid !== task.credentials.fsuid && link.inode.uid !== directory.inode.uid;
}

/** Whether a name may be created: -EEXIST for "." and "..". */
export function checkNewName(name: string): number {
  return name === "." || name === ".." || name === "" ? -EEXIST : name.length > NAME_MAX ? -ENAMETOOLONG : 0;
}
