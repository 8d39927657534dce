// A packet as one line for the operator. Linux: nf_log_syslog.c; the names of the fields are those that tools look for.

import type { Stack } from "../stack.ts";
import { get16 } from "../wire/bytes.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "../wire/numbers.ts";
import { ACK, CWR, ECE, FIN, PSH, RST, SYN, TCP_WINDOW_AT, URG } from "../wire/tcp.ts";
import type { PacketView } from "./packet_view.ts";

const FLAG_NAMES: readonly (readonly [number, string])[] = [
  [CWR, "CWR"],
  [ECE, "ECE"],
  [URG, "URG"],
  [ACK, "ACK"],
  [PSH, "PSH"],
  [RST, "RST"],
  [SYN, "SYN"],
  [FIN, "FIN"],
];

export function logPacket(stack: Stack, view: PacketView, prefix: string): void {
  const { packet, incoming, outgoing, isV4 } = view;
  let text = `${prefix}IN=${incoming?.name ?? ""} OUT=${outgoing?.name ?? ""} SRC=${packet.source} ` +
    `DST=${packet.destination} LEN=${packet.length} ${isV4 ? "TOS" : "TC"}=${packet.tos} ` +
    `${isV4 ? "TTL" : "HOPLIMIT"}=${packet.ttl} `;
  if (isV4) text += `ID=${get16(packet.bytes, packet.at + 4)} `;
  text += protocolText(view);
  if (packet.ownerUid >= 0) text += `UID=${packet.ownerUid} GID=${packet.ownerGid} `;
  if (packet.mark !== 0) text += `MARK=0x${(packet.mark >>> 0).toString(16)} `;
  stack.log(text.trimEnd());
}

function protocolText(view: PacketView): string {
  const { protocol, sourcePort, destinationPort } = view;
  const fragment = view.isFragment ? "FRAG " : "";
  const cut = view.isMalformed ? "INCOMPLETE " : "";
  switch (protocol) {
    case IPPROTO_TCP: {
      if (sourcePort < 0) return `PROTO=TCP ${fragment}${cut}`;
      const flags = FLAG_NAMES.filter(([bit]) => (view.tcpFlags & bit) !== 0).map(([, name]) => `${name} `)
        .join("");
      const window = get16(view.packet.bytes, view.transportAt + TCP_WINDOW_AT);
      return `PROTO=TCP SPT=${sourcePort} DPT=${destinationPort} WINDOW=${window} ${flags}${fragment}`;
    }
    case IPPROTO_UDP:
      return sourcePort < 0
        ? `PROTO=UDP ${fragment}${cut}`
        : `PROTO=UDP SPT=${sourcePort} DPT=${destinationPort} ${fragment}`;
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: {
      const name = protocol === IPPROTO_ICMP ? "ICMP" : "ICMPv6";
      if (view.icmpType < 0) return `PROTO=${name} ${fragment}${cut}`;
      return `PROTO=${name} TYPE=${view.icmpType} CODE=${view.icmpCode} ${fragment}`;
    }
    default:
      return `PROTO=${protocol} ${fragment}${cut}`;
  }
}
