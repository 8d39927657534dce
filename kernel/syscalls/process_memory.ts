// process_vm_readv(2) and process_vm_writev(2): copies bytes between two processes.

import { EFAULT, EINVAL, ESRCH } from "../abi/errno.ts";
import { u64 } from "../abi/struct.ts";
import { LAST_SPECIAL_RESULT } from "../task/call_in_flight.ts";
import { mayTrace, REALCREDS } from "../task/trace_access.ts";
import type { Task } from "../task/task.ts";
import { giveTurnKillable } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { partial, type SyscallFamily } from "./table.ts";

const IOVEC_BYTES = 16;
/** The most ranges in one list (UIO_MAXIOV). */
const IOVECS_MAX = 1024;
/** Bytes per copy. */
const STEP_BYTES = 64 * 1024;
/** Bytes per turn. */
const SLICE_BYTES = 1024 * 1024;
/** The same of pieces: each is two calls of the host. */
const SLICE_PIECES = 256;
/** Bytes per call (MAX_RW_COUNT). */
const CALL_BYTES_MAX = 0x7fff_f000;

const ARGS = {
  pid: "pid",
  local_iov: "word",
  liovcnt: "size",
  remote_iov: "word",
  riovcnt: "size",
  flags: "word",
} as const;
const SUPPORT = partial("without Yama; reads what the guest may read, not write-only pages");

export const PROCESS_MEMORY_CALLS: SyscallFamily = {
  process_vm_readv: {
    nr: { x64: 310, arm64: 270 },
    args: ARGS,
    returns: "size",
    support: SUPPORT,
    run: (task, args) => transferMemory(task, args, true),
  },
  process_vm_writev: {
    nr: { x64: 311, arm64: 271 },
    args: ARGS,
    returns: "size",
    support: SUPPORT,
    run: (task, args) => transferMemory(task, args, false),
  },
};

const step = new Uint8Array(STEP_BYTES);
const vectors = new Uint8Array(IOVECS_MAX * IOVEC_BYTES);

/** A list of ranges and how much of it has been used. */
interface Ranges {
  readonly starts: Float64Array;
  readonly lengths: Float64Array;
  readonly count: number;
}

function transferMemory(task: Task, args: Args, isRead: boolean): number {
  if (args.word(5) !== 0) return -EINVAL;
  const result = transferSlice(task, args, isRead);
  // Bytes moved in earlier turns are the result of a call that cannot continue.
  return result < 0 && result > LAST_SPECIAL_RESULT && task.call.done > 0 ? task.call.done : result;
}

function transferSlice(task: Task, args: Args, isRead: boolean): number {
  const local = readRanges(task, args.word(1), args.word(2));
  if (typeof local === "number") return local;
  if (isEmpty(local)) return 0;
  const remote = readRanges(task, args.word(3), args.word(4));
  if (typeof remote === "number") return remote;
  const other = task.pid.namespace.task(args.i32(0));
  if (other === null || other.hasExited) return -ESRCH;
  const access = mayTrace(task, other, REALCREDS);
  if (access < 0) return access;
  const from = isRead ? other : task, to = isRead ? task : other;
  const sources = isRead ? remote : local, targets = isRead ? local : remote;
  const { done: before } = task.call;
  // Where the last turn ended.
  let s = 0, sAt = before, t = 0, tAt = before;
  for (; s < sources.count && sAt > sources.lengths[s]; s++) sAt -= sources.lengths[s];
  for (; t < targets.count && tAt > targets.lengths[t]; t++) tAt -= targets.lengths[t];
  let done = before;
  for (let pieces = 0; done < CALL_BYTES_MAX; pieces++) {
    if (done - before >= SLICE_BYTES || pieces === SLICE_PIECES) {
      task.call.setDone(done);
      return giveTurnKillable(task);
    }
    while (s < sources.count && sAt === sources.lengths[s]) {
      s++;
      sAt = 0;
    }
    while (t < targets.count && tAt === targets.lengths[t]) {
      t++;
      tAt = 0;
    }
    if (s === sources.count || t === targets.count) break;
    const wanted = Math.min(
      sources.lengths[s] - sAt,
      targets.lengths[t] - tAt,
      STEP_BYTES,
      CALL_BYTES_MAX - done,
    );
    const got = from.mm.space.read(sources.starts[s] + sAt, step, 0, wanted);
    const put = got > 0 ? to.mm.space.write(targets.starts[t] + tAt, step, 0, got) : got;
    if (put > 0) done += put;
    if (put !== wanted) return done > 0 ? done : -EFAULT;
    sAt += put;
    tAt += put;
  }
  return done;
}

function isEmpty(ranges: Ranges): boolean {
  for (let i = 0; i < ranges.count; i++) if (ranges.lengths[i] > 0) return false;
  return true;
}

/** Copies `count` iovecs in. */
function readRanges(task: Task, address: number, count: number): Ranges | number {
  if (count > IOVECS_MAX) return -EINVAL;
  if (task.memory.copyIn(address, vectors, 0, count * IOVEC_BYTES) < 0) return -EFAULT;
  const starts = new Float64Array(count), lengths = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    starts[i] = u64(vectors, i * IOVEC_BYTES);
    lengths[i] = u64(vectors, i * IOVEC_BYTES + 8);
    if (lengths[i] >= 2 ** 63) return -EINVAL;
  }
  return { starts, lengths, count };
}
