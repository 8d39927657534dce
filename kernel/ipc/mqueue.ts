// POSIX message queues: messages ordered by priority, and their waiting tasks. Linux: ipc/mqueue.c, mq_overview(7).
// fs/mqueue.ts is the file system with their names.

import { EAGAIN, EBUSY } from "../abi/errno.ts";
import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../abi/file.ts";
import { SI_MESGQ } from "../abi/signal.ts";
import { sendSignal } from "../signal/send.ts";
import { SignalInfo } from "../signal/signal_info.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import { CallQueue } from "../task/call_queue.ts";
import { WaitQueue } from "../util/wait_queue.ts";

/** The limits for CAP_SYS_RESOURCE, and of fs.mqueue.msg_max and msgsize_max. */
export const MESSAGES_HARD_MAX = 65_536;
export const MESSAGE_BYTES_HARD_MAX = 16 * 1024 * 1024;
/** MQ_PRIO_MAX. */
export const PRIORITIES = 32_768;

interface Message {
  readonly bytes: Uint8Array;
  readonly priority: number;
}

/** A registration of mq_notify(3). */
interface Notification {
  readonly group: ThreadGroup;
  /** 0: SIGEV_NONE. */
  readonly signal: number;
  readonly valueLow: number;
  readonly valueHigh: number;
}

export class MessageQueue {
  readonly messagesMax: number;
  readonly messageBytesMax: number;
  /** Highest priority first; of one priority the oldest first. */
  readonly #messages: Message[] = [];
  /** Pollers, and senders that wait for room. */
  readonly queue = new WaitQueue();
  /** Tasks that wait in mq_timedreceive(2): while there is one, no notification is sent (mq_notify(3)). */
  readonly receivers = new CallQueue();
  #notification: Notification | null = null;
  /** Bytes of all messages, shown in the text of its file. */
  bytes = 0;

  constructor(messagesMax: number, messageBytesMax: number) {
    this.messagesMax = messagesMax;
    this.messageBytesMax = messageBytesMax;
  }

  get count(): number {
    return this.#messages.length;
  }
  get isFull(): boolean {
    return this.#messages.length >= this.messagesMax;
  }

  /** Adds a copy of a message. 0, or -EAGAIN when there is no room. */
  send(task: Task, from: Uint8Array, at: number, length: number, priority: number): number {
    if (this.isFull) return -EAGAIN;
    const messages = this.#messages;
    let place = messages.length;
    while (place > 0 && messages[place - 1].priority < priority) place--;
    messages.splice(place, 0, { bytes: from.slice(at, at + length), priority });
    this.bytes += length;
    if (!this.receivers.isEmpty) this.receivers.wakeOne(POLLIN);
    else if (messages.length === 1) this.#notify(task);
    this.queue.notify(POLLIN | POLLRDNORM);
    return 0;
  }

  /** Priority of the message that receive() has returned last. */
  lastPriority = 0;

  /** Moves the first message into a buffer that any message fits; its length, or -EAGAIN. */
  receive(into: Uint8Array, at: number): number {
    const message = this.#messages.shift();
    if (message === undefined) return -EAGAIN;
    into.set(message.bytes, at);
    this.lastPriority = message.priority;
    this.bytes -= message.bytes.length;
    this.queue.notify(POLLOUT | POLLWRNORM);
    return message.bytes.length;
  }

  readiness(): number {
    return (this.count > 0 ? POLLIN | POLLRDNORM : 0) | (this.isFull ? 0 : POLLOUT | POLLWRNORM);
  }

  /** mq_notify(3): one process at a time can be registered, and one notification ends the registration. */
  register(notification: Notification): number {
    if (this.#notification !== null && !hasEnded(this.#notification.group)) return -EBUSY;
    this.#notification = notification;
    return 0;
  }

  /** `group` ends its registration, or has closed the queue. */
  unregister(group: ThreadGroup): void {
    if (this.#notification?.group === group) this.#notification = null;
  }

  /** The text of its file: mq_overview(7). */
  get text(): string {
    const who = this.#notification;
    const told = who === null ? "0" : String(who.signal === 0 ? 1 : 0);
    const signal = who === null ? "0" : String(who.signal);
    const pid = who === null ? "0" : String(who.group.pid.own);
    return `QSIZE:${String(this.bytes).padEnd(10)} NOTIFY:${told.padEnd(5)} SIGNO:${signal.padEnd(5)} ` +
      `NOTIFY_PID:${pid.padEnd(6)}\n`;
  }

  #notify(sender: Task): void {
    const who = this.#notification;
    this.#notification = null;
    if (who === null || who.signal === 0 || hasEnded(who.group)) return;
    const info = new SignalInfo(who.signal, SI_MESGQ);
    info.pid = sender.threadGroup.pid.in(who.group.pid.namespace);
    info.uid = sender.credentials.uid;
    info.valueLow = who.valueLow;
    info.valueHigh = who.valueHigh;
    sendSignal(who.group, info);
  }
}

function hasEnded(group: ThreadGroup): boolean {
  return group.liveCount === 0;
}
