// epoll: a set of watched files and the list of those that are ready. Linux: fs/eventpoll.c, epoll(7). An item is a
// listener of its file's wait queue; an event moves it to the ready list, so that epoll_wait(2) polls ready items
// only.

import type { Kernel } from "../../kernel.ts";
import { EEXIST, EINVAL, ELOOP, ENOENT, ENOSPC } from "../../abi/errno.ts";
import {
  EPOLLERR,
  EPOLLET,
  EPOLLEXCLUSIVE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  EPOLLWAKEUP,
  POLLIN,
  POLLRDNORM,
} from "../../abi/file.ts";
import { put32 } from "../../abi/struct.ts";
import { EPOLL_DATA, EPOLL_EVENT_BYTES } from "../../arch/layouts.ts";
import type { Task } from "../../task/task.ts";
import type { UserAccount } from "../../task/user_account.ts";
import { Waiter, type WaitListener } from "../../util/wait_queue.ts";
import type { File, FileWatch } from "../../vfs/file.ts";
import { AnonymousFile } from "./filesystem.ts";

/** EP_MAX_NESTS of fs/eventpoll.c: how deep epolls that watch epolls may be nested. */
const NESTING_MAX = 4;

/** Bits of an event mask that say how to watch; the other bits say what for. */
const HOW_BITS = EPOLLET | EPOLLONESHOT | EPOLLEXCLUSIVE | EPOLLWAKEUP;
/** The bits that epoll_ctl(2) allows beside EPOLLEXCLUSIVE. */
const EXCLUSIVE_OK = EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLWAKEUP | EPOLLET | EPOLLEXCLUSIVE;

/** One watched descriptor of one epoll. */
class EpollItem implements WaitListener, FileWatch {
  readonly epoll: EpollFile;
  readonly file: File;
  readonly fd: number;
  readonly waiter: Waiter;
  /** Events to watch for, always with EPOLLERR and EPOLLHUP; 0 while an EPOLLONESHOT item is not armed again. */
  mask = 0;
  /** The HOW_BITS of its event. */
  how = 0;
  /** epoll_data, which only the guest interprets. */
  dataLow = 0;
  dataHigh = 0;
  /** Whether the item is in the ready list. */
  isReady = false;
  nextReady: EpollItem | null = null;
  previousReady: EpollItem | null = null;
  /**
   * Another item with the same number: the descriptor was closed, a duplicate kept its file open, and the number was
   * used again.
   */
  nextOfFd: EpollItem | null = null;
  /** Next in the chain of all epoll items of the file. */
  nextOfFile: EpollItem | null = null;
  previousOfFile: EpollItem | null = null;

  constructor(epoll: EpollFile, file: File, fd: number) {
    this.epoll = epoll;
    this.file = file;
    this.fd = fd;
    this.waiter = new Waiter(this);
  }

  onReady(waiter: Waiter, _events: number): void {
    if (this.mask !== 0) {
      waiter.hasTaken = !this.epoll.queue.isEmpty;
      this.epoll.pushReady(this);
    }
  }

  onFileRelease(): void {
    this.epoll.forget(this);
  }
}

export class EpollFile extends AnonymousFile {
  readonly #items = new Map<number, EpollItem>();
  #count = 0;
  /** The user who made this epoll; its items count against that user's limit. */
  readonly #account: UserAccount;
  #firstReady: EpollItem | null = null;
  #lastReady: EpollItem | null = null;
  #readyCount = 0;

  constructor(kernel: Kernel, flags: number, account: UserAccount) {
    super(kernel, "[eventpoll]", flags);
    this.#account = account;
  }

  /** Upper bound of the number of events that collect() may return. */
  get readyCount(): number {
    return this.#readyCount;
  }

  /** EPOLL_CTL_ADD; `events` as in struct epoll_event. 0 or -ERRNO. */
  add(file: File, fd: number, events: number, dataLow: number, dataHigh: number): number {
    if ((events & EPOLLEXCLUSIVE) !== 0 && ((events & ~EXCLUSIVE_OK) !== 0 || file instanceof EpollFile)) {
      return -EINVAL;
    }
    if (file instanceof EpollFile && (file.#reaches(this, 0) || !this.#mayWatch(file))) return -ELOOP;
    if (this.#find(file, fd) !== null) return -EEXIST;
    if (this.#account.epollItems >= this.inode.fs.vfs.parameters.epollWatchesMax) return -ENOSPC;
    const item = new EpollItem(this, file, fd);
    item.nextOfFd = this.#items.get(fd) ?? null;
    this.#items.set(fd, item);
    const first = file.epollItems as EpollItem | null;
    item.nextOfFile = first;
    if (first !== null) first.previousOfFile = item;
    file.epollItems = item;
    this.#count++;
    this.#account.epollItems++;
    this.#arm(item, events, dataLow, dataHigh);
    return 0;
  }

  /** EPOLL_CTL_MOD. */
  modify(file: File, fd: number, events: number, dataLow: number, dataHigh: number): number {
    const item = this.#find(file, fd);
    if (item === null) return -ENOENT;
    if ((events & EPOLLEXCLUSIVE) !== 0 || (item.how & EPOLLEXCLUSIVE) !== 0) return -EINVAL;
    this.#arm(item, events, dataLow, dataHigh);
    return 0;
  }

  /** EPOLL_CTL_DEL. */
  delete(file: File, fd: number): number {
    const item = this.#find(file, fd);
    if (item === null) return -ENOENT;
    this.forget(item);
    return 0;
  }

  /** The file watched as `fd`, the one with `index` of those that had this number; null for none. */
  target(fd: number, index: number): File | null {
    let item = this.#items.get(fd) ?? null;
    for (; item !== null && index > 0; index--) item = item.nextOfFd;
    return item === null ? null : item.file;
  }

  #find(file: File, fd: number): EpollItem | null {
    let item = this.#items.get(fd) ?? null;
    while (item !== null && item.file !== file) item = item.nextOfFd;
    return item;
  }

  #arm(item: EpollItem, events: number, dataLow: number, dataHigh: number): void {
    item.how = events & HOW_BITS;
    item.mask = (events & ~HOW_BITS) | EPOLLERR | EPOLLHUP;
    item.dataLow = dataLow;
    item.dataHigh = dataHigh;
    const queue = item.file.queue;
    queue.remove(item.waiter);
    item.waiter.isExclusive = (item.how & EPOLLEXCLUSIVE) !== 0;
    queue.add(item.waiter, item.mask);
    if ((item.file.readiness() & item.mask) !== 0) this.pushReady(item);
  }

  /** Removes an item: EPOLL_CTL_DEL, or its file has closed. */
  forget(item: EpollItem): void {
    item.waiter.queue?.remove(item.waiter);
    this.#dropReady(item);
    item.mask = 0;
    this.#count--;
    this.#account.epollItems--;
    this.#leaveFd(item);
    leaveFile(item);
  }

  #leaveFd(item: EpollItem): void {
    let at = this.#items.get(item.fd)!;
    if (at === item) {
      if (item.nextOfFd === null) this.#items.delete(item.fd);
      else this.#items.set(item.fd, item.nextOfFd);
      return;
    }
    while (at.nextOfFd !== item) at = at.nextOfFd!;
    at.nextOfFd = item.nextOfFd;
  }

  /** An event occurred on the item's file: puts the item into the ready list and wakes the waiters. */
  pushReady(item: EpollItem): void {
    if (!item.isReady) this.#appendReady(item);
    if (!this.queue.isEmpty) this.queue.notify(POLLIN | POLLRDNORM);
  }

  #appendReady(item: EpollItem): void {
    item.isReady = true;
    item.previousReady = this.#lastReady;
    item.nextReady = null;
    if (this.#lastReady === null) this.#firstReady = item;
    else this.#lastReady.nextReady = item;
    this.#lastReady = item;
    this.#readyCount++;
  }

  #dropReady(item: EpollItem): void {
    if (!item.isReady) return;
    item.isReady = false;
    if (item.previousReady === null) this.#firstReady = item.nextReady;
    else item.previousReady.nextReady = item.nextReady;
    if (item.nextReady === null) this.#lastReady = item.previousReady;
    else item.nextReady.previousReady = item.previousReady;
    item.nextReady = null;
    item.previousReady = null;
    this.#readyCount--;
  }

  /**
   * Writes up to `max` struct epoll_event at `at` and returns their number. Level-triggered items go to the end of
   * the list and are polled again by the next call, which also shares turns among many ready files
   * (ep_send_events()).
   */
  collect(task: Task, bytes: Uint8Array, at: number, max: number): number {
    let count = 0;
    for (let turns = this.#readyCount; turns > 0 && count < max; turns--) {
      const item = this.#firstReady!;
      this.#dropReady(item);
      const events = item.file.readiness(task) & item.mask;
      if (events === 0) continue;
      put32(bytes, at, events);
      put32(bytes, at + EPOLL_DATA, item.dataLow);
      put32(bytes, at + EPOLL_DATA + 4, item.dataHigh);
      at += EPOLL_EVENT_BYTES;
      count++;
      if ((item.how & EPOLLONESHOT) !== 0) item.mask = 0;
      else if ((item.how & EPOLLET) === 0) this.#appendReady(item);
    }
    return count;
  }

  /** An epoll is readable while one of its files is ready. Items that are no longer ready leave the list. */
  override readiness(): number {
    for (let item = this.#firstReady; item !== null;) {
      const next: EpollItem | null = item.nextReady;
      if ((item.file.readiness() & item.mask) !== 0) return POLLIN | POLLRDNORM;
      this.#dropReady(item);
      item = next;
    }
    return 0;
  }

  /** Whether the epolls below this one include `target`, or are nested deeper than NESTING_MAX. */
  #reaches(target: EpollFile, depth: number): boolean {
    if (this === target || depth > NESTING_MAX) return true;
    for (const first of this.#items.values()) {
      for (let item: EpollItem | null = first; item !== null; item = item.nextOfFd) {
        if (item.file instanceof EpollFile && item.file.#reaches(target, depth + 1)) return true;
      }
    }
    return false;
  }

  /** Whether the chain from the epolls that watch this one down to what `file` watches stays within NESTING_MAX. */
  #mayWatch(file: EpollFile): boolean {
    return this.#height(0) + 1 + file.#depth(0) <= NESTING_MAX;
  }

  #depth(sofar: number): number {
    let deepest = 0;
    if (sofar > NESTING_MAX) return 0;
    for (const first of this.#items.values()) {
      for (let item: EpollItem | null = first; item !== null; item = item.nextOfFd) {
        if (item.file instanceof EpollFile) deepest = Math.max(deepest, 1 + item.file.#depth(sofar + 1));
      }
    }
    return deepest;
  }

  #height(sofar: number): number {
    let highest = 0;
    if (sofar > NESTING_MAX) return 0;
    for (let item = this.epollItems as EpollItem | null; item !== null; item = item.nextOfFile) {
      highest = Math.max(highest, 1 + item.epoll.#height(sofar + 1));
    }
    return highest;
  }

  override get infoText(): string {
    let text = "";
    for (const first of this.#items.values()) {
      for (let item: EpollItem | null = first; item !== null; item = item.nextOfFd) text += itemText(item);
    }
    return text;
  }

  override release(): void {
    for (const first of this.#items.values()) {
      for (let item: EpollItem | null = first; item !== null; item = item.nextOfFd) {
        item.waiter.queue?.remove(item.waiter);
        leaveFile(item);
      }
    }
    this.#items.clear();
    this.#firstReady = this.#lastReady = null;
    this.#readyCount = 0;
    super.release();
  }
}

function leaveFile(item: EpollItem): void {
  const { nextOfFile: next, previousOfFile: previous } = item;
  if (previous === null) item.file.epollItems = next;
  else previous.nextOfFile = next;
  if (next !== null) next.previousOfFile = previous;
}

/** The line of an item in /proc/PID/fdinfo: proc_pid_fdinfo(5). */
function itemText(item: EpollItem): string {
  const events = ((item.mask | item.how) >>> 0).toString(16).padStart(8);
  const data = (BigInt(item.dataHigh) << 32n | BigInt(item.dataLow)).toString(16).padStart(16);
  const { inode, position } = item.file;
  const place = `pos:${position} ino:${inode.ino.toString(16)} sdev:${inode.fs.device.toString(16)}`;
  return `tfd: ${String(item.fd).padStart(8)} events: ${events} data: ${data}  ${place}\n`;
}
