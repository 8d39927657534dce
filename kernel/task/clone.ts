// How tasks are born: clone(2), clone3(2), fork(2), vfork(2). Linux: copy_process(), kernel_clone() of kernel/fork.c. The
// system calls' own argument forms are in syscalls/process.ts.

import { EAGAIN, EEXIST, EINVAL, ENOMEM, EPERM, ERESTARTNOINTR } from "../abi/errno.ts";
import { PROT_WRITE } from "../abi/memory.ts";
import { put32 } from "../abi/struct.ts";
import {
  CAP_CHECKPOINT_RESTORE,
  CAP_SYS_ADMIN,
  CAP_SYS_RESOURCE,
  CLONE_CHILD_CLEARTID,
  CLONE_CHILD_SETTID,
  CLONE_FILES,
  CLONE_FS,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_PARENT,
  CLONE_PARENT_SETTID,
  CLONE_PIDFD,
  CLONE_SETTLS,
  CLONE_SIGHAND,
  CLONE_THREAD,
  CLONE_VFORK,
  CLONE_VM,
  RLIMIT_NPROC,
} from "../abi/task.ts";
import { setThreadPointer, startChild } from "../arch/arch.ts";
import type { Container } from "../container.ts";
import type { MemoryMap } from "../mm/address_space.ts";
import { SignalActions } from "../signal/signal_actions.ts";
import { TaskSignals } from "../signal/task_signals.ts";
import type { GuestThread } from "../../platform/platform.ts";
import { assert } from "../util/assert.ts";
import { AREA_COST } from "../util/kernel_memory.ts";
import type { FdTable } from "../vfs/fd_table.ts";
import type { FsContext } from "../vfs/fs_context.ts";
import { type Continuation, continuation } from "./call_in_flight.ts";
import { type Credentials, hasCapability } from "./credentials.ts";
import { writeWord } from "./futex_word.ts";
import { changedNamespaces, type MovedMounts, moveToMounts } from "./namespace_changes.ts";
import type { PidNamespace, TaskNamespaces } from "./namespaces.ts";
import { allocatePid, type Pid } from "./pid.ts";
import { watchCpuLimit } from "./process_timers.ts";
import { ProcessGroup, Session } from "./process_group.ts";
import type { Rlimits } from "./rlimits.ts";
import { Task } from "./task.ts";
import { ThreadGroup } from "./thread_group.ts";
import { userAccount } from "./user_account.ts";
import { suspendKillable } from "./wait_engine.ts";

const GO_ON_FROM_VFORK = continuation("vfork", waitForVfork);

export const CLONE_CONTINUATIONS: readonly Continuation[] = [GO_ON_FROM_VFORK];

/** What a child is to be: struct clone_args, already copied in. */
export interface CloneRequest {
  /** CLONE_ flags of the low 32 bits, unsigned; CSIGNAL bits are clear. */
  readonly flags: number;
  /** CLONE_CLEAR_SIGHAND. */
  readonly clearsHandlers: boolean;
  /** Signal to the parent at exit, 0 = none. */
  readonly exitSignal: number;
  /** Stack pointer of the child, 0 = the parent's. */
  readonly stack: number;
  readonly tls: number;
  readonly parentTid: number;
  readonly childTid: number;
  /** set_tid of clone3: ids asked for, innermost namespace first. */
  readonly tids: readonly number[];
  /** CLONE_PIDFD: opens a descriptor for the child in the parent's table and stores it; 0 or -ERRNO. */
  readonly openPidfd: ((task: Task, child: Task) => number) | null;
}

const tidBytes = new Uint8Array(4);

/** Makes a child of `task`. Its id as `task` sees it, or -ERRNO; with CLONE_VFORK once the child no longer uses the memory. */
export function cloneTask(task: Task, request: CloneRequest): number {
  const { flags } = request;
  const refused = checkFlags(task, request);
  if (refused < 0) return refused;
  // A stop or a kill must not miss the child: the call is made again after the signal.
  task.signals.recalculate();
  if (task.signals.hasPending) return -ERESTARTNOINTR;
  const isOver = checkLimits(task);
  if (isOver < 0) return isOver;
  const moved: MovedMounts = new Map();
  const namespaces = changedNamespaces(task, flags, moved);
  if (typeof namespaces === "number") return namespaces;
  const pid = newPid(
    task,
    (flags & CLONE_THREAD) !== 0 ? task.pid.namespace : namespaces.pidForChildren,
    request.tids,
  );
  if (typeof pid === "number") {
    namespaces.discardIfUnused();
    return pid;
  }

  const sharesMemory = (flags & CLONE_VM) !== 0;
  if (!sharesMemory && task.mm.heap.isExhausted(task.mm.areas.count * AREA_COST)) {
    pid.dropIfUnused();
    namespaces.discardIfUnused();
    return -ENOMEM;
  }
  const thread = sharesMemory ? task.thread.cloneThread() : task.thread.fork();
  if (typeof thread === "number") {
    pid.dropIfUnused();
    namespaces.discardIfUnused();
    return thread;
  }
  const child = newChild(task, request, pid, thread, namespaces, moved);
  if (request.openPidfd !== null) {
    const opened = request.openPidfd(task, child);
    if (opened < 0) {
      undo(child);
      return opened;
    }
  }
  startChild(thread, request.stack);
  if ((flags & CLONE_SETTLS) !== 0) setThreadPointer(thread, request.tls);
  if ((flags & CLONE_CHILD_SETTID) !== 0 && child.mm.checkRange(request.childTid, 4, PROT_WRITE) === 0) {
    put32(tidBytes, 0, pid.own);
    child.memory.copyOut(request.childTid, tidBytes, 0, 4);
  }
  const number = pid.in(task.pid.namespace);
  if ((flags & CLONE_PARENT_SETTID) !== 0) writeWord(task, request.parentTid, number);
  publish(child);
  task.kernel.life?.onClone(task, child, flags);
  if ((flags & CLONE_VFORK) === 0) return number;
  child.vforkParent = task;
  return suspendKillable(task, { kind: "vfork", child: child.tid, answer: number }, GO_ON_FROM_VFORK);
}

function waitForVfork(task: Task): number {
  const { state } = task.call;
  assert(state.kind === "vfork", "a vfork that waits knows its child");
  const isInUse = task.kernel.tasks.get(state.child)?.vforkParent === task;
  return isInUse ? suspendKillable(task, state, GO_ON_FROM_VFORK) : state.answer;
}

/** Combinations that make no sense: EINVAL in the order of copy_process(). */
function checkFlags(task: Task, request: CloneRequest): number {
  const { flags } = request;
  const group = task.threadGroup;
  if ((flags & CLONE_NEWNS) !== 0 && (flags & CLONE_FS) !== 0) return -EINVAL;
  if ((flags & CLONE_NEWUSER) !== 0 && (flags & CLONE_FS) !== 0) return -EINVAL;
  if ((flags & CLONE_THREAD) !== 0 && (flags & CLONE_SIGHAND) === 0) return -EINVAL;
  if ((flags & CLONE_SIGHAND) !== 0 && (flags & CLONE_VM) === 0) return -EINVAL;
  // An init's siblings could never be reaped.
  if ((flags & CLONE_PARENT) !== 0 && group.isUnkillable) return -EINVAL;
  if ((flags & CLONE_THREAD) !== 0) {
    if ((flags & (CLONE_NEWUSER | CLONE_NEWPID)) !== 0) return -EINVAL;
    if (task.namespaces.pidForChildren !== task.pid.namespace) return -EINVAL;
    // Linux: pidfds of threads (PIDFD_THREAD) came with 6.9.
    if ((flags & CLONE_PIDFD) !== 0) return -EINVAL;
  }
  if ((flags & CLONE_SETTLS) !== 0 && request.tls >= task.mm.layout.end) return -EPERM;
  return 0;
}

function checkLimits(task: Task): number {
  const kernel = task.kernel;
  const { credentials } = task;
  const isExempt = credentials.uid === 0 || hasCapability(credentials, CAP_SYS_RESOURCE) ||
    hasCapability(credentials, CAP_SYS_ADMIN);
  const count = userAccount(kernel, credentials.uid).tasks;
  if (!isExempt && count >= task.threadGroup.limits.soft(RLIMIT_NPROC)) return -EAGAIN;
  // A process takes some of the host's descriptors.
  if (!kernel.descriptors.quota.hasRoom) return -EAGAIN;
  const { container } = task.threadGroup;
  const isFull = container.taskCount >= container.limits.tasksMax;
  if (kernel.tasks.size >= kernel.parameters.threadsMax) return -EAGAIN;
  if (!isFull && kernel.tasks.size < kernel.limits.tasksMax) return 0;
  const most = isFull ? container.limits.tasksMax : kernel.limits.tasksMax;
  kernel.notice(`Limit of tasks reached: ${most} tasks; no more are made`);
  return -EAGAIN;
}

/** An id for the child; with set_tid the ones asked for: alloc_pid(). */
function newPid(task: Task, namespace: PidNamespace, tids: readonly number[]): Pid | number {
  if (namespace.isClosed) return -ENOMEM;
  if (tids.length > namespace.level + 1) return -EINVAL;
  let at: PidNamespace | null = namespace;
  for (let i = 0; i < tids.length && at !== null; i++, at = at.parent) {
    const tid = tids[i];
    if (tid < 1 || tid >= task.kernel.parameters.pidMax) return -EINVAL;
    if (tid !== 1 && at.init === null) return -EINVAL;
    const isAllowed = hasCapability(task.credentials, CAP_SYS_ADMIN) ||
      hasCapability(task.credentials, CAP_CHECKPOINT_RESTORE);
    if (!isAllowed) return -EPERM;
    if (at.pids.has(tid)) return -EEXIST;
  }
  return allocatePid(namespace, task.kernel.parameters.pidMax, tids) ?? -EAGAIN;
}

function newChild(
  task: Task,
  request: CloneRequest,
  pid: Pid,
  thread: GuestThread,
  namespaces: TaskNamespaces,
  moved: MovedMounts,
): Task {
  const { flags } = request;
  const sharesMemory = (flags & CLONE_VM) !== 0;
  const mm = sharesMemory ? task.mm : task.mm.fork(thread);
  if (!sharesMemory) task.kernel.memory.grow(mm.areas.committedBytes);
  if (sharesMemory) mm.hold();
  const files = (flags & CLONE_FILES) !== 0 ? task.files : task.files.clone();
  if ((flags & CLONE_FILES) !== 0) files.hold();
  const fs = (flags & CLONE_FS) !== 0 ? task.fs : task.fs.clone();
  if ((flags & CLONE_FS) !== 0) fs.hold();
  else if (moved.size > 0) moveToMounts(fs, moved);
  const signals = new TaskSignals();
  signals.inherit(task.signals, !sharesMemory || (flags & CLONE_VFORK) !== 0);
  const group = (flags & CLONE_THREAD) !== 0 ? task.threadGroup : newGroup(task, request);
  const child = new Task(
    task.kernel,
    pid,
    group,
    thread,
    mm,
    task.credentials,
    files,
    fs,
    namespaces,
    signals,
  );
  child.name = task.name;
  child.seccomp = task.seccomp;
  child.personality = task.personality;
  child.scheduling = task.scheduling.forChild();
  // As the host has it: a copy of the address space keeps its area.
  if ((flags & CLONE_VM) === 0) {
    child.rseqAddress = task.rseqAddress;
    child.rseqLength = task.rseqLength;
    child.rseqSignature = task.rseqSignature;
  }
  if ((flags & CLONE_CHILD_CLEARTID) !== 0) child.clearChildTid = request.childTid;
  if ((flags & CLONE_THREAD) === 0) {
    group.leader = child;
    // The host process of a child that borrows our memory has our time on its clock.
    if (sharesMemory) group.cpuNanosBefore = -mm.space.cpuNanos();
  }
  return child;
}

function newGroup(task: Task, request: CloneRequest): ThreadGroup {
  const parent = task.threadGroup;
  const { flags } = request;
  let actions: SignalActions;
  if ((flags & CLONE_SIGHAND) !== 0) {
    actions = parent.actions;
    actions.references++;
  } else {
    actions = parent.actions.clone();
    if (request.clearsHandlers) actions.resetHandlers();
  }
  const isSibling = (flags & CLONE_PARENT) !== 0;
  const group = new ThreadGroup(
    parent.container,
    isSibling ? parent.parentTask : task,
    actions,
    parent.limits.clone(),
  );
  group.exitSignal = isSibling ? parent.exitSignal : request.exitSignal;
  group.oomScoreAdjust = parent.oomScoreAdjust;
  group.oomScoreAdjustMin = parent.oomScoreAdjustMin;
  group.processGroup = parent.processGroup;
  group.hasLeftTerminal = parent.hasLeftTerminal;
  return group;
}

/** The child is complete: it is seen by everyone and runs in this turn. */
function publish(child: Task): void {
  const group = child.threadGroup;
  const kernel = child.kernel;
  group.tasks.push(child);
  group.liveCount++;
  if (child === group.leader) {
    group.processGroup.members.add(group);
    group.parent?.children.add(group);
    if (child.pid.own === 1) {
      child.pid.namespace.init = group;
      group.isUnkillable = true;
    }
    watchCpuLimit(group);
  }
  userAccount(kernel, child.credentials.uid).tasks++;
  group.container.taskCount++;
  kernel.tasks.set(child.tid, child);
  child.signals.recalculate();
  kernel.ready.push(child);
}

/** Takes back a child that nobody has seen. */
function undo(child: Task): void {
  child.thread.owner = null;
  child.thread.exit();
  child.files.drop(child);
  child.fs.drop();
  child.namespaces.drop();
  child.mm.drop();
  if (child === child.threadGroup.leader) child.threadGroup.actions.references--;
  child.pid.task = null;
  child.pid.dropIfUnused();
}

/** What a container's first task is made of. */
export interface InitParts {
  readonly thread: GuestThread;
  readonly mm: MemoryMap;
  readonly credentials: Credentials;
  readonly files: FdTable;
  readonly fs: FsContext;
  readonly namespaces: TaskNamespaces;
  readonly limits: Rlimits;
}

/**
 * A task that boot starts in `container`, leader of its own session and group: its init, or when it has one a further process
 * (exec into it), whose death is its own affair. Its registers are still to be set (execute()); it runs once the caller puts
 * it into kernel.ready.
 */
export function createInitTask(container: Container, parts: InitParts): Task {
  const { kernel } = container;
  const pid = allocatePid(parts.namespaces.pidForChildren, kernel.parameters.pidMax);
  if (pid === null) throw new Error("No process id is free");
  const group = new ThreadGroup(container, null, new SignalActions(), parts.limits);
  const signals = new TaskSignals();
  const { thread, mm, credentials, files, fs, namespaces } = parts;
  const task = new Task(kernel, pid, group, thread, mm, credentials, files, fs, namespaces, signals);
  group.leader = task;
  const session = new Session(pid, group);
  group.processGroup = new ProcessGroup(pid, session);
  group.processGroup.members.add(group);
  group.tasks.push(task);
  group.liveCount = 1;
  if (pid.own === 1) {
    pid.namespace.init = group;
    group.isUnkillable = true;
  }
  container.init ??= group;
  container.taskCount++;
  userAccount(kernel, credentials.uid).tasks++;
  kernel.tasks.set(task.tid, task);
  return task;
}
