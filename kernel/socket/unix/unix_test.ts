// Unix sockets over processes without guest code: connections, datagrams, descriptors and credentials on the way.

import { equal } from "node:assert/strict";
import {
  EADDRINUSE,
  EAGAIN,
  ECONNREFUSED,
  ECONNRESET,
  EINVAL,
  EISCONN,
  EMSGSIZE,
  ENOTCONN,
  EPERM,
  EPIPE,
} from "../../abi/errno.ts";
import { POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRBAND, POLLWRNORM } from "../../abi/file.ts";
import {
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  MSG_PEEK,
  MSG_TRUNC,
  MSG_WAITALL,
  SCM_CREDENTIALS,
  SCM_RIGHTS,
  SO_ERROR,
  SO_PASSCRED,
  SO_PEERCRED,
  SO_RCVTIMEO,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
} from "../../abi/socket.ts";
import { DESCRIPTOR_CALLS } from "../../syscalls/descriptor.ts";
import { EVENT_CALLS } from "../../syscalls/event.ts";
import { IO_CALLS } from "../../syscalls/io.ts";
import { PROCESS_CALLS } from "../../syscalls/process.ts";
import { SIGNAL_CALLS } from "../../syscalls/signal.ts";
import { SOCKET_CALLS } from "../../syscalls/socket.ts";
import { SOCKET_MESSAGE_CALLS } from "../../syscalls/socket_message.ts";
import type { Task } from "../../task/task.ts";
import { BASE, Processes, WAITS } from "../../../tests/support/processes.ts";

const SYS = {
  read: 0,
  write: 1,
  close: 3,
  socket: 41,
  connect: 42,
  accept: 43,
  sendto: 44,
  recvfrom: 45,
  sendmsg: 46,
  recvmsg: 47,
  shutdown: 48,
  bind: 49,
  listen: 50,
  getsockname: 51,
  socketpair: 53,
  setsockopt: 54,
  getsockopt: 55,
  eventfd2: 290,
};
const A = BASE + 0x1000, TEXT = BASE + 0x2000, CONTROL = BASE + 0x3000, HEADER = BASE + 0x4000;
const BIG = BASE + 0x4_0000;
const WRITABLE = POLLOUT | POLLWRNORM | POLLWRBAND;
const FAMILIES = [
  DESCRIPTOR_CALLS,
  EVENT_CALLS,
  IO_CALLS,
  PROCESS_CALLS,
  SIGNAL_CALLS,
  SOCKET_CALLS,
  SOCKET_MESSAGE_CALLS,
];

class Scene {
  readonly p = new Processes(FAMILIES);
  readonly a: Task = this.p.fork(this.p.init);

  call(number: number, ...values: number[]): number | typeof WAITS {
    return this.p.syscall(this.a, number, ...values);
  }
  /** Descriptors in messages. */
  get inFlight(): number {
    return this.p.kernel.unix.rights.files;
  }
  pair(type: number): [number, number] {
    equal(this.call(SYS.socketpair, 1, type, 0, A), 0);
    const memory = this.p.memory(this.a);
    return [memory.getInt32(A - BASE, true), memory.getInt32(A - BASE + 4, true)];
  }
  socket(type: number): number {
    return this.call(SYS.socket, 1, type, 0) as number;
  }
  put(at: number, text: string, task = this.a): void {
    const memory = this.p.memory(task);
    for (let i = 0; i < text.length; i++) memory.setUint8(at - BASE + i, text.charCodeAt(i));
  }
  get(at: number, length: number, task = this.a): string {
    const memory = this.p.memory(task);
    let text = "";
    for (let i = 0; i < length; i++) text += String.fromCharCode(memory.getUint8(at - BASE + i));
    return text;
  }
  /** Puts the abstract address `name` at A; its length. */
  address(name: string, task = this.a): number {
    this.put(A, `\x01\0\0${name}`, task);
    return 3 + name.length;
  }
  send(fd: number, text: string, flags = 0): number | typeof WAITS {
    this.put(TEXT, text);
    return this.call(SYS.sendto, fd, TEXT, text.length, flags, 0, 0);
  }
  /** What comes, as text, or the error. */
  receive(fd: number, length: number, flags = MSG_DONTWAIT): string | number {
    const n = this.call(SYS.recvfrom, fd, TEXT, length, flags, 0, 0) as number;
    return n < 0 ? n : this.get(TEXT, Math.min(n, length));
  }
  readiness(fd: number): number {
    return this.a.files.get(fd)!.readiness();
  }
  /** A msghdr at HEADER with one iovec of `length` bytes at TEXT and `control` bytes at CONTROL. */
  header(length: number, control: number): void {
    const memory = this.p.memory(this.a);
    const at = HEADER - BASE;
    for (let i = 0; i < 56; i++) memory.setUint8(at + i, 0);
    memory.setBigUint64(at + 16, BigInt(HEADER + 64), true);
    memory.setBigUint64(at + 24, 1n, true);
    memory.setBigUint64(at + 32, BigInt(CONTROL), true);
    memory.setBigUint64(at + 40, BigInt(control), true);
    memory.setBigUint64(at + 64, BigInt(TEXT), true);
    memory.setBigUint64(at + 72, BigInt(length), true);
  }
  sendFiles(fd: number, text: string, ...fds: number[]): number | typeof WAITS {
    const memory = this.p.memory(this.a);
    this.put(TEXT, text);
    this.header(text.length, 16 + 4 * fds.length);
    memory.setBigUint64(CONTROL - BASE, BigInt(16 + 4 * fds.length), true);
    memory.setInt32(CONTROL - BASE + 8, 1, true);
    memory.setInt32(CONTROL - BASE + 12, SCM_RIGHTS, true);
    fds.forEach((one, i) => memory.setInt32(CONTROL - BASE + 16 + 4 * i, one, true));
    return this.call(SYS.sendmsg, fd, HEADER, 0);
  }
  /** recvmsg: "bytes type:first word,second word ..." */
  receiveMessage(fd: number, length: number, room = 256): string {
    this.header(length, room);
    const n = this.call(SYS.recvmsg, fd, HEADER, MSG_DONTWAIT) as number;
    if (n < 0) return String(n);
    const memory = this.p.memory(this.a);
    const used = Number(memory.getBigUint64(HEADER - BASE + 40, true));
    const parts = [this.get(TEXT, n)];
    for (let at = CONTROL - BASE; at < CONTROL - BASE + used;) {
      const size = Number(memory.getBigUint64(at, true));
      const words: number[] = [];
      for (let i = 16; i < size; i += 4) words.push(memory.getInt32(at + i, true));
      parts.push(`${memory.getInt32(at + 12, true)}:${words.join(",")}`);
      at += Math.ceil(size / 8) * 8;
    }
    const flags = memory.getInt32(HEADER - BASE + 48, true);
    if (flags !== 0) parts.push(`flags ${flags}`);
    return parts.join(" ");
  }
}

Deno.test("a connection is made while the listener sleeps, carries bytes both ways and ends with both closed", () => {
  const s = new Scene();
  const listener = s.socket(SOCK_STREAM);
  equal(s.readiness(listener), POLLHUP | WRITABLE);
  equal(s.call(SYS.listen, listener, 1), -EINVAL);
  equal(s.call(SYS.bind, listener, A, s.address("door")), 0);
  equal(s.call(SYS.bind, s.socket(SOCK_STREAM), A, s.address("door")), -EADDRINUSE);
  equal(s.call(SYS.listen, listener, 1), 0);
  const client = s.p.fork(s.a);
  equal(s.call(SYS.accept, listener, 0, 0), WAITS);
  const fd = s.p.syscall(client, SYS.socket, 1, SOCK_STREAM, 0) as number;
  equal(s.p.syscall(client, SYS.connect, fd, A, s.address("door", client)), 0);
  equal(s.p.syscall(client, SYS.connect, fd, A, s.address("door", client)), -EISCONN);
  const server = s.p.answer(s.a) as number;
  s.put(TEXT, "ping", client);
  equal(s.p.syscall(client, SYS.write, fd, TEXT, 4), 4);
  equal(s.receive(server, 100), "ping");
  equal(s.p.syscall(client, SYS.read, fd, TEXT, 100), WAITS);
  equal(s.send(server, "pong"), 4);
  equal(s.p.answer(client), 4);
  equal(s.p.syscall(client, SYS.close, fd), 0);
  equal(s.receive(server, 100), "");
  equal(s.readiness(server), POLLHUP | POLLRDHUP | POLLIN | POLLRDNORM | WRITABLE);
  equal(s.send(server, "x", MSG_NOSIGNAL), -EPIPE);
});

Deno.test("connect waits for room in the backlog and is refused once the listener is gone", () => {
  const s = new Scene();
  const listener = s.socket(SOCK_STREAM);
  s.call(SYS.bind, listener, A, s.address("narrow"));
  s.call(SYS.listen, listener, 0);
  const first = s.socket(SOCK_STREAM);
  equal(s.call(SYS.connect, first, A, s.address("narrow")), 0);
  const b = s.p.thread(s.a), c = s.p.thread(s.a);
  const second = s.socket(SOCK_STREAM), third = s.socket(SOCK_STREAM);
  equal(s.p.syscall(b, SYS.connect, second, A, s.address("narrow")), WAITS);
  equal(s.p.syscall(c, SYS.connect, third, A, s.address("narrow")), WAITS);
  equal(typeof s.call(SYS.accept, listener, 0, 0), "number");
  equal(s.p.answer(b), 0);
  equal(s.p.answer(c), WAITS);
  equal(s.call(SYS.close, listener), 0);
  equal(s.p.answer(c), -ECONNREFUSED);
  equal(s.receive(second, 1), -ECONNRESET);
});

Deno.test("a stream's writer waits for room, a reader with MSG_WAITALL for everything", () => {
  const s = new Scene();
  const [a, b] = s.pair(SOCK_STREAM);
  const other = s.p.thread(s.a);
  equal(s.p.syscall(other, SYS.write, a, BIG, 400_000), WAITS);
  equal(s.readiness(a) & POLLOUT, 0);
  let got = 0;
  while (got < 400_000) {
    const n = s.call(SYS.read, b, BIG, 65_536) as number;
    got += n;
  }
  equal(s.p.answer(other), 400_000);
  equal(s.p.syscall(other, SYS.recvfrom, b, BIG, 6, MSG_WAITALL, 0, 0), WAITS);
  equal(s.send(a, "abc"), 3);
  equal(s.p.answer(other), WAITS);
  equal(s.send(a, "defg"), 4);
  equal(s.p.answer(other), 6);
  equal(s.receive(b, 10, MSG_PEEK), "g");
  equal(s.receive(b, 10), "g");
});

Deno.test("shutdown closes one direction", () => {
  const s = new Scene();
  const [a, b] = s.pair(SOCK_STREAM);
  equal(s.send(a, "last"), 4);
  equal(s.call(SYS.shutdown, a, 1), 0);
  equal(s.send(a, "x", MSG_NOSIGNAL), -EPIPE);
  equal(s.receive(b, 10), "last");
  equal(s.receive(b, 10), "");
  equal(s.send(b, "back"), 4);
  equal(s.receive(a, 10), "back");
  equal(s.readiness(b), POLLIN | POLLRDNORM | POLLRDHUP | WRITABLE);
});

Deno.test("who closes with something unread resets the other end", () => {
  const s = new Scene();
  const [a, b] = s.pair(SOCK_STREAM);
  s.send(a, "unread");
  equal(s.call(SYS.close, b), 0);
  const memory = s.p.memory(s.a);
  memory.setInt32(A - BASE, 4, true);
  equal(s.call(SYS.getsockopt, a, 1, SO_ERROR, A + 8, A), 0);
  equal(memory.getInt32(A - BASE + 8, true), ECONNRESET);
  equal(s.receive(a, 1), "");
});

Deno.test("messages keep their bounds; what does not fit is lost or told", () => {
  const s = new Scene();
  for (const type of [SOCK_DGRAM, SOCK_SEQPACKET]) {
    const [a, b] = s.pair(type);
    s.send(a, "first");
    s.send(a, "");
    s.send(a, "second");
    equal(s.receive(b, 3), "fir");
    equal(s.receive(b, 3), "");
    equal(s.call(SYS.recvfrom, b, TEXT, 2, MSG_TRUNC, 0, 0), 6);
    equal(s.receive(b, 3), -EAGAIN);
    equal(s.call(SYS.sendto, a, BIG, 300_000, 0, 0, 0), -EMSGSIZE);
    s.call(SYS.close, a);
    equal(s.receive(b, 3), type === SOCK_DGRAM ? -EAGAIN : "");
  }
});

Deno.test("a full datagram queue holds the sender back until somebody reads", () => {
  const s = new Scene();
  const server = s.socket(SOCK_DGRAM), client = s.socket(SOCK_DGRAM);
  s.call(SYS.bind, server, A, s.address("post"));
  let count = 0;
  while (s.call(SYS.sendto, client, TEXT, 1, MSG_DONTWAIT, A, s.address("post")) === 1) count++;
  equal(count, 11);
  const other = s.p.thread(s.a);
  equal(s.p.syscall(other, SYS.sendto, client, TEXT, 1, 0, A, s.address("post")), WAITS);
  s.receive(server, 1);
  equal(s.p.answer(other), 1);
  equal(s.call(SYS.connect, client, A, s.address("post")), 0);
  equal(s.readiness(client) & POLLOUT, 0);
  const third = s.socket(SOCK_DGRAM);
  s.call(SYS.bind, third, A, s.address("third"));
  equal(s.call(SYS.connect, server, A, s.address("third")), 0);
  equal(s.send(client, "x"), -EPERM);
  equal(s.send(third, "x"), -ENOTCONN);
});

Deno.test("descriptors travel with the first byte and stop the read behind them", () => {
  const s = new Scene();
  const [a, b] = s.pair(SOCK_STREAM);
  const event = s.call(SYS.eventfd2, 5, 0) as number;
  const file = s.a.files.get(event)!;
  s.send(a, "plain");
  equal(s.sendFiles(a, "with", event, event), 4);
  s.send(a, "after");
  equal(s.call(SYS.close, event), 0);
  equal(s.inFlight, 2);
  const text = s.receiveMessage(b, 100);
  const [first, second] = text.split(":")[1].split(",").map(Number);
  equal(text, `plainwith 1:${first},${second}`);
  equal(s.a.files.get(first) === file && s.a.files.get(second) === file, true);
  equal(s.receive(b, 100), "after");
  equal(s.inFlight, 0);
  s.sendFiles(a, "x", first, second);
  equal(/^x 1:\d+ flags 8$/.test(s.receiveMessage(b, 100, 20)), true);
  s.sendFiles(a, "y", first);
  s.receive(b, 1);
  equal(`${s.inFlight} ${file.references}`, "0 3");
});

Deno.test("sockets that only their own messages hold are collected", () => {
  const s = new Scene();
  const [a, b] = s.pair(SOCK_STREAM);
  const [c, d] = s.pair(SOCK_DGRAM);
  const event = s.call(SYS.eventfd2, 0, 0) as number;
  const file = s.a.files.get(event)!;
  s.sendFiles(a, "x", b, c, event);
  s.sendFiles(b, "x", a);
  s.sendFiles(c, "x", d);
  s.call(SYS.close, event);
  for (const fd of [c, d, a]) s.call(SYS.close, fd);
  equal(`${s.inFlight} ${file.references}`, "5 1");
  s.call(SYS.close, b);
  const [e] = s.pair(SOCK_STREAM);
  s.call(SYS.close, e);
  equal(`${s.inFlight} ${file.references}`, "0 0");
});

Deno.test("sockets in messages in sockets, deeper than our stack, are released", () => {
  const s = new Scene();
  let [end, inner] = s.pair(SOCK_STREAM);
  s.call(SYS.close, end);
  const event = s.call(SYS.eventfd2, 0, 0) as number;
  const file = s.a.files.get(event)!;
  for (let depth = 0; depth < 20_000; depth++) {
    const [to, next] = s.pair(SOCK_STREAM);
    if (depth === 0) s.sendFiles(to, "x", inner, event);
    else s.sendFiles(to, "x", inner);
    s.call(SYS.close, inner);
    s.call(SYS.close, to);
    inner = next;
  }
  s.call(SYS.close, event);
  equal(`${s.inFlight} ${file.references}`, "20001 1");
  s.call(SYS.close, inner);
  const { releases } = s.a.kernel.vfs;
  let turns = 0;
  for (; releases.pollAt() === 0; turns++) releases.poll();
  // Others have their turn meanwhile.
  equal(turns > 100, true);
  equal(`${s.inFlight} ${file.references}`, "0 0");
});

Deno.test("credentials say who made the peer and who wrote which bytes", () => {
  const s = new Scene();
  const [a, b] = s.pair(SOCK_STREAM);
  const memory = s.p.memory(s.a);
  memory.setInt32(A - BASE, 12, true);
  equal(s.call(SYS.getsockopt, a, 1, SO_PEERCRED, A + 8, A), 0);
  equal(memory.getInt32(A - BASE + 8, true), s.a.tid);
  memory.setInt32(A - BASE, 1, true);
  s.send(a, "before");
  equal(s.call(SYS.setsockopt, b, 1, SO_PASSCRED, A, 4), 0);
  s.send(a, "own");
  const child = s.p.fork(s.a);
  s.put(TEXT, "child", child);
  equal(s.p.syscall(child, SYS.write, a, TEXT, 5), 5);
  equal(s.receiveMessage(b, 100), `before ${SCM_CREDENTIALS}:0,65534,65534`);
  equal(s.receiveMessage(b, 100), `own ${SCM_CREDENTIALS}:${s.a.tid},0,0`);
  equal(s.receiveMessage(b, 100), `child ${SCM_CREDENTIALS}:${child.tid},0,0`);
});

Deno.test("SO_RCVTIMEO ends a wait in recv and in read", () => {
  const s = new Scene();
  const [a] = s.pair(SOCK_STREAM);
  const memory = s.p.memory(s.a);
  memory.setBigUint64(A - BASE, 0n, true);
  memory.setBigUint64(A - BASE + 8, 100_000n, true);
  equal(s.call(SYS.setsockopt, a, 1, SO_RCVTIMEO, A, 16), 0);
  equal(s.call(SYS.recvfrom, a, TEXT, 1, 0, 0, 0), WAITS);
  s.p.pass(99e6);
  equal(s.p.answer(s.a), WAITS);
  s.p.pass(2e6);
  equal(s.p.answer(s.a), -EAGAIN);
  equal(s.call(SYS.read, a, TEXT, 1), WAITS);
  s.p.pass(101e6);
  equal(s.p.answer(s.a), -EAGAIN);
});

Deno.test("autobind gives a name that getsockname shows", () => {
  const s = new Scene();
  const fd = s.socket(SOCK_DGRAM);
  s.put(A, "\x01\0");
  equal(s.call(SYS.bind, fd, A, 2), 0);
  s.p.memory(s.a).setInt32(A - BASE, 110, true);
  equal(s.call(SYS.getsockname, fd, A + 8, A), 0);
  equal(s.p.memory(s.a).getInt32(A - BASE, true), 8);
  // An abstract name of five hexadecimal digits, as unix_autobind() makes.
  equal(/^[0-9a-f]{5}$/.test(s.get(A + 11, 5)), true);
  equal([...s.get(A + 8, 3)].map((unit) => unit.charCodeAt(0)).join(), "1,0,0");
});
