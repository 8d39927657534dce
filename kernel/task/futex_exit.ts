// What a task leaves behind in memory when it exits or calls execve: the locks of its robust list are marked as orphaned,
// PI locks go to who waits, and the word of set_tid_address(2) becomes 0. Linux: futex_exit_release(), mm_release();
// get_robust_list(2), Documentation/locking/robust-futex-ABI.rst.

import {
  FUTEX_BITSET_MATCH_ANY,
  FUTEX_OWNER_DIED,
  FUTEX_TID_MASK,
  FUTEX_WAITERS,
  RSEQ_FLAG_UNREGISTER,
} from "../abi/task.ts";
import { EBUSY, ENOSYS } from "../abi/errno.ts";
import { i64, u64 } from "../abi/struct.ts";
import { futexWake } from "./futex.ts";
import { releaseOwnedLocks } from "./futex_pi.ts";
import { leaveQueues } from "./futex_queue.ts";
import { EXCHANGE_TRIES_MAX, exchangeWord, readWord, writeWord } from "./futex_word.ts";
import type { Task } from "./task.ts";

/** struct robust_list_head: list.next, futex_offset, list_op_pending. */
export const ROBUST_HEAD_BYTES = 24;
/** Entries read at most, as the list may be a circle (ROBUST_LIST_LIMIT). */
const ROBUST_LIST_MAX = 2048;

const head = new Uint8Array(ROBUST_HEAD_BYTES);
const link = new Uint8Array(8);

/** Called while the memory the task has used is still its own. */
export function exitFutexes(task: Task): void {
  leaveQueues(task);
  task.kernel.futexes.changes++;
  if (leaveAtOnce(task)) return;
  if (task.robustList !== 0) {
    walkRobustList(task);
    task.robustList = 0;
  }
  releaseOwnedLocks(task);
  if (task.mm.references > 1) leaveRseq(task);
  if (task.clearChildTid !== 0) {
    // Nobody else can read the word when this was the last user of the memory.
    if (task.mm.references > 1 && writeWord(task, task.clearChildTid, 0) === 0) {
      futexWake(task, task.clearChildTid, false, 1, FUTEX_BITSET_MATCH_ANY);
    }
    task.clearChildTid = 0;
  }
}

/** What a thread without locks leaves, the usual case, in one step of its host thread. False: nothing has been done. */
function leaveAtOnce(task: Task): boolean {
  const { thread, clearChildTid } = task;
  if (task.mm.references < 2 || clearChildTid === 0 || thread.isRunning) return false;
  if (task.ownedFutexes !== null && task.ownedFutexes.size !== 0) return false;
  const { rseqAddress, rseqLength, rseqSignature } = task;
  const left = thread.leaveMemory(rseqAddress, rseqLength, rseqSignature, task.robustList, clearChildTid);
  if (left === -ENOSYS || left === -EBUSY) return false;
  if (left === 0) futexWake(task, clearChildTid, false, 1, FUTEX_BITSET_MATCH_ANY);
  task.robustList = task.rseqAddress = task.clearChildTid = 0;
  return true;
}

/** The memory may go as soon as the word is 0: the host must not write its rseq(2) area any more. */
function leaveRseq(task: Task): void {
  const { thread } = task;
  if (task.rseqAddress === 0 || thread.isRunning) return;
  thread.rseq(task.rseqAddress, task.rseqLength, RSEQ_FLAG_UNREGISTER, task.rseqSignature);
  task.rseqAddress = 0;
}

function walkRobustList(task: Task): void {
  const space = task.mm.space;
  if (space.read(task.robustList, head, 0, ROBUST_HEAD_BYTES) !== ROBUST_HEAD_BYTES) return;
  let entry = u64(head, 0);
  const offset = i64(head, 8);
  const pending = u64(head, 16);
  for (let i = 0; i < ROBUST_LIST_MAX && withoutFlag(entry) !== task.robustList; i++) {
    // Read the next entry before the lock is released: its new owner may reuse the memory.
    const hasNext = space.read(withoutFlag(entry), link, 0, 8) === 8;
    if (withoutFlag(entry) !== withoutFlag(pending) && !abandon(task, entry, offset, false)) return;
    if (!hasNext) break;
    entry = u64(link, 0);
  }
  if (withoutFlag(pending) !== 0) abandon(task, pending, offset, true);
}

/** Bit 0 of an entry says that the lock is a PI futex. */
function withoutFlag(entry: number): number {
  return entry - entry % 2;
}

/** The dead owner's lock gets FUTEX_OWNER_DIED and one waiter is woken. False on a bad address: handle_futex_death(). */
function abandon(task: Task, entry: number, offset: number, isPending: boolean): boolean {
  const address = withoutFlag(entry) + offset;
  const isPi = entry % 2 === 1;
  if (address % 4 !== 0 || address < 0) return false;
  for (let tries = 0; tries < EXCHANGE_TRIES_MAX; tries++) {
    const word = readWord(task, address);
    if (word < 0) return false;
    // It died after it had unlocked and before it could wake the next one.
    if (isPending && !isPi && word === 0) {
      futexWake(task, address, false, 1, FUTEX_BITSET_MATCH_ANY);
      return true;
    }
    if ((word & FUTEX_TID_MASK) !== task.pid.own) return true;
    const done = exchangeWord(task, address, word, (word & FUTEX_WAITERS | FUTEX_OWNER_DIED) >>> 0);
    if (done < 0) return false;
    if (done === 0) continue;
    if (!isPi && (word & FUTEX_WAITERS) !== 0) futexWake(task, address, false, 1, FUTEX_BITSET_MATCH_ANY);
    return true;
  }
  return true;
}
