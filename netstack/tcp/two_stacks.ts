// For unit tests: two stacks on the two ends of a wire, in virtual time, and programs that send and check a pattern.

import { type Address, prefixBits } from "../address.ts";
import { EndpointAddress } from "../endpoint.ts";
import { EAGAIN } from "../errno.ts";
import { type Impairment, ImpairmentLink } from "../link/impairment.ts";
import type { Link } from "../link/link.ts";
import { SoftwareOffload } from "../link/offload.ts";
import { VethLink } from "../link/veth.ts";
import { PacketPool } from "../packet.ts";
import { SeededRandom } from "../random.ts";
import { Stack } from "../stack.ts";
import { address } from "../test_support.ts";
import { patternByte } from "./conversation.ts";
import type { TcpEndpoint } from "./endpoint.ts";

const CHUNK_BYTES = 64 * 1024;
const chunk = new Uint8Array(CHUNK_BYTES);

export class TwoStacks {
  readonly pool = PacketPool.inHeap(8192, 256);
  readonly a: Stack;
  readonly b: Stack;
  readonly addressA: Address;
  readonly addressB: Address;
  now = 1e9;
  readonly wires: ImpairmentLink[] = [];

  constructor(seed: number, impairment: Partial<Impairment> | null, isV6 = false, mtu = 1500) {
    const [left, right] = VethLink.pair(
      Uint8Array.of(2, 0, 0, 0, 0, 1),
      Uint8Array.of(2, 0, 0, 0, 0, 2),
      mtu,
    );
    this.addressA = address(isV6 ? "fd00::1" : "10.0.0.1");
    this.addressB = address(isV6 ? "fd00::2" : "10.0.0.2");
    this.a = this.#stack(seed, left, this.addressA, impairment);
    this.b = this.#stack(seed + 1_000_000, right, this.addressB, impairment);
  }

  #stack(seed: number, link: Link, own: Address, impairment: Partial<Impairment> | null): Stack {
    const random = new SeededRandom(seed);
    const stack = new Stack({ pool: this.pool, random, log() {}, duplicateProbes: 0 });
    stack.now = this.now;
    let outer = link;
    if (impairment !== null) {
      const wire = new ImpairmentLink(link, new SeededRandom(seed * 7 + 1), impairment);
      this.wires.push(wire);
      outer = new SoftwareOffload(wire, this.pool);
    }
    const nic = stack.addNic("eth0", outer);
    stack.setUp(nic, true);
    stack.addAddress(nic, own, prefixBits(own.isV4 ? 24 : 64, own.isV4));
    return stack;
  }

  /** Both stacks do what is due, then time goes to what is next. False when nothing will ever happen by itself. */
  step(): boolean {
    for (let i = 0; i < 64; i++) {
      const isBusy = this.a.poll(this.now);
      if (!this.b.poll(this.now) && !isBusy) break;
    }
    const at = Math.min(this.a.pollAt(), this.b.pollAt());
    if (at === Infinity) return false;
    this.now = Math.max(this.now + 1000, at);
    return true;
  }
  /** Until `isOver`, but no longer than `seconds` of virtual time. */
  run(isOver: () => boolean, seconds: number): boolean {
    const until = this.now + seconds * 1e9;
    while (!isOver()) if (!this.step() || this.now > until) return isOver();
    return true;
  }
  close(): void {
    this.a.close();
    this.b.close();
  }
}

/** Sends `total` bytes of the pattern and reads until the end; what does not fit is noted in `failure`. */
export class PatternProgram {
  endpoint: TcpEndpoint | null;
  readonly total: number;
  sent = 0;
  received = 0;
  isAtEnd = false;
  isShut = false;
  failure = "";

  constructor(endpoint: TcpEndpoint | null, total: number) {
    this.endpoint = endpoint;
    this.total = total;
  }

  serve(): void {
    const { endpoint } = this;
    if (endpoint === null || this.failure !== "") return;
    this.#read(endpoint);
    this.#write(endpoint);
  }

  #read(endpoint: TcpEndpoint): void {
    while (!this.isAtEnd && this.failure === "") {
      const n = endpoint.read(chunk, 0, CHUNK_BYTES, 0, null);
      if (n === -EAGAIN) return;
      if (n < 0) {
        this.failure = `read answers ${n} after ${this.received} bytes`;
        return;
      }
      if (n === 0) this.isAtEnd = true;
      for (let i = 0; i < n; i++) {
        if (chunk[i] === patternByte(this.received + i)) continue;
        this.failure = `byte ${this.received + i} is wrong`;
        return;
      }
      this.received += n;
    }
  }

  #write(endpoint: TcpEndpoint): void {
    while (this.sent < this.total) {
      const length = Math.min(CHUNK_BYTES, this.total - this.sent);
      for (let i = 0; i < length; i++) chunk[i] = patternByte(this.sent + i);
      const n = endpoint.write(chunk, 0, length, 0, null);
      if (n === -EAGAIN) return;
      if (n < 0) {
        this.failure = `write answers ${n} after ${this.sent} bytes`;
        return;
      }
      this.sent += n;
    }
    if (this.isShut) return;
    const result = endpoint.shutdown(2);
    if (result < 0 && !this.isAtEnd) return;
    this.isShut = true;
  }

  get isDone(): boolean {
    return this.failure !== "" || this.isAtEnd && this.isShut;
  }
}

export function addressOf(host: Address, port: number): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(host);
  to.port = port;
  return to;
}
