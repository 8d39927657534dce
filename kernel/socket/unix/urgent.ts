// Urgent bytes of a stream: MSG_OOB. Linux: queue_oob(), manage_oob(), unix_stream_recv_urg() of net/unix/af_unix.c. Such a
// byte is in the stream like any other; a read ends before it, and the next one leaves it out, unless SO_OOBINLINE
// makes it an ordinary byte. A receive with MSG_OOB leaves a gap at its place. Places count from the beginning of
// the stream.

export class UrgentBytes {
  /** Place of the urgent byte that was not received yet; -1 = there is none. A new one makes the old one ordinary. */
  at = -1;
  /** Places of bytes that were taken with MSG_OOB, in order: gaps. */
  readonly #gaps: number[] = [];

  /** Nothing urgent is anywhere: the stream is read as usual. */
  get isQuiet(): boolean {
    return this.at < 0 && this.#gaps.length === 0;
  }
  /** Bytes of the stream that are none any more. */
  get gapCount(): number {
    return this.#gaps.length;
  }

  /** The urgent byte has been taken out of turn. */
  take(): void {
    this.#gaps.push(this.at);
    this.at = -1;
  }

  isGap(place: number): boolean {
    return this.#gaps.includes(place);
  }

  /** Everything before `place` has been read. */
  passTo(place: number): void {
    while (this.#gaps.length > 0 && this.#gaps[0] < place) this.#gaps.shift();
  }

  /** First place from `place` on, and before `end`, that is not an ordinary byte; else `end`. */
  nextFrom(place: number, end: number): number {
    let next = this.at >= place && this.at < end ? this.at : end;
    for (const gap of this.#gaps) if (gap >= place && gap < next) next = gap;
    return next;
  }

  /** SIOCATMARK: the next byte is the urgent one, or was. */
  isMark(place: number, end: number): boolean {
    if (place >= end) return false;
    return place === this.at || (this.isGap(place) && (this.at < 0 || this.at === place + 1));
  }
}
