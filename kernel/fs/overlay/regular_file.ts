// An open regular file of an overlay: the layer's file behind the overlay's inode. A file opened for reading in a
// lower layer continues with the copy after a copy-up. Linux: fs/overlayfs/file.c, ovl_real_fdget().

import { O_ACCMODE, O_RDONLY } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import { ContentFile, type MappableFile } from "../../vfs/file_kinds.ts";
import type { Inode } from "../../vfs/inode.ts";
import type { OverlayInode } from "./inode.ts";

export class OverlayFile extends ContentFile {
  declare readonly inode: OverlayInode;
  #real: ContentFile;
  /** The layer's file as it was opened, which mappings show even after copying up: ovl_mmap(). Often #real. */
  readonly #opened: ContentFile;
  /** The object of the layer that #real is open on. */
  #realInode: Inode;

  constructor(inode: OverlayInode, flags: number, real: ContentFile) {
    super(inode, flags, real.queue);
    this.#real = this.#opened = real;
    this.#realInode = inode.real;
    inode.hold();
  }

  /** The layer's file to use now. When the copy cannot be opened, the old file still serves reads. */
  #current(): ContentFile {
    const inode = this.inode;
    if (this.#realInode === inode.real) return this.#real;
    const opened = inode.real.open(inode.fs.task!, this.flags);
    if (typeof opened === "number") return this.#real;
    if (this.#real !== this.#opened) this.#real.drop();
    this.#real = opened.asContent()!;
    this.#realInode = inode.real;
    return this.#real;
  }

  override readDirectly(task: Task, address: number, length: number, offset: number): number {
    const n = this.#current().readDirectly(task, address, length, offset);
    if (n > 0) this.#noteRead();
    return n;
  }

  override writeDirectly(task: Task, address: number, length: number, offset: number): number {
    const real = this.#current();
    real.flags = this.flags;
    const n = real.writeDirectly(task, address, length, offset);
    if (n > 0) this.inode.sync();
    return n;
  }

  override flush(task: Task): number {
    return this.#real.flush(task);
  }

  override read(task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    const n = this.#current().read(task, into, at, length, offset);
    this.#noteRead();
    return n;
  }

  #noteRead(): void {
    const inode = this.inode, real = inode.real;
    inode.atimeSec = real.atimeSec;
    inode.atimeNsec = real.atimeNsec;
  }

  override write(task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    const real = this.#current();
    real.flags = this.flags;
    const n = real.write(task, from, at, length, offset);
    this.inode.sync();
    return n;
  }

  override seek(offset: number, whence: number): number {
    const real = this.#current();
    real.position = this.position;
    const result = real.seek(offset, whence);
    if (result >= 0) this.position = real.position;
    return result;
  }

  override truncate(size: number): number {
    const result = this.#current().truncate(size);
    this.inode.sync();
    return result;
  }

  override mayAllocate(mode: number, offset: number, length: number): number {
    return this.#current().mayAllocate(mode, offset, length);
  }

  override allocate(mode: number, offset: number, length: number): number {
    const result = this.#current().allocate(mode, offset, length);
    this.inode.sync();
    return result;
  }

  override sync(isDataOnly: boolean): number {
    return (this.flags & O_ACCMODE) === O_RDONLY && this.inode.upper === null
      ? 0
      : this.#current().sync(isDataOnly);
  }

  override syncCall(isDataOnly: boolean): number {
    return (this.flags & O_ACCMODE) === O_RDONLY && this.inode.upper === null
      ? 0
      : this.#current().syncCall(isDataOnly);
  }
  override get syncsWrites(): boolean {
    return this.#real.syncsWrites;
  }
  override get sliceBytes(): number {
    return this.#real.sliceBytes;
  }

  /** A mapping is one of the layer's file. Linux: a later one too, although reads go to the copy by then. */
  override asMappable(): MappableFile | null {
    return this.#opened.asMappable();
  }

  override ioctl(task: Task, request: number, argument: number): number {
    return this.#current().ioctl(task, request, argument);
  }

  override readiness(): number {
    return this.#current().readiness();
  }

  override release(): void {
    super.release();
    this.#real.drop();
    if (this.#opened !== this.#real) this.#opened.drop();
    this.inode.drop();
  }
}
