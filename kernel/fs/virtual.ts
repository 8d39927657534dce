// Synthetic file systems: trees of directories, generated files and links that proc, sysfs and devtmpfs consist of.
// Linux: kernfs, proc_dir_entry, seq_file. A file's text is made by a read at offset 0; later reads continue in it.

import { EINVAL, EIO, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, EPERM } from "../abi/errno.ts";
import { PATH_MAX, POLLERR, POLLIN, POLLPRI, POLLRDNORM, S_IFDIR, S_IFLNK, S_IFREG } from "../abi/file.ts";
import type { Kernel } from "../kernel.ts";
import type { Clock } from "../time/clock.ts";
import type { Task } from "../task/task.ts";
import { giveTurnBelow } from "../task/wait_engine.ts";
import { Changes } from "../util/changes.ts";
import { bytesToLatin1, latin1ToBytes } from "../util/bytes.ts";
import { File, seekWithin } from "../vfs/file.ts";
import { ContentFile, type DirectoryFile, type DirectorySink } from "../vfs/file_kinds.ts";
import { Filesystem, type FilesystemStat } from "../vfs/filesystem.ts";
import { ATTR_MODE, type AttributeChange, Inode } from "../vfs/inode.ts";
import type { Path } from "../vfs/path.ts";
import { directoryType } from "./tmpfs_files.ts";

/** The most bytes of one write to a generated file. */
const WRITE_BYTES_MAX = 4096;

export class VirtualFilesystem extends Filesystem {
  readonly clock: Clock;
  /**
   * The errno of creating a file in it: proc answers ENOENT, as a name that does not exist cannot be looked up there
   * even for creation.
   */
  readonly creationError: number = -EPERM;
  readonly #magic: number;
  #root: Inode | null = null;
  #nextInode = 1;

  constructor(kernel: Kernel, type: string, magic: number) {
    super(kernel.vfs, type);
    this.#magic = magic;
    this.clock = kernel.clock;
  }

  override get root(): Inode {
    return this.#root!;
  }
  /** Called once, by the builder of the tree. */
  setRoot(root: Inode): void {
    this.#root = root;
  }
  newNumber(): number {
    return this.#nextInode++;
  }
  override statfs(into: FilesystemStat): number {
    into.type = this.#magic;
    return 0;
  }
}

/** An inode of a virtual file system: owned by root unless given otherwise, its times those of its creation. */
export abstract class VirtualInode extends Inode {
  declare readonly fs: VirtualFilesystem;

  constructor(fs: VirtualFilesystem, mode: number, uid = 0, gid = 0) {
    super(fs, fs.newNumber(), mode, uid, gid);
    this.atimeSec = this.mtimeSec = this.ctimeSec = fs.clock.realtime();
    this.atimeNsec = this.mtimeNsec = this.ctimeNsec = fs.clock.nanoseconds;
  }
  /** The permission bits cannot be changed: proc_setattr(). */
  override setattr(change: AttributeChange): number {
    return (change.mask & ATTR_MODE) !== 0 ? -EPERM : 0;
  }
  override create(): Inode | number {
    return this.fs.creationError;
  }
  override mkdir(): Inode | number {
    return this.fs.creationError;
  }
  override mknod(): Inode | number {
    return this.fs.creationError;
  }
  override symlink(): Inode | number {
    return this.fs.creationError;
  }
  override link(): number {
    return this.fs.creationError;
  }
}

/** One entry of a directory listing. */
export interface VirtualEntry {
  readonly name: string;
  readonly ino: number;
  /** S_IF type bits. */
  readonly type: number;
}

/** A directory with a fixed list of entries, in order. */
export class StaticDirectory extends VirtualInode {
  readonly #children = new Map<string, Inode>();

  constructor(fs: VirtualFilesystem, mode = 0o555) {
    super(fs, S_IFDIR | mode);
    this.nlink = 2;
  }
  /** Adds a child and returns it. */
  add<T extends Inode>(name: string, inode: T): T {
    this.#children.set(name, inode);
    if (inode.isDirectory) this.nlink++;
    return inode;
  }
  override lookup(name: string): Inode | number {
    return this.#children.get(name) ?? -ENOENT;
  }
  entries(_task: Task): VirtualEntry[] {
    return [...this.#children].map(([name, inode]) => ({ name, ino: inode.ino, type: inode.mode }));
  }
  override open(_task: Task, flags: number): File | number {
    return new VirtualDirectoryFile(this, flags, (task) => this.entries(task));
  }
}

/**
 * A StaticDirectory that is filled at its first use: most containers mount /proc and /sys without reading much of
 * them.
 */
export abstract class LateDirectory extends StaticDirectory {
  #isFilled = false;

  /** Adds the children. */
  protected abstract fill(): void;

  #look(): void {
    if (this.#isFilled) return;
    this.#isFilled = true;
    this.fill();
  }
  override refresh(): number {
    this.#look();
    return 0;
  }
  override lookup(name: string): Inode | number {
    this.#look();
    return super.lookup(name);
  }
  override entries(task: Task): VirtualEntry[] {
    this.#look();
    return super.entries(task);
  }
}

/** A directory whose entries change on their own: look-ups are never cached. */
export class DynamicDirectory extends VirtualInode {
  readonly #find: (name: string) => Inode | number;
  readonly #list: (task: Task) => VirtualEntry[];

  constructor(
    fs: VirtualFilesystem,
    mode: number,
    find: (name: string) => Inode | number,
    list: (task: Task) => VirtualEntry[],
    uid = 0,
    gid = 0,
  ) {
    super(fs, S_IFDIR | mode, uid, gid);
    this.nlink = 2;
    this.#find = find;
    this.#list = list;
  }
  override get isCacheable(): boolean {
    return false;
  }
  override lookup(name: string): Inode | number {
    return this.#find(name);
  }
  override open(_task: Task, flags: number): File | number {
    return new VirtualDirectoryFile(this, flags, this.#list);
  }
}

/** The text of a generated file that may be long. */
export interface TextSource {
  /** The next piece, made within about a millisecond; null at the end. */
  next(): string | null;
}
/** Makes the text of a generated file; a number is -ERRNO. */
export type Generate = (task: Task) => string | number | TextSource;
/**
 * Handles the text of one write at `offset`. -ERRNO, 0 when all of it was taken, or how many bytes of it were.
 */
export type Accept = (task: Task, text: string, offset: number) => number;

export class GeneratedFile extends VirtualInode {
  readonly generate: Generate;
  readonly accept: Accept | null;
  /** Whether epoll(7) accepts it. Linux: all files of /proc and /sys have a poll method except those of processes. */
  isPollable = true;
  /** The counter whose changes wake pollers, for the opening task. */
  changes: ((task: Task) => Changes) | null = null;

  constructor(
    fs: VirtualFilesystem,
    mode: number,
    generate: Generate,
    accept: Accept | null = null,
    uid = 0,
    gid = 0,
  ) {
    super(fs, S_IFREG | mode, uid, gid);
    this.generate = generate;
    this.accept = accept;
  }
  override open(task: Task, flags: number): File | number {
    return new GeneratedOpenFile(this, flags, this.changes === null ? new Changes() : this.changes(task));
  }
}

class GeneratedOpenFile extends ContentFile {
  declare readonly inode: GeneratedFile;
  #bytes: Uint8Array | null = null;
  /** The text being made, one piece a turn, and the pieces so far. */
  #source: TextSource | null = null;
  #pieces: string[] = [];
  readonly #changes: Changes;
  /** The count of `changes` that the poller has seen. */
  #changesSeen: number;

  constructor(inode: GeneratedFile, flags: number, changes: Changes) {
    super(inode, flags, changes.queue);
    this.#changes = changes;
    this.#changesSeen = changes.count;
  }
  override get isPollable(): boolean {
    return this.inode.isPollable;
  }
  /** Each change is reported once: mounts_poll() of fs/proc_namespace.c, proc_sys_poll(). */
  override readiness(): number {
    if (this.#changesSeen === this.#changes.count) return super.readiness();
    this.#changesSeen = this.#changes.count;
    return POLLIN | POLLRDNORM | POLLPRI | POLLERR;
  }
  override read(task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    if (this.#bytes === null || offset === 0) {
      const text = this.#source === null ? this.inode.generate(task) : this.#source;
      if (typeof text === "number") return text;
      if (typeof text === "string") {
        this.#forget();
        if (!this.inode.fs.vfs.memory.heap.take(text.length)) return -ENOMEM;
        this.#bytes = latin1ToBytes(text);
      } else {
        const result = this.#gather(task, text);
        if (result < 0) return result;
      }
    }
    const bytes = this.#bytes!;
    if (offset >= bytes.length) return 0;
    const n = Math.min(length, bytes.length - offset);
    into.set(bytes.subarray(offset, offset + n), at);
    return n;
  }
  override write(task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    if (this.inode.accept === null) return -EIO;
    if (length > WRITE_BYTES_MAX) return -EINVAL;
    const result = this.inode.accept(task, bytesToLatin1(from, at, length), offset);
    return result === 0 ? length : result;
  }
  override seek(offset: number, whence: number): number {
    // The end is not known before the text is read.
    return seekWithin(this, offset, whence, -1);
  }
  override truncate(_size: number): number {
    return 0;
  }
  override release(): void {
    this.#forget();
    super.release();
  }

  /** Takes one piece of `source`; 0 when the text is complete. */
  #gather(task: Task, source: TextSource): number {
    const { heap } = this.inode.fs.vfs.memory;
    if (this.#source === null) {
      this.#forget();
      this.#source = source;
    }
    const piece = source.next();
    if (piece !== null) {
      if (!heap.take(piece.length)) {
        this.#forget();
        return -ENOMEM;
      }
      this.#pieces.push(piece);
      return giveTurnBelow(task);
    }
    this.#bytes = latin1ToBytes(this.#pieces.join(""));
    this.#pieces = [];
    this.#source = null;
    return 0;
  }

  #forget(): void {
    const { heap } = this.inode.fs.vfs.memory;
    if (this.#bytes !== null) heap.give(this.#bytes.length);
    for (const piece of this.#pieces) heap.give(piece.length);
    this.#bytes = null;
    this.#pieces = [];
    this.#source = null;
  }
}

/** A symlink with fixed or computed text. */
export class VirtualLink extends VirtualInode {
  readonly #target: () => string | number;
  readonly #magic: ((task: Task) => Path | number | null) | null;

  constructor(
    fs: VirtualFilesystem,
    target: () => string | number,
    magic: ((task: Task) => Path | number | null) | null = null,
  ) {
    super(fs, S_IFLNK | 0o777);
    this.#target = target;
    this.#magic = magic;
  }
  /** The target and its NUL must fit into a page: do_proc_readlink(). */
  override readlink(): string | number {
    const target = this.#target();
    return typeof target === "string" && target.length >= PATH_MAX ? -ENAMETOOLONG : target;
  }
  override magicLink(task: Task): Path | number | null {
    return this.#magic === null ? null : this.#magic(task);
  }
}

/** An open directory: a read from the start makes the list; offsets are indexes into it. */
export class VirtualDirectoryFile extends File implements DirectoryFile {
  readonly #list: (task: Task) => VirtualEntry[];
  #entries: VirtualEntry[] | null = null;

  constructor(inode: Inode, flags: number, list: (task: Task) => VirtualEntry[]) {
    super(inode, flags);
    this.#list = list;
  }
  override get isSeekable(): boolean {
    return true;
  }
  override seek(offset: number, whence: number): number {
    const position = seekWithin(this, offset, whence, -1);
    if (position === 0) this.#entries = null;
    return position;
  }
  override asDirectory(): DirectoryFile {
    return this;
  }
  readDirectory(task: Task, sink: DirectorySink): number {
    if (!this.inode.isDirectory) return -ENOTDIR;
    const entries = this.#entries ??= this.#list(task);
    while (this.position < entries.length + 2) {
      const at = this.position;
      const name = at === 0 ? "." : at === 1 ? ".." : entries[at - 2].name;
      const ino = at < 2 ? this.inode.ino : entries[at - 2].ino;
      const type = at < 2 ? S_IFDIR : entries[at - 2].type;
      if (!sink.emit(name, ino, directoryType(type), at + 1)) return 0;
      this.position++;
    }
    return 0;
  }
}
