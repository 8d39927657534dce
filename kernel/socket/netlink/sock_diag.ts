// NETLINK_SOCK_DIAG for sockets of the internet: what ss(8) lists. Linux: net/ipv4/inet_diag.c, sock_diag(7). Other
// families answer ENOENT, as from a Linux without their modules: ss reads /proc/net then.

import type { SocketRow } from "../../../netstack/mod.ts";
import { TcpState } from "../../../netstack/numbers.ts";
import { EINVAL, ENOENT, EOPNOTSUPP } from "../../abi/errno.ts";
import { IPPROTO_RAW, IPPROTO_TCP, IPPROTO_UDP } from "../../abi/inet.ts";
import { INET_DIAG_SKV6ONLY, NLM_F_DUMP, NLM_F_MULTI, SOCK_DIAG_BY_FAMILY } from "../../abi/netlink.ts";
import { AF_INET, AF_INET6, AF_MAX } from "../../abi/socket.ts";
import { put32, u32 } from "../../abi/struct.ts";
import { beginAnswer, endOfDump, finishDump, fixedPart, netstackOf, stackOf, writerOf } from "./answer.ts";
import type { NetlinkRequest } from "./netlink_socket.ts";

/** sizeof(struct inet_diag_req_v2) and struct inet_diag_msg. */
const REQUEST_BYTES = 56;
const MESSAGE_BYTES = 72;
/** struct inet_diag_sockid within the message: ports, addresses, interface, cookie. */
const ID_AT = 4;
const SOURCE_AT = ID_AT + 4;
const DESTINATION_AT = SOURCE_AT + 16;
const INTERFACE_AT = DESTINATION_AT + 16;
const COOKIE_AT = INTERFACE_AT + 4;
const EXPIRES_AT = COOKIE_AT + 8;
const NANOS_PER_MILLI = 1e6;

export function serveSockDiag(request: NetlinkRequest): number {
  if (request.type !== SOCK_DIAG_BY_FAMILY) return -EINVAL;
  const at = fixedPart(request, 2);
  if (at < 0) return -EINVAL;
  const { bytes } = request;
  const family = bytes[at];
  if (family >= AF_MAX) return -EINVAL;
  if (family !== AF_INET && family !== AF_INET6) return -ENOENT;
  if (fixedPart(request, REQUEST_BYTES) < 0) return -EINVAL;
  const rows = rowsOf(request, bytes[at + 1]);
  if (rows === null) return -ENOENT;
  if ((request.flags & NLM_F_DUMP) !== NLM_F_DUMP) {
    return request.task.kernel.coverage.unfinished("sock_diag of one socket", EOPNOTSUPP);
  }
  const states = u32(bytes, at + 4);
  for (const row of rows) {
    if (row.isV4 !== (family === AF_INET) || (states >>> row.state & 1) === 0) continue;
    putRow(request, family, row);
  }
  return finishDump(request);
}

function rowsOf(request: NetlinkRequest, protocol: number): Iterable<SocketRow> | null {
  const { rawRows, tcpRows, udpRows } = netstackOf(request);
  const stack = stackOf(request);
  switch (protocol) {
    case IPPROTO_TCP:
      return tcpRows(stack);
    case IPPROTO_UDP:
      return udpRows(stack);
    case IPPROTO_RAW:
      return rawRows(stack);
    default:
      return null;
  }
}

function putRow(request: NetlinkRequest, family: number, row: SocketRow): void {
  const at = beginAnswer(request, SOCK_DIAG_BY_FAMILY, NLM_F_MULTI, MESSAGE_BYTES);
  const { bytes } = writerOf(request);
  bytes[at] = family;
  bytes[at + 1] = row.state;
  bytes[at + 2] = row.timer;
  bytes[at + 3] = row.retransmits;
  bytes[at + ID_AT] = row.localPort >>> 8;
  bytes[at + ID_AT + 1] = row.localPort;
  bytes[at + ID_AT + 2] = row.remotePort >>> 8;
  bytes[at + ID_AT + 3] = row.remotePort;
  if (row.isV4) {
    row.local.write4(bytes, at + SOURCE_AT);
    row.remote?.write4(bytes, at + DESTINATION_AT);
  } else {
    // Nothing bound of a socket of both families is "::".
    if (!row.local.isUnspecified) row.local.write6(bytes, at + SOURCE_AT);
    row.remote?.write6(bytes, at + DESTINATION_AT);
  }
  put32(bytes, at + INTERFACE_AT, row.nicId);
  put32(bytes, at + COOKIE_AT, row.inode);
  put32(bytes, at + EXPIRES_AT, row.timerNanos / NANOS_PER_MILLI);
  put32(bytes, at + EXPIRES_AT + 4, row.unreadBytes);
  put32(bytes, at + EXPIRES_AT + 8, row.backlog > 0 ? row.backlog : row.unsentBytes);
  put32(bytes, at + EXPIRES_AT + 12, row.uid);
  put32(bytes, at + EXPIRES_AT + 16, row.inode);
  // inet_diag_msg_attrs_fill(): of who could still hear of IPv4.
  const isOpen = row.state === TcpState.Listen || row.state === TcpState.Closed;
  if (!row.isV4 && isOpen) writerOf(request).byte(INET_DIAG_SKV6ONLY, row.isV6Only ? 1 : 0);
  endOfDump(request);
}
