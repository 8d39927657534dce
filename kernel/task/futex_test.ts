// futex(2) over processes without guest code: who waits, who is woken, who moves, who inherits a lock.

import { equal } from "node:assert/strict";
import { EAGAIN, EDEADLK, EINVAL, EPERM, ESRCH, ETIMEDOUT } from "../abi/errno.ts";
import { FUTEX_OWNER_DIED, FUTEX_WAITERS } from "../abi/task.ts";
import { FUTEX_CALLS } from "../syscalls/futex.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import type { Task } from "./task.ts";

const SYS_futex = 202;
const SYS_futex_waitv = 449;
// The wakes of an exit are shared ones.
const SHARED_WAIT = 0, SHARED_WAKE = 1;
const WAIT = 128,
  WAKE = 129,
  CMP_REQUEUE = 132,
  WAKE_OP = 133,
  LOCK_PI = 134,
  UNLOCK_PI = 135,
  WAIT_BITSET = 137;
const WAKE_BITSET = 138;
const A = BASE + 256;
const B = BASE + 260;

interface Crowd {
  readonly processes: Processes;
  readonly main: Task;
  readonly others: readonly Task[];
}

function crowd(count: number): Crowd {
  const processes = new Processes([FUTEX_CALLS, PROCESS_CALLS, SIGNAL_CALLS]);
  const main = processes.fork(processes.init);
  const others: Task[] = [];
  for (let i = 0; i < count; i++) others.push(processes.thread(main));
  return { processes, main, others };
}
function answers({ processes, others }: Crowd): string {
  return others.map((task) => processes.answer(task)).join(" ");
}
function word(c: Crowd, address: number): number {
  return c.processes.memory(c.main).getUint32(address - BASE, true);
}
function setWord(c: Crowd, address: number, value: number): void {
  c.processes.memory(c.main).setUint32(address - BASE, value, true);
}

Deno.test("FUTEX_WAIT sleeps only on the expected value, FUTEX_WAKE wakes in order and counts", () => {
  const c = crowd(3);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAIT, 1), -EAGAIN);
  for (const task of c.others) equal(c.processes.syscall(task, SYS_futex, A, WAIT, 0), WAITS);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 2), 2);
  equal(answers(c), `0 0 ${WAITS}`);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 9), 1);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 9), 0);
});

Deno.test("a shared wait looks at what came with the call, unless somebody has woken since the task resumed", () => {
  const c = crowd(1);
  const [other] = c.others;
  let isOld = true;
  other.memory.known = () => {
    if (!isOld) return -1;
    other.memory.view = new Uint8Array(4); // the word as it was when the call was made: 0
    return 0;
  };
  setWord(c, A, 7);
  other.futexChanges = c.processes.kernel.futexes.changes;
  equal(
    c.processes.syscall(other, SYS_futex, A, SHARED_WAIT, 0),
    WAITS,
    "the change's wake is still to come",
  );
  equal(c.processes.syscall(c.main, SYS_futex, A, SHARED_WAKE, 1), 1, "and finds it");
  equal(c.processes.answer(other), 0);
  equal(c.processes.syscall(c.main, SYS_futex, A, SHARED_WAKE, 1), 0);
  equal(
    c.processes.syscall(other, SYS_futex, A, SHARED_WAIT, 0),
    -EAGAIN,
    "the copy may be older than the wake",
  );
  isOld = false;
  equal(c.processes.syscall(other, SYS_futex, A, SHARED_WAIT, 7), WAITS);
});

Deno.test("a wait ends at its deadline, and a woken one does not time out", () => {
  const c = crowd(1);
  const [other] = c.others;
  const memory = c.processes.memory(c.main);
  memory.setBigInt64(0, 0n, true);
  memory.setBigInt64(8, 1000n, true);
  equal(c.processes.syscall(other, SYS_futex, A, WAIT, 0, BASE), WAITS);
  c.processes.pass(2000);
  equal(c.processes.answer(other), -ETIMEDOUT);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 1), 0);
});

Deno.test("FUTEX_CMP_REQUEUE wakes some, moves some, leaves the rest", () => {
  const c = crowd(5);
  for (const task of c.others) c.processes.syscall(task, SYS_futex, A, WAIT, 0);
  equal(c.processes.syscall(c.main, SYS_futex, A, CMP_REQUEUE, 1, 2, B, 3), -EAGAIN);
  equal(c.processes.syscall(c.main, SYS_futex, A, CMP_REQUEUE, 1, 2, B, 0), 3);
  equal(c.processes.syscall(c.main, SYS_futex, B, WAKE, 9), 2);
  equal(answers(c), `0 0 0 ${WAITS} ${WAITS}`);
  equal(c.processes.syscall(c.main, SYS_futex, A, CMP_REQUEUE, 0, 9, A, 0), 2, "onto itself");
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 9), 2);
  equal(c.processes.syscall(c.main, SYS_futex, A, CMP_REQUEUE, -1, 0, B, 0), -EINVAL);
});

Deno.test("bitsets choose who hears a wake", () => {
  const c = crowd(3);
  c.others.forEach((task, i) => c.processes.syscall(task, SYS_futex, A, WAIT_BITSET, 0, 0, 0, 1 << i));
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE_BITSET, 9, 0, 0, 5), 2);
  equal(answers(c), `0 ${WAITS} 0`);
});

Deno.test("FUTEX_WAKE_OP changes the second word and wakes there when the old value compares", () => {
  const c = crowd(2);
  c.processes.syscall(c.others[0], SYS_futex, A, WAIT, 0);
  c.processes.syscall(c.others[1], SYS_futex, B, WAIT, 0);
  const addThreeIfZero = 1 << 28 | 0 << 24 | 3 << 12 | 0;
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE_OP, 1, 1, B, addThreeIfZero), 2);
  equal(word(c, B), 3);
  const orMinusOne = 2 << 28 | 1 << 24 | 0xfff << 12;
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE_OP, 1, 1, B, orMinusOne), 0);
  equal(word(c, B), 0xffff_ffff);
});

Deno.test("a signal ends a wait, but not one that was woken before it", () => {
  const c = crowd(1);
  const [other] = c.others;
  const SYS_tgkill = 234, SIGURG = 23;
  equal(c.processes.syscall(other, SYS_futex, A, WAIT, 0), WAITS);
  c.processes.syscall(c.main, SYS_tgkill, c.main.tid, other.tid, SIGURG);
  equal(c.processes.answer(other), WAITS, "an ignored one does not");
  c.processes.syscall(c.processes.init, 62, c.main.tid, 19);
  c.processes.syscall(c.processes.init, 62, c.main.tid, 18);
  equal(other.thread.low(10), SYS_futex, "made again after a stop");
});

Deno.test("a PI lock goes to who has waited longest, with its tid in the word", () => {
  const c = crowd(2);
  const [first, second] = c.others;
  equal(c.processes.syscall(c.main, SYS_futex, A, LOCK_PI), 0);
  equal(word(c, A), c.main.tid);
  equal(c.processes.syscall(c.main, SYS_futex, A, LOCK_PI), -EDEADLK);
  for (const task of c.others) equal(c.processes.syscall(task, SYS_futex, A, LOCK_PI), WAITS);
  equal(word(c, A), (c.main.tid | FUTEX_WAITERS) >>> 0);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 1), -EINVAL);
  equal(c.processes.syscall(c.main, SYS_futex, A, UNLOCK_PI), 0);
  equal(c.processes.answer(first), 0);
  equal(word(c, A), (first.tid | FUTEX_WAITERS) >>> 0);
  equal(c.processes.syscall(c.main, SYS_futex, A, UNLOCK_PI), -EPERM);
  equal(c.processes.syscall(first, SYS_futex, A, UNLOCK_PI), 0);
  equal(c.processes.answer(second), 0);
  equal(c.processes.syscall(second, SYS_futex, A, UNLOCK_PI), 0);
  equal(word(c, A), 0);
  setWord(c, A, 9999);
  equal(c.processes.syscall(first, SYS_futex, A, LOCK_PI), -ESRCH);
});

Deno.test("two PI locks taken crosswise are a deadlock", () => {
  const c = crowd(1);
  const [other] = c.others;
  c.processes.syscall(c.main, SYS_futex, A, LOCK_PI);
  c.processes.syscall(other, SYS_futex, B, LOCK_PI);
  equal(c.processes.syscall(other, SYS_futex, A, LOCK_PI), WAITS);
  equal(c.processes.syscall(c.main, SYS_futex, B, LOCK_PI), -EDEADLK);
});

Deno.test("an exiting thread marks its robust locks, hands over PI ones and clears its tid", () => {
  const c = crowd(2);
  const [owner, waiter] = c.others;
  const memory = c.processes.memory(c.main);
  const head = BASE + 512, node = BASE + 544, lock = node + 16;
  memory.setBigUint64(head - BASE, BigInt(node), true);
  memory.setBigInt64(head - BASE + 8, 16n, true);
  memory.setBigUint64(head - BASE + 16, 0n, true);
  memory.setBigUint64(node - BASE, BigInt(head), true);
  setWord(c, lock, (owner.tid | FUTEX_WAITERS) >>> 0);
  equal(c.processes.syscall(owner, 273, head, 24), 0);
  c.processes.syscall(owner, 218, B);
  setWord(c, B, owner.tid);
  equal(c.processes.syscall(waiter, SYS_futex, lock, SHARED_WAIT, word(c, lock)), WAITS);
  equal(c.processes.syscall(c.main, SYS_futex, B, SHARED_WAIT, owner.tid), WAITS);
  c.processes.syscall(owner, 60, 0);
  equal(word(c, lock), (FUTEX_OWNER_DIED | FUTEX_WAITERS) >>> 0);
  equal(c.processes.answer(waiter), 0);
  equal(word(c, B), 0);
  equal(c.processes.answer(c.main), 0);
});

Deno.test("futex_waitv says which of several was woken", () => {
  const c = crowd(1);
  const [other] = c.others;
  const memory = c.processes.memory(c.main);
  for (let i = 0; i < 2; i++) {
    memory.setBigUint64(24 * i, 0n, true);
    memory.setBigUint64(24 * i + 8, BigInt(i === 0 ? A : B), true);
    memory.setUint32(24 * i + 16, 2 | 128, true);
    memory.setUint32(24 * i + 20, 0, true);
  }
  equal(c.processes.syscall(other, SYS_futex_waitv, BASE, 2, 0, 0, 1), WAITS);
  equal(c.processes.syscall(c.main, SYS_futex, B, WAKE, 1), 1);
  equal(c.processes.answer(other), 1);
  equal(c.processes.syscall(c.main, SYS_futex, A, WAKE, 1), 0, "and waits for the others no more");
});
