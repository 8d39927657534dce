// Path resolution: from text to a Path. Linux: fs/namei.c, path_resolution(7), openat2(2), symlink(7).

import { EACCES, EBADF, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from "../abi/errno.ts";
import {
  AT_FDCWD,
  MS_NOSYMFOLLOW,
  NAME_MAX,
  PATH_MAX,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_ISVTX,
} from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import { HASH_MASK, hashStep } from "./child_table.ts";
import type { Dentry } from "./dentry.ts";
import type { Mount, MountNamespace } from "./mount.ts";
import { placeOf } from "./nameless.ts";
import { acrossMounts, Path } from "./path.ts";
import { MAY_EXEC, mayAccess } from "./permission.ts";
import type { Vfs } from "./vfs.ts";

/** Symlinks followed in one resolution (MAXSYMLINKS). */
export const SYMLINKS_MAX = 40;

/** Follow a symlink in the last component. */
export const FOLLOW = 1;
/** An empty path means the descriptor itself (AT_EMPTY_PATH). */
export const EMPTY = 2;
/** The result must be a directory. */
export const DIRECTORY = 4;

const SCOPED = RESOLVE_BENEATH | RESOLVE_IN_ROOT;
const SLASH = 0x2f;
const DOT = 0x2e;
/** For resolvePlace(): the last component may be presumed missing, see Inode.presumesMissing(). */
export const PRESUME = 8;
/** x for owner, group and others: anyone may walk through. */
const ALL_EXEC = 0o111;

/** The last component of a path that is to be created, removed or renamed. */
export interface Parent {
  readonly path: Path;
  /** Never empty; ".", ".." and "/" are kept as they are. */
  readonly name: string;
  /** The path ended in a slash. */
  readonly hasSlash: boolean;
}

/** What walking to a name that may be created has found. `child` is a negative dentry where there is no file. */
export interface Place extends Parent {
  readonly child: Path;
  /** It was not looked up: the file system is to report whether it exists. */
  readonly isPresumed: boolean;
}

/** Resolves `name` from `dirfd` to something that exists. `flags`: FOLLOW, EMPTY, DIRECTORY; `how`: RESOLVE_ bits. */
export function resolve(task: Task, dirfd: number, name: string, flags: number, how = 0): Path | number {
  if (name === "") return resolveEmpty(task, dirfd, flags);
  const walk = startWalk(task, dirfd, name, how);
  if (typeof walk === "number") return walk;
  const result = walk.run(name, (flags & FOLLOW) !== 0 ? TO_TARGET : TO_NAME);
  if (result < 0) return result;
  const inode = walk.dentry.inode;
  if (inode === null) return -ENOENT;
  if ((flags & DIRECTORY) !== 0 && !inode.isDirectory) return -ENOTDIR;
  return new Path(walk.mount, walk.dentry);
}

/** Resolves all but the last component; the last one need not exist. */
export function resolveParent(task: Task, dirfd: number, name: string, how = 0): Parent | number {
  if (name === "") return -ENOENT;
  const walk = startWalk(task, dirfd, name, how);
  if (typeof walk === "number") return walk;
  const result = walk.run(name, TO_PARENT);
  if (result < 0) return result;
  return { path: new Path(walk.mount, walk.dentry), name: walk.last, hasSlash: walk.hasSlash };
}

/**
 * Resolves `name` for open(2) with O_CREAT: as resolve(), but where the last component (or, with FOLLOW, the last one of
 * the last symlink's target) does not exist, the answer says where it would be made.
 */
export function resolvePlace(
  task: Task,
  dirfd: number,
  name: string,
  flags: number,
  how = 0,
): Place | number {
  if (name === "") return -ENOENT;
  const walk = startWalk(task, dirfd, name, how);
  if (typeof walk === "number") return walk;
  walk.wantsPresuming = (flags & PRESUME) !== 0;
  walk.isForFile = true;
  const result = walk.run(name, (flags & FOLLOW) !== 0 ? TO_TARGET : TO_NAME);
  if (result < 0) return result;
  return {
    path: new Path(walk.parentMount, walk.parentDentry),
    name: walk.last,
    hasSlash: walk.hasSlash,
    child: new Path(walk.mount, walk.dentry),
    isPresumed: walk.isPresumed,
  };
}

/** The child `name` of `parent` (mounts crossed), possibly negative. */
export function lookupChild(task: Task, parent: Path, name: string): Path | number {
  const access = mayAccess(task.credentials, parent.inode, MAY_EXEC);
  if (access < 0) return access;
  if (name.length > NAME_MAX) return -ENAMETOOLONG;
  const dentry = parent.dentry.lookup(name);
  if (typeof dentry === "number") return dentry;
  return acrossMounts(task.namespaces.mount, new Path(parent.mount, dentry));
}

/** An empty name: the descriptor or the working directory itself. */
function resolveEmpty(task: Task, dirfd: number, flags: number): Path | number {
  if ((flags & EMPTY) === 0) return -ENOENT;
  if (dirfd === AT_FDCWD) return task.fs.cwd;
  const file = task.files.get(dirfd);
  if (file === null) return -EBADF;
  const path = placeOf(file);
  if ((flags & DIRECTORY) !== 0 && !path.inode.isDirectory) return -ENOTDIR;
  return path;
}

function startWalk(task: Task, dirfd: number, name: string, how: number): Walk | number {
  if (name.length >= PATH_MAX) return -ENAMETOOLONG;
  const isAbsolute = name.charCodeAt(0) === SLASH;
  if (isAbsolute && (how & SCOPED) === 0) return new Walk(task, how, task.fs.root, task.fs.root);
  if (isAbsolute && (how & RESOLVE_BENEATH) !== 0) return -EXDEV;
  let start: Path;
  if (dirfd === AT_FDCWD) {
    start = task.fs.cwd;
  } else {
    const file = task.files.get(dirfd);
    if (file === null) return -EBADF;
    if (file.path === null || !file.inode.isDirectory) return -ENOTDIR;
    start = file.path;
  }
  return new Walk(task, how, start, (how & SCOPED) !== 0 ? start : task.fs.root);
}

/** Where a walk ends: at the directory of the last component, at what it names, or behind a symlink there. */
const TO_PARENT = 0;
const TO_NAME = 1;
const TO_TARGET = 2;
type WalkEnd = typeof TO_PARENT | typeof TO_NAME | typeof TO_TARGET;

/** One resolution: the current directory of the walk, and the rest of the paths that symlinks interrupted (nameidata). */
class Walk {
  readonly #task: Task;
  readonly #how: number;
  readonly #namespace: MountNamespace;
  readonly #root: Path;
  /** The current place. */
  mount: Mount;
  dentry: Dentry;
  /** Directory in which the last component was looked up. */
  parentMount: Mount;
  parentDentry: Dentry;
  /** The last component: text[start, stop). */
  #lastText = "/";
  #lastStart = 0;
  #lastStop = 1;
  /** A slash follows the last component. */
  hasSlash = false;
  /** The last component is, or becomes, a file: a slash behind it is refused. */
  isForFile = false;
  /** The last component is not looked up where the file system would rather try to make it; and that was so. */
  wantsPresuming = false;
  isPresumed = false;
  #linkCount = 0;
  /** Remainders of paths whose middle was a symlink, outermost first; none is empty. */
  #rest: string[] | null = null;

  constructor(task: Task, how: number, start: Path, root: Path) {
    this.#task = task;
    this.#how = how;
    this.#namespace = task.namespaces.mount;
    this.#root = root;
    this.mount = this.parentMount = start.mount;
    this.dentry = this.parentDentry = start.dentry;
  }

  /** The last component: a name, ".", "..", or "/" when there was none. */
  get last(): string {
    return this.#lastText.slice(this.#lastStart, this.#lastStop);
  }

  /** Walks `name`. 0 or -ERRNO; the last component may turn out negative. */
  run(name: string, end: WalkEnd): number {
    const { vfs } = this.#task.kernel;
    const result = this.#run(name, end, vfs);
    vfs.aheadAt = -1;
    return result;
  }

  #run(name: string, end: WalkEnd, vfs: Vfs): number {
    let index = 0;
    for (;;) {
      while (name.charCodeAt(index) === SLASH) index++;
      if (index >= name.length) {
        const rest = this.#rest?.pop();
        if (rest === undefined) return 0;
        name = rest;
        index = 0;
        continue;
      }
      const start = index;
      let hash = 0;
      for (; index < name.length; index++) {
        const code = name.charCodeAt(index);
        if (code === SLASH) break;
        hash = hashStep(hash, code);
      }
      const stop = index;
      while (name.charCodeAt(index) === SLASH) index++;
      const isLast = index >= name.length && (this.#rest === null || this.#rest.length === 0);
      if (isLast && stop < name.length) this.hasSlash = true;

      const directory = this.dentry.inode;
      if (directory === null) return -ENOENT;
      const mode = directory.mode;
      if ((mode & S_IFMT) !== S_IFDIR) return -ENOTDIR;
      if ((mode & ALL_EXEC) !== ALL_EXEC) {
        const access = mayAccess(this.#task.credentials, directory, MAY_EXEC);
        if (access < 0) return access;
      }
      if (isLast) {
        this.parentMount = this.mount;
        this.parentDentry = this.dentry;
        this.#lastText = name;
        this.#lastStart = start;
        this.#lastStop = stop;
        if (end === TO_PARENT) return stop - start > NAME_MAX ? -ENAMETOOLONG : 0;
      }
      if (name.charCodeAt(start) === DOT) {
        if (stop - start === 1) continue;
        if (stop - start === 2 && name.charCodeAt(start + 1) === DOT) {
          const up = this.#stepUp();
          if (up < 0) return up;
          continue;
        }
      }
      if (stop - start > NAME_MAX) return -ENAMETOOLONG;
      // O_CREAT makes no directory, whatever has that name: open_last_lookups().
      if (isLast && this.hasSlash && this.isForFile) return -EISDIR;
      if (isLast && this.wantsPresuming) {
        const missing = this.dentry.presumeMissing(name, start, stop, hash & HASH_MASK);
        if (missing !== null) {
          this.isPresumed = true;
          this.dentry = missing;
          continue;
        }
      }
      vfs.aheadText = name;
      vfs.aheadAt = index < name.length ? index : -1;
      const child = this.dentry.lookupIn(name, start, stop, hash & HASH_MASK);
      if (typeof child === "number") return child;
      const inode = child.inode;
      if (child.mountCount > 0) {
        const crossed = this.#cross(child);
        if (crossed < 0) return crossed;
      } else if (
        inode !== null && (inode.mode & S_IFMT) === S_IFLNK && (!isLast || this.hasSlash || end === TO_TARGET)
      ) {
        const target = this.#follow(child, isLast);
        if (typeof target === "number") return target;
        if (index < name.length) (this.#rest ??= []).push(name.slice(index));
        name = target;
        index = 0;
        continue;
      } else {
        this.dentry = child;
      }
      // A name with a slash behind it must be a directory, where it exists at all.
      if (isLast && this.hasSlash && this.dentry.inode !== null && !this.dentry.inode.isDirectory) {
        return -ENOTDIR;
      }
    }
  }

  #stepUp(): number {
    const root = this.#root;
    for (;;) {
      if (this.mount === root.mount && this.dentry === root.dentry) {
        return (this.#how & RESOLVE_BENEATH) !== 0 ? -EXDEV : 0;
      }
      if (this.dentry !== this.mount.root) {
        const parent = this.dentry.parent;
        if (parent !== null) this.dentry = parent;
        // What is mounted on the parent covers it.
        return this.dentry.mountCount > 0 ? this.#cross(this.dentry) : 0;
      }
      if (this.mount.parent === null) return 0;
      if ((this.#how & RESOLVE_NO_XDEV) !== 0) return -EXDEV;
      this.dentry = this.mount.mountPoint!;
      this.mount = this.mount.parent;
    }
  }

  /** Goes to `dentry` of this mount, or to the root of what is mounted there. */
  #cross(dentry: Dentry): number {
    let mount: Mount | null = this.mount;
    const from = mount;
    for (;;) {
      this.mount = mount;
      this.dentry = dentry;
      mount = this.#namespace.mountedAt(mount, dentry);
      if (mount === null) break;
      dentry = mount.root;
    }
    return (this.#how & RESOLVE_NO_XDEV) !== 0 && this.mount !== from ? -EXDEV : 0;
  }

  /** The text of symlink `link` in the current directory; an absolute one moves the walk to the root. "" = it jumped. */
  #follow(link: Dentry, isLast: boolean): string | number {
    const how = this.#how;
    if (++this.#linkCount > SYMLINKS_MAX || (how & RESOLVE_NO_SYMLINKS) !== 0) return -ELOOP;
    if ((this.mount.flags & MS_NOSYMFOLLOW) !== 0) return -ELOOP;
    const inode = link.inode!;
    if (isLast && this.#isForeignLink(link)) return -EACCES;
    const magic = inode.magicLink(this.#task);
    if (magic !== null) return this.#jump(magic);
    const target = inode.readlink();
    if (typeof target === "number") return target;
    if (target === "") return -ENOENT;
    if (target.charCodeAt(0) !== SLASH) return target;
    if ((how & RESOLVE_BENEATH) !== 0) return -EXDEV;
    if ((how & RESOLVE_NO_XDEV) !== 0 && this.mount !== this.#root.mount) return -EXDEV;
    this.mount = this.#root.mount;
    this.dentry = this.#root.dentry;
    return target;
  }

  #jump(to: Path | number): string | number {
    if ((this.#how & RESOLVE_NO_MAGICLINKS) !== 0) return -ELOOP;
    if (typeof to === "number") return to;
    if ((this.#how & SCOPED) !== 0) return -EXDEV;
    if ((this.#how & RESOLVE_NO_XDEV) !== 0 && this.mount !== to.mount) return -EXDEV;
    this.mount = to.mount;
    this.dentry = to.dentry;
    return "";
  }

  /** protected_symlinks: in a sticky directory that anyone may write, only one's own links and its owner's count. */
  #isForeignLink(link: Dentry): boolean {
    const directory = this.dentry.inode!;
    if (directory.fs.vfs.parameters.protectedSymlinks === 0) return false;
    if ((directory.mode & (S_ISVTX | 0o002)) !== (S_ISVTX | 0o002)) return false;
    const owner = link.inode!.uid;
    return owner !== this.#task.credentials.fsuid && owner !== directory.uid;
  }
}
