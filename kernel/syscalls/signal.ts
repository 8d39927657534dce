// Signals: sigaction(2), sigprocmask(2), kill(2), sigqueue(3), sigsuspend(2), sigtimedwait(2), sigaltstack(2) and
// others. kernel/signal sends and delivers them.

import { TimeValue } from "../time/time_value.ts";
import { EAGAIN, EFAULT, EINTR, EINVAL, EPERM, ERESTARTNOHAND, ESRCH } from "../abi/errno.ts";
import {
  SA_NOCLDSTOP,
  SA_NOCLDWAIT,
  SA_NODEFER,
  SA_ONSTACK,
  SA_RESETHAND,
  SA_RESTART,
  SA_RESTORER,
  SA_SIGINFO,
  SI_TKILL,
  SI_USER,
  SIG_BLOCK,
  SIG_SETMASK,
  SIG_UNBLOCK,
  SIGKILL,
  SIGRTMAX,
  SIGSTOP,
} from "../abi/signal.ts";
import { i32, put32, put64, u32, u64 } from "../abi/struct.ts";
import { FRAME_REST_BYTES, stackPointer } from "../arch/arch.ts";
import { changeAltStack, SS_AUTODISARM } from "../signal/alt_stack.ts";
import { altStackState, popSignalFrame } from "../signal/frame.ts";
import { maySignal } from "../signal/permission.ts";
import { dequeueSignal, discardSignals, sendSignal, userSignal } from "../signal/send.ts";
import { bit } from "../signal/signal_actions.ts";
import { putSignalInfo, readSignalInfo, SIGINFO_BYTES, type SignalInfo } from "../signal/signal_info.ts";
import { UNBLOCKABLE_LOW } from "../signal/task_signals.ts";
import { BLOCKED, type Continuation, continuation } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { suspend, suspendThen } from "../task/wait_engine.ts";
import type { WaitState } from "../task/wait_state.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import { assert } from "../util/assert.ts";
import type { Args } from "./args.ts";
import { readTimespec, relativeDeadline } from "./guest_time.ts";
import { signalTarget } from "./process_descriptor.ts";
import { FULL, type SyscallFamily } from "./table.ts";

/** sizeof(sigset_t) in the kernel. */
const SIGSET_BYTES = 8;
/** struct sigaction in the kernel: handler, flags, restorer, mask. */
const SIGACTION_BYTES = 32;
const STACK_BYTES = 24;
const SA_EXPOSE_TAGBITS = 0x800;
/** The supported flags; others read back as 0, by which a program can detect them: sigaction(2), "SA_UNSUPPORTED". */
const SA_KNOWN = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_SIGINFO | SA_ONSTACK | SA_RESTART | SA_NODEFER |
  SA_RESETHAND |
  SA_RESTORER | SA_EXPOSE_TAGBITS;

const bytes = new Uint8Array(SIGINFO_BYTES);
const timeout = new TimeValue();

function rtSigaction(task: Task, args: Args): number {
  const signal = args.i32(0);
  const newAddress = args.word(1);
  const oldAddress = args.word(2);
  if (args.word(3) !== SIGSET_BYTES) return -EINVAL;
  const at = newAddress === 0 ? 0 : task.memory.inView(newAddress, SIGACTION_BYTES);
  if (at < 0) return -EFAULT;
  if (signal < 1 || signal > SIGRTMAX) return -EINVAL;
  if (newAddress !== 0 && (signal === SIGKILL || signal === SIGSTOP)) return -EINVAL;
  const actions = task.threadGroup.actions;
  if (oldAddress !== 0) {
    put64(bytes, 0, actions.handler[signal]);
    put64(bytes, 8, actions.flags[signal]);
    put64(bytes, 16, actions.restorer[signal]);
    put32(bytes, 24, actions.maskLow[signal]);
    put32(bytes, 28, actions.maskHigh[signal]);
  }
  if (newAddress !== 0) {
    const view = task.memory.view;
    actions.handler[signal] = u64(view, at);
    actions.flags[signal] = u32(view, at + 8) & SA_KNOWN;
    actions.restorer[signal] = u64(view, at + 16);
    actions.maskLow[signal] = u32(view, at + 24) & ~UNBLOCKABLE_LOW;
    actions.maskHigh[signal] = u32(view, at + 28);
    // POSIX: setting a signal to be ignored discards pending ones, even if blocked (do_sigaction()).
    if (actions.isIgnored(signal)) {
      discardSignals(task.threadGroup, signal <= 32 ? bit(signal) : 0, signal > 32 ? bit(signal) : 0);
    }
  }
  if (oldAddress === 0) return 0;
  return task.memory.copyOut(oldAddress, bytes, 0, SIGACTION_BYTES) < 0 ? -EFAULT : 0;
}

function rtSigprocmask(task: Task, args: Args): number {
  const newAddress = args.word(1);
  const oldAddress = args.word(2);
  if (args.word(3) !== SIGSET_BYTES) return -EINVAL;
  const signals = task.signals;
  put32(bytes, 0, signals.maskLow);
  put32(bytes, 4, signals.maskHigh);
  if (newAddress !== 0) {
    const at = task.memory.inView(newAddress, SIGSET_BYTES);
    if (at < 0) return -EFAULT;
    const low = u32(task.memory.view, at);
    const high = u32(task.memory.view, at + 4);
    const how = args.i32(0);
    if (how === SIG_BLOCK) signals.setMask(signals.maskLow | low, signals.maskHigh | high);
    else if (how === SIG_UNBLOCK) signals.setMask(signals.maskLow & ~low, signals.maskHigh & ~high);
    else if (how === SIG_SETMASK) signals.setMask(low, high);
    else return -EINVAL;
  }
  if (oldAddress === 0) return 0;
  return task.memory.copyOut(oldAddress, bytes, 0, SIGSET_BYTES) < 0 ? -EFAULT : 0;
}

function rtSigpending(task: Task, args: Args): number {
  const size = args.word(1);
  if (size > SIGSET_BYTES) return -EINVAL;
  const signals = task.signals;
  const shared = task.threadGroup.pending;
  put32(bytes, 0, (signals.pending.low | shared.low) & signals.maskLow);
  put32(bytes, 4, (signals.pending.high | shared.high) & signals.maskHigh);
  return task.memory.copyOut(args.word(0), bytes, 0, size) < 0 ? -EFAULT : 0;
}

function rtSigreturn(task: Task): number {
  return popSignalFrame(task);
}

function restartSyscall(task: Task, args: Args): number {
  const call = task.restartCall;
  if (call === null) return -EINTR;
  task.restartCall = null;
  return call.run(task, args);
}

const FOR_SIGNAL: WaitState = { kind: "signal" };
type WantedSignals = Extract<WaitState, { kind: "wanted signals" }>;
const TAKE_WANTED = continuation("wanted signals", continueWanted);

export const SIGNAL_CONTINUATIONS: readonly Continuation[] = [TAKE_WANTED];

function pause(task: Task): number {
  return suspend(task, FOR_SIGNAL, -ERESTARTNOHAND);
}

function rtSigsuspend(task: Task, args: Args): number {
  if (args.word(1) !== SIGSET_BYTES) return -EINVAL;
  const at = task.memory.inView(args.word(0), SIGSET_BYTES);
  if (at < 0) return -EFAULT;
  task.signals.setTemporaryMask(u32(task.memory.view, at), u32(task.memory.view, at + 4));
  return suspend(task, FOR_SIGNAL, -ERESTARTNOHAND);
}

function rtSigtimedwait(task: Task, args: Args): number {
  if (args.word(3) !== SIGSET_BYTES) return -EINVAL;
  const at = task.memory.inView(args.word(0), SIGSET_BYTES);
  if (at < 0) return -EFAULT;
  const low = (u32(task.memory.view, at) & ~UNBLOCKABLE_LOW) >>> 0;
  const high = u32(task.memory.view, at + 4);
  let isPoll = false;
  if (args.word(2) !== 0) {
    const read = readTimespec(task, args.word(2), timeout);
    if (read < 0) return read;
    isPoll = timeout.seconds === 0 && timeout.nanos === 0;
    task.call.setDeadline(relativeDeadline(task, timeout));
  }
  const info = dequeueSignal(task, ~low, ~high);
  if (info !== null) return giveInfo(task, info, args.word(1));
  if (isPoll) return -EAGAIN;
  return waitForWanted(task, { kind: "wanted signals", low, high });
}

/** Waits with the wanted signals unblocked, so that they wake the task; the call takes them, so none is delivered. */
function waitForWanted(task: Task, wanted: WantedSignals): number {
  const signals = task.signals;
  signals.waitedLow = wanted.low;
  signals.waitedHigh = wanted.high;
  signals.setTemporaryMask(signals.maskLow & ~wanted.low, signals.maskHigh & ~wanted.high);
  const result = suspendThen(task, wanted, TAKE_WANTED, -EINTR);
  if (result !== BLOCKED) endWanted(task);
  return result;
}

function endWanted(task: Task): void {
  const signals = task.signals;
  signals.waitedLow = 0;
  signals.waitedHigh = 0;
  signals.restoreMask();
}

function continueWanted(task: Task, args: Args): number {
  const { state: wanted, isTimedOut } = task.call;
  assert(wanted.kind === "wanted signals", "a sigtimedwait that waits knows its signals");
  const info = dequeueSignal(task, ~wanted.low, ~wanted.high);
  endWanted(task);
  task.signals.recalculate();
  if (info !== null) return giveInfo(task, info, args.word(1));
  return isTimedOut ? -EAGAIN : waitForWanted(task, wanted);
}

function giveInfo(task: Task, info: SignalInfo, address: number): number {
  if (address !== 0) {
    putSignalInfo(bytes, 0, info);
    if (task.memory.copyOut(address, bytes, 0, SIGINFO_BYTES) < 0) return -EFAULT;
  }
  return info.signal;
}

function sigaltstack(task: Task, args: Args): number {
  const newAddress = args.word(0);
  const oldAddress = args.word(1);
  const signals = task.signals;
  const sp = stackPointer(task.thread);
  put64(bytes, 0, signals.altStackAddress);
  put64(bytes, 8, 0);
  put32(bytes, 8, altStackState(signals, sp) | signals.altStackFlags & SS_AUTODISARM);
  put64(bytes, 16, signals.altStackSize);
  if (newAddress !== 0) {
    const at = task.memory.inView(newAddress, STACK_BYTES);
    if (at < 0) return -EFAULT;
    const view = task.memory.view;
    const changed = changeAltStack(signals, sp, u64(view, at), i32(view, at + 8), u64(view, at + 16));
    if (changed < 0) return changed;
  }
  if (oldAddress === 0) return 0;
  return task.memory.copyOut(oldAddress, bytes, 0, STACK_BYTES) < 0 ? -EFAULT : 0;
}

function kill(task: Task, args: Args): number {
  const pid = args.i32(0);
  const signal = args.i32(1);
  const namespace = task.pid.namespace;
  if (pid > 0) {
    const target = namespace.task(pid);
    return target === null ? -ESRCH : killOne(task, target.threadGroup, signal);
  }
  if (pid === -1) return killAll(task, signal);
  if (pid === -0x8000_0000) return -ESRCH;
  const group = pid === 0 ? task.threadGroup.processGroup : namespace.pids.get(-pid)?.group ?? null;
  return group === null ? -ESRCH : killMany(task, [...group.members], signal);
}

/** kill(2) of one process: 0 or -ERRNO. Signal 0 only checks. */
function killOne(task: Task, group: ThreadGroup, signal: number): number {
  const refused = maySignal(task, group.leader, signal);
  if (refused < 0 || signal === 0) return refused;
  return sendSignal(group, userSignal(task, group.leader.pid.namespace, signal, SI_USER));
}

/** kill(2) of several processes: success if it succeeds for one. */
function killMany(task: Task, groups: readonly ThreadGroup[], signal: number): number {
  let result = -ESRCH;
  for (const group of groups) {
    const sent = killOne(task, group, signal);
    if (result !== 0) result = sent;
  }
  return result;
}

/** kill(-1): all visible processes except the init and the caller's. */
function killAll(task: Task, signal: number): number {
  const groups: ThreadGroup[] = [];
  for (const pid of task.pid.namespace.pids.values()) {
    const group = pid.task?.threadGroup;
    if (group === undefined || group.leader !== pid.task || group === task.threadGroup) continue;
    if (group !== task.pid.namespace.init) groups.push(group);
  }
  let result = 0;
  for (const group of groups) {
    const sent = killOne(task, group, signal);
    if (sent !== -EPERM) result = sent;
  }
  return groups.length === 0 ? -ESRCH : result;
}

function tkill(task: Task, args: Args): number {
  return killThread(task, 0, args.i32(0), args.i32(1));
}

function tgkill(task: Task, args: Args): number {
  const tgid = args.i32(0);
  return tgid <= 0 ? -EINVAL : killThread(task, tgid, args.i32(1), args.i32(2));
}

/** Signals one task; a `tgid` of 0 accepts any process. */
function killThread(task: Task, tgid: number, tid: number, signal: number): number {
  if (tid <= 0) return -EINVAL;
  const target = task.pid.namespace.task(tid);
  if (target === null || (tgid !== 0 && target.threadGroup.pid.in(task.pid.namespace) !== tgid)) {
    return -ESRCH;
  }
  const refused = maySignal(task, target, signal);
  if (refused < 0 || signal === 0) return refused;
  return sendSignal(target, userSignal(task, target.pid.namespace, signal, SI_TKILL));
}

function rtSigqueueinfo(task: Task, args: Args): number {
  const info = readInfo(task, args.word(2), args.i32(1));
  if (typeof info === "number") return info;
  const pid = args.i32(0);
  if (isForged(info) && pid !== task.pid.own) return -EPERM;
  const target = pid <= 0 ? null : task.pid.namespace.task(pid);
  if (target === null) return -ESRCH;
  return queue(task, target, target.threadGroup, info);
}

function rtTgsigqueueinfo(task: Task, args: Args): number {
  const info = readInfo(task, args.word(3), args.i32(2));
  if (typeof info === "number") return info;
  const tgid = args.i32(0);
  const tid = args.i32(1);
  if (tgid <= 0 || tid <= 0) return -EINVAL;
  if (isForged(info) && tid !== task.pid.own) return -EPERM;
  const target = task.pid.namespace.task(tid);
  if (target === null || target.threadGroup.pid.in(task.pid.namespace) !== tgid) return -ESRCH;
  return queue(task, target, target, info);
}

function queue(task: Task, target: Task, to: Task | ThreadGroup, info: SignalInfo): number {
  const refused = maySignal(task, target, info.signal);
  return refused < 0 || info.signal === 0 ? refused : sendSignal(to, info);
}

function readInfo(task: Task, address: number, signal: number): SignalInfo | number {
  const at = task.memory.inView(address, SIGINFO_BYTES);
  return at < 0 ? -EFAULT : readSignalInfo(task.memory.view, at, signal);
}

/** A siginfo with a code of the kernel or of kill(2) may be sent to oneself only: do_rt_sigqueueinfo(). */
function isForged(info: SignalInfo): boolean {
  return info.code >= 0 || info.code === SI_TKILL;
}

function pidfdSendSignal(task: Task, args: Args): number {
  if (args.u32(3) !== 0) return -EINVAL;
  const group = signalTarget(task, args.i32(0));
  if (typeof group === "number") return group;
  // The target's PID namespace must be the caller's or below it: access_pidfd_pidns().
  if (!task.pid.namespace.contains(group.leader.pid.namespace)) return -EINVAL;
  const signal = args.i32(1);
  if (args.word(2) === 0) return group.isReaped ? -ESRCH : killOne(task, group, signal);
  const at = task.memory.inView(args.word(2), SIGINFO_BYTES);
  if (at < 0) return -EFAULT;
  if (i32(task.memory.view, at) !== signal) return -EINVAL;
  const info = readSignalInfo(task.memory.view, at, signal);
  if (isForged(info) && group !== task.threadGroup) return -EPERM;
  return group.isReaped ? -ESRCH : queue(task, group.leader, group, info);
}

const SIGPROCMASK_HOW = { SIG_BLOCK, SIG_UNBLOCK, SIG_SETMASK };

export const SIGNAL_CALLS: SyscallFamily = {
  rt_sigaction: {
    nr: { x64: 13, arm64: 134 },
    args: {
      signum: "signal",
      act: { in: SIGACTION_BYTES },
      oldact: { out: SIGACTION_BYTES },
      sigsetsize: "size",
    },
    returns: "int",
    support: FULL,
    run: rtSigaction,
  },
  rt_sigprocmask: {
    nr: { x64: 14, arm64: 135 },
    args: {
      how: { values: SIGPROCMASK_HOW },
      set: { in: SIGSET_BYTES },
      oldset: { out: SIGSET_BYTES },
      sigsetsize: "size",
    },
    returns: "int",
    support: FULL,
    run: rtSigprocmask,
  },
  rt_sigreturn: {
    nr: { x64: 15, arm64: 139 },
    args: {},
    frameBytes: FRAME_REST_BYTES,
    returns: "none",
    support: FULL,
    run: rtSigreturn,
  },
  pause: { nr: { x64: 34 }, args: {}, returns: "int", support: FULL, run: pause },
  kill: {
    nr: { x64: 62, arm64: 129 },
    args: { pid: "pid", sig: "signal" },
    returns: "int",
    support: FULL,
    run: kill,
  },
  rt_sigpending: {
    nr: { x64: 127, arm64: 136 },
    args: { set: { out: SIGSET_BYTES }, sigsetsize: "size" },
    returns: "int",
    support: FULL,
    run: rtSigpending,
  },
  rt_sigtimedwait: {
    nr: { x64: 128, arm64: 137 },
    args: {
      set: { in: SIGSET_BYTES },
      info: { out: SIGINFO_BYTES },
      timeout: { in: 16 },
      sigsetsize: "size",
    },
    returns: "int",
    support: FULL,
    run: rtSigtimedwait,
  },
  rt_sigqueueinfo: {
    nr: { x64: 129, arm64: 138 },
    args: { tgid: "pid", sig: "signal", info: { in: SIGINFO_BYTES } },
    returns: "int",
    support: FULL,
    run: rtSigqueueinfo,
  },
  rt_sigsuspend: {
    nr: { x64: 130, arm64: 133 },
    args: { mask: { in: SIGSET_BYTES }, sigsetsize: "size" },
    returns: "int",
    support: FULL,
    run: rtSigsuspend,
  },
  sigaltstack: {
    nr: { x64: 131, arm64: 132 },
    args: { ss: { in: STACK_BYTES }, old_ss: { out: STACK_BYTES } },
    returns: "int",
    support: FULL,
    run: sigaltstack,
  },
  tkill: {
    nr: { x64: 200, arm64: 130 },
    args: { tid: "pid", sig: "signal" },
    returns: "int",
    support: FULL,
    run: tkill,
  },
  restart_syscall: {
    nr: { x64: 219, arm64: 128 },
    args: {},
    returns: "int",
    support: FULL,
    run: restartSyscall,
  },
  tgkill: {
    nr: { x64: 234, arm64: 131 },
    args: { tgid: "pid", tid: "pid", sig: "signal" },
    returns: "int",
    support: FULL,
    run: tgkill,
  },
  rt_tgsigqueueinfo: {
    nr: { x64: 297, arm64: 240 },
    args: { tgid: "pid", tid: "pid", sig: "signal", info: { in: SIGINFO_BYTES } },
    returns: "int",
    support: FULL,
    run: rtTgsigqueueinfo,
  },
  pidfd_send_signal: {
    nr: { x64: 424, arm64: 424 },
    args: { pidfd: "fd", sig: "signal", info: { in: SIGINFO_BYTES }, flags: "uint" },
    returns: "int",
    support: FULL,
    run: pidfdSendSignal,
  },
};
