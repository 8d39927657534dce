// Neighbour discovery messages that we send, RFC 4861 sections 4.3 and 4.4.

import { Address } from "../address.ts";
import type { NeighbourEntry } from "../neighbour.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { put32 } from "../wire/bytes.ts";
import { checksumOf, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { ICMPV6_NEIGHBOUR_ADVERTISEMENT, ICMPV6_NEIGHBOUR_SOLICITATION } from "../wire/icmp.ts";
import { IPV6_BYTES, IPV6_DESTINATION_AT, IPV6_SOURCE_AT, putIpv6Start } from "../wire/ipv6.ts";
import { ETHERTYPE_IPV6, IPPROTO_ICMPV6 } from "../wire/numbers.ts";
import { put16 } from "../wire/bytes.ts";
import { chooseSource } from "./source_address.ts";

export const NDP_TARGET_AT = 8;
export const NDP_OPTIONS_AT = 24;
export const OPTION_SOURCE_LINK = 1;
export const OPTION_TARGET_LINK = 2;
/** RFC 7527: tells our own questions from another's. */
export const OPTION_NONCE = 14;
export const FLAG_ROUTER = 0x80;
export const FLAG_SOLICITED = 0x40;
export const FLAG_OVERRIDE = 0x20;
const HOP_LIMIT = 255;
const LINK_OPTION_BYTES = 8;

const chosen = new Address();
const group = new Address();
/** What a nonce option says. */
const optionBody = new Uint8Array(6);

/** The group of all who have an address that ends alike: ff02::1:ffXX:XXXX, RFC 4291 section 2.7.1. */
export function solicitedNode(address: Address, into: Address): Address {
  return into.setWords(0xff020000, 0, 1, 0xff000000 | address.d & 0xffffff);
}

/** The hardware address of a group, RFC 2464 section 7. */
export function noteMulticastHardware(packet: Packet, destination: Address): void {
  if (destination.isV4) {
    // RFC 1112 section 6.4.
    packet.hardwareHigh = 0x0100;
    packet.hardwareLow = 0x5e000000 | destination.d & 0x7fffff;
  } else {
    packet.hardwareHigh = 0x3333;
    packet.hardwareLow = destination.d;
  }
}

/** Asks for a neighbour, as sendArpRequest does. */
export function sendSolicitation(nic: Nic, entry: NeighbourEntry, source: Address | null): void {
  if (source !== null && !source.isV4 && nic.hasAddress(source)) chosen.copy(source);
  else if (!chooseSource(nic.stack, nic, entry.address, chosen)) return;
  if (entry.hasAddress) {
    sendNdp(
      nic,
      ICMPV6_NEIGHBOUR_SOLICITATION,
      0,
      chosen,
      entry.address,
      entry.address,
      OPTION_SOURCE_LINK,
      entry.hardwareHigh,
      entry.hardwareLow,
    );
    return;
  }
  solicitedNode(entry.address, group);
  sendNdp(nic, ICMPV6_NEIGHBOUR_SOLICITATION, 0, chosen, group, entry.address, OPTION_SOURCE_LINK, -1, 0);
}

/** Duplicate address detection: asks whether anybody has `address`, from nobody (RFC 4862 section 5.4.2). */
export function sendDuplicateProbe(nic: Nic, address: Address, nonceHigh: number, nonceLow: number): void {
  chosen.setUnspecified(false);
  solicitedNode(address, group);
  put16(optionBody, 0, nonceHigh);
  put32(optionBody, 2, nonceLow);
  sendNdp(nic, ICMPV6_NEIGHBOUR_SOLICITATION, 0, chosen, group, address, OPTION_NONCE, -1, 0);
}

/** Says that we have `target`. To all nodes where `to` is null. */
export function sendAdvertisement(
  nic: Nic,
  target: Address,
  to: Address | null,
  high: number,
  low: number,
): void {
  const flags = (nic.isForwarding ? FLAG_ROUTER : 0) | (to === null ? 0 : FLAG_SOLICITED) | FLAG_OVERRIDE;
  if (to === null) group.setWords(0xff020000, 0, 0, 1);
  else group.copy(to);
  chosen.copy(target);
  sendNdp(nic, ICMPV6_NEIGHBOUR_ADVERTISEMENT, flags, chosen, group, target, OPTION_TARGET_LINK, high, low);
}

/** `high` < 0 = the group's hardware address; `option` 0 = none. */
function sendNdp(
  nic: Nic,
  type: number,
  flags: number,
  source: Address,
  destination: Address,
  target: Address,
  option: number,
  high: number,
  low: number,
): void {
  const length = NDP_OPTIONS_AT + (option === 0 ? 0 : LINK_OPTION_BYTES);
  const packet = nic.stack.pool.allocate(IPV6_BYTES + length);
  if (packet === null) return;
  const { bytes, at } = packet;
  const icmpAt = at + IPV6_BYTES;
  bytes.fill(0, at, packet.end);
  bytes[icmpAt] = type;
  put32(bytes, icmpAt + 4, flags << 24);
  target.write6(bytes, icmpAt + NDP_TARGET_AT);
  if (option !== 0) {
    bytes[icmpAt + NDP_OPTIONS_AT] = option;
    bytes[icmpAt + NDP_OPTIONS_AT + 1] = 1;
    const body = option === OPTION_NONCE ? optionBody : nic.link.address;
    for (let i = 0; i < 6; i++) bytes[icmpAt + NDP_OPTIONS_AT + 2 + i] = body[i];
  }
  putIpv6Start(bytes, at, 0, 0);
  put16(bytes, at + 4, length);
  bytes[at + 6] = IPPROTO_ICMPV6;
  bytes[at + 7] = HOP_LIMIT;
  source.write6(bytes, at + IPV6_SOURCE_AT);
  destination.write6(bytes, at + IPV6_DESTINATION_AT);
  const sum = sumBytes(
    sumPseudoHeader(source, destination, IPPROTO_ICMPV6, length),
    bytes,
    icmpAt,
    length,
  );
  putChecksum(bytes, icmpAt + 2, checksumOf(sum));
  packet.etherType = ETHERTYPE_IPV6;
  packet.source.copy(source);
  packet.destination.copy(destination);
  if (high < 0) {
    noteMulticastHardware(packet, destination);
  } else {
    packet.hardwareHigh = high;
    packet.hardwareLow = low;
  }
  nic.stack.icmp.statistics.v6.count(false, type);
  nic.send(packet);
}
