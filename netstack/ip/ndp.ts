// Neighbour discovery that comes in: RFC 4861 section 7. Every message must have hop limit 255, which no router on the
// way lets through (section 3.1).

import { Address } from "../address.ts";
import type { InterfaceAddress, Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { get16, get32 } from "../wire/bytes.ts";
import {
  ICMPV6_NEIGHBOUR_ADVERTISEMENT,
  ICMPV6_NEIGHBOUR_SOLICITATION,
  ICMPV6_ROUTER_ADVERTISEMENT,
} from "../wire/icmp.ts";
import { duplicateSeen } from "./duplicate_detection.ts";
import {
  FLAG_OVERRIDE,
  FLAG_ROUTER,
  FLAG_SOLICITED,
  NDP_OPTIONS_AT,
  NDP_TARGET_AT,
  OPTION_NONCE,
  OPTION_SOURCE_LINK,
  OPTION_TARGET_LINK,
  sendAdvertisement,
} from "./ndp_send.ts";
import { receiveRouterAdvertisement } from "./router_discovery.ts";
import { hasGoodOptions, optionAt } from "./ndp_options.ts";

const HOP_LIMIT = 255;
const target = new Address();

/** An ICMPv6 message of neighbour discovery, checksum verified: type at packet.at. */
export function receiveNdp(packet: Packet, nic: Nic): void {
  const { bytes, at } = packet;
  if (!nic.hasNeighbours || packet.ttl !== HOP_LIMIT || bytes[at + 1] !== 0) return;
  switch (bytes[at]) {
    case ICMPV6_NEIGHBOUR_SOLICITATION:
      solicited(packet, nic);
      break;
    case ICMPV6_NEIGHBOUR_ADVERTISEMENT:
      advertised(packet, nic);
      break;
    case ICMPV6_ROUTER_ADVERTISEMENT:
      receiveRouterAdvertisement(packet, nic);
      break;
    default:
      break;
  }
}

/** RFC 4861 section 7.2.3. */
function solicited(packet: Packet, nic: Nic): void {
  const { bytes, at, source } = packet;
  if (packet.length < NDP_OPTIONS_AT) return;
  target.read6(bytes, at + NDP_TARGET_AT);
  if (target.isMulticast || !hasGoodOptions(packet)) return;
  const entry = nic.find(target);
  if (entry === null) return;
  const link = optionAt(packet, OPTION_SOURCE_LINK);
  if (source.isUnspecified) {
    // Somebody checks for duplicates: it must ask the group, and say no address.
    if (!packet.destination.isMulticast || link >= 0 || isOwnQuestion(packet, entry)) return;
    if (entry.isTentative) duplicateSeen(nic, entry);
    else if (entry.isUsable) sendAdvertisement(nic, target, null, -1, 0);
    return;
  }
  if (!entry.isUsable || source.isMulticast || nic.hasAddress(source)) return;
  let high = packet.sourceHardwareHigh, low = packet.sourceHardwareLow;
  if (link >= 0) {
    high = get16(bytes, link + 2);
    low = get32(bytes, link + 4);
    if ((high & 0x100) !== 0) return;
    nic.neighbours.resolve(source).learn(high, low, false, true);
  }
  sendAdvertisement(nic, target, source, high, low);
}

/** RFC 7527 section 4.2: a question of ours that has come back. */
function isOwnQuestion(packet: Packet, entry: InterfaceAddress): boolean {
  const nonce = optionAt(packet, OPTION_NONCE);
  if (nonce < 0 || packet.bytes[nonce + 1] !== 1 || entry.nonceHigh < 0) return false;
  return get16(packet.bytes, nonce + 2) === entry.nonceHigh &&
    get32(packet.bytes, nonce + 4) === entry.nonceLow;
}

/** RFC 4861 section 7.2.5. */
function advertised(packet: Packet, nic: Nic): void {
  const { bytes, at } = packet;
  if (packet.length < NDP_OPTIONS_AT) return;
  target.read6(bytes, at + NDP_TARGET_AT);
  const flags = bytes[at + 4];
  if (target.isMulticast || !hasGoodOptions(packet)) return;
  if (packet.destination.isMulticast && (flags & FLAG_SOLICITED) !== 0) return;
  const own = nic.find(target);
  if (own !== null) {
    if (own.isTentative) duplicateSeen(nic, own);
    return;
  }
  const entry = nic.neighbours.find(target);
  // Nobody asked: nothing is entered.
  if (entry === null) return;
  const link = optionAt(packet, OPTION_TARGET_LINK);
  entry.isRouter = (flags & FLAG_ROUTER) !== 0;
  if (link < 0) {
    if ((flags & FLAG_SOLICITED) !== 0) entry.confirm();
    return;
  }
  const high = get16(bytes, link + 2), low = get32(bytes, link + 4);
  if ((high & 0x100) !== 0) return;
  entry.learn(high, low, (flags & FLAG_SOLICITED) !== 0, (flags & FLAG_OVERRIDE) !== 0);
}
