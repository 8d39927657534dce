// tmpfs: a file system in memory. Linux: mm/shmem.c, tmpfs(5). Directories are ordered maps with stable offsets, file
// content is in memory_file.ts, limits (size, nr_inodes) apply per instance.

import {
  EEXIST,
  EINVAL,
  EISDIR,
  EMLINK,
  ENODATA,
  ENOENT,
  ENOSPC,
  ENOTDIR,
  ENOTEMPTY,
  ENXIO,
  EOPNOTSUPP,
} from "../abi/errno.ts";
import {
  RENAME_EXCHANGE,
  RENAME_WHITEOUT,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  XATTR_CREATE,
  XATTR_REPLACE,
} from "../abi/file.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import type { HostDescriptors } from "../host/host_descriptor.ts";
import type { Kernel } from "../kernel.ts";
import type { Clock } from "../time/clock.ts";
import type { Task } from "../task/task.ts";
import { giveTurnBelow } from "../task/wait_engine.ts";
import { Filesystem, type FilesystemStat, type FilesystemType } from "../vfs/filesystem.ts";
import {
  ATTR_ATIME,
  ATTR_CTIME,
  ATTR_GID,
  ATTR_MODE,
  ATTR_MTIME,
  ATTR_SIZE,
  ATTR_UID,
  type AttributeChange,
  Inode,
  type NewNode,
} from "../vfs/inode.ts";
import type { File } from "../vfs/file.ts";
import { openSpecial } from "../vfs/special.ts";
import { INODE_COST, KernelAccount } from "../util/kernel_memory.ts";
import { MemoryFile, pagesOf } from "./memory_file.ts";
import { TmpfsDirectoryFile, TmpfsRegularFile } from "./tmpfs_files.ts";
import { parseTmpfsOptions, type TmpfsOptions } from "./tmpfs_options.ts";

const TMPFS_MAGIC = 0x0102_1994;
const LINKS_MAX = 65_000;
/**
 * Linux: statfs(2) of an instance without a limit shows zeros; here 4 TiB, as the sandbox's root is such an instance
 * and installers would refuse to run without free space.
 */
const UNLIMITED_BLOCKS = 2 ** 30;
/** SHORT_SYMLINK_LEN: longer targets, with their NUL, take up a page. */
const SHORT_SYMLINK_BYTES = 128;
/** Bytes of all extended attributes of one inode. */
const XATTR_BYTES_MAX = 64 * 1024;

export class Tmpfs extends Filesystem {
  readonly #kernel: Kernel;
  readonly descriptors: HostDescriptors;
  readonly clock: Clock;
  readonly limits: TmpfsOptions;
  readonly #optionText: string;
  #nextInode = 1;
  inodesUsed = 0;
  /** Bytes of content in use, in whole pages. */
  bytesUsed = 0;
  /** The kernel's memory for inodes, names and small contents. */
  readonly account: KernelAccount;
  readonly #root: TmpfsInode;

  constructor(kernel: Kernel, options: TmpfsOptions, optionText: string, type = "tmpfs") {
    super(kernel.vfs, type);
    this.#kernel = kernel;
    this.descriptors = kernel.descriptors;
    this.clock = kernel.clock;
    this.account = new KernelAccount(kernel.account);
    this.limits = options;
    this.#optionText = optionText;
    this.#root = this.newInode(S_IFDIR | options.mode, options.uid, options.gid) as TmpfsInode;
    this.#root.parent = this.#root;
    this.#root.nlink = 2;
  }

  override get root(): TmpfsInode {
    return this.#root;
  }
  override get isMemory(): boolean {
    return true;
  }
  override get options(): string {
    return this.#optionText;
  }

  override statfs(into: FilesystemStat): number {
    into.type = TMPFS_MAGIC;
    const isLimited = this.limits.sizeBytes !== Infinity;
    into.blocks = isLimited ? Math.floor(this.limits.sizeBytes / 4096) : UNLIMITED_BLOCKS;
    into.blocksFree = Math.max(0, into.blocks - Math.ceil(this.bytesUsed / 4096));
    into.blocksAvailable = into.blocksFree;
    into.files = this.limits.inodes === Infinity ? UNLIMITED_BLOCKS : this.limits.inodes;
    into.filesFree = Math.max(0, into.files - this.inodesUsed);
    return 0;
  }

  newInode(mode: number, uid: number, gid: number): TmpfsInode | number {
    if (this.inodesUsed >= this.limits.inodes) return -ENOSPC;
    if (!this.account.take(INODE_COST)) {
      if (this.inodesUsed > 0) return -ENOSPC;
      // Not refused: the check was at the mount.
      this.account.force(INODE_COST);
    }
    this.inodesUsed++;
    return new TmpfsInode(this, this.#nextInode++, mode, uid, gid);
  }

  /** The last mount and open file have gone: frees the content. */
  override release(): void {
    const directories = [this.#root];
    for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
      for (const { inode } of directory.entries!.values()) {
        if (inode.entries !== null) directories.push(inode);
        inode.content?.release();
      }
    }
    this.account.close();
  }

  /** The current call continues in the next turn. */
  giveTurn(): number {
    return giveTurnBelow(this.#kernel.currentTask!);
  }

  /** Counts `bytes` more content; negative for less. */
  charge(bytes: number): void {
    this.bytesUsed += bytes;
  }
  /** Bytes of content that still fit into the limit. */
  room(): number {
    return Math.max(0, this.limits.sizeBytes - this.bytesUsed);
  }
}

/** A directory entry; its `offset` never changes, so that reading continues at the same place after removals. */
interface Entry {
  readonly inode: TmpfsInode;
  readonly offset: number;
}

export class TmpfsInode extends Inode {
  declare readonly fs: Tmpfs;
  /** Of directories: entries by name in order of creation. */
  readonly entries: Map<string, Entry> | null;
  parent: TmpfsInode | null = null;
  #nextOffset = 2;
  /** Of regular files. */
  readonly content: MemoryFile | null;
  /** Bytes of memory counted for the content, and the offset up to which they are counted. */
  #charged = 0;
  #chargedEnd = 0;
  #target = "";
  #xattrs: Map<string, Uint8Array> | null = null;
  #xattrBytes = 0;
  #holders = 0;
  #isFreed = false;

  constructor(fs: Tmpfs, ino: number, mode: number, uid: number, gid: number) {
    super(fs, ino, mode, uid, gid);
    const type = mode & S_IFMT;
    this.entries = type === S_IFDIR ? new Map() : null;
    this.content = type === S_IFREG ? new MemoryFile(fs.descriptors, fs.account) : null;
    const seconds = fs.clock.realtime(), nanoseconds = fs.clock.nanoseconds;
    this.atimeSec =
      this.mtimeSec =
      this.ctimeSec =
      this.birthSec =
        seconds;
    this.atimeNsec =
      this.mtimeNsec =
      this.ctimeNsec =
      this.birthNsec =
        nanoseconds;
  }

  override hold(): void {
    this.#holders++;
  }
  override drop(): void {
    this.#holders--;
    this.freeIfUnused();
  }
  /** Frees content and inode once the inode has no holder and no link. */
  freeIfUnused(): void {
    if (this.nlink > 0 || this.#holders > 0 || this.#isFreed) return;
    this.#isFreed = true;
    this.onFree();
    this.fs.account.give(INODE_COST + this.#target.length + this.#xattrBytes);
    this.fs.inodesUsed--;
    this.fs.charge(-this.#charged);
    this.content?.release();
  }

  /** The inode has been freed; for subclasses with more to free. */
  onFree(): void {}

  /** Content or entries were modified: sets mtime and ctime. */
  touch(): void {
    this.mtimeSec = this.ctimeSec = this.fs.clock.realtime();
    this.mtimeNsec = this.ctimeNsec = this.fs.clock.nanoseconds;
  }
  touchChange(): void {
    this.ctimeSec = this.fs.clock.realtime();
    this.ctimeNsec = this.fs.clock.nanoseconds;
  }

  /**
   * Reserves memory for `length` bytes at `offset`: returns how many fit, or -ENOSPC. Only bytes behind the end of
   * the counted part are reserved; holes that are filled later are counted by the next refresh().
   */
  reserve(offset: number, length: number): number {
    const end = pagesOf(offset + length);
    if (end <= this.#chargedEnd) return length;
    const from = Math.max(Math.floor(offset / PAGE_SIZE) * PAGE_SIZE, this.#chargedEnd);
    const wanted = Math.min(end - from, this.fs.room());
    const granted = Math.floor(wanted / PAGE_SIZE) * PAGE_SIZE;
    const fits = Math.min(length, from + granted - offset);
    if (fits <= 0) return -ENOSPC;
    this.fs.charge(granted);
    this.#charged += granted;
    this.#chargedEnd = from + granted;
    return fits;
  }

  /**
   * Sets the size of the content. MUST_WAIT while a truncation, another call's or this one's, is still freeing
   * memory.
   */
  resize(size: number): number {
    const content = this.content!;
    if (content.isShrinking) return this.fs.giveTurn();
    const result = content.truncate(size);
    if (result < 0) return result;
    this.noteSize();
    return content.isShrinking ? this.fs.giveTurn() : 0;
  }

  /** Updates size and blocks from the content. */
  noteSize(): void {
    const size = this.content!.size;
    this.size = size;
    const end = pagesOf(size);
    if (end < this.#chargedEnd) this.#chargedEnd = end;
    if (end < this.#charged) this.#setCharged(end);
    this.blocks = this.#charged / 512;
  }

  #setCharged(bytes: number): void {
    this.fs.charge(bytes - this.#charged);
    this.#charged = bytes;
  }

  /** Only the host knows the used pages: writes through mappings allocate too. */
  override refresh(): number {
    if (this.content === null || this.#isFreed) return 0;
    this.#setCharged(this.content.allocatedBytes);
    this.blocks = this.#charged / 512;
    return 0;
  }

  override lookup(name: string): Inode | number {
    if (this.entries === null) return -ENOTDIR;
    return this.entries.get(name)?.inode ?? -ENOENT;
  }

  #enter(name: string, inode: TmpfsInode): void {
    this.entries!.set(name, { inode, offset: this.#nextOffset++ });
    this.size += 20;
    this.touch();
  }

  #make(name: string, node: NewNode): TmpfsInode | number {
    if (this.nlink === 0) return -ENOENT;
    if (this.entries!.has(name)) return -EEXIST;
    const inode = this.fs.newInode(node.mode, node.uid, node.gid);
    if (typeof inode !== "number") this.#enter(name, inode);
    return inode;
  }

  override create(name: string, node: NewNode): Inode | number {
    return this.#make(name, node);
  }
  override mknod(name: string, node: NewNode, rdevMajor: number, rdevMinor: number): Inode | number {
    const inode = this.#make(name, node);
    if (typeof inode === "number") return inode;
    inode.rdevMajor = rdevMajor;
    inode.rdevMinor = rdevMinor;
    return inode;
  }
  override mkdir(name: string, node: NewNode): Inode | number {
    if (this.nlink >= LINKS_MAX) return -EMLINK;
    const inode = this.#make(name, node);
    if (typeof inode === "number") return inode;
    inode.nlink = 2;
    inode.parent = this;
    this.nlink++;
    return inode;
  }
  override symlink(name: string, target: string, node: NewNode): Inode | number {
    // Where Linux would give it a page, it counts as one: shmem_symlink().
    const pageBytes = target.length >= SHORT_SYMLINK_BYTES ? PAGE_SIZE : 0;
    if (this.fs.room() < pageBytes || !this.fs.account.take(target.length)) return -ENOSPC;
    const inode = this.#make(name, { mode: S_IFLNK | 0o777, uid: node.uid, gid: node.gid });
    if (typeof inode === "number") {
      this.fs.account.give(target.length);
      return inode;
    }
    // V8 stores a concatenated string as a tree of its parts until it is read, 100 KiB for a long name: reading a
    // character flattens it.
    target.charCodeAt(0);
    inode.#target = target;
    inode.size = target.length;
    inode.#setCharged(pageBytes);
    inode.blocks = pageBytes / 512;
    return inode;
  }
  override readlink(): string | number {
    return this.isSymlink ? this.#target : -EINVAL;
  }

  /** Makes an inode without a name: O_TMPFILE. */
  override createUnnamed(node: NewNode): TmpfsInode | number {
    const inode = this.fs.newInode(node.mode, node.uid, node.gid);
    if (typeof inode !== "number") inode.nlink = 0;
    return inode;
  }

  override link(name: string, inode: Inode): number {
    const target = inode as TmpfsInode;
    if (this.nlink === 0) return -ENOENT;
    if (this.entries!.has(name)) return -EEXIST;
    if (target.nlink >= LINKS_MAX) return -EMLINK;
    target.nlink++;
    target.touchChange();
    this.#enter(name, target);
    return 0;
  }

  #forget(name: string): void {
    this.entries!.delete(name);
    this.size -= 20;
    this.touch();
  }

  override unlink(name: string, inode: Inode): number {
    const target = inode as TmpfsInode;
    if (target.entries !== null) return -EISDIR;
    this.#forget(name);
    target.nlink--;
    target.touchChange();
    target.freeIfUnused();
    return 0;
  }

  override rmdir(name: string, inode: Inode): number {
    const target = inode as TmpfsInode;
    if (target.entries === null) return -ENOTDIR;
    if (target.entries.size > 0) return -ENOTEMPTY;
    this.#forget(name);
    target.nlink = 0;
    this.nlink--;
    target.freeIfUnused();
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
    const source = inode as TmpfsInode, directory = to as TmpfsInode, replaced = target as TmpfsInode | null;
    if (directory.nlink === 0) return -ENOENT;
    if ((flags & RENAME_EXCHANGE) !== 0) return this.#exchange(name, source, directory, newName, replaced!);
    if (replaced !== null) {
      if (source.entries !== null && replaced.entries === null) return -ENOTDIR;
      if (source.entries === null && replaced.entries !== null) return -EISDIR;
      const removed = replaced.entries !== null
        ? directory.rmdir(newName, replaced)
        : directory.unlink(newName, replaced);
      if (removed < 0) return removed;
    }
    this.#forget(name);
    directory.#enter(newName, source);
    if (source.entries !== null && directory !== this) {
      source.parent = directory;
      this.nlink--;
      directory.nlink++;
    }
    source.touchChange();
    if ((flags & RENAME_WHITEOUT) === 0) return 0;
    const whiteout = this.#make(name, { mode: S_IFCHR, uid: source.uid, gid: source.gid });
    return typeof whiteout === "number" ? whiteout : 0;
  }

  #exchange(name: string, a: TmpfsInode, directory: TmpfsInode, newName: string, b: TmpfsInode): number {
    this.entries!.set(name, { inode: b, offset: this.entries!.get(name)!.offset });
    directory.entries!.set(newName, { inode: a, offset: directory.entries!.get(newName)!.offset });
    if (this !== directory) {
      if (a.entries !== null) {
        a.parent = directory;
        this.nlink--;
        directory.nlink++;
      }
      if (b.entries !== null) {
        b.parent = this;
        directory.nlink--;
        this.nlink++;
      }
    }
    this.touch();
    directory.touch();
    a.touchChange();
    b.touchChange();
    return 0;
  }

  override open(task: Task, flags: number): File | number {
    switch (this.mode & S_IFMT) {
      case S_IFREG:
        return new TmpfsRegularFile(this, flags);
      case S_IFDIR:
        return new TmpfsDirectoryFile(this, flags);
      case S_IFSOCK:
        return -ENXIO;
      case S_IFIFO:
      default:
        return openSpecial(task, this, flags);
    }
  }

  override setattr(change: AttributeChange): number {
    if ((change.mask & ATTR_SIZE) !== 0) {
      if (this.content === null) return -EINVAL;
      const result = this.resize(change.size);
      if (result < 0) return result;
    }
    applyAttributes(this, change);
    return 0;
  }

  override getXattr(name: string): Uint8Array | number {
    if (!isKnownXattr(name)) return -EOPNOTSUPP;
    return this.#xattrs?.get(name) ?? -ENODATA;
  }
  override setXattr(name: string, value: Uint8Array, flags: number): number {
    if (!isKnownXattr(name)) return -EOPNOTSUPP;
    const exists = this.#xattrs?.has(name) === true;
    if ((flags & XATTR_CREATE) !== 0 && exists) return -EEXIST;
    if ((flags & XATTR_REPLACE) !== 0 && !exists) return -ENODATA;
    let bytes = name.length + value.length;
    for (const [other, held] of this.#xattrs ?? []) if (other !== name) bytes += other.length + held.length;
    if (bytes > XATTR_BYTES_MAX) return -ENOSPC;
    if (bytes > this.#xattrBytes && !this.fs.account.take(bytes - this.#xattrBytes)) return -ENOSPC;
    if (bytes < this.#xattrBytes) this.fs.account.give(this.#xattrBytes - bytes);
    this.#xattrBytes = bytes;
    if (this.#xattrs === null) this.#xattrs = new Map();
    this.#xattrs.set(name, value.slice());
    this.touchChange();
    return 0;
  }
  override removeXattr(name: string): number {
    if (!isKnownXattr(name)) return -EOPNOTSUPP;
    const held = this.#xattrs?.get(name);
    if (held === undefined) return -ENODATA;
    this.#xattrs!.delete(name);
    this.#xattrBytes -= name.length + held.length;
    this.fs.account.give(name.length + held.length);
    this.touchChange();
    return 0;
  }
  override listXattr(): string[] | number {
    return this.#xattrs === null ? [] : [...this.#xattrs.keys()];
  }
}

function isKnownXattr(name: string): boolean {
  return name.startsWith("user.") || name.startsWith("trusted.") || name.startsWith("security.");
}

/** Copies mode, owner and times of `change` into an inode's fields. */
function applyAttributes(inode: Inode, change: AttributeChange): void {
  const { mask } = change;
  if ((mask & ATTR_MODE) !== 0) inode.mode = (inode.mode & S_IFMT) | (change.mode & 0o7777);
  if ((mask & ATTR_UID) !== 0) inode.uid = change.uid;
  if ((mask & ATTR_GID) !== 0) inode.gid = change.gid;
  if ((mask & ATTR_ATIME) !== 0) {
    inode.atimeSec = change.atimeSec;
    inode.atimeNsec = change.atimeNsec;
  }
  if ((mask & ATTR_MTIME) !== 0) {
    inode.mtimeSec = change.mtimeSec;
    inode.mtimeNsec = change.mtimeNsec;
  }
  if ((mask & ATTR_CTIME) !== 0) {
    inode.ctimeSec = change.ctimeSec;
    inode.ctimeNsec = change.ctimeNsec;
  }
}

export const TMPFS_TYPE: FilesystemType = {
  name: "tmpfs",
  hasNoDevice: true,
  isUserMountable: true,
  mount: mountTmpfs,
};

function mountTmpfs(task: Task, _source: string, options: string): Filesystem | number {
  const half = task.kernel.memoryTotalBytes / 2;
  const parsed = parseTmpfsOptions(options, task.kernel.memoryTotalBytes, half);
  if (typeof parsed === "number") return parsed;
  return new Tmpfs(task.kernel, parsed, options);
}
