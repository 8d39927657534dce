// What a rule can ask of a packet, as plain data: one union, checked once when a rule is added. Linux: the xt_* and nft_*
// match modules; iptables-extensions(8). How each is answered stands in match_packet.ts.

import type { Address } from "../address.ts";
import { EDOM, EINVAL } from "../errno.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Matches of one rule, ranges of one multiport match (XT_MULTI_PORTS) and length of an interface name. */
export const MATCHES_MAX = 32;
export const PORT_RANGES_MAX = 15;
export const NAME_LENGTH_MAX = 15;

export const enum MatchKind {
  Protocol,
  Source,
  Destination,
  SourcePort,
  DestinationPort,
  Multiport,
  Incoming,
  Outgoing,
  Mark,
  Owner,
  State,
  AddressType,
  Icmp,
  TcpFlags,
  Limit,
}

/** Bits of a state match. */
export const STATE_NEW = 1;
export const STATE_ESTABLISHED = 2;
export const STATE_RELATED = 4;
export const STATE_INVALID = 8;
export const STATE_UNTRACKED = 16;
const STATES_ALL = 31;

/** Bits of an address type match: 1 << RTN_ number (linux/rtnetlink.h). */
export const TYPE_UNSPECIFIED = 1 << 0;
export const TYPE_UNICAST = 1 << 1;
export const TYPE_LOCAL = 1 << 2;
export const TYPE_BROADCAST = 1 << 3;
export const TYPE_MULTICAST = 1 << 5;
export const TYPE_BLACKHOLE = 1 << 6;
export const TYPE_UNREACHABLE = 1 << 7;
export const TYPE_PROHIBIT = 1 << 8;

interface Invertible {
  /** The match holds where what it says does not. */
  readonly isInverted?: boolean;
}
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

export type Match =
  & Invertible
  & (
    | { readonly kind: MatchKind.Protocol; readonly protocol: number }
    | {
      readonly kind: MatchKind.Source | MatchKind.Destination;
      readonly address: Address;
      /** In the unified form: an IPv4 /24 is 120. */
      readonly bits: number;
    }
    | ({ readonly kind: MatchKind.SourcePort | MatchKind.DestinationPort } & PortRange)
    | {
      readonly kind: MatchKind.Multiport;
      readonly where: "source" | "destination" | "either";
      readonly ranges: readonly PortRange[];
    }
    /** Name of an interface; with "+" at its end all that begin so. */
    | { readonly kind: MatchKind.Incoming | MatchKind.Outgoing; readonly name: string }
    | { readonly kind: MatchKind.Mark; readonly value: number; readonly mask: number }
    | {
      readonly kind: MatchKind.Owner;
      /** Inclusive ranges; null = not asked. `wantsSocket`: that there is one at all (--socket-exists). */
      readonly uids: PortRange | null;
      readonly gids: PortRange | null;
      readonly wantsSocket: boolean;
    }
    | { readonly kind: MatchKind.State; readonly states: number }
    | { readonly kind: MatchKind.AddressType; readonly of: "source" | "destination"; readonly types: number }
    /** ICMP or ICMPv6 by the packet's family; `type` 255 = any. */
    | {
      readonly kind: MatchKind.Icmp;
      readonly type: number;
      readonly codeFirst: number;
      readonly codeLast: number;
    }
    | { readonly kind: MatchKind.TcpFlags; readonly mask: number; readonly flags: number }
    /** `bucket` is made when the rule is added. */
    | {
      readonly kind: MatchKind.Limit;
      readonly perSecond: number;
      readonly burst: number;
      readonly bucket?: TokenBucket;
    }
  );

/** A copy of `match` that evaluation can trust; -EINVAL, or -EDOM for a number out of its range. */
export function checkMatch(match: Match): Match | number {
  switch (match.kind) {
    case MatchKind.Protocol:
      return isWithin(match.protocol, 0, 255) ? { ...match } : -EDOM;
    case MatchKind.Source:
    case MatchKind.Destination: {
      const { isV4 } = match.address;
      if (!isWithin(match.bits, isV4 ? 96 : 0, 128)) return -EDOM;
      return { ...match, address: match.address.clone().mask(match.bits) };
    }
    case MatchKind.SourcePort:
    case MatchKind.DestinationPort:
      return isPortRange(match) ? { ...match } : -EDOM;
    case MatchKind.Multiport: {
      const { ranges } = match;
      if (ranges.length === 0 || ranges.length > PORT_RANGES_MAX) return -EINVAL;
      return ranges.every(isPortRange) ? { ...match, ranges: ranges.map((range) => ({ ...range })) } : -EDOM;
    }
    case MatchKind.Incoming:
    case MatchKind.Outgoing: {
      const { name } = match;
      if (name.length === 0 || name.length > NAME_LENGTH_MAX || /[\s/]/.test(name)) return -EINVAL;
      return { ...match };
    }
    case MatchKind.Mark:
      return { ...match, value: match.value | 0, mask: match.mask | 0 };
    case MatchKind.Owner: {
      if (match.uids === null && match.gids === null && !match.wantsSocket) return -EINVAL;
      return isIdRange(match.uids) && isIdRange(match.gids) ? { ...match } : -EDOM;
    }
    case MatchKind.State:
      return match.states !== 0 && (match.states & ~STATES_ALL) === 0 ? { ...match } : -EINVAL;
    case MatchKind.AddressType:
      return isWithin(match.types, 1, (1 << 12) - 1) ? { ...match } : -EINVAL;
    case MatchKind.Icmp: {
      const { codeFirst, codeLast } = match;
      const isSound = isWithin(match.type, 0, 255) && isWithin(codeFirst, 0, codeLast) && codeLast <= 255;
      return isSound ? { ...match } : -EDOM;
    }
    case MatchKind.TcpFlags:
      return isWithin(match.mask, 0, 255) && isWithin(match.flags, 0, 255) ? { ...match } : -EDOM;
    case MatchKind.Limit: {
      const { perSecond, burst } = match;
      // From one in a day to what xt_limit can count.
      if (!(perSecond >= 1 / 86_400 && perSecond <= 10_000)) return -EDOM;
      if (!isWithin(burst, 1, 10_000)) return -EDOM;
      return { ...match, bucket: new TokenBucket(perSecond, burst) };
    }
    default:
      match satisfies never;
      return -EINVAL;
  }
}

function isWithin(value: number, first: number, last: number): boolean {
  return Number.isInteger(value) && value >= first && value <= last;
}
export function isPortRange(range: PortRange): boolean {
  return isWithin(range.first, 0, 65_535) && isWithin(range.last, range.first, 65_535);
}
function isIdRange(range: PortRange | null): boolean {
  return range === null ||
    isWithin(range.first, 0, 0xffff_ffff) && isWithin(range.last, range.first, 0xffff_ffff);
}
