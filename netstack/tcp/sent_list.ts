// What was sent and not yet acknowledged, a record for each segment (or train of them), in the order of the sequence. Loss
// detection works on these. Linux: the retransmit queue of sk_buffs.

/** Flags of a record: what is known of it. */
export const SACKED = 1;
/** Believed lost. */
export const LOST = 2;
/** Sent again, and that one is on its way. */
export const RETRANSMITTED = 4;

export class SentSegment {
  sequence = 0;
  end = 0;
  /** When it was last sent, nanoseconds. */
  sentAt = 0;
  /** How often it was sent again. */
  retransmits = 0;
  flags = 0;
  /** Bytes delivered on the connection when it was first sent, and when that was: for the rate. */
  delivered = 0;
  deliveredAt = 0;
  next: SentSegment | null = null;
  previous: SentSegment | null = null;

  get bytes(): number {
    return this.end - this.sequence | 0;
  }
}

/** Records of one connection at most: beyond it nothing new is sent and none is cut, whatever blocks a peer reports. */
export const SENT_MAX = 8192;
const FREE_MAX = 4096;
let free: SentSegment | null = null;
let freeCount = 0;

function take(): SentSegment {
  const segment = free;
  if (segment === null) return new SentSegment();
  free = segment.next;
  freeCount--;
  segment.next = null;
  segment.retransmits = 0;
  segment.flags = 0;
  return segment;
}
function giveBack(segment: SentSegment): void {
  segment.previous = null;
  if (freeCount >= FREE_MAX) return;
  segment.next = free;
  free = segment;
  freeCount++;
}

export class SentList {
  first: SentSegment | null = null;
  last: SentSegment | null = null;
  count = 0;
  /** Bytes with each flag. Those that are lost and sent again count in both. */
  sackedBytes = 0;
  lostBytes = 0;
  retransmittedBytes = 0;

  /** Notes what was just sent for the first time. */
  push(sequence: number, end: number, now: number): SentSegment {
    const segment = take();
    segment.sequence = sequence;
    segment.end = end;
    segment.sentAt = now;
    segment.previous = this.last;
    if (this.last === null) this.first = segment;
    else this.last.next = segment;
    this.last = segment;
    this.count++;
    return segment;
  }

  /** Sets or clears flags, and keeps the sums. */
  setFlags(segment: SentSegment, flags: number): void {
    const changed = segment.flags ^ flags;
    if (changed === 0) return;
    const bytes = segment.bytes;
    if ((changed & SACKED) !== 0) this.sackedBytes += (flags & SACKED) !== 0 ? bytes : -bytes;
    if ((changed & LOST) !== 0) this.lostBytes += (flags & LOST) !== 0 ? bytes : -bytes;
    if ((changed & RETRANSMITTED) !== 0) {
      this.retransmittedBytes += (flags & RETRANSMITTED) !== 0 ? bytes : -bytes;
    }
    segment.flags = flags;
  }

  /** Takes the first record away: it was acknowledged. */
  shift(): void {
    const segment = this.first!;
    this.setFlags(segment, 0);
    this.first = segment.next;
    if (this.first === null) this.last = null;
    else this.first.previous = null;
    this.count--;
    giveBack(segment);
  }

  /** Its bytes before `sequence` were acknowledged. */
  trim(segment: SentSegment, sequence: number): void {
    const { flags } = segment;
    this.setFlags(segment, 0);
    segment.sequence = sequence;
    this.setFlags(segment, flags);
  }

  get isFull(): boolean {
    return this.count >= SENT_MAX;
  }

  /** Joins neighbours that are SACKed with `segment`, which is: the list stays as short as there are holes. */
  joinSacked(segment: SentSegment): SentSegment {
    const { previous, next } = segment;
    if (segment.flags !== SACKED) return segment;
    if (next !== null && next.flags === SACKED) {
      segment.end = next.end;
      this.#unlink(next);
    }
    if (previous === null || previous.flags !== SACKED) return segment;
    previous.end = segment.end;
    this.#unlink(segment);
    return previous;
  }

  #unlink(segment: SentSegment): void {
    if (segment.previous === null) this.first = segment.next;
    else segment.previous.next = segment.next;
    if (segment.next === null) this.last = segment.previous;
    else segment.next.previous = segment.previous;
    this.count--;
    giveBack(segment);
  }

  /** Cuts `segment` at `sequence`; the second part follows it with the same notes. False when there are too many. */
  split(segment: SentSegment, sequence: number): boolean {
    if (this.isFull) return false;
    const { flags } = segment;
    this.setFlags(segment, 0);
    const tail = take();
    tail.sequence = sequence;
    tail.end = segment.end;
    tail.sentAt = segment.sentAt;
    tail.retransmits = segment.retransmits;
    tail.delivered = segment.delivered;
    tail.deliveredAt = segment.deliveredAt;
    segment.end = sequence;
    tail.previous = segment;
    tail.next = segment.next;
    if (segment.next === null) this.last = tail;
    else segment.next.previous = tail;
    segment.next = tail;
    this.count++;
    this.setFlags(segment, flags);
    this.setFlags(tail, flags);
    return true;
  }

  clear(): void {
    while (this.first !== null) this.shift();
  }
}
