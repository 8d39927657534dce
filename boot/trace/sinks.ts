// Where a trace session's messages go: nowhere, to a monitor over a SOCK_SEQPACKET socket, or into a file as lines of JSON.
// None of them makes the sandbox wait: what a monitor does not take in time is dropped and counted.

import { EAGAIN } from "../../kernel/abi/errno.ts";
import type { HostDescriptor } from "../../kernel/host/host_descriptor.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Deadlined } from "../../kernel/util/deadline_heap.ts";
import { parseGoDuration } from "../control/go_duration.ts";
import { encodeMessage, type Message } from "../protobuf.ts";
import { type MessageType, SCHEMAS } from "./messages.ts";

export interface Sink {
  /** Messages that did not arrive. */
  readonly droppedCount: number;
  write(point: string, type: MessageType, message: Message): void;
  stop(): void;
}

/** Sinks by name; whether each has a descriptor. */
export const SINKS: Readonly<Record<string, { readonly hasFile: boolean }>> = {
  null: { hasFile: false },
  remote: { hasFile: true },
  json: { hasFile: true },
};

/** `config` is what the session says of the sink. Throws where that makes no sense. */
export function newSink(
  kernel: Kernel,
  name: string,
  config: Readonly<Record<string, unknown>>,
  file: HostDescriptor | null,
): Sink {
  if (name === "null" || file === null) return new NullSink();
  return name === "json" ? new JsonSink(file) : new RemoteSink(kernel, file, config);
}

class NullSink implements Sink {
  readonly droppedCount = 0;
  write(): void {}
  stop(): void {}
}

/** u16 bytes of the header, u16 type, u32 messages dropped so far. */
const HEADER_BYTES = 8;
/** Messages that wait for a monitor. */
const QUEUE_MAX = 1024;
const BACKOFF_NANOS = 25_000;
const BACKOFF_NANOS_MAX = 10_000_000;
const RETRIES_MAX = 1000;
const NO_FDS = new Int32Array(0);

/** gVisor's `remote`: a packet per message. */
class RemoteSink implements Sink, Deadlined {
  droppedCount = 0;
  deadline = 0;
  deadlineIndex = -1;
  readonly #kernel: Kernel;
  readonly #socket: HostDescriptor;
  readonly #retries: number;
  readonly #backoffMin: number;
  readonly #backoffMax: number;
  /** Those that the monitor had no room for, with their types. */
  readonly #queue: { readonly type: MessageType; readonly body: Uint8Array }[] = [];
  #tries = 0;
  #backoff: number;

  constructor(kernel: Kernel, socket: HostDescriptor, config: Readonly<Record<string, unknown>>) {
    this.#kernel = kernel;
    this.#socket = socket;
    const { retries = 0, backoff, backoff_max } = config;
    if (typeof retries !== "number" || !Number.isInteger(retries) || retries < 0 || retries > RETRIES_MAX) {
      throw new Error(`retries "${retries}" is not a number up to ${RETRIES_MAX}`);
    }
    this.#retries = retries;
    this.#backoffMin = durationOf(backoff, "backoff", BACKOFF_NANOS);
    this.#backoffMax = durationOf(backoff_max, "backoff_max", BACKOFF_NANOS_MAX);
    if (this.#backoffMin > this.#backoffMax) {
      throw new Error("initial backoff cannot be larger than max backoff");
    }
    this.#backoff = this.#backoffMin;
  }

  write(_point: string, type: MessageType, message: Message): void {
    const body = encodeMessage(SCHEMAS[type], message);
    if (this.#queue.length === 0) {
      const sent = this.#send(type, body);
      if (sent >= 0) return;
      if (sent !== -EAGAIN || this.#retries === 0) {
        this.droppedCount++;
        return;
      }
      this.#tries = 0;
      this.#backoff = this.#backoffMin;
    } else if (this.#queue.length >= QUEUE_MAX) {
      this.droppedCount++;
      return;
    }
    this.#queue.push({ type, body });
    if (this.deadlineIndex < 0) this.#tryLater();
  }

  #tryLater(): void {
    this.deadline = this.#kernel.clock.monotonic() + this.#backoff;
    this.#backoff = Math.min(2 * this.#backoff, this.#backoffMax);
    this.#kernel.deadlines.add(this);
  }

  onDeadline(): void {
    while (this.#queue.length > 0) {
      const { type, body } = this.#queue[0];
      const sent = this.#send(type, body);
      if (sent === -EAGAIN && ++this.#tries < this.#retries) return this.#tryLater();
      if (sent < 0) this.droppedCount++;
      this.#queue.shift();
      this.#tries = 0;
      this.#backoff = this.#backoffMin;
    }
  }

  #send(type: MessageType, body: Uint8Array): number {
    const packet = new Uint8Array(HEADER_BYTES + body.length), view = new DataView(packet.buffer);
    view.setUint16(0, HEADER_BYTES, true);
    view.setUint16(2, type, true);
    view.setUint32(4, this.droppedCount, true);
    packet.set(body, HEADER_BYTES);
    return this.#kernel.host.sendMessage(this.#socket.fd, packet, 0, packet.length, NO_FDS, 0);
  }

  stop(): void {
    if (this.deadlineIndex >= 0) this.#kernel.deadlines.remove(this);
    // Once more, without waiting.
    for (const { type, body } of this.#queue) if (this.#send(type, body) < 0) this.droppedCount++;
    this.#queue.length = 0;
    this.#socket.drop();
  }
}

function durationOf(value: unknown, name: string, otherwise: number): number {
  if (value === undefined) return otherwise;
  const nanos = typeof value === "string" ? parseGoDuration(value) : null;
  if (nanos === null || nanos < 0) throw new Error(`${name} ${JSON.stringify(value)} is not a duration`);
  return nanos;
}

/** A line of JSON per message: `point`, then the message's fields; bytes in base64. */
class JsonSink implements Sink {
  droppedCount = 0;
  readonly #file: HostDescriptor;

  constructor(file: HostDescriptor) {
    this.#file = file;
  }

  write(point: string, _type: MessageType, message: Message): void {
    const text = JSON.stringify(
      { point, ...message },
      (_key, value) => value instanceof Uint8Array ? value.toBase64() : value,
    );
    const line = new TextEncoder().encode(`${text}\n`);
    if (this.#file.write(line, 0, line.length) !== line.length) this.droppedCount++;
  }

  stop(): void {
    this.#file.drop();
  }
}
