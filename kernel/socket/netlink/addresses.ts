// Addresses over rtnetlink: ip-address(8). Linux: inet_fill_ifaddr(), inet6_fill_ifaddr(), inet_rtm_newaddr().

import type { Address, InterfaceAddress, Nic } from "../../../netstack/mod.ts";
import { EADDRNOTAVAIL, EAFNOSUPPORT, EINVAL, ENODEV, EOPNOTSUPP } from "../../abi/errno.ts";
import {
  IFA_ADDRESS,
  IFA_BROADCAST,
  IFA_CACHEINFO,
  IFA_F_DADFAILED,
  IFA_F_DEPRECATED,
  IFA_F_PERMANENT,
  IFA_F_TEMPORARY,
  IFA_F_TENTATIVE,
  IFA_FLAGS,
  IFA_LABEL,
  IFA_LOCAL,
  NETLINK_ROUTE,
  NLM_F_MULTI,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
  RT_SCOPE_UNIVERSE,
  RTM_DELADDR,
  RTM_NEWADDR,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
} from "../../abi/netlink.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../../abi/socket.ts";
import { put32, u32 } from "../../abi/struct.ts";
import type { Network } from "../inet/network.ts";
import { beginAnswer, endOfDump, finishDump, fixedPart, netstackOf, stackOf, writerOf } from "./answer.ts";
import { attributeAddress, type NetlinkWriter } from "./message.ts";
import type { NetlinkRequest } from "./netlink_socket.ts";

/** sizeof(struct ifaddrmsg). */
const IFADDR_BYTES = 8;
/** A lifetime that does not end. */
const FOREVER = 0xffff_ffff;

export function dumpAddresses(request: NetlinkRequest): number {
  const stack = stackOf(request);
  const at = fixedPart(request, 1);
  const family = at < 0 ? AF_UNSPEC : request.bytes[at];
  // struct ifaddrmsg of who has asked for strict checks may name the interface.
  const hasIndex = fixedPart(request, IFADDR_BYTES) >= 0 && request.socket.isStrict;
  const index = hasIndex ? u32(request.bytes, at + 4) : 0;
  for (const isV4 of [true, false]) {
    if (family !== AF_UNSPEC && family !== (isV4 ? AF_INET : AF_INET6)) continue;
    for (const nic of stack.nics) {
      if (nic === undefined || (index !== 0 && nic.id !== index)) continue;
      for (const entry of nic.addresses) {
        if (entry.address.isV4 !== isV4) continue;
        const fixed = beginAnswer(request, RTM_NEWADDR, NLM_F_MULTI, IFADDR_BYTES);
        putAddress(writerOf(request), fixed, nic, entry, stack.now);
        endOfDump(request);
      }
    }
  }
  return finishDump(request);
}

function putAddress(writer: NetlinkWriter, at: number, nic: Nic, entry: InterfaceAddress, now: number): void {
  const { bytes } = writer;
  const { address } = entry;
  const flags = flagsOf(entry);
  bytes[at] = address.isV4 ? AF_INET : AF_INET6;
  bytes[at + 1] = address.isV4 ? entry.prefixBits - 96 : entry.prefixBits;
  bytes[at + 2] = flags;
  bytes[at + 3] = address.isLoopback
    ? RT_SCOPE_HOST
    : address.isLinkLocal
    ? RT_SCOPE_LINK
    : RT_SCOPE_UNIVERSE;
  put32(bytes, at + 4, nic.id);
  writer.address(IFA_ADDRESS, address);
  if (address.isV4) {
    writer.address(IFA_LOCAL, address);
    if (!nic.isLoopback && entry.prefixBits < 127) writer.address(IFA_BROADCAST, broadcastOf(entry));
    writer.text(IFA_LABEL, nic.name);
  }
  writer.numbers(IFA_CACHEINFO, 4, [
    secondsLeft(entry.preferredUntil, now),
    secondsLeft(entry.validUntil, now),
    0,
    0,
  ]);
  writer.word(IFA_FLAGS, flags);
}

function broadcastOf(entry: InterfaceAddress): Address {
  return entry.address.clone().setV4(entry.address.d | -1 >>> entry.prefixBits - 96);
}
function secondsLeft(until: number, now: number): number {
  return until === Infinity ? FOREVER : Math.max(0, Math.ceil((until - now) / 1e9));
}
function flagsOf(entry: InterfaceAddress): number {
  let flags = entry.validUntil === Infinity ? IFA_F_PERMANENT : 0;
  if (entry.isTentative) flags |= IFA_F_TENTATIVE;
  if (entry.isDuplicate) flags |= IFA_F_DADFAILED | IFA_F_TENTATIVE;
  if (entry.isDeprecated) flags |= IFA_F_DEPRECATED;
  if (entry.isTemporary) flags |= IFA_F_TEMPORARY;
  return flags;
}

/** What RTM_NEWADDR and RTM_DELADDR name. */
interface Named {
  readonly nic: Nic;
  readonly address: Address;
  readonly length: number;
}

function readNamed(request: NetlinkRequest): Named | number {
  const { bytes, end } = request;
  const at = fixedPart(request, IFADDR_BYTES);
  if (at < 0) return -EINVAL;
  const family = bytes[at], length = bytes[at + 1];
  if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT;
  const isV4 = family === AF_INET;
  const nic = stackOf(request).nics[u32(bytes, at + 4)];
  if (nic === undefined) return -ENODEV;
  const { Address } = netstackOf(request);
  const address = new Address();
  const attributes = at + IFADDR_BYTES;
  const isThere = attributeAddress(bytes, attributes, end, IFA_LOCAL, isV4, address) ||
    attributeAddress(bytes, attributes, end, IFA_ADDRESS, isV4, address);
  if (!isThere || length > (isV4 ? 32 : 128)) return -EINVAL;
  // An address of the other end (point to point) is none that the stack keeps.
  const other = new Address();
  const hasOther = attributeAddress(bytes, attributes, end, IFA_ADDRESS, isV4, other);
  return hasOther && !other.equals(address) ? -EOPNOTSUPP : { nic, address, length };
}

export function addAddress(request: NetlinkRequest): number {
  const named = readNamed(request);
  if (typeof named === "number") return named;
  const { nic, address, length } = named;
  const bits = netstackOf(request).prefixBits(length, address.isV4);
  const result = stackOf(request).addAddress(nic, address, bits);
  if (result < 0) return result;
  const entry = nic.find(address);
  if (entry !== null) tellAddress(request.socket.network, nic, entry, RTM_NEWADDR);
  return 0;
}

export function removeAddress(request: NetlinkRequest): number {
  const named = readNamed(request);
  if (typeof named === "number") return named;
  const { nic, address } = named;
  const entry = nic.find(address);
  if (entry === null) return -EADDRNOTAVAIL;
  tellAddress(request.socket.network, nic, entry, RTM_DELADDR);
  return stackOf(request).removeAddress(nic, address);
}

function tellAddress(network: Network, nic: Nic, entry: InterfaceAddress, type: number): void {
  const { writer } = network.netlink;
  putAddress(writer, writer.begin(type, 0, 0, 0, IFADDR_BYTES), nic, entry, network.stack.now);
  writer.end();
  const group = entry.address.isV4 ? RTNLGRP_IPV4_IFADDR : RTNLGRP_IPV6_IFADDR;
  network.netlink.multicast(NETLINK_ROUTE, group, writer.bytes.slice(0, writer.length));
  writer.clear();
}
