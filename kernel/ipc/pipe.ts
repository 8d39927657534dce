// Pipes: a bounded ring of bytes between writers and readers. Linux: fs/pipe.c, pipe(7). FIFOs use it and add their
// rules for opening (fifo.ts). In packet mode (O_DIRECT) a list beside the ring has the lengths of packets.

import type { Budget } from "../util/kernel_memory.ts";
import { EAGAIN, EBADF, EBUSY, EINVAL, ENOMEM, EPERM, EPIPE } from "../abi/errno.ts";
import {
  FIONREAD,
  O_ACCMODE,
  O_DIRECT,
  O_RDONLY,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../abi/file.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import { CAP_SYS_ADMIN, CAP_SYS_RESOURCE } from "../abi/task.ts";
import { newPipeInode, putIntResult } from "../fs/anonymous/filesystem.ts";
import type { Task } from "../task/task.ts";
import { type UserAccount, userAccount } from "../task/user_account.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import { File } from "../vfs/file.ts";
import type { PipeEnd } from "../vfs/file_kinds.ts";
import type { Inode } from "../vfs/inode.ts";
import { ByteRing } from "./byte_ring.ts";

/** Writes of up to this many bytes are atomic (pipe(7)). */
const PIPE_BUF = 4096;
/** Capacity of a new pipe. */
const PIPE_BYTES = 64 * 1024;
const PIPE_BYTES_LIMIT = 2 ** 31;
/** New pipes of unprivileged users have so many above fs.pipe-user-pages-soft, and cannot grow. */
const SMALL_PAGES = 2;

const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM;

/** Whether a user has more than `limit` pages; a limit of 0 is none: too_many_pipe_buffers_soft(). */
function isAbove(pages: number, limit: number): boolean {
  return limit > 0 && pages > limit;
}

export class Pipe {
  /** Made by pipe(2): opening it through its link in /proc waits for no partner. */
  isAnonymous = false;
  readonly ring: ByteRing;
  /** Readers, writers and pollers of all its files. */
  readonly queue = new WaitQueue();
  readers = 0;
  writers = 0;
  /** The user of its first open, and the number of pages counted there; null while it is not open. */
  #account: UserAccount | null = null;
  #pages = 0;
  /** How many times it was opened for reading and for writing: opening a FIFO waits for these to change. */
  readerOpens = 0;
  writerOpens = 0;
  /**
   * Pieces in the ring, oldest first: a packet as its length, stream bytes between packets as a negative number. null
   * while the ring has no packet.
   */
  #pieces: number[] | null = null;

  constructor(heap: Budget) {
    this.ring = new ByteRing(heap, PIPE_BYTES);
  }

  /** Counts its pages for the user of `task`; a user with many pipes gets small ones: alloc_pipe_info(). */
  open(task: Task): void {
    if (this.#account !== null) return;
    this.#account = userAccount(task.kernel, task.credentials.uid);
    let pages = PIPE_BYTES / PAGE_SIZE;
    const isMany = isAbove(this.#account.pipePages + pages, task.kernel.parameters.pipePagesSoft);
    if (isMany && !isPrivileged(task)) pages = SMALL_PAGES;
    this.#count(pages);
    this.ring.capacity = pages * PAGE_SIZE;
  }

  /** The last file on it has closed. */
  close(): void {
    this.ring.clear();
    this.#pieces = null;
    this.#count(0);
    this.#account = null;
  }

  #count(pages: number): void {
    if (this.#account !== null) this.#account.pipePages += pages - this.#pages;
    this.#pages = pages;
  }

  read(into: Uint8Array, at: number, length: number): number {
    const ring = this.ring;
    if (length === 0) return 0;
    if (ring.used === 0) return this.writers === 0 ? 0 : -EAGAIN;
    const wasFull = ring.free < PIPE_BUF;
    const n = this.#pieces === null ? ring.pop(into, at, length) : this.#popPiece(into, at, length);
    if (wasFull && ring.free >= PIPE_BUF) this.queue.notify(WRITABLE);
    return n;
  }

  /** Bytes that a read() of `length` would return. */
  bytesAtHand(length: number): number {
    return Math.min(length, this.#pieces === null ? this.ring.used : Math.abs(this.#pieces[0]));
  }

  write(from: Uint8Array, at: number, length: number, isPacket: boolean): number {
    if (length === 0) return 0;
    if (this.readers === 0) return -EPIPE;
    const ring = this.ring;
    const room = this.#room(isPacket);
    if (room === 0 || (length <= PIPE_BUF && length > room)) return -EAGAIN;
    const n = isPacket ? this.#pushPackets(from, at, length) : ring.push(from, at, length);
    if (n === 0) return -ENOMEM;
    if (!isPacket && this.#pieces !== null) this.#noteStream(n);
    this.queue.notify(READABLE);
    return n;
  }

  /** Copies what a read would return, from `skip` bytes on, for splice(2) and tee(2). */
  peek(into: Uint8Array, at: number, length: number, skip: number): number {
    const n = this.ring.peek(into, at, length, skip);
    return n > 0 || length === 0 || this.writers === 0 ? n : -EAGAIN;
  }

  consume(length: number): void {
    const wasFull = this.ring.free < PIPE_BUF;
    this.ring.skip(length);
    if (this.#pieces !== null) this.#dropPieces(length);
    if (wasFull && this.ring.free >= PIPE_BUF) this.queue.notify(WRITABLE);
  }

  /** Bytes that a write would accept now. */
  room(isPacket: boolean): number {
    return this.readers === 0 ? -EPIPE : this.#room(isPacket);
  }

  /** A page holds either one packet or stream bytes, so packets use up more than their bytes. */
  #room(isPacket: boolean): number {
    if (this.#pieces === null && !isPacket) return this.ring.free;
    const pages = this.ring.capacity / PAGE_SIZE - this.#pagesUsed();
    return Math.max(0, Math.min(pages * PAGE_SIZE, this.ring.free));
  }

  #pagesUsed(): number {
    if (this.#pieces === null) return Math.ceil(this.ring.used / PAGE_SIZE);
    let pages = 0;
    for (const piece of this.#pieces) pages += Math.ceil(Math.abs(piece) / PAGE_SIZE);
    return pages;
  }

  #pushPackets(from: Uint8Array, at: number, length: number): number {
    if (this.#pieces === null) this.#pieces = this.ring.used > 0 ? [-this.ring.used] : [];
    let done = 0;
    while (done < length) {
      const size = Math.min(length - done, PIPE_BUF);
      if (this.#room(true) < size) break;
      const pushed = this.ring.push(from, at + done, size);
      if (pushed === 0) break;
      this.#pieces.push(pushed);
      done += pushed;
    }
    if (this.#pieces.length === 0) this.#pieces = null;
    return done;
  }

  #noteStream(length: number): void {
    const pieces = this.#pieces!;
    const last = pieces.length - 1;
    if (last >= 0 && pieces[last] < 0) pieces[last] -= length;
    else pieces.push(-length);
  }

  /** Returns one packet, dropping what does not fit (pipe(2), O_DIRECT); or stream bytes up to the next packet. */
  #popPiece(into: Uint8Array, at: number, length: number): number {
    const piece = this.#pieces![0];
    const n = this.ring.pop(into, at, Math.min(length, Math.abs(piece)));
    if (piece > n) this.ring.skip(piece - n);
    this.#dropPieces(piece > 0 ? piece : n);
    return n;
  }

  #dropPieces(length: number): void {
    const pieces = this.#pieces!;
    while (length > 0) {
      const size = Math.abs(pieces[0]);
      if (size > length) {
        pieces[0] += pieces[0] > 0 ? -length : length;
        return;
      }
      length -= size;
      pieces.shift();
    }
    if (pieces.length === 0) this.#pieces = null;
  }

  get isFull(): boolean {
    return this.#pieces === null ? this.ring.free < PIPE_BUF : this.#room(true) < PIPE_BUF;
  }

  /** F_SETPIPE_SZ: the new size, or -ERRNO. */
  resize(task: Task, bytes: number): number {
    if (bytes > PIPE_BYTES_LIMIT) return -EINVAL;
    let size = PAGE_SIZE;
    while (size < bytes) size *= 2;
    if (
      size > this.ring.capacity && size > task.kernel.parameters.pipeBytesMax &&
      !task.credentials.has(CAP_SYS_RESOURCE)
    ) {
      return -EPERM;
    }
    if (size < this.#pagesUsed() * PAGE_SIZE) return -EBUSY;
    const grows = size > this.ring.capacity;
    const pages = size / PAGE_SIZE;
    if (grows && !isPrivileged(task)) {
      const account = this.#account;
      const { pipePagesSoft, pipePagesHard } = task.kernel.parameters;
      const after = account === null ? 0 : account.pipePages + pages - this.#pages;
      if (isAbove(after, pipePagesSoft) || isAbove(after, pipePagesHard)) return -EPERM;
    }
    this.#count(pages);
    this.ring.capacity = size;
    if (grows) this.queue.notify(WRITABLE);
    return size;
  }
}

/** An end of a pipe, or a FIFO that is open. */
export class PipeFile extends File implements PipeEnd {
  readonly pipe: Pipe;
  /**
   * The value of writerOpens at open: a FIFO opened for reading without a writer reports no POLLHUP until one has
   * come.
   */
  readonly #hangUpAfter: number;

  /** `hangUpAfter`: see #hangUpAfter; -1: always report. */
  constructor(inode: Inode, pipe: Pipe, flags: number, hangUpAfter: number) {
    super(inode, flags, pipe.queue);
    this.pipe = pipe;
    this.#hangUpAfter = hangUpAfter;
    const mode = flags & O_ACCMODE;
    if (mode !== O_WRONLY) {
      pipe.readers++;
      pipe.readerOpens++;
    }
    if (mode !== O_RDONLY) {
      pipe.writers++;
      pipe.writerOpens++;
    }
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    return this.pipe.read(into, at, length);
  }

  override bytesAtStake(length: number): number {
    return this.pipe.bytesAtHand(length);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number): number {
    return this.pipe.write(from, at, length, (this.flags & O_DIRECT) !== 0);
  }

  override readiness(): number {
    const pipe = this.pipe;
    const mode = this.flags & O_ACCMODE;
    let events = 0;
    if (mode !== O_WRONLY) {
      if (pipe.ring.used > 0) events |= READABLE;
      if (pipe.writers === 0 && pipe.writerOpens !== this.#hangUpAfter) events |= POLLHUP;
    }
    if (mode !== O_RDONLY) {
      if (!pipe.isFull) events |= WRITABLE;
      if (pipe.readers === 0) events |= POLLERR;
    }
    return events;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    if (request === FIONREAD) return putIntResult(task, argument, this.pipe.ring.used);
    return super.ioctl(task, request, argument);
  }

  override asPipe(): PipeEnd {
    return this;
  }
  get capacity(): number {
    return this.pipe.ring.capacity;
  }
  resize(task: Task, bytes: number): number {
    return this.pipe.resize(task, bytes);
  }

  peek(into: Uint8Array, at: number, length: number, skip: number): number {
    return this.isReadable ? this.pipe.peek(into, at, length, skip) : -EBADF;
  }
  consume(length: number): void {
    this.pipe.consume(length);
  }
  room(): number {
    return this.isWritable ? this.pipe.room((this.flags & O_DIRECT) !== 0) : -EBADF;
  }

  override get linkText(): string {
    return `pipe:[${this.inode.ino}]`;
  }

  override release(): void {
    const pipe = this.pipe;
    const mode = this.flags & O_ACCMODE;
    if (mode !== O_WRONLY) pipe.readers--;
    if (mode !== O_RDONLY) pipe.writers--;
    // No file is left on the pipe; a FIFO's inode may continue to exist.
    if (pipe.readers === 0 && pipe.writers === 0) pipe.close();
    else pipe.queue.notify(READABLE | WRITABLE | POLLERR | POLLHUP);
    super.release();
  }
}

function isPrivileged(task: Task): boolean {
  return task.credentials.has(CAP_SYS_RESOURCE) || task.credentials.has(CAP_SYS_ADMIN);
}

/** pipe2(2): puts the two ends into `ends`. `flags`: O_NONBLOCK, O_DIRECT. */
export function makePipe(task: Task, flags: number, ends: [File | null, File | null]): void {
  const inode = newPipeInode(task);
  const pipe = new Pipe(task.kernel.account.heap);
  pipe.isAnonymous = true;
  pipe.open(task);
  inode.pipe = pipe;
  ends[0] = new PipeFile(inode, pipe, O_RDONLY | (flags & ~O_DIRECT), -1);
  ends[1] = new PipeFile(inode, pipe, O_WRONLY | flags, -1);
}
