// Both ends of a connection in this stack: bytes go from the writer straight into the reader's buffer, no segment is made.
// States, sequence numbers and counters are kept as if there had been segments; handshake and closing go by segments.

import { POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../readiness.ts";
import type { Connection } from "./connection.ts";
import { canReceive, TcpState } from "./state.ts";

/** Joins `connection` with its other end, once both are open. */
export function joinLocalPeer(connection: Connection): void {
  const { tcp } = connection;
  // A filter or a tap on loopback wants to see segments.
  if (!connection.route.isLocal || tcp.stack.firewall !== null) return;
  const nic = connection.route.nic;
  if (nic === null || nic.isTapped) return;
  const other = tcp.find(connection.remote, connection.remotePort, connection.local, connection.localPort);
  if (other === null || other === connection) return;
  if (other.state !== TcpState.Established && other.state !== TcpState.CloseWait) return;
  connection.peer = other;
  other.peer = connection;
}

/** Moves up to `length` bytes to the other end; bytes taken, -1 where segments must carry them now. */
export function writeLocal(connection: Connection, from: Uint8Array, at: number, length: number): number {
  const { peer } = connection;
  if (peer === null) return -1;
  const nic = connection.route.nic;
  const isApart = connection.sendBuffer.used > 0 || connection.outstanding !== 0 ||
    peer.receiveBuffer.hasGap ||
    connection.sendNext !== peer.receiveNext;
  if (isApart || !canReceive(peer.state) || peer.isReceiveShut || peer.endpoint === null) return -1;
  if (
    peer.endpoint.filter !== null || connection.tcp.stack.firewall !== null || (nic !== null && nic.isTapped)
  ) return -1;
  const n = Math.min(length, peer.localRoom);
  if (n <= 0) return 0;
  peer.receiveBuffer.append(from, at, n);
  const { sendBuffer } = connection;
  sendBuffer.start += n;
  sendBuffer.end += n;
  connection.sendNext = connection.sendUna = connection.sendNext + n | 0;
  connection.recovery.forwardMost = connection.recovery.roundEnd = connection.sendNext;
  peer.receiveNext = peer.lastAckSent = peer.receiveNext + n | 0;
  if ((peer.receiveEdge - peer.receiveNext | 0) < 0) peer.receiveEdge = peer.receiveNext;
  const { now } = connection.tcp.stack;
  connection.lastSentAt =
    peer.lastReceivedAt =
    peer.lastSentAt =
    connection.lastReceivedAt =
      now;
  connection.bytesSent += n;
  connection.bytesAcked += n;
  peer.bytesReceived += n;
  connection.tcp.statistics.TCPLoopbackBytes += n;
  peer.notify(POLLIN | POLLRDNORM);
  return n;
}

/** The reader has made room. */
export function afterLocalRead(connection: Connection): void {
  const { peer } = connection;
  if (peer === null) return;
  peer.sendWindow = Math.max(peer.sendWindow, connection.localRoom);
  peer.notify(POLLOUT | POLLWRNORM);
}
