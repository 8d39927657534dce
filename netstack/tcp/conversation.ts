// Conversations as text, in the spirit of packetdrill: what the peer sends, what we must send, what the program calls, in
// virtual time. One line is one event:
//
//   # a comment                        option TCP_NODELAY 1        setting syn_retries 2
//   open | listen 5 | connect          accept | write 1000 more    read 500 = 500 | close | shutdown write
//   write 10; write 20                 two calls in one turn: what they lead to leaves after both
//   > SYN seq 0 win 64240 <mss 1460,...>           must leave now; with "+0.2" in front: 0.2 s after the event before
//   < SYN ACK seq 0 ack 1 win 65535 <mss 1460>     comes in now; with "+0.2": 0.2 s after
//   +1 nothing                                     for one second nothing leaves
//   expect state ESTABLISHED | expect error ECONNRESET | expect poll IN OUT | expect info retransmits 1
//
// Sequence numbers count from each side's own SYN (0), so that the first byte of data is 1. "seq 1:1001" is 1,000 bytes.
// Of a segment that must leave only what is written is compared; "<...>" at the end of options stands for any more.
// Payload is a pattern by place in the stream, checked on both sides.

import { Address, parseAddress } from "../address.ts";
import { EndpointAddress } from "../endpoint.ts";
import { get16, get32, put16, put32 } from "../wire/bytes.ts";
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, URG } from "../wire/tcp.ts";

const FLAG_BITS: Readonly<Record<string, number>> = { FIN, SYN, RST, PSH, ACK, URG, ECE, CWR };

/** A TCP header as a line has it; what is undefined is not said. */
export interface SegmentText {
  flags: number;
  sequence?: number;
  length: number;
  ack?: number;
  window?: number;
  urgent?: number;
  /** Bits of the IP header's ECN field. */
  ecn?: number;
  options?: readonly string[];
  hasMoreOptions: boolean;
  /** Ports other than the conversation's: "from 4000". */
  from?: number;
}

export type Line =
  | { kind: "out" | "in"; at: number; text: string; segment: SegmentText }
  | { kind: "call"; at: number; text: string; calls: readonly Call[] }
  | { kind: "nothing"; at: number; text: string };

export interface Call {
  readonly words: readonly string[];
  readonly result: string | undefined;
}

/** Splits a conversation to its lines; an error names the line. */
export function parseConversation(text: string): Line[] {
  const lines: Line[] = [];
  for (const [i, raw] of text.split("\n").entries()) {
    const line = raw.replace(/#.*/, "").trim();
    if (line === "") continue;
    try {
      lines.push(parseLine(line));
    } catch (error) {
      throw new Error(`Line ${i + 1}, "${line}": ${(error as Error).message}`);
    }
  }
  return lines;
}

function parseLine(line: string): Line {
  const time = /^\+(\d+(?:\.\d+)?)\s+(.*)$/.exec(line);
  const at = time === null ? 0 : Math.round(Number(time[1]) * 1e9);
  const text = time === null ? line : time[2];
  if (text === "nothing") return { kind: "nothing", at, text: line };
  if (text[0] === ">" || text[0] === "<") {
    return { kind: text[0] === ">" ? "out" : "in", at, text: line, segment: parseSegment(text.slice(1)) };
  }
  const calls = text.split(";").map((part) => {
    const [left, right] = part.split("=").map((side) => side.trim());
    return { words: left.split(/\s+/), result: right };
  });
  return { kind: "call", at, text: line, calls };
}

function parseSegment(text: string): SegmentText {
  const segment: SegmentText = { flags: 0, length: 0, hasMoreOptions: true };
  const options = /<([^>]*)>\s*$/.exec(text);
  if (options !== null) {
    text = text.slice(0, options.index);
    segment.hasMoreOptions = options[1].endsWith("...");
    segment.options = options[1].split(",").map((one) => one.trim()).filter((one) =>
      one !== "" && one !== "..."
    );
  }
  const words = text.trim().split(/\s+/);
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    // "ACK" in capitals is the flag, "ack" the field.
    const bit = FLAG_BITS[word];
    if (bit !== undefined) {
      segment.flags |= bit;
      continue;
    }
    const value = words[++i];
    switch (word) {
      case "seq": {
        const [from, to] = value.split(":").map(Number);
        segment.sequence = from;
        segment.length = to === undefined ? 0 : to - from;
        break;
      }
      case "ack":
        segment.ack = Number(value);
        break;
      case "win":
        segment.window = Number(value);
        break;
      case "urg":
        segment.urgent = Number(value);
        break;
      case "ecn":
        segment.ecn = Number(value);
        break;
      case "from":
        segment.from = Number(value);
        break;
      default:
        throw new Error(`"${word}" is not known`);
    }
  }
  return segment;
}

/** Byte of the pattern at `place` of a stream. */
export function patternByte(place: number): number {
  return (place * 31 + (place >> 8) * 7 + (place >> 16)) & 0xff;
}

/** The numbers that texts count from. */
export interface Bases {
  /** Initial sequence numbers, int32; ours is undefined until our SYN was seen. */
  ours: number | undefined;
  theirs: number;
  /** Our first timestamp; undefined before it was seen. */
  stamp: number | undefined;
}

/** The bytes of a segment that comes from the peer: TCP header and payload, checksum left out. */
export function buildSegment(
  text: SegmentText,
  bases: Bases,
  source: number,
  destination: number,
): Uint8Array {
  const options = (text.options ?? []).flatMap((one) => buildOption(one, bases));
  while (options.length % 4 !== 0) options.push(1);
  const headerBytes = 20 + options.length;
  const bytes = new Uint8Array(headerBytes + text.length);
  put16(bytes, 0, source);
  put16(bytes, 2, destination);
  const sequence = text.sequence ?? 0;
  put32(bytes, 4, bases.theirs + sequence);
  if (text.ack !== undefined) put32(bytes, 8, (bases.ours ?? 0) + text.ack);
  bytes[12] = headerBytes << 2;
  bytes[13] = text.flags;
  put16(bytes, 14, text.window ?? 0xffff);
  put16(bytes, 18, text.urgent ?? 0);
  bytes.set(options, 20);
  for (let i = 0; i < text.length; i++) bytes[headerBytes + i] = patternByte(sequence - 1 + i);
  return bytes;
}

function buildOption(text: string, bases: Bases): number[] {
  const [name, ...rest] = text.split(/\s+/);
  const words = rest.map(Number);
  switch (name) {
    case "mss":
      return [2, 4, words[0] >> 8, words[0] & 255];
    case "wscale":
      return [1, 3, 3, words[0]];
    case "sackOK":
      return [4, 2];
    case "nop":
      return [1];
    case "ts":
      return [8, 10, ...word(words[0]), ...word((bases.stamp ?? 0) + Number(rest[2]))];
    case "sack": {
      const edges = rest.flatMap((block) => block.split(":").map(Number));
      return [5, 2 + 4 * edges.length, ...edges.flatMap((edge) => word((bases.ours ?? 0) + edge))];
    }
    case "raw":
      return rest.map((byte) => parseInt(byte, 16));
    default:
      throw new Error(`Option "${name}" is not known`);
  }
}
function word(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

/** What stands in a segment that we have sent, in the words of a conversation. */
export function readSegment(
  bytes: Uint8Array,
  at: number,
  bases: Bases,
): SegmentText & { headerBytes: number } {
  const flags = bytes[at + 13];
  const headerBytes = (bytes[at + 12] >> 4) * 4;
  const isSyn = (flags & SYN) !== 0;
  const sequence = get32(bytes, at + 4);
  if (isSyn) bases.ours = sequence;
  return {
    flags,
    sequence: sequence - (bases.ours ?? 0) | 0,
    length: bytes.length - at - headerBytes,
    ack: (flags & ACK) !== 0 ? get32(bytes, at + 8) - bases.theirs | 0 : undefined,
    window: get16(bytes, at + 14),
    urgent: get16(bytes, at + 18),
    options: readOptions(bytes, at + 20, at + headerBytes, bases),
    hasMoreOptions: false,
    headerBytes,
  };
}

function readOptions(bytes: Uint8Array, at: number, end: number, bases: Bases): string[] {
  const list: string[] = [];
  while (at < end && bytes[at] !== 0) {
    const kind = bytes[at];
    if (kind === 1) {
      at++;
      continue;
    }
    const length = bytes[at + 1];
    switch (kind) {
      case 2:
        list.push(`mss ${get16(bytes, at + 2)}`);
        break;
      case 3:
        list.push(`wscale ${bytes[at + 2]}`);
        break;
      case 4:
        list.push("sackOK");
        break;
      case 5: {
        const blocks: string[] = [];
        for (let i = at + 2; i < at + length; i += 8) {
          blocks.push(`${get32(bytes, i) - bases.theirs | 0}:${get32(bytes, i + 4) - bases.theirs | 0}`);
        }
        list.push(`sack ${blocks.join(" ")}`);
        break;
      }
      case 8: {
        const value = get32(bytes, at + 2);
        bases.stamp ??= value;
        list.push(`ts ${value - bases.stamp | 0} ecr ${get32(bytes, at + 6)}`);
        break;
      }
      default:
        list.push(`option ${kind}`);
    }
    at += Math.max(2, length);
  }
  return list;
}

/** A segment as a line. */
export function formatSegment(segment: SegmentText): string {
  const flags = Object.keys(FLAG_BITS).filter((name) => (segment.flags & FLAG_BITS[name]) !== 0);
  const order = ["SYN", "FIN", "RST", "PSH", "URG", "ECE", "CWR", "ACK"];
  flags.sort((a, b) => order.indexOf(a) - order.indexOf(b));
  const words = [...flags];
  if (segment.sequence !== undefined) {
    words.push(
      "seq",
      segment.length > 0 ? `${segment.sequence}:${segment.sequence + segment.length}` : `${segment.sequence}`,
    );
  }
  if (segment.ack !== undefined) words.push("ack", `${segment.ack}`);
  if (segment.window !== undefined) words.push("win", `${segment.window}`);
  if (segment.urgent !== undefined && segment.urgent !== 0) words.push("urg", `${segment.urgent}`);
  if (segment.ecn !== undefined && segment.ecn !== 0) words.push("ecn", `${segment.ecn}`);
  if (segment.options !== undefined) words.push(`<${segment.options.join(",")}>`);
  return words.join(" ");
}

/** What `seen` lacks of `wanted`; "" = nothing. */
export function difference(wanted: SegmentText, seen: SegmentText): string {
  if (wanted.flags !== seen.flags) return "flags";
  if (wanted.sequence !== undefined && wanted.sequence !== seen.sequence) return "sequence number";
  if (wanted.sequence !== undefined && wanted.length !== seen.length) return "length";
  if (wanted.ack !== undefined && wanted.ack !== seen.ack) return "acknowledgement";
  if (wanted.window !== undefined && wanted.window !== seen.window) return "window";
  if (wanted.urgent !== undefined && wanted.urgent !== seen.urgent) return "urgent pointer";
  if (wanted.ecn !== undefined && wanted.ecn !== seen.ecn) return "ECN bits";
  if (wanted.options === undefined) return "";
  const seenOptions = seen.options ?? [];
  for (const [i, option] of wanted.options.entries()) {
    if (seenOptions[i] !== option) return `option ${option}`;
  }
  return wanted.hasMoreOptions || seenOptions.length === wanted.options.length ? "" : "number of options";
}

export function endpointAddress(text: string, port: number): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(parseAddress(text) ?? new Address());
  to.port = port;
  return to;
}
