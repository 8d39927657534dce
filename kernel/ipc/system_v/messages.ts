// System V message queues: typed messages. Linux: ipc/msg.c, msgop(2).

import { E2BIG, EINVAL, ENOMSG } from "../../abi/errno.ts";
import { MSG_COPY, MSG_EXCEPT, MSG_NOERROR, MSQID_BYTES } from "../../abi/ipc.ts";
import { POLLIN, POLLOUT } from "../../abi/file.ts";
import { put32, put64, zero } from "../../abi/struct.ts";
import type { Pid } from "../../task/pid.ts";
import { CallQueue } from "../../task/call_queue.ts";
import type { Task } from "../../task/task.ts";
import type { Budget } from "../../util/kernel_memory.ts";
import { IpcObject } from "./ids.ts";

/** Offsets in struct msqid64_ds. */
const MSQID = {
  send: 48,
  receive: 56,
  change: 64,
  bytes: 72,
  count: 80,
  bytesMax: 88,
  sender: 96,
  receiver: 100,
} as const;

/** Bytes that the account counts for a message beside its data. */
const MESSAGE_COST = 256;

/** Whether a message of type `type` matches `wanted` and `flags` of msgrcv(2): testmsg(). */
function isWanted(type: number, wanted: number, flags: number): boolean {
  if (wanted === 0) return true;
  if (wanted < 0) return type <= -wanted;
  return (type === wanted) !== ((flags & MSG_EXCEPT) !== 0);
}

interface TypedMessage {
  readonly type: number;
  readonly bytes: Uint8Array;
}

export class TypedQueue extends IpcObject {
  readonly #heap: Budget;
  readonly #messages: TypedMessage[] = [];
  /** Senders wait for POLLOUT, receivers for POLLIN. */
  readonly queue = new CallQueue();
  bytes = 0;
  bytesMax: number;
  #sendSeconds = 0;
  #receiveSeconds = 0;
  #sender: Pid | null = null;
  #receiver: Pid | null = null;

  constructor(task: Task, key: number, flags: number) {
    super(task, key, flags);
    this.#heap = task.kernel.account.heap;
    this.bytesMax = task.namespaces.ipc.parameters.queueBytes;
  }

  get count(): number {
    return this.#messages.length;
  }

  /** Whether a message of `length` bytes fits. */
  hasRoom(length: number): boolean {
    return this.bytes + length <= this.bytesMax && this.#messages.length + 1 <= this.bytesMax;
  }

  /** Accounts for a message of `length` bytes before send(); false without memory. */
  takeMemory(length: number): boolean {
    return this.#heap.take(length + MESSAGE_COST);
  }
  /** There is no such message after all. */
  giveMemory(length: number): void {
    this.#heap.give(length + MESSAGE_COST);
  }

  /** Adds a message and keeps `bytes`. The caller has called takeMemory(). */
  send(task: Task, type: number, bytes: Uint8Array): void {
    this.#messages.push({ type, bytes });
    this.bytes += bytes.length;
    this.#sendSeconds = task.kernel.clock.realtime();
    this.#sender = task.threadGroup.pid;
    this.queue.wakeOne(
      POLLIN,
      (state) => state.kind === "system v message" && isWanted(type, state.type, state.flags),
    );
  }

  /** Type of the message that receive() has returned last. */
  lastType = 0;

  /**
   * Moves the first message that `type` and `flags` select into `into`, at most `length` bytes: returns their number,
   * -ENOMSG or -E2BIG. MSG_COPY copies message number `type` and leaves it queued.
   */
  receive(task: Task, into: Uint8Array, length: number, type: number, flags: number): number {
    const isCopy = (flags & MSG_COPY) !== 0;
    const index = isCopy ? (type < this.#messages.length ? type : -1) : this.#find(type, flags);
    if (index < 0) return -ENOMSG;
    const message = this.#messages[index];
    if (message.bytes.length > length && (flags & MSG_NOERROR) === 0) return -E2BIG;
    if (isCopy) {
      // copy_msg(): a copy is never truncated.
      if (message.bytes.length > length) return -EINVAL;
      into.set(message.bytes);
      this.lastType = message.type;
      return message.bytes.length;
    }
    this.#messages.splice(index, 1);
    this.#heap.give(message.bytes.length + MESSAGE_COST);
    this.bytes -= message.bytes.length;
    const n = Math.min(length, message.bytes.length);
    into.set(message.bytes.subarray(0, n));
    this.lastType = message.type;
    this.#receiveSeconds = task.kernel.clock.realtime();
    this.#receiver = task.threadGroup.pid;
    this.queue.notify(POLLOUT);
    return n;
  }

  /**
   * type 0: the first message; positive: the first of that type (MSG_EXCEPT: of another); negative: the one of the
   * lowest type up to -type.
   */
  #find(type: number, flags: number): number {
    const messages = this.#messages;
    if (type >= 0) return messages.findIndex((message) => isWanted(message.type, type, flags));
    let found = -1;
    for (let i = 0; i < messages.length; i++) {
      if (!isWanted(messages[i].type, type, flags)) continue;
      if (found < 0 || messages[i].type < messages[found].type) found = i;
    }
    return found;
  }

  override onRemove(): void {
    this.#heap.give(this.bytes + this.count * MESSAGE_COST);
    this.#messages.length = 0;
  }

  /** Writes struct msqid64_ds with ids as `task` sees them. */
  putStatus(task: Task, into: Uint8Array, at: number): void {
    zero(into, at, MSQID_BYTES);
    this.putPermissions(into, at);
    const namespace = task.pid.namespace;
    put64(into, at + MSQID.send, this.#sendSeconds);
    put64(into, at + MSQID.receive, this.#receiveSeconds);
    put64(into, at + MSQID.change, this.changeSeconds);
    put64(into, at + MSQID.bytes, this.bytes);
    put64(into, at + MSQID.count, this.count);
    put64(into, at + MSQID.bytesMax, this.bytesMax);
    put32(into, at + MSQID.sender, this.#sender === null ? 0 : this.#sender.in(namespace));
    put32(into, at + MSQID.receiver, this.#receiver === null ? 0 : this.#receiver.in(namespace));
  }
}
