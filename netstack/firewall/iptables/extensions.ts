// Matches and targets of iptables, from their structs to the packet filter's own: names, revisions, and what each says. What the
// engine cannot do is refused with EOPNOTSUPP, never passed over. Linux: the xt_*.h and ipt_*.h headers of the uapi.

import type { Address } from "../../address.ts";
import { EINVAL, ENOENT, EOPNOTSUPP } from "../../errno.ts";
import { type Match, MatchKind, type PortRange } from "../matches.ts";
import { STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_RELATED, STATE_UNTRACKED } from "../matches.ts";
import { RejectWith, type Target, TargetKind } from "../targets.ts";
import { addressAt, le16, le32, textAt } from "./layout.ts";

const TCP = 6, UDP = 17, ICMP = 1, ICMPV6 = 58;
/** Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite. */
const PORTED: readonly number[] = [6, 17, 33, 132, 136];

/** What an extension is asked about its rule. */
export interface Place {
  readonly isV4: boolean;
  /** 0 = any, or any but one. */
  readonly protocol: number;
}
/** Data of an extension: `length` bytes at `at`. */
type MatchReader = (bytes: Uint8Array, at: number, place: Place, into: Match[]) => number;
type TargetReader = (bytes: Uint8Array, at: number, place: Place) => Target | number;

interface Extension<Reader> {
  readonly revisions: readonly number[];
  /** Least bytes of data, by revision. */
  readonly bytes: readonly number[];
  readonly read: Reader;
}

/** `at` is where the extension's data begins; `revision` where it matters is in the closure of the row. */
const MATCHES: Readonly<Record<string, readonly Extension<MatchReader>[]>> = {
  tcp: [row([0], 12, readTcp)],
  udp: [row([0], 9, readUdp)],
  icmp: [row([0], 4, readIcmp)],
  icmp6: [row([0], 4, readIcmp)],
  multiport: [row([1], 48, readMultiport)],
  mark: [row([1], 9, readMark)],
  owner: [row([1], 18, readOwner)],
  state: [row([0, 1], 4, readState)],
  conntrack: [row([1, 2, 3], 154, readConntrack)],
  addrtype: [row([1], 8, readAddressType)],
  limit: [row([0], 8, readLimit)],
  // Only what GET_ENTRIES shows.
  comment: [row([0], 1, () => 0)],
};
const TARGETS: Readonly<Record<string, readonly Extension<TargetReader>[]>> = {
  REJECT: [row([0], 4, readReject)],
  MASQUERADE: [row([0], 20, (bytes, at, place) => readOwnAddress(TargetKind.Masquerade, bytes, at, place))],
  REDIRECT: [row([0], 20, (bytes, at, place) => readOwnAddress(TargetKind.Redirect, bytes, at, place))],
  SNAT: [
    row([0], 20, (bytes, at, place) => readTranslation(TargetKind.SourceNat, bytes, at, place, true)),
    row([1, 2], 40, (bytes, at, place) => readTranslation(TargetKind.SourceNat, bytes, at, place, false)),
  ],
  DNAT: [
    row([0], 20, (bytes, at, place) => readTranslation(TargetKind.DestinationNat, bytes, at, place, true)),
    row(
      [1, 2],
      40,
      (bytes, at, place) => readTranslation(TargetKind.DestinationNat, bytes, at, place, false),
    ),
  ],
  MARK: [
    row(
      [2],
      8,
      (bytes, at) => ({ kind: TargetKind.Mark, value: le32(bytes, at) | 0, mask: le32(bytes, at + 4) | 0 }),
    ),
  ],
  LOG: [row([0], 32, (bytes, at) => ({ kind: TargetKind.Log, prefix: textAt(bytes, at + 2, 30) }))],
  NOTRACK: [row([0], 0, () => ({ kind: TargetKind.NoTrack }))],
  CT: [row([0, 1, 2], 16, readCt)],
};
/** Targets that need no row: a verdict, and the end of a chain or table. */
const BUILT_IN: Readonly<Record<string, number>> = { "": 0, ERROR: 0 };

function row<Reader>(revisions: readonly number[], bytes: number, read: Reader): Extension<Reader> {
  return { revisions, bytes: revisions.map(() => bytes), read };
}

/** IPT_SO_GET_REVISION_*: the newest revision, -ENOENT for a name, -EPROTONOSUPPORT for a revision that there is not. */
export function newestRevision(name: string, revision: number, isTarget: boolean): number {
  if (isTarget && Object.hasOwn(BUILT_IN, name)) return revision === 0 ? 0 : -EPROTONOSUPPORT;
  const table: Readonly<Record<string, readonly Extension<unknown>[]>> = isTarget ? TARGETS : MATCHES;
  if (!Object.hasOwn(table, name)) return -ENOENT;
  const all = table[name].flatMap(({ revisions }) => revisions);
  return all.includes(revision) ? Math.max(...all) : -EPROTONOSUPPORT;
}
const EPROTONOSUPPORT = 93;

/** A match of `length` bytes of data at `at`: 0 with what it says in `into`, or -ERRNO. */
export function readMatch(
  name: string,
  revision: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  place: Place,
  into: Match[],
): number {
  const found = Object.hasOwn(MATCHES, name) ? rowOf(MATCHES[name], revision) : undefined;
  if (found === undefined) return -ENOENT;
  return length < found.bytes[0] ? -EINVAL : found.read(bytes, at, place, into);
}

export function readTarget(
  name: string,
  revision: number,
  bytes: Uint8Array,
  at: number,
  length: number,
  place: Place,
): Target | number {
  const found = Object.hasOwn(TARGETS, name) ? rowOf(TARGETS[name], revision) : undefined;
  if (found === undefined) return -ENOENT;
  return length < found.bytes[0] ? -EINVAL : found.read(bytes, at, place);
}

function rowOf<Reader>(rows: readonly Extension<Reader>[], revision: number): Extension<Reader> | undefined {
  return rows.find(({ revisions }) => revisions.includes(revision));
}

// --- matches ---------------------------------------------------------------------------------------------------------

function ports(
  kind: MatchKind.SourcePort | MatchKind.DestinationPort,
  bytes: Uint8Array,
  at: number,
  isInverted: boolean,
  into: Match[],
): void {
  const first = le16(bytes, at), last = le16(bytes, at + 2);
  if (first !== 0 || last !== 0xffff || isInverted) into.push({ kind, first, last, isInverted });
}

/** struct xt_tcp. */
function readTcp(bytes: Uint8Array, at: number, { protocol }: Place, into: Match[]): number {
  const option = bytes[at + 8], mask = bytes[at + 9], flags = bytes[at + 10], inverted = bytes[at + 11];
  if (protocol !== TCP || (inverted & ~15) !== 0) return -EINVAL;
  if (option !== 0) return -EOPNOTSUPP;
  ports(MatchKind.SourcePort, bytes, at, (inverted & 1) !== 0, into);
  ports(MatchKind.DestinationPort, bytes, at + 4, (inverted & 2) !== 0, into);
  const isInverted = (inverted & 4) !== 0;
  if (mask !== 0 || flags !== 0 || isInverted) {
    into.push({ kind: MatchKind.TcpFlags, mask, flags, isInverted });
  }
  return 0;
}

/** struct xt_udp. */
function readUdp(bytes: Uint8Array, at: number, { protocol }: Place, into: Match[]): number {
  const inverted = bytes[at + 8];
  if (protocol !== UDP || (inverted & ~3) !== 0) return -EINVAL;
  ports(MatchKind.SourcePort, bytes, at, (inverted & 1) !== 0, into);
  ports(MatchKind.DestinationPort, bytes, at + 4, (inverted & 2) !== 0, into);
  return 0;
}

/** struct ipt_icmp, ip6t_icmp. */
function readIcmp(bytes: Uint8Array, at: number, { protocol, isV4 }: Place, into: Match[]): number {
  const inverted = bytes[at + 3];
  if (protocol !== (isV4 ? ICMP : ICMPV6) || (inverted & ~1) !== 0) return -EINVAL;
  const type = bytes[at], codeFirst = bytes[at + 1], codeLast = bytes[at + 2];
  into.push({ kind: MatchKind.Icmp, type, codeFirst, codeLast, isInverted: inverted !== 0 });
  return 0;
}

const PLACES = ["source", "destination", "either"] as const;

/** struct xt_multiport_v1: flags, count, 15 ports, 15 marks of ranges, invert. */
function readMultiport(bytes: Uint8Array, at: number, { protocol }: Place, into: Match[]): number {
  const where = PLACES[bytes[at]], count = bytes[at + 1];
  if (!PORTED.includes(protocol) || where === undefined || count === 0 || count > 15) return -EINVAL;
  const ranges: PortRange[] = [];
  for (let i = 0; i < count; i++) {
    const first = le16(bytes, at + 2 + 2 * i), isRange = bytes[at + 32 + i] !== 0;
    if (isRange && i + 1 === count) return -EINVAL;
    ranges.push({ first, last: isRange ? le16(bytes, at + 2 + 2 * ++i) : first });
  }
  into.push({ kind: MatchKind.Multiport, where, ranges, isInverted: bytes[at + 47] !== 0 });
  return 0;
}

/** struct xt_mark_mtinfo1. */
function readMark(bytes: Uint8Array, at: number, _place: Place, into: Match[]): number {
  const value = le32(bytes, at) | 0, mask = le32(bytes, at + 4) | 0;
  into.push({ kind: MatchKind.Mark, value, mask, isInverted: bytes[at + 8] !== 0 });
  return 0;
}

const OWNER_UID = 1, OWNER_GID = 2, OWNER_SOCKET = 4;

/** struct xt_owner_match_info: ranges of uids and gids, what is asked, and of that what is inverted. */
function readOwner(bytes: Uint8Array, at: number, _place: Place, into: Match[]): number {
  const asked = bytes[at + 16], inverted = bytes[at + 17];
  if ((asked & ~(OWNER_UID | OWNER_GID | OWNER_SOCKET)) !== 0) return -EOPNOTSUPP;
  const range = (from: number) => ({ first: le32(bytes, from), last: le32(bytes, from + 4) });
  const add = (bit: number, uids: PortRange | null, gids: PortRange | null) => {
    const isInverted = (inverted & bit) !== 0;
    if ((asked & bit) === 0) return;
    into.push({ kind: MatchKind.Owner, uids, gids, wantsSocket: bit === OWNER_SOCKET, isInverted });
  };
  add(OWNER_SOCKET, null, null);
  add(OWNER_UID, range(at), null);
  add(OWNER_GID, null, range(at + 8));
  return 0;
}

/** Bits of connection states: INVALID, and 1 << ctinfo + 1 of established, related, new; `untracked` differs. */
function statesOf(bits: number, untracked: number): number {
  const known = 1 | 2 | 4 | 8 | untracked;
  if ((bits & ~known) !== 0) return -EOPNOTSUPP;
  return ((bits & 1) !== 0 ? STATE_INVALID : 0) | ((bits & 2) !== 0 ? STATE_ESTABLISHED : 0) |
    ((bits & 4) !== 0 ? STATE_RELATED : 0) | ((bits & 8) !== 0 ? STATE_NEW : 0) |
    ((bits & untracked) !== 0 ? STATE_UNTRACKED : 0);
}

/** struct xt_state_info. */
function readState(bytes: Uint8Array, at: number, _place: Place, into: Match[]): number {
  const states = statesOf(le32(bytes, at), 1 << 6);
  if (states < 0) return states;
  into.push({ kind: MatchKind.State, states });
  return 0;
}

const CONNTRACK_STATE = 1, CONNTRACK_STATE_ALIAS = 1 << 13;

/** struct xt_conntrack_mtinfo1 to 3, of which the state alone: it stands where the first has a u8, which is as good. */
function readConntrack(bytes: Uint8Array, at: number, _place: Place, into: Match[]): number {
  const asked = le16(bytes, at + 146), inverted = le16(bytes, at + 148);
  if ((asked & ~(CONNTRACK_STATE | CONNTRACK_STATE_ALIAS)) !== 0) return -EOPNOTSUPP;
  if ((asked & CONNTRACK_STATE) === 0) return 0;
  const states = statesOf(le16(bytes, at + 150), 1 << 8);
  if (states < 0) return states;
  into.push({ kind: MatchKind.State, states, isInverted: (inverted & CONNTRACK_STATE) !== 0 });
  return 0;
}

/** struct xt_addrtype_info_v1. */
function readAddressType(bytes: Uint8Array, at: number, _place: Place, into: Match[]): number {
  const source = le16(bytes, at), destination = le16(bytes, at + 2), flags = le32(bytes, at + 4);
  // Limited to one interface: not here.
  if ((flags & ~3) !== 0) return -EOPNOTSUPP;
  if (source !== 0) {
    into.push({ kind: MatchKind.AddressType, of: "source", types: source, isInverted: (flags & 1) !== 0 });
  }
  if (destination !== 0) {
    const isInverted = (flags & 2) !== 0;
    into.push({ kind: MatchKind.AddressType, of: "destination", types: destination, isInverted });
  }
  return 0;
}

/** Units of a rate in a second (XT_LIMIT_SCALE). */
const LIMIT_SCALE = 10_000;

/** struct xt_rateinfo. */
function readLimit(bytes: Uint8Array, at: number, _place: Place, into: Match[]): number {
  const average = le32(bytes, at), burst = le32(bytes, at + 4);
  if (average === 0) return -EINVAL;
  into.push({ kind: MatchKind.Limit, perSecond: LIMIT_SCALE / average, burst });
  return 0;
}

// --- targets ---------------------------------------------------------------------------------------------------------

/** enum ipt_reject_with, ip6t_reject_with; -1 = there is no such, -2 = not here. */
const REJECT_V4: readonly number[] = [
  RejectWith.NetUnreachable,
  RejectWith.HostUnreachable,
  RejectWith.ProtocolUnreachable,
  RejectWith.PortUnreachable,
  -1,
  RejectWith.NetProhibited,
  RejectWith.HostProhibited,
  RejectWith.TcpReset,
  RejectWith.AdministrativelyProhibited,
];
const REJECT_V6: readonly number[] = [
  RejectWith.NetUnreachable,
  RejectWith.AdministrativelyProhibited,
  -2,
  RejectWith.HostUnreachable,
  RejectWith.PortUnreachable,
  -1,
  RejectWith.TcpReset,
  -2,
  -2,
];

function readReject(bytes: Uint8Array, at: number, { isV4, protocol }: Place): Target | number {
  const how = (isV4 ? REJECT_V4 : REJECT_V6)[le32(bytes, at)] ?? -1;
  if (how < 0) return how === -1 ? -EINVAL : -EOPNOTSUPP;
  if (how === RejectWith.TcpReset && protocol !== TCP) return -EINVAL;
  return { kind: TargetKind.Reject, with: how as RejectWith };
}

/** Bits of NF_NAT_RANGE_*. */
const RANGE_ADDRESSES = 1, RANGE_PORTS = 2, RANGE_RANDOM = 4, RANGE_PERSISTENT = 8, RANGE_FULLY_RANDOM = 16;
const RANGE_KNOWN = RANGE_ADDRESSES | RANGE_PORTS | RANGE_RANDOM | RANGE_PERSISTENT | RANGE_FULLY_RANDOM;

interface NatChoice {
  readonly addressFirst: Address | null;
  readonly addressLast: Address | null;
  readonly ports: PortRange | null;
  readonly isRandom: boolean;
  readonly isPersistent: boolean;
}

/** nf_nat_ipv4_multi_range_compat with one range, where `isOld`, or nf_nat_range. */
function readRange(bytes: Uint8Array, at: number, place: Place, isOld: boolean): NatChoice | number {
  if (isOld && le32(bytes, at) !== 1) return -EINVAL;
  const flagsAt = isOld ? at + 4 : at, addressAt_ = flagsAt + 4, size = isOld ? 4 : 16;
  const flags = le32(bytes, flagsAt);
  if ((flags & ~RANGE_KNOWN) !== 0) return -EOPNOTSUPP;
  const portsAt = addressAt_ + 2 * size;
  const first = addressAt(bytes, addressAt_, place.isV4);
  const last = addressAt(bytes, addressAt_ + size, place.isV4);
  const hasAddress = (flags & RANGE_ADDRESSES) !== 0, hasPorts = (flags & RANGE_PORTS) !== 0;
  if (hasPorts && !PORTED.includes(place.protocol) && place.protocol !== ICMP && place.protocol !== ICMPV6) {
    return -EINVAL;
  }
  const port = (from: number) => bytes[from] << 8 | bytes[from + 1];
  return {
    addressFirst: hasAddress ? first : null,
    addressLast: hasAddress && !first.equals(last) ? last : null,
    ports: hasPorts ? { first: port(portsAt), last: port(portsAt + 2) } : null,
    isRandom: (flags & (RANGE_RANDOM | RANGE_FULLY_RANDOM)) !== 0,
    isPersistent: (flags & RANGE_PERSISTENT) !== 0,
  };
}

/** MASQUERADE, REDIRECT: the address is that of an interface. */
function readOwnAddress(
  kind: TargetKind.Masquerade | TargetKind.Redirect,
  bytes: Uint8Array,
  at: number,
  place: Place,
): Target | number {
  const range = readRange(bytes, at, place, place.isV4);
  if (typeof range === "number") return range;
  return range.addressFirst === null ? { kind, ports: range.ports, isRandom: range.isRandom } : -EINVAL;
}

function readTranslation(
  kind: TargetKind.SourceNat | TargetKind.DestinationNat,
  bytes: Uint8Array,
  at: number,
  place: Place,
  isOld: boolean,
): Target | number {
  if (isOld && !place.isV4) return -ENOENT;
  const range = readRange(bytes, at, place, isOld);
  return typeof range === "number" ? range : { kind, ...range };
}

/** The second says that it was written -j NOTRACK. */
const CT_NOTRACK = 1, CT_NOTRACK_ALIAS = 2;

/** struct xt_ct_target_info, of which --notrack alone. */
function readCt(bytes: Uint8Array, at: number): Target | number {
  return (le16(bytes, at) & ~CT_NOTRACK_ALIAS) === CT_NOTRACK ? { kind: TargetKind.NoTrack } : -EOPNOTSUPP;
}
