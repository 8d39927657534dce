// poll(2), ppoll(2), select(2), pselect6(2): waiting for readiness of a list of descriptors. Linux: fs/select.c.

import { GrowingBytes } from "../util/growing_bytes.ts";
import { EBADF, EFAULT, EINTR, EINVAL, ERESTART_RESTARTBLOCK, ERESTARTNOHAND } from "../abi/errno.ts";
import {
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLNVAL,
  POLLOUT,
  POLLPRI,
  POLLRDBAND,
  POLLRDNORM,
  POLLWRBAND,
  POLLWRNORM,
} from "../abi/file.ts";
import { i32, put16, u16, u64 } from "../abi/struct.ts";
import { RLIMIT_NOFILE } from "../abi/task.ts";
import { BLOCKED, type Continuation, continuation } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { suspend, suspendThen } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import type { File } from "../vfs/file.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";
import {
  endSignalMask,
  isDeadlineOver,
  putRemaining,
  setMillisDeadline,
  setTimespecDeadline,
  setTimevalDeadline,
  useSignalMask,
} from "./wait_time.ts";

const POLLFD_BYTES = 8;

export const POLL_CALLS: SyscallFamily = {
  poll: {
    nr: { x64: 7 },
    args: { fds: { inBuffer: "nfds", unit: POLLFD_BYTES }, nfds: "uint", timeout: "int" },
    returns: "int",
    support: FULL,
    run: poll,
  },
  ppoll: {
    nr: { x64: 271, arm64: 73 },
    args: {
      fds: { inBuffer: "nfds", unit: POLLFD_BYTES },
      nfds: "uint",
      tmo_p: { inOut: 16 },
      sigmask: { in: 8 },
      sigsetsize: "size",
    },
    returns: "int",
    support: FULL,
    run: ppoll,
  },
  select: {
    nr: { x64: 23 },
    args: {
      nfds: "int",
      readfds: { inOut: 128 },
      writefds: { inOut: 128 },
      exceptfds: { inOut: 128 },
      timeout: { inOut: 16 },
    },
    returns: "int",
    support: FULL,
    run: select,
  },
  pselect6: {
    nr: { x64: 270, arm64: 72 },
    args: {
      nfds: "int",
      readfds: { inOut: 128 },
      writefds: { inOut: 128 },
      exceptfds: { inOut: 128 },
      timeout: { inOut: 16 },
      sigmask: { in: 16 },
    },
    returns: "int",
    support: FULL,
    run: pselect6,
  },
};

// --- poll -----------------------------------------------------------------------------------------------------------

const POLL: WaitState = { kind: "poll" };
const POLL_ON = continuation("poll", pollOn);
const RESTART_POLL = continuation("poll restart", restartPoll);

export const POLL_CONTINUATIONS: readonly Continuation[] = [POLL_ON, RESTART_POLL];

/** Scratch: the pollfds of the call being served. */
const polled = new GrowingBytes(64 * POLLFD_BYTES);

function poll(task: Task, args: Args): number {
  setMillisDeadline(task, args.i32(2));
  return pollOn(task, args);
}

function pollOn(task: Task, args: Args): number {
  const result = pollList(task, args, POLL_ON);
  if (result !== -EINTR) return result;
  task.setRestart(RESTART_POLL, task.call.deadline);
  return -ERESTART_RESTARTBLOCK;
}

/** restart_syscall(2): continues until the same instant. */
function restartPoll(task: Task, args: Args): number {
  task.call.setDeadline(task.restartValue);
  return pollOn(task, args);
}

function ppoll(task: Task, args: Args): number {
  const time = args.word(2);
  const timed = setTimespecDeadline(task, time);
  if (timed < 0) return timed;
  const masked = useSignalMask(task, args.word(3), args.word(4));
  if (masked < 0) return masked;
  let result = pollList(task, args, null);
  if (result === BLOCKED) return result;
  if (result === -EINTR) result = -ERESTARTNOHAND;
  // poll_select_finish(): if the remaining time cannot be stored the call cannot be restarted.
  if (putRemaining(task, time, 1) < 0 && result === -ERESTARTNOHAND) result = -EINTR;
  return endSignalMask(task, result);
}

/** Polls all descriptors once; waits if none is ready. -EINTR if a signal has ended the wait. */
function pollList(task: Task, args: Args, then: Continuation | null): number {
  const count = args.u32(1);
  if (count > task.threadGroup.limits.soft(RLIMIT_NOFILE)) return -EINVAL;
  const address = args.word(0);
  const size = count * POLLFD_BYTES;
  polled.reserve(size);
  const pollfds = polled.bytes;
  if (size > 0 && task.memory.copyIn(address, pollfds, 0, size) < 0) return -EFAULT;
  let ready = 0;
  for (let at = 0; at < size; at += POLLFD_BYTES) {
    const events = eventsOf(task, i32(pollfds, at), u16(pollfds, at + 4));
    put16(pollfds, at + 6, events);
    if (events !== 0) ready++;
  }
  if (ready > 0 || isDeadlineOver(task)) {
    if (size > 0 && task.memory.copyOut(address, pollfds, 0, size) < 0) return -EFAULT;
    return ready;
  }
  let slot = 0;
  for (let at = 0; at < size; at += POLLFD_BYTES) {
    const file = task.files.getOpen(i32(pollfds, at));
    if (file !== null) watch(task, slot++, file, u16(pollfds, at + 4));
  }
  task.call.dropFiles(slot);
  return suspendThen(task, POLL, then, -EINTR);
}

/** Linux: __pollwait() holds each file for the duration of the wait. */
function watch(task: Task, slot: number, file: File, events: number): void {
  task.call.hold(slot, file);
  task.call.waitOn(file.queue, events);
}

function eventsOf(task: Task, fd: number, wanted: number): number {
  if (fd < 0) return 0;
  const file = task.files.getOpen(fd);
  if (file === null) return POLLNVAL;
  return file.readiness(task) & (wanted | POLLERR | POLLHUP);
}

// --- select ---------------------------------------------------------------------------------------------------------

const SELECT_IN = POLLIN | POLLRDNORM | POLLRDBAND | POLLHUP | POLLERR | POLLNVAL;
const SELECT_OUT = POLLOUT | POLLWRNORM | POLLWRBAND | POLLERR | POLLNVAL;
const SELECT_EXCEPT = POLLPRI | POLLNVAL;
const SELECT: WaitState = { kind: "select" };
/** The minimum size of a descriptor table (NR_OPEN_DEFAULT); bits beyond the table's size are ignored. */
const TABLE_SIZE_MIN = 64;

/** Scratch: the three sets of the call being served, one after the other, and the three result sets. */
const wantedSets = new GrowingBytes(3 * 128);
const readySets = new GrowingBytes(3 * 128);

function select(task: Task, args: Args): number {
  const time = args.word(4);
  const timed = setTimevalDeadline(task, time);
  return timed < 0 ? timed : endSelect(task, time, 1000, selectSets(task, args));
}

function pselect6(task: Task, args: Args): number {
  const time = args.word(4);
  const timed = setTimespecDeadline(task, time);
  if (timed < 0) return timed;
  const pair = args.word(5);
  if (pair !== 0) {
    const at = task.memory.inView(pair, 16);
    if (at < 0) return -EFAULT;
    const mask = u64(task.memory.view, at), size = u64(task.memory.view, at + 8);
    const masked = useSignalMask(task, mask, size);
    if (masked < 0) return masked;
  }
  return endSignalMask(task, endSelect(task, time, 1, selectSets(task, args)));
}

function endSelect(task: Task, time: number, unitNanos: number, result: number): number {
  if (result === BLOCKED) return result;
  if (result === -EINTR) result = -ERESTARTNOHAND;
  if (putRemaining(task, time, unitNanos) < 0 && result === -ERESTARTNOHAND) result = -EINTR;
  return result;
}

function selectSets(task: Task, args: Args): number {
  let count = args.i32(0);
  if (count < 0) return -EINVAL;
  count = Math.min(count, Math.max(TABLE_SIZE_MIN, task.files.size));
  const size = Math.ceil(count / 64) * 8;
  wantedSets.reserve(3 * size);
  readySets.reserve(3 * size);
  const sets = wantedSets.bytes;
  for (let set = 0; set < 3; set++) {
    const address = args.word(1 + set);
    if (address === 0) sets.fill(0, set * size, (set + 1) * size);
    else if (size > 0 && task.memory.copyIn(address, sets, set * size, size) < 0) return -EFAULT;
  }
  readySets.bytes.fill(0, 0, 3 * size);
  const ready = lookAtSets(task, count, size);
  if (ready < 0) return ready;
  if (ready > 0 || isDeadlineOver(task)) return putSets(task, args, size, ready);
  let slot = 0;
  for (let fd = 0; fd < count; fd++) {
    const events = wantedEvents(fd, size);
    if (events !== 0) watch(task, slot++, task.files.get(fd)!, events);
  }
  task.call.dropFiles(slot);
  return suspend(task, SELECT, -EINTR);
}

/** The poll events that the three sets request for `fd`. */
function wantedEvents(fd: number, size: number): number {
  const byte = fd >> 3, bit = 1 << (fd & 7);
  const sets = wantedSets.bytes;
  let events = 0;
  if ((sets[byte] & bit) !== 0) events |= SELECT_IN;
  if ((sets[size + byte] & bit) !== 0) events |= SELECT_OUT;
  if ((sets[2 * size + byte] & bit) !== 0) events |= SELECT_EXCEPT;
  return events;
}

/** Fills readySets; returns the number of bits set, or -EBADF. */
function lookAtSets(task: Task, count: number, size: number): number {
  const sets = wantedSets.bytes, answers = readySets.bytes;
  let ready = 0;
  for (let fd = 0; fd < count; fd++) {
    if (
      (fd & 7) === 0 &&
      (sets[fd >> 3] | sets[size + (fd >> 3)] | sets[2 * size + (fd >> 3)]) === 0
    ) {
      fd += 7;
      continue;
    }
    const wanted = wantedEvents(fd, size);
    if (wanted === 0) continue;
    const file = task.files.get(fd);
    // A descriptor that is not open at the start is an error; one closed during the wait counts as ready:
    // select_poll_one().
    if (file === null && !task.call.hasWaited) return -EBADF;
    const events = file === null ? POLLNVAL : file.readiness(task);
    const byte = fd >> 3, bit = 1 << (fd & 7);
    if ((events & SELECT_IN) !== 0 && (sets[byte] & bit) !== 0) {
      answers[byte] |= bit;
      ready++;
    }
    if ((events & SELECT_OUT) !== 0 && (sets[size + byte] & bit) !== 0) {
      answers[size + byte] |= bit;
      ready++;
    }
    if ((events & SELECT_EXCEPT) !== 0 && (sets[2 * size + byte] & bit) !== 0) {
      answers[2 * size + byte] |= bit;
      ready++;
    }
  }
  return ready;
}

function putSets(task: Task, args: Args, size: number, ready: number): number {
  for (let set = 0; set < 3; set++) {
    const address = args.word(1 + set);
    if (address === 0 || size === 0) continue;
    if (task.memory.copyOut(address, readySets.bytes, set * size, size) < 0) return -EFAULT;
  }
  return ready;
}
