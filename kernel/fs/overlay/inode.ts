// Inodes of an overlay: each represents an object of the upper layer, of a lower one, or a directory merged from
// several. Its attributes are copies of the topmost object's, updated after each change made through it.

import {
  EEXIST,
  EINVAL,
  EISDIR,
  ENODATA,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  EROFS,
} from "../../abi/errno.ts";
import {
  O_ACCMODE,
  O_RDONLY,
  RENAME_EXCHANGE,
  RENAME_WHITEOUT,
  S_IFCHR,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import { ATTR_SIZE, type AttributeChange, Inode, type NewNode } from "../../vfs/inode.ts";
import { openSpecial } from "../../vfs/special.ts";
import { copyTreeUp, copyUp } from "./copy_up.ts";
import { mergedEntries, OverlayDirectoryFile } from "./directory_file.ts";
import type { OverlayFilesystem } from "./overlay.ts";
import { OverlayFile } from "./regular_file.ts";
import { isOpaque, isWhiteout, lookupIn, OPAQUE_XATTR, PRIVATE_XATTRS } from "./layer_marks.ts";

const WHITEOUT: NewNode = { mode: S_IFCHR, uid: 0, gid: 0 };
const OPAQUE = new Uint8Array([0x79]);

export class OverlayInode extends Inode {
  declare readonly fs: OverlayFilesystem;
  /** Directory and name of the last look-up, for copy-up; null for the root and for removed objects. */
  parent: OverlayInode | null;
  name: string;
  #upper: Inode | null;
  /** The lower objects, top to bottom. A non-directory has at most one, and none after its copy-up. */
  #lowers: readonly Inode[];
  #holders = 0;
  /** Whether look-ups below may be cached: the layers' own answer, asked once. */
  #isCacheable: boolean;
  /** It was made where no lower layer had its name: removing it needs no whiteout. */
  #isNew = false;
  /** Its name was removed while the object was in a lower layer, whose link count does not change. */
  #isRemoved = false;

  constructor(
    fs: OverlayFilesystem,
    parent: OverlayInode | null,
    name: string,
    upper: Inode | null,
    lowers: readonly Inode[],
  ) {
    const real = upper ?? lowers[0];
    super(fs, fs.numberOf(real), real.mode, real.uid, real.gid);
    this.parent = parent;
    this.name = name;
    this.#upper = upper;
    this.#lowers = lowers;
    this.rdevMajor = real.rdevMajor;
    this.rdevMinor = real.rdevMinor;
    this.mayHaveCapabilities = upper === null || upper.mayHaveCapabilities;
    this.#isCacheable = (upper === null || upper.isCacheable) && lowers.every((lower) => lower.isCacheable);
    this.sync();
  }

  get upper(): Inode | null {
    return this.#upper;
  }
  get lowers(): readonly Inode[] {
    return this.#lowers;
  }
  /** The object that determines attributes and content. */
  get real(): Inode {
    return this.#upper ?? this.#lowers[0];
  }

  /** Copies the attributes of the real object. */
  sync(): void {
    const real = this.real;
    this.mode = real.mode;
    this.uid = real.uid;
    this.gid = real.gid;
    this.size = real.size;
    this.blocks = real.blocks;
    this.atimeSec = real.atimeSec;
    this.atimeNsec = real.atimeNsec;
    this.mtimeSec = real.mtimeSec;
    this.mtimeNsec = real.mtimeNsec;
    this.ctimeSec = real.ctimeSec;
    this.ctimeNsec = real.ctimeNsec;
    this.birthSec = real.birthSec;
    this.birthNsec = real.birthNsec;
    if (this.#isRemoved) this.nlink = 0;
    // The number of sub-directories of a merged directory is unknown; a link count of 1 tells find(1) and others not
    // to use it.
    else if (this.#lowers.length + (this.#upper === null ? 0 : 1) > 1) this.nlink = 1;
    else this.nlink = real.nlink;
  }

  override refresh(): number {
    const result = this.real.refresh();
    if (result === 0) this.sync();
    return result;
  }

  override hold(): void {
    if (this.#holders++ > 0) return;
    this.#upper?.hold();
    for (const lower of this.#lowers) lower.hold();
  }
  override drop(): void {
    if (--this.#holders > 0) return;
    this.#upper?.drop();
    for (const lower of this.#lowers) lower.drop();
  }

  override get isCacheable(): boolean {
    return this.#isCacheable;
  }

  /** Sets the upper object, which determines the attributes from now on. copy_up.ts calls this. */
  setUpper(upper: Inode): void {
    // One of several links becomes a file of its own, as without the feature "index" of Linux: overlayfs.rst, "Inode
    // properties". Those that compare numbers must not take it for the others.
    if (!this.isDirectory && this.real.nlink > 1) this.ino = this.fs.numberOf(upper);
    else this.fs.keepNumber(upper, this.ino);
    if (this.#holders > 0) upper.hold();
    this.#upper = upper;
    if (!upper.isCacheable) this.#isCacheable = false;
    this.mayHaveCapabilities = upper.mayHaveCapabilities;
    if (!this.isDirectory) {
      this.#dropLowers();
      this.fs.byUpper.set(upper, this);
    }
    this.sync();
  }

  /** Hides all lower layers' content. */
  #dropLowers(): void {
    const lowers = this.#lowers;
    this.#lowers = [];
    if (this.#holders > 0) { for (const lower of lowers) lower.drop(); }
  }

  /**
   * Marks this directory of the upper layer opaque. The mark in memory takes effect now; the one in the layer
   * survives a restart.
   */
  makeOpaque(): number {
    const result = this.#upper!.setXattr(OPAQUE_XATTR, OPAQUE, 0);
    if (result < 0 && result !== -EOPNOTSUPP && result !== -EPERM) return result;
    this.#dropLowers();
    this.sync();
    return 0;
  }

  override lookup(name: string): Inode | number {
    let upper: Inode | null = null;
    if (this.#upper !== null) {
      const found = lookupIn(this.#upper, name);
      if (typeof found === "number") return found;
      if (found !== null) {
        if (isWhiteout(found)) return unused(found, -ENOENT);
        if (!found.isDirectory) return this.#upperFile(name, found);
        upper = found;
        if (this.#lowers.length === 0 || isOpaque(found)) {
          return new OverlayInode(this.fs, this, name, found, []);
        }
      }
    }
    return this.#lookupBelow(name, upper);
  }

  #upperFile(name: string, upper: Inode): OverlayInode {
    const known = this.fs.byUpper.get(upper);
    if (known !== undefined) {
      if (known.parent !== this || known.name !== name) known.#isNew = false;
      known.parent = this;
      known.name = name;
      known.sync();
      return known;
    }
    const inode = new OverlayInode(this.fs, this, name, upper, []);
    this.fs.byUpper.set(upper, inode);
    return inode;
  }

  /** Merges the lower layers' objects named `name` with `upper`, a directory that hides nothing, or null. */
  #lookupBelow(name: string, upper: Inode | null): Inode | number {
    const lowers: Inode[] = [];
    const layers = this.#lowers;
    for (let i = 0; i < layers.length; i++) {
      const found = lookupIn(layers[i], name);
      if (typeof found === "number") return found;
      if (found === null) continue;
      const isFirst = upper === null && lowers.length === 0;
      if (isWhiteout(found) || (!found.isDirectory && !isFirst)) {
        unused(found, 0);
        break;
      }
      lowers.push(found);
      if (!found.isDirectory || (i + 1 < layers.length && isOpaque(found))) break;
    }
    if (upper === null && lowers.length === 0) return -ENOENT;
    return new OverlayInode(this.fs, this, name, upper, lowers);
  }

  /** Whether a lower layer has a `name` that would be visible if the upper one had none. */
  #hasBelow(name: string): boolean {
    for (const lower of this.#lowers) {
      const found = lookupIn(lower, name);
      if (found === null || typeof found === "number") continue;
      unused(found, 0);
      return !isWhiteout(found);
    }
    return false;
  }

  /** `inode` has lost its name `name`: puts a whiteout there if a lower layer has that name. */
  #coverBelow(name: string, inode: OverlayInode): number {
    if (inode.#isNew && inode.name === name && inode.parent === this) return 0;
    // The upper layer has changed by now: the call cannot be made again.
    if (!this.fs.vfs.indivisibly(() => this.#hasBelow(name))) return 0;
    const made = this.#upper!.mknod(name, WHITEOUT, 0, 0);
    return typeof made === "number" ? made : 0;
  }

  /** Copies up this directory and removes a whiteout at `name`: 1 if there was one, 0, -ERRNO. */
  #clear(name: string): number {
    const result = copyUp(this);
    if (result < 0) return result;
    const found = lookupIn(this.#upper!, name);
    if (found === null) return 0;
    if (typeof found === "number") return found;
    if (!isWhiteout(found)) return -EEXIST;
    const removed = this.#upper!.unlink(name, found);
    return removed < 0 ? removed : 1;
  }

  /** Completes what #clear began: puts the whiteout back if nothing was made. */
  #made(name: string, made: Inode | number, hadWhiteout: boolean): OverlayInode | number {
    if (typeof made === "number") {
      if (hadWhiteout) this.#upper!.mknod(name, WHITEOUT, 0, 0);
      return made;
    }
    this.sync();
    const inode = made.isDirectory
      ? new OverlayInode(this.fs, this, name, made, [])
      : this.#upperFile(name, made);
    // The name was looked up before: without a whiteout hiding it, no layer has it.
    if (!hadWhiteout) inode.#isNew = true;
    // Hides a lower directory of that name.
    else if (made.isDirectory) inode.makeOpaque();
    return inode;
  }

  override create(name: string, node: NewNode): Inode | number {
    const cleared = this.#clear(name);
    if (cleared < 0) return cleared;
    return this.#made(name, this.#upper!.create(name, node), cleared === 1);
  }
  override mkdir(name: string, node: NewNode): Inode | number {
    const cleared = this.#clear(name);
    if (cleared < 0) return cleared;
    return this.#made(name, this.#upper!.mkdir(name, node), cleared === 1);
  }
  override mknod(name: string, node: NewNode, rdevMajor: number, rdevMinor: number): Inode | number {
    // A character device 0/0 would be taken for a whiteout.
    if ((node.mode & S_IFMT) === S_IFCHR && rdevMajor === 0 && rdevMinor === 0) return -EPERM;
    const cleared = this.#clear(name);
    if (cleared < 0) return cleared;
    return this.#made(name, this.#upper!.mknod(name, node, rdevMajor, rdevMinor), cleared === 1);
  }
  override symlink(name: string, target: string, node: NewNode): Inode | number {
    const cleared = this.#clear(name);
    if (cleared < 0) return cleared;
    return this.#made(name, this.#upper!.symlink(name, target, node), cleared === 1);
  }

  override createUnnamed(node: NewNode): Inode | number {
    const result = copyUp(this);
    if (result < 0) return result;
    const made = this.#upper!.createUnnamed(node);
    if (typeof made === "number") return made;
    const inode = new OverlayInode(this.fs, null, "", made, []);
    this.fs.byUpper.set(made, inode);
    return inode;
  }

  override link(name: string, inode: Inode): number {
    const source = inode as OverlayInode;
    const copied = copyUp(source);
    if (copied < 0) return copied;
    const cleared = this.#clear(name);
    if (cleared < 0) return cleared;
    const result = this.#upper!.link(name, source.#upper!);
    if (result < 0) {
      if (cleared === 1) this.#upper!.mknod(name, WHITEOUT, 0, 0);
      return result;
    }
    source.sync();
    this.sync();
    return 0;
  }

  override unlink(name: string, inode: Inode): number {
    const target = inode as OverlayInode;
    const result = copyUp(this);
    if (result < 0) return result;
    if (target.#upper !== null) {
      const removed = this.#upper!.unlink(name, target.#upper);
      if (removed < 0) return removed;
    }
    const covered = this.#coverBelow(name, target);
    if (covered < 0) return covered;
    target.#forgetName(name, this);
    this.sync();
    return 0;
  }

  #forgetName(name: string, directory: OverlayInode): void {
    if (this.#upper === null || this.isDirectory) this.#isRemoved = true;
    if (this.parent === directory && this.name === name) this.parent = null;
    this.sync();
  }

  override rmdir(name: string, inode: Inode): number {
    const target = inode as OverlayInode;
    if (!target.isDirectory) return -ENOTDIR;
    const emptied = target.#empty();
    if (emptied < 0) return emptied;
    const result = copyUp(this);
    if (result < 0) return result;
    if (target.#upper !== null) {
      const removed = this.#upper!.rmdir(name, target.#upper);
      if (removed < 0) return removed;
    }
    const covered = this.#coverBelow(name, target);
    if (covered < 0) return covered;
    target.#forgetName(name, this);
    this.sync();
    return 0;
  }

  /**
   * -ENOTEMPTY; or 0 after removing the whiteouts from its upper directory, so that the layer itself can remove it.
   */
  #empty(): number {
    const entries = mergedEntries(this);
    if (typeof entries === "number") return entries;
    if (entries.length > 0) return -ENOTEMPTY;
    const upper = this.#upper;
    if (upper === null) return 0;
    for (const name of whiteoutsIn(this)) {
      const whiteout = upper.lookup(name);
      if (typeof whiteout === "number") continue;
      const removed = upper.unlink(name, whiteout);
      if (removed < 0) return removed;
    }
    return 0;
  }

  override rename(
    name: string,
    inode: Inode,
    to: Inode,
    newName: string,
    target: Inode | null,
    flags: number,
  ): number {
    const source = inode as OverlayInode, directory = to as OverlayInode;
    const replaced = target as OverlayInode | null;
    if ((flags & RENAME_WHITEOUT) !== 0) return -EINVAL;
    const isExchange = (flags & RENAME_EXCHANGE) !== 0;
    let result = prepareMove(source);
    if (result === 0 && isExchange) result = prepareMove(replaced!);
    if (result === 0) result = copyUp(this);
    if (result === 0) result = copyUp(directory);
    if (result < 0) return result;
    if (isExchange) return this.#exchange(name, source, directory, newName, replaced!);

    if (replaced !== null && replaced.isDirectory) {
      const emptied = replaced.#empty();
      if (emptied < 0) return emptied;
    }
    // What the upper layer has under the new name: the target, a whiteout, or nothing.
    let hadWhiteout = false;
    if (replaced === null || replaced.#upper === null) {
      const cleared = directory.#clear(newName);
      if (cleared < 0) return cleared;
      hadWhiteout = cleared === 1;
    }
    const moved = this.#upper!.rename(
      name,
      source.#upper!,
      directory.#upper!,
      newName,
      replaced === null ? null : replaced.#upper,
      0,
    );
    if (moved < 0) {
      if (hadWhiteout) directory.#upper!.mknod(newName, WHITEOUT, 0, 0);
      return moved;
    }
    const covered = this.#coverBelow(name, source);
    if (covered < 0) return covered;
    if (replaced !== null) replaced.#forgetName(newName, directory);
    source.#moveTo(directory, newName);
    this.sync();
    directory.sync();
    return 0;
  }

  #exchange(
    name: string,
    source: OverlayInode,
    directory: OverlayInode,
    newName: string,
    other: OverlayInode,
  ): number {
    const result = this.#upper!.rename(
      name,
      source.#upper!,
      directory.#upper!,
      newName,
      other.#upper!,
      RENAME_EXCHANGE,
    );
    if (result < 0) return result;
    source.#moveTo(directory, newName);
    other.#moveTo(this, name);
    this.sync();
    directory.sync();
    return 0;
  }

  #moveTo(directory: OverlayInode, name: string): void {
    this.parent = directory;
    this.name = name;
    this.#isNew = false;
    this.sync();
  }

  override readlink(): string | number {
    return this.real.readlink();
  }

  override open(task: Task, flags: number): File | number {
    this.fs.task = task;
    switch (this.mode & S_IFMT) {
      case S_IFDIR:
        return new OverlayDirectoryFile(this, flags);
      case S_IFREG: {
        if ((flags & O_ACCMODE) !== O_RDONLY) {
          const result = copyUp(this);
          if (result < 0) return result;
        }
        const real = this.real.open(task, flags);
        return typeof real === "number" ? real : new OverlayFile(this, flags, real.asContent()!);
      }
      case S_IFSOCK:
        return -ENXIO;
      default:
        return openSpecial(task, this, flags);
    }
  }

  override prepareTruncate(): number {
    return copyUp(this, false);
  }

  override setattr(change: AttributeChange): number {
    const needsData = (change.mask & ATTR_SIZE) === 0 || change.size > 0;
    if ((change.mask & ATTR_SIZE) !== 0 && this.isDirectory) return -EISDIR;
    // Copy-up may set other attributes through the same object: saves the caller's.
    const result = copyUp(this, needsData);
    if (result < 0) return result;
    const set = this.#upper!.setattr(change);
    this.sync();
    return set;
  }

  override getXattr(name: string): Uint8Array | number {
    return name.startsWith(PRIVATE_XATTRS) ? -ENODATA : this.real.getXattr(name);
  }
  override setXattr(name: string, value: Uint8Array, flags: number): number {
    if (name.startsWith(PRIVATE_XATTRS)) return -EPERM;
    const result = copyUp(this);
    if (result < 0) return result;
    const set = this.#upper!.setXattr(name, value, flags);
    this.sync();
    return set;
  }
  override removeXattr(name: string): number {
    if (name.startsWith(PRIVATE_XATTRS)) return -ENODATA;
    const present = this.real.getXattr(name);
    if (typeof present === "number") return present;
    const result = copyUp(this);
    if (result < 0) return result;
    const removed = this.#upper!.removeXattr(name);
    this.sync();
    return removed;
  }
  override listXattr(): string[] | number {
    const names = this.real.listXattr();
    return typeof names === "number" ? names : names.filter((name) => !name.startsWith(PRIVATE_XATTRS));
  }
}

/**
 * Prepares a move of `inode`: copies all of it up, and makes sure that no lower object shows through at the new name.
 */
function prepareMove(inode: OverlayInode): number {
  if (!inode.isDirectory) return copyUp(inode);
  if (inode.fs.upperRoot === null) return -EROFS;
  const result = copyTreeUp(inode);
  return result < 0 ? result : inode.makeOpaque();
}

/** Names of the whiteouts in the upper directory of `inode`. */
function whiteoutsIn(inode: OverlayInode): string[] {
  const names: string[] = [];
  const upper = inode.upper!;
  const file = upper.open(inode.fs.task!, O_RDONLY);
  if (typeof file === "number") return names;
  const candidates: string[] = [];
  file.asDirectory()!.readDirectory(inode.fs.task!, {
    emit(name, _ino, type) {
      if (type === S_IFCHR >> 12) candidates.push(name);
      return true;
    },
  });
  file.drop();
  for (const name of candidates) {
    const found = upper.lookup(name);
    if (typeof found !== "number" && isWhiteout(found)) names.push(name);
  }
  return names;
}

/** A look-up result that is not used: lets its file system drop what the look-up cached. */
function unused(inode: Inode, result: number): number {
  inode.hold();
  inode.drop();
  return result;
}
