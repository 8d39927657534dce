// The text of strace: how each kind of argument and each result reads, which calls have lines, and how a wait looks.

import { deepEqual, equal } from "node:assert/strict";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import { EFAULT, ERESTARTNOHAND } from "../abi/errno.ts";
import { DESCRIPTOR_CALLS } from "../syscalls/descriptor.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import { type ArgKind, FULL, type SyscallFamily, type SyscallSpec } from "../syscalls/table.ts";
import { Strace } from "./strace.ts";

const SIGUSR1 = 10, SIGKILL = 9, SA_RESTORER = 0x0400_0000;
const SYS = {
  rt_sigaction: 13,
  dup: 32,
  pause: 34,
  getpid: 39,
  fork: 57,
  wait4: 61,
  kill: 62,
  exit_group: 231,
};
/** Numbers of the calls that the tests make up. */
const ARGUMENT = 500, RESULT = 501;
const TEXT = BASE + 0x1000;
const AT_FDCWD = -100;

function call(nr: number, args: Record<string, ArgKind>, run: SyscallSpec["run"] = () => 0): SyscallSpec {
  return { nr: { x64: nr }, args, returns: "int", support: FULL, run };
}

class Scene {
  readonly lines: string[] = [];
  readonly processes: Processes;
  readonly child;

  constructor(family: SyscallFamily, names: ReadonlySet<string> | null = null) {
    this.processes = new Processes([family, DESCRIPTOR_CALLS, PROCESS_CALLS, SIGNAL_CALLS]);
    const { kernel, table } = this.processes;
    this.child = this.processes.fork(this.processes.init);
    this.child.name = "guest";
    new Strace(kernel.callHooks, table, names, (line) => this.lines.push(line));
  }
  call(number: number, ...values: number[]): number | typeof WAITS {
    return this.processes.syscall(this.child, number, ...values);
  }
  /** The lines since the last look, without the task. */
  take(): string[] {
    return this.lines.splice(0).map((line) => line.replace(`[${this.child.tid}] guest `, ""));
  }
  putText(text: string): void {
    const memory = this.processes.memory(this.child);
    [...`${text}\0`].forEach((c, i) => memory.setUint8(TEXT - BASE + i, c.charCodeAt(0)));
  }
}

/** How one argument of that kind reads. */
function shown(kind: ArgKind, value: number, text = "some text"): string {
  const scene = new Scene({ one: call(ARGUMENT, { a: kind }) });
  scene.putText(text);
  scene.call(ARGUMENT, value);
  const [line] = scene.take();
  return line.slice("one(".length, -") = 0".length);
}

/** How that result reads. */
function result(value: number): string {
  const scene = new Scene({ one: call(RESULT, {}, () => value) });
  scene.call(RESULT);
  return scene.take()[0].slice("one() = ".length);
}

Deno.test("strace: each kind of argument reads as strace(1) shows it", () => {
  const FLAGS = { O_RDONLY: 0, O_WRONLY: 1, O_CREAT: 0o100, O_EXCL: 0o200 };
  const WHENCE = { SEEK_SET: 0, SEEK_CUR: 1 };
  const rows: [ArgKind, number, string][] = [
    ["int", -1, "-1"],
    ["int", 0xffff_ffff, "-1"],
    ["uint", 0xffff_ffff, "4294967295"],
    ["fd", 7, "7"],
    ["fd", -1, "-1"],
    ["dirfd", AT_FDCWD, "AT_FDCWD"],
    ["dirfd", 3, "3"],
    ["pid", -5, "-5"],
    ["mode", 0o644, "0644"],
    ["mode", 0, "000"],
    ["mode", 0o7, "007"],
    ["uid", -1, "4294967295"],
    ["size", 2 ** 40, "1099511627776"],
    ["offset", -8, "-8"],
    ["long", -(2 ** 40), "-1099511627776"],
    ["word", 0x7fff_1234_5678, "0x7fff12345678"],
    ["strings", 0x1000, "0x1000"],
    [{ in: 16 }, 0x1000, "0x1000"],
    [{ flags: FLAGS }, 0, "0"],
    [{ flags: FLAGS }, 0o101, "O_WRONLY|O_CREAT"],
    [{ flags: FLAGS }, 0o300, "O_CREAT|O_EXCL"],
    [{ flags: FLAGS }, 0x8000_0001, "O_WRONLY|0x80000000"],
    [{ values: WHENCE }, 1, "SEEK_CUR"],
    [{ values: WHENCE }, 9, "9"],
  ];
  for (const [kind, value, text] of rows) equal(shown(kind, value), text, `${JSON.stringify(kind)} ${value}`);
});

Deno.test("strace: strings are quoted and cut, null and bad addresses show as such", () => {
  equal(shown("path", TEXT, "/etc/passwd"), '"/etc/passwd"');
  equal(shown("string", TEXT, 'a "quoted"\n'), '"a \\"quoted\\"\\n"');
  equal(shown("path", 0), "NULL");
  equal(shown("path", 8), "0x8");
  equal(shown("path", TEXT, "x".repeat(100)), `"${"x".repeat(64)}"`);
});

Deno.test("strace: results are numbers, addresses in hexadecimal, -1 and an errno's name, ? without one", () => {
  equal(result(0), "0");
  equal(result(0xffff_ffff), "4294967295");
  equal(result(0x7fff_0000_0000), "0x7fff00000000");
  equal(result(-EFAULT), "-1 EFAULT");
  equal(result(-15), "-1 ENOTBLK");
  equal(result(-4095), "-1 E4095");
  equal(result(-ERESTARTNOHAND), "? ERESTARTNOHAND");
});

Deno.test("strace: a call without a spec shows by its number", () => {
  const scene = new Scene({});
  scene.call(499);
  deepEqual(scene.take(), ["syscall_499() = -1 ENOSYS"]);
});

Deno.test("strace: a call that waits has a line when it does and one with its answer, others come between", () => {
  const scene = new Scene({});
  const grandchild = scene.call(SYS.fork) as number;
  scene.take();
  equal(scene.call(SYS.wait4, -1, 0, 0, 0), WAITS);
  deepEqual(scene.take(), ["wait4(-1, 0x0, 0, 0x0) <unfinished ...>"]);
  scene.processes.syscall(scene.processes.kernel.tasks.get(grandchild)!, SYS.exit_group, 3);
  deepEqual(scene.take(), [`[${grandchild}] guest exit_group(3) = ?`, `<... wait4 resumed> = ${grandchild}`]);
});

Deno.test("strace: a signal that ends a wait shows the restart code, as strace(1) does; death shows none", () => {
  const scene = new Scene({});
  const { child, processes } = scene;
  const memory = processes.memory(child);
  [0x41_0000n, BigInt(SA_RESTORER), 0x42_0000n, 0n].forEach((word, i) =>
    memory.setBigUint64(8 * i, word, true)
  );
  scene.call(SYS.rt_sigaction, SIGUSR1, BASE, 0, 8);
  scene.take();
  for (const [signal, end] of [[SIGUSR1, "? ERESTARTNOHAND"], [SIGKILL, "?"]] as const) {
    equal(scene.call(SYS.pause), WAITS);
    processes.syscall(processes.init, SYS.kill, child.tid, signal);
    deepEqual(scene.take(), [
      "pause() <unfinished ...>",
      `[1] ${processes.init.name} kill(${child.tid}, ${signal}) = 0`,
      `<... pause resumed> = ${end}`,
    ]);
  }
});

Deno.test("strace: named calls alone have lines", () => {
  const scene = new Scene({}, new Set(["dup"]));
  scene.call(SYS.getpid);
  scene.call(SYS.kill, scene.child.tid, 0);
  scene.call(SYS.dup, 9);
  scene.call(499);
  deepEqual(scene.take(), ["dup(9) = -1 EBADF"]);
});
