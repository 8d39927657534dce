// A call in flight as plain data, for debug output and for saving a sandbox. Whatever a wait needs in order to go on is
// here: the table and the registry of continuations turn the numbers and names back into functions.

import type { CallInFlight } from "./call_in_flight.ts";
import { type Task, TaskState } from "./task.ts";
import type { WaitState } from "./wait_state.ts";

/** A file that the call keeps open. */
export interface HeldFile {
  readonly slot: number;
  /** A descriptor of the task that still leads to it, or -1. */
  readonly fd: number;
  readonly ino: number;
  readonly flags: number;
  readonly position: number;
}

/** A futex that the call waits for. */
export interface AwaitedFutex {
  /** Its place: an address, or an offset in shared memory. */
  readonly key: number;
  readonly bitset: number;
  readonly isPi: boolean;
}

/** JSON-able; times are absolute monotonic nanoseconds, null = never. */
export interface WaitDescription {
  /** Number of the call; -1 = the task is in none. */
  readonly number: number;
  /** Its six arguments as the guest passed them, in hexadecimal. */
  readonly arguments: readonly string[];
  readonly isWaiting: boolean;
  /** Only SIGKILL ends the wait. */
  readonly isKillable: boolean;
  /** Name of the continuation; null = the call is made again. */
  readonly continuation: string | null;
  readonly state: WaitState;
  readonly done: number;
  readonly deadline: number | null;
  readonly isTimedOut: boolean;
  readonly files: readonly HeldFile[];
  /** Queues it waits in. */
  readonly queueCount: number;
  readonly futexes: readonly AwaitedFutex[];
  /** What restart_syscall(2) would do. */
  readonly restart: { readonly continuation: string; readonly value: number | null } | null;
}

export function describeWait(task: Task): WaitDescription {
  const { call, restartCall } = task;
  return {
    number: call.number,
    arguments: argumentsOf(task),
    isWaiting: call.isWaiting,
    isKillable: task.state === TaskState.BlockedKillable,
    continuation: call.then === null ? null : call.then.name,
    state: call.state,
    done: call.done,
    deadline: time(call.deadline),
    isTimedOut: call.isTimedOut,
    files: filesOf(task, call),
    queueCount: call.waiterCount,
    futexes: futexesOf(task),
    restart: restartCall === null ? null : { continuation: restartCall.name, value: time(task.restartValue) },
  };
}

function time(nanos: number): number | null {
  return nanos === Infinity ? null : nanos;
}

function argumentsOf(task: Task): string[] {
  const { words } = task.args;
  const list: string[] = [];
  for (let n = 0; n < 6; n++) {
    const low = words[2 * n].toString(16), high = words[2 * n + 1];
    list.push(high === 0 ? `0x${low}` : `0x${high.toString(16)}${low.padStart(8, "0")}`);
  }
  return list;
}

function filesOf(task: Task, call: CallInFlight): HeldFile[] {
  const list: HeldFile[] = [];
  for (let slot = 0; slot < call.slots; slot++) {
    const file = call.held(slot);
    if (file === null) continue;
    let fd = -1;
    task.files.forEach((number, other) => {
      if (other === file && fd < 0) fd = number;
    });
    list.push({ slot, fd, ino: file.inode.ino, flags: file.flags, position: file.position });
  }
  return list;
}

function futexesOf(task: Task): AwaitedFutex[] {
  const list: AwaitedFutex[] = [];
  for (const { queue, bitset, isPi } of task.futexWaiters) {
    if (queue !== null) list.push({ key: queue.key, bitset, isPi });
  }
  return list;
}
