// Multicast membership on the wire: IGMPv3, v2 and v1 (RFC 3376, RFC 2236), MLDv2 and v1 (RFC 3810, RFC 2710), host side,
// source filters included. Joining is a state change that is reported at once and once more; queries are answered after a
// random time; routers of older versions are spoken to in theirs.

import { Address } from "../address.ts";
import { ENOBUFS } from "../errno.ts";
import type { Nic } from "../nic.ts";
import { Checksum, type Packet } from "../packet.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import { get16, put16 } from "../wire/bytes.ts";
import { checksumOf, fold, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { ICMPV6_MLD2_REPORT, ICMPV6_MLD_DONE, ICMPV6_MLD_REPORT } from "../wire/icmp.ts";
import {
  IPV4_BYTES,
  IPV4_DESTINATION_AT,
  IPV4_LENGTH_AT,
  IPV4_PROTOCOL_AT,
  IPV4_SOURCE_AT,
  IPV4_TTL_AT,
  sealIpv4Header,
} from "../wire/ipv4.ts";
import { IPV6_BYTES, IPV6_DESTINATION_AT, IPV6_SOURCE_AT, putIpv6Start } from "../wire/ipv6.ts";
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  IPPROTO_HOPOPTS,
  IPPROTO_ICMPV6,
  IPPROTO_IGMP,
} from "../wire/numbers.ts";
import { GroupFilter, joinFilters, withoutSources } from "./group_filter.ts";
import { noteMulticastHardware } from "./ndp_send.ts";
import { chooseSource } from "./source_address.ts";

/** Groups of one interface at most. */
export const GROUPS_MAX = 1024;
/** Sources of one query that are looked at. */
const ASKED_SOURCES_MAX = 64;
/** Each change is reported so many times: RFC 3376 section 8.1 (robustness 2) and 8.11, RFC 3810 section 9.11. */
const REPORTS = 2;
const UNSOLICITED_NANOS = 1e9;
/** How long an older router is assumed after its query: RFC 3376 section 8.12. */
const OLDER_ROUTER_NANOS = 260e9;

const IGMP_QUERY = 0x11;
const IGMP_V1_REPORT = 0x12;
const IGMP_V2_REPORT = 0x16;
const IGMP_V2_LEAVE = 0x17;
const IGMP_V3_REPORT = 0x22;

/** Types of a group record, RFC 3376 section 4.2.12. */
const enum RecordType {
  IsInclude = 1,
  IsExclude,
  ToInclude,
  ToExclude,
  Allow,
  Block,
}

const IGMP_BYTES = 8;
const IGMP_V3_QUERY_BYTES = 12;
const MLD_BYTES = 24;
const MLD2_QUERY_BYTES = 28;
/** A report's header, and a record's before its addresses. */
const REPORT_BYTES = 8;
const ROUTER_ALERT_BYTES = 4;
const HOP_BY_HOP_BYTES = 8;
const ALL_SYSTEMS = 0xe0000001 | 0;

const enum GroupTimer {
  /** A change is to be reported again. */
  Change,
  /** A query is to be answered. */
  Answer,
}

class Group implements TimerOwner {
  readonly membership: Membership;
  readonly address: Address;
  /** Members without a filter: neighbour discovery. And the filters of endpoints. */
  users = 0;
  readonly filters: GroupFilter[] = [];
  /** What the members together want; "include nothing" while the end is still being reported. */
  state = new GroupFilter(false);
  /** How often the change is still to be reported: a change of mode, or else these sources. */
  modeReports = 0;
  sourceReports = 0;
  allowed: Address[] = [];
  blocked: Address[] = [];
  /** Sources that a query asks for; empty = the whole group. */
  readonly asked: Address[] = [];
  readonly changeTimer = new Timer(this, GroupTimer.Change);
  readonly answerTimer = new Timer(this, GroupTimer.Answer);

  constructor(membership: Membership, address: Address) {
    this.membership = membership;
    this.address = address.clone();
  }
  onTimer(kind: number): void {
    if (kind === GroupTimer.Change) this.membership.tellChange(this);
    else this.membership.answer(this);
  }
}

export class Membership {
  readonly #nic: Nic;
  readonly #groups: Group[] = [];
  /** Until when routers of older versions are about: IGMPv1, IGMPv2, MLDv1. */
  #v1Until = -1;
  #v2Until = -1;
  #mld1Until = -1;
  readonly #source = new Address();

  constructor(nic: Nic) {
    this.#nic = nic;
  }

  /** Groups with members, for /proc/net/igmp. */
  get groups(): readonly { readonly address: Address; readonly users: number }[] {
    return this.#groups.filter((group) => !group.state.isNothing)
      .map((group) => ({ address: group.address, users: group.users + group.filters.length }));
  }
  isMember(address: Address): boolean {
    for (const group of this.#groups) {
      if (group.address.equals(address)) return !group.state.isNothing;
    }
    return address.d === ALL_SYSTEMS && address.isV4;
  }

  /** One more on this interface wants `address`, from the sources of `filter` (null = from all). 0 or -ENOBUFS. */
  join(address: Address, filter: GroupFilter | null = null): number {
    let group = this.#find(address);
    if (group === null) {
      if (this.#groups.length >= GROUPS_MAX) return -ENOBUFS;
      group = new Group(this, address);
      this.#groups.push(group);
    }
    if (filter === null) group.users++;
    else group.filters.push(filter);
    this.#update(group);
    return 0;
  }

  /** One less. */
  leave(address: Address, filter: GroupFilter | null = null): void {
    const group = this.#find(address);
    if (group === null) return;
    if (filter === null) {
      if (group.users > 0) group.users--;
    } else {
      const i = group.filters.indexOf(filter);
      if (i >= 0) group.filters.splice(i, 1);
    }
    this.#update(group);
  }

  /** A filter that joined `address` was changed. */
  changed(address: Address): void {
    const group = this.#find(address);
    if (group !== null) this.#update(group);
  }

  #find(address: Address): Group | null {
    for (const group of this.#groups) if (group.address.equals(address)) return group;
    return null;
  }

  /** Takes over what the members want now and begins to tell the difference, RFC 3376 section 5.1. */
  #update(group: Group): void {
    const before = group.state;
    const filters = group.users > 0 ? [...group.filters, new GroupFilter(true)] : group.filters;
    const now = filters.length === 0 ? new GroupFilter(false) : joinFilters(filters);
    group.state = now;
    if (!this.#isTold(group.address)) {
      if (now.isNothing) this.#forget(group);
      return;
    }
    if (before.isExclude !== now.isExclude) {
      group.modeReports = REPORTS;
      group.sourceReports = 0;
      group.allowed = group.blocked = [];
    } else {
      const added = withoutSources(now.sources, before), gone = withoutSources(before.sources, now);
      if (added.length === 0 && gone.length === 0) {
        if (now.isNothing && group.modeReports === 0 && group.sourceReports === 0) this.#forget(group);
        return;
      }
      const allowed = now.isExclude ? gone : added, blocked = now.isExclude ? added : gone;
      group.allowed = merge(group.allowed, allowed, blocked);
      group.blocked = merge(group.blocked, blocked, allowed);
      group.sourceReports = REPORTS;
    }
    this.tellChange(group);
  }

  #forget(group: Group): void {
    const { timers } = this.#nic.stack;
    timers.remove(group.changeTimer);
    timers.remove(group.answerTimer);
    const i = this.#groups.indexOf(group);
    if (i >= 0) this.#groups.splice(i, 1);
  }

  /** Reports once what has changed, and sets the timer if it is to be reported again. For the group's timer. */
  tellChange(group: Group): void {
    const { stack } = this.#nic;
    const { address, state } = group;
    if (this.#isOld(address.isV4)) this.#tellOld(group);
    else if (group.modeReports > 0) {
      const type = state.isExclude ? RecordType.ToExclude : RecordType.ToInclude;
      this.#sendRecords(address, type, state.sources);
    } else {
      if (group.allowed.length > 0) this.#sendRecords(address, RecordType.Allow, group.allowed);
      if (group.blocked.length > 0) this.#sendRecords(address, RecordType.Block, group.blocked);
    }
    if (group.modeReports > 0) group.modeReports--;
    else if (group.sourceReports > 0) group.sourceReports--;
    if (group.modeReports > 0 || group.sourceReports > 0) {
      stack.timers.set(group.changeTimer, stack.now + this.#within(UNSOLICITED_NANOS));
      return;
    }
    group.allowed = group.blocked = [];
    if (state.isNothing) this.#forget(group);
  }

  /** The older protocols know members or none. */
  #tellOld(group: Group): void {
    const { address, state } = group;
    if (!state.isNothing) {
      this.#report(address);
      return;
    }
    group.modeReports = group.sourceReports = 0;
    if (!address.isV4) this.#sendMld(ICMPV6_MLD_DONE, address, ALL_ROUTERS_V6);
    // IGMPv1 has no word for leaving.
    else if (this.#nic.stack.now >= this.#v1Until) this.#sendIgmp(IGMP_V2_LEAVE, address, ALL_ROUTERS_V4);
  }

  #report(address: Address): void {
    if (!address.isV4) this.#sendMld(ICMPV6_MLD_REPORT, address, address);
    else if (this.#nic.stack.now < this.#v1Until) this.#sendIgmp(IGMP_V1_REPORT, address, address);
    else this.#sendIgmp(IGMP_V2_REPORT, address, address);
  }

  /** Answers a query, RFC 3376 section 5.2. For the group's timer. */
  answer(group: Group): void {
    const { address, state, asked } = group;
    if (state.isNothing) return;
    if (this.#isOld(address.isV4)) {
      this.#report(address);
    } else if (asked.length === 0) {
      this.#sendRecords(
        address,
        state.isExclude ? RecordType.IsExclude : RecordType.IsInclude,
        state.sources,
      );
    } else {
      const wanted = asked.filter((source) => state.allows(source));
      if (wanted.length > 0) this.#sendRecords(address, RecordType.IsInclude, wanted);
    }
    asked.length = 0;
  }

  /** IGMP, header at packet.at: queries, and others' reports of the old versions. */
  receiveIgmp(packet: Packet): void {
    const { bytes, at, length } = packet;
    if (length < IGMP_BYTES || fold(sumBytes(0, bytes, at, length)) !== 0xffff) return;
    const { now } = this.#nic.stack;
    const type = bytes[at];
    const asked = new Address().read4(bytes, at + 4);
    if (type === IGMP_V1_REPORT || type === IGMP_V2_REPORT) {
      this.#heardReport(asked);
      return;
    }
    if (type !== IGMP_QUERY) return;
    // RFC 3376 section 7.1: the version shows in length and response time.
    if (length === IGMP_BYTES) {
      const isV1 = bytes[at + 1] === 0;
      if (isV1) this.#v1Until = now + OLDER_ROUTER_NANOS;
      else this.#v2Until = now + OLDER_ROUTER_NANOS;
      this.#asked(asked, true, isV1 ? 10e9 : bytes[at + 1] * 1e8, null, 0, 0);
      return;
    }
    if (length < IGMP_V3_QUERY_BYTES) return;
    const sources = get16(bytes, at + 10);
    if (IGMP_V3_QUERY_BYTES + 4 * sources > length) return;
    this.#asked(asked, true, decodeTime(bytes[at + 1]) * 1e8, bytes, at + IGMP_V3_QUERY_BYTES, sources);
  }

  /** MLD query, ICMPv6 header at packet.at, checksum verified (RFC 3810 section 5.1: link-local source, one hop). */
  receiveQueryV6(packet: Packet): void {
    const { bytes, at, length } = packet;
    if (length < MLD_BYTES || !packet.source.isLinkLocal || packet.ttl !== 1) return;
    const code = get16(bytes, at + 4);
    const asked = new Address().read6(bytes, at + 8);
    if (length === MLD_BYTES) {
      this.#mld1Until = this.#nic.stack.now + OLDER_ROUTER_NANOS;
      this.#asked(asked, false, code * 1e6, null, 0, 0);
      return;
    }
    if (length < MLD2_QUERY_BYTES) return;
    const sources = get16(bytes, at + 26);
    if (MLD2_QUERY_BYTES + 16 * sources > length) return;
    const delay = code < 32_768 ? code : (code & 0xfff | 0x1000) << (code >> 12 & 7) + 3;
    this.#asked(asked, false, delay * 1e6, bytes, at + MLD2_QUERY_BYTES, sources);
  }

  /** Another member has reported the group (MLDv1): we need not. */
  receiveReportV6(packet: Packet): void {
    if (packet.length < MLD_BYTES) return;
    this.#heardReport(new Address().read6(packet.bytes, packet.at + 8));
  }

  #heardReport(address: Address): void {
    const group = this.#find(address);
    if (group === null || !this.#isOld(address.isV4)) return;
    this.#nic.stack.timers.stop(group.answerTimer);
  }

  #asked(
    address: Address,
    isV4: boolean,
    delayNanos: number,
    bytes: Uint8Array | null,
    sourcesAt: number,
    sources: number,
  ): void {
    const { timers, now } = this.#nic.stack;
    for (const group of this.#groups) {
      if (group.address.isV4 !== isV4 || !this.#isTold(group.address) || group.state.isNothing) continue;
      if (!address.isUnspecified && !group.address.equals(address)) continue;
      const at = now + this.#within(Math.max(delayNanos, 1e6));
      const isPending = group.answerTimer.isSet;
      if (sources === 0 || bytes === null || (isPending && group.asked.length === 0)) group.asked.length = 0;
      else noteSources(group.asked, bytes, sourcesAt, sources, isV4);
      if (!isPending || group.answerTimer.at > at) timers.set(group.answerTimer, at);
    }
  }

  #isOld(isV4: boolean): boolean {
    const { now } = this.#nic.stack;
    return isV4 ? now < this.#v2Until || now < this.#v1Until : now < this.#mld1Until;
  }

  /** Routers need not hear of groups that never leave the link: all systems, and interface or no scope in IPv6. */
  #isTold(address: Address): boolean {
    if (!this.#nic.hasNeighbours) return false;
    if (address.isV4) return address.d !== ALL_SYSTEMS;
    return (address.a >>> 16 & 15) > 1 && !(address.d === 1 && address.b === 0 && address.c === 0);
  }

  #within(nanos: number): number {
    return nanos * (this.#nic.stack.random.below(1000) + 1) / 1000;
  }

  /** Sends a record, in as many reports as its sources need; those of a list to exclude are cut (section 4.2.16). */
  #sendRecords(group: Address, type: RecordType, sources: readonly Address[]): void {
    const isV4 = group.isV4;
    const addressBytes = isV4 ? 4 : 16;
    const headers = isV4 ? IPV4_BYTES + ROUTER_ALERT_BYTES : IPV6_BYTES + HOP_BY_HOP_BYTES;
    const room = Math.min(this.#nic.mtu, 1500) - headers - REPORT_BYTES - 4 - addressBytes;
    const most = Math.max(1, Math.floor(room / addressBytes));
    const isCut = type === RecordType.IsExclude || type === RecordType.ToExclude;
    let done = 0;
    do {
      const count = Math.min(most, sources.length - done);
      this.#sendRecord(group, type, sources, done, count);
      done += count;
    } while (done < sources.length && !isCut);
  }

  #sendRecord(
    group: Address,
    type: RecordType,
    sources: readonly Address[],
    from: number,
    count: number,
  ): void {
    const isV4 = group.isV4;
    const addressBytes = isV4 ? 4 : 16;
    const length = REPORT_BYTES + 4 + addressBytes * (1 + count);
    const packet = isV4 ? this.#beginV4(length) : this.#beginV6(length);
    if (packet === null) return;
    const { bytes } = packet;
    const at = packet.end - length;
    bytes[at] = isV4 ? IGMP_V3_REPORT : ICMPV6_MLD2_REPORT;
    put16(bytes, at + 6, 1);
    bytes[at + 8] = type;
    put16(bytes, at + 10, count);
    putAddress(group, bytes, at + 12);
    for (let i = 0; i < count; i++) putAddress(sources[from + i], bytes, at + 12 + addressBytes * (1 + i));
    if (isV4) this.#finishV4(packet, at, ALL_V3_ROUTERS);
    else this.#finishV6(packet, at, ALL_MLD2_ROUTERS);
  }

  #sendIgmp(type: number, group: Address, to: Address): void {
    const packet = this.#beginV4(IGMP_BYTES);
    if (packet === null) return;
    const at = packet.end - IGMP_BYTES;
    packet.bytes[at] = type;
    group.write4(packet.bytes, at + 4);
    this.#finishV4(packet, at, to);
  }

  #beginV4(length: number): Packet | null {
    const packet = this.#nic.stack.pool.allocate(IPV4_BYTES + ROUTER_ALERT_BYTES + length);
    if (packet !== null) packet.bytes.fill(0, packet.at, packet.end);
    return packet;
  }

  #finishV4(packet: Packet, igmpAt: number, to: Address): void {
    const { bytes, at } = packet;
    const nic = this.#nic;
    if (!chooseSource(nic.stack, nic, to, this.#source)) this.#source.setUnspecified(true);
    putChecksum(bytes, igmpAt + 2, checksumOf(sumBytes(0, bytes, igmpAt, packet.end - igmpAt)));
    bytes[at] = 0x46;
    bytes[at + 1] = 0xc0;
    put16(bytes, at + IPV4_LENGTH_AT, packet.length);
    bytes[at + IPV4_TTL_AT] = 1;
    bytes[at + IPV4_PROTOCOL_AT] = IPPROTO_IGMP;
    this.#source.write4(bytes, at + IPV4_SOURCE_AT);
    to.write4(bytes, at + IPV4_DESTINATION_AT);
    // Router alert, RFC 2113.
    bytes[at + IPV4_BYTES] = 148;
    bytes[at + IPV4_BYTES + 1] = 4;
    sealIpv4Header(bytes, at);
    packet.etherType = ETHERTYPE_IPV4;
    this.#send(packet, to);
  }

  #sendMld(type: number, group: Address, to: Address): void {
    const packet = this.#beginV6(MLD_BYTES);
    if (packet === null) return;
    const at = packet.end - MLD_BYTES;
    packet.bytes[at] = type;
    group.write6(packet.bytes, at + 8);
    this.#finishV6(packet, at, to);
  }

  #beginV6(length: number): Packet | null {
    const packet = this.#nic.stack.pool.allocate(IPV6_BYTES + HOP_BY_HOP_BYTES + length);
    if (packet !== null) packet.bytes.fill(0, packet.at, packet.end);
    return packet;
  }

  #finishV6(packet: Packet, mldAt: number, to: Address): void {
    const { bytes, at } = packet;
    const nic = this.#nic;
    // RFC 3590: from a link-local address, or from none while there is no usable one.
    const own = nic.addresses.find((entry) =>
      !entry.address.isV4 && entry.address.isLinkLocal && entry.isUsable
    );
    if (own === undefined) this.#source.setUnspecified(false);
    else this.#source.copy(own.address);
    putIpv6Start(bytes, at, 0, 0);
    put16(bytes, at + 4, packet.length - IPV6_BYTES);
    bytes[at + 6] = IPPROTO_HOPOPTS;
    bytes[at + 7] = 1;
    this.#source.write6(bytes, at + IPV6_SOURCE_AT);
    to.write6(bytes, at + IPV6_DESTINATION_AT);
    bytes[at + IPV6_BYTES] = IPPROTO_ICMPV6;
    // Router alert of MLD (RFC 2711), then two bytes of padding.
    bytes[at + IPV6_BYTES + 2] = 5;
    bytes[at + IPV6_BYTES + 3] = 2;
    bytes[at + IPV6_BYTES + 6] = 1;
    const length = packet.end - mldAt;
    const sum = sumPseudoHeader(this.#source, to, IPPROTO_ICMPV6, length);
    putChecksum(bytes, mldAt + 2, checksumOf(sumBytes(sum, bytes, mldAt, length)));
    packet.etherType = ETHERTYPE_IPV6;
    nic.stack.icmp.statistics.v6.count(false, bytes[mldAt]);
    this.#send(packet, to);
  }

  #send(packet: Packet, to: Address): void {
    packet.source.copy(this.#source);
    packet.destination.copy(to);
    packet.checksum = Checksum.Unknown;
    noteMulticastHardware(packet, to);
    this.#nic.send(packet);
  }

  /** A link-local address is ready: what was reported from no address is reported again from it (RFC 3590 section 4). */
  onAddressReady(): void {
    const { stack } = this.#nic;
    for (const group of this.#groups) {
      if (group.address.isV4 || !this.#isTold(group.address) || group.state.isNothing) continue;
      if (group.modeReports === 0) group.modeReports = 1;
      if (!group.changeTimer.isSet) {
        stack.timers.set(group.changeTimer, stack.now + this.#within(UNSOLICITED_NANOS));
      }
    }
  }

  /** The interface is up again: routers may have forgotten us. */
  announce(): void {
    for (const group of this.#groups) {
      if (!this.#isTold(group.address) || group.state.isNothing) continue;
      group.modeReports = REPORTS;
      this.tellChange(group);
    }
  }

  /** The interface goes away. */
  close(): void {
    const { timers } = this.#nic.stack;
    for (const group of this.#groups) {
      timers.remove(group.changeTimer);
      timers.remove(group.answerTimer);
    }
    this.#groups.length = 0;
  }
}

const ALL_ROUTERS_V4 = new Address().setV4(0xe0000002);
const ALL_V3_ROUTERS = new Address().setV4(0xe0000016);
const ALL_ROUTERS_V6 = new Address().setWords(0xff020000, 0, 0, 2);
const ALL_MLD2_ROUTERS = new Address().setWords(0xff020000, 0, 0, 0x16);

/** `known` and `added`, without `gone`. */
function merge(known: readonly Address[], added: readonly Address[], gone: readonly Address[]): Address[] {
  const merged = known.filter((source) => !gone.some((other) => other.equals(source)));
  for (const source of added) if (!merged.some((other) => other.equals(source))) merged.push(source);
  return merged;
}

function noteSources(into: Address[], bytes: Uint8Array, at: number, count: number, isV4: boolean): void {
  const size = isV4 ? 4 : 16;
  for (let i = 0; i < count && into.length < ASKED_SOURCES_MAX; i++) {
    const source = new Address();
    if (isV4) source.read4(bytes, at + i * size);
    else source.read6(bytes, at + i * size);
    if (!into.some((known) => known.equals(source))) into.push(source);
  }
}

function putAddress(address: Address, bytes: Uint8Array, at: number): void {
  if (address.isV4) address.write4(bytes, at);
  else address.write6(bytes, at);
}

/** Maximum response time of IGMPv3 in tenths of a second, RFC 3376 section 4.1.1. */
function decodeTime(code: number): number {
  return code < 128 ? code : (code & 15 | 16) << (code >> 4 & 7) + 3;
}
