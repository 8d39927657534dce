// Ends of processes and who hears of them: wait options, reparenting, orphaned groups, namespaces, clone's refusals.

import { equal } from "node:assert/strict";
import { EAGAIN, ECHILD, EINVAL, EPERM } from "../abi/errno.ts";
import { NAMESPACE_CALLS } from "../syscalls/namespace.ts";
import { PRCTL_CALLS } from "../syscalls/prctl.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import type { FakeThread } from "../../tests/support/fake_platform.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import { type Task, TaskState } from "./task.ts";

const SYS = {
  sigaction: 13,
  pause: 34,
  getpid: 39,
  clone: 56,
  vfork: 58,
  exit: 60,
  wait4: 61,
  kill: 62,
  setpgid: 109,
  getppid: 110,
  setsid: 112,
  prctl: 157,
  exit_group: 231,
  waitid: 247,
  unshare: 272,
};
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x100_0000;
const WCLONE = 0x8000_0000;
const WALL = 0x4000_0000;
const SIGCHLD = 17;

function newProcesses(): Processes {
  return new Processes([PROCESS_CALLS, SIGNAL_CALLS, PRCTL_CALLS, NAMESPACE_CALLS]);
}
function statusOf(processes: Processes, task: Task): number {
  return processes.memory(task).getInt32(0, true);
}
function setAction(processes: Processes, task: Task, signal: number, handler: number, flags = 0): void {
  const memory = processes.memory(task);
  memory.setBigUint64(128, BigInt(handler), true);
  memory.setBigUint64(136, BigInt(flags), true);
  memory.setBigUint64(152, 0n, true);
  processes.syscall(task, SYS.sigaction, signal, BASE + 128, 0, 8);
}

Deno.test("wait4 answers ECHILD without children, 0 with WNOHANG while they live, else the dead one's id", () => {
  const processes = newProcesses();
  const { init } = processes;
  equal(processes.syscall(init, SYS.wait4, -1, BASE, 0, 0), -ECHILD);
  const child = processes.fork(init);
  equal(processes.syscall(init, SYS.wait4, -1, BASE, WNOHANG, 0), 0);
  equal(processes.syscall(init, SYS.wait4, child.tid + 1, BASE, 0, 0), -ECHILD);
  equal(processes.syscall(init, SYS.wait4, -1, BASE, 0, 0), WAITS);
  processes.syscall(child, SYS.exit_group, 300);
  equal(processes.answer(init), child.tid);
  equal(statusOf(processes, init), (300 & 0xff) << 8);
  equal(child.state, TaskState.Dead);
  equal(processes.kernel.tasks.size, 1);
  equal((child.mm.space as unknown as { isReleased: boolean }).isReleased, true);
});

Deno.test("waitid with WNOWAIT leaves the child to be waited for again", () => {
  const processes = newProcesses();
  const { init } = processes;
  const child = processes.fork(init);
  processes.syscall(child, SYS.exit_group, 5);
  const P_PID = 1;
  for (let i = 0; i < 2; i++) {
    equal(processes.syscall(init, SYS.waitid, P_PID, child.tid, BASE, WEXITED | WNOWAIT, 0), 0);
    const memory = processes.memory(init);
    equal([0, 8, 16, 24].map((at) => memory.getInt32(at, true)).join(), [SIGCHLD, 1, child.tid, 5].join());
  }
  equal(processes.syscall(init, SYS.wait4, child.tid, 0, 0, 0), child.tid);
  equal(processes.syscall(init, SYS.waitid, P_PID, child.tid, BASE, WEXITED, 0), -ECHILD);
  equal(processes.syscall(init, SYS.waitid, P_PID, child.tid, BASE, 0, 0), -EINVAL);
});

Deno.test("__WCLONE waits for children with another exit signal than SIGCHLD, __WALL for all", () => {
  const processes = newProcesses();
  const { init } = processes;
  const tid = processes.syscall(init, SYS.clone, 0, 0, 0, 0, 0) as number;
  equal(processes.syscall(init, SYS.wait4, -1, BASE, WNOHANG, 0), -ECHILD);
  equal(processes.syscall(init, SYS.wait4, -1, BASE, WNOHANG | WCLONE, 0), 0);
  processes.syscall(processes.kernel.tasks.get(tid)!, SYS.exit_group, 0);
  equal(processes.syscall(init, SYS.wait4, -1, BASE, WALL, 0), tid);
});

Deno.test("children of a parent that ignores SIGCHLD, or has SA_NOCLDWAIT, are reaped at once", () => {
  for (const [handler, flags] of [[1, 0], [0, 2]]) {
    const processes = newProcesses();
    setAction(processes, processes.init, SIGCHLD, handler, flags);
    const child = processes.fork(processes.init);
    equal(processes.syscall(processes.init, SYS.wait4, -1, BASE, 0, 0), WAITS);
    processes.syscall(child, SYS.exit_group, 0);
    equal(child.state, TaskState.Dead);
    equal(processes.answer(processes.init), -ECHILD);
  }
});

Deno.test("orphans go to the nearest subreaper, else to init; the death signal tells them", () => {
  const processes = newProcesses();
  const reaper = processes.fork(processes.init);
  const PR_SET_PDEATHSIG = 1, PR_SET_CHILD_SUBREAPER = 36;
  processes.syscall(reaper, SYS.prctl, PR_SET_CHILD_SUBREAPER, 1);
  const parent = processes.fork(reaper);
  const first = processes.fork(parent);
  const second = processes.fork(parent);
  processes.syscall(second, SYS.prctl, PR_SET_PDEATHSIG, 15);
  processes.syscall(parent, SYS.exit_group, 0);
  equal(processes.syscall(first, SYS.getppid), reaper.tid);
  equal(second.threadGroup.exitStatus, 15);
  processes.syscall(reaper, SYS.exit_group, 0);
  equal(processes.syscall(first, SYS.getppid), 1);
  // Their zombies came along and are init's to wait for.
  equal(processes.syscall(processes.init, SYS.wait4, second.tid, BASE, 0, 0), second.tid);
});

Deno.test("the leader that exits first is a zombie until the last thread has gone", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const other = processes.thread(child);
  processes.syscall(child, SYS.exit, 7);
  equal(child.state, TaskState.Zombie);
  equal(processes.syscall(processes.init, SYS.wait4, -1, BASE, WNOHANG, 0), 0);
  processes.syscall(other, SYS.exit, 9);
  equal(processes.syscall(processes.init, SYS.wait4, -1, BASE, WNOHANG, 0), child.tid);
  equal(statusOf(processes, processes.init), 7 << 8, "the leader's status counts");
});

Deno.test("exit_group ends threads that run guest code without waiting for them", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const other = processes.thread(child);
  processes.syscall(child, SYS.exit_group, 3);
  equal(other.hasExited, true);
  equal((child.mm.space as unknown as { isReleased: boolean }).isReleased, true);
  equal(processes.syscall(processes.init, SYS.wait4, -1, BASE, 0, 0), child.tid);
});

Deno.test("the last thread that waits takes the memory from those that run guest code", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const other = processes.thread(child);
  processes.syscall(child, SYS.pause);
  equal(processes.answer(child), WAITS);
  processes.syscall(processes.init, SYS.kill, child.tid, 9);
  equal((child.mm.space as unknown as { isReleased: boolean }).isReleased, true);
  equal((other.thread as unknown as FakeThread).isEnded, false, "its host process has gone as a whole");
});

Deno.test("a thread that shares memory with another process lets go only when its host thread has stopped", () => {
  const processes = newProcesses();
  const CLONE_VM = 0x100;
  const child = processes.fork(processes.init);
  const tid = processes.syscall(child, SYS.clone, CLONE_VM | SIGCHLD, BASE + 0x8_0000) as number;
  const sharer = processes.kernel.tasks.get(tid)!;
  const { mm } = child;
  const thread = child.thread as FakeThread;
  processes.syscall(processes.init, SYS.kill, child.tid, 9);
  equal(child.hasExited, true);
  processes.run();
  equal(thread.isEnded, true);
  equal(mm.references, 1);
  equal(processes.syscall(sharer, SYS.getpid), tid);
});

Deno.test("vfork waits for the child's exit and hears nothing but SIGKILL meanwhile", () => {
  const processes = newProcesses();
  const parent = processes.fork(processes.init);
  equal(processes.syscall(parent, SYS.vfork), WAITS);
  const child = [...processes.kernel.tasks.values()].pop()!;
  equal(child.mm === parent.mm, true);
  setAction(processes, child, 10, 0);
  processes.syscall(child, SYS.exit, 4);
  equal(processes.answer(parent), child.tid);
  const again = processes.fork(processes.init);
  equal(processes.syscall(again, SYS.vfork), WAITS);
  processes.syscall(processes.init, SYS.kill, again.tid, 9);
  equal(again.hasExited, true);
});

Deno.test("a stopped group that is orphaned is hung up and continued", () => {
  const processes = newProcesses();
  const shell = processes.fork(processes.init);
  processes.syscall(shell, SYS.setsid);
  const job = processes.fork(shell);
  processes.syscall(job, SYS.setpgid, 0, 0);
  processes.syscall(shell, SYS.kill, job.tid, 19);
  equal(job.state, TaskState.Stopped);
  processes.syscall(shell, SYS.exit_group, 0);
  equal(job.threadGroup.exitStatus, 1, "SIGHUP");
});

Deno.test("clone refuses what makes no sense", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  const VM = 0x100,
    FS = 0x200,
    SIGHAND = 0x800,
    PARENT = 0x8000,
    THREAD = 0x1_0000,
    NEWNS = 0x2_0000,
    NEWPID = 0x2000_0000;
  for (const flags of [THREAD, SIGHAND, THREAD | SIGHAND, NEWNS | FS, THREAD | SIGHAND | VM | NEWPID]) {
    equal(processes.syscall(child, SYS.clone, flags, 0), -EINVAL);
  }
  equal(processes.syscall(processes.init, SYS.clone, PARENT, 0), -EINVAL, "no siblings of an init");
});

Deno.test("tasksMax stops a fork bomb", () => {
  const processes = newProcesses();
  let last: number | typeof WAITS = 0;
  for (let i = 0; i < 70 && last !== -EAGAIN; i++) last = processes.syscall(processes.init, 57);
  equal(last, -EAGAIN);
  equal(processes.kernel.tasks.size, 64);
});

Deno.test("a new PID namespace has an init of its own, which takes everyone with it", () => {
  const processes = newProcesses();
  const CLONE_NEWPID = 0x2000_0000;
  const tid = processes.syscall(processes.init, SYS.clone, CLONE_NEWPID | SIGCHLD, 0) as number;
  const inner = processes.kernel.tasks.get(tid)!;
  equal(processes.syscall(inner, SYS.getpid), 1);
  equal(processes.syscall(inner, SYS.getppid), 0);
  equal(processes.syscall(inner, 57), 2);
  const grandchild = [...processes.kernel.tasks.values()].pop()!;
  processes.syscall(inner, SYS.exit_group, 6);
  equal(grandchild.hasExited, true);
  equal(processes.syscall(processes.init, SYS.wait4, -1, BASE, 0, 0), tid);
  equal(processes.kernel.tasks.size, 1);
});

Deno.test("the sandbox's status is init's, and its end leaves nobody", () => {
  const processes = newProcesses();
  const child = processes.fork(processes.init);
  processes.fork(child);
  processes.syscall(processes.init, SYS.exit_group, 42);
  equal(processes.kernel.exitStatus, 42 << 8);
  equal([...processes.kernel.tasks.values()].every((task) => task.hasExited), true);
});

Deno.test("setsid and setpgid keep groups within their session", () => {
  const processes = newProcesses();
  const leader = processes.fork(processes.init);
  equal(processes.syscall(leader, SYS.setsid), leader.tid);
  equal(processes.syscall(leader, SYS.setsid), -EPERM);
  equal(processes.syscall(leader, SYS.setpgid, 0, 0), -EPERM, "a session leader stays");
  const member = processes.fork(leader);
  equal(processes.syscall(leader, SYS.setpgid, member.tid, member.tid), 0);
  equal(processes.syscall(member, SYS.setpgid, 0, 1), -EPERM, "another session's group");
  equal(processes.syscall(member, SYS.setsid), -EPERM, "it leads a group");
});
