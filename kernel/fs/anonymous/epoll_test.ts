// epoll over processes without guest code: what is reported when, and who is woken.

import { equal } from "node:assert/strict";
import { EEXIST, EINVAL, ELOOP, ENOENT } from "../../abi/errno.ts";
import { EPOLLET, EPOLLHUP, EPOLLIN, EPOLLONESHOT, EPOLLOUT } from "../../abi/file.ts";
import { DESCRIPTOR_CALLS } from "../../syscalls/descriptor.ts";
import { EPOLL_CALLS } from "../../syscalls/epoll.ts";
import { EVENT_CALLS } from "../../syscalls/event.ts";
import { IO_CALLS } from "../../syscalls/io.ts";
import { PIPE_CALLS } from "../../syscalls/pipe.ts";
import { POLL_CALLS } from "../../syscalls/poll.ts";
import { PROCESS_CALLS } from "../../syscalls/process.ts";
import { SIGNAL_CALLS } from "../../syscalls/signal.ts";
import { BASE, Processes, WAITS } from "../../../tests/support/processes.ts";
import type { Task } from "../../task/task.ts";

const SYS = { read: 0, write: 1, close: 3, poll: 7, dup: 32, epoll_wait: 232, epoll_ctl: 233, eventfd2: 290 };
const SYS_epoll_create1 = 291, SYS_pipe2 = 293;
const A = BASE + 0x1000, EVENTS = BASE + 0x2000;
const ADD = 1, DEL = 2, MOD = 3;
const FAMILIES = [
  DESCRIPTOR_CALLS,
  EPOLL_CALLS,
  EVENT_CALLS,
  IO_CALLS,
  PIPE_CALLS,
  POLL_CALLS,
  PROCESS_CALLS,
  SIGNAL_CALLS,
];

class Scene {
  readonly p = new Processes(FAMILIES);
  readonly a: Task = this.p.fork(this.p.init);
  readonly ep = this.call(SYS_epoll_create1, 0) as number;

  call(number: number, ...values: number[]): number | typeof WAITS {
    return this.p.syscall(this.a, number, ...values);
  }
  eventfd(value = 0): number {
    return this.call(SYS.eventfd2, value, 0o4000) as number;
  }
  ctl(operation: number, fd: number, events: number, data = fd, ep = this.ep): number | typeof WAITS {
    const memory = this.p.memory(this.a);
    memory.setUint32(A - BASE, events, true);
    memory.setBigUint64(A - BASE + 4, BigInt(data), true);
    return this.call(SYS.epoll_ctl, ep, operation, fd, A);
  }
  add(fd: number, value = 1n): void {
    this.p.memory(this.a).setBigUint64(A - BASE, value, true);
    equal(this.call(SYS.write, fd, A, 8), 8);
  }
  /** Events by data, as "data:events", of a wait that must not block. */
  wait(max = 10): string {
    const count = this.call(SYS.epoll_wait, this.ep, EVENTS, max, 0) as number;
    return this.events(count);
  }
  events(count: number): string {
    const memory = this.p.memory(this.a);
    const list: string[] = [];
    for (let i = 0; i < count; i++) {
      const at = EVENTS - BASE + 12 * i;
      list.push(`${memory.getBigUint64(at + 4, true)}:${memory.getUint32(at, true)}`);
    }
    return list.join(" ");
  }
}

Deno.test("level-triggered items are reported as long as they are ready, edge-triggered ones once an event", () => {
  const s = new Scene();
  const level = s.eventfd(), edge = s.eventfd();
  s.ctl(ADD, level, EPOLLIN, 1);
  s.ctl(ADD, edge, EPOLLIN | EPOLLET, 2);
  equal(s.wait(), "");
  s.add(level);
  s.add(edge);
  equal(s.wait(), "1:1 2:1");
  equal(s.wait(), "1:1");
  s.add(edge);
  equal(s.wait(), "1:1 2:1");
  equal(s.call(SYS.read, level, A, 8), 8);
  equal(s.wait(), "");
});

Deno.test("a one-shot item is silent until it is armed again", () => {
  const s = new Scene();
  const fd = s.eventfd(5);
  s.ctl(ADD, fd, EPOLLIN | EPOLLONESHOT, 7);
  equal(s.wait(), "7:1");
  s.add(fd);
  equal(s.wait(), "");
  equal(s.ctl(MOD, fd, EPOLLIN | EPOLLOUT, 8), 0);
  equal(s.wait(), "8:5");
});

Deno.test("with fewer places than ready files each gets its turn", () => {
  const s = new Scene();
  for (let i = 0; i < 3; i++) s.ctl(ADD, s.eventfd(1), EPOLLIN, i);
  equal([s.wait(2), s.wait(2), s.wait(2)].join(" | "), "0:1 1:1 | 2:1 0:1 | 1:1 2:1");
});

Deno.test("a waiting task is woken by an event and by its timeout", () => {
  const s = new Scene();
  const fd = s.eventfd();
  s.ctl(ADD, fd, EPOLLIN, 3);
  const other = s.p.thread(s.a);
  equal(s.p.syscall(other, SYS.epoll_wait, s.ep, EVENTS, 10, -1), WAITS);
  s.add(fd);
  equal(s.p.answer(other), 1);
  equal(s.events(1), "3:1");
  equal(s.call(SYS.read, fd, A, 8), 8);
  equal(s.p.syscall(other, SYS.epoll_wait, s.ep, EVENTS, 10, 50), WAITS);
  s.p.pass(49e6);
  equal(s.p.answer(other), WAITS);
  s.p.pass(2e6);
  equal(s.p.answer(other), 0);
});

Deno.test("an item goes when the last descriptor of its file does, not before", () => {
  const s = new Scene();
  equal(s.call(SYS_pipe2, A, 0), 0);
  const memory = s.p.memory(s.a);
  const r = memory.getInt32(A - BASE, true), w = memory.getInt32(A - BASE + 4, true);
  s.ctl(ADD, r, EPOLLIN, 1);
  const copy = s.call(SYS.dup, r) as number;
  equal(s.call(SYS.close, r), 0);
  equal(s.call(SYS.write, w, A, 1), 1);
  equal(s.wait(), "1:1");
  equal(s.ctl(DEL, r, 0), -9);
  equal(s.call(SYS.close, copy), 0);
  equal(s.wait(), "");
  equal(s.ctl(ADD, w, EPOLLOUT, 2), 0);
  equal(s.wait(), `2:${EPOLLOUT | 8}`);
});

Deno.test("refusals: twice, missing, itself, loops, chains that are too long", () => {
  const s = new Scene();
  const fd = s.eventfd();
  equal(s.ctl(ADD, fd, EPOLLIN), 0);
  equal(s.ctl(ADD, fd, EPOLLIN), -EEXIST);
  equal(s.ctl(DEL, fd, 0), 0);
  equal(s.ctl(MOD, fd, EPOLLIN), -ENOENT);
  equal(s.ctl(ADD, s.ep, EPOLLIN), -EINVAL);
  const chain = [s.ep];
  for (let i = 0; i < 5; i++) chain.push(s.call(SYS_epoll_create1, 0) as number);
  for (let i = 0; i < 4; i++) equal(s.ctl(ADD, chain[i], EPOLLIN, 0, chain[i + 1]), 0);
  equal(s.ctl(ADD, chain[4], EPOLLIN, 0, chain[5]), -ELOOP);
  equal(s.ctl(ADD, chain[3], EPOLLIN, 0, chain[0]), -ELOOP);
});

Deno.test("an epoll in an epoll is ready when something in it is", () => {
  const s = new Scene();
  const inner = s.call(SYS_epoll_create1, 0) as number;
  const fd = s.eventfd();
  s.ctl(ADD, inner, EPOLLIN, 1);
  s.ctl(ADD, fd, EPOLLIN, 2, inner);
  const other = s.p.thread(s.a);
  equal(s.p.syscall(other, SYS.epoll_wait, s.ep, EVENTS, 10, -1), WAITS);
  s.add(fd);
  equal(s.p.answer(other), 1);
  equal(s.events(1), "1:1");
  s.call(SYS.read, fd, A, 8);
  equal(s.wait(), "");
});

Deno.test("a hang-up is reported unasked, to poll as well", () => {
  const s = new Scene();
  equal(s.call(SYS_pipe2, A, 0), 0);
  const memory = s.p.memory(s.a);
  const r = memory.getInt32(A - BASE, true), w = memory.getInt32(A - BASE + 4, true);
  s.ctl(ADD, r, 0, 9);
  memory.setInt32(A - BASE, r, true);
  memory.setUint32(A - BASE + 4, 0, true);
  const other = s.p.thread(s.a);
  equal(s.p.syscall(other, SYS.poll, A, 1, 1000), WAITS);
  equal(s.call(SYS.close, w), 0);
  equal(s.p.answer(other), 1);
  equal(memory.getInt16(A - BASE + 6, true), EPOLLHUP);
  equal(s.wait(), `9:${EPOLLHUP}`);
});

Deno.test("an eventfd counts up to 2^64-2 and as a semaphore down by one", () => {
  const s = new Scene();
  const fd = s.eventfd();
  s.add(fd, 0xffff_ffff_ffff_fffen);
  equal(s.a.files.get(fd)!.readiness() & EPOLLOUT, 0);
  s.p.memory(s.a).setBigUint64(A - BASE, 1n, true);
  equal(s.call(SYS.write, fd, A, 8), -11);
  equal(s.call(SYS.read, fd, A, 8), 8);
  equal(s.p.memory(s.a).getBigUint64(A - BASE, true), 0xffff_ffff_ffff_fffen);
  const semaphore = s.call(SYS.eventfd2, 2, 1) as number;
  for (let i = 0; i < 2; i++) {
    equal(s.call(SYS.read, semaphore, A, 8), 8);
    equal(s.p.memory(s.a).getBigUint64(A - BASE, true), 1n);
  }
  equal(s.call(SYS.read, semaphore, A, 8), WAITS);
});
