// Errors of ours in what the loop does besides calls: they kill whom they concern, and nobody else.

import { deepStrictEqual as same, match, strictEqual as equal } from "node:assert/strict";
import { Processes } from "../../tests/support/processes.ts";
import { FAMILIES } from "../syscalls/families.ts";
import type { Task } from "./task.ts";
import { LISTENER_ERRORS_MAX } from "../host/host_watch.ts";
import { HOST_READ } from "../host/host_descriptor.ts";

const GETPID = 39, EXIT_GROUP = 231, WAIT4 = 61;

function newProcesses() {
  const processes = new Processes(FAMILIES);
  const log: string[] = [];
  processes.kernel.log = (text) => void log.push(text);
  const parent = processes.fork(processes.init);
  const victim = processes.fork(parent);
  return { processes, log, parent, victim };
}

function waitsFor(processes: Processes, parent: Task): number {
  processes.syscall(parent, WAIT4, -1, 0, 1);
  return processes.answer(parent) as number;
}

Deno.test("an error in a deadline kills the task it concerns", () => {
  const { processes, log, parent, victim } = newProcesses();
  processes.kernel.deadlines.add({
    deadline: processes.now + 10,
    deadlineIndex: -1,
    onDeadline() {
      throw new Error("bug of ours");
    },
    taskConcerned: () => victim,
  });
  let isTold = false;
  processes.kernel.deadlines.add({
    deadline: processes.now + 10,
    deadlineIndex: -1,
    onDeadline: () => void (isTold = true),
  });
  processes.pass(100);
  equal(log.length, 1);
  match(log[0], new RegExp(`^Task ${victim.tid} .*deadlines: Error: bug of ours\\n.*at `));
  equal(isTold, true, "other deadlines");
  equal(waitsFor(processes, parent), victim.pid.own);
  equal(processes.syscall(parent, GETPID), parent.pid.own);
});

Deno.test("an error of a deadline that is nobody's kills nobody", () => {
  const { processes, log, victim } = newProcesses();
  processes.kernel.deadlines.add({
    deadline: processes.now + 10,
    deadlineIndex: -1,
    onDeadline() {
      throw new Error("bug of ours");
    },
  });
  processes.pass(100);
  match(log[0], /^deadlines: Error: bug of ours/);
  equal(processes.syscall(victim, GETPID), victim.pid.own);
});

Deno.test("an error in a listener to a host descriptor kills whom it concerns, and the last one ends the watch", () => {
  const { processes, log, parent, victim } = newProcesses();
  const { kernel, platform } = processes;
  const descriptor = kernel.descriptors.own(77, "made", HOST_READ, "a socket");
  kernel.watches.add(descriptor, 1, {
    onHostEvents() {
      throw new Error("bug of ours");
    },
    taskConcerned: () => victim,
  });
  platform.hostEvent(77, 1);
  processes.run();
  equal(log.length, 1);
  match(log[0], /a listener to a socket: Error: bug of ours/);
  equal(waitsFor(processes, parent), victim.pid.own);
  for (let i = 0; i < 2 * LISTENER_ERRORS_MAX; i++) {
    platform.hostEvent(77, 1);
    processes.run();
  }
  equal(log.length, LISTENER_ERRORS_MAX);
});

Deno.test("an error in one step of an end leaves the others to be taken", () => {
  const { processes, log, parent, victim } = newProcesses();
  victim.files.drop = () => {
    throw new Error("bug of ours");
  };
  const thread = victim.thread as unknown as { isEnded: boolean };
  processes.syscall(victim, EXIT_GROUP, 3);
  match(log[0], /its end: Error: bug of ours/);
  equal(thread.isEnded, true);
  equal(waitsFor(processes, parent), victim.pid.own);
  same([...processes.kernel.tasks.values()], [processes.init, parent]);
});

Deno.test("what is done outside of calls waits on the spot, for nobody could make it again", () => {
  const { processes, victim } = newProcesses();
  const { kernel, platform } = processes;
  const seen: [string, boolean][] = [];
  const note = (where: string) => seen.push([where, kernel.vfs.isIndivisible]);
  kernel.watches.add(kernel.descriptors.own(77, "made", HOST_READ, "a socket"), 1, {
    onHostEvents: () => note("listener"),
  });
  victim.files.drop = () => note("call");
  platform.hostEvent(77, 1);
  processes.run();
  processes.syscall(victim, EXIT_GROUP, 3);
  platform.hostEvent(77, 1);
  processes.run();
  same(seen, [["listener", true], ["call", false], ["listener", true]]);
});
