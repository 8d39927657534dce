// Which of our addresses a packet comes from: RFC 6724 section 5 for IPv6; for IPv4 as Linux' inet_select_addr(): one in
// the destination's subnet, else the first of the interface, else any.

import { type Address, parsePrefix } from "../address.ts";
import type { InterfaceAddress, Nic } from "../nic.ts";
import type { Stack } from "../stack.ts";

/** The default policy table, RFC 6724 section 2.1; only the labels matter for source addresses. */
const POLICIES = ([
  ["::1/128", 0],
  ["2002::/16", 2],
  ["2001::/32", 5],
  ["fc00::/7", 13],
  ["fec0::/10", 11],
  ["3ffe::/16", 12],
  ["::/96", 3],
  ["::/0", 1],
] as const).map(([text, label]) => ({ ...parsePrefix(text)!, label }));

/** Chooses a source on `nic` (or, for want of one, on another) for `destination`; false when there is none. */
export function chooseSource(stack: Stack, nic: Nic, destination: Address, into: Address): boolean {
  const found = destination.isV4 ? chooseV4(stack, nic, destination) : chooseV6(stack, nic, destination);
  if (found !== null) into.copy(found.address);
  return found !== null;
}

function chooseV4(stack: Stack, nic: Nic, destination: Address): InterfaceAddress | null {
  let first: InterfaceAddress | null = null;
  for (const entry of nic.addresses) {
    if (!entry.address.isV4 || !entry.isUsable) continue;
    if (destination.isWithin(entry.address, entry.prefixBits)) return entry;
    first ??= entry;
  }
  if (first !== null) return first;
  for (const other of stack.nics) {
    if (other === undefined || other === nic || other.isLoopback) continue;
    for (const entry of other.addresses) if (entry.address.isV4 && entry.isUsable) return entry;
  }
  return null;
}

function chooseV6(stack: Stack, nic: Nic, destination: Address): InterfaceAddress | null {
  let best: InterfaceAddress | null = null;
  for (const entry of nic.addresses) {
    if (entry.address.isV4 || !entry.isUsable) continue;
    if (best === null || isBetter(entry, best, destination)) best = entry;
  }
  if (best !== null && scopeOf(best.address) >= scopeOf(destination)) return best;
  // Rule 5 prefers the outgoing interface; others count where it has nothing of the scope that is needed.
  if (!destination.isLinkLocal && !destination.isMulticast) {
    for (const other of stack.nics) {
      if (other === undefined || other === nic || other.isLoopback) continue;
      for (const entry of other.addresses) {
        if (entry.address.isV4 || !entry.isUsable) continue;
        if (best === null || isBetter(entry, best, destination)) best = entry;
      }
    }
  }
  return best;
}

/** RFC 6724 section 5, rules 1, 2, 3, 6, 7 and 8 in order. */
function isBetter(candidate: InterfaceAddress, best: InterfaceAddress, destination: Address): boolean {
  const a = candidate.address, b = best.address;
  if (a.equals(destination) !== b.equals(destination)) return a.equals(destination);
  const scopeA = scopeOf(a), scopeB = scopeOf(b), wanted = scopeOf(destination);
  if (scopeA !== scopeB) return scopeA < scopeB ? scopeA >= wanted : scopeB < wanted;
  if (candidate.isDeprecated !== best.isDeprecated) return best.isDeprecated;
  const label = labelOf(destination);
  const fitsA = labelOf(a) === label, fitsB = labelOf(b) === label;
  if (fitsA !== fitsB) return fitsA;
  if (candidate.isTemporary !== best.isTemporary) return candidate.isTemporary;
  const common = (entry: InterfaceAddress) =>
    Math.min(entry.prefixBits, entry.address.commonBits(destination));
  return common(candidate) > common(best);
}

/** RFC 4291 section 2.7 and RFC 6724 section 3.1: 1 interface, 2 link, 5 site, 14 global. */
function scopeOf(address: Address): number {
  if (address.isMulticast) return address.a >>> 16 & 15;
  if (address.isLoopback || address.isLinkLocal) return 2;
  if (address.a >>> 22 === 0x3fb) return 5;
  return 14;
}

function labelOf(address: Address): number {
  for (const policy of POLICIES) if (address.isWithin(policy.address, policy.length)) return policy.label;
  return 1;
}
