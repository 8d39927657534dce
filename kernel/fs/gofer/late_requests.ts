// Requests to the gofer whose answers come late: the task waits, the sandbox does not. Linux: a network file system's
// rpc_wait_bit_killable(), FUSE's request_wait_answer().
//
// Most answers come within the patience that each request has. After that the inode operation returns MUST_WAIT, and
// all callers return that as an errno (task/wait_engine.ts): the call sleeps until the answer is there and is made
// again from its start. It reaches the same request, byte for byte, and finds the answer here. What the call has
// learnt since it began counts as recent until its end (beganAt), so each repetition gets one request further. A
// request that changes something must be the last of its call, so that nothing is done twice. Only SIGKILL ends such
// a wait: programs expect no EINTR from stat(2), and the request is carried out anyway.
//
// A request waits on the spot when its caller cannot be made again: outside a system call, after execve(2) has given up the
// old program, for the second and later frames of a large directory, once a copy-up has its content.

import type { GoferClient, GoferConnection, LateAnswers } from "../../../gofer/client.ts";
import { FRAME_BYTES_MAX, REQUEST } from "../../../gofer/protocol.ts";
import { POLLIN } from "../../abi/file.ts";
import { u16, u32 } from "../../abi/struct.ts";
import type { Kernel } from "../../kernel.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import type { Task } from "../../task/task.ts";
import { TaskState } from "../../task/task.ts";
import { WaitQueue } from "../../util/wait_queue.ts";

/**
 * How long the whole sandbox waits for one answer, microseconds. An answer from the host's page cache takes a tenth
 * of it.
 */
const PATIENCE_MICROS = 1000;
/** The same on a mount with late requests. */
const PATIENCE_AFTER_LATE_MICROS = 100;
/** The most late requests of one mount, and of all: the channel keeps slots for requests that cannot wait. */
const LATE_OF_MOUNT_MAX = 12;
const LATE_MAX = 24;
/** Bytes before the first node in answers that make nodes: their count, then the place of the first. */
const WALKED_BYTES = 5;
const ERRNO_BYTES = 4;
const CLOCK_MONOTONIC = 1;
const NODE_STRIDE = 4 + 96;
/** Offset in a WALK request of the nodes that the names had. */
const KNOWN_AT = 10;
/** The bytes that identify a WRITE: all but the data, which a guest may change while its call waits. */
const WRITE_HEAD_BYTES = 17;
/** READ answers that a call keeps until it ends: made again, it requests them again. */
const READS_KEPT_MAX = 8;

class LateRequest {
  readonly client: GoferClient;
  /** -1: not sent yet, as no slot was free. */
  readonly slot: number;
  readonly request: Uint8Array;
  readonly call: LateCall;
  answer: Uint8Array | null = null;
  donated = -1;
  answeredAtNanos = 0;

  constructor(call: LateCall, client: GoferClient, slot: number, request: Uint8Array) {
    this.call = call;
    this.client = client;
    this.slot = slot;
    this.request = request;
  }
}

/** A system call that has waited for late answers; exists until the call ends. */
class LateCall {
  readonly token: number;
  readonly task: Task;
  /** Monotonic time of its first wait. */
  readonly beganAt: number;
  readonly queue = new WaitQueue();
  /** Its requests whose answers it has not taken yet. */
  readonly requests: LateRequest[] = [];

  constructor(token: number, task: Task, beganAt: number) {
    this.token = token;
    this.task = task;
    this.beganAt = beganAt;
  }

  get isUnderWay(): boolean {
    const { state } = this.task.call;
    return state.kind === "host file" && state.token === this.token;
  }
}

export class LateRequests implements LateAnswers {
  readonly #kernel: Kernel;
  readonly #connection: GoferConnection;
  readonly #bySlot = new Map<number, LateRequest | null>();
  readonly #calls = new Map<Task, LateCall>();
  /** The number of pending late requests by mount. */
  readonly #counts = new Map<GoferClient, number>();
  readonly #answer = new Uint8Array(FRAME_BYTES_MAX);
  #nextToken = 1;

  constructor(kernel: Kernel, connection: GoferConnection) {
    this.#kernel = kernel;
    this.#connection = connection;
  }

  /** The task whose system call is being served and can be made again; null: wait on the spot. */
  #task(): Task | null {
    const task = this.#kernel.currentTask;
    if (task === null || task.state !== TaskState.Running || task.thread.isRunning) return null;
    return task.call.number < 0 ? null : task;
  }

  /** The call being served, if it has waited here before. */
  #call(): LateCall | null {
    const task = this.#kernel.currentTask;
    if (task === null || task.call.state.kind !== "host file") return null;
    const call = this.#calls.get(task);
    return call !== undefined && call.isUnderWay ? call : null;
  }

  get beganAt(): number {
    return this.#call()?.beganAt ?? Infinity;
  }

  patience(client: GoferClient): number {
    if (this.#task() === null || this.#kernel.vfs.isIndivisible) return Infinity;
    if (this.#bySlot.size >= LATE_MAX || (this.#counts.get(client) ?? 0) >= LATE_OF_MOUNT_MAX) return -1;
    return client.isSlow ? PATIENCE_AFTER_LATE_MICROS : PATIENCE_MICROS;
  }

  take(client: GoferClient, into: Uint8Array): number {
    const call = this.#call();
    if (call === null) return -1;
    const { requests } = call;
    for (let i = 0; i < requests.length; i++) {
      const late = requests[i];
      if (late.client !== client || !isSame(late.request, client.request)) continue;
      if (late.slot >= 0 && late.answer === null) return this.#wait(call);
      if (late.answer === null || u16(late.request, 0) !== REQUEST.READ || requests.length > READS_KEPT_MAX) {
        requests.splice(i, 1);
      }
      if (late.answer === null) return -1;
      into.set(late.answer);
      client.donated = late.donated;
      client.answeredAtNanos = late.answeredAtNanos;
      return late.answer.length;
    }
    return -1;
  }

  park(client: GoferClient, slot: number): number {
    const task = this.#kernel.currentTask!;
    let call = this.#call();
    if (call === null) {
      this.#end(this.#calls.get(task));
      call = new LateCall(this.#nextToken++, task, this.#kernel.host.clockNanos(CLOCK_MONOTONIC));
      this.#calls.set(task, call);
    }
    const { bytes, at } = client.request;
    const late = new LateRequest(call, client, slot, bytes.slice(0, at));
    call.requests.push(late);
    if (slot >= 0) {
      this.#bySlot.set(slot, late);
      this.#counts.set(client, (this.#counts.get(client) ?? 0) + 1);
    }
    return this.#wait(call);
  }

  ignore(slot: number): void {
    this.#bySlot.set(slot, null);
  }

  #wait(call: LateCall): number {
    call.task.call.setState({ kind: "host file", token: call.token });
    call.task.call.waitOn(call.queue, POLLIN);
    return MUST_WAIT;
  }

  /** Takes the answers that have come and wakes their tasks. */
  collect(): void {
    const { channel } = this.#connection;
    const answered = channel.answered();
    if (answered < 0) {
      this.#connection.hangUp();
      return;
    }
    for (let bits = answered; bits !== 0; bits = (bits & (bits - 1)) >>> 0) {
      const slot = 31 - Math.clz32(bits & -bits);
      const late = this.#bySlot.get(slot);
      if (late !== undefined) this.#take(slot, late);
    }
    if (answered === 0) return;
    for (const call of this.#calls.values()) {
      if (!call.isUnderWay) this.#end(call);
      else if (call.requests.some((late) => late.slot < 0)) call.queue.notify(POLLIN);
    }
  }

  #take(slot: number, late: LateRequest | null): void {
    const { channel } = this.#connection;
    const n = channel.take(slot, this.#answer);
    this.#bySlot.delete(slot);
    if (n < ERRNO_BYTES) {
      this.#connection.lose(`the answer gave ${n}`);
      return;
    }
    if (late === null) {
      if (channel.donated >= 0) this.#kernel.host.close(channel.donated);
      return;
    }
    this.#counts.set(late.client, this.#counts.get(late.client)! - 1);
    late.answer = this.#answer.slice(0, n);
    late.donated = channel.donated;
    late.answeredAtNanos = channel.answeredAtNanos;
    const { call } = late;
    if (call.isUnderWay) call.queue.notify(POLLIN);
    else this.#drop(late);
  }

  /** `call` has ended: drops its requests, answered or not. */
  #end(call: LateCall | undefined): void {
    if (call === undefined) return;
    if (this.#calls.get(call.task) === call) this.#calls.delete(call.task);
    for (const late of call.requests) this.#drop(late);
  }

  /** Nobody needs the answer: closes what the request has opened. */
  #drop(late: LateRequest): void {
    const { answer, client } = late;
    if (answer === null) return;
    late.answer = null;
    if (late.donated >= 0) this.#kernel.host.close(late.donated);
    if ((u32(answer, 0) | 0) < 0) return;
    const kind = u16(late.request, 0);
    if (kind === REQUEST.WALK && answer.length >= ERRNO_BYTES + WALKED_BYTES) {
      let at = ERRNO_BYTES + WALKED_BYTES;
      for (let i = 0; i < answer[ERRNO_BYTES] && at + 4 <= answer.length; i++, at += NODE_STRIDE) {
        const node = u32(answer, at);
        // A node that the request named is not new: its inode owns it.
        if (node !== u32(late.request, KNOWN_AT + 4 * i)) client.onUnwanted(node);
      }
    } else if (NODE_MAKERS.has(kind) && answer.length >= ERRNO_BYTES + 4) {
      client.onUnwanted(u32(answer, ERRNO_BYTES));
    }
  }
}

/** Requests whose answer begins with a new node. */
const NODE_MAKERS: ReadonlySet<number> = new Set([
  REQUEST.CREATE,
  REQUEST.CREATE_UNNAMED,
  REQUEST.MKDIR,
  REQUEST.MKNOD,
  REQUEST.SYMLINK,
]);

function isSame(request: Uint8Array, now: { readonly bytes: Uint8Array; readonly at: number }): boolean {
  if (request.length !== now.at) return false;
  const length = u16(request, 0) === REQUEST.WRITE ? WRITE_HEAD_BYTES : request.length;
  for (let i = 0; i < length; i++) if (request[i] !== now.bytes[i]) return false;
  return true;
}
