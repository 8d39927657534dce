// Multicast groups of one endpoint, with their source filters, and the socket options that change them: ip(7), RFC 3678.
// Linux: ip_mc_join_group(), ip_mc_source(), ip_mc_msfilter() and their IPv6 kin.

import { Address } from "../address.ts";
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENOBUFS, ENODEV, ENOPROTOOPT } from "../errno.ts";
import type { Nic } from "../nic.ts";
import { Route } from "../route.ts";
import type { Stack } from "../stack.ts";
import { GroupFilter } from "./group_filter.ts";
import {
  IP_ADD_MEMBERSHIP,
  IP_ADD_SOURCE_MEMBERSHIP,
  IP_BLOCK_SOURCE,
  IP_DROP_MEMBERSHIP,
  IP_DROP_SOURCE_MEMBERSHIP,
  IP_MSFILTER,
  IP_UNBLOCK_SOURCE,
  IPV6_ADD_MEMBERSHIP,
  IPV6_DROP_MEMBERSHIP,
  MCAST_BLOCK_SOURCE,
  MCAST_JOIN_GROUP,
  MCAST_JOIN_SOURCE_GROUP,
  MCAST_LEAVE_GROUP,
  MCAST_LEAVE_SOURCE_GROUP,
  MCAST_MSFILTER,
  MCAST_UNBLOCK_SOURCE,
  SOL_IP,
} from "./options.ts";

/** Groups one endpoint may join (igmp_max_memberships), and sources of one of its filters (igmp_max_msf, mld_max_msf). */
export const MEMBERSHIPS_MAX = 20;
export const FILTER_SOURCES_MAX = 64;

const AF_INET = 2;
const AF_INET6 = 10;
/** struct group_req, group_source_req, and where their parts stand (RFC 3678 section 5.1, on 64-bit machines). */
const GROUP_AT = 8;
const GROUP_REQ_BYTES = 136;
const GROUP_SOURCE_REQ_BYTES = 264;
const STORAGE_BYTES = 128;
/** struct group_filter and ip_msfilter before their lists. */
const GROUP_FILTER_BYTES = 144;
const MSFILTER_BYTES = 16;
const MCAST_INCLUDE = 1;

interface Entry {
  readonly nic: Nic;
  readonly group: Address;
  readonly filter: GroupFilter;
}

export class SocketGroups {
  readonly #stack: Stack;
  readonly #entries: Entry[] = [];

  constructor(stack: Stack) {
    this.#stack = stack;
  }

  /** A datagram from `source` to `group` by `nicId` is wanted; `others` = what holds for groups not joined. */
  hears(group: Address, nicId: number, source: Address, others: boolean): boolean {
    for (const entry of this.#entries) {
      if (entry.nic.id === nicId && entry.group.equals(group)) return entry.filter.allows(source);
    }
    return others;
  }

  /** `only` = the one source that is wanted, null = all. */
  join(nic: Nic, group: Address, only: Address | null = null): number {
    if (!group.isMulticast) return -EINVAL;
    if (this.#find(nic, group) !== null) return -EADDRINUSE;
    if (this.#entries.length >= MEMBERSHIPS_MAX) return -ENOBUFS;
    const filter = new GroupFilter(only === null);
    if (only !== null) filter.add(only);
    const joined = nic.membership.join(group, filter);
    if (joined < 0) return joined;
    this.#entries.push({ nic, group: group.clone(), filter });
    return 0;
  }
  leave(nic: Nic, group: Address): number {
    const entry = this.#find(nic, group);
    if (entry === null) return -EADDRNOTAVAIL;
    this.#entries.splice(this.#entries.indexOf(entry), 1);
    nic.membership.leave(group, entry.filter);
    return 0;
  }

  /** Adds `source` to, or takes it from, the list of a filter of that mode. */
  #changeSource(nic: Nic, group: Address, source: Address, isExclude: boolean, adds: boolean): number {
    if (!group.isMulticast || source.isV4 !== group.isV4) return -EINVAL;
    const entry = this.#find(nic, group);
    // Only a source-specific join makes an entry.
    if (entry === null) return isExclude || !adds ? -EINVAL : this.join(nic, group, source);
    const { filter } = entry;
    if (filter.isExclude !== isExclude) {
      // The mode of a filter with sources is not switched in passing.
      if (filter.sources.length > 0) return -EINVAL;
      filter.isExclude = isExclude;
    }
    if (adds) {
      if (filter.has(source)) return -EADDRNOTAVAIL;
      if (filter.sources.length >= FILTER_SOURCES_MAX) return -ENOBUFS;
      filter.add(source);
    } else if (!filter.remove(source)) {
      return -EADDRNOTAVAIL;
    }
    // To include nothing is to leave.
    if (filter.isNothing) return this.leave(nic, group);
    nic.membership.changed(group);
    return 0;
  }

  #find(nic: Nic, group: Address): Entry | null {
    for (const entry of this.#entries) if (entry.nic === nic && entry.group.equals(group)) return entry;
    return null;
  }

  /** setsockopt(2) of the options above; -ENOPROTOOPT where it is none of them. */
  setOption(level: number, name: number, from: Uint8Array, at: number, length: number): number {
    if (name >= MCAST_JOIN_GROUP && name <= MCAST_MSFILTER) {
      return this.#setByIndex(level, name, from, at, length);
    }
    if (level !== SOL_IP) {
      if (name !== IPV6_ADD_MEMBERSHIP && name !== IPV6_DROP_MEMBERSHIP) return -ENOPROTOOPT;
      if (length < 20) return -EINVAL;
      const group = new Address().read6(from, at);
      const nic = this.#nicFor(group, int(from, at + 16), null);
      if (nic === null) return -ENODEV;
      return name === IPV6_ADD_MEMBERSHIP ? this.join(nic, group) : this.leave(nic, group);
    }
    if (length < 8) return -EINVAL;
    const group = new Address().read4(from, at);
    switch (name) {
      case IP_ADD_MEMBERSHIP:
      case IP_DROP_MEMBERSHIP: {
        const index = length >= 12 ? int(from, at + 8) : 0;
        const nic = this.#nicFor(group, index, new Address().read4(from, at + 4));
        if (nic === null) return name === IP_ADD_MEMBERSHIP ? -ENODEV : -EADDRNOTAVAIL;
        return name === IP_ADD_MEMBERSHIP ? this.join(nic, group) : this.leave(nic, group);
      }
      case IP_ADD_SOURCE_MEMBERSHIP:
      case IP_DROP_SOURCE_MEMBERSHIP:
      case IP_BLOCK_SOURCE:
      case IP_UNBLOCK_SOURCE: {
        if (length < 12) return -EINVAL;
        const nic = this.#nicFor(group, 0, new Address().read4(from, at + 4));
        if (nic === null) return -ENODEV;
        const isExclude = name === IP_BLOCK_SOURCE || name === IP_UNBLOCK_SOURCE;
        const adds = name === IP_ADD_SOURCE_MEMBERSHIP || name === IP_BLOCK_SOURCE;
        return this.#changeSource(nic, group, new Address().read4(from, at + 8), isExclude, adds);
      }
      case IP_MSFILTER: {
        const count = length >= MSFILTER_BYTES ? int(from, at + 12) : -1;
        if (count < 0 || MSFILTER_BYTES + 4 * count > length) return -EINVAL;
        if (count > FILTER_SOURCES_MAX) return -ENOBUFS;
        const nic = this.#nicFor(group, 0, new Address().read4(from, at + 4));
        if (nic === null) return -ENODEV;
        const sources: Address[] = [];
        for (let i = 0; i < count; i++) sources.push(new Address().read4(from, at + MSFILTER_BYTES + 4 * i));
        return this.#setFilter(nic, group, int(from, at + 8), sources);
      }
      default:
        return -ENOPROTOOPT;
    }
  }

  #setByIndex(level: number, name: number, from: Uint8Array, at: number, length: number): number {
    if (length < GROUP_REQ_BYTES) return -EINVAL;
    const group = readSocketAddress(from, at + GROUP_AT, level);
    if (group === null) return -EADDRNOTAVAIL;
    const nic = this.#nicFor(group, int(from, at), null);
    if (nic === null) return -ENODEV;
    if (name === MCAST_JOIN_GROUP) return this.join(nic, group);
    if (name === MCAST_LEAVE_GROUP) return this.leave(nic, group);
    if (name === MCAST_MSFILTER) {
      const count = length >= GROUP_FILTER_BYTES ? int(from, at + 140) : -1;
      if (count < 0 || count > FILTER_SOURCES_MAX) return count < 0 ? -EINVAL : -ENOBUFS;
      if (GROUP_FILTER_BYTES + STORAGE_BYTES * count > length) return -EINVAL;
      const sources: Address[] = [];
      for (let i = 0; i < count; i++) {
        const source = readSocketAddress(from, at + GROUP_FILTER_BYTES + STORAGE_BYTES * i, level);
        if (source === null) return -EADDRNOTAVAIL;
        sources.push(source);
      }
      return this.#setFilter(nic, group, int(from, at + 136), sources);
    }
    if (length < GROUP_SOURCE_REQ_BYTES) return -EINVAL;
    const source = readSocketAddress(from, at + GROUP_REQ_BYTES, level);
    if (source === null) return -EADDRNOTAVAIL;
    const isExclude = name === MCAST_BLOCK_SOURCE || name === MCAST_UNBLOCK_SOURCE;
    const adds = name === MCAST_JOIN_SOURCE_GROUP || name === MCAST_BLOCK_SOURCE;
    if (!adds && !isExclude && name !== MCAST_LEAVE_SOURCE_GROUP) return -ENOPROTOOPT;
    return this.#changeSource(nic, group, source, isExclude, adds);
  }

  /** IP_MSFILTER, MCAST_MSFILTER: the whole filter at once. */
  #setFilter(nic: Nic, group: Address, mode: number, sources: readonly Address[]): number {
    if (!group.isMulticast || (mode !== 0 && mode !== MCAST_INCLUDE)) return -EINVAL;
    if (mode === MCAST_INCLUDE && sources.length === 0) return this.leave(nic, group);
    const entry = this.#find(nic, group);
    if (entry === null) return -EINVAL;
    const { filter } = entry;
    filter.isExclude = mode !== MCAST_INCLUDE;
    filter.sources.length = 0;
    for (const source of sources) filter.add(source);
    nic.membership.changed(group);
    return 0;
  }

  /** getsockopt(2) of IP_MSFILTER and MCAST_MSFILTER: the group is named in what is to be filled. */
  getOption(level: number, name: number, into: Uint8Array, at: number, length: number): number {
    const isOld = level === SOL_IP && name === IP_MSFILTER;
    if (!isOld && name !== MCAST_MSFILTER) return -ENOPROTOOPT;
    const headerBytes = isOld ? MSFILTER_BYTES : GROUP_FILTER_BYTES;
    if (length < headerBytes) return -EINVAL;
    const group = isOld ? new Address().read4(into, at) : readSocketAddress(into, at + GROUP_AT, level);
    if (group === null) return -EADDRNOTAVAIL;
    const own = isOld ? new Address().read4(into, at + 4) : null;
    const nic = this.#nicFor(group, isOld ? 0 : int(into, at), own);
    const entry = nic === null ? null : this.#find(nic, group);
    if (entry === null) return nic === null ? -ENODEV : -EADDRNOTAVAIL;
    const { sources, isExclude } = entry.filter;
    const countAt = at + headerBytes - 4;
    const room = int(into, countAt);
    putInt(into, countAt - 4, isExclude ? 0 : MCAST_INCLUDE);
    putInt(into, countAt, sources.length);
    const size = isOld ? 4 : STORAGE_BYTES;
    let n = 0;
    for (; n < sources.length && n < room && headerBytes + size * (n + 1) <= length; n++) {
      const place = at + headerBytes + size * n;
      if (isOld) sources[n].write4(into, place);
      else writeSocketAddress(sources[n], into, place);
    }
    return headerBytes + size * n;
  }

  /** The interface named by index or by one of its addresses, or else the one that a route to the group takes. */
  #nicFor(group: Address, index: number, own: Address | null): Nic | null {
    const stack = this.#stack;
    if (index !== 0) return stack.nics[index] ?? null;
    if (own !== null && !own.isUnspecified) return stack.nicOf(own);
    unspecified.setUnspecified(group.isV4);
    scratch.nic = null;
    stack.routes.find(group, unspecified, 0, scratch);
    return scratch.nic;
  }

  /** The endpoint is closed. */
  close(): void {
    for (const { nic, group, filter } of this.#entries) nic.membership.leave(group, filter);
    this.#entries.length = 0;
  }
}

const unspecified = new Address();
const scratch = new Route();

/** struct sockaddr_storage of the level's family; null when it is another's. */
function readSocketAddress(bytes: Uint8Array, at: number, level: number): Address | null {
  const family = bytes[at] | bytes[at + 1] << 8;
  if (level === SOL_IP) return family === AF_INET ? new Address().read4(bytes, at + 4) : null;
  return family === AF_INET6 ? new Address().read6(bytes, at + 8) : null;
}
function writeSocketAddress(address: Address, bytes: Uint8Array, at: number): void {
  bytes.fill(0, at, at + STORAGE_BYTES);
  bytes[at] = address.isV4 ? AF_INET : AF_INET6;
  if (address.isV4) address.write4(bytes, at + 4);
  else address.write6(bytes, at + 8);
}

function int(bytes: Uint8Array, at: number): number {
  return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24;
}
function putInt(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >> 8 * i;
}
