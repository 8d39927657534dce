// Scratch memory that becomes larger when a call needs more of it.

export class GrowingBytes {
  bytes: Uint8Array;

  constructor(firstBytes: number) {
    this.bytes = new Uint8Array(firstBytes);
  }

  /** Makes room for `length` bytes, of at most `max` that are ever asked for; what was there may go. */
  reserve(length: number, max = Infinity): void {
    const size = this.bytes.length;
    if (length > size) this.bytes = new Uint8Array(Math.min(max, Math.max(length, 2 * size)));
  }
}
