// Netlink messages, written and read: header, fixed part, attributes, each aligned to four bytes. netlink(7), nlattr.

import { NLMSG_HEADER_BYTES } from "../../abi/netlink.ts";
import { put16, put32, put64, u16, u32, zero } from "../../abi/struct.ts";
import { putLatin1 } from "../../util/bytes.ts";
import type { Address } from "../../../netstack/mod.ts";

/** Bytes of one datagram of a dump, before it is cut there: what glibc and iproute2 give recv(2) is twice as much. */
const DATAGRAM_BYTES = 8192;
/** Room beyond it for the last message. */
const MESSAGE_BYTES_MAX = 4096;
const ATTRIBUTE_BYTES = 4;

/** Writes messages one behind the other. */
export class NetlinkWriter {
  readonly bytes = new Uint8Array(DATAGRAM_BYTES + MESSAGE_BYTES_MAX);
  /** Bytes in use. */
  length = 0;
  /** Where the message under construction begins. */
  #start = 0;

  get isFull(): boolean {
    return this.length >= DATAGRAM_BYTES;
  }
  clear(): void {
    this.length = 0;
  }

  /** Begins a message with `fixedBytes` zeroes behind its header; where those stand. */
  begin(type: number, flags: number, sequence: number, port: number, fixedBytes: number): number {
    const { bytes, length: at } = this;
    this.#start = at;
    put32(bytes, at, 0);
    put16(bytes, at + 4, type);
    put16(bytes, at + 6, flags);
    put32(bytes, at + 8, sequence);
    put32(bytes, at + 12, port);
    const fixed = at + NLMSG_HEADER_BYTES;
    zero(bytes, fixed, align(fixedBytes));
    this.length = fixed + align(fixedBytes);
    return fixed;
  }
  end(): void {
    put32(this.bytes, this.#start, this.length - this.#start);
  }

  /** Begins an attribute with `size` bytes of data; where those go. */
  attribute(type: number, size: number): number {
    const { bytes, length: at } = this;
    put16(bytes, at, ATTRIBUTE_BYTES + size);
    put16(bytes, at + 2, type);
    const data = at + ATTRIBUTE_BYTES;
    zero(bytes, data, align(size));
    this.length = data + align(size);
    return data;
  }
  byte(type: number, value: number): void {
    this.bytes[this.attribute(type, 1)] = value;
  }
  word(type: number, value: number): void {
    put32(this.bytes, this.attribute(type, 4), value);
  }
  text(type: number, value: string): void {
    putLatin1(this.bytes, this.attribute(type, value.length + 1), value);
  }
  raw(type: number, from: Uint8Array): void {
    this.bytes.set(from, this.attribute(type, from.length));
  }
  /** Four or sixteen bytes. */
  address(type: number, address: Address): void {
    const at = this.attribute(type, address.isV4 ? 4 : 16);
    if (address.isV4) address.write4(this.bytes, at);
    else address.write6(this.bytes, at);
  }
  /** `values` as numbers of four or eight bytes. */
  numbers(type: number, size: 4 | 8, values: readonly number[]): void {
    const at = this.attribute(type, size * values.length);
    for (const [i, value] of values.entries()) {
      if (size === 4) put32(this.bytes, at + 4 * i, value);
      else put64(this.bytes, at + 8 * i, value);
    }
  }
  /** Begins an attribute of attributes; its place for endNest(). */
  nest(type: number): number {
    const at = this.length;
    this.attribute(type, 0);
    return at;
  }
  endNest(at: number): void {
    put16(this.bytes, at, this.length - at);
    put16(this.bytes, at + 2, u16(this.bytes, at + 2));
  }
}

/** Where the data of attribute `type` stand among those in [at, end), -1 = it is not there. */
export function findAttribute(bytes: Uint8Array, at: number, end: number, type: number): number {
  while (at + ATTRIBUTE_BYTES <= end) {
    const size = u16(bytes, at);
    if (size < ATTRIBUTE_BYTES || at + size > end) return -1;
    if ((u16(bytes, at + 2) & 0x3fff) === type) return at + ATTRIBUTE_BYTES;
    at += align(size);
  }
  return -1;
}

/** Bytes of data of the attribute whose data stand at `data`. */
export function attributeBytes(bytes: Uint8Array, data: number): number {
  return u16(bytes, data - ATTRIBUTE_BYTES) - ATTRIBUTE_BYTES;
}

/** A number of four bytes, `otherwise` where the attribute is missing or short. */
export function attributeWord(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  otherwise: number,
): number {
  const data = findAttribute(bytes, at, end, type);
  return data < 0 || attributeBytes(bytes, data) < 4 ? otherwise : u32(bytes, data);
}

/** Reads an address of the family into `into`; false where it is missing or has another size. */
export function attributeAddress(
  bytes: Uint8Array,
  at: number,
  end: number,
  type: number,
  isV4: boolean,
  into: Address,
): boolean {
  const data = findAttribute(bytes, at, end, type);
  if (data < 0 || attributeBytes(bytes, data) !== (isV4 ? 4 : 16)) return false;
  if (isV4) into.read4(bytes, data);
  else into.read6(bytes, data);
  return true;
}

export function align(size: number): number {
  return size + 3 & ~3;
}
