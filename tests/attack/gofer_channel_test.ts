// The memory that sentry and gofer share, with a hostile one at either end: lengths, states and doorbells that make no sense,
// at any time. Nobody crashes, reads beyond a frame or waits without end.

import { deepEqual, equal, ok } from "node:assert/strict";
import { EPROTO, ETIMEDOUT } from "../../kernel/abi/errno.ts";
import { GoferServer } from "../../gofer/server.ts";
import { FRAME_BYTES_MAX, PROTOCOL_VERSION } from "../../gofer/protocol.ts";
import { connectGofer } from "../../native/gofer_channel.ts";
import { serveAside } from "../../native/gofer_host.ts";
import { NativeHost } from "../../native/host.ts";
import { socketPair } from "../../native/process.ts";

/** As in native/src/gofer/channel.rs. */
const SLOTS = 32, HEADER_BYTES = 4096, SLOT_AT = 128, SLOT_STRIDE = 64;
const CHANNEL_BYTES = HEADER_BYTES + SLOTS * FRAME_BYTES_MAX;
const FREE = 0, POSTED = 1, ANSWERED = 3, LATE = 0x100;
const SYS_futex = 202, FUTEX_WAKE = 1;
const F_ADD_SEALS = 1033, F_SEAL_SEAL = 1, F_SEAL_SHRINK = 2, F_SEAL_GROW = 4;
const MFD_ALLOW_SEALING = 2;
const ROUNDS = 20_000;

const host = new NativeHost();
const libc = Deno.dlopen("libc.so.6", {
  mmap: { parameters: ["usize", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  syscall: { parameters: ["i64", "pointer", "i64", "i64"], result: "i64" },
}).symbols;

/** The shared memory as raw words. */
class Memory {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #pointer: Deno.PointerObject;
  constructor(fd: number) {
    const pointer = libc.mmap(0n, BigInt(CHANNEL_BYTES), 3, 1, fd, 0n);
    if (pointer === null) throw new Error("Cannot map");
    this.#pointer = pointer;
    const buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, CHANNEL_BYTES);
    this.words = new Uint32Array(buffer);
    this.bytes = new Uint8Array(buffer);
  }
  /** Index of a control word of `slot`: 0 state, 1 length, 2 sequence, 3 has descriptor. */
  at(slot: number, word: number): number {
    return (SLOT_AT + slot * SLOT_STRIDE) / 4 + word;
  }
  ring(): void {
    this.words[0]++;
    libc.syscall(BigInt(SYS_futex), this.#pointer, BigInt(FUTEX_WAKE), 1n);
  }
  release(): void {
    libc.munmap(this.#pointer, BigInt(CHANNEL_BYTES));
  }
}

/** Numbers that look random, the same ones each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) % below;
  };
}

function connectMessage(version: number): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setUint32(0, version, true);
  return bytes;
}

Deno.test("gofer: a sentry that writes what it likes into the shared memory", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-gofer-" });
  const server = new GoferServer();
  server.open({ path: directory, isReadOnly: true, isRecursive: false });
  const [ours, theirs] = socketPair();
  server.start(theirs);
  const ended = serveAside(server.number);
  const fd = host.memfdCreate("hostile", MFD_ALLOW_SEALING);
  equal(host.ftruncate(fd, CHANNEL_BYTES), 0);
  equal(libc.fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), 0);
  host.sendMessage(ours, connectMessage(PROTOCOL_VERSION), 0, 8, Int32Array.of(fd), 1);
  const memory = new Memory(fd), below = numbers(7);
  const words = [
    FREE,
    POSTED,
    ANSWERED,
    POSTED | LATE,
    0xffff_ffff,
    FRAME_BYTES_MAX,
    FRAME_BYTES_MAX + 1,
    4,
    12,
  ];
  for (let i = 0; i < ROUNDS; i++) {
    const slot = below(SLOTS);
    memory.words[memory.at(slot, 1 + below(3))] = words[below(words.length)];
    memory.bytes[HEADER_BYTES + slot * FRAME_BYTES_MAX + below(24)] = below(256);
    memory.words[memory.at(slot, 0)] = words[below(words.length)];
    memory.ring();
    if (i % 100 === 0) drain(ours);
  }
  // It still serves: STAT of the root.
  for (let slot = 0; slot < SLOTS; slot++) memory.words[memory.at(slot, 0)] = FREE;
  await new Promise((resolve) => setTimeout(resolve, 50));
  drain(ours);
  memory.bytes.set([14, 0, 0, 0, 0, 0, 0, 0], HEADER_BYTES);
  memory.words[memory.at(0, 1)] = 8;
  memory.words[memory.at(0, 0)] = POSTED;
  memory.ring();
  for (let i = 0; i < 500 && memory.words[memory.at(0, 0)] !== ANSWERED; i++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  equal(memory.words[memory.at(0, 0)], ANSWERED);
  equal(new DataView(memory.bytes.buffer).getInt32(HEADER_BYTES, true), 0);
  host.close(ours);
  await ended;
  memory.release();
  host.close(fd);
  Deno.removeSync(directory);
});

/** Reads and forgets what the other side has sent. */
function drain(socket: number): void {
  const bytes = new Uint8Array(64), fds = new Int32Array(8);
  while (host.receiveMessage(socket, bytes, 0, 64, fds, 0) > 0) {
    for (let i = 0; i < host.receivedFds; i++) host.close(fds[i]);
  }
}

Deno.test("gofer: memory that could shrink, or is too small, or another version: refused", async () => {
  for (
    const [bytes, seals, version] of [
      [CHANNEL_BYTES, 0, PROTOCOL_VERSION],
      [CHANNEL_BYTES, F_SEAL_GROW | F_SEAL_SEAL, PROTOCOL_VERSION],
      [4096, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, PROTOCOL_VERSION],
      [CHANNEL_BYTES, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL, PROTOCOL_VERSION + 1],
    ]
  ) {
    const server = new GoferServer();
    const [ours, theirs] = socketPair();
    server.start(theirs);
    const ended = serveAside(server.number);
    const fd = host.memfdCreate("hostile", MFD_ALLOW_SEALING);
    host.ftruncate(fd, bytes);
    libc.fcntl(fd, F_ADD_SEALS, seals);
    host.sendMessage(ours, connectMessage(version), 0, 8, Int32Array.of(fd), 1);
    const answer = new Uint8Array(8);
    equal(host.receiveMessage(ours, answer, 0, 8, new Int32Array(1), 5000), 8);
    equal(new DataView(answer.buffer).getInt32(4, true), -EPROTO);
    await ended;
    host.close(ours);
    host.close(fd);
  }
});

Deno.test("sentry: a gofer that answers nonsense", () => {
  const [ours, theirs] = socketPair();
  // It accepts before it has been asked.
  host.sendMessage(theirs, connectMessage(PROTOCOL_VERSION), 0, 8, new Int32Array(1), 0);
  const channel = connectGofer(ours, -1, 60_000);
  if (typeof channel === "number") throw new Error(`Cannot connect: ${channel}`);
  const fds = new Int32Array(1);
  equal(host.receiveMessage(theirs, new Uint8Array(8), 0, 8, fds, 1000), 8);
  const memory = new Memory(fds[0]);
  const request = new Uint8Array(8), answer = new Uint8Array(FRAME_BYTES_MAX);
  const before = [...Deno.readDirSync("/proc/self/fd")].length;
  for (const length of [0xffff_ffff, FRAME_BYTES_MAX + 1, 0x7fff_ffff]) {
    equal(channel.ask(request, 8, answer, 1000), -ETIMEDOUT);
    memory.words[memory.at(channel.slot, 1)] = length;
    memory.words[memory.at(channel.slot, 0)] = ANSWERED;
    equal(channel.take(channel.slot, answer), -EPROTO);
  }
  // A descriptor that is promised and never comes, and some that nobody has asked for.
  equal(channel.ask(request, 8, answer, 1000), -ETIMEDOUT);
  const { slot } = channel;
  for (const words of [[slot, 77], [1000, 0], [0xffff_ffff, 0xffff_ffff], [slot + 1, 1]]) {
    const message = new Uint8Array(8);
    new Uint32Array(message.buffer).set(words);
    host.sendMessage(theirs, message, 0, 8, Int32Array.of(fds[0]), 1);
  }
  memory.words[memory.at(slot, 1)] = 4;
  memory.words[memory.at(slot, 3)] = 1;
  memory.words[memory.at(slot, 0)] = ANSWERED | LATE;
  for (let other = 0; other < SLOTS; other++) memory.words[memory.at(other, 0)] ||= ANSWERED;
  // Of slots, only those that are in use count.
  equal(channel.answered(), (1 << slot) >>> 0);
  equal(channel.take(slot, answer), 4);
  equal(channel.donated, -1);
  equal([...Deno.readDirSync("/proc/self/fd")].length, before);
  ok(channel.take(slot, answer) < 0);
  ok(channel.take(4_000_000, answer) < 0);
  // All slots are in use: it says so.
  const results = Array.from({ length: SLOTS + 1 }, () => channel.ask(request, 8, answer, 0));
  deepEqual([...new Set(results)].sort(), [-11, -ETIMEDOUT].sort());
  channel.close();
  memory.release();
  for (const fd of [ours, theirs, fds[0]]) host.close(fd);
});
