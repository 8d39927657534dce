// ICMP errors about segments of ours: believed only for what is really out (RFC 5927 section 4.1), soft ones noted, "too
// big" acted on (RFC 1191, RFC 8201).

import { ECONNREFUSED } from "../errno.ts";
import type { NetworkError } from "../ip/ip.ts";
import type { Connection } from "./connection.ts";
import { LOST } from "./sent_list.ts";
import { TcpState } from "./state.ts";

export function receiveErrorFor(connection: Connection, error: NetworkError, sequence: number): void {
  const isOut = (sequence - connection.sendUna | 0) >= 0 && (sequence - connection.sendNext | 0) <= 0;
  if (!isOut) return;
  if (error.info > 0) {
    takeTooBig(connection, error);
    return;
  }
  // Before the connection stands an error ends the attempt (tcp_v4_err(): of our own SYN any, not only a hard one as RFC 5461
  // section 4 has it); after it, none does.
  const isOurs = connection.state === TcpState.SynSent;
  const isHard = error.isHard || error.errno === ECONNREFUSED;
  if (isOurs || isHard && connection.state === TcpState.SynReceived) {
    connection.fail(error.errno);
    return;
  }
  connection.softError = error.errno;
  // With IP_RECVERR programs hear of it at once, as on Linux.
  const { endpoint } = connection;
  if (endpoint === null || !endpoint.wantsErrors) return;
  endpoint.error = error.errno;
  connection.notify(8);
}

/** The path takes less: smaller segments from here on, and those that were too big are sent again. */
function takeTooBig(connection: Connection, error: NetworkError): void {
  const { stack } = connection.tcp;
  const before = connection.segmentBytes;
  stack.learnPathMtu(connection.remote, error.info);
  stack.routes.find(connection.remote, connection.local, connection.nicId, connection.route);
  connection.syncSegmentBytes();
  if (connection.segmentBytes >= before) return;
  const { sent } = connection;
  for (let segment = sent.first; segment !== null; segment = segment.next) {
    if (segment.flags === 0 && segment.bytes > connection.segmentBytes) sent.setFlags(segment, LOST);
  }
  connection.wantOutput();
}
