// The wait engine: an operation below a call that must wait, turns, and the one rule for signals.

import { deepEqual, equal } from "node:assert/strict";
import { EIO, ERESTARTSYS } from "../abi/errno.ts";
import { POLLIN } from "../abi/file.ts";
import { SIGKILL, SIGUSR1 } from "../abi/signal.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import type { Args } from "../syscalls/args.ts";
import { FULL, type SyscallFamily, type SyscallHandler } from "../syscalls/table.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import { MUST_WAIT } from "./call_in_flight.ts";
import { describeWait } from "./describe_wait.ts";
import type { Task } from "./task.ts";
import { giveTurn, suspendKillable } from "./wait_engine.ts";

const SYS_test = 480, SYS_kill = 62, SYS_rt_sigaction = 13;

function withCall(run: SyscallHandler) {
  const family: SyscallFamily = {
    test: { nr: { x64: SYS_test }, args: {}, returns: "int", support: FULL, run },
  };
  const processes = new Processes([family, PROCESS_CALLS, SIGNAL_CALLS]);
  const main = processes.fork(processes.init);
  return { processes, main, other: processes.thread(main) };
}

/** A handler for SIGUSR1, without SA_RESTART or with it. */
function handle(processes: Processes, task: Task, flags: number): void {
  const memory = processes.memory(task);
  memory.setBigUint64(128, 0x40_0000n, true);
  memory.setBigUint64(136, BigInt(0x0400_0000 | flags), true);
  equal(processes.syscall(task, SYS_rt_sigaction, SIGUSR1, BASE + 128, 0, 8), 0);
}

/** What a file system does whose answers come from outside: a request by token, its answer, who waits for it. */
class Outside {
  readonly queue = new WaitQueue();
  readonly answers = new Map<number, number>();
  requests = 0;

  /** As an inode's operation: the answer, or MUST_WAIT. */
  ask(task: Task): number {
    const { state } = task.call;
    const token = state.kind === "external" ? state.token : ++this.requests;
    const answer = this.answers.get(token);
    if (answer !== undefined) return answer;
    task.call.setState({ kind: "external", token });
    task.call.waitOn(this.queue, POLLIN);
    return MUST_WAIT;
  }
  answer(token: number, value: number): void {
    this.answers.set(token, value);
    this.queue.notify(POLLIN);
  }
}

Deno.test("an operation below a call waits for an answer from outside, and asks once", () => {
  const outside = new Outside();
  // The handler knows nothing of waiting: it hands on what it gets.
  const { processes, main, other } = withCall((task) => outside.ask(task));
  equal(processes.syscall(main, SYS_test), WAITS);
  equal(processes.syscall(other, SYS_test), WAITS);
  deepEqual(describeWait(main).state, { kind: "external", token: 1 });
  outside.answer(2, -EIO);
  processes.run();
  equal(processes.answer(main), WAITS);
  equal(processes.answer(other), -EIO);
  outside.answer(1, 7);
  processes.run();
  equal(processes.answer(main), 7);
  equal(outside.requests, 2);
  equal(outside.queue.isEmpty, true);
});

Deno.test("a signal ends a wait for an answer from outside: the call is made anew where SA_RESTART says so", () => {
  const outside = new Outside();
  const { processes, main, other } = withCall((task) => outside.ask(task));
  handle(processes, main, 0);
  const results: number[] = [];
  processes.kernel.callHooks.listen(
    { onExit: (_task, result) => results.push(result) },
    (number) => number === SYS_test,
  );
  equal(processes.syscall(main, SYS_test), WAITS);
  processes.syscall(other, SYS_kill, main.threadGroup.tgid, SIGUSR1);
  deepEqual(results, [-ERESTARTSYS]);
  equal(outside.queue.isEmpty, true);
  // A new call asks anew.
  equal(processes.syscall(main, SYS_test), WAITS);
  deepEqual(describeWait(main).state, { kind: "external", token: 2 });
});

Deno.test("a call that gives its turn goes on after the others, with what it has done", () => {
  const order: number[] = [];
  const { processes, main, other } = withCall((task: Task, args: Args) => {
    order.push(args.i32(0));
    if (task.call.done >= 2) return task.call.done;
    task.call.advance(1);
    return giveTurn(task, task.call.done);
  });
  equal(processes.syscall(main, SYS_test, 1), 2);
  equal(processes.syscall(other, SYS_test, 2), 2);
  deepEqual(order, [1, 1, 1, 2, 2, 2]);
  equal(describeWait(main).done, 0);
});

Deno.test("only SIGKILL ends a killable wait", () => {
  const queue = new WaitQueue();
  const { processes, main } = withCall((task) => {
    task.call.waitOn(queue, POLLIN);
    return suspendKillable(task, { kind: "transfer" }, null);
  });
  handle(processes, main, 0);
  equal(processes.syscall(main, SYS_test), WAITS);
  processes.syscall(processes.init, SYS_kill, main.threadGroup.tgid, SIGUSR1);
  equal(processes.answer(main), WAITS);
  equal(main.call.isWaiting, true);
  processes.syscall(processes.init, SYS_kill, main.threadGroup.tgid, SIGKILL);
  processes.run();
  equal(main.hasExited, true);
  equal(queue.isEmpty, true);
});
