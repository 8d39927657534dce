// What has come in for a datagram endpoint and was not read yet: bytes in one ring, a record for each message. No packet is
// kept. Memory is taken as it is needed and given back when all is read.

import { Address } from "./address.ts";
import { type IncomingControl, MSG_TRUNC } from "./endpoint.ts";
import { type RingMemory, ringSize } from "./tcp/ring.ts";
import { copyBytes } from "./wire/bytes.ts";

/** What each message counts besides its bytes, so that many small ones are bounded too (Linux: sk_buff truesize). */
const RECORD_COST = 256;
const FREE_RECORDS_MAX = 64;

export class DatagramRecord {
  /** The message after it. */
  next: DatagramRecord | null = null;
  length = 0;
  /** MSG_PEEK has shown it. */
  wasPeeked = false;
  readonly from = new Address();
  fromPort = 0;
  readonly to = new Address();
  toPort = 0;
  nicId = 0;
  ttl = 0;
  tos = 0;
  timestamp = 0;
  /** UDP_GRO: bytes of each datagram of a train, the last may be shorter; 0 = one datagram. */
  segmentBytes = 0;
  /** Packet endpoints: EtherType, packet type, sender's hardware address. */
  protocol = 0;
  packetType = 0;
  hardwareType = 0;
  hardwareHigh = 0;
  hardwareLow = 0;
  /** Bytes of the frame before a filter cut it, PACKET_AUXDATA's status and where its network header begins. */
  wholeBytes = 0;
  status = 0;
  networkOffset = 0;
  /** An entry of an error queue: struct sock_extended_err. */
  errorNumber = 0;
  errorOrigin = 0;
  errorType = 0;
  errorCode = 0;
  errorInfo = 0;
  readonly offender = new Address();
}

const freeRecords: DatagramRecord[] = [];

export class DatagramQueue {
  readonly #memory: RingMemory;
  /** Memory while there is a message; shared with all queues, so that an idle endpoint has none. */
  #ring: Uint8Array | null = null;
  /** Where the first message begins, and how many bytes are in use. */
  #start = 0;
  #used = 0;
  #first: DatagramRecord | null = null;
  #last: DatagramRecord | null = null;
  count = 0;
  /** Bytes of the message of the last peekFrom() that lie before what it has copied. */
  peekedSkip = 0;
  /** Bytes of messages and records at most. */
  bytesMax: number;

  constructor(bytesMax: number, memory: RingMemory) {
    this.bytesMax = bytesMax;
    this.#memory = memory;
  }

  get isEmpty(): boolean {
    return this.#first === null;
  }
  /** Bytes of all messages. */
  get usedBytes(): number {
    return this.#used;
  }
  /** The next message's record; there must be one. */
  get first(): DatagramRecord {
    return this.#first!;
  }

  /** A record for a message of `length` bytes, whose bytes were copied in; null when there is no room. */
  push(bytes: Uint8Array, at: number, length: number): DatagramRecord | null {
    // One message always fits, as on Linux, whatever the limit.
    if (this.count > 0 && this.#used + length + (this.count + 1) * RECORD_COST > this.bytesMax) return null;
    const ring = this.#reserve(length);
    const place = (this.#start + this.#used) % ring.length;
    const head = Math.min(length, ring.length - place);
    copyBytes(ring, place, bytes, at, head);
    if (head < length) copyBytes(ring, 0, bytes, at + head, length - head);
    this.#used += length;
    const record = freeRecords.pop() ?? new DatagramRecord();
    record.next = null;
    record.length = length;
    record.wasPeeked = false;
    record.segmentBytes = record.errorNumber = record.errorOrigin = 0;
    record.errorType = record.errorCode = record.errorInfo = 0;
    if (this.#last === null) this.#first = record;
    else this.#last.next = record;
    this.#last = record;
    this.count++;
    return record;
  }

  /** Copies up to `length` bytes of the first message. */
  peek(into: Uint8Array, at: number, length: number): number {
    return this.#copy(0, into, at, Math.min(length, this.first.length));
  }

  /**
   * SO_PEEK_OFF: copies up to `length` bytes from the place that `offset` bytes of messages lead to; the record there, null =
   * they lead past the end. Linux: __skb_try_recv_from_queue(), by which an empty message is shown once.
   */
  peekFrom(offset: number, into: Uint8Array, at: number, length: number): DatagramRecord | null {
    let record = this.#first, skip = offset, before = 0;
    while (record !== null && skip >= record.length && (record.length > 0 || skip > 0 || record.wasPeeked)) {
      skip -= record.length;
      before += record.length;
      record = record.next;
    }
    if (record === null) return null;
    record.wasPeeked = true;
    this.peekedSkip = skip;
    this.#copy(before + skip, into, at, Math.min(length, record.length - skip));
    return record;
  }

  #copy(offset: number, into: Uint8Array, at: number, n: number): number {
    const ring = this.#ring!;
    const place = (this.#start + offset) % ring.length;
    const head = Math.min(n, ring.length - place);
    copyBytes(into, at, ring, place, head);
    if (head < n) copyBytes(into, at + head, ring, 0, n - head);
    return n;
  }

  /** Takes the first message away. */
  shift(): void {
    const record = this.first;
    this.#start = (this.#start + record.length) % this.#ring!.length;
    this.#used -= record.length;
    this.#first = record.next;
    record.next = null;
    if (freeRecords.length < FREE_RECORDS_MAX) freeRecords.push(record);
    this.count--;
    if (this.#first === null) this.#giveBack();
  }

  clear(): void {
    this.#giveBack();
  }

  #giveBack(): void {
    if (this.#ring !== null) this.#memory.give(this.#ring);
    this.#ring = this.#first = this.#last = null;
    this.#start = this.#used = this.count = 0;
  }

  #reserve(length: number): Uint8Array {
    const ring = this.#ring;
    const needed = this.#used + length;
    if (ring !== null && needed <= ring.length) return ring;
    const larger = this.#memory.take(ringSize(needed, ring === null ? 0 : ring.length));
    if (ring !== null) {
      const head = Math.min(this.#used, ring.length - this.#start);
      copyBytes(larger, 0, ring, this.#start, head);
      copyBytes(larger, head, ring, 0, this.#used - head);
      this.#memory.give(ring);
    }
    this.#ring = larger;
    this.#start = 0;
    return larger;
  }
}

/** What recvmsg(2) tells of a message of `bytes`. */
export function tellRecord(
  record: DatagramRecord,
  isCut: boolean,
  bytes: number,
  control: IncomingControl,
): void {
  control.flags = isCut ? MSG_TRUNC : 0;
  control.from.address.copy(record.from);
  control.from.port = record.fromPort;
  control.from.scope = record.from.isLinkLocal && !record.from.isV4 ? record.nicId : 0;
  control.destination.address.copy(record.to);
  control.destination.port = record.toPort;
  control.nicId = record.nicId;
  control.ttl = record.ttl;
  control.tos = record.tos;
  control.timestamp = record.timestamp;
  control.messageBytes = bytes;
  control.segmentBytes = record.segmentBytes;
  control.errorNumber = record.errorNumber;
  control.errorOrigin = record.errorOrigin;
  control.errorType = record.errorType;
  control.errorCode = record.errorCode;
  control.errorInfo = record.errorInfo;
  control.offender.copy(record.offender);
}
