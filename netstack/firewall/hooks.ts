// Where the packet filter is asked: the five hooks of netfilter. The stack calls them; firewall/ answers.

import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";

export const enum Hook {
  Prerouting,
  Input,
  Forward,
  Output,
  Postrouting,
}

export const enum Verdict {
  Accept,
  /** The packet is lost without a word. */
  Drop,
  /** An answer was sent already; the packet is lost. */
  Rejected,
  /** Its addresses or its mark were changed: the caller that routed it routes it again. */
  Reroute,
}

export interface FirewallHooks {
  /** Network header at packet.at, addresses, protocol and transportAt noted. */
  run(hook: Hook, packet: Packet, incoming: Nic | null, outgoing: Nic | null): Verdict;
}
