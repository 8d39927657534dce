// Writes down what goes over a link: as a pcap file that tcpdump opens, as lines of text, or both. The file format is
// pcap 2.4 with nanoseconds (draft-ietf-opsawg-pcap), link type ethernet; the frame's header is made from what the packet
// notes, so that every kind of link can be logged. Trains appear whole, as on Linux.

import type { Packet } from "../packet.ts";
import { copyBytes, put16, put32 } from "../wire/bytes.ts";
import { noteSource } from "./hardware_address.ts";
import type { Link } from "./link.ts";
import { WrappedLink } from "./wrapped_link.ts";

const MAGIC_NANOS = 0xa1b23c4d;
const LINKTYPE_ETHERNET = 1;
const FILE_HEADER_BYTES = 24;
const RECORD_BYTES = 16;
const ETHERNET_BYTES = 14;

/** Where records go; `bytes` is reused after the call. */
export interface PcapSink {
  write(bytes: Uint8Array): void;
}

/** Wall-clock time of a reading of the stack's clock: seconds, and nanoseconds of it. */
export interface WallClock {
  seconds(now: number): number;
  nanoseconds(now: number): number;
}

export class PcapWriter {
  readonly #sink: PcapSink;
  readonly #snapBytes: number;
  readonly #clock: WallClock;
  readonly #record: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;

  constructor(sink: PcapSink, clock: WallClock, snapBytes = 65_549) {
    this.#sink = sink;
    this.#clock = clock;
    this.#snapBytes = snapBytes;
    this.#record = new Uint8Array(RECORD_BYTES + snapBytes);
    this.#view = new DataView(this.#record.buffer);
    const header = new Uint8Array(FILE_HEADER_BYTES);
    const view = new DataView(header.buffer);
    view.setUint32(0, MAGIC_NANOS, true);
    view.setUint16(4, 2, true);
    view.setUint16(6, 4, true);
    view.setUint32(16, snapBytes, true);
    view.setUint32(20, LINKTYPE_ETHERNET, true);
    sink.write(header);
  }

  /** One packet whose network header is at packet.at. */
  write(packet: Packet, now: number): void {
    const record = this.#record;
    const wholeBytes = ETHERNET_BYTES + packet.length;
    const keptBytes = Math.min(wholeBytes, this.#snapBytes);
    this.#view.setUint32(0, this.#clock.seconds(now), true);
    this.#view.setUint32(4, this.#clock.nanoseconds(now), true);
    this.#view.setUint32(8, keptBytes, true);
    this.#view.setUint32(12, wholeBytes, true);
    put16(record, RECORD_BYTES, packet.hardwareHigh);
    put32(record, RECORD_BYTES + 2, packet.hardwareLow);
    put16(record, RECORD_BYTES + 6, packet.sourceHardwareHigh);
    put32(record, RECORD_BYTES + 8, packet.sourceHardwareLow);
    put16(record, RECORD_BYTES + 12, packet.etherType);
    copyBytes(
      record,
      RECORD_BYTES + ETHERNET_BYTES,
      packet.bytes,
      packet.at,
      Math.max(0, keptBytes - ETHERNET_BYTES),
    );
    this.#sink.write(record.subarray(0, RECORD_BYTES + keptBytes));
  }
}

/** What a line of the log tells, besides the packet. */
export type PacketLogLine = (direction: "in" | "out", packet: Packet, now: number) => void;

export class PacketLogLink extends WrappedLink {
  /** Both may be switched while the link runs; null = off. */
  pcap: PcapWriter | null;
  line: PacketLogLine | null;
  #now = 0;

  constructor(inner: Link, pcap: PcapWriter | null, line: PacketLogLine | null = null) {
    super(inner);
    this.pcap = pcap;
    this.line = line;
  }

  override poll(now: number, budget: number): number {
    this.#now = now;
    return this.inner.poll(now, budget);
  }
  override receive(packet: Packet): void {
    this.pcap?.write(packet, this.#now);
    this.line?.("in", packet, this.#now);
    this.receiver?.receive(packet);
  }
  override send(packet: Packet): void {
    if (this.pcap !== null || this.line !== null) noteSource(packet, this.address);
    this.pcap?.write(packet, this.#now);
    this.line?.("out", packet, this.#now);
    this.inner.send(packet);
  }
}
