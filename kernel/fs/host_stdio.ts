// The container's stdin, stdout and stderr: host descriptors that the CLI was given, whatever they are (terminal, pipe,
// file, /dev/null). We never set O_NONBLOCK on them, as the description is shared with the caller: readiness is asked
// for first. A host terminal passes termios and window size through.

import { EACCES, EAGAIN, EFAULT, EINVAL, ENOTTY, EPERM, ESPIPE } from "../abi/errno.ts";
import {
  O_ACCMODE,
  O_APPEND,
  O_RDONLY,
  O_RDWR,
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
import type { Host } from "../../platform/platform.ts";
import type { Kernel } from "../kernel.ts";
import { changeHostFdWatch, unwatchHostFd, watchHostFd } from "../task/host_fds.ts";
import type { Task } from "../task/task.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import type { Waiter } from "../util/wait_queue.ts";
import { File, OFFSET_MAX, seekWithin } from "../vfs/file.ts";
import { ATTR_CTIME, ATTR_MTIME, ATTR_SIZE, type AttributeChange, Inode } from "../vfs/inode.ts";

/** Bytes written at once to a descriptor that might block: a pipe that polls writable takes PIPE_BUF. */
const WRITE_BYTES_MAX = 4096;
const TERMIOS_BYTES = 36;
const WINSIZE_BYTES = 8;

class HostInode extends Inode {
  readonly #host: Host;
  readonly #fd: number;
  /** O_RDONLY, O_WRONLY or O_RDWR: what the descriptor was given for. */
  readonly #access: number;
  constructor(kernel: Kernel, fd: number, stat: Uint8Array, access: number) {
    super(kernel.pseudo.hostfs, u64(stat, 8), u32(stat, 24), u32(stat, 28), u32(stat, 32));
    this.#host = kernel.host;
    this.#fd = fd;
    this.#access = access;
    const device = u64(stat, 40);
    this.rdevMajor = Math.floor(device / 256) % 4096;
    this.rdevMinor = device % 256;
    this.size = u64(stat, 48);
  }
  override refresh(): number {
    const stat = new Uint8Array(144);
    const result = this.#host.fstat(this.#fd, stat, 0);
    if (result === 0) this.size = u64(stat, 48);
    return result;
  }
  /**
   * /dev/stdin and its like. A file gets a position of its own, as on Linux.
   * Linux: anything else is opened anew there, here it shares the description; and only for what it was given.
   */
  override open(task: Task, flags: number): File | number {
    const access = flags & O_ACCMODE;
    if (this.#access !== O_RDWR && access !== this.#access) return -EACCES;
    if (this.type === S_IFDIR) return -EACCES;
    const fd = this.#host.dup(this.#fd);
    if (fd < 0) return fd;
    return this.type === S_IFREG
      ? new HostContentFile(this.#host, fd, this, flags)
      : new HostFile(task.kernel, fd, this, flags);
  }
  /** O_TRUNC on the way to open(). */
  override setattr(change: AttributeChange): number {
    if (this.type !== S_IFREG || (change.mask & ~(ATTR_SIZE | ATTR_MTIME | ATTR_CTIME)) !== 0) return -EPERM;
    if ((change.mask & ATTR_SIZE) === 0) return 0;
    if (this.#access === O_RDONLY) return -EACCES;
    return this.#host.ftruncate(this.#fd, change.size);
  }
}

/** A queue that tells when somebody begins or ceases to wait, so that the host descriptor is watched only then. */
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

/** The File over host descriptor `fd`. `flags`: O_RDONLY, O_WRONLY or O_RDWR. */
export function newHostStdio(task: Task, fd: number, flags: number): File {
  const stat = new Uint8Array(144);
  const result = task.kernel.host.fstat(fd, stat, 0);
  if (result < 0) throw new Error(`Cannot use descriptor ${fd}: errno ${-result}`);
  return new HostFile(task.kernel, fd, new HostInode(task.kernel, fd, stat, flags & O_ACCMODE), flags);
}

class HostFile extends File {
  readonly #kernel: Kernel;
  readonly #fd: number;
  readonly #isRegular: boolean;
  readonly #isTerminal: boolean;
  #cookie = -1;
  #isWatched = false;
  readonly #buffer = new Uint8Array(64);

  constructor(kernel: Kernel, fd: number, inode: Inode, flags: number) {
    const queue = new WatchedQueue();
    super(inode, flags, queue);
    this.#kernel = kernel;
    this.#fd = fd;
    this.#isRegular = (inode.mode & S_IFMT) === S_IFREG;
    this.#isTerminal = (inode.mode & S_IFMT) === S_IFCHR &&
      kernel.host.ioctl(fd, TCGETS, this.#buffer, 0) === 0;
    queue.onChange = () => this.#watch();
  }

  override get isSeekable(): boolean {
    return false;
  }

  override get linkText(): string {
    return hostLinkText(this.inode);
  }

  /** Watches the host descriptor exactly while somebody waits on this file. */
  #watch(): void {
    if (this.#isRegular) return;
    const wanted = !this.queue.isEmpty;
    if (wanted === this.#isWatched) return;
    this.#isWatched = wanted;
    const events = (this.isReadable ? POLLIN : 0) | (this.isWritable ? POLLOUT : 0);
    if (this.#cookie < 0) {
      this.#cookie = watchHostFd(this.#kernel, this.#fd, events, (ready) => this.#onReady(ready));
    } else changeHostFdWatch(this.#kernel, this.#fd, this.#cookie, wanted ? events : 0);
  }

  #onReady(events: number): void {
    // Level-triggered: unwatched until somebody waits again, or a writable terminal would keep us awake.
    this.#isWatched = false;
    changeHostFdWatch(this.#kernel, this.#fd, this.#cookie, 0);
    this.queue.notify(pollEvents(events));
    this.#watch();
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, _offset: number): number {
    if (!this.#isRegular && this.#kernel.host.poll(this.#fd, POLLIN) === 0) return -EAGAIN;
    return this.#kernel.host.read(this.#fd, into, at, length);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, _offset: number): number {
    if (this.#isRegular) return this.#kernel.host.write(this.#fd, from, at, length);
    let done = 0;
    while (done < length) {
      if (this.#kernel.host.poll(this.#fd, POLLOUT) === 0) return done > 0 ? done : -EAGAIN;
      const n = this.#kernel.host.write(this.#fd, from, at + done, Math.min(WRITE_BYTES_MAX, length - done));
      if (n < 0) return done > 0 ? done : n;
      done += n;
    }
    return done;
  }

  override readiness(): number {
    if (this.#isRegular) return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
    return pollEvents(this.#kernel.host.poll(this.#fd, POLLIN | POLLOUT));
  }

  override seek(offset: number, whence: number): number {
    if (!this.#isRegular) return -ESPIPE;
    if (whence === SEEK_SET && offset < 0) return -EINVAL;
    if (Math.abs(offset) > OFFSET_MAX) return -EINVAL;
    const host = this.#kernel.host;
    const position = host.lseek(this.#fd, offset, whence);
    if (position <= OFFSET_MAX) return position;
    // The host's file system knows farther places than we do: back.
    host.lseek(this.#fd, -offset, SEEK_CUR);
    return -EINVAL;
  }

  override truncate(size: number): number {
    return this.#isRegular ? this.#kernel.host.ftruncate(this.#fd, size) : -EINVAL;
  }

  override sync(isDataOnly: boolean): number {
    if (!this.#isRegular) return -EINVAL;
    return isDataOnly ? this.#kernel.host.fdatasync(this.#fd) : this.#kernel.host.fsync(this.#fd);
  }

  override setFlags(flags: number): number {
    this.flags = flags & ~O_APPEND | this.flags & O_APPEND;
    return 0;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    const host = this.#kernel.host;
    const b = this.#buffer;
    if (request === FIONREAD) {
      const result = host.ioctl(this.#fd, request, b, 0);
      return result < 0 ? result : task.memory.copyOut(argument, b, 0, 4);
    }
    if (!this.#isTerminal) return -ENOTTY;
    switch (request) {
      case TCGETS:
      case TIOCGWINSZ: {
        const result = host.ioctl(this.#fd, request, b, 0);
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
        return host.ioctl(this.#fd, request, b, 0);
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
    const group = this.#kernel.foregroundGroup ?? task.threadGroup.processGroup;
    return group.pid.in(task.pid.namespace);
  }

  #setForeground(task: Task, number: number): number {
    const group = task.pid.namespace.pids.get(number)?.group ?? null;
    if (group === null) return -EPERM;
    if (group.session !== task.threadGroup.session) return -EPERM;
    this.#kernel.foregroundGroup = group;
    return 0;
  }

  override release(): void {
    if (this.#cookie >= 0) unwatchHostFd(this.#kernel, this.#fd, this.#cookie);
    // The three that the sandbox was given stay open: the inode still opens by them.
    if (this.#fd > 2) this.#kernel.host.close(this.#fd);
    super.release();
  }
}

/** A regular file of the host that was opened by its link in /proc. Owns its descriptor. */
class HostContentFile extends File {
  readonly #host: Host;
  readonly #fd: number;

  constructor(host: Host, fd: number, inode: Inode, flags: number) {
    super(inode, flags);
    this.#host = host;
    this.#fd = fd;
  }

  override get isSeekable(): boolean {
    return true;
  }

  override get linkText(): string {
    return hostLinkText(this.inode);
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    return this.#host.pread(this.#fd, into, at, length, offset);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    if ((this.flags & O_APPEND) === 0) return this.#host.pwrite(this.#fd, from, at, length, offset);
    const found = this.inode.refresh();
    if (found < 0) return found;
    const n = this.#host.pwrite(this.#fd, from, at, length, this.inode.size);
    // Whoever asked takes the position from there.
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
    return this.#host.ftruncate(this.#fd, size);
  }

  override sync(isDataOnly: boolean): number {
    return isDataOnly ? this.#host.fdatasync(this.#fd) : this.#host.fsync(this.#fd);
  }

  override release(): void {
    this.#host.close(this.#fd);
    super.release();
  }
}

/** What /proc/PID/fd/N shows; the names of the host's files are not the guest's business. */
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
