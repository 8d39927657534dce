// inotify: a queue of events on watched inodes. Linux: fs/notify/inotify, inotify(7). vfs/notify.ts decides which
// watches get an event.

import type { Kernel } from "../../kernel.ts";
import { EAGAIN, EINVAL } from "../../abi/errno.ts";
import {
  FIONREAD,
  IN_ALL_EVENTS,
  IN_EXCL_UNLINK,
  IN_IGNORED,
  IN_ISDIR,
  IN_ONESHOT,
  IN_Q_OVERFLOW,
  POLLIN,
  POLLRDNORM,
} from "../../abi/file.ts";
import { put32 } from "../../abi/struct.ts";
import type { Task } from "../../task/task.ts";
import type { UserAccount } from "../../task/user_account.ts";
import { putLatin1 } from "../../util/bytes.ts";
import type { Inode } from "../../vfs/inode.ts";
import { addWatch, type InodeWatch, removeWatch } from "../../vfs/notify.ts";
import { AnonymousFile, putIntResult } from "./filesystem.ts";

/** Bytes of struct inotify_event before the name. */
const EVENT_BYTES = 16;

interface QueuedEvent {
  readonly watch: number;
  readonly mask: number;
  readonly cookie: number;
  readonly name: string;
}

export class InotifyFile extends AnonymousFile {
  /** Watches by descriptor. */
  readonly watches = new Map<number, InotifyWatch>();
  readonly #byInode = new Map<Inode, InotifyWatch>();
  #events: QueuedEvent[] = [];
  #nextWatch = 1;
  readonly #eventsMax: number;
  /** The user who made this instance; its watches count against that user's limit. */
  readonly account: UserAccount;

  constructor(kernel: Kernel, flags: number, account: UserAccount) {
    super(kernel, "inotify", flags);
    this.account = account;
    this.#eventsMax = kernel.parameters.inotifyEventsMax;
    account.inotifyInstances++;
  }

  /** The watch on `inode`, or null. */
  watchOn(inode: Inode): InotifyWatch | null {
    return this.#byInode.get(inode) ?? null;
  }

  add(inode: Inode, mask: number): number {
    const watch = new InotifyWatch(this, this.#nextWatch++, inode, mask);
    this.watches.set(watch.descriptor, watch);
    this.account.inotifyWatches++;
    this.#byInode.set(inode, watch);
    addWatch(inode, watch);
    return watch.descriptor;
  }

  /** Removes a watch: inotify_rm_watch(2), or its inode was deleted. */
  remove(watch: InotifyWatch): void {
    if (!this.watches.delete(watch.descriptor)) return;
    this.account.inotifyWatches--;
    this.#byInode.delete(watch.inode);
    removeWatch(watch.inode, watch);
    this.queueEvent(watch.descriptor, IN_IGNORED, 0, "");
  }

  queueEvent(watch: number, mask: number, cookie: number, name: string): void {
    const events = this.#events;
    const last = events.length === 0 ? null : events[events.length - 1];
    // An event equal to the last queued one is dropped while that one is unread (inotify(7), "NOTES").
    if (
      last !== null && last.watch === watch && last.mask === mask && last.cookie === cookie &&
      last.name === name
    ) return;
    // Beyond fs.inotify.max_queued_events one IN_Q_OVERFLOW is queued and events are dropped.
    if (events.length > this.#eventsMax) return;
    if (events.length === this.#eventsMax) {
      events.push({ watch: -1, mask: IN_Q_OVERFLOW, cookie: 0, name: "" });
    } else events.push({ watch, mask, cookie, name });
    this.queue.notify(POLLIN | POLLRDNORM);
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    if (this.#events.length === 0) return -EAGAIN;
    let done = 0, count = 0;
    for (const event of this.#events) {
      const bytes = bytesOf(event);
      if (done + bytes > length) break;
      put32(into, at + done, event.watch);
      put32(into, at + done + 4, event.mask);
      put32(into, at + done + 8, event.cookie);
      put32(into, at + done + 12, bytes - EVENT_BYTES);
      into.fill(0, at + done + EVENT_BYTES, at + done + bytes);
      putLatin1(into, at + done + EVENT_BYTES, event.name);
      done += bytes;
      count++;
    }
    if (count === 0) return -EINVAL;
    this.#events.splice(0, count);
    return done;
  }

  override readiness(): number {
    return this.#events.length > 0 ? POLLIN | POLLRDNORM : 0;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    if (request !== FIONREAD) return super.ioctl(task, request, argument);
    let bytes = 0;
    for (const event of this.#events) bytes += bytesOf(event);
    return putIntResult(task, argument, bytes);
  }

  override get infoText(): string {
    let text = "";
    for (const { descriptor, inode, mask } of this.watches.values()) {
      text += `inotify wd:${descriptor.toString(16)} ino:${inode.ino.toString(16)} sdev:${
        inode.fs.device.toString(16)
      } mask:${(mask >>> 0).toString(16)} ignored_mask:0\n`;
    }
    return text;
  }

  override release(): void {
    for (const watch of this.watches.values()) removeWatch(watch.inode, watch);
    this.account.inotifyWatches -= this.watches.size;
    this.account.inotifyInstances--;
    this.watches.clear();
    super.release();
  }
}

/** A name is followed by at least one NUL and padded to a multiple of the event's size. */
function bytesOf(event: QueuedEvent): number {
  if (event.name === "") return EVENT_BYTES;
  return EVENT_BYTES + Math.ceil((event.name.length + 1) / EVENT_BYTES) * EVENT_BYTES;
}

class InotifyWatch implements InodeWatch {
  readonly #file: InotifyFile;
  readonly descriptor: number;
  readonly inode: Inode;
  /** IN_ event bits, and IN_ONESHOT and IN_EXCL_UNLINK. */
  mask: number;

  constructor(file: InotifyFile, descriptor: number, inode: Inode, mask: number) {
    this.#file = file;
    this.descriptor = descriptor;
    this.inode = inode;
    this.mask = mask;
  }

  get wantsUnlinked(): boolean {
    return (this.mask & IN_EXCL_UNLINK) === 0;
  }

  onEvent(event: number, cookie: number, name: string): void {
    // IN_IGNORED follows from removing the watch.
    if ((event & (IN_ALL_EVENTS | IN_ISDIR)) === 0) return;
    this.#file.queueEvent(this.descriptor, event, cookie, name);
    if ((this.mask & IN_ONESHOT) !== 0) this.#file.remove(this);
  }

  onGone(): void {
    this.#file.remove(this);
  }
}
