// Socket options of the UDP level, udp(7).

import { ENDPOINT_UDP } from "../endpoint_kind.ts";
import { OptionKind, type OptionSpec } from "../option_spec.ts";

export const SOL_UDP = 17;
export const UDP_CORK = 1;
export const UDP_ENCAP = 100;
export const UDP_NO_CHECK6_TX = 101;
export const UDP_NO_CHECK6_RX = 102;
export const UDP_SEGMENT = 103;
export const UDP_GRO = 104;

function row(name: number, label: string, kind: OptionKind, max: number, support = "full"): OptionSpec {
  return {
    level: SOL_UDP,
    name,
    label,
    kind,
    endpoints: ENDPOINT_UDP,
    min: 0,
    max,
    default: 0,
    access: "rw",
    support,
  };
}

export const UDP_OPTIONS: readonly OptionSpec[] = [
  row(UDP_CORK, "UDP_CORK", OptionKind.Flag, 1),
  // Encapsulation of ESP and L2TP is nothing a stack without them can do.
  row(UDP_ENCAP, "UDP_ENCAP", OptionKind.Int, 0, "none"),
  row(UDP_NO_CHECK6_TX, "UDP_NO_CHECK6_TX", OptionKind.Flag, 1),
  row(UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", OptionKind.Flag, 1),
  row(UDP_SEGMENT, "UDP_SEGMENT", OptionKind.Int, 65_535),
  row(UDP_GRO, "UDP_GRO", OptionKind.Flag, 1),
];
