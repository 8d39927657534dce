// Signals for a file that becomes ready, or for events in a directory: F_SETOWN, F_SETSIG, O_ASYNC and F_NOTIFY of
// fcntl(2). Linux: fs/fcntl.c, f_setown(), send_sigio(), fs/notify/dnotify.

import { EFAULT, EINVAL, ENOTDIR, ESRCH } from "../abi/errno.ts";
import {
  DN_ACCESS,
  DN_ATTRIB,
  DN_CREATE,
  DN_DELETE,
  DN_MODIFY,
  DN_MULTISHOT,
  DN_RENAME,
  IN_ACCESS,
  IN_ATTRIB,
  IN_CREATE,
  IN_DELETE,
  IN_MODIFY,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  O_ASYNC,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLMSG,
  POLLOUT,
  POLLPRI,
  POLLRDNORM,
} from "../abi/file.ts";
import { SI_KERNEL, SIGIO, SIGRTMAX, SIGURG } from "../abi/signal.ts";
import { i32, put32 } from "../abi/struct.ts";
import { sendSignal } from "../signal/send.ts";
import { SignalInfo } from "../signal/signal_info.ts";
import type { Pid } from "../task/pid.ts";
import type { Task } from "../task/task.ts";
import { Waiter, type WaitListener } from "../util/wait_queue.ts";
import type { File, FileWatch } from "../vfs/file.ts";
import { addWatch, type InodeWatch, removeWatch } from "../vfs/notify.ts";

const F_OWNER_TID = 0;
const F_OWNER_PID = 1;
const F_OWNER_PGRP = 2;
const OWNER_BYTES = 8;

const ALL_EVENTS = POLLIN | POLLOUT | POLLPRI | POLLMSG | POLLERR | POLLHUP;

/** si_band of a signal for a directory event. */
const DIRECTORY_EVENTS = POLLIN | POLLRDNORM | POLLMSG;

const bytes = new Uint8Array(OWNER_BYTES);

/** The owner of one open file description, and its listener in the file's wait queue while O_ASYNC is set. */
class FileOwner implements WaitListener, FileWatch {
  readonly #file: File;
  type = F_OWNER_PID;
  pid: Pid | null = null;
  /** F_SETSIG; 0: plain SIGIO. */
  signal = 0;
  /** The descriptor through which O_ASYNC was set. */
  fd = -1;
  /** The credentials of F_SETOWN's caller, which must permit the signal: sigio_perm(). */
  uid = 0;
  euid = 0;
  readonly #waiter = new Waiter(this);
  /** F_NOTIFY; null without a request. */
  #directory: DirectoryWatch | null = null;

  constructor(file: File) {
    this.#file = file;
  }

  listen(fd: number): void {
    this.fd = fd;
    if (this.#waiter.queue === null) this.#file.queue.add(this.#waiter, ALL_EVENTS);
  }
  stopListening(): void {
    this.#waiter.queue?.remove(this.#waiter);
  }

  /** F_NOTIFY: adds requested events, through the descriptor `fd`. */
  watch(fd: number, mask: number, isLasting: boolean): void {
    if (this.#directory === null) {
      this.#directory = new DirectoryWatch(this, mask, isLasting);
      addWatch(this.#file.inode, this.#directory);
    } else {
      this.#directory.mask |= mask;
      this.#directory.isLasting ||= isLasting;
    }
    this.fd = fd;
  }
  endWatch(): void {
    if (this.#directory !== null) removeWatch(this.#file.inode, this.#directory);
    this.#directory = null;
  }

  onReady(_waiter: Waiter, events: number): void {
    this.tell(events);
  }

  /** Signals the owner. */
  tell(events: number): void {
    this.#send(() => this.#info(events));
  }

  /** SIGURG is sent whether or not O_ASYNC is set: send_sigurg(). */
  onUrgent(): void {
    this.#send(() => new SignalInfo(SIGURG, SI_KERNEL));
  }

  #send(info: () => SignalInfo): void {
    const pid = this.pid;
    if (pid === null) return;
    if (this.type === F_OWNER_PGRP) {
      for (const member of [...pid.group?.members ?? []]) {
        const task = member.liveTask();
        if (task !== null && this.#maySignal(task)) sendSignal(member, info());
      }
      return;
    }
    const task = pid.task;
    if (task === null || task.hasExited || !this.#maySignal(task)) return;
    sendSignal(this.type === F_OWNER_TID ? task : task.threadGroup, info());
  }

  #maySignal(task: Task): boolean {
    const { uid, suid } = task.credentials;
    return this.euid === 0 || this.euid === uid || this.euid === suid || this.uid === uid ||
      this.uid === suid;
  }

  #info(events: number): SignalInfo {
    if (this.signal === 0) return new SignalInfo(SIGIO, SI_KERNEL);
    const info = new SignalInfo(this.signal, pollCode(events));
    info.band = events;
    info.fd = this.fd;
    return info;
  }

  onFileRelease(): void {
    this.stopListening();
    this.endWatch();
  }
}

/** The directory events that F_NOTIFY has requested. */
class DirectoryWatch implements InodeWatch {
  readonly #owner: FileOwner;
  /** IN_ events. */
  mask: number;
  /** DN_MULTISHOT: stays after the first event. */
  isLasting: boolean;

  constructor(owner: FileOwner, mask: number, isLasting: boolean) {
    this.#owner = owner;
    this.mask = mask;
    this.isLasting = isLasting;
  }

  onEvent(event: number): void {
    if ((event & this.mask) === 0) return;
    if (!this.isLasting) this.#owner.endWatch();
    this.#owner.tell(DIRECTORY_EVENTS);
  }

  onGone(): void {
    this.#owner.endWatch();
  }
}

/** The si_code, POLL_IN .. POLL_HUP of sigaction(2), for poll events. */
function pollCode(events: number): number {
  if ((events & POLLHUP) !== 0) return 6;
  if ((events & POLLERR) !== 0) return 4;
  if ((events & POLLMSG) !== 0) return 3;
  if ((events & POLLIN) !== 0) return 1;
  if ((events & POLLOUT) !== 0) return 2;
  return 5;
}

function ownerOf(file: File): FileOwner {
  if (file.owner === null) file.owner = new FileOwner(file);
  return file.owner as FileOwner;
}

/** F_SETOWN: a process, a process group as a negative number, or 0 for no owner. */
export function setOwner(task: Task, file: File, id: number): number {
  if (id === -0x8000_0000) return -EINVAL;
  return setOwnerTo(task, file, id < 0 ? F_OWNER_PGRP : F_OWNER_PID, Math.abs(id));
}

function setOwnerTo(task: Task, file: File, type: number, id: number): number {
  const pid = id === 0 ? null : task.pid.namespace.pids.get(id);
  if (pid === undefined) return -ESRCH;
  const owner = ownerOf(file);
  owner.type = type;
  owner.pid = pid;
  owner.uid = task.credentials.uid;
  owner.euid = task.credentials.euid;
  return 0;
}

/** F_GETOWN. */
export function getOwner(task: Task, file: File): number {
  const owner = file.owner as FileOwner | null;
  if (owner === null || owner.pid === null) return 0;
  const id = owner.pid.in(task.pid.namespace);
  return owner.type === F_OWNER_PGRP ? -id : id;
}

/** F_SETOWN_EX. */
export function setOwnerEx(task: Task, file: File, address: number): number {
  if (task.memory.copyIn(address, bytes, 0, OWNER_BYTES) < 0) return -EFAULT;
  const type = i32(bytes, 0);
  if (type < F_OWNER_TID || type > F_OWNER_PGRP) return -EINVAL;
  return setOwnerTo(task, file, type, i32(bytes, 4));
}

/** F_GETOWN_EX. */
export function getOwnerEx(task: Task, file: File, address: number): number {
  const owner = file.owner as FileOwner | null;
  put32(bytes, 0, owner === null || owner.pid === null ? F_OWNER_TID : owner.type);
  put32(bytes, 4, owner === null || owner.pid === null ? 0 : owner.pid.in(task.pid.namespace));
  return task.memory.copyOut(address, bytes, 0, OWNER_BYTES);
}

/** F_SETSIG. */
export function setOwnerSignal(file: File, signal: number): number {
  if (signal < 0 || signal > SIGRTMAX) return -EINVAL;
  ownerOf(file).signal = signal;
  return 0;
}

/** F_GETSIG. */
export function getOwnerSignal(file: File): number {
  return (file.owner as FileOwner | null)?.signal ?? 0;
}

/** O_ASYNC was set or cleared through descriptor `fd`. */
export function setAsync(file: File, fd: number, isOn: boolean): void {
  if (isOn) ownerOf(file).listen(fd);
  else (file.owner as FileOwner | null)?.stopListening();
}

/** F_NOTIFY: requests signals for events in a directory; a mask of 0 ends them. */
export function setNotify(task: Task, file: File, fd: number, wanted: number): number {
  if ((wanted & ~DN_MULTISHOT) === 0) {
    (file.owner as FileOwner | null)?.endWatch();
    return 0;
  }
  if (!file.inode.isDirectory) return -ENOTDIR;
  let mask = 0;
  if ((wanted & DN_ACCESS) !== 0) mask |= IN_ACCESS;
  if ((wanted & DN_MODIFY) !== 0) mask |= IN_MODIFY;
  if ((wanted & DN_CREATE) !== 0) mask |= IN_CREATE | IN_MOVED_TO;
  if ((wanted & DN_DELETE) !== 0) mask |= IN_DELETE | IN_MOVED_FROM;
  if ((wanted & DN_RENAME) !== 0) mask |= IN_MOVED_FROM;
  if ((wanted & DN_ATTRIB) !== 0) mask |= IN_ATTRIB;
  const owner = ownerOf(file);
  if (owner.pid === null) setOwnerTo(task, file, F_OWNER_PID, task.threadGroup.pid.in(task.pid.namespace));
  owner.watch(fd, mask, (wanted & DN_MULTISHOT) !== 0);
  return 0;
}

/** Whether `flags` and `before` differ in O_ASYNC. */
export function changesAsync(before: number, flags: number): boolean {
  return ((before ^ flags) & O_ASYNC) !== 0;
}
