// Delivery: restart rules of signal(7), frames and their way back, job control, over processes without guest code.

import { equal } from "node:assert/strict";
import { EINTR, ERESTART_RESTARTBLOCK, ERESTARTNOHAND, ERESTARTNOINTR, ERESTARTSYS } from "../abi/errno.ts";
import { SA_RESTART } from "../abi/signal.ts";
import { FUTEX_CALLS } from "../syscalls/futex.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import { REG } from "../../platform/platform.ts";
import { TaskState } from "../task/task.ts";
import type { Task } from "../task/task.ts";
import type { FakeThread } from "../../tests/support/fake_platform.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import { Restart, restartOf } from "./deliver.ts";

const SYS_rt_sigaction = 13;
const SYS_rt_sigprocmask = 14;
const SYS_rt_sigreturn = 15;
const SYS_pause = 34;
const SYS_wait4 = 61;
const SYS_kill = 62;
const SYS_rt_sigtimedwait = 128;
const SYS_rt_sigsuspend = 130;
const SYS_sigaltstack = 131;
const SYS_getpid = 39;
const SIGUSR1 = 10;
const SIGTERM = 15;
const SIGCHLD = 17;
const SIGCONT = 18;
const SIGSTOP = 19;
const HANDLER = 0x41_0000;
const SA_SIGINFO = 4;
const SA_RESTORER = 0x0400_0000;
const SA_ONSTACK = 0x0800_0000;

function newProcesses(): Processes {
  return new Processes([PROCESS_CALLS, SIGNAL_CALLS, FUTEX_CALLS]);
}

function install(processes: Processes, task: Task, signal: number, flags: number, handler = HANDLER): void {
  const memory = processes.memory(task);
  memory.setBigUint64(0, BigInt(handler), true);
  memory.setBigUint64(8, BigInt(flags | SA_RESTORER), true);
  memory.setBigUint64(16, 0x42_0000n, true);
  memory.setBigUint64(24, 0n, true);
  equal(processes.syscall(task, SYS_rt_sigaction, signal, BASE, 0, 8), 0);
}

/** Makes the handler that is running return: `ret` pops the restorer, which calls rt_sigreturn. */
function sigreturn(processes: Processes, task: Task): number | typeof WAITS {
  task.thread.set(REG.RSP, task.thread.get(REG.RSP) + 8);
  return processes.syscall(task, SYS_rt_sigreturn);
}

Deno.test("restart rules: what a call answers depends on its code and on the handler's SA_RESTART", () => {
  const none = -1;
  const rows: [number, number, number, number][] = [
    [-ERESTARTSYS, Restart.Again, Restart.Interrupt, Restart.Again],
    [-ERESTARTNOINTR, Restart.Again, Restart.Again, Restart.Again],
    [-ERESTARTNOHAND, Restart.Again, Restart.Interrupt, Restart.Interrupt],
    [-ERESTART_RESTARTBLOCK, Restart.Block, Restart.Interrupt, Restart.Interrupt],
    [-EINTR, Restart.No, Restart.No, Restart.No],
    [7, Restart.No, Restart.No, Restart.No],
  ];
  for (const [result, without, plain, restarting] of rows) {
    equal(restartOf(result, none), without);
    equal(restartOf(result, 0), plain);
    equal(restartOf(result, SA_RESTART), restarting);
  }
});

Deno.test("a handler runs on a frame and sigreturn gives back every register, the mask and the FPU", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  install(processes, child, SIGUSR1, SA_SIGINFO);
  const thread = child.thread as FakeThread;
  thread.fpu[170] = 99;
  thread.set(REG.RBX, 0x1234_5678_9abc);
  thread.setWords(REG.R12, 0xffff_ffff, 0xffff_ffff);
  const rsp = thread.get(REG.RSP);
  const rip = thread.get(REG.RIP);
  equal(processes.syscall(child, SYS_kill, child.tid, SIGUSR1), 0);
  equal(thread.get(REG.RIP), HANDLER);
  equal(thread.get(REG.RDI), SIGUSR1);
  const frame = thread.get(REG.RSP);
  equal((frame + 8) % 16, 0, "aligned as after a call");
  equal(frame < rsp - 128, true, "below the red zone");
  const memory = processes.memory(child);
  equal(memory.getBigUint64(frame - BASE, true), 0x42_0000n);
  equal(memory.getInt32(thread.get(REG.RSI) - BASE, true), SIGUSR1);
  equal(memory.getInt32(thread.get(REG.RSI) - BASE + 16, true), child.tid);
  const fpstate = Number(memory.getBigUint64(frame + 8 + 40 + 184 - BASE, true));
  equal(fpstate % 64, 0);
  equal(memory.getUint32(fpstate + 464 - BASE, true), 0x46505853);
  equal(memory.getUint32(fpstate + 576 - BASE, true), 0x46505845);
  equal(child.signals.isBlocked(SIGUSR1), true);
  thread.fpu[170] = 0;
  thread.set(REG.RBX, 1);
  equal(sigreturn(processes, child), 0, "what kill had answered");
  equal(thread.get(REG.RBX), 0x1234_5678_9abc);
  equal(thread.high(REG.R12), 0xffff_ffff);
  equal(thread.get(REG.RSP), rsp);
  equal(thread.get(REG.RIP), rip + 2);
  equal(thread.fpu[170], 99);
  equal(child.signals.isBlocked(SIGUSR1), false);
});

Deno.test("sigreturn from a frame that is not there kills with SIGSEGV", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  child.thread.set(REG.RSP, 8);
  processes.syscall(child, SYS_rt_sigreturn);
  equal(child.threadGroup.exitStatus, 11);
});

Deno.test("SA_ONSTACK moves to the alternate stack once; a handler on it stays there", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const memory = processes.memory(child);
  memory.setBigUint64(64, BigInt(BASE + 0x2_0000), true);
  memory.setInt32(72, 0, true);
  memory.setBigUint64(80, 0x4000n, true);
  equal(processes.syscall(child, SYS_sigaltstack, BASE + 64, 0), 0);
  install(processes, child, SIGUSR1, SA_ONSTACK);
  install(processes, child, SIGTERM, SA_ONSTACK);
  processes.syscall(child, SYS_kill, child.tid, SIGUSR1);
  const first = child.thread.get(REG.RSP);
  equal(first > BASE + 0x2_0000 && first < BASE + 0x2_4000, true);
  equal(processes.syscall(child, SYS_sigaltstack, BASE + 64, 0), -1, "EPERM while it is in use");
  processes.syscall(child, SYS_kill, child.tid, SIGTERM);
  equal(child.thread.get(REG.RSP) < first, true);
});

Deno.test("pause answers EINTR after a handler and is made again when there was none", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  install(processes, child, SIGUSR1, SA_RESTART);
  equal(processes.syscall(child, SYS_pause), WAITS);
  processes.syscall(processes.init, SYS_kill, child.tid, SIGCHLD);
  equal(child.state, TaskState.Blocked, "an ignored signal wakes nobody");
  processes.syscall(processes.init, SYS_kill, child.tid, SIGUSR1);
  equal(child.thread.get(REG.RIP), HANDLER);
  equal(sigreturn(processes, child), -EINTR);
});

Deno.test("sigsuspend runs the handler under its mask and comes back to the old one", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  install(processes, child, SIGUSR1, 0);
  const memory = processes.memory(child);
  memory.setBigUint64(96, 1n << BigInt(SIGUSR1 - 1), true);
  equal(processes.syscall(child, SYS_rt_sigprocmask, 0, BASE + 96, 0, 8), 0);
  processes.syscall(processes.init, SYS_kill, child.tid, SIGUSR1);
  memory.setBigUint64(104, 0n, true);
  processes.syscall(child, SYS_rt_sigsuspend, BASE + 104, 8);
  equal(child.thread.get(REG.RIP), HANDLER);
  equal(sigreturn(processes, child), -EINTR);
  equal(child.signals.isBlocked(SIGUSR1), true);
});

Deno.test("sigtimedwait takes a blocked signal that would kill, and times out without one", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const memory = processes.memory(child);
  memory.setBigUint64(96, 1n << BigInt(SIGTERM - 1), true);
  processes.syscall(child, SYS_rt_sigprocmask, 0, BASE + 96, 0, 8);
  equal(processes.syscall(child, SYS_rt_sigtimedwait, BASE + 96, 0, 0, 8), WAITS);
  processes.syscall(processes.init, SYS_kill, child.tid, SIGTERM);
  equal(processes.answer(child), SIGTERM);
  equal(child.signals.isBlocked(SIGTERM), true);
  memory.setBigInt64(112, 0n, true);
  memory.setBigInt64(120, 5000n, true);
  equal(processes.syscall(child, SYS_rt_sigtimedwait, BASE + 96, 0, BASE + 112, 8), WAITS);
  processes.pass(6000);
  equal(processes.answer(child), -11);
});

Deno.test("an init hears no signal from inside that it has no handler for", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  for (const signal of [SIGTERM, 9, SIGSTOP]) equal(processes.syscall(child, SYS_kill, 1, signal), 0);
  equal(processes.init.state, TaskState.Running);
  install(processes, processes.init, SIGTERM, 0);
  processes.syscall(child, SYS_kill, 1, SIGTERM);
  processes.run();
  equal(processes.init.thread.get(REG.RIP), HANDLER);
});

Deno.test("a stop takes every thread, SIGCONT lets them finish what they were in", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const other = processes.thread(child);
  const WUNTRACED = 2, WCONTINUED = 8;
  equal(processes.syscall(child, SYS_pause), WAITS);
  processes.syscall(processes.init, SYS_kill, child.tid, SIGSTOP);
  equal([child.state, other.state].join(), [TaskState.Stopped, TaskState.Stopped].join());
  equal(processes.syscall(processes.init, SYS_wait4, -1, BASE, WUNTRACED, 0), child.tid);
  equal(processes.memory(processes.init).getInt32(0, true), SIGSTOP << 8 | 0x7f);
  processes.syscall(processes.init, SYS_kill, child.tid, SIGCONT);
  equal(processes.syscall(processes.init, SYS_wait4, -1, BASE, WCONTINUED, 0), child.tid);
  equal(processes.memory(processes.init).getInt32(0, true), 0xffff);
  equal(processes.syscall(other, SYS_getpid), child.tid);
  equal(child.thread.low(REG.RAX), SYS_pause, "pause is made again");
});

Deno.test("a deadly signal for one thread ends the process with that status", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const other = processes.thread(child);
  equal(processes.syscall(child, SYS_pause), WAITS);
  processes.syscall(processes.init, SYS_kill, other.tid, SIGTERM);
  equal(child.hasExited && other.hasExited, true);
  equal(processes.syscall(processes.init, SYS_wait4, -1, BASE, 0, 0), child.tid);
  equal(processes.memory(processes.init).getInt32(0, true), SIGTERM);
});
