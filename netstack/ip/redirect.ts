// ICMP redirects that come in: RFC 1122 section 3.2.2.2, RFC 4861 section 8.3. Counted, and obeyed only where the setting
// accept_redirects says so: a host on the link could otherwise lead traffic its own way.

import { Address } from "../address.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { Route, type RouteEntry } from "../route.ts";
import { ICMP_BYTES } from "../wire/icmp.ts";
import { IPV4_BYTES, IPV4_DESTINATION_AT } from "../wire/ipv4.ts";
import { hasGoodOptions } from "./ndp_options.ts";

/** Routes from redirects at a time; the oldest goes. */
const REDIRECTS_MAX = 64;
/** Target and destination of a Redirect message of NDP, and where its options begin. */
const TARGET_AT = 8;
const DESTINATION_AT = 24;
const OPTIONS_AT = 40;
const HOP_LIMIT = 255;

const target = new Address();
const destination = new Address();
const unspecified = new Address();
const route = new Route();

export function receiveRedirect(packet: Packet, nic: Nic): void {
  const { bytes, at, length } = packet;
  if (nic.stack.ipSettings.get("accept_redirects") === 0 || nic.isForwarding) return;
  if (length < ICMP_BYTES + IPV4_BYTES) return;
  target.read4(bytes, at + 4);
  destination.read4(bytes, at + ICMP_BYTES + IPV4_DESTINATION_AT);
  obey(packet, nic);
}

export function receiveRedirectV6(packet: Packet, nic: Nic): void {
  const { bytes, at, length } = packet;
  if (nic.stack.ipSettings.get("accept_redirects") === 0 || nic.isForwarding) return;
  if (length < OPTIONS_AT || packet.ttl !== HOP_LIMIT || bytes[at + 1] !== 0) return;
  if (!packet.source.isLinkLocal || !hasGoodOptions(packet, OPTIONS_AT)) return;
  target.read6(bytes, at + TARGET_AT);
  destination.read6(bytes, at + DESTINATION_AT);
  // Another router is named by its link-local address; the destination itself is on the link.
  if (!target.isLinkLocal && !target.equals(destination)) return;
  obey(packet, nic);
}

/** The gateway now in use says that `target` on its link is a better one for `destination`. */
function obey(packet: Packet, nic: Nic): void {
  const { stack } = nic;
  if (target.isMulticast || target.isUnspecified || destination.isMulticast || stack.nicOf(target) !== null) {
    return;
  }
  unspecified.setUnspecified(destination.isV4);
  if (stack.routes.find(destination, unspecified, 0, route) < 0 || route.nic !== nic) return;
  if (!route.nextHop.equals(packet.source) || route.isLocal || !isOnLink(nic, target)) return;
  const entry: RouteEntry = {
    prefix: destination.clone(),
    prefixBits: 128,
    gateway: target.equals(destination) ? null : target.clone(),
    nic,
    metric: 0,
    mtu: 0,
    source: null,
  };
  const { redirects } = nic;
  if (redirects.length >= REDIRECTS_MAX) {
    const oldest = redirects.shift()!;
    stack.routes.remove((other) => other === oldest);
  }
  if (stack.routes.add(entry) === 0) redirects.push(entry);
}

function isOnLink(nic: Nic, address: Address): boolean {
  if (address.isLinkLocal && !address.isV4) return true;
  for (const entry of nic.addresses) {
    if (entry.address.isV4 === address.isV4 && address.isWithin(entry.address, entry.prefixBits)) return true;
  }
  return false;
}
