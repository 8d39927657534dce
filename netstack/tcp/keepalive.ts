// The timer of what else a connection waits for: keepalive probes (RFC 9293 section 3.8.4) and the end of FIN_WAIT2 without
// an owner (tcp_fin_timeout).

import { ETIMEDOUT } from "../errno.ts";
import type { Connection } from "./connection.ts";
import { sendProbe } from "./output.ts";
import { TcpState } from "./state.ts";

/** Sets the timer after something was heard from the peer, or an option changed. */
export function armKeepAlive(connection: Connection, now: number): void {
  const { endpoint, keepaliveTimer } = connection;
  const { timers } = connection.tcp.stack;
  if (endpoint === null || !endpoint.isKeepAlive) {
    if (connection.state !== TcpState.FinWait2) timers.stop(keepaliveTimer);
    return;
  }
  timers.set(keepaliveTimer, now + endpoint.keepIdleSeconds * 1e9);
}

/** FIN_WAIT2 with nobody who holds the connection: it ends after a while. */
export function armFinWait(connection: Connection, now: number): void {
  const seconds = connection.finWaitSeconds;
  if (seconds < 0) connection.dispose();
  else connection.tcp.stack.timers.set(connection.keepaliveTimer, now + seconds * 1e9);
}

export function onKeepAliveTimer(connection: Connection, now: number): void {
  const { endpoint } = connection;
  const { timers } = connection.tcp.stack;
  if (endpoint === null) {
    // Linux: the record that waits for their FIN goes without a word.
    if (connection.state === TcpState.FinWait2) connection.dispose();
    return;
  }
  if (
    !endpoint.isKeepAlive || connection.state === TcpState.Closed || connection.state === TcpState.SynSent
  ) return;
  const idle = endpoint.keepIdleSeconds * 1e9;
  const since = connection.lastReceivedAt;
  // Data that is out is probe enough; what was heard meanwhile puts it off.
  const isSending = connection.outstanding > 0 || connection.unsentBytes > 0;
  if (isSending || connection.keepaliveProbes === 0 && since + idle > now) {
    timers.set(connection.keepaliveTimer, isSending ? now + idle : since + idle);
    return;
  }
  const isOver = connection.userTimeoutNanos > 0
    ? now - connection.lastReceivedAt >= connection.userTimeoutNanos && connection.keepaliveProbes > 0
    : connection.keepaliveProbes >= endpoint.keepCount;
  if (isOver) {
    connection.tcp.statistics.TCPAbortOnTimeout++;
    connection.abort(connection.softError !== 0 ? connection.softError : ETIMEDOUT);
    return;
  }
  connection.keepaliveProbes++;
  connection.tcp.statistics.TCPKeepAlive++;
  sendProbe(connection, now);
  timers.set(connection.keepaliveTimer, now + endpoint.keepIntervalSeconds * 1e9);
}
