// The segment being looked at: its header, read once. One object serves the stack, as it looks at one at a time.

import type { Packet } from "../packet.ts";
import { get16, get32 } from "../wire/bytes.ts";
import {
  FIN,
  SYN,
  TCP_ACK_AT,
  TCP_BYTES,
  TCP_DESTINATION_AT,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_SEQUENCE_AT,
  TCP_SOURCE_AT,
  TCP_URGENT_AT,
  TCP_WINDOW_AT,
  TcpOptions,
} from "../wire/tcp.ts";

export class Segment {
  sourcePort = 0;
  destinationPort = 0;
  sequence = 0;
  ack = 0;
  flags = 0;
  window = 0;
  urgent = 0;
  /** Where the payload begins, and its length. */
  payloadAt = 0;
  payload = 0;
  /** Segments on the wire that this stands for, when the host has joined them. */
  pieces = 1;
  readonly options = new TcpOptions();

  /** Reads the header at packet.at; false when it is malformed. */
  parse(packet: Packet): boolean {
    const { bytes, at, length } = packet;
    if (length < TCP_BYTES) return false;
    const headerBytes = (bytes[at + TCP_OFFSET_AT] >> 4) * 4;
    if (headerBytes < TCP_BYTES || headerBytes > length) return false;
    this.sourcePort = get16(bytes, at + TCP_SOURCE_AT);
    this.destinationPort = get16(bytes, at + TCP_DESTINATION_AT);
    this.sequence = get32(bytes, at + TCP_SEQUENCE_AT);
    this.ack = get32(bytes, at + TCP_ACK_AT);
    this.flags = bytes[at + TCP_FLAGS_AT];
    this.window = get16(bytes, at + TCP_WINDOW_AT);
    this.urgent = get16(bytes, at + TCP_URGENT_AT);
    this.payloadAt = at + headerBytes;
    this.payload = length - headerBytes;
    this.pieces = packet.gsoBytes > 0 ? Math.max(1, Math.ceil(this.payload / packet.gsoBytes)) : 1;
    if (headerBytes > TCP_BYTES) this.options.parse(bytes, at, headerBytes, (this.flags & SYN) !== 0);
    else this.options.clear();
    return true;
  }

  /** Sequence numbers it occupies: SEG.LEN. */
  get length(): number {
    return this.payload + ((this.flags & SYN) !== 0 ? 1 : 0) + ((this.flags & FIN) !== 0 ? 1 : 0);
  }
}
