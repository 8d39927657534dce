// Network sockets over processes without guest code: what they hold of the kernel's memory, when their network goes, and
// that kernels and namespaces share none.

import { equal, notEqual, ok } from "node:assert/strict";
import { EAGAIN, ECONNREFUSED, ENETUNREACH, ENOBUFS } from "../../abi/errno.ts";
import { AF_INET, MSG_DONTWAIT, SOCK_DGRAM, SOCK_STREAM } from "../../abi/socket.ts";
import { FAMILIES } from "../../syscalls/families.ts";
import { withNamespace } from "../../task/namespace_changes.ts";
import { NetNamespace } from "../../task/namespaces.ts";
import type { Task } from "../../task/task.ts";
import { BASE, Processes, WAITS } from "../../../tests/support/processes.ts";

const NUMBERS = new Map(
  FAMILIES.flatMap((family) => Object.entries(family)).map(([name, { nr }]) => [name, nr.x64]),
);
const ADDRESS = BASE + 0x100;
const LENGTH = BASE + 0x200;
const TEXT = BASE + 0x1000;
const DATAGRAM_BYTES = 1000;

class Bench {
  readonly p = new Processes(FAMILIES);
  readonly task: Task = this.p.fork(this.p.init);

  call(name: string, ...values: number[]): number | typeof WAITS {
    return this.p.syscall(this.task, NUMBERS.get(name)!, ...values);
  }
  moveTo(namespace: NetNamespace): void {
    this.task.setNamespaces(withNamespace(this.task.namespaces, namespace));
  }
  get usedBytes(): number {
    return this.p.kernel.account.heap.usedBytes;
  }
  /** 127.0.0.1 with `port` at ADDRESS. */
  address(port: number): void {
    const memory = this.p.memory(this.task), at = ADDRESS - BASE;
    memory.setUint16(at, AF_INET, true);
    memory.setUint16(at + 2, port);
    memory.setUint32(at + 4, 0x7f000001);
  }
  /** A socket bound to a port of the range, and that port. */
  bound(type: number): [number, number] {
    const fd = this.call("socket", AF_INET, type, 0) as number;
    this.address(0);
    equal(this.call("bind", fd, ADDRESS, 16), 0);
    const memory = this.p.memory(this.task);
    memory.setUint32(LENGTH - BASE, 16, true);
    equal(this.call("getsockname", fd, ADDRESS, LENGTH), 0);
    return [fd, memory.getUint16(ADDRESS - BASE + 2)];
  }
}

Deno.test("datagrams and streams count in the kernel's account until they are read or closed", () => {
  const bench = new Bench();
  bench.call("close", bench.call("socket", AF_INET, SOCK_DGRAM, 0) as number);
  const before = bench.usedBytes;
  const [receiver, port] = bench.bound(SOCK_DGRAM);
  const sender = bench.call("socket", AF_INET, SOCK_DGRAM, 0) as number;
  const idle = bench.usedBytes;
  bench.address(port);
  for (let i = 0; i < 10; i++) {
    equal(bench.call("sendto", sender, TEXT, DATAGRAM_BYTES, 0, ADDRESS, 16), DATAGRAM_BYTES);
  }
  ok(bench.usedBytes - idle >= 10 * DATAGRAM_BYTES);
  for (let i = 0; i < 10; i++) {
    equal(bench.call("recvfrom", receiver, TEXT, 2000, MSG_DONTWAIT, 0, 0), DATAGRAM_BYTES);
  }
  equal(bench.call("recvfrom", receiver, TEXT, 2000, MSG_DONTWAIT, 0, 0), -EAGAIN);
  equal(bench.usedBytes, idle);
  const [listener, listenerPort] = bench.bound(SOCK_STREAM);
  equal(bench.call("listen", listener, 5), 0);
  const client = bench.call("socket", AF_INET, SOCK_STREAM, 0) as number;
  bench.address(listenerPort);
  equal(bench.call("connect", client, ADDRESS, 16), 0);
  const server = bench.call("accept", listener, 0, 0) as number;
  const connected = bench.usedBytes;
  equal(bench.call("sendto", client, TEXT, 5000, 0, 0, 0), 5000);
  ok(bench.usedBytes - connected >= 5000);
  for (const fd of [server, client, listener, sender, receiver]) equal(bench.call("close", fd), 0);
  equal(bench.usedBytes, before);
});

Deno.test("without kernel memory a send answers ENOBUFS", () => {
  const bench = new Bench();
  const [, port] = bench.bound(SOCK_DGRAM);
  const sender = bench.call("socket", AF_INET, SOCK_DGRAM, 0) as number;
  bench.address(port);
  const { heap } = bench.p.kernel.account;
  heap.force(heap.limitBytes);
  equal(bench.call("sendto", sender, TEXT, 10, 0, ADDRESS, 16), -ENOBUFS);
  heap.give(heap.limitBytes);
  equal(bench.call("sendto", sender, TEXT, 10, 0, ADDRESS, 16), 10);
});

Deno.test("a network is made by the first who needs it, and goes with its last socket and task", () => {
  const bench = new Bench();
  const { inet } = bench.p.kernel;
  equal(inet.networks.size, 0);
  const outside = bench.call("socket", AF_INET, SOCK_STREAM, 0) as number;
  equal(inet.networks.size, 1);
  const before = bench.usedBytes;
  bench.moveTo(new NetNamespace(100));
  const inside = bench.call("socket", AF_INET, SOCK_STREAM, 0) as number;
  equal(inet.networks.size, 2);
  bench.address(9);
  // Its loopback is down; the socket from before is still where it was made.
  equal(bench.call("connect", inside, ADDRESS, 16), -ENETUNREACH);
  equal(bench.call("connect", outside, ADDRESS, 16), -ECONNREFUSED);
  notEqual(bench.usedBytes, before);
  bench.moveTo(new NetNamespace(101));
  equal(inet.networks.size, 2);
  equal(bench.call("close", inside), 0);
  equal(inet.networks.size, 1);
  equal(bench.usedBytes, before);
});

Deno.test("a call that waits on a socket goes on when data comes", () => {
  const bench = new Bench();
  const [receiver, port] = bench.bound(SOCK_DGRAM);
  const other = bench.p.fork(bench.p.init);
  const sender = bench.p.syscall(other, NUMBERS.get("socket")!, AF_INET, SOCK_DGRAM, 0) as number;
  equal(bench.call("recvfrom", receiver, TEXT, 100, 0, 0, 0), WAITS);
  const memory = bench.p.memory(other), at = ADDRESS - BASE;
  memory.setUint16(at, AF_INET, true);
  memory.setUint16(at + 2, port);
  memory.setUint32(at + 4, 0x7f000001);
  equal(bench.p.syscall(other, NUMBERS.get("sendto")!, sender, TEXT, 42, 0, ADDRESS, 16), 42);
  equal(bench.p.answer(bench.task), 42);
});
