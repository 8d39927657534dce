// Processes: creation, end, waiting, ids, sessions, times. clone(2), wait(2), _exit(2), setpgid(2), setsid(2),
// times(2), getrusage(2). kernel/task does the work.

import { E2BIG, EACCES, EAGAIN, EFAULT, EINVAL, EPERM, ESRCH } from "../abi/errno.ts";
import { PAGE_SIZE } from "../abi/memory.ts";
import { SIGCHLD, SIGRTMAX } from "../abi/signal.ts";
import { i32, put32, put64, u32, u64, zero } from "../abi/struct.ts";
import {
  __WALL,
  __WCLONE,
  __WNOTHREAD,
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_DETACHED,
  CLONE_FILES,
  CLONE_FS,
  CLONE_IO,
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWTIME,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_PTRACE,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_SYSVSEM,
  CLONE_THREAD,
  CLONE_UNTRACED,
  CLONE_VFORK,
  CLONE_VM,
  RUSAGE_CHILDREN,
  RUSAGE_SELF,
  RUSAGE_THREAD,
  WCONTINUED,
  WEXITED,
  WNOHANG,
  WNOWAIT,
  WSTOPPED,
  WUNTRACED,
} from "../abi/task.ts";
import { CLONE_CHILD_TID, CLONE_TLS } from "../arch/layouts.ts";
import { cloneTask } from "../task/clone.ts";
import { exitGroup, exitTask } from "../task/exit.ts";
import { PID_LEVELS_MAX } from "../task/namespaces.ts";
import { joinProcessGroup, ProcessGroup, Session } from "../task/process_group.ts";
import { BLOCKED, NO_RESULT } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import { nanosToTicks, processUsage, putRusage, RUSAGE_BYTES, threadUsage, Usage } from "../task/usage.ts";
import { WaitFor, waitForChild, WaitResult } from "../task/wait.ts";
import type { Args } from "./args.ts";
import { FILE } from "./file_wait.ts";
import { isNonblockingPidfd, openPidfd, pidfdTarget } from "./process_descriptor.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

/** Flags of clone(2), by the names that strace shows. */
export const CLONE_FLAGS = {
  CLONE_NEWTIME,
  CLONE_VM,
  CLONE_FS,
  CLONE_FILES,
  CLONE_SIGHAND,
  CLONE_PIDFD,
  CLONE_PTRACE,
  CLONE_VFORK,
  CLONE_PARENT,
  CLONE_THREAD,
  CLONE_NEWNS,
  CLONE_SYSVSEM,
  CLONE_SETTLS,
  CLONE_PARENT_SETTID,
  CLONE_CHILD_CLEARTID,
  CLONE_DETACHED,
  CLONE_UNTRACED,
  CLONE_CHILD_SETTID,
  CLONE_NEWCGROUP,
  CLONE_NEWUTS,
  CLONE_NEWIPC,
  CLONE_NEWUSER,
  CLONE_NEWPID,
  CLONE_NEWNET,
  CLONE_IO,
};
const WAIT_FLAGS = {
  WNOHANG,
  WUNTRACED,
  WEXITED,
  WCONTINUED,
  WNOWAIT,
  __WNOTHREAD,
  __WALL,
  __WCLONE,
};
/** The bits of clone's flags with the exit signal. */
const CSIGNAL = 0xff;
/** struct clone_args: its first published size, and the size that this kernel has. */
const CLONE_ARGS_BYTES_MIN = 64;
const CLONE_ARGS_BYTES = 88;
// Flags of clone3(2) above 32 bits, as bits of the high word.
const HIGH_CLEAR_SIGHAND = 1;
const HIGH_INTO_CGROUP = 2;

const NO_TIDS: readonly number[] = [];
const bytes = new Uint8Array(256);

function fork(task: Task): number {
  return cloneTask(task, {
    flags: 0,
    clearsHandlers: false,
    exitSignal: SIGCHLD,
    stack: 0,
    tls: 0,
    parentTid: 0,
    childTid: 0,
    tids: NO_TIDS,
    openPidfd: null,
  });
}

function vfork(task: Task): number {
  return cloneTask(task, {
    flags: CLONE_VFORK | CLONE_VM,
    clearsHandlers: false,
    exitSignal: SIGCHLD,
    stack: 0,
    tls: 0,
    parentTid: 0,
    childTid: 0,
    tids: NO_TIDS,
    openPidfd: null,
  });
}

/** The order of the last two arguments depends on the architecture: clone(2), "C library/kernel differences". */
function clone(task: Task, args: Args): number {
  const flags = (args.u32(0) & ~CSIGNAL) >>> 0;
  const wantsPidfd = (flags & CLONE_PIDFD) !== 0;
  // The pidfd is stored where CLONE_PARENT_SETTID stores the tid.
  if (wantsPidfd && (flags & (CLONE_PARENT_SETTID | CLONE_DETACHED)) !== 0) return -EINVAL;
  return cloneTask(task, {
    flags,
    clearsHandlers: false,
    exitSignal: args.u32(0) & CSIGNAL,
    stack: args.word(1),
    parentTid: args.word(2),
    childTid: args.word(CLONE_CHILD_TID),
    tls: args.word(CLONE_TLS),
    tids: NO_TIDS,
    openPidfd: wantsPidfd ? openPidfd(args.word(2)) : null,
  });
}

function clone3(task: Task, args: Args): number {
  const size = args.word(1);
  if (size > PAGE_SIZE) return -E2BIG;
  if (size < CLONE_ARGS_BYTES_MIN) return -EINVAL;
  const at = task.memory.inView(args.word(0), size);
  if (at < 0) return -EFAULT;
  const view = task.memory.view;
  for (let i = CLONE_ARGS_BYTES; i < size; i++) {
    if (view[at + i] !== 0) return -E2BIG;
  }
  zero(bytes, 0, CLONE_ARGS_BYTES);
  for (let i = 0; i < Math.min(size, CLONE_ARGS_BYTES); i++) bytes[i] = view[at + i];
  const flags = u32(bytes, 0);
  const high = u32(bytes, 4);
  const exitSignal = u64(bytes, 32);
  const stack = u64(bytes, 40);
  const stackSize = u64(bytes, 48);
  const tidsAddress = u64(bytes, 64);
  const tidCount = u64(bytes, 72);
  if (tidCount > PID_LEVELS_MAX || (tidsAddress === 0) !== (tidCount === 0)) return -EINVAL;
  if (exitSignal > CSIGNAL || exitSignal > SIGRTMAX) return -EINVAL;
  const tids = tidCount === 0 ? NO_TIDS : readTids(task, tidsAddress, tidCount);
  if (typeof tids === "number") return tids;
  if ((high & ~(HIGH_CLEAR_SIGHAND | HIGH_INTO_CGROUP)) !== 0) return -EINVAL;
  if ((flags & (CLONE_DETACHED | CSIGNAL & ~CLONE_NEWTIME)) !== 0) return -EINVAL;
  if ((flags & CLONE_SIGHAND) !== 0 && (high & HIGH_CLEAR_SIGHAND) !== 0) return -EINVAL;
  if ((flags & (CLONE_THREAD | CLONE_PARENT)) !== 0 && exitSignal !== 0) return -EINVAL;
  if ((stack === 0) !== (stackSize === 0)) return -EINVAL;
  if (stack + stackSize > task.mm.layout.end) return -EINVAL;
  if ((high & HIGH_INTO_CGROUP) !== 0) {
    return task.kernel.coverage.unfinished("clone3 CLONE_INTO_CGROUP", EINVAL);
  }
  return cloneTask(task, {
    flags,
    clearsHandlers: (high & HIGH_CLEAR_SIGHAND) !== 0,
    exitSignal,
    stack: stack + stackSize,
    parentTid: u64(bytes, 24),
    childTid: u64(bytes, 16),
    tls: u64(bytes, 56),
    tids,
    openPidfd: (flags & CLONE_PIDFD) !== 0 ? openPidfd(u64(bytes, 8)) : null,
  });
}

function readTids(task: Task, address: number, count: number): number[] | number {
  const at = task.memory.inView(address, count * 4);
  if (at < 0) return -EFAULT;
  const tids: number[] = [];
  for (let i = 0; i < count; i++) tids.push(i32(task.memory.view, at + 4 * i));
  return tids;
}

function exit(task: Task, args: Args): number {
  exitTask(task, (args.u32(0) & 0xff) << 8);
  return NO_RESULT;
}

function exitGroupCall(task: Task, args: Args): number {
  exitGroup(task, (args.u32(0) & 0xff) << 8);
  return NO_RESULT;
}

/** Scratch: the child that was found. */
const waited = new WaitResult();

/** The process group that a waiting call refers to; 0 is the caller's group when the call began (do_wait()). */
function groupOf(task: Task, pgid: number): ProcessGroup | null {
  const { state } = task.call;
  if (state.kind === "child" && state.group !== 0) {
    return task.kernel.rootPids.pids.get(state.group)?.group ?? null;
  }
  return pgid === 0 ? task.threadGroup.processGroup : task.pid.namespace.pids.get(pgid)?.group ?? null;
}

function wait4(task: Task, args: Args): number {
  const pid = args.i32(0);
  const options = args.u32(2);
  if ((options & ~(WNOHANG | WUNTRACED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL)) !== 0) return -EINVAL;
  if (pid === -0x8000_0000) return -ESRCH;
  let kind = WaitFor.Any;
  let target: ThreadGroup | ProcessGroup | null = null;
  if (pid > 0) {
    kind = WaitFor.Process;
    target = task.pid.namespace.threadGroup(pid);
  } else if (pid !== -1) {
    kind = WaitFor.Group;
    target = groupOf(task, -pid);
  }
  const found = waitForChild(task, kind, target, options | WEXITED, waited);
  if (found <= 0) return found;
  const statusAddress = args.word(1);
  const usageAddress = args.word(3);
  if (statusAddress !== 0) {
    put32(bytes, 0, waited.waitStatus);
    if (task.memory.copyOut(statusAddress, bytes, 0, 4) < 0) return -EFAULT;
  }
  if (usageAddress !== 0) {
    putRusage(bytes, 0, waited.usage);
    if (task.memory.copyOut(usageAddress, bytes, 0, RUSAGE_BYTES) < 0) return -EFAULT;
  }
  return found;
}

const P_ALL = 0;
const P_PID = 1;
const P_PGID = 2;
const P_PIDFD = 3;

function waitid(task: Task, args: Args): number {
  const options = args.u32(3);
  const known = WNOHANG | WNOWAIT | WEXITED | WSTOPPED | WCONTINUED | __WNOTHREAD | __WCLONE | __WALL;
  if ((options & ~known) !== 0 || (options & (WEXITED | WSTOPPED | WCONTINUED)) === 0) return -EINVAL;
  const id = args.i32(1);
  let kind = WaitFor.Any;
  let target: ThreadGroup | ProcessGroup | null = null;
  let isPoll = false;
  switch (args.i32(0)) {
    case P_ALL:
      break;
    case P_PID:
      if (id <= 0) return -EINVAL;
      kind = WaitFor.Process;
      target = task.pid.namespace.threadGroup(id);
      break;
    case P_PGID:
      if (id < 0) return -EINVAL;
      kind = WaitFor.Group;
      target = groupOf(task, id);
      break;
    case P_PIDFD: {
      if (id < 0) return -EINVAL;
      const group = pidfdTarget(task, id);
      if (typeof group === "number") return group;
      kind = WaitFor.Process;
      target = group;
      isPoll = isNonblockingPidfd(task, id);
      break;
    }
    default:
      return -EINVAL;
  }
  const found = waitForChild(task, kind, target, isPoll ? options | WNOHANG : options, waited);
  if (found === BLOCKED) {
    if (args.i32(0) === P_PIDFD) task.call.hold(FILE, task.call.file(FILE, id)!);
    return found;
  }
  if (found === 0 && isPoll && (options & WNOHANG) === 0) return -EAGAIN;
  return putWaitResult(task, found, args.word(2), args.word(4));
}

/** Writes waitid's siginfo and rusage; without an event the siginfo is zero. */
function putWaitResult(task: Task, found: number, infoAddress: number, usageAddress: number): number {
  if (found > 0 && usageAddress !== 0) {
    putRusage(bytes, 0, waited.usage);
    if (task.memory.copyOut(usageAddress, bytes, 0, RUSAGE_BYTES) < 0) return -EFAULT;
  }
  const result = found > 0 ? 0 : found;
  if (infoAddress === 0) return result;
  zero(bytes, 0, 32);
  if (found > 0) {
    put32(bytes, 0, SIGCHLD);
    put32(bytes, 8, waited.code);
    put32(bytes, 16, waited.pid);
    put32(bytes, 20, waited.uid);
    put32(bytes, 24, waited.status);
  }
  // Only these fields are written, not the rest of siginfo_t: waitid().
  if (task.memory.copyOut(infoAddress, bytes, 0, 12) < 0) return -EFAULT;
  return task.memory.copyOut(infoAddress + 16, bytes, 16, 12) < 0 ? -EFAULT : result;
}

function getpid(task: Task): number {
  return task.threadGroup.leader.pid.own;
}
function gettid(task: Task): number {
  return task.pid.own;
}
function getppid(task: Task): number {
  const parent = task.threadGroup.parent;
  return parent === null ? 0 : parent.pid.in(task.pid.namespace);
}

/** The process that a pid argument names (0: the caller's), or null. A thread's id names its process. */
function processOf(task: Task, pid: number): ThreadGroup | null {
  if (pid === 0) return task.threadGroup;
  const found = task.pid.namespace.task(pid);
  return found === null ? null : found.threadGroup;
}

function getpgid(task: Task, args: Args): number {
  const group = processOf(task, args.i32(0));
  return group === null ? -ESRCH : group.processGroup.pid.in(task.pid.namespace);
}
function getpgrp(task: Task): number {
  return task.threadGroup.processGroup.pid.in(task.pid.namespace);
}
function getsid(task: Task, args: Args): number {
  const group = processOf(task, args.i32(0));
  return group === null ? -ESRCH : group.session.pid.in(task.pid.namespace);
}

function setpgid(task: Task, args: Args): number {
  const own = task.threadGroup;
  const namespace = task.pid.namespace;
  const pid = args.i32(0) === 0 ? own.pid.in(namespace) : args.i32(0);
  const pgid = args.i32(1) === 0 ? pid : args.i32(1);
  if (pgid < 0) return -EINVAL;
  const named = namespace.task(pid);
  if (named === null) return -ESRCH;
  const group = named.threadGroup;
  if (group.leader !== named) return -EINVAL;
  if (group.parent === own) {
    if (group.session !== own.session) return -EPERM;
    if (group.hasExeced) return -EACCES;
  } else if (group !== own) {
    return -ESRCH;
  }
  if (group.session.leader === group) return -EPERM;
  let wanted: ProcessGroup | null = group.pid.group;
  if (pgid !== pid) {
    wanted = namespace.pids.get(pgid)?.group ?? null;
    if (wanted === null || wanted.session !== own.session) return -EPERM;
  }
  joinProcessGroup(group, wanted ?? new ProcessGroup(group.pid, group.session));
  return 0;
}

function setsid(task: Task): number {
  const group = task.threadGroup;
  const pid = group.pid;
  // A process group with this id exists, possibly one that the caller has left: the session's id would not be unique.
  if (group.session.leader === group || pid.group !== null || pid.session !== null) return -EPERM;
  joinProcessGroup(group, new ProcessGroup(pid, new Session(pid, group)));
  group.hasLeftTerminal = false;
  return pid.in(task.pid.namespace);
}

function setTidAddress(task: Task, args: Args): number {
  task.clearChildTid = args.word(0);
  return task.pid.own;
}

function times(task: Task, args: Args): number {
  const address = args.word(0);
  if (address !== 0) {
    const group = task.threadGroup;
    processUsage(group, usage);
    put64(bytes, 0, nanosToTicks(usage.userNanos));
    put64(bytes, 8, nanosToTicks(usage.systemNanos));
    put64(bytes, 16, nanosToTicks(group.childrenUsage.userNanos));
    put64(bytes, 24, nanosToTicks(group.childrenUsage.systemNanos));
    if (task.memory.copyOut(address, bytes, 0, 32) < 0) return -EFAULT;
  }
  return nanosToTicks(task.kernel.clock.monotonic());
}

const usage = new Usage();

function getrusage(task: Task, args: Args): number {
  const group = task.threadGroup;
  switch (args.i32(0)) {
    case RUSAGE_SELF:
      processUsage(group, usage);
      break;
    case RUSAGE_THREAD:
      threadUsage(task, usage);
      break;
    case RUSAGE_CHILDREN:
      usage.clear();
      usage.add(group.childrenUsage);
      break;
    default:
      return -EINVAL;
  }
  putRusage(bytes, 0, usage);
  return task.memory.copyOut(args.word(1), bytes, 0, RUSAGE_BYTES) < 0 ? -EFAULT : 0;
}

const PERSONALITY_QUERY = 0xffff_ffff;

function personality(task: Task, args: Args): number {
  const old = task.personality;
  if (args.u32(0) !== PERSONALITY_QUERY) task.personality = args.u32(0);
  return old;
}

export const PROCESS_CALLS: SyscallFamily = {
  getpid: { nr: { x64: 39, arm64: 172 }, args: {}, returns: "pid", support: FULL, run: getpid },
  clone: {
    nr: { x64: 56, arm64: 220 },
    args: {
      flags: { flags: CLONE_FLAGS },
      stack: "word",
      parent_tid: { out: 4 },
      child_tid: { out: 4 },
      tls: "word",
    },
    returns: "pid",
    support: partial(
      "no user, time and cgroup namespaces; CLONE_PTRACE, CLONE_IO and CLONE_SYSVSEM have no effect",
    ),
    run: clone,
  },
  fork: { nr: { x64: 57 }, args: {}, returns: "pid", support: FULL, run: fork },
  vfork: { nr: { x64: 58 }, args: {}, returns: "pid", support: FULL, run: vfork },
  exit: { nr: { x64: 60, arm64: 93 }, args: { status: "int" }, returns: "none", support: FULL, run: exit },
  wait4: {
    nr: { x64: 61, arm64: 260 },
    args: { pid: "pid", wstatus: { out: 4 }, options: { flags: WAIT_FLAGS }, rusage: { out: RUSAGE_BYTES } },
    returns: "pid",
    support: FULL,
    run: wait4,
  },
  getrusage: {
    nr: { x64: 98, arm64: 165 },
    args: { who: { values: { RUSAGE_SELF, RUSAGE_CHILDREN, RUSAGE_THREAD } }, usage: { out: RUSAGE_BYTES } },
    returns: "int",
    support: partial("all time is user time; no faults and blocks"),
    run: getrusage,
  },
  times: {
    nr: { x64: 100, arm64: 153 },
    args: { buf: { out: 32 } },
    returns: "word",
    support: partial("all time is user time"),
    run: times,
  },
  setpgid: {
    nr: { x64: 109, arm64: 154 },
    args: { pid: "pid", pgid: "pid" },
    returns: "int",
    support: FULL,
    run: setpgid,
  },
  getppid: { nr: { x64: 110, arm64: 173 }, args: {}, returns: "pid", support: FULL, run: getppid },
  getpgrp: { nr: { x64: 111 }, args: {}, returns: "pid", support: FULL, run: getpgrp },
  setsid: { nr: { x64: 112, arm64: 157 }, args: {}, returns: "pid", support: FULL, run: setsid },
  getpgid: {
    nr: { x64: 121, arm64: 155 },
    args: { pid: "pid" },
    returns: "pid",
    support: FULL,
    run: getpgid,
  },
  getsid: { nr: { x64: 124, arm64: 156 }, args: { pid: "pid" }, returns: "pid", support: FULL, run: getsid },
  personality: {
    nr: { x64: 135, arm64: 92 },
    args: { persona: "uint" },
    returns: "int",
    support: partial("stored; ADDR_NO_RANDOMIZE and READ_IMPLIES_EXEC have no effect"),
    run: personality,
  },
  gettid: { nr: { x64: 186, arm64: 178 }, args: {}, returns: "pid", support: FULL, run: gettid },
  set_tid_address: {
    nr: { x64: 218, arm64: 96 },
    args: { tidptr: "word" },
    returns: "pid",
    support: FULL,
    run: setTidAddress,
  },
  exit_group: {
    nr: { x64: 231, arm64: 94 },
    args: { status: "int" },
    returns: "none",
    support: FULL,
    run: exitGroupCall,
  },
  waitid: {
    nr: { x64: 247, arm64: 95 },
    args: {
      idtype: { values: { P_ALL, P_PID, P_PGID, P_PIDFD } },
      id: "pid",
      infop: { out: 128 },
      options: { flags: WAIT_FLAGS },
      rusage: { out: RUSAGE_BYTES },
    },
    returns: "int",
    support: FULL,
    run: waitid,
  },
  clone3: {
    nr: { x64: 435, arm64: 435 },
    args: { cl_args: { in: CLONE_ARGS_BYTES }, size: "size" },
    returns: "pid",
    support: partial("no user, time and cgroup namespaces; no CLONE_INTO_CGROUP"),
    run: clone3,
  },
};
