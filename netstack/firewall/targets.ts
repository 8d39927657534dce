// What a rule does with a packet, as plain data. Linux: the xt_* and nft_* targets; iptables-extensions(8).

import type { Address } from "../address.ts";
import { EDOM, EINVAL } from "../errno.ts";
import { isPortRange, type PortRange } from "./matches.ts";
import type { Chain } from "./tables.ts";
import { TokenBucket } from "./token_bucket.ts";

/** Length of a log prefix (NF_LOG_PREFIXLEN). */
export const LOG_PREFIX_MAX = 127;
/** Lines of one LOG rule, so that an attacker cannot fill the operator's log. */
const LOG_PER_SECOND = 5;
const LOG_BURST = 20;

export const enum TargetKind {
  /** Counts only. */
  None,
  Accept,
  Drop,
  Return,
  Jump,
  /** As Jump, but what returns from there returns from here too. */
  Goto,
  Reject,
  Redirect,
  DestinationNat,
  SourceNat,
  Masquerade,
  Mark,
  Log,
  NoTrack,
}

/** How a refusal is answered. ICMP codes by Linux' names, those of ICMPv6 beside them. */
export const enum RejectWith {
  /** ICMP network unreachable; ICMPv6 no route. */
  NetUnreachable,
  /** ICMP host unreachable; ICMPv6 address unreachable. */
  HostUnreachable,
  /** ICMP protocol unreachable; ICMPv6 port unreachable, as there is no such code. */
  ProtocolUnreachable,
  PortUnreachable,
  NetProhibited,
  HostProhibited,
  AdministrativelyProhibited,
  /** A reset; TCP only. */
  TcpReset,
}

interface Translation {
  readonly ports: PortRange | null;
  readonly isRandom: boolean;
}
interface AddressRange {
  /** Inclusive; they may differ in the last 32 bits. `addressLast` null = one address. */
  readonly addressFirst: Address | null;
  readonly addressLast: Address | null;
  readonly isPersistent: boolean;
}

export type Target =
  | { readonly kind: TargetKind.None | TargetKind.Accept | TargetKind.Drop | TargetKind.Return }
  | { readonly kind: TargetKind.NoTrack }
  | { readonly kind: TargetKind.Jump | TargetKind.Goto; readonly chain: Chain }
  | { readonly kind: TargetKind.Reject; readonly with: RejectWith }
  | ({ readonly kind: TargetKind.Redirect | TargetKind.Masquerade } & Translation)
  | ({ readonly kind: TargetKind.DestinationNat | TargetKind.SourceNat } & Translation & AddressRange)
  /** The mark becomes (mark & ~mask) ^ value. */
  | { readonly kind: TargetKind.Mark; readonly value: number; readonly mask: number }
  /** `bucket` is made when the rule is added. */
  | { readonly kind: TargetKind.Log; readonly prefix: string; readonly bucket?: TokenBucket };

/** A copy of `target` that evaluation can trust, or -ERRNO. Where it may stand is the table's to say. */
export function checkTarget(target: Target): Target | number {
  switch (target.kind) {
    case TargetKind.Redirect:
    case TargetKind.Masquerade:
      return target.ports === null || isPortRange(target.ports) ? { ...target } : -EDOM;
    case TargetKind.DestinationNat:
    case TargetKind.SourceNat: {
      const { addressFirst, addressLast, ports } = target;
      if (ports !== null && !isPortRange(ports)) return -EDOM;
      if (addressFirst === null) return ports === null || addressLast !== null ? -EINVAL : { ...target };
      if (addressLast !== null && !isAddressRange(addressFirst, addressLast)) return -EINVAL;
      return { ...target, addressFirst: addressFirst.clone(), addressLast: addressLast?.clone() ?? null };
    }
    case TargetKind.Log:
      if (target.prefix.length > LOG_PREFIX_MAX || /[^\x20-\x7e]/.test(target.prefix)) return -EINVAL;
      return { ...target, bucket: new TokenBucket(LOG_PER_SECOND, LOG_BURST) };
    case TargetKind.Mark:
      return { ...target, value: target.value | 0, mask: target.mask | 0 };
    case TargetKind.Reject:
      return target.with >= RejectWith.NetUnreachable && target.with <= RejectWith.TcpReset
        ? { ...target }
        : -EINVAL;
    case TargetKind.None:
    case TargetKind.Accept:
    case TargetKind.Drop:
    case TargetKind.Return:
    case TargetKind.Jump:
    case TargetKind.Goto:
    case TargetKind.NoTrack:
      return { ...target };
    default:
      target satisfies never;
      return -EINVAL;
  }
}

function isAddressRange(first: Address, last: Address): boolean {
  return first.a === last.a && first.b === last.b && first.c === last.c && first.d >>> 0 <= last.d >>> 0;
}
