// Open host files and directories.

import { ENOENT } from "../../abi/errno.ts";
import { O_APPEND, S_IFDIR } from "../../abi/file.ts";
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
  get isSharedWritable(): boolean {
    return this.isWritable;
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.inode.descriptorFor(false);
    return typeof file === "number" ? file : file.pread(into, at, length, offset);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    const inode = this.inode;
    const file = inode.descriptorFor(true);
    if (typeof file === "number") return file;
    if ((this.flags & O_APPEND) !== 0) {
      if (!inode.fs.isExclusive) inode.refreshNow();
      offset = inode.size;
    }
    const n = file.pwrite(from, at, length, offset);
    if (n > 0) this.#noteWritten(offset + n);
    return n;
  }

  override readDirectly(task: Task, address: number, length: number, offset: number): number {
    const direct = this.#direct ??= new DirectTransfers(this.inode.fs.vfs, false, this);
    return direct.count() ? direct.move(task, DIRECT_READ, address, length, offset) : NOT_MOVED;
  }

  override writeDirectly(task: Task, address: number, length: number, offset: number): number {
    const inode = this.inode;
    const direct = this.#direct ??= new DirectTransfers(this.inode.fs.vfs, false, this);
    if (!direct.count()) return NOT_MOVED;
    if ((this.flags & O_APPEND) !== 0) {
      if (!inode.fs.isExclusive) inode.refreshNow();
      offset = inode.size;
    }
    const n = direct.move(task, DIRECT_WRITE, address, length, offset);
    if (n <= 0) return n;
    if (offset + n <= inode.size) {
      this.#noteWritten(offset + n);
    } else {
      // How far the file reaches now is not the guest's to say.
      inode.noteChange();
      inode.refreshNow();
    }
    return n;
  }

  override flush(task: Task): number {
    this.#direct?.forget(task);
    return 0;
  }

  /** Size and times follow a write without asking the gofer. */
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
    const refreshed = inode.fs.isExclusive ? 0 : inode.refreshNow();
    if (refreshed < 0) return refreshed;
    return seekIn(
      this,
      inode.size,
      offset,
      whence,
      (at, kind) => {
        const file = inode.descriptorFor(false);
        return typeof file === "number" ? file : file.lseek(at, kind);
      },
    );
  }

  override truncate(size: number): number {
    const file = this.inode.descriptorFor(true);
    if (typeof file === "number") return file;
    const result = file.ftruncate(size);
    if (result === 0) {
      this.inode.size = size;
      this.#noteWritten(size);
    }
    return result;
  }

  override allocate(mode: number, offset: number, length: number): number {
    const file = this.inode.descriptorFor(true);
    if (typeof file === "number") return file;
    const result = file.fallocate(mode, offset, length);
    if (result === 0 && (mode & 1) === 0) this.#noteWritten(offset + length);
    return result;
  }

  override sync(isDataOnly: boolean): number {
    const file = this.inode.descriptorFor(this.isWritable);
    return typeof file === "number" ? file : file.fsync(isDataOnly);
  }

  override syncCall(isDataOnly: boolean): number {
    const result = this.inode.sync(isDataOnly);
    // It has no name any more, and no node.
    return result === -ENOENT ? this.sync(isDataOnly) : result;
  }

  mappable(isShared: boolean, _prot: number): Mappable | number {
    const file = this.inode.descriptorWithin(isShared && this.isWritable, true);
    return typeof file === "number" ? file : this;
  }

  hostFd(): number {
    const file = this.inode.descriptorWithin(this.isWritable, true);
    return typeof file === "number" ? file : file.fdForMapping(this.isWritable);
  }

  override release(): void {
    super.release();
    this.inode.noteClosed();
  }
}

/** A directory is read whole at its first read; offsets are positions in that snapshot. */
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
