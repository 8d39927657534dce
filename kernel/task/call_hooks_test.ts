// Listeners hear the beginning and the end of every call: also of one that waits, that nobody declared, or that never returns.

import { deepEqual, equal } from "node:assert/strict";
import { ERESTARTSYS } from "../abi/errno.ts";
import { SIGKILL, SIGUSR1 } from "../abi/signal.ts";
import { FAMILIES } from "../syscalls/families.ts";
import { SyscallTable } from "../syscalls/dispatch.ts";
import { SYSCALLS_MAX } from "../syscalls/table.ts";
import { Strace } from "../trace/strace.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import type { CallListener } from "./call_hooks.ts";
import { NO_RESULT } from "./call_in_flight.ts";
import type { Task } from "./task.ts";

const SYS_read = 0, SYS_write = 1, SYS_pipe = 22, SYS_getpid = 39, SYS_kill = 62, SYS_exit_group = 231;
const SYS_rt_sigaction = 13, SYS_unknown = 400;
const AT = BASE + 64;

class Notes implements CallListener {
  readonly lines: string[] = [];
  onEnter(task: Task): void {
    this.lines.push(`${task.call.number} enters`);
  }
  onWait(task: Task): void {
    this.lines.push(`${task.call.number} waits`);
  }
  onExit(task: Task, result: number): void {
    this.lines.push(`${task.call.number} = ${result === NO_RESULT ? "nothing" : result}`);
  }
  take(): string[] {
    return this.lines.splice(0);
  }
}

function listened(wants: (number: number) => boolean = () => true) {
  const processes = new Processes(FAMILIES);
  const main = processes.fork(processes.init);
  const other = processes.thread(main);
  equal(processes.syscall(main, SYS_pipe, AT), 0);
  const memory = processes.memory(main);
  const notes = new Notes();
  processes.kernel.callHooks.listen(notes, wants);
  return {
    processes,
    main,
    other,
    notes,
    reader: memory.getInt32(AT - BASE, true),
    writer: memory.getInt32(AT - BASE + 4, true),
  };
}

Deno.test("a listener hears a call that answers at once, and one that waits", () => {
  const { processes, main, other, notes, reader, writer } = listened();
  const pid = processes.syscall(main, SYS_getpid);
  deepEqual(notes.take(), ["39 enters", `39 = ${pid}`]);
  equal(processes.syscall(other, SYS_read, reader, AT, 1), WAITS);
  deepEqual(notes.take(), ["0 enters", "0 waits"]);
  processes.syscall(main, SYS_write, writer, AT, 1);
  equal(processes.answer(other), 1);
  deepEqual(notes.take(), ["1 enters", "1 = 1", "0 = 1"]);
});

Deno.test("a listener hears what a signal makes of a call, and of one whose task is killed", () => {
  const { processes, main, other, notes, reader } = listened((number) => number === SYS_read);
  processes.memory(main).setBigUint64(128, 0x40_0000n, true);
  processes.memory(main).setBigUint64(136, 0x0400_0000n, true);
  equal(processes.syscall(main, SYS_rt_sigaction, SIGUSR1, BASE + 128, 0, 8), 0);
  equal(processes.syscall(main, SYS_read, reader, AT, 1), WAITS);
  processes.syscall(other, SYS_kill, main.threadGroup.tgid, SIGUSR1);
  deepEqual(notes.take(), ["0 enters", "0 waits", `0 = ${-ERESTARTSYS}`]);
  equal(processes.syscall(main, SYS_read, reader, AT, 1), WAITS);
  processes.syscall(processes.init, SYS_kill, main.threadGroup.tgid, SIGKILL);
  deepEqual(notes.take(), ["0 enters", "0 waits", "0 = nothing"]);
});

Deno.test("a listener hears a call that never returns, and nothing once it is silenced", () => {
  const { processes, main, notes } = listened();
  processes.kernel.callHooks.silence(notes);
  processes.syscall(main, SYS_getpid);
  deepEqual(notes.take(), []);
  processes.kernel.callHooks.listen(notes, (number) => number === SYS_exit_group);
  processes.syscall(main, SYS_exit_group, 3);
  deepEqual(notes.take(), ["231 enters", "231 = nothing"]);
});

Deno.test("calls that no table knows are counted, all beyond the table as one", () => {
  const { processes, main } = listened();
  for (const number of [SYS_unknown, SYS_unknown, SYSCALLS_MAX, SYSCALLS_MAX + 7, 0xffff_ffff, SYS_getpid]) {
    processes.syscall(main, number);
  }
  deepEqual([...processes.kernel.coverage.calls], [[SYS_unknown, 2], [SYSCALLS_MAX, 3]]);
});

Deno.test("strace writes one line for a call, two for one that waits", () => {
  const { processes, main, other, reader, writer } = listened(() => false);
  const lines: string[] = [];
  const { callHooks, clock } = processes.kernel, style = { isJson: false, textMax: 32 };
  new Strace(callHooks, new SyscallTable(FAMILIES), clock, null, style, (line) => lines.push(line));
  processes.syscall(other, SYS_read, reader, AT, 1);
  processes.syscall(main, SYS_write, writer, AT, 1);
  processes.syscall(main, SYS_unknown);
  processes.syscall(main, SYS_exit_group, 3);
  const [a, b] = [`[${main.tid}] `, `[${other.tid}] `];
  deepEqual(lines.map((line) => line.replace(/^\S+ /, "").replace(/ <[\d.]+>$/, "")), [
    `${b} read(${reader},  <unfinished ...>`,
    `${a} write(${writer}, "\\0", 1) = 1`,
    `${b} <... read resumed>"\\0", 1) = 1`,
    `${a} syscall_400() = -1 ENOSYS (Function not implemented)`,
    `${a} exit_group(3) = ?`,
  ]);
});
