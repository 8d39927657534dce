// Every call that waits can be described by plain data, and gives back what it holds when its task is killed.

import { deepEqual, equal, ok } from "node:assert/strict";
import { F_OFD_SETLKW, F_SETLKW, F_WRLCK, LOCK_EX, O_CREAT, O_RDWR, POLLIN, S_IFIFO } from "../abi/file.ts";
import { SIGKILL } from "../abi/signal.ts";
import { TMPFS_TYPE } from "../fs/tmpfs.ts";
import { openFifo } from "../ipc/fifo.ts";
import { CONTINUATIONS } from "../syscalls/continuations.ts";
import { SyscallTable } from "../syscalls/dispatch.ts";
import { FAMILIES } from "../syscalls/families.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import { TEST_BLOCKED, VfsTask } from "../../tests/support/vfs_task.ts";
import { describeWait, type WaitDescription } from "./describe_wait.ts";
import type { Task } from "./task.ts";
import type { WaitState } from "./wait_state.ts";

const table = new SyscallTable(FAMILIES, CONTINUATIONS);
const numbers = new Map<string, number>();
for (const family of FAMILIES) {
  for (const [name, spec] of Object.entries(family)) numbers.set(name, spec.nr.x64);
}
const handlers = new Map(
  FAMILIES.flatMap((family) => Object.entries(family)).map(([name, { run }]) => [name, run]),
);

/** Places in guest memory. */
const AT = BASE + 0x1000, TIME = BASE + 0x2000, LIST = BASE + 0x3000, BUFFER = BASE + 0x4000;

class Caller {
  readonly processes = new Processes(FAMILIES);
  readonly task: Task = this.processes.fork(this.processes.init);
  readonly memory = this.processes.memory(this.task);

  call(name: string, ...values: number[]): number | typeof WAITS {
    return this.processes.syscall(this.task, numbers.get(name)!, ...values);
  }
  /** The two descriptors that `name` makes. */
  pair(name: string, ...values: number[]): [number, number] {
    equal(this.call(name, ...values), 0);
    return [this.put(0), this.put(4)];
  }
  put(offset: number): number {
    return this.memory.getInt32(AT - BASE + offset, true);
  }
  set32(address: number, value: number): void {
    this.memory.setInt32(address - BASE, value, true);
  }
  set64(address: number, value: number): void {
    this.memory.setBigInt64(address - BASE, BigInt(value), true);
  }
  pipe(): [number, number] {
    return this.pair("pipe2", AT, 0);
  }
  sockets(): [number, number] {
    return this.pair("socketpair", 1, 1, 0, AT);
  }
  /** A timespec of 1000 seconds. */
  time(): number {
    this.set64(TIME, 1000);
    this.set64(TIME + 8, 0);
    return TIME;
  }
  listener(): number {
    const fd = this.call("socket", 1, 1, 0) as number;
    // The abstract name "\0x".
    this.memory.setUint16(LIST - BASE, 1, true);
    this.set32(LIST + 2, 0x7800);
    equal(this.call("bind", fd, LIST, 4), 0);
    equal(this.call("listen", fd, 0), 0);
    return fd;
  }
}

interface Wait {
  readonly kind: WaitState["kind"];
  /** Files it holds. */
  readonly files: number;
  readonly make: (c: Caller) => number | typeof WAITS;
  /** It has a deadline. */
  readonly isTimed?: true;
}

const WAITS_BY_CALL: Readonly<Record<string, Wait>> = {
  read: { kind: "transfer", files: 1, make: (c) => c.call("read", c.pipe()[0], BUFFER, 1) },
  readv: {
    kind: "transfer",
    files: 1,
    make: (c) => {
      const [fd] = c.pipe();
      c.set64(LIST, BUFFER);
      c.set64(LIST + 8, 1);
      return c.call("readv", fd, LIST, 1);
    },
  },
  write: {
    kind: "transfer",
    files: 1,
    make: (c) => {
      const [, fd] = c.pipe();
      equal(c.call("write", fd, BUFFER, 65536), 65536);
      return c.call("write", fd, BUFFER, 1);
    },
  },
  splice: {
    kind: "transfer",
    files: 2,
    make: (c) => {
      const [from] = c.pipe(), [, to] = c.pipe();
      return c.call("splice", from, 0, to, 0, 1, 0);
    },
  },
  tee: {
    kind: "transfer",
    files: 2,
    make: (c) => {
      const [from] = c.pipe(), [, to] = c.pipe();
      return c.call("tee", from, to, 1, 0);
    },
  },
  "read of an eventfd": {
    kind: "transfer",
    files: 1,
    make: (c) => c.call("read", c.call("eventfd2", 0, 0) as number, BUFFER, 8),
  },
  recvfrom: {
    kind: "transfer",
    files: 1,
    make: (c) => c.call("recvfrom", c.sockets()[0], BUFFER, 1, 0, 0, 0),
  },
  sendto: {
    kind: "transfer",
    files: 1,
    make: (c) => {
      const [fd] = c.sockets();
      for (let sent = 1; sent > 0;) sent = c.call("sendto", fd, BUFFER, 4096, 0x40, 0, 0) as number;
      return c.call("sendto", fd, BUFFER, 4096, 0, 0, 0);
    },
  },
  "recvfrom with SO_RCVTIMEO": {
    kind: "transfer",
    files: 1,
    isTimed: true,
    make: (c) => {
      const [fd] = c.sockets();
      equal(c.call("setsockopt", fd, 1, 20, c.time(), 16), 0);
      return c.call("recvfrom", fd, BUFFER, 1, 0, 0, 0);
    },
  },
  recvmmsg: {
    kind: "messages",
    files: 1,
    make: (c) => {
      const [fd] = c.sockets();
      c.set64(BUFFER, BUFFER + 64);
      c.set64(BUFFER + 8, 1);
      c.set64(LIST + 16, BUFFER);
      c.set64(LIST + 24, 1);
      return c.call("recvmmsg", fd, LIST, 1, 0, c.time());
    },
  },
  accept: { kind: "accept", files: 1, make: (c) => c.call("accept", c.listener(), 0, 0) },
  connect: {
    kind: "connect",
    files: 1,
    make: (c) => {
      c.listener();
      for (let i = 0; i < 4; i++) {
        const fd = c.call("socket", 1, 1, 0) as number;
        const result = c.call("connect", fd, LIST, 4);
        if (result === WAITS) return result;
        equal(result, 0);
      }
      return 0;
    },
  },
  poll: {
    kind: "poll",
    files: 1,
    isTimed: true,
    make: (c) => {
      c.set32(LIST, c.pipe()[0]);
      c.set32(LIST + 4, POLLIN);
      return c.call("poll", LIST, 1, 1000);
    },
  },
  ppoll: {
    kind: "poll",
    files: 1,
    make: (c) => {
      c.set32(LIST, c.pipe()[0]);
      c.set32(LIST + 4, POLLIN);
      return c.call("ppoll", LIST, 1, 0, 0, 0);
    },
  },
  select: {
    kind: "select",
    files: 1,
    make: (c) => {
      const [fd] = c.pipe();
      c.set64(LIST, 1 << fd);
      return c.call("select", fd + 1, LIST, 0, 0, 0);
    },
  },
  epoll_wait: {
    kind: "epoll",
    files: 1,
    make: (c) => c.call("epoll_wait", c.call("epoll_create1", 0) as number, BUFFER, 1, -1 >>> 0),
  },
  futex: { kind: "futex", files: 0, make: (c) => c.call("futex", AT, 0, 0, 0) },
  "futex with a time": {
    kind: "futex",
    files: 0,
    isTimed: true,
    make: (c) => c.call("futex", AT, 0, 0, c.time()),
  },
  futex_waitv: {
    kind: "futex vector",
    files: 0,
    make: (c) => {
      for (let i = 0; i < 2; i++) {
        c.set64(LIST + 24 * i, 0);
        c.set64(LIST + 24 * i + 8, AT + 4 * i);
        c.set64(LIST + 24 * i + 16, 2);
      }
      return c.call("futex_waitv", LIST, 2, 0, 0, 0);
    },
  },
  "futex lock PI": {
    kind: "futex lock",
    files: 0,
    make: (c) => {
      c.set32(AT, c.processes.thread(c.task).pid.own);
      return c.call("futex", AT, 128 + 6, 0, 0);
    },
  },
  "futex requeue PI": {
    kind: "futex requeue",
    files: 0,
    make: (c) => c.call("futex", AT, 128 + 11, 0, 0, AT + 4, 0),
  },
  nanosleep: { kind: "sleep", files: 0, isTimed: true, make: (c) => c.call("nanosleep", c.time(), 0) },
  clock_nanosleep: {
    kind: "sleep",
    files: 0,
    isTimed: true,
    make: (c) => c.call("clock_nanosleep", 1, 0, c.time(), 0),
  },
  "clock_nanosleep on a CPU clock": {
    kind: "cpu sleep",
    files: 0,
    isTimed: true,
    make: (c) => c.call("clock_nanosleep", 2, 0, c.time(), 0),
  },
  wait4: {
    kind: "child",
    files: 0,
    make: (c) => {
      c.processes.fork(c.task);
      return c.call("wait4", 0xffff_ffff, 0, 0, 0);
    },
  },
  vfork: { kind: "vfork", files: 0, make: (c) => c.call("vfork") },
  pause: { kind: "signal", files: 0, make: (c) => c.call("pause") },
  rt_sigsuspend: { kind: "signal", files: 0, make: (c) => c.call("rt_sigsuspend", LIST, 8) },
  rt_sigtimedwait: {
    kind: "wanted signals",
    files: 0,
    isTimed: true,
    make: (c) => {
      c.set64(LIST, 0x200);
      return c.call("rt_sigtimedwait", LIST, 0, c.time(), 8);
    },
  },
  semtimedop: {
    kind: "system v",
    files: 0,
    isTimed: true,
    make: (c) => {
      const id = c.call("semget", 0, 1, 0o600) as number;
      c.set32(LIST, 0xffff_0000);
      return c.call("semtimedop", id, LIST, 1, c.time());
    },
  },
  msgrcv: {
    kind: "system v message",
    files: 0,
    make: (c) => c.call("msgrcv", c.call("msgget", 0, 0o600) as number, BUFFER, 8, 0, 0),
  },
};

/** The same on the fake task that has files. */
const WAITS_ON_FILES: Readonly<Record<string, { kind: WaitState["kind"]; make: (t: VfsTask) => number }>> = {
  "open of a FIFO": {
    kind: "fifo",
    make: (t) => {
      equal(t.make(handlers.get("mknod")!, "/fifo", S_IFIFO | 0o600, 0), 0);
      return t.make(handlers.get("open")!, "/fifo", 0, 0);
    },
  },
  flock: {
    kind: "file lock",
    make: (t) => {
      t.make(handlers.get("flock")!, openFile(t), LOCK_EX);
      return t.make(handlers.get("flock")!, openFile(t), LOCK_EX);
    },
  },
  "fcntl F_OFD_SETLKW": {
    kind: "record lock",
    make: (t) => {
      const lock = new Uint8Array(32);
      lock[0] = F_WRLCK;
      t.make(handlers.get("fcntl")!, openFile(t), F_OFD_SETLKW, lock);
      return t.make(handlers.get("fcntl")!, openFile(t), F_SETLKW, lock);
    },
  },
  fallocate: {
    kind: "slice",
    make: (t) => t.make(handlers.get("fallocate")!, openFile(t), 0, 0, 100 * 2 ** 20),
  },
  sendfile: {
    kind: "sendfile",
    make: (t) => {
      const from = openFile(t), place = 0x9_0000;
      t.make(handlers.get("write")!, from, new Uint8Array(200_000), 200_000);
      t.make(handlers.get("pipe2")!, place, 0);
      const offset = new Uint8Array(8);
      return t.make(handlers.get("sendfile")!, t.bytes[place + 4], from, offset, 200_000);
    },
  },
};

function openFile(t: VfsTask): number {
  return t.make(handlers.get("open")!, "/file", O_CREAT | O_RDWR, 0o600);
}

/** Kinds that no call here has, and why. */
const ELSEWHERE: Readonly<Partial<Record<WaitState["kind"], string>>> = {
  "none": "no wait",
  "connection": "tests/guest/restart.c: no socket of the fake process takes time to connect",
  "populate": "kernel/syscalls/paging_test.ts: the fake process has no memory map",
  "terminal": "tests/guest/tty.c",
  "message queue": "tests/guest/held.c: the fake process has no file system to name a queue in",
  "external": "of file systems that ask the gofer",
  "host file": "of the gofer: tests/cli/bind_mount_test.ts",
};

function checkPlain(found: WaitDescription, kind: WaitState["kind"]): void {
  equal(found.state.kind, kind);
  ok(found.isWaiting);
  deepEqual(JSON.parse(JSON.stringify(found)), found);
  ok(
    found.continuation === null || table.continuations.has(found.continuation),
    `${found.continuation} is listed`,
  );
}

for (const [name, { kind, files, make, isTimed }] of Object.entries(WAITS_BY_CALL)) {
  Deno.test(`a wait is plain data: ${name}`, () => {
    const c = new Caller();
    equal(make(c), WAITS);
    const found = describeWait(c.task);
    checkPlain(found, kind);
    equal(found.files.length, files);
    equal(found.deadline !== null, isTimed === true);
    c.processes.syscall(c.processes.init, numbers.get("kill")!, c.task.threadGroup.tgid, SIGKILL);
    c.processes.run();
    const after = describeWait(c.task);
    equal(after.isWaiting, false);
    deepEqual([after.files, after.queueCount, after.futexes, after.state], [[], 0, [], { kind: "none" }]);
    equal(c.processes.kernel.deadlines.pollAt(), Infinity);
  });
}

for (const [name, { kind, make }] of Object.entries(WAITS_ON_FILES)) {
  Deno.test(`a wait is plain data: ${name}`, () => {
    const t = new VfsTask(null, [TMPFS_TYPE], new Map([[S_IFIFO, openFifo]]));
    equal(make(t), TEST_BLOCKED);
    // It has neither futexes nor a restart.
    Object.assign(t, { futexWaiters: [], restartCall: null });
    const found = describeWait(t.task);
    checkPlain(found, kind);
    ok(found.files.length > 0);
  });
}

Deno.test("each kind of wait is described", () => {
  const seen = new Set(
    [...Object.values(WAITS_BY_CALL), ...Object.values(WAITS_ON_FILES)].map(({ kind }) => kind),
  );
  const all: Readonly<Record<WaitState["kind"], true>> = {
    "none": true,
    "transfer": true,
    "slice": true,
    "populate": true,
    "sendfile": true,
    "messages": true,
    "terminal": true,
    "accept": true,
    "connect": true,
    "connection": true,
    "fifo": true,
    "poll": true,
    "select": true,
    "epoll": true,
    "futex": true,
    "futex vector": true,
    "futex lock": true,
    "futex requeue": true,
    "file lock": true,
    "record lock": true,
    "sleep": true,
    "cpu sleep": true,
    "child": true,
    "vfork": true,
    "signal": true,
    "wanted signals": true,
    "message queue": true,
    "system v": true,
    "system v message": true,
    "external": true,
    "host file": true,
  };
  deepEqual(
    Object.keys(all).filter((kind) => !seen.has(kind as WaitState["kind"]) && !(kind in ELSEWHERE)),
    [],
  );
});
