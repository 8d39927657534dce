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
const SENDER = "si_code=SI_USER, si_pid=1, si_uid=0";

function call(nr: number, args: Record<string, ArgKind>, run: SyscallSpec["run"] = () => 0): SyscallSpec {
  return { nr: { x64: nr }, args, returns: "int", support: FULL, run };
}

class Scene {
  readonly lines: string[] = [];
  readonly processes: Processes;
  readonly child;

  constructor(family: SyscallFamily, names: ReadonlySet<string> | null = null, isJson = false) {
    this.processes = new Processes([family, DESCRIPTOR_CALLS, PROCESS_CALLS, SIGNAL_CALLS]);
    const { kernel, table } = this.processes;
    this.child = this.processes.fork(this.processes.init);
    this.child.name = "guest";
    const { callHooks, clock } = kernel, sink = (line: string) => this.lines.push(line);
    kernel.witnesses.push(new Strace(callHooks, table, clock, names, { isJson, textMax: 32 }, sink));
  }
  call(number: number, ...values: number[]): number | typeof WAITS {
    return this.processes.syscall(this.child, number, ...values);
  }
  /** The lines since the last look, without times and the task. */
  take(): string[] {
    return this.lines.splice(0).map((line) =>
      line.replace(/^\d\d:\d\d:\d\d\.\d{6} /, "").replace(/ <\d+\.\d{6}>$/, "")
        .replace(`[${this.child.tid}] guest `, "")
    );
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
    ["uid", -1, "-1"],
    ["signal", 11, "SIGSEGV"],
    ["signal", 35, "SIGRT_3"],
    ["size", 2 ** 40, "1099511627776"],
    ["offset", -8, "-8"],
    ["long", -(2 ** 40), "-1099511627776"],
    ["word", 0x7fff_1234_5678, "0x7fff12345678"],
    ["word", 0, "NULL"],
    ["strings", 0x1000, "0x1000"],
    [{ in: 24 }, 0x1000, "0x1000"],
    [{ flags: FLAGS }, 0, "0"],
    [{ flags: FLAGS }, 0o101, "O_WRONLY|O_CREAT"],
    [{ flags: { O_DSYNC: 0o10000, O_SYNC: 0o4010000 } }, 0o4010000, "O_SYNC"],
    [{ flags: FLAGS }, 0o300, "O_CREAT|O_EXCL"],
    [{ flags: FLAGS }, 0x8000_0001, "O_WRONLY|0x80000000"],
    [{ values: WHENCE }, 1, "SEEK_CUR"],
    [{ values: WHENCE }, 9, "9"],
  ];
  for (const [kind, value, text] of rows) equal(shown(kind, value), text, `${JSON.stringify(kind)} ${value}`);
});

Deno.test("strace: strings are quoted, null and bad addresses show as such", () => {
  equal(shown("path", TEXT, "/etc/passwd"), '"/etc/passwd"');
  equal(shown("string", TEXT, 'a "quoted"\n'), '"a \\"quoted\\"\\n"');
  equal(shown("path", 0), "NULL");
  equal(shown("path", 8), "0x8");
  equal(shown("path", TEXT, "x".repeat(100)), `"${"x".repeat(100)}"`);
  equal(shown("path", TEXT, "\x01\x012\xff\t"), '"\\1\\0012\\377\\t"');
});

Deno.test("strace: results are numbers, addresses in hexadecimal, -1 and an errno's name, ? without one", () => {
  equal(result(0), "0");
  equal(result(0xffff_ffff), "4294967295");
  equal(result(0x7fff_0000_0000), "0x7fff00000000");
  equal(result(-EFAULT), "-1 EFAULT (Bad address)");
  equal(result(-15), "-1 ENOTBLK (Block device required)");
  equal(result(-4095), "-1 E4095");
  equal(result(-ERESTARTNOHAND), "? ERESTARTNOHAND (To be restarted if no handler)");
});

Deno.test("strace: a call without a spec shows by its number", () => {
  const scene = new Scene({});
  scene.call(499);
  deepEqual(scene.take(), ["syscall_499() = -1 ENOSYS (Function not implemented)"]);
});

Deno.test("strace: a call that waits has a line when it does and one with its answer, others come between", () => {
  const scene = new Scene({});
  const grandchild = scene.call(SYS.fork) as number;
  scene.take();
  equal(scene.call(SYS.wait4, -1, 0, 0, 0), WAITS);
  deepEqual(scene.take(), ["wait4(-1,  <unfinished ...>"]);
  scene.processes.syscall(scene.processes.kernel.tasks.get(grandchild)!, SYS.exit_group, 3);
  deepEqual(scene.take(), [
    `[${grandchild}] guest exit_group(3) = ?`,
    `[${grandchild}] guest +++ exited with 3 +++`,
    `<... wait4 resumed>NULL, 0, NULL) = ${grandchild}`,
  ]);
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
  const interrupted = [
    "? ERESTARTNOHAND (To be restarted if no handler)",
    `--- SIGUSR1 {si_signo=SIGUSR1, ${SENDER}} ---`,
  ];
  for (
    const [signal, name, end, event] of [
      [SIGUSR1, "SIGUSR1", ...interrupted],
      [SIGKILL, "SIGKILL", "?", "+++ killed by SIGKILL +++"],
    ] as const
  ) {
    equal(scene.call(SYS.pause), WAITS);
    processes.syscall(processes.init, SYS.kill, child.tid, signal);
    deepEqual(scene.take(), [
      "pause( <unfinished ...>",
      `[1] ${processes.init.name} kill(${child.tid}, ${name}) = 0`,
      `<... pause resumed>) = ${end}`,
      event,
    ]);
  }
});

Deno.test("strace: named calls alone have lines", () => {
  const scene = new Scene({}, new Set(["dup"]));
  scene.call(SYS.getpid);
  scene.call(SYS.kill, scene.child.tid, 0);
  scene.call(SYS.dup, 9);
  scene.call(499);
  deepEqual(scene.take(), ["dup(9) = -1 EBADF (Bad file descriptor)"]);
});

/** A call whose arguments are those of `args`, made with memory that begins with `bytes` at BASE. */
function shownCall(
  name: string,
  args: Record<string, ArgKind>,
  values: number[],
  bytes: number[] = [],
): string {
  const scene = new Scene({ [name]: call(ARGUMENT, args, () => 2) });
  const memory = scene.processes.memory(scene.child);
  bytes.forEach((byte, i) => memory.setUint8(i, byte));
  scene.call(ARGUMENT, ...values);
  return scene.take()[0];
}

function longs(...words: number[]): number[] {
  return words.flatMap((word) => [...new Uint8Array(BigInt64Array.of(BigInt(word)).buffer)]);
}

Deno.test("strace: structures read as strace(1) shows them", () => {
  const rows: [string, Record<string, ArgKind>, number[], number[], string][] = [
    ["nanosleep", { req: { in: 16 } }, [BASE], longs(3, 500), "{tv_sec=3, tv_nsec=500}"],
    [
      "setitimer",
      { new_value: { in: 32 } },
      [BASE],
      longs(0, 0, 1, 2),
      "{it_interval={tv_sec=0, tv_usec=0}, it_value={tv_sec=1, tv_usec=2}}",
    ],
    ["some", { set: { in: 8 } }, [BASE], longs(0x401), "[HUP SEGV]"],
    ["some", { mask: { in: 8 } }, [BASE], longs(-3), "~[INT]"],
    ["setrlimit", { rlim: { in: 16 } }, [BASE], longs(1024, -1), "{rlim_cur=1024, rlim_max=RLIM64_INFINITY}"],
    ["pipe", { pipefd: { out: 8 } }, [BASE], [3, 0, 0, 0, 4, 0, 0, 0], "[3, 4]"],
    [
      "connect",
      { addr: { inBuffer: "addrlen" }, addrlen: "int" },
      [BASE, 16],
      [2, 0, 31, 144, 127, 0, 0, 1],
      '{sa_family=AF_INET, sin_port=htons(8080), sin_addr=inet_addr("127.0.0.1")}, 16',
    ],
    [
      "bind",
      { addr: { inBuffer: "addrlen" }, addrlen: "int" },
      [BASE, 5],
      [1, 0, 47, 97, 0],
      '{sa_family=AF_UNIX, sun_path="/a"}, 5',
    ],
    [
      "poll",
      { fds: { inBuffer: "nfds", unit: 8 }, nfds: "uint" },
      [BASE, 1],
      [7, 0, 0, 0, 5, 0, 0, 0],
      "[{fd=7, events=POLLIN|POLLOUT}], 1",
    ],
    ["some", { wstatus: { out: 4 } }, [BASE], [0, 3, 0, 0], "[{WIFEXITED(s) && WEXITSTATUS(s) == 3}]"],
    ["some", { wstatus: { out: 4 } }, [BASE], [9, 0, 0, 0], "[{WIFSIGNALED(s) && WTERMSIG(s) == SIGKILL}]"],
    ["access", { pathname: "word", mode: "int" }, [0, 4], [], "NULL, R_OK"],
    ["access", { pathname: "word", mode: "int" }, [0, 0], [], "NULL, F_OK"],
    [
      "write",
      { buf: { inBuffer: "count" }, count: "size" },
      [BASE, 40],
      Array(40).fill(65),
      `"${"A".repeat(32)}"..., 40`,
    ],
    ["read", { buf: { outBuffer: "count" }, count: "size" }, [BASE, 40], [104, 105, 33], '"hi", 40'],
    ["read", { buf: { outBuffer: "count" }, count: "size" }, [8, 40], [], "0x8, 40"],
  ];
  for (const [name, args, values, bytes, text] of rows) {
    equal(shownCall(name, args, values, bytes), `${name}(${text}) = 2`);
  }
});

Deno.test("strace: as JSON a call, a signal and an end are an object each", () => {
  const scene = new Scene({}, null, true);
  const { child, processes } = scene;
  scene.call(SYS.dup, 9);
  equal(scene.call(SYS.pause), WAITS);
  processes.syscall(processes.init, SYS.kill, child.tid, SIGKILL);
  const objects = scene.lines.map((line) => JSON.parse(line));
  for (const { time } of objects) equal(/^\d\d:\d\d:\d\d\.\d{6}$/.test(time), true, time);
  const plain = objects.map(({ time: _, seconds: __, ...rest }) => rest);
  const own = { tid: child.tid, pid: child.tid, comm: "guest" };
  const first = { tid: 1, pid: 1, comm: processes.init.name };
  deepEqual(plain, [
    { ...own, event: "call", name: "dup", args: ["9"], result: -1, errno: "EBADF" },
    { ...first, event: "call", name: "kill", args: [String(child.tid), "SIGKILL"], result: 0 },
    { ...own, event: "call", name: "pause", args: [], result: null },
    { ...own, event: "exit", status: SIGKILL, text: "killed by SIGKILL" },
  ]);
});
