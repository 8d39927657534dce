// How rules of iptables' first interface (x_tables) lie in memory, for both families. Linux: linux/netfilter/x_tables.h,
// linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h. Numbers are the machine's; addresses and ports of
// translations are in network order.

import { Address } from "../../address.ts";

export const TABLE_NAME_BYTES = 32;
/** Before data of a match or target: u16 size, 29 bytes of name, u8 revision. */
export const EXTENSION_BYTES = 32;
/** A standard target has an int behind that, padded. */
export const STANDARD_BYTES = EXTENSION_BYTES + 8;
/** XT_ERROR_TARGET: 30 bytes of name behind it, padded. */
export const ERROR_BYTES = EXTENSION_BYTES + 32;
export const COUNTER_BYTES = 16;
export const HOOKS = 5;
/** ipt_getinfo: name, valid hooks, entries and underflows of hooks, number, size. */
export const INFO_BYTES = 84;
/** ipt_replace and ipt_get_entries up to their entries; xt_counters_info up to its counters; xt_get_revision. */
export const REPLACE_BYTES = 96;
export const ENTRIES_HEADER_BYTES = 40;
export const COUNTERS_HEADER_BYTES = 40;
export const REVISION_BYTES = 30;

/** Verdicts of a standard target: -(NF_DROP) - 1, -(NF_ACCEPT) - 1, XT_RETURN. Not negative: where to jump. */
export const VERDICT_DROP = -1;
export const VERDICT_ACCEPT = -2;
export const VERDICT_RETURN = -5;

/** Bits of invflags; those of flags differ by family. */
export const INVERT_IN = 1;
export const INVERT_OUT = 2;
export const INVERT_SOURCE = 8;
export const INVERT_DESTINATION = 0x10;
export const INVERT_PROTOCOL = 0x40;
export const INVERT_ALL = INVERT_IN | INVERT_OUT | INVERT_SOURCE | INVERT_DESTINATION | INVERT_PROTOCOL;

export interface Layout {
  readonly isV4: boolean;
  /** ipt_entry, up to its matches. */
  readonly entryBytes: number;
  readonly addressBytes: number;
  /** Names of interfaces, then their masks. */
  readonly interfacesAt: number;
  readonly protocolAt: number;
  readonly flagsAt: number;
  readonly invertedAt: number;
  readonly flagGoto: number;
  /** Flags that say nothing here: IP6T_F_PROTO. */
  readonly flagsIgnored: number;
  readonly targetOffsetAt: number;
  readonly nextOffsetAt: number;
  readonly countersAt: number;
}

export const LAYOUT_V4: Layout = {
  isV4: true,
  entryBytes: 112,
  addressBytes: 4,
  interfacesAt: 16,
  protocolAt: 80,
  flagsAt: 82,
  invertedAt: 83,
  flagGoto: 2,
  flagsIgnored: 0,
  targetOffsetAt: 88,
  nextOffsetAt: 90,
  countersAt: 96,
};
export const LAYOUT_V6: Layout = {
  isV4: false,
  entryBytes: 168,
  addressBytes: 16,
  interfacesAt: 64,
  protocolAt: 128,
  flagsAt: 131,
  invertedAt: 132,
  flagGoto: 4,
  flagsIgnored: 1,
  targetOffsetAt: 140,
  nextOffsetAt: 142,
  countersAt: 152,
};

export function le16(bytes: Uint8Array, at: number): number {
  return bytes[at] | bytes[at + 1] << 8;
}
export function le32(bytes: Uint8Array, at: number): number {
  return (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0;
}
export function putLe16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >> 8;
}
export function putLe32(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >> 8 * i;
}
/** Counters: a u64 of which no more is used than a number can have. */
export function le64(bytes: Uint8Array, at: number): number {
  return le32(bytes, at) + (le32(bytes, at + 4) & 0x1f_ffff) * 0x1_0000_0000;
}
export function putLe64(bytes: Uint8Array, at: number, value: number): void {
  putLe32(bytes, at, value | 0);
  putLe32(bytes, at + 4, Math.floor(value / 0x1_0000_0000) | 0);
}
/** Text up to a NUL, or all of `room` bytes. */
export function textAt(bytes: Uint8Array, at: number, room: number): string {
  let text = "";
  for (let i = at; i < at + room && bytes[i] !== 0; i++) text += String.fromCharCode(bytes[i]);
  return text;
}
export function putText(bytes: Uint8Array, at: number, text: string): void {
  for (let i = 0; i < text.length; i++) bytes[at + i] = text.charCodeAt(i);
}
export function addressAt(bytes: Uint8Array, at: number, isV4: boolean): Address {
  return isV4 ? new Address().read4(bytes, at) : new Address().read6(bytes, at);
}
