// Where on the host something goes that a sandbox sends to an address of its own view. Every way out asks here, and so the
// policy.

import { type Address, prefixBits } from "../../../netstack/mod.ts";
import type { RelayContext } from "./context.ts";
import { GATEWAY_V4, GATEWAY_V6, own, PREFIX_V4, PREFIX_V6 } from "./layout.ts";

const LOOPBACKS: readonly (readonly [gateway: Address, loopback: Address])[] = [
  [own(GATEWAY_V4), own("127.0.0.1")],
  [own(GATEWAY_V6), own("::1")],
];
const NETWORKS: readonly (readonly [prefix: Address, bits: number])[] = [
  [own(GATEWAY_V4), prefixBits(PREFIX_V4, true)],
  [own(GATEWAY_V6), prefixBits(PREFIX_V6, false)],
];

/** The host's address for `port` (0 = none) of `destination`; null = the policy forbids it. */
export function targetOf(
  { policy, stack }: RelayContext,
  destination: Address,
  port: number,
): Address | null {
  const loopback = LOOPBACKS.find(([gateway]) => gateway.equals(destination));
  // Of the sandbox's own network there is nobody else.
  if (loopback === undefined && isOwnNetwork(destination)) return null;
  const address = loopback === undefined ? destination : loopback[1];
  return policy.allows(address, port, stack.now) ? address : null;
}

function isOwnNetwork(address: Address): boolean {
  return NETWORKS.some(([prefix, bits]) => address.isWithin(prefix, bits));
}
