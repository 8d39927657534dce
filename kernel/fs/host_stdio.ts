// A container's stdin, stdout and stderr: descriptors donated by the command line's caller, of any kind (terminal,
// pipe, file, /dev/null). The kernel never sets O_NONBLOCK on them, as the open file description is shared with the
// caller: it polls before each transfer. Termios and window size of a host terminal are passed through.
//
// File and inode hold the descriptor: when the container has closed its last use, the host descriptor is closed too,
// and a reader at the other end of a pipe sees its end.

import { EACCES, EAGAIN, EFAULT, EINVAL, ENOTTY, ENXIO, EPERM, ESPIPE } from "../abi/errno.ts";
import {
  O_ACCMODE,
  O_APPEND,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
  S_IFCHR,
  S_IFDIR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
  SEEK_CUR,
  SEEK_END,
  SEEK_SET,
} from "../abi/file.ts";
import { i32, put32, u32, u64 } from "../abi/struct.ts";
import {
  TCFLSH,
  TCGETS,
  TCSBRK,
  TCSETS,
  TCSETSF,
  TCSETSW,
  TCXONC,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGWINSZ,
  TIOCNOTTY,
  TIOCSCTTY,
  TIOCSPGRP,
  TIOCSWINSZ,
} from "../abi/tty.ts";
import { FIONREAD } from "../abi/file.ts";
import { STAT, STAT_BYTES } from "../arch/layouts.ts";
import type { Host } from "../../platform/platform.ts";
import { HOST_IOCTL_BYTES, HOST_READ, HOST_WRITE, type HostDescriptor } from "../host/host_descriptor.ts";
import type { HostListener, HostWatch } from "../host/host_watch.ts";
import type { Kernel } from "../kernel.ts";
import { Task } from "../task/task.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import type { Waiter } from "../util/wait_queue.ts";
import { type File, OFFSET_MAX, seekWithin } from "../vfs/file.ts";
import { ContentFile } from "../vfs/file_kinds.ts";
import { ATTR_CTIME, ATTR_MTIME, ATTR_SIZE, type AttributeChange, Inode } from "../vfs/inode.ts";

/**
 * Bytes written at once to a descriptor that might block: a pipe that polls writable accepts PIPE_BUF without waiting
 * (pipe(7)).
 */
const WRITE_BYTES_MAX = 4096;
const TERMIOS_BYTES = 36;
const WINSIZE_BYTES = 8;

class HostInode extends Inode {
  readonly #kernel: Kernel;
  readonly #descriptor: HostDescriptor;
  constructor(kernel: Kernel, descriptor: HostDescriptor, stat: Uint8Array) {
    super(
      kernel.pseudo.hostfs,
      u64(stat, STAT.ino),
      u32(stat, STAT.mode),
      u32(stat, STAT.uid),
      u32(stat, STAT.gid),
    );
    this.#kernel = kernel;
    this.#descriptor = descriptor;
    const device = u64(stat, STAT.rdev);
    this.rdevMajor = Math.floor(device / 256) % 4096;
    this.rdevMinor = device % 256;
    this.size = u64(stat, STAT.size);
  }
  /** Every file open on this inode holds the descriptor, so that another one can be opened. */
  noteOpen(): void {
    this.#descriptor.hold();
  }
  noteClosed(): void {
    this.#descriptor.drop();
  }
  override refresh(): number {
    const stat = new Uint8Array(STAT_BYTES);
    const result = this.#descriptor.fstat(stat, 0);
    if (result === 0) this.size = u64(stat, STAT.size);
    return result;
  }
  /**
   * Opens /dev/stdin and its like. A regular file gets its own position, as on Linux. Linux: other kinds are opened
   * anew there, here they share the description; access is limited to the rights of the donated descriptor, and a
   * descriptor that only an O_PATH file still holds cannot be opened.
   */
  override open(_task: Task, flags: number): File | number {
    if ((rightsOf(flags) & ~this.#descriptor.rights) !== 0) return -EACCES;
    if (this.type === S_IFDIR) return -EACCES;
    if (!this.#descriptor.isOpen) return -ENXIO;
    if (this.type === S_IFREG) return new HostContentFile(this.#descriptor, this, flags);
    // A duplicate, as each host descriptor can have one watch only.
    const copy = this.#kernel.descriptors.copy(this.#descriptor);
    if (typeof copy === "number") return copy;
    const file = new HostFile(this.#kernel, copy, this, flags);
    copy.drop();
    return file;
  }
  /** open() calls this for O_TRUNC. */
  override setattr(change: AttributeChange): number {
    if (this.type !== S_IFREG || (change.mask & ~(ATTR_SIZE | ATTR_MTIME | ATTR_CTIME)) !== 0) return -EPERM;
    if ((change.mask & ATTR_SIZE) === 0) return 0;
    if ((this.#descriptor.rights & HOST_WRITE) === 0) return -EACCES;
    return this.#descriptor.ftruncate(change.size);
  }
}

/** HOST_READ and HOST_WRITE for the access mode of open flags. */
function rightsOf(flags: number): number {
  const access = flags & O_ACCMODE;
  return (access === O_WRONLY ? 0 : HOST_READ) | (access === O_RDONLY ? 0 : HOST_WRITE);
}

/**
 * A wait queue that reports its first and last waiter, so that the host descriptor is watched only while someone
 * waits.
 */
class WatchedQueue extends WaitQueue {
  onChange: () => void = () => {};
  override add(waiter: Waiter, mask: number): void {
    super.add(waiter, mask);
    this.onChange();
  }
  override remove(waiter: Waiter): void {
    super.remove(waiter);
    this.onChange();
  }
}

/** Whether descriptor `fd` of the host is a terminal. */
export function isHostTerminal(host: Host, fd: number): boolean {
  return host.ioctl(fd, TCGETS, new Uint8Array(HOST_IOCTL_BYTES), 0) === 0;
}

/** Makes a File over `descriptor`, which it holds. Throws when the host's fstat fails. */
export function newHostStdio(kernel: Kernel, descriptor: HostDescriptor): File {
  const stat = new Uint8Array(STAT_BYTES);
  const result = descriptor.fstat(stat, 0);
  if (result < 0) throw new Error(`Cannot use ${descriptor.purpose}: errno ${-result}`);
  const both = HOST_READ | HOST_WRITE, rights = descriptor.rights & both;
  const flags = rights === both ? O_RDWR : rights === HOST_WRITE ? O_WRONLY : O_RDONLY;
  return new HostFile(kernel, descriptor, new HostInode(kernel, descriptor, stat), flags);
}

class HostFile extends ContentFile implements HostListener {
  declare readonly inode: HostInode;
  readonly #kernel: Kernel;
  readonly #descriptor: HostDescriptor;
  readonly #isRegular: boolean;
  readonly #isTerminal: boolean;
  /** Made at the first wait. */
  #watch: HostWatch | null = null;
  readonly #buffer = new Uint8Array(HOST_IOCTL_BYTES);

  constructor(kernel: Kernel, descriptor: HostDescriptor, inode: HostInode, flags: number) {
    const queue = new WatchedQueue();
    super(inode, flags, queue);
    descriptor.hold();
    inode.noteOpen();
    this.#kernel = kernel;
    this.#descriptor = descriptor;
    this.#isRegular = (inode.mode & S_IFMT) === S_IFREG;
    this.#isTerminal = (inode.mode & S_IFMT) === S_IFCHR &&
      isHostTerminal(kernel.host, descriptor.fd);
    queue.onChange = () => this.#followQueue();
  }

  /** The host keeps the position, which other processes of the host may share. */
  override get isSeekable(): boolean {
    return false;
  }

  override get linkText(): string {
    return hostLinkText(this.inode);
  }

  /** Watches the host descriptor exactly while tasks wait on this file. */
  #followQueue(): void {
    if (this.#isRegular) return;
    if (this.queue.isEmpty) {
      this.#watch?.set(0);
      return;
    }
    const events = (this.isReadable ? POLLIN : 0) | (this.isWritable ? POLLOUT : 0);
    if (this.#watch === null) this.#watch = this.#kernel.watches.add(this.#descriptor, events, this);
    else this.#watch.set(events);
  }

  onHostEvents(events: number): void {
    // The watch is level-triggered: without clearing it a writable terminal would wake the loop without end.
    this.#watch?.set(0);
    this.queue.notify(pollEvents(events));
    this.#followQueue();
  }

  /** A task that waits for the descriptor, if any. */
  taskConcerned(): Task | null {
    const waiting = this.queue.first?.listener;
    return waiting instanceof Task ? waiting : null;
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, _offset: number): number {
    if (!this.#isRegular && this.#descriptor.poll(POLLIN) === 0) return -EAGAIN;
    return this.#descriptor.read(into, at, length);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, _offset: number): number {
    if (this.#isRegular) return this.#descriptor.write(from, at, length);
    let done = 0;
    while (done < length) {
      if (this.#descriptor.poll(POLLOUT) === 0) return done > 0 ? done : -EAGAIN;
      const n = this.#descriptor.write(from, at + done, Math.min(WRITE_BYTES_MAX, length - done));
      if (n < 0) return done > 0 ? done : n;
      done += n;
    }
    return done;
  }

  override readiness(): number {
    if (this.#isRegular) return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return pollEvents(this.#descriptor.poll(POLLIN | POLLOUT));
  }

  override seek(offset: number, whence: number): number {
    if (!this.#isRegular) return -ESPIPE;
    if (whence === SEEK_SET && offset < 0) return -EINVAL;
    if (Math.abs(offset) > OFFSET_MAX) return -EINVAL;
    const position = this.#descriptor.lseek(offset, whence);
    if (position <= OFFSET_MAX) return position;
    // The host's file system allows larger offsets than this kernel: undo the seek.
    this.#descriptor.lseek(-offset, SEEK_CUR);
    return -EINVAL;
  }

  override truncate(size: number): number {
    return this.#isRegular ? this.#descriptor.ftruncate(size) : -EINVAL;
  }

  override sync(isDataOnly: boolean): number {
    return this.#isRegular ? this.#descriptor.fsync(isDataOnly) : -EINVAL;
  }

  override setFlags(flags: number): number {
    this.flags = flags & ~O_APPEND | this.flags & O_APPEND;
    return 0;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    const descriptor = this.#descriptor;
    const b = this.#buffer;
    if (request === FIONREAD) {
      const result = descriptor.ioctl(request, b, 0);
      return result < 0 ? result : task.memory.copyOut(argument, b, 0, 4);
    }
    if (!this.#isTerminal) return -ENOTTY;
    switch (request) {
      case TCGETS:
      case TIOCGWINSZ: {
        const result = descriptor.ioctl(request, b, 0);
        return result < 0
          ? result
          : task.memory.copyOut(argument, b, 0, request === TCGETS ? TERMIOS_BYTES : WINSIZE_BYTES);
      }
      case TCSETS:
      case TCSETSW:
      case TCSETSF:
      case TIOCSWINSZ: {
        const length = request === TIOCSWINSZ ? WINSIZE_BYTES : TERMIOS_BYTES;
        if (task.memory.copyIn(argument, b, 0, length) < 0) return -EFAULT;
        return descriptor.ioctl(request, b, 0);
      }
      case TCFLSH:
      case TCSBRK:
      case TCXONC:
        return 0;
      case TIOCGPGRP:
        put32(b, 0, this.#foreground(task));
        return task.memory.copyOut(argument, b, 0, 4);
      case TIOCSPGRP:
        if (task.memory.copyIn(argument, b, 0, 4) < 0) return -EFAULT;
        return this.#setForeground(task, i32(b, 0));
      case TIOCGSID:
        put32(b, 0, task.threadGroup.session.pid.in(task.pid.namespace));
        return task.memory.copyOut(argument, b, 0, 4);
      case TIOCSCTTY:
        return task.threadGroup.session.pid === task.threadGroup.pid ? 0 : -EPERM;
      case TIOCNOTTY:
        return 0;
      default:
        return -ENOTTY;
    }
  }

  #foreground(task: Task): number {
    const group = task.threadGroup.container.foregroundGroup ?? task.threadGroup.processGroup;
    return group.pid.in(task.pid.namespace);
  }

  #setForeground(task: Task, number: number): number {
    const group = task.pid.namespace.pids.get(number)?.group ?? null;
    if (group === null) return -EPERM;
    if (group.session !== task.threadGroup.session) return -EPERM;
    task.threadGroup.container.foregroundGroup = group;
    return 0;
  }

  override release(): void {
    this.#watch?.end();
    this.#descriptor.drop();
    super.release();
    this.inode.noteClosed();
  }
}

/** A regular file of the host, opened through its link in /proc. */
class HostContentFile extends ContentFile {
  declare readonly inode: HostInode;
  readonly #descriptor: HostDescriptor;

  constructor(descriptor: HostDescriptor, inode: HostInode, flags: number) {
    super(inode, flags);
    inode.noteOpen();
    this.#descriptor = descriptor;
  }

  override get linkText(): string {
    return hostLinkText(this.inode);
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    return this.#descriptor.pread(into, at, length, offset);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    if ((this.flags & O_APPEND) === 0) return this.#descriptor.pwrite(from, at, length, offset);
    const found = this.inode.refresh();
    if (found < 0) return found;
    const n = this.#descriptor.pwrite(from, at, length, this.inode.size);
    // The caller takes the position from the size.
    if (n > 0) this.inode.size += n;
    return n;
  }

  override seek(offset: number, whence: number): number {
    if (whence === SEEK_END) {
      const found = this.inode.refresh();
      if (found < 0) return found;
    }
    return seekWithin(this, offset, whence, this.inode.size);
  }

  override truncate(size: number): number {
    return this.#descriptor.ftruncate(size);
  }

  override sync(isDataOnly: boolean): number {
    return this.#descriptor.fsync(isDataOnly);
  }

  override release(): void {
    super.release();
    this.inode.noteClosed();
  }
}

/** The text of /proc/PID/fd/N. It hides the names of the host's files. */
function hostLinkText(inode: Inode): string {
  switch (inode.type) {
    case S_IFIFO:
      return `pipe:[${inode.ino}]`;
    case S_IFSOCK:
      return `socket:[${inode.ino}]`;
    case S_IFCHR:
      return inode.rdevMajor === 1 && inode.rdevMinor === 3 ? "/dev/null" : `host:[${inode.ino}]`;
    default:
      return `host:[${inode.ino}]`;
  }
}

function pollEvents(host: number): number {
  let events = host & (POLLIN | POLLOUT | POLLERR | POLLHUP);
  if ((events & POLLIN) !== 0) events |= POLLRDNORM;
  if ((events & POLLOUT) !== 0) events |= POLLWRNORM;
  return events;
}
