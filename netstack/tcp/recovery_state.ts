// What loss detection and recovery remember of a connection: RFC 6675, RFC 6937 (PRR), RFC 8985 (RACK-TLP), RFC 3522 (Eifel).

export const enum RecoveryPhase {
  /** Nothing is wrong. */
  Open,
  /** Lost segments are sent again, the window is reduced. */
  Recovery,
  /** After a timeout: everything outstanding is believed lost. */
  Loss,
}

export class RecoveryState {
  phase: RecoveryPhase = RecoveryPhase.Open;
  /** Recovery ends when this is acknowledged. */
  point = 0;
  /** Without SACK: duplicate acknowledgements, and the bytes they stand for. */
  duplicateAcks = 0;
  renoSackedBytes = 0;

  // RACK: the segment sent last of those delivered.
  rackSentAt = 0;
  rackEnd = 0;
  rackRtt = 0;
  /** Reordering was seen, and how many quarters of the least round trip it is given. */
  hasReordering = false;
  reorderSteps = 1;
  /** Recoveries since a D-SACK widened the window. */
  reorderPersist = 0;
  /** Highest sequence SACKed or acknowledged. */
  forwardMost = 0;
  /** The same before the acknowledgement at hand: what arrives below it now was overtaken. */
  forwardBefore = 0;

  // Proportional rate reduction.
  prrDelivered = 0;
  prrOut = 0;
  flightAtLoss = 0;

  // To take a false alarm back.
  isUndoPossible = false;
  priorWindow = 0;
  priorThreshold = 0;
  /** Timestamp of the first retransmission, 0 = none. */
  retransmitStamp = 0;
  undoRetransmits = 0;

  // Tail loss probe: the end of what it has sent again, while one is out.
  isProbing = false;
  probeEnd = 0;
  wasProbeRetransmit = false;

  /** The window was limited by congestion when data was last sent: it may grow. */
  isWindowLimited = false;
  /** End of the round trip under way, for HyStart. */
  roundEnd = 0;
  /** Receiver: place in the stream that the last segment beyond a gap went to. */
  newestRange = -1;
  /** Bytes delivered in all, those of them with ECN marks, when that was, and the rate of the last sample (bytes/s). */
  delivered = 0;
  deliveredMarked = 0;
  deliveredAt = 0;
  deliveryRate = 0;
  /** Reordering: times it was seen, and its extent in segments. */
  reorderSeen = 0;
  reordering = 3;
}
