// What the retransmission timer of a connection stands for: timeout.ts serves it.

/** What the retransmission timer is set for. */
export const enum RetransmitMode {
  None,
  /** Nothing was acknowledged for the timeout. */
  Timeout,
  /** Tail loss probe, RFC 8985 section 7. */
  Probe,
  /** Time for reordered segments is over, RFC 8985 section 6.2. */
  Reorder,
  /** The peer's window is closed: a probe, RFC 9293 section 3.8.6.1. */
  Persist,
}
