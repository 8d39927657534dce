// What becomes of late answers: taken by the call that has waited, closed where nobody wants them.

import { deepEqual, equal, ok } from "node:assert/strict";
import { GoferClient, GoferConnection } from "../../../gofer/client.ts";
import { ATTRIBUTES_BYTES, NO_NODE, REQUEST, WANTS } from "../../../gofer/protocol.ts";
import type { GoferChannel } from "../../../platform/platform.ts";
import type { Kernel } from "../../kernel.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import { NO_STATE, type WaitState } from "../../task/wait_state.ts";
import { LateRequests } from "./late_requests.ts";

const ETIMEDOUT = 110;

/** Answers nothing in time; answer() says what comes later, in slot 0. */
class LateChannel {
  slot = 0;
  donated = -1;
  answeredAtNanos = 5;
  hasOthers = false;
  hasBegun = true;
  asked = 0;
  #answer: Uint8Array | null = null;
  ask(): number {
    this.asked++;
    return -ETIMEDOUT;
  }
  answer(bytes: Uint8Array): void {
    this.#answer = bytes;
  }
  answered(): number {
    return this.#answer === null ? 0 : 1;
  }
  take(_slot: number, into: Uint8Array): number {
    const bytes = this.#answer!;
    this.#answer = null;
    into.set(bytes);
    return bytes.length;
  }
  close(): void {}
}

class Setting {
  readonly channel = new LateChannel();
  readonly closed: number[] = [];
  readonly unwanted: number[] = [];
  readonly call = {
    number: 4,
    state: NO_STATE as WaitState,
    waits: 0,
    setState(state: WaitState) {
      this.state = state;
    },
    waitOn() {
      this.waits++;
    },
  };
  readonly client: GoferClient;
  readonly late: LateRequests;

  constructor() {
    const task = { state: 0, thread: { isRunning: false }, call: this.call };
    const host = { clockNanos: () => 1e9, close: (fd: number) => this.closed.push(fd) };
    const connection = new GoferConnection(this.channel as unknown as GoferChannel);
    this.late = new LateRequests(
      { currentTask: task, host, vfs: { isIndivisible: false } } as unknown as Kernel,
      connection,
    );
    connection.late = this.late;
    this.client = new GoferClient(connection, 0);
    this.client.onUnwanted = (node) => this.unwanted.push(node);
  }

  walk(name: string, known: number): number {
    const { request } = this.client;
    request.start(REQUEST.WALK);
    request.u32(0);
    request.u8(WANTS.NOTHING);
    request.u8(1);
    request.u32(known);
    request.name(name);
    return this.client.call();
  }

  write(offset: number, bytes: number[]): number {
    const { request } = this.client;
    request.start(REQUEST.WRITE);
    request.u32(1);
    request.u8(0);
    request.u64(offset);
    request.raw(new Uint8Array(bytes), 0, bytes.length);
    return this.client.call();
  }

  read(offset: number): number {
    const { request } = this.client;
    request.start(REQUEST.READ);
    request.u32(1);
    request.u64(offset);
    request.u32(10);
    return this.client.call();
  }

  /** The answer to a walk that leads to `node`. */
  answer(node: number): void {
    const bytes = new Uint8Array(13 + ATTRIBUTES_BYTES);
    bytes[4] = 1;
    bytes[9] = node;
    this.channel.answer(bytes);
    this.late.collect();
  }

  endCall(): void {
    this.call.state = NO_STATE;
  }
}

Deno.test("a call that waits for an answer finds it when it is made again, and asks once", () => {
  const s = new Setting();
  equal(s.walk("a", NO_NODE), MUST_WAIT);
  equal(s.walk("a", NO_NODE), MUST_WAIT);
  equal(s.channel.asked, 1);
  s.answer(7);
  equal(s.walk("a", NO_NODE), 0);
  equal(s.channel.asked, 1);
  equal(s.client.answer.u8(), 1);
  equal(s.client.answeredAtNanos, 5);
  ok(s.late.beganAt < Infinity);
  // Its next one is another request, and then a new call asks anew.
  equal(s.walk("b", NO_NODE), MUST_WAIT);
  equal(s.channel.asked, 2);
  s.endCall();
  equal(s.late.beganAt, Infinity);
  s.answer(8);
  deepEqual(s.unwanted, [8]);
});

Deno.test("a node that nobody wants is closed, but not one that was known before", () => {
  const s = new Setting();
  equal(s.walk("a", 7), MUST_WAIT);
  s.endCall();
  s.answer(7);
  deepEqual(s.unwanted, []);
  equal(s.walk("a", 7), MUST_WAIT);
  s.channel.donated = 33;
  s.endCall();
  s.answer(9);
  deepEqual(s.unwanted, [9]);
  deepEqual(s.closed, [33]);
});

Deno.test("a write that waited is found again although its bytes have changed meanwhile, a longer one is another", () => {
  const s = new Setting();
  equal(s.write(0, [1, 2, 3]), MUST_WAIT);
  s.channel.answer(new Uint8Array([0, 0, 0, 0, 3, 0, 0, 0]));
  s.late.collect();
  equal(s.write(0, [1, 9, 3]), 0);
  equal(s.client.answer.u32(), 3);
  equal(s.channel.asked, 1);
  equal(s.write(0, [1, 9, 3, 4]), MUST_WAIT);
  equal(s.channel.asked, 2);
});

Deno.test("what a call has read it finds again however often it is made again, and the next call asks anew", () => {
  const s = new Setting();
  equal(s.read(0), MUST_WAIT);
  s.channel.answer(new Uint8Array([0, 0, 0, 0, 42]));
  s.late.collect();
  for (let time = 0; time < 3; time++) {
    equal(s.read(0), 0);
    equal(s.client.answer.u8(), 42);
    equal(s.read(1), MUST_WAIT);
  }
  equal(s.channel.asked, 2);
  s.endCall();
  equal(s.read(0), MUST_WAIT);
  equal(s.channel.asked, 3);
});

Deno.test("a mount is slow after late answers in a row that the gofer had begun, not while it waits for a CPU", () => {
  const s = new Setting();
  for (const hasBegun of [false, true]) {
    s.channel.hasBegun = hasBegun;
    for (let n = 0; n < 4; n++) {
      ok(!s.client.isSlow);
      equal(s.walk("a", NO_NODE), MUST_WAIT);
      s.endCall();
      s.answer(7);
    }
    equal(s.client.isSlow, hasBegun);
  }
});
