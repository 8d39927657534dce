// From the network layer to the protocols: the filter's input hook, raw endpoints, then the one transport.

import { Hook, Verdict } from "../firewall/hooks.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import type { Stack } from "../stack.ts";
import {
  ICMP_PROTOCOL_UNREACHABLE,
  ICMP_UNREACHABLE,
  ICMPV6_BAD_NEXT_HEADER,
  ICMPV6_PARAMETER_PROBLEM,
} from "../wire/icmp.ts";

/** A whole packet for this stack: network header at packet.at, protocol and transportAt noted. */
export function deliver(stack: Stack, packet: Packet, nic: Nic): void {
  const isV4 = packet.destination.isV4;
  const statistics = isV4 ? stack.ipv4 : stack.ipv6;
  if (stack.firewall !== null) {
    const verdict = stack.firewall.run(Hook.Input, packet, nic, null);
    if (verdict === Verdict.Drop || verdict === Verdict.Rejected) return;
  }
  const wasRead = stack.raw.receive(packet, nic);
  const transport = stack.transports[packet.protocol];
  if (transport === undefined || transport === null) {
    if (wasRead) return;
    statistics.InUnknownProtos++;
    if (isV4) stack.icmp.sendError(packet, ICMP_UNREACHABLE, ICMP_PROTOCOL_UNREACHABLE, 0);
    else {
      const field = packet.nextHeaderAt - packet.networkAt;
      stack.icmp.sendError(packet, ICMPV6_PARAMETER_PROBLEM, ICMPV6_BAD_NEXT_HEADER, field);
    }
    return;
  }
  statistics.InDelivers++;
  packet.at = packet.transportAt;
  transport.receive(packet, nic);
}
