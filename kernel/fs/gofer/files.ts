// Open host files and directories.

import { O_APPEND, O_DSYNC, S_IFDIR, SEEK_HOLE } from "../../abi/file.ts";
import { DIRECT_READ, DIRECT_WRITE, NOT_MOVED } from "../../../platform/platform.ts";
import type { Task } from "../../task/task.ts";
import { DirectTransfers } from "../../vfs/direct.ts";
import { File, seekWithin } from "../../vfs/file.ts";
import {
  ContentFile,
  type DirectoryFile,
  type DirectorySink,
  type Mappable,
  type MappableFile,
} from "../../vfs/file_kinds.ts";
import type { GoferInode } from "./inode.ts";
import type { Listing } from "./listing.ts";
import { seekIn } from "../tmpfs_files.ts";

const CLOCK_MONOTONIC = 1;

export class GoferRegularFile extends ContentFile implements Mappable, MappableFile {
  declare readonly inode: GoferInode;
  readonly hostOffset = 0;
  #direct: DirectTransfers | null = null;

  constructor(inode: GoferInode, flags: number) {
    super(inode, flags);
    inode.noteOpen();
  }

  override asMappable(): MappableFile {
    return this;
  }
  get readsNow(): boolean {
    return this.inode.content.readsNow;
  }
  get isSharedWritable(): boolean {
    return this.isWritable;
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    return this.inode.content.read(into, at, length, offset);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    const inode = this.inode, { content } = inode;
    if ((this.flags & O_APPEND) !== 0) {
      const refreshed = inode.fs.isExclusive || content.isServed ? 0 : inode.refreshNow();
      if (refreshed < 0) return refreshed;
      offset = inode.size;
    }
    const n = content.write(this.flags, from, at, length, offset);
    if (n > 0) this.#noteWritten(offset + n);
    return n;
  }
  override get syncsWrites(): boolean {
    return true;
  }
  override get sliceBytes(): number {
    return this.inode.content.sliceBytes(this.flags, super.sliceBytes);
  }

  override readDirectly(task: Task, address: number, length: number, offset: number): number {
    if (!this.inode.content.mayReadDirectly(offset, length)) return NOT_MOVED;
    const direct = this.#direct ??= new DirectTransfers(this.inode.fs.vfs, false, this);
    return direct.count() ? direct.move(task, DIRECT_READ, address, length, offset) : NOT_MOVED;
  }

  override writeDirectly(task: Task, address: number, length: number, offset: number): number {
    const inode = this.inode, { content, fs } = inode;
    const began = fs.host.clockNanos(CLOCK_MONOTONIC);
    if (!content.isDirect || (this.flags & O_DSYNC) !== 0 || began < fs.writesAsideUntil) return NOT_MOVED;
    const direct = this.#direct ??= new DirectTransfers(this.inode.fs.vfs, false, this);
    if (!direct.count()) return NOT_MOVED;
    if ((this.flags & O_APPEND) !== 0) {
      if (!inode.fs.isExclusive) inode.refreshNow();
      offset = inode.size;
    }
    const n = direct.move(task, DIRECT_WRITE, address, length, offset);
    content.noteWriteTime(began);
    if (n <= 0) return n;
    if (offset + n <= inode.size) {
      this.#noteWritten(offset + n);
    } else {
      // The host decides where the file ends now (O_APPEND, other writers): load the attributes again.
      inode.noteChange();
      inode.refreshNow();
    }
    return n;
  }

  override flush(task: Task): number {
    this.#direct?.forget(task);
    return 0;
  }

  /** Updates size and times after a write without asking the gofer. */
  #noteWritten(end: number): void {
    const inode = this.inode;
    inode.noteChange();
    if (end > inode.size) {
      inode.size = end;
      inode.blocks = Math.ceil(end / 4096) * 8;
    }
    const seconds = Date.now() / 1000;
    inode.mtimeSec = inode.ctimeSec = Math.floor(seconds);
    inode.mtimeNsec = inode.ctimeNsec = Math.floor(seconds % 1 * 1e9);
  }

  override seek(offset: number, whence: number): number {
    const inode = this.inode;
    const refreshed = inode.refresh();
    if (refreshed < 0) return refreshed;
    const { content, size } = inode;
    return seekIn(
      this,
      size,
      offset,
      whence,
      (at, kind) => content.seekData(at, kind === SEEK_HOLE, size, kind),
    );
  }

  override truncate(size: number): number {
    return this.inode.content.truncate(size);
  }

  override allocate(mode: number, offset: number, length: number): number {
    return this.inode.content.allocate(mode, offset, length);
  }

  override sync(isDataOnly: boolean): number {
    return this.inode.content.sync(isDataOnly);
  }

  mappable(_isShared: boolean, _prot: number): Mappable | number {
    const file = this.inode.content.toMap(this.isWritable);
    return typeof file === "number" ? file : this;
  }

  hostFd(): number {
    const file = this.inode.content.toMapNow(this.isWritable);
    return typeof file === "number" ? file : file.fdForMapping(this.isWritable);
  }

  override release(): void {
    super.release();
    this.inode.noteClosed();
  }
}

/** An open directory. It is read whole at its first read; offsets are indexes into that snapshot. */
export class GoferDirectoryFile extends File implements DirectoryFile {
  declare readonly inode: GoferInode;
  #listing: Listing | null = null;

  constructor(inode: GoferInode, flags: number) {
    super(inode, flags);
    inode.noteOpen();
  }

  override get isSeekable(): boolean {
    return true;
  }

  override seek(offset: number, whence: number): number {
    const position = seekWithin(this, offset, whence, -1);
    if (position === 0) this.#listing = null;
    return position;
  }

  override asDirectory(): DirectoryFile {
    return this;
  }
  readDirectory(_task: Task, sink: DirectorySink): number {
    if (this.#listing === null) {
      const read = this.inode.readEntries();
      if (typeof read === "number") return read;
      this.#listing = read;
    }
    if (this.position === 0) {
      if (!sink.emit(".", this.inode.ino, S_IFDIR >> 12, 1)) return 0;
      this.position = 1;
    }
    if (this.position === 1) {
      if (!sink.emit("..", this.inode.ino, S_IFDIR >> 12, 2)) return 0;
      this.position = 2;
    }
    this.position = this.#listing.emitFrom(sink, this.position - 2, 2) + 2;
    return 0;
  }

  override sync(_isDataOnly: boolean): number {
    return 0;
  }

  override release(): void {
    super.release();
    this.inode.noteClosed();
  }
}
