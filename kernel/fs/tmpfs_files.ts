// Open files and directories of tmpfs.

import { ENOSPC, ENXIO, EOPNOTSUPP } from "../abi/errno.ts";
import {
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  FALLOC_FL_ZERO_RANGE,
  O_APPEND,
  O_NOATIME,
  S_IFDIR,
  S_IFMT,
  SEEK_DATA,
  SEEK_HOLE,
} from "../abi/file.ts";
import { DIRECT_READ, DIRECT_WRITE, NOT_MOVED } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import { DirectTransfers } from "../vfs/direct.ts";
import { File, seekWithin } from "../vfs/file.ts";
import {
  ContentFile,
  type DirectoryFile,
  type DirectorySink,
  type Mappable,
  type MappableFile,
} from "../vfs/file_kinds.ts";
import type { TmpfsInode } from "./tmpfs.ts";

/** The directory entry type of a mode: DT_ values are the shifted type bits. */
export function directoryType(mode: number): number {
  return (mode & S_IFMT) >> 12;
}

export class TmpfsRegularFile extends ContentFile implements Mappable, MappableFile {
  declare readonly inode: TmpfsInode;
  readonly hostOffset = 0;
  #direct: DirectTransfers | null = null;
  /** MemoryFile.holesMade when the file was prepared for #direct. */
  #directHoles = -1;

  constructor(inode: TmpfsInode, flags: number) {
    super(inode, flags);
    inode.hold();
  }

  override asMappable(): MappableFile {
    return this;
  }
  get isSharedWritable(): boolean {
    return this.isWritable;
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    const inode = this.inode;
    // A mapping may have changed the memfd's bytes but not the size: only this kernel truncates.
    const n = inode.content!.read(into, at, length, offset);
    if (n > 0) this.#noteRead();
    return n;
  }

  /** Updates atime as relatime does, without the rule for atimes older than a day. */
  #noteRead(): void {
    const inode = this.inode;
    if ((this.flags & O_NOATIME) !== 0 || !isAccessTimeOld(inode)) return;
    inode.atimeSec = inode.fs.clock.realtime();
    inode.atimeNsec = inode.fs.clock.nanoseconds;
  }

  override readDirectly(task: Task, address: number, length: number, offset: number): number {
    const direct = this.#prepared();
    const left = this.inode.size - offset;
    if (direct === null || left <= 0) return NOT_MOVED;
    const n = direct.move(task, DIRECT_READ, address, Math.min(length, left), offset);
    if (n > 0) this.#noteRead();
    return n;
  }

  /** Within the size only, and only if the file may be read too: a writable mapping can be read. */
  override writeDirectly(task: Task, address: number, length: number, offset: number): number {
    const direct = this.#prepared();
    if (direct === null || !this.isReadable || (this.flags & O_APPEND) !== 0) return NOT_MOVED;
    if (offset + length > this.inode.size) return NOT_MOVED;
    const n = direct.move(task, DIRECT_WRITE, address, length, offset);
    if (n > 0) this.inode.touch();
    return n;
  }

  /**
   * The state for direct transfers, after enough of them to pay. Not for sparse files: reading a hole through a
   * mapping allocates the page.
   */
  #prepared(): DirectTransfers | null {
    const direct = this.#direct ??= new DirectTransfers(this.inode.fs.vfs, true, this);
    if (!direct.count()) return null;
    const content = this.inode.content!;
    if (this.#directHoles === content.holesMade) return direct;
    if (!content.isDense) {
      direct.cool();
      return null;
    }
    this.#directHoles = content.holesMade;
    return direct;
  }

  override flush(task: Task): number {
    this.#direct?.forget(task);
    return 0;
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    const inode = this.inode;
    if ((this.flags & O_APPEND) !== 0) offset = inode.size;
    if (length === 0) return 0;
    if (inode.content!.isShrinking && offset + length > inode.size) return inode.fs.giveTurn();
    const fits = inode.reserve(offset, length);
    if (fits < 0) return fits;
    const n = inode.content!.write(from, at, fits, offset);
    inode.noteSize();
    if (n > 0) inode.touch();
    return n;
  }

  override seek(offset: number, whence: number): number {
    return seekIn(
      this,
      this.inode.size,
      offset,
      whence,
      (at, kind) => this.inode.content!.seekData(at, kind),
    );
  }

  override truncate(size: number): number {
    const inode = this.inode;
    const result = inode.resize(size);
    if (result < 0) return result;
    inode.touch();
    return 0;
  }

  override mayAllocate(mode: number, offset: number, length: number): number {
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) return 0;
    const fits = this.inode.reserve(offset, length);
    this.inode.noteSize();
    return fits < 0 ? fits : fits < length ? -ENOSPC : 0;
  }

  override allocate(mode: number, offset: number, length: number): number {
    const known = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
    if ((mode & ~known) !== 0) return -EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0 && (mode & FALLOC_FL_KEEP_SIZE) === 0) return -EOPNOTSUPP;
    // The host's tmpfs does not support FALLOC_FL_ZERO_RANGE.
    if ((mode & FALLOC_FL_ZERO_RANGE) !== 0) return -EOPNOTSUPP;
    if ((mode & FALLOC_FL_PUNCH_HOLE) === 0) {
      const fits = this.inode.reserve(offset, length);
      if (fits < 0) return fits;
      if (fits < length) return -ENOSPC;
    }
    if (this.inode.content!.isShrinking) return this.inode.fs.giveTurn();
    const result = this.inode.content!.allocate(mode, offset, length);
    this.inode.noteSize();
    this.inode.touch();
    return result;
  }

  override sync(_isDataOnly: boolean): number {
    return 0;
  }

  mappable(_isShared: boolean, _prot: number): Mappable | number {
    const fd = this.hostFd();
    return fd < 0 ? fd : this;
  }

  hostFd(): number {
    return this.inode.content!.hostFd(this.isWritable);
  }

  override release(): void {
    this.inode.drop();
    super.release();
  }
}

/** The file was not read since its last change. */
function isAccessTimeOld(inode: TmpfsInode): boolean {
  const { atimeSec, atimeNsec } = inode;
  return isNotAfter(atimeSec, atimeNsec, inode.mtimeSec, inode.mtimeNsec) ||
    isNotAfter(atimeSec, atimeNsec, inode.ctimeSec, inode.ctimeNsec);
}

function isNotAfter(
  seconds: number,
  nanoseconds: number,
  otherSeconds: number,
  otherNanoseconds: number,
): boolean {
  return seconds < otherSeconds || (seconds === otherSeconds && nanoseconds <= otherNanoseconds);
}

/** lseek(2) for a file of `size` bytes. */
export function seekIn(
  file: File,
  size: number,
  offset: number,
  whence: number,
  seekData: (offset: number, whence: number) => number,
): number {
  if (whence !== SEEK_DATA && whence !== SEEK_HOLE) return seekWithin(file, offset, whence, size);
  if (offset < 0 || offset >= size) return -ENXIO;
  const position = seekData(offset, whence);
  if (position >= 0) file.position = position;
  return position;
}

export class TmpfsDirectoryFile extends File implements DirectoryFile {
  declare readonly inode: TmpfsInode;
  /**
   * Where the last read has ended, so that the next continues there without a search: a Map's iterator follows
   * insertions and removals.
   */
  #walk: Iterator<string, undefined> | null = null;
  #next: string | null = null;
  /** The position that #walk corresponds to. */
  #walkedTo = -1;

  constructor(inode: TmpfsInode, flags: number) {
    super(inode, flags);
    inode.hold();
  }

  override get isSeekable(): boolean {
    return true;
  }

  override seek(offset: number, whence: number): number {
    return seekWithin(this, offset, whence, -1);
  }

  override asDirectory(): DirectoryFile {
    return this;
  }
  readDirectory(_task: Task, sink: DirectorySink): number {
    const directory = this.inode;
    if (this.position === 0) {
      if (!sink.emit(".", directory.ino, S_IFDIR >> 12, 1)) return 0;
      this.position = 1;
    }
    if (this.position === 1) {
      if (!sink.emit("..", directory.parent!.ino, S_IFDIR >> 12, 2)) return 0;
      this.position = 2;
    }
    const entries = directory.entries!;
    if (this.position !== this.#walkedTo) this.#walk = this.#next = null;
    const walk = this.#walk ??= entries.keys();
    for (;;) {
      const name = this.#next ?? walk.next().value;
      this.#next = null;
      if (name === undefined) {
        // Entries made from now on appear in a new walk only.
        this.#walk = null;
        break;
      }
      const entry = entries.get(name);
      if (entry === undefined || entry.offset < this.position) continue;
      if (!sink.emit(name, entry.inode.ino, directoryType(entry.inode.mode), entry.offset + 1)) {
        this.#next = name;
        break;
      }
      this.position = entry.offset + 1;
    }
    this.#walkedTo = this.position;
    return 0;
  }

  override sync(_isDataOnly: boolean): number {
    return 0;
  }

  override release(): void {
    this.inode.drop();
    super.release();
  }
}
