// How every call waits. Linux: schedule() in a wait loop, signal_pending(), and the restart codes of signal(7).
//
// A handler that cannot answer yet joins queues (task.call.waitOn), may set a deadline (task.call.setDeadline), keeps the
// files it works on (task.call.hold), and returns what suspend() returns:
//
//     BLOCKED   the task sleeps. When a queue notifies, the deadline passes or a signal comes, the call is made again with
//               the same arguments (suspend) or its named continuation runs (suspendThen). It finishes or suspends again;
//               call.hasWaited, call.isTimedOut, call.done and call.state say where it is.
//     other     the interrupt rule: a signal is pending, so the call does not sleep; this is what it answers, the `interrupted`
//               that the handler gave: a restart code, -EINTR, or bytes already moved. The handler undoes what it must
//               and returns it. The rule is applied here and nowhere else; a wait that a signal ends comes here as
//               well, since a woken call that has nothing to answer suspends again.
//
// Waits from inside a file system. An operation of an inode, a path walk or a file cannot suspend, as it does not know how
// its caller goes on. It asks for what it needs, has the call wait for that (call.waitOn of a queue of its own, and
// call.setState({ kind: "external", token }) to know its request again), and answers MUST_WAIT. All callers pass
// that on as they pass an errno; the run loop suspends the call and makes it again from its start, with the same
// arguments. So an operation that may wait must be prepared to be called again: it finds the answer by the token (or in its
// cache), and must not send a request twice that changes something. wait_engine_test.ts has one; openFifo() of
// kernel/ipc/fifo.ts works so too, and has open(2) go on with the file it has found instead of its name. A signal
// meanwhile ends the call with ERESTARTSYS (of one of kind "host file" only SIGKILL does, as in Linux),
// and its state is cleared: a file system that must know sees at the answer that no call has that token any more.

import { ERESTARTSYS } from "../abi/errno.ts";
import { BLOCKED, CallPhase, type Continuation, MUST_WAIT } from "./call_in_flight.ts";
import { type Task, TaskState } from "./task.ts";
import type { WaitState } from "./wait_state.ts";

/** The call waits for what it has joined, and is made again. `interrupted` is its answer when a signal comes first. */
export function suspend(task: Task, state: WaitState, interrupted: number): number {
  task.call.state = state;
  return sleep(task, null, interrupted);
}

/** As suspend(), and goes on with `then`; null = the call is made again. */
export function suspendThen(
  task: Task,
  state: WaitState,
  then: Continuation | null,
  interrupted: number,
): number {
  task.call.state = state;
  return sleep(task, then, interrupted);
}

/** For an operation below the call that has answered MUST_WAIT: its state stays. Programs know no EINTR of a disk's. */
export function suspendOperation(task: Task): number {
  const { state } = task.call;
  if (state.kind === "host file") return suspendKillable(task, state, null);
  if (state.kind === "slice") return giveTurnKillable(task);
  return sleep(task, null, -ERESTARTSYS);
}

/** As suspendThen(), for waits that only SIGKILL ends: TASK_KILLABLE. */
export function suspendKillable(task: Task, state: WaitState, then: Continuation | null): number {
  const { call } = task;
  call.state = state;
  call.isUsed = true;
  if (task.signals.isKilled) {
    call.leaveQueues();
    return -ERESTARTSYS;
  }
  begin(task, then);
  task.state = TaskState.BlockedKillable;
  return BLOCKED;
}

/** Lets other tasks have their turn before the call goes on; else as suspend(). */
export function giveTurn(task: Task, interrupted: number, state: WaitState = SLICE): number {
  const result = suspend(task, state, interrupted);
  if (result === BLOCKED) task.call.wake();
  return result;
}

/** As giveTurn(), where only SIGKILL makes the call short. */
export function giveTurnKillable(task: Task): number {
  const result = suspendKillable(task, SLICE, null);
  if (result === BLOCKED) task.call.wake();
  return result;
}

/** Calls that keep an object for several turns at once, as each may have megabytes. */
const KEEPERS_MAX = 8;

/** Whether the call of `task` may go on in another turn with an object of its own (`call.keep`); it has one already, or few others do. */
export function mayKeep(task: Task): boolean {
  if (task.call.kept !== null) return true;
  let keepers = 0;
  for (const other of task.kernel.tasks.values()) if (other.call.kept !== null) keepers++;
  return keepers < KEEPERS_MAX;
}

/** As giveTurnKillable(), for an operation below the call: it keeps its progress itself and is asked again next turn. */
export function giveTurnBelow(task: Task): number {
  task.call.setState(SLICE);
  return MUST_WAIT;
}

const SLICE: WaitState = { kind: "slice" };

function sleep(task: Task, then: Continuation | null, interrupted: number): number {
  const { call } = task;
  call.isUsed = true;
  if (task.signals.hasPending && isInterrupted(task)) {
    call.leaveQueues();
    return interrupted;
  }
  begin(task, then);
  task.state = TaskState.Blocked;
  return BLOCKED;
}

/** `hasPending` may be true without need. */
function isInterrupted(task: Task): boolean {
  task.signals.recalculate();
  return task.signals.hasPending;
}

function begin(task: Task, then: Continuation | null): void {
  const { call } = task;
  call.then = then;
  call.phase = CallPhase.Waiting;
  call.isTimedOut = false;
  task.blockCount++;
  if (call.deadline !== Infinity) task.kernel.deadlines.add(call);
}

/** The wait is over, for whatever reason: the call is about to go on. */
export function endWait(task: Task): void {
  const { call } = task;
  call.leaveQueues();
  call.phase = CallPhase.Resumed;
  call.isWoken = false;
  task.state = TaskState.Running;
}

/** The call is over and answers `result`: listeners hear of it, files are given back. Only needed when call.isUsed. */
export function endCall(task: Task, result: number): void {
  const { call } = task;
  if (call.hooks !== 0) task.kernel.callHooks.exit(task, result);
  call.clear();
}
