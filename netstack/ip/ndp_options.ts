// Options of neighbour discovery's messages: RFC 4861 section 4.6.

import type { Packet } from "../packet.ts";
import { NDP_OPTIONS_AT } from "./ndp_send.ts";

/** Options of one message at most. */
const OPTIONS_MAX = 64;

/** Options fill the message exactly, and none has length 0 (RFC 4861 section 7.1.1). */
export function hasGoodOptions(packet: Packet, optionsAt = NDP_OPTIONS_AT): boolean {
  const { bytes, end } = packet;
  let at = packet.at + optionsAt;
  for (let n = 0; at < end; n++) {
    if (n >= OPTIONS_MAX || at + 2 > end || bytes[at + 1] === 0) return false;
    at += bytes[at + 1] * 8;
  }
  return at === end;
}

/** Where the first option `type` begins, -1 when there is none. The options are good. */
export function optionAt(packet: Packet, type: number, optionsAt = NDP_OPTIONS_AT): number {
  const { bytes, end } = packet;
  for (let at = packet.at + optionsAt; at < end; at += bytes[at + 1] * 8) {
    if (bytes[at] === type) return at;
  }
  return -1;
}
