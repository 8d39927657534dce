// Runs a conversation (conversation.ts) against a stack with one interface whose other end is the text.

import * as errno from "../errno.ts";
import { MSG_MORE, MSG_OOB, MSG_PEEK, OutgoingControl } from "../endpoint.ts";
import { OPTIONS } from "../options.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDHUP } from "../readiness.ts";
import { Bench, icmp, ipv4, ipv6, isSound, sealed, transportOf } from "../test_support.ts";
import { get16, put32 } from "../wire/bytes.ts";
import { FIN, PSH, SYN } from "../wire/tcp.ts";
import {
  type Bases,
  buildSegment,
  difference,
  endpointAddress,
  formatSegment,
  type Line,
  parseConversation,
  patternByte,
  readSegment,
  type SegmentText,
} from "./conversation.ts";
import type { TcpEndpoint } from "./endpoint.ts";
import { readInfo } from "./info.ts";
import type { TcpSettingName } from "./settings.ts";
import { STATE_NAMES } from "./state.ts";
import { SHUTDOWN_READ, SHUTDOWN_WRITE } from "../numbers.ts";

/** A segment may leave this much off its time. */
const TOLERANCE_NANOS = 2e6;
const OUR_PORT = 8080;
const THEIR_PORT = 40_000;
const THEIR_SEQUENCE = 0x7fff_ff00;
const POLL_BITS: Readonly<Record<string, number>> = {
  IN: POLLIN,
  OUT: POLLOUT,
  HUP: POLLHUP,
  ERR: POLLERR,
  PRI: POLLPRI,
  RDHUP: POLLRDHUP,
};

export interface ConversationOptions {
  readonly isV6?: boolean;
  /** The peer's initial sequence number: near the wrap by default. */
  readonly theirSequence?: number;
}

interface Sent {
  readonly segment: SegmentText;
  readonly at: number;
  readonly bytes: Uint8Array;
}

export function converse(text: string, options: ConversationOptions = {}): void {
  const runner = new Runner(options);
  for (const line of parseConversation(text)) runner.step(line);
  runner.end();
}

export class Runner {
  readonly bench: Bench;
  readonly #isV6: boolean;
  readonly #bases: Bases;
  readonly #queue: Sent[] = [];
  #endpoint: TcpEndpoint | null = null;
  #listener: TcpEndpoint | null = null;
  readonly #all: TcpEndpoint[] = [];
  #ourPort = OUR_PORT;
  /** The event before was then. */
  #eventAt: number;
  /** Places written and read by the program, of the connection at hand. */
  #written = 0;
  #read = 0;
  readonly #said: string[] = [];

  constructor(options: ConversationOptions) {
    this.bench = new Bench(7);
    this.#isV6 = options.isV6 === true;
    this.bench.know(this.#their);
    this.#bases = { ours: undefined, theirs: options.theirSequence ?? THEIR_SEQUENCE, stamp: undefined };
    this.#eventAt = this.bench.now;
  }

  get #own(): string {
    return this.#isV6 ? "2001:db8::1" : "192.0.2.1";
  }
  get #their(): string {
    return this.#isV6 ? "2001:db8::2" : "192.0.2.2";
  }

  step(line: Line): void {
    try {
      if (line.kind === "out") this.#expect(line.at, line.segment);
      else {
        this.#pass(line.at);
        if (line.kind === "in") this.#inject(line.segment);
        else if (line.kind === "call") { for (const call of line.calls) this.#call(call.words, call.result); }
        this.#eventAt = this.bench.now;
        this.#collect();
      }
      this.#said.push(line.text);
    } catch (error) {
      const before = this.#said.slice(-12).map((one) => `    ${one}`).join("\n");
      throw new Error(`In a conversation:\n${before}\n--> ${line.text}\n    ${(error as Error).message}`);
    }
  }

  end(): void {
    this.#collect();
    const left = this.#queue.map((sent) => formatSegment(sent.segment));
    if (left.length > 0) throw new Error(`After the conversation we say:\n    ${left.join("\n    ")}`);
    for (const endpoint of this.#all) endpoint.close();
    this.bench.stack.close();
    if (this.bench.packetsHeld !== 0) {
      throw new Error(`${this.bench.packetsHeld} packets were not given back`);
    }
  }

  /** Time goes on until `nanos` after the event before; nothing may leave meanwhile. */
  #pass(nanos: number): void {
    const until = this.#eventAt + nanos;
    this.#advance(until);
    const early = this.#queue[0];
    if (early !== undefined) {
      const after = ((early.at - this.#eventAt) / 1e9).toFixed(4);
      throw new Error(`before it, at +${after}, we say: ${formatSegment(early.segment)}`);
    }
  }

  #expect(nanos: number, wanted: SegmentText): void {
    const due = this.#eventAt + nanos;
    this.#collect();
    while (this.#queue.length === 0 && this.bench.now < due + TOLERANCE_NANOS) {
      const next = Math.max(this.bench.stack.pollAt(), this.bench.now);
      this.#advance(Math.min(next, due + TOLERANCE_NANOS));
    }
    const sent = this.#queue.shift();
    if (sent === undefined) throw new Error("we say nothing");
    const what = difference(wanted, sent.segment);
    if (what !== "") throw new Error(`another ${what}: ${formatSegment(sent.segment)}`);
    const off = sent.at - due;
    if (Math.abs(off) > TOLERANCE_NANOS) {
      throw new Error(`at +${((sent.at - this.#eventAt) / 1e9).toFixed(4)}: ${formatSegment(sent.segment)}`);
    }
    this.#checkPayload(sent);
    this.#eventAt = sent.at;
  }

  #checkPayload(sent: Sent): void {
    const { segment, bytes } = sent;
    const from = bytes.length - segment.length;
    for (let i = 0; i < segment.length; i++) {
      const place = segment.sequence! - 1 + i;
      if (bytes[from + i] !== patternByte(place)) {
        throw new Error(`payload at ${place + 1} is not what was written`);
      }
    }
  }

  #advance(until: number): void {
    const { bench } = this;
    for (let i = 0; i < 100_000 && bench.now < until; i++) {
      const at = Math.max(bench.now, bench.stack.pollAt());
      bench.now = Math.min(at, until);
      bench.run();
      this.#collect();
      if (at > until) break;
    }
    bench.now = Math.max(bench.now, until);
    bench.run();
    this.#collect();
  }

  /** Takes what has left, a train as the segments it is cut to. */
  #collect(): void {
    for (const frame of this.bench.take()) {
      const [protocol, at] = transportOf(frame);
      if (protocol !== 6) continue;
      void isSound;
      const ecn = this.#isV6 ? frame.bytes[1] >> 4 & 3 : frame.bytes[1] & 3;
      const whole = readSegment(frame.bytes, at, this.#bases);
      if ((whole.flags & SYN) !== 0) this.#ourPort = get16(frame.bytes, at);
      const size = frame.gsoBytes > 0 ? frame.gsoBytes : whole.length;
      let done = 0;
      do {
        const length = Math.min(size, whole.length - done);
        const isLast = done + length >= whole.length;
        const segment: SegmentText = {
          ...whole,
          ecn,
          length,
          sequence: whole.sequence === undefined ? undefined : whole.sequence + done,
          flags: isLast ? whole.flags : whole.flags & ~(FIN | PSH),
        };
        const payloadAt = at + whole.headerBytes + done;
        this.#queue.push({
          segment,
          at: this.bench.now,
          bytes: frame.bytes.slice(payloadAt, payloadAt + length),
        });
        done += length;
      } while (done < whole.length);
    }
  }

  #inject(segment: SegmentText): void {
    const bytes = buildSegment(segment, this.#bases, segment.from ?? THEIR_PORT, this.#ourPort);
    sealed(bytes, 16, 6, this.#their, this.#own);
    if (this.#isV6) this.bench.v6(ipv6({ next: 6, payload: bytes, trafficClass: segment.ecn ?? 0 }));
    else this.bench.v4(ipv4({ protocol: 6, payload: bytes, tos: segment.ecn ?? 0 }));
  }

  get #current(): TcpEndpoint {
    if (this.#endpoint === null) throw new Error("there is no endpoint yet");
    return this.#endpoint;
  }

  #open(): TcpEndpoint {
    const endpoint = this.bench.stack.newTcpEndpoint(!this.#isV6);
    this.#all.push(endpoint);
    this.#endpoint = endpoint;
    this.#written = this.#read = 0;
    return endpoint;
  }

  #call(words: readonly string[], result: string | undefined): void {
    const [name, ...rest] = words;
    switch (name) {
      case "open":
        this.#open();
        break;
      case "bind":
        this.#ourPort = rest[0] === undefined ? OUR_PORT : Number(rest[0]);
        this.#check(this.#current.bind(endpointAddress(this.#own, this.#ourPort)), result ?? "0");
        break;
      case "listen":
        this.#listen(Number(rest[0] ?? 8), result);
        break;
      case "connect":
        if (this.#endpoint === null) this.#open();
        this.#check(this.#current.connect(endpointAddress(this.#their, THEIR_PORT)), result ?? "EINPROGRESS");
        break;
      case "accept":
        this.#accept(result);
        break;
      case "write":
        this.#write(Number(rest[0]), rest, result);
        break;
      case "read":
        this.#readBytes(Number(rest[0]), rest, result);
        break;
      case "shutdown":
        this.#check(
          this.#current.shutdown(
            rest[0] === "read" ? SHUTDOWN_READ : rest[0] === "both" ? 3 : SHUTDOWN_WRITE,
          ),
          result ?? "0",
        );
        break;
      case "close": {
        const endpoint = this.#current;
        this.#all.splice(this.#all.indexOf(endpoint), 1);
        endpoint.close();
        if (rest[0] === "listener") this.#listener = null;
        break;
      }
      case "listener":
        this.#endpoint = this.#listener;
        break;
      case "peer":
        // Another connection of the same peer begins: numbers count from its SYN.
        this.#bases.theirs = Number(rest[0]) | 0;
        break;
      case "option":
        this.#setOption(rest[0], rest.slice(1).map(Number), result);
        break;
      case "setting": {
        const { settings } = this.bench.stack.tcp;
        if (!settings.set(rest[0] as TcpSettingName, Number(rest[1]))) throw new Error("it is out of range");
        break;
      }
      case "mtu":
        this.bench.link.mtu = Number(rest[0]);
        this.bench.stack.routes.generation++;
        break;
      case "icmp":
        this.#icmp(rest);
        break;
      case "expect":
        this.#expectThat(rest);
        break;
      default:
        throw new Error(`"${name}" is not known`);
    }
  }

  #listen(backlog: number, result: string | undefined): void {
    const endpoint = this.#endpoint === null ? this.#open() : this.#endpoint;
    if (this.#ourPort === OUR_PORT) endpoint.bind(endpointAddress(this.#own, OUR_PORT));
    this.#check(endpoint.listen(backlog), result ?? "0");
    this.#listener = endpoint;
  }

  #accept(result: string | undefined): void {
    const accepted = this.#listener!.accept();
    if (typeof accepted === "number") {
      this.#check(accepted, result ?? "an endpoint");
      return;
    }
    if (result !== undefined) throw new Error("there was one to accept");
    this.#all.push(accepted);
    this.#endpoint = accepted;
    this.#written = this.#read = 0;
  }

  #write(length: number, words: readonly string[], result: string | undefined): void {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = patternByte(this.#written + i);
    const flags = (words.includes("more") ? MSG_MORE : 0) | (words.includes("oob") ? MSG_OOB : 0);
    const n = this.#current.write(bytes, 0, length, flags, new OutgoingControl());
    if (n > 0) this.#written += n;
    this.#check(n, result ?? String(length));
  }

  #readBytes(length: number, words: readonly string[], result: string | undefined): void {
    const bytes = new Uint8Array(length);
    const isUrgent = words.includes("oob");
    const flags = (words.includes("peek") ? MSG_PEEK : 0) | (isUrgent ? MSG_OOB : 0);
    const n = this.#current.read(bytes, 0, length, flags, null);
    this.#check(n, result ?? String(length));
    if (n <= 0 || isUrgent) return;
    const skipped = words.includes("skip") ? 1 : 0;
    for (let i = 0; i < n; i++) {
      if (bytes[i] !== patternByte(this.#read + skipped + i)) {
        throw new Error(`byte ${i} read is not what was sent`);
      }
    }
    if ((flags & MSG_PEEK) === 0) this.#read += n + skipped;
  }

  #setOption(label: string, values: readonly number[], result: string | undefined): void {
    const row = OPTIONS.find((one) => one.label === label);
    if (row === undefined) throw new Error(`no option ${label}`);
    const bytes = new Uint8Array(4 * values.length);
    for (const [i, value] of values.entries()) {
      put32(bytes, 4 * i, value);
      bytes.subarray(4 * i, 4 * i + 4).reverse();
    }
    this.#check(this.#current.setOption(row.level, row.name, bytes, 0, bytes.length), result ?? "0");
  }

  /** "icmp toobig 1000 seq 1": about a segment of ours with that sequence number; "icmp unreachable 1 seq 0". */
  #icmp(words: readonly string[]): void {
    const value = Number(words[1]), sequence = Number(words[3] ?? 1);
    const header = new Uint8Array(20);
    const segment: SegmentText = { flags: 0x10, sequence: 0, length: 0, hasMoreOptions: false };
    header.set(buildSegment(segment, { ours: 0, theirs: 0, stamp: 0 }, this.#ourPort, THEIR_PORT));
    put32(header, 4, (this.#bases.ours ?? 0) + sequence);
    if (this.#isV6) {
      const quoted = ipv6({ next: 6, payload: header, source: this.#own, destination: this.#their });
      const [type, code, info] = words[0] === "toobig" ? [2, 0, value] : [1, value, 0];
      this.bench.v6(ipv6({ next: 58, payload: icmp(type, code, info, quoted, this.#their, this.#own) }));
      return;
    }
    const quoted = ipv4({ protocol: 6, payload: header, source: this.#own, destination: this.#their });
    const [code, info] = words[0] === "toobig" ? [4, value] : [value, 0];
    this.bench.v4(ipv4({ protocol: 1, payload: icmp(3, code, info, quoted) }));
  }

  #expectThat(words: readonly string[]): void {
    const [what, ...rest] = words;
    switch (what) {
      case "state":
        same(STATE_NAMES[readInfo(this.#current).state], rest[0]);
        break;
      case "error":
        this.#check(this.#current.takeError(), rest[0]);
        break;
      case "info": {
        const info = readInfo(this.#current) as unknown as Record<string, number>;
        if (!(rest[0] in info)) throw new Error(`no field ${rest[0]}`);
        same(String(info[rest[0]]), rest[1]);
        break;
      }
      case "poll": {
        const now = this.#current.readiness();
        const names = Object.keys(POLL_BITS).filter((name) => (now & POLL_BITS[name]) !== 0);
        same(names.join(" "), Object.keys(POLL_BITS).filter((name) => rest.includes(name)).join(" "));
        break;
      }
      case "counter": {
        const counters = this.bench.stack.tcp.statistics as unknown as Record<string, number>;
        same(String(counters[rest[0]]), rest[1]);
        break;
      }
      case "readable":
        same(String(this.#current.readableBytes), rest[0]);
        break;
      case "unsent":
        same(String(this.#current.unsentBytes), rest[0]);
        break;
      default:
        throw new Error(`"${what}" is not known`);
    }
  }

  #check(seen: number, wanted: string): void {
    const names = errno as unknown as Record<string, number>;
    const text = seen < 0
      ? Object.keys(names).find((name) => names[name] === -seen) ?? String(seen)
      : String(seen);
    same(text, wanted);
  }
}

function same(seen: string, wanted: string): void {
  if (seen !== wanted) throw new Error(`it is ${seen}, not ${wanted}`);
}
