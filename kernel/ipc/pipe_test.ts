// Pipes over processes without guest code: what is read, who waits, who is told.

import { KernelMemory } from "../util/kernel_memory.ts";
import { equal } from "node:assert/strict";
import { EAGAIN, EBUSY, EINVAL, EPIPE } from "../abi/errno.ts";
import {
  F_GETPIPE_SZ,
  F_SETPIPE_SZ,
  O_DIRECT,
  O_NONBLOCK,
  POLLERR,
  POLLHUP,
  POLLIN,
  POLLOUT,
  POLLRDNORM,
  POLLWRNORM,
} from "../abi/file.ts";
import { DESCRIPTOR_CALLS } from "../syscalls/descriptor.ts";
import { IO_CALLS } from "../syscalls/io.ts";
import { PIPE_CALLS } from "../syscalls/pipe.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import { VECTOR_CALLS } from "../syscalls/vector.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import type { Task } from "../task/task.ts";
import { ByteRing } from "./byte_ring.ts";

const SYS = { read: 0, write: 1, close: 3, rt_sigaction: 13, writev: 20, fcntl: 72, pipe2: 293 };
const A = BASE + 0x1000;
const B = BASE + 0x4_0000;
const FAMILIES = [DESCRIPTOR_CALLS, IO_CALLS, PIPE_CALLS, PROCESS_CALLS, SIGNAL_CALLS, VECTOR_CALLS];

function start(flags: number): { p: Processes; a: Task; r: number; w: number } {
  const p = new Processes(FAMILIES);
  const a = p.fork(p.init);
  equal(p.syscall(a, SYS.pipe2, A, flags), 0);
  const memory = p.memory(a);
  return { p, a, r: memory.getInt32(A - BASE, true), w: memory.getInt32(A - BASE + 4, true) };
}
function readiness(task: Task, fd: number): number {
  return task.files.get(fd)!.readiness();
}

Deno.test("a ring keeps bytes in order across its end and while it grows", () => {
  const ring = new ByteRing(new KernelMemory(2 ** 30).heap, 10_000);
  const from = Uint8Array.from({ length: 5000 }, (_, i) => i % 251), into = new Uint8Array(5000);
  let put = 0, got = 0;
  for (let i = 0; i < 200; i++) {
    put += ring.push(from, put % 251, (i * 37) % 4000);
    const n = ring.pop(into, 0, (i * 53) % 4500);
    for (let k = 0; k < n; k++) equal(into[k], (got + k) % 251);
    got += n;
    equal(ring.used, put - got);
  }
});

Deno.test("a reader waits for a writer and gets end of file when the last one closes", () => {
  const { p, a, r, w } = start(0);
  const b = p.fork(a);
  equal(p.syscall(b, SYS.close, w), 0);
  equal(p.syscall(b, SYS.read, r, B, 100), WAITS);
  equal(p.syscall(a, SYS.write, w, A, 5), 5);
  equal(p.answer(b), 5);
  equal(p.syscall(b, SYS.read, r, B, 100), WAITS);
  equal(p.syscall(a, SYS.close, w), 0);
  equal(p.answer(b), 0);
  equal(readiness(b, r), POLLHUP);
});

Deno.test("a large write waits for room and answers once, a small one is not torn", () => {
  const { p, a, r, w } = start(0);
  const b = p.fork(a);
  equal(p.syscall(b, SYS.write, w, B, 100_000), WAITS);
  equal(p.syscall(a, SYS.read, r, A, 65_536), 65_536);
  equal(p.answer(b), 100_000);
  equal(p.syscall(a, SYS.read, r, A, 65_536), 34_464);
  equal(p.syscall(a, SYS.fcntl, w, 4, O_NONBLOCK), 0);
  equal(p.syscall(a, SYS.write, w, A, 65_536 - 100), 65_436);
  equal(readiness(a, w), 0);
  equal(p.syscall(a, SYS.write, w, A, 101), -EAGAIN);
  equal(p.syscall(a, SYS.write, w, A, 5000), 100);
  equal(p.syscall(a, SYS.read, r, A, 4096), 4096);
  equal(readiness(a, w), POLLOUT | POLLWRNORM);
});

Deno.test("a write without reader raises SIGPIPE and answers EPIPE", () => {
  const { p, a, r, w } = start(0);
  p.memory(a).setBigUint64(A - BASE, 1n, true);
  equal(p.syscall(a, SYS.rt_sigaction, 13, A, 0, 8), 0);
  equal(p.syscall(a, SYS.close, r), 0);
  equal(readiness(a, w), POLLOUT | POLLWRNORM | POLLERR);
  equal(p.syscall(a, SYS.write, w, A, 1), -EPIPE);
  equal(p.syscall(a, SYS.write, w, A, 0), 0);
});

Deno.test("in packet mode each read takes one packet and loses what does not fit", () => {
  const { p, a, r, w } = start(O_DIRECT | O_NONBLOCK);
  for (const size of [10, 3, 5000]) equal(p.syscall(a, SYS.write, w, A, size), size);
  equal(p.syscall(a, SYS.read, r, A, 4), 4);
  equal(p.syscall(a, SYS.read, r, A, 100), 3);
  equal(p.syscall(a, SYS.read, r, A, 9000), 4096);
  equal(p.syscall(a, SYS.read, r, A, 9000), 904);
  equal(p.syscall(a, SYS.read, r, A, 9000), -EAGAIN);
  let count = 0;
  while (p.syscall(a, SYS.write, w, A, 1) === 1) count++;
  equal(count, 16);
});

Deno.test("a writev gathers before it writes", () => {
  const { p, a, r, w } = start(O_DIRECT | O_NONBLOCK);
  const memory = p.memory(a);
  [A + 100, 3, A + 200, 4].forEach((v, i) => memory.setBigUint64(A - BASE + 8 * i, BigInt(v), true));
  equal(p.syscall(a, SYS.writev, w, A, 2), 7);
  equal(p.syscall(a, SYS.read, r, A, 100), 7);
});

Deno.test("F_SETPIPE_SZ rounds up to a power of two pages and does not drop what is in", () => {
  const { p, a, r, w } = start(O_NONBLOCK);
  equal(p.syscall(a, SYS.fcntl, r, F_GETPIPE_SZ), 65_536);
  equal(p.syscall(a, SYS.fcntl, w, F_SETPIPE_SZ, 70_000), 131_072);
  equal(p.syscall(a, SYS.write, w, B, 100_000), 100_000);
  equal(p.syscall(a, SYS.fcntl, w, F_SETPIPE_SZ, 4096), -EBUSY);
  equal(p.syscall(a, SYS.fcntl, w, F_SETPIPE_SZ, 2 ** 31 + 1), -EINVAL);
  equal(readiness(a, r), POLLIN | POLLRDNORM);
});
