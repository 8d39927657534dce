// Neighbours over rtnetlink: ip-neighbour(8). Linux: neigh_add(), neigh_delete(), neigh_fill_info() of net/core/neighbour.c.

import type { Address, NeighbourEntry, Nic } from "../../../netstack/mod.ts";
import { NeighbourState } from "../../../netstack/numbers.ts";
import { EAFNOSUPPORT, EEXIST, EINVAL, ENODEV, ENOENT, EOPNOTSUPP } from "../../abi/errno.ts";
import {
  NDA_DST,
  NDA_LLADDR,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_MULTI,
  NUD_DELAY,
  NUD_FAILED,
  NUD_INCOMPLETE,
  NUD_PERMANENT,
  NUD_PROBE,
  NUD_REACHABLE,
  NUD_STALE,
  RTM_NEWNEIGH,
  RTN_UNICAST,
} from "../../abi/netlink.ts";
import { AF_INET, AF_INET6, AF_UNSPEC } from "../../abi/socket.ts";
import { i32, put16, put32, u16 } from "../../abi/struct.ts";
import { beginAnswer, endOfDump, finishDump, fixedPart, stackOf, writerOf } from "./answer.ts";
import { attributeAddress, attributeBytes, findAttribute } from "./message.ts";
import type { NetlinkRequest } from "./netlink_socket.ts";

/** sizeof(struct ndmsg). */
const NDMSG_BYTES = 12;
const HARDWARE_BYTES = 6;

/** NUD_ numbers by NeighbourState. */
const NEIGHBOUR_STATES: Readonly<Record<NeighbourState, number>> = {
  [NeighbourState.None]: 0,
  [NeighbourState.Incomplete]: NUD_INCOMPLETE,
  [NeighbourState.Reachable]: NUD_REACHABLE,
  [NeighbourState.Stale]: NUD_STALE,
  [NeighbourState.Delay]: NUD_DELAY,
  [NeighbourState.Probe]: NUD_PROBE,
  [NeighbourState.Failed]: NUD_FAILED,
  [NeighbourState.Permanent]: NUD_PERMANENT,
};

/** What RTM_NEWNEIGH and RTM_DELNEIGH name. */
interface Named {
  readonly nic: Nic;
  readonly address: Address;
  readonly state: number;
  /** Where the hardware address is in the request; -1 = there is none. */
  readonly hardwareAt: number;
}

function readNamed(request: NetlinkRequest): Named | number {
  const { bytes, end } = request;
  const at = fixedPart(request, NDMSG_BYTES);
  if (at < 0) return -EINVAL;
  const family = bytes[at], index = i32(bytes, at + 4), attributes = at + NDMSG_BYTES;
  const destination = findAttribute(bytes, attributes, end, NDA_DST);
  if (destination < 0) return -EINVAL;
  const nic = index === 0 ? null : stackOf(request).nics[index];
  if (nic === undefined) return -ENODEV;
  const hardware = findAttribute(bytes, attributes, end, NDA_LLADDR);
  if (nic !== null && hardware >= 0 && attributeBytes(bytes, hardware) < HARDWARE_BYTES) return -EINVAL;
  if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT;
  const address = new request.socket.network.shared.netstack.Address();
  const isRead = attributeAddress(bytes, attributes, end, NDA_DST, family === AF_INET, address);
  if (!isRead || nic === null) return -EINVAL;
  return { nic, address, state: u16(bytes, at + 8), hardwareAt: hardware };
}

export function addNeighbour(request: NetlinkRequest): number {
  const named = readNamed(request);
  if (typeof named === "number") return named;
  const { nic, address, state, hardwareAt } = named;
  const { bytes, flags } = request;
  const isThere = nic.neighbours.find(address) !== null;
  if (!isThere && (flags & NLM_F_CREATE) === 0) return -ENOENT;
  if (isThere && (flags & NLM_F_EXCL) !== 0) return -EEXIST;
  if (state !== NUD_PERMANENT && state !== NUD_REACHABLE && state !== NUD_STALE) {
    return request.task.kernel.coverage.unfinished(`neighbour in state ${state}`, EOPNOTSUPP);
  }
  // __neigh_update(): a state with an address needs one.
  if (hardwareAt < 0) return -EINVAL;
  const high = bytes[hardwareAt] << 8 | bytes[hardwareAt + 1];
  const low = bytes[hardwareAt + 2] << 24 | bytes[hardwareAt + 3] << 16 | bytes[hardwareAt + 4] << 8 |
    bytes[hardwareAt + 5];
  request.socket.network.touch();
  // What is permanent learns nothing.
  if (isThere && state !== NUD_PERMANENT) nic.neighbours.remove(address);
  const entry = nic.neighbours.resolve(address);
  if (state === NUD_PERMANENT) entry.makePermanent(high, low);
  else entry.learn(high, low, state === NUD_REACHABLE, true);
  return 0;
}

export function removeNeighbour(request: NetlinkRequest): number {
  const named = readNamed(request);
  if (typeof named === "number") return named;
  return named.nic.neighbours.remove(named.address) ? 0 : -ENOENT;
}

export function dumpNeighbours(request: NetlinkRequest): number {
  const at = fixedPart(request, 1);
  const family = at < 0 ? AF_UNSPEC : request.bytes[at];
  for (const nic of stackOf(request).nics) {
    if (nic === undefined) continue;
    for (const entry of nic.neighbours.entries) {
      const { isV4 } = entry.address;
      if (family !== AF_UNSPEC && family !== (isV4 ? AF_INET : AF_INET6)) continue;
      putNeighbour(request, nic, entry);
      endOfDump(request);
    }
  }
  return finishDump(request);
}

function putNeighbour(request: NetlinkRequest, nic: Nic, entry: NeighbourEntry): void {
  const at = beginAnswer(request, RTM_NEWNEIGH, NLM_F_MULTI, NDMSG_BYTES);
  const writer = writerOf(request);
  const { bytes } = writer;
  const state = NEIGHBOUR_STATES[entry.state];
  bytes[at] = entry.address.isV4 ? AF_INET : AF_INET6;
  put32(bytes, at + 4, nic.id);
  put16(bytes, at + 8, state);
  bytes[at + 11] = RTN_UNICAST;
  writer.address(NDA_DST, entry.address);
  if ((state & (NUD_INCOMPLETE | NUD_FAILED)) !== 0 || state === 0) return;
  const data = writer.attribute(NDA_LLADDR, 6);
  bytes[data] = entry.hardwareHigh >>> 8;
  bytes[data + 1] = entry.hardwareHigh;
  for (let i = 0; i < 4; i++) bytes[data + 2 + i] = entry.hardwareLow >>> 24 - 8 * i;
}
