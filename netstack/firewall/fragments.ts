// Fragments before the filter: gathered to the whole, which comes in again as if it had come so. Linux: nf_defrag_ipv4.
//
// Linux: IPv6 fragments for others are not gathered here, as a router of IPv6 may not cut the whole again and the stack
// keeps no sizes of pieces; they pass the rules as INVALID, untranslated. Those for this host are whole at the input hook.

import { Checksum } from "../packet.ts";
import type { Stack } from "../stack.ts";
import { get16, put16 } from "../wire/bytes.ts";
import {
  IPV4_FRAGMENT_AT,
  IPV4_ID_AT,
  IPV4_LENGTH_AT,
  IPV4_MORE_FRAGMENTS,
  IPV4_OFFSET_MASK,
  sealIpv4Header,
} from "../wire/ipv4.ts";
import type { PacketView } from "./packet_view.ts";

/** True when the fragment was taken: nobody else is to see it. */
export function gatherFragment(stack: Stack, view: PacketView): boolean {
  const { packet, incoming } = view;
  if (!view.isV4 || view.isMalformed || incoming === null || packet.destination.isMulticast) return false;
  const { bytes, at } = packet;
  const field = get16(bytes, at + IPV4_FRAGMENT_AT);
  const offset = (field & IPV4_OFFSET_MASK) * 8;
  const hasMore = (field & IPV4_MORE_FRAGMENTS) !== 0;
  const id = get16(bytes, at + IPV4_ID_AT);
  const headerEnd = view.transportAt;
  const whole = stack.reassembly.add(packet, id, packet.protocol, headerEnd, headerEnd, offset, hasMore);
  if (whole === null) return true;
  put16(whole.bytes, whole.at + IPV4_LENGTH_AT, whole.length);
  put16(whole.bytes, whole.at + IPV4_FRAGMENT_AT, 0);
  sealIpv4Header(whole.bytes, whole.at);
  whole.checksum = Checksum.Unknown;
  whole.nicId = incoming.id;
  whole.timestamp = packet.timestamp;
  // Counted once: the pieces were.
  stack.ipv4.InReceives--;
  stack.ipv4.InOctets -= whole.length;
  stack.receive(whole, incoming);
  whole.release();
  return true;
}
