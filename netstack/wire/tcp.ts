// TCP header fields and options by offset: RFC 9293 section 3.1, RFC 7323 (window scale, timestamps), RFC 2018 (SACK).

import { get16, get32, put16, put32 } from "./bytes.ts";

export const TCP_BYTES = 20;
export const TCP_BYTES_MAX = 60;
export const TCP_SOURCE_AT = 0;
export const TCP_DESTINATION_AT = 2;
export const TCP_SEQUENCE_AT = 4;
export const TCP_ACK_AT = 8;
export const TCP_OFFSET_AT = 12;
export const TCP_FLAGS_AT = 13;
export const TCP_WINDOW_AT = 14;
export const TCP_CHECKSUM_AT = 16;
export const TCP_URGENT_AT = 18;

export const FIN = 0x01;
export const SYN = 0x02;
export const RST = 0x04;
export const PSH = 0x08;
export const ACK = 0x10;
export const URG = 0x20;
export const ECE = 0x40;
export const CWR = 0x80;

const OPTION_END = 0;
const OPTION_NOP = 1;
const OPTION_MSS = 2;
const OPTION_SCALE = 3;
const OPTION_SACK_PERMITTED = 4;
const OPTION_SACK = 5;
const OPTION_TIMESTAMPS = 8;

/** RFC 7323 section 2.3. */
export const SCALE_MAX = 14;
/** Blocks of one segment at most: 40 bytes of options. */
export const SACK_BLOCKS_MAX = 4;

/** The options of one segment; reused. */
export class TcpOptions {
  /** 0 = none. */
  mss = 0;
  /** -1 = none. */
  scale = -1;
  isSackPermitted = false;
  hasTimestamps = false;
  /** int32. */
  timestamp = 0;
  timestampEcho = 0;
  sackCount = 0;
  /** Start and end of each block, int32. */
  readonly sacks = new Int32Array(2 * SACK_BLOCKS_MAX);

  clear(): void {
    this.mss = 0;
    this.scale = -1;
    this.isSackPermitted = false;
    this.hasTimestamps = false;
    this.timestamp = this.timestampEcho = 0;
    this.sackCount = 0;
  }

  /** Reads the options of the header at `at`; a malformed one ends them, as on Linux. Window scale, MSS only with SYN. */
  parse(bytes: Uint8Array, at: number, headerBytes: number, isSyn: boolean): void {
    this.clear();
    const end = at + headerBytes;
    let option = at + TCP_BYTES;
    // The usual shape of a segment in a connection: NOP NOP timestamps.
    if (headerBytes === 32 && get32(bytes, option) === 0x0101080a) {
      this.hasTimestamps = true;
      this.timestamp = get32(bytes, option + 4);
      this.timestampEcho = get32(bytes, option + 8);
      return;
    }
    while (option < end) {
      const kind = bytes[option];
      if (kind === OPTION_END) return;
      if (kind === OPTION_NOP) {
        option++;
        continue;
      }
      const length = option + 1 < end ? bytes[option + 1] : 0;
      if (length < 2 || option + length > end) return;
      this.#take(bytes, option, kind, length, isSyn);
      option += length;
    }
  }

  #take(bytes: Uint8Array, at: number, kind: number, length: number, isSyn: boolean): void {
    switch (kind) {
      case OPTION_MSS:
        if (isSyn && length === 4) this.mss = get16(bytes, at + 2);
        break;
      case OPTION_SCALE:
        if (isSyn && length === 3) this.scale = Math.min(bytes[at + 2], SCALE_MAX);
        break;
      case OPTION_SACK_PERMITTED:
        if (isSyn && length === 2) this.isSackPermitted = true;
        break;
      case OPTION_TIMESTAMPS:
        if (length !== 10) break;
        this.hasTimestamps = true;
        this.timestamp = get32(bytes, at + 2);
        this.timestampEcho = get32(bytes, at + 6);
        break;
      case OPTION_SACK:
        if (isSyn || length < 10 || (length - 2) % 8 !== 0) break;
        this.sackCount = Math.min((length - 2) / 8, SACK_BLOCKS_MAX);
        for (let i = 0; i < 2 * this.sackCount; i++) this.sacks[i] = get32(bytes, at + 2 + 4 * i);
        break;
      default:
        break;
    }
  }
}

/** Options of a SYN at `at`: MSS always, the others as asked (scale -1 = none). Bytes written, a multiple of four. */
export function putSynOptions(
  bytes: Uint8Array,
  at: number,
  mss: number,
  scale: number,
  isSackPermitted: boolean,
  hasTimestamps: boolean,
  timestamp: number,
  echo: number,
): number {
  bytes[at] = OPTION_MSS;
  bytes[at + 1] = 4;
  put16(bytes, at + 2, mss);
  let end = at + 4;
  if (hasTimestamps) {
    bytes[end] = isSackPermitted ? OPTION_SACK_PERMITTED : OPTION_NOP;
    bytes[end + 1] = isSackPermitted ? 2 : OPTION_NOP;
    bytes[end + 2] = OPTION_TIMESTAMPS;
    bytes[end + 3] = 10;
    put32(bytes, end + 4, timestamp);
    put32(bytes, end + 8, echo);
    end += 12;
  } else if (isSackPermitted) {
    put16(bytes, end, 0x0101);
    bytes[end + 2] = OPTION_SACK_PERMITTED;
    bytes[end + 3] = 2;
    end += 4;
  }
  if (scale >= 0) {
    bytes[end] = OPTION_NOP;
    bytes[end + 1] = OPTION_SCALE;
    bytes[end + 2] = 3;
    bytes[end + 3] = scale;
    end += 4;
  }
  return end - at;
}

export function putTimestamps(bytes: Uint8Array, at: number, timestamp: number, echo: number): void {
  put32(bytes, at, 0x0101080a);
  put32(bytes, at + 4, timestamp);
  put32(bytes, at + 8, echo);
}

/** `count` blocks of `sacks`; bytes written. */
export function putSacks(bytes: Uint8Array, at: number, sacks: Int32Array, count: number): number {
  put16(bytes, at, 0x0101);
  bytes[at + 2] = OPTION_SACK;
  bytes[at + 3] = 2 + 8 * count;
  for (let i = 0; i < 2 * count; i++) put32(bytes, at + 4 + 4 * i, sacks[i]);
  return 4 + 8 * count;
}
