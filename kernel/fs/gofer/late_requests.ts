// Requests to the gofer whose answers take their time: the task waits, the sandbox does not. Linux: a network file system's
// rpc_wait_bit_killable(), FUSE's request_wait_answer().
//
// An answer most often comes within the patience that each request is given. After that the operation of the inode answers
// MUST_WAIT, and everybody above hands that on as an errno (task/wait_engine.ts): the call sleeps until the answer is there
// and is made again from its start. It comes back to the same request, byte for byte, and finds its answer here; what the
// call has learnt before, since it began, holds until its end (beganAt), so that each time it gets one request further. A
// request that changes something is the last of its call, so that nothing is done twice. Only SIGKILL ends such a wait:
// programs know no EINTR of stat(2), and what was asked for is carried out all the same.
//
// A request waits on the spot where its caller cannot be made again: outside a system call, for a mapping (execve(2) has given
// up the old program by then), for the second and later frames of a large directory.

import type { GoferClient, GoferConnection, LateAnswers } from "../../../gofer/client.ts";
import { FRAME_BYTES_MAX, REQUEST } from "../../../gofer/protocol.ts";
import { POLLIN } from "../../abi/file.ts";
import { u16, u32 } from "../../abi/struct.ts";
import type { Kernel } from "../../kernel.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import type { Task } from "../../task/task.ts";
import { TaskState } from "../../task/task.ts";
import { WaitQueue } from "../../util/wait_queue.ts";

/** How long the whole sandbox waits for one answer, microseconds: a disk that has it in memory answers in a tenth of it. */
const PATIENCE_MICROS = 1000;
/** The same where the last answer of the mount was late. */
const PATIENCE_AFTER_LATE_MICROS = 100;
/** Late requests of one mount, and of all: the channel has slots left for those that cannot wait. */
const LATE_OF_MOUNT_MAX = 12;
const LATE_MAX = 24;
/** Answers that make nodes begin so: count of them, then where the first is. */
const WALKED_BYTES = 5;
const ERRNO_BYTES = 4;
const CLOCK_MONOTONIC = 1;
const NODE_STRIDE = 4 + 96;

class LateRequest {
  readonly token: number;
  readonly client: GoferClient;
  readonly task: Task;
  /** -1: it has not been sent, as there was no slot. */
  readonly slot: number;
  readonly request: Uint8Array;
  /** When the call first waited, monotonic. */
  readonly beganAt: number;
  readonly queue = new WaitQueue();
  answer: Uint8Array | null = null;
  donated = -1;
  answeredAtNanos = 0;

  constructor(
    token: number,
    client: GoferClient,
    task: Task,
    slot: number,
    request: Uint8Array,
    beganAt: number,
  ) {
    this.token = token;
    this.client = client;
    this.task = task;
    this.slot = slot;
    this.request = request;
    this.beganAt = beganAt;
  }

  /** Its call still waits for it, or has been woken by it and has not asked again yet. */
  get isWanted(): boolean {
    const { state } = this.task.call;
    return state.kind === "host file" && state.token === this.token;
  }
}

export class LateRequests implements LateAnswers {
  readonly #kernel: Kernel;
  readonly #connection: GoferConnection;
  readonly #bySlot = new Map<number, LateRequest | null>();
  /** The last one of each task. */
  readonly #ofTask = new Map<Task, LateRequest>();
  /** Late requests under way by mount. */
  readonly #counts = new Map<GoferClient, number>();
  readonly #answer = new Uint8Array(FRAME_BYTES_MAX);
  #nextToken = 1;

  constructor(kernel: Kernel, connection: GoferConnection) {
    this.#kernel = kernel;
    this.#connection = connection;
  }

  /** The task whose system call is being served and can be made again; null = wait on the spot. */
  #task(): Task | null {
    const task = this.#kernel.currentTask;
    if (task === null || task.state !== TaskState.Running || task.thread.isRunning) return null;
    return task.call.number < 0 ? null : task;
  }

  /** Since when answers hold for the call that is being served; Infinity = it has not waited for any. */
  get beganAt(): number {
    const task = this.#kernel.currentTask;
    if (task === null || task.call.state.kind !== "host file") return Infinity;
    const late = this.#ofTask.get(task);
    return late !== undefined && late.isWanted ? late.beganAt : Infinity;
  }

  /** How long `client` waits for an answer now, microseconds; -1 = the request is to be made later. */
  patience(client: GoferClient): number {
    const task = this.#task();
    if (task === null) return Infinity;
    if (this.#bySlot.size >= LATE_MAX || (this.#counts.get(client) ?? 0) >= LATE_OF_MOUNT_MAX) return -1;
    return client.isSlow ? PATIENCE_AFTER_LATE_MICROS : PATIENCE_MICROS;
  }

  /** The answer to the request that `client` is about to send, if it is the one that the call has waited for. */
  take(client: GoferClient, into: Uint8Array): number {
    const task = this.#kernel.currentTask;
    const late = task === null ? undefined : this.#ofTask.get(task);
    if (late === undefined) return -1;
    if (!late.isWanted || late.client !== client || !isSame(late.request, client.request)) return -1;
    if (late.slot < 0) return -1;
    if (late.answer === null) return this.#wait(late);
    const { answer } = late;
    into.set(answer);
    client.donated = late.donated;
    client.answeredAtNanos = late.answeredAtNanos;
    // Its place is kept: what the call has learnt since beganAt holds.
    late.answer = null;
    this.#ofTask.set(
      late.task,
      new LateRequest(late.token, client, late.task, -1, new Uint8Array(0), late.beganAt),
    );
    return answer.length;
  }

  /** The request of `client` is late, in `slot`, or has not been sent (-1): what its operation answers. */
  park(client: GoferClient, slot: number): number {
    const task = this.#kernel.currentTask!;
    const { bytes, at } = client.request;
    const began = Math.min(this.beganAt, this.#kernel.host.clockNanos(CLOCK_MONOTONIC));
    const late = new LateRequest(this.#nextToken++, client, task, slot, bytes.slice(0, at), began);
    this.#drop(this.#ofTask.get(task));
    this.#ofTask.set(task, late);
    if (slot >= 0) this.#enter(slot, late, client);
    return this.#wait(late);
  }

  /** Nobody waits for the answer in `slot`. */
  ignore(slot: number): void {
    this.#bySlot.set(slot, null);
  }

  #enter(slot: number, late: LateRequest, client: GoferClient): void {
    this.#bySlot.set(slot, late);
    this.#counts.set(client, (this.#counts.get(client) ?? 0) + 1);
    client.isSlow = true;
  }

  #wait(late: LateRequest): number {
    late.task.call.setState({ kind: "host file", token: late.token });
    late.task.call.waitOn(late.queue, POLLIN);
    return MUST_WAIT;
  }

  /** Answers have come. */
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
    for (const [task, late] of this.#ofTask) {
      if (!late.isWanted) {
        this.#ofTask.delete(task);
        this.#drop(late);
      } else if (late.slot < 0) late.queue.notify(POLLIN);
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
    if (late.isWanted) late.queue.notify(POLLIN);
    else this.#drop(late);
  }

  /** Its answer is of no use: what it has opened is closed. */
  #drop(late: LateRequest | undefined): void {
    if (late === undefined || late.answer === null) return;
    const { answer, client } = late;
    late.answer = null;
    if (late.donated >= 0) this.#kernel.host.close(late.donated);
    if ((u32(answer, 0) | 0) < 0) return;
    const kind = u16(late.request, 0);
    if (kind === REQUEST.WALK && answer.length >= ERRNO_BYTES + WALKED_BYTES) {
      const first = ERRNO_BYTES + WALKED_BYTES;
      for (
        let i = 0, at = first;
        i < answer[ERRNO_BYTES] && at + 4 <= answer.length;
        i++, at += NODE_STRIDE
      ) {
        client.onUnwanted(u32(answer, at));
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
  for (let i = 0; i < request.length; i++) if (request[i] !== now.bytes[i]) return false;
  return true;
}
