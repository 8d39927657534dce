// What the two hosts of a simulation do to each other: connections whose bytes follow from their place, written and read in
// pieces, paused, half closed, closed. Each end checks what it gets.

import type { Endpoint, EndpointAddress } from "../endpoint.ts";
import { EAGAIN, EINPROGRESS } from "../errno.ts";
import { POLLERR, POLLOUT } from "../readiness.ts";
import type { SeededRandom } from "../random.ts";
import { SO_KEEPALIVE, SOL_SOCKET } from "../socket_options.ts";
import { SOL_TCP, TCP_KEEPIDLE } from "../tcp/options.ts";
import { SHUTDOWN_WRITE } from "../numbers.ts";

const BUFFER_BYTES = 64 * 1024;
const buffer = new Uint8Array(BUFFER_BYTES);

/** The byte at `place` of stream `stream`. */
function byteAt(stream: number, place: number): number {
  return Math.imul(place + 1, 0x9e3779b1 ^ stream) >>> 24;
}

export interface Plan {
  readonly sends: number;
  readonly stream: number;
  /** Longest pause between two doings, nanoseconds, and most bytes of one. */
  readonly pauseNanos: number;
  readonly pieceBytes: number;
  /** Closes without reading what is still to come: the other end sees a reset, or an early end. */
  readonly isRude: boolean;
}

/** One end of a connection at work. */
export class Worker {
  readonly endpoint: Endpoint;
  readonly #random: SeededRandom;
  readonly #plan: Plan;
  readonly #peerPlan: Plan;
  sent = 0;
  received = 0;
  #isShut = false;
  isOver = false;
  sawEnd = false;
  /** errno that ended it, 0 = none. */
  failure = 0;
  complaint = "";
  /** When it wants to do more, Infinity = when its endpoint says so. */
  nextAt = 0;
  #wasTold = true;
  #hasDone = false;

  constructor(endpoint: Endpoint, random: SeededRandom, plan: Plan, peerPlan: Plan) {
    this.endpoint = endpoint;
    this.#random = random;
    this.#plan = plan;
    this.#peerPlan = peerPlan;
    // A peer that went away unheard (its reset was lost) is found out.
    setInt(endpoint, SOL_SOCKET, SO_KEEPALIVE, 1);
    setInt(endpoint, SOL_TCP, TCP_KEEPIDLE, 60);
    endpoint.queue = { notify: () => this.#wasTold = true };
  }

  /** Neither end closes before the other has said all. */
  get isPolite(): boolean {
    return !this.#plan.isRude && !this.#peerPlan.isRude;
  }
  get isComplete(): boolean {
    return this.received === this.#peerPlan.sends;
  }

  /** Does some of its work; afterwards `nextAt` says when it wants to do more. */
  act(now: number): void {
    if (this.#wasTold && this.nextAt === Infinity) this.nextAt = now;
    if (this.isOver || now < this.nextAt) return;
    const random = this.#random;
    this.#wasTold = this.#hasDone = false;
    const events = this.endpoint.readiness();
    if ((events & POLLERR) !== 0) {
      this.#end(-this.endpoint.takeError());
      return;
    }
    this.#read();
    if (!this.isOver) this.#write();
    if (this.isOver) return;
    const pause = 1e5 + (this.#plan.pauseNanos > 0 ? random.below(this.#plan.pauseNanos) : 0);
    this.nextAt = this.#hasDone || this.#wasTold ? now + pause : Infinity;
    const isDone = this.sent === this.#plan.sends && this.#isShut && this.sawEnd;
    const isRudeNow = this.#plan.isRude && this.sent >= this.#plan.sends / 2;
    if (isDone || isRudeNow) this.#end(0);
  }

  #read(): void {
    const n = this.endpoint.read(buffer, 0, 1 + this.#random.below(this.#plan.pieceBytes), 0, null);
    if (n === -EAGAIN) return;
    if (n < 0) return this.#end(-n);
    if (n === 0) {
      this.sawEnd = true;
      return;
    }
    this.#hasDone = true;
    for (let i = 0; i < n; i++) {
      if (buffer[i] === byteAt(this.#peerPlan.stream, this.received + i)) continue;
      this.complaint = `stream ${this.#peerPlan.stream}: byte ${this.received + i} is ${buffer[i]}`;
      return this.#end(0);
    }
    this.received += n;
    if (this.received > this.#peerPlan.sends) {
      this.complaint = `stream ${this.#peerPlan.stream}: too many bytes`;
    }
  }

  #write(): void {
    if ((this.endpoint.readiness() & POLLOUT) === 0) return;
    const left = this.#plan.sends - this.sent;
    if (left > 0) {
      const length = Math.min(left, 1 + this.#random.below(this.#plan.pieceBytes));
      for (let i = 0; i < length; i++) buffer[i] = byteAt(this.#plan.stream, this.sent + i);
      const n = this.endpoint.write(buffer, 0, length, 0, null);
      if (n === -EAGAIN) return;
      if (n < 0) return this.#end(-n);
      this.sent += n;
      this.#hasDone = true;
      return;
    }
    if (this.#isShut) return;
    this.#isShut = this.#hasDone = true;
    this.endpoint.shutdown(SHUTDOWN_WRITE);
  }

  #end(errno: number): void {
    this.failure = errno;
    this.isOver = true;
    this.endpoint.close();
  }
}

function setInt(endpoint: Endpoint, level: number, name: number, value: number): void {
  endpoint.setOption(level, name, Uint8Array.of(value, 0, 0, 0), 0, 4);
}

/** Begins a connection; the endpoint, or null where it could not. */
export function startConnect(endpoint: Endpoint, to: EndpointAddress): boolean {
  const result = endpoint.connect(to);
  return result === 0 || result === -EINPROGRESS;
}
