// Open file descriptions: what a file descriptor stands for. Linux: struct file and file_operations. Pipes, sockets,
// eventfds, epoll and directories are Files too. Bytes travel as (bytes, at, length). A method that would wait returns
// -EAGAIN and lets the system call layer wait on `queue`, whatever O_NONBLOCK says.

import { EINVAL, ENOTTY, ESPIPE } from "../abi/errno.ts";
import {
  IN_CLOSE_NOWRITE,
  IN_CLOSE_WRITE,
  O_ACCMODE,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  S_IFREG,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../abi/file.ts";
import { FILE_COST } from "../util/kernel_memory.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import { releaseFileLocks } from "./file_locks.ts";
import type {
  ContentFile,
  DirectoryFile,
  MappableFile,
  PipeEnd,
  SealableFile,
  SocketFile,
} from "./file_kinds.ts";
import type { Inode } from "./inode.ts";
import { notifyPath } from "./notify.ts";
import type { Path } from "./path.ts";
import type { Task } from "../task/task.ts";

/** Something that watches a file without holding it and leaves its chain of watches when the file closes. */
export interface FileWatch {
  onFileRelease(): void;
  /** Sockets: urgent data has come. */
  onUrgent?(): void;
}

/**
 * Most bytes of a file that a call moves before others have their turn. Linux: a file is locked meanwhile; here another
 * thread's transfer of the same file may come in between.
 */
const SLICE_BYTES = 4 * 2 ** 20;
/** No file has smaller slices. */
export const SLICE_BYTES_MIN = 32 * 1024;

export abstract class File {
  /** The inode this is open on. Pipes, sockets and anonymous files have one too (for fstat and /proc/PID/fd). */
  readonly inode: Inode;
  /** O_ flags: access mode and status flags. F_SETFL changes the status flags through setFlags. */
  flags: number;
  /** File offset, for files that have one. */
  position = 0;
  /** References from descriptor tables, mappings, in-flight SCM_RIGHTS. */
  #references = 1;
  /** Where it was opened, held until it closes; for /proc, fchdir, *at calls. null for pipes and the like. */
  path: Path | null = null;
  /** It counts among its inode's writers (vfs/write_access.ts). */
  isWriter = false;
  /** The open(2) that it comes from has made its inode: F_CREATED_QUERY of fcntl(2). */
  wasCreated = false;
  /** F_SETOWN, F_SETSIG, O_ASYNC of fcntl(2); owned by syscalls/file_owner. */
  owner: FileWatch | null = null;
  /** epoll items that watch this file, a chain; owned by fs/anonymous/epoll. */
  epollItems: FileWatch | null = null;
  /** Readers' and pollers' queue. Notified with poll events. */
  readonly queue: WaitQueue;

  constructor(inode: Inode, flags: number, queue: WaitQueue = new WaitQueue()) {
    this.inode = inode;
    this.flags = flags;
    this.queue = queue;
    const vfs = inode.fs.vfs;
    vfs.openFiles++;
    vfs.memory.heap.force(FILE_COST);
  }

  get isReadable(): boolean {
    const mode = this.flags & O_ACCMODE;
    return (this.flags & O_PATH) === 0 && (mode === O_RDONLY || mode === O_RDWR);
  }
  get isWritable(): boolean {
    const mode = this.flags & O_ACCMODE;
    return (this.flags & O_PATH) === 0 && (mode === O_WRONLY || mode === O_RDWR);
  }
  /** Has a position: lseek, pread and pwrite are allowed. */
  get isSeekable(): boolean {
    return false;
  }

  // The core. What a kind of file does not override answers the errno of Linux for files that lack the operation.

  /** Reads at `offset` (the position, or pread's; -1 when not seekable). Bytes, 0 at the end, -EAGAIN to wait, -ERRNO. */
  read(_task: Task, _into: Uint8Array, _at: number, _length: number, _offset: number): number {
    return -EINVAL;
  }
  /** Writes at `offset`; with O_APPEND the file finds the end itself. Bytes, -EAGAIN to wait, -ERRNO. */
  write(_task: Task, _from: Uint8Array, _at: number, _length: number, _offset: number): number {
    return -EINVAL;
  }
  /**
   * Of `length` bytes, those that read() would consume now but Linux leaves queued if the copy to user memory faults: pipes
   * and streams. A message is lost then on Linux too, and so counts as 0.
   */
  bytesAtStake(_length: number): number {
    return 0;
  }
  /** New position, or -ERRNO; `whence` SEEK_*. */
  seek(_offset: number, _whence: number): number {
    return -ESPIPE;
  }
  /** Poll events that hold now; for `task` where it matters who asks (signalfd). */
  readiness(_task?: Task): number {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  }
  /** ioctl(2), but for the requests that all files have. */
  ioctl(_task: Task, _request: number, _argument: number): number {
    return -ENOTTY;
  }
  /** splice(2) and sendfile(2) may read it. Linux: it has a splice_read, or pages of content. */
  get canSplice(): boolean {
    return true;
  }
  /** fsync(2), and with `isDataOnly` fdatasync(2). */
  sync(_isDataOnly: boolean): number {
    return -EINVAL;
  }
  /** write() obeys O_SYNC and O_DSYNC itself; where it does not, sync() follows. */
  get syncsWrites(): boolean {
    return false;
  }
  /**
   * Most bytes that one call moves before it notes how far it has come and others have their turn. A read() or write() of no
   * more may have to wait (MUST_WAIT), and is made again then.
   */
  get sliceBytes(): number {
    return SLICE_BYTES;
  }
  /** sync() for fsync(2) and its like, which may wait (MUST_WAIT) where the content is written back elsewhere. */
  syncCall(isDataOnly: boolean): number {
    return this.sync(isDataOnly);
  }
  /** F_SETFL: O_APPEND, O_NONBLOCK, O_DIRECT, O_NOATIME, O_ASYNC have been filtered by the caller. */
  setFlags(flags: number): number {
    this.flags = flags;
    return 0;
  }
  /** Has something to wait for: epoll takes it. Regular files, directories and devices that are always ready do not. */
  get isPollable(): boolean {
    return !this.inode.isDirectory && this.inode.type !== S_IFREG;
  }
  /** What /proc/PID/fd/N links to for a file without path: "pipe:[12]", "anon_inode:[eventfd]". */
  get linkText(): string {
    return "anon_inode:[unknown]";
  }
  /** Lines of its own kind in /proc/PID/fdinfo/N, each with its newline. */
  get infoText(): string {
    return "";
  }
  /** A descriptor of `task` to this file was closed (POSIX locks go away, the file may stay open elsewhere). */
  flush(_task: Task): number {
    return 0;
  }

  // What only some files are (file_kinds.ts): itself where it is of that kind.

  asContent(): ContentFile | null {
    return null;
  }
  asDirectory(): DirectoryFile | null {
    return null;
  }
  asMappable(): MappableFile | null {
    return null;
  }
  asPipe(): PipeEnd | null {
    return null;
  }
  asSealable(): SealableFile | null {
    return null;
  }
  asSocket(): SocketFile | null {
    return null;
  }

  get references(): number {
    return this.#references;
  }
  hold(): void {
    this.#references++;
  }
  /** Gives up one reference; at zero the file closes. */
  drop(): void {
    if (this.#references <= 0) throw new Error("File dropped below zero");
    if (--this.#references > 0) return;
    while (this.epollItems !== null) this.epollItems.onFileRelease();
    if (this.owner !== null) this.owner.onFileRelease();
    const vfs = this.inode.fs.vfs;
    vfs.openFiles--;
    vfs.memory.heap.give(FILE_COST);
    vfs.releases.release(this);
  }
  /** The last reference went: give back what it holds. Called once. Subclasses call super.release() last. */
  release(): void {
    if (this.inode.locks !== null) releaseFileLocks(this);
    if (this.isWriter) {
      this.inode.writers--;
      if (this.path !== null) this.path.mount.writers--;
    }
    if ((this.flags & O_PATH) === 0) {
      notifyPath(this.path, this.isWritable ? IN_CLOSE_WRITE : IN_CLOSE_NOWRITE);
    }
    this.path?.drop();
    this.path = null;
  }
}

/** Largest offset in a file. Linux: 2^63 - 1 where the file system does not say less; here what a number holds exactly. */
export const OFFSET_MAX = Number.MAX_SAFE_INTEGER;

/** lseek(2) with SEEK_SET, SEEK_CUR and, where `end` >= 0, SEEK_END: moves the position of `file`, or -EINVAL. */
export function seekWithin(file: File, offset: number, whence: number, end: number): number {
  if (whence > SEEK_END || (whence === SEEK_END && end < 0)) return -EINVAL;
  const base = whence === SEEK_SET ? 0 : whence === SEEK_CUR ? file.position : end;
  const position = base + offset;
  if (position < 0 || position > OFFSET_MAX) return -EINVAL;
  file.position = position;
  return position;
}
