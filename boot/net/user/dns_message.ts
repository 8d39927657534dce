// What the DNS forwarder reads of messages: the question, and the addresses that an answer gives it. RFC 1035 section 4;
// everything in a message is hostile.

import { Address } from "../../../netstack/mod.ts";

const DNS_HEADER_BYTES = 12;
/** As RFC 1035 section 2.3.4: a name's bytes; compression pointers of one name, which only go back. */
const NAME_BYTES_MAX = 255;
const POINTERS_MAX = 64;
/** Records of one answer that are looked at. */
const RECORDS_MAX = 256;

const TYPE_A = 1;
const TYPE_CNAME = 5;
const TYPE_AAAA = 28;
const CLASS_IN = 1;
export const RCODE_SERVER_FAILURE = 2;
export const RCODE_REFUSED = 5;

export interface Question {
  /** In lower case, without the last dot; "" = the root. */
  readonly name: string;
  readonly type: number;
  readonly kind: number;
  /** Where the question section ends. */
  readonly end: number;
}

/** A place in a message: reading a name moves it. */
interface Cursor {
  at: number;
}

export function identifierOf(bytes: Uint8Array, at = 0): number {
  return bytes[at] << 8 | bytes[at + 1];
}

export function isAnswer(bytes: Uint8Array): boolean {
  return (bytes[2] & 0x80) !== 0;
}

/** The one question of a message of `length` bytes; null where there is another number of them, or it is none. */
export function questionOf(bytes: Uint8Array, length: number): Question | null {
  if (length < DNS_HEADER_BYTES || word(bytes, 4) !== 1) return null;
  const cursor = { at: DNS_HEADER_BYTES };
  const name = readName(bytes, cursor, length);
  if (name === null || cursor.at + 4 > length) return null;
  return { name, type: word(bytes, cursor.at), kind: word(bytes, cursor.at + 2), end: cursor.at + 4 };
}

export interface FoundAddress {
  readonly address: Address;
  readonly seconds: number;
}

/**
 * The addresses that an answer gives the name it was asked for, by whatever aliases: records of other names, which a server may
 * add as it likes, count for nothing.
 */
export function addressesOf(bytes: Uint8Array, length: number, question: Question): readonly FoundAddress[] {
  const found: FoundAddress[] = [];
  const names = new Set([question.name]);
  const cursor = { at: question.end };
  const count = Math.min(word(bytes, 6), RECORDS_MAX);
  for (let i = 0; i < count; i++) {
    const owner = readName(bytes, cursor, length);
    if (owner === null || cursor.at + 10 > length) break;
    const { at } = cursor;
    const type = word(bytes, at), kind = word(bytes, at + 2);
    const seconds = (bytes[at + 4] & 0x7f) << 24 | bytes[at + 5] << 16 | bytes[at + 6] << 8 | bytes[at + 7];
    const dataBytes = word(bytes, at + 8), dataAt = at + 10;
    cursor.at = dataAt + dataBytes;
    if (cursor.at > length) break;
    if (kind !== CLASS_IN || !names.has(owner)) continue;
    if (type === TYPE_CNAME) {
      const target = readName(bytes, { at: dataAt }, length);
      if (target !== null) names.add(target);
    } else if (type === TYPE_A && dataBytes === 4) {
      found.push({ address: new Address().read4(bytes, dataAt), seconds });
    } else if (type === TYPE_AAAA && dataBytes === 16) {
      found.push({ address: new Address().read6(bytes, dataAt), seconds });
    }
  }
  return found;
}

/** Makes the query at the beginning of `bytes` an answer without records: its length. */
export function refuse(bytes: Uint8Array, question: Question, code: number): number {
  bytes[2] = bytes[2] & 0x79 | 0x80;
  bytes[3] = 0x80 | code;
  bytes.fill(0, 6, DNS_HEADER_BYTES);
  return question.end;
}

/** A name in lower case, its labels joined by dots; the cursor goes behind it. null where it is none. */
function readName(bytes: Uint8Array, cursor: Cursor, length: number): string | null {
  const labels: string[] = [];
  let { at } = cursor, pointers = 0, total = 0, end = -1;
  for (;;) {
    if (at >= length) return null;
    const size = bytes[at];
    if ((size & 0xc0) === 0xc0) {
      if (at + 2 > length || ++pointers > POINTERS_MAX) return null;
      const target = (size & 0x3f) << 8 | bytes[at + 1];
      if (end < 0) end = at + 2;
      if (target >= at) return null;
      at = target;
      continue;
    }
    if (size > 63 || at + 1 + size > length) return null;
    total += size + 1;
    if (total > NAME_BYTES_MAX) return null;
    if (size === 0) break;
    const label = labelOf(bytes, at + 1, size);
    if (label === null) return null;
    labels.push(label);
    at += size + 1;
  }
  cursor.at = end < 0 ? at + 1 : end;
  return labels.join(".");
}

/** Bytes that would make another name of it (a dot, what is no letter of a host's) are none that a policy could mean. */
function labelOf(bytes: Uint8Array, at: number, size: number): string | null {
  let label = "";
  for (let i = at; i < at + size; i++) {
    const byte = bytes[i];
    if (byte <= 0x20 || byte >= 0x7f || byte === 0x2e) return null;
    label += String.fromCharCode(byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);
  }
  return label;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] << 8 | bytes[at + 1];
}
