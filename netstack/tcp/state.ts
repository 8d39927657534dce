// The states of a connection, RFC 9293 section 3.3.2, numbered as Linux shows them (TCP_INFO, /proc/net/tcp), and the moves
// that are allowed between them.

export const enum TcpState {
  Established = 1,
  SynSent,
  SynReceived,
  FinWait1,
  FinWait2,
  TimeWait,
  Closed,
  CloseWait,
  LastAck,
  Listen,
  Closing,
}

/** By number, for logs and tests. */
export const STATE_NAMES: readonly string[] = [
  "",
  "ESTABLISHED",
  "SYN-SENT",
  "SYN-RECEIVED",
  "FIN-WAIT-1",
  "FIN-WAIT-2",
  "TIME-WAIT",
  "CLOSED",
  "CLOSE-WAIT",
  "LAST-ACK",
  "LISTEN",
  "CLOSING",
];

/** RFC 9293 figure 5. Every state may end in Closed: resets, timeouts, close of what never was. */
const MOVES: Readonly<Record<number, readonly TcpState[]>> = {
  [TcpState.Closed]: [TcpState.SynSent, TcpState.SynReceived, TcpState.Established],
  [TcpState.SynSent]: [TcpState.SynReceived, TcpState.Established, TcpState.Closed],
  [TcpState.SynReceived]: [TcpState.Established, TcpState.FinWait1, TcpState.CloseWait, TcpState.Closed],
  [TcpState.Established]: [TcpState.FinWait1, TcpState.CloseWait, TcpState.Closed],
  [TcpState.FinWait1]: [TcpState.FinWait2, TcpState.Closing, TcpState.TimeWait, TcpState.Closed],
  [TcpState.FinWait2]: [TcpState.TimeWait, TcpState.Closed],
  [TcpState.CloseWait]: [TcpState.LastAck, TcpState.Closed],
  [TcpState.Closing]: [TcpState.TimeWait, TcpState.Closed],
  [TcpState.LastAck]: [TcpState.Closed],
  [TcpState.TimeWait]: [TcpState.Closed],
};

export function mayMove(from: TcpState, to: TcpState): boolean {
  return MOVES[from]?.includes(to) === true;
}

/** We may still send data. */
export function canSend(state: TcpState): boolean {
  return state === TcpState.Established || state === TcpState.CloseWait;
}
/** The handshake is over and the connection is not closed. */
export function isSynchronized(state: TcpState): boolean {
  return state !== TcpState.Closed && state !== TcpState.SynSent && state !== TcpState.SynReceived &&
    state !== TcpState.Listen;
}
/** The other side has not closed yet, as far as we know. */
export function canReceive(state: TcpState): boolean {
  return state === TcpState.Established || state === TcpState.FinWait1 || state === TcpState.FinWait2;
}
