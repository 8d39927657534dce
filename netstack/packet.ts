// Packets and the pool they come from. All bytes of a pool stand in one arena (which may be native memory, so that a
// device can hand descriptors of it to the host); a packet is a slot in it plus what the layers note down about it.
// Headers are written in front of what is there, so a slot begins with headroom. Linux: struct sk_buff.

import { Address } from "./address.ts";

/** Room for headers in front of the payload: virtio-net 12, ethernet 18, IPv6 with extensions, TCP with options. */
export const HEADROOM = 192;
/** Largest IP packet, RFC 791 and 8200. */
export const PACKET_BYTES_MAX = 65_535;
const SMALL_SLOT_BYTES = 2048;
const LARGE_SLOT_BYTES = 66 * 1024;

/** What is known of the transport checksum. */
export const enum Checksum {
  /** Nothing: the receiver of the packet has to verify it. */
  Unknown,
  /** It was verified, by the device or because the packet never left this machine. */
  Valid,
  /** The pseudo header's sum stands in the field; the device (or software at the link) adds the rest. */
  Partial,
}

/** For whom a frame was: packet(7), PACKET_HOST and its kin. */
export const enum PacketType {
  Host,
  Broadcast,
  Multicast,
  OtherHost,
  Outgoing,
}

/** How a packet that is larger than the MTU is to be cut, by the device or in software at the link. */
export const enum Gso {
  None,
  Tcp4,
  Tcp6,
  Udp,
}

/**
 * One packet. `at`..`end` are the bytes that the layer at work owns: on the way in `at` moves up past each header, on the
 * way out it moves down. Reference counted: hold() to keep it beyond the call that brought it, release() to give it back.
 */
export class Packet {
  readonly pool: PacketPool;
  /** The pool's arena, the same array for all packets of a pool. */
  readonly bytes: Uint8Array;
  /** Slot in the arena: first byte and size, fixed. */
  readonly slotAt: number;
  readonly slotBytes: number;
  at = 0;
  end = 0;
  /** Where headers begin, set as they are parsed or written; -1 before. */
  linkAt = -1;
  networkAt = -1;
  transportAt = -1;
  /** ETHERTYPE_* of what is at networkAt. */
  etherType = 0;
  /** IP protocol of what is at transportAt (after extension headers). */
  protocol = 0;
  /** IP addresses, read on the way in, set on the way out. */
  readonly source = new Address();
  readonly destination = new Address();
  ttl = 0;
  /** Type of service or traffic class, ECN bits included. */
  tos = 0;
  /** Index of the NIC it came in by or goes out by; 0 = none yet. */
  nicId = 0;
  /** IPv6: where the field stands that names `protocol`, for parameter problems; 0 = not noted. */
  nextHeaderAt = 0;
  /** IPv6 flow label, 20 bits. */
  flowLabel = 0;
  /** A multicast packet of ours comes back to members here: IP_MULTICAST_LOOP. */
  loopsBack = true;
  /** Destination and source of the frame: first two bytes, last four. */
  hardwareHigh = 0;
  hardwareLow = 0;
  sourceHardwareHigh = 0;
  sourceHardwareLow = 0;
  /** It goes out with the source's hardware address noted here, not with the link's own. */
  isBridged = false;
  packetType: PacketType = PacketType.Host;
  checksum: Checksum = Checksum.Unknown;
  /** Where the transport checksum field is, from transportAt; for Partial. */
  checksumOffset = 0;
  gso: Gso = Gso.None;
  /** Payload bytes of each piece, for gso. */
  gsoBytes = 0;
  /** SO_MARK and what the MARK target sets. */
  mark = 0;
  /** Uid and gid of the socket it was sent by, -1 = none; for the owner match. */
  ownerUid = -1;
  ownerGid = -1;
  /** The connection that conntrack has found, owned by firewall/; and which way the packet goes. */
  connection: unknown = null;
  isReply = false;
  /** When it came in, nanoseconds of the stack's clock. */
  timestamp = 0;
  /** Queue link, for the holder of the packet. */
  next: Packet | null = null;
  #references = 0;

  constructor(pool: PacketPool, slotAt: number, slotBytes: number) {
    this.pool = pool;
    this.bytes = pool.bytes;
    this.slotAt = slotAt;
    this.slotBytes = slotBytes;
  }

  get length(): number {
    return this.end - this.at;
  }
  /** Bytes that can still be put in front. */
  get headroom(): number {
    return this.at - this.slotAt;
  }
  get isHeld(): boolean {
    return this.#references > 1;
  }

  hold(): this {
    this.#references++;
    return this;
  }
  release(): void {
    if (this.#references <= 0) throw new Error("Packet released twice");
    if (--this.#references === 0) this.pool.giveBack(this);
  }

  /** Makes it a fresh packet of `length` bytes of payload behind the headroom. For the pool. */
  begin(length: number): void {
    this.#references = 1;
    this.at = this.slotAt + HEADROOM;
    this.end = this.at + length;
    this.linkAt = this.networkAt = this.transportAt = -1;
    this.etherType = this.protocol = 0;
    this.ttl =
      this.tos =
      this.nicId =
      this.flowLabel =
      this.nextHeaderAt =
        0;
    this.loopsBack = true;
    this.packetType = PacketType.Host;
    this.isBridged = false;
    this.checksum = Checksum.Unknown;
    this.checksumOffset = 0;
    this.gso = Gso.None;
    this.gsoBytes = 0;
    this.mark = 0;
    this.ownerUid = this.ownerGid = -1;
    this.connection = null;
    this.isReply = false;
    this.timestamp = 0;
    this.next = null;
  }

  /** Copies the notes of `from`, not its bytes or places. */
  copyNotes(from: Packet): void {
    this.etherType = from.etherType;
    this.protocol = from.protocol;
    this.source.copy(from.source);
    this.destination.copy(from.destination);
    this.ttl = from.ttl;
    this.tos = from.tos;
    this.nicId = from.nicId;
    this.hardwareHigh = from.hardwareHigh;
    this.hardwareLow = from.hardwareLow;
    this.sourceHardwareHigh = from.sourceHardwareHigh;
    this.sourceHardwareLow = from.sourceHardwareLow;
    this.packetType = from.packetType;
    this.isBridged = from.isBridged;
    this.checksum = from.checksum;
    this.checksumOffset = from.checksumOffset;
    this.gso = from.gso;
    this.gsoBytes = from.gsoBytes;
    this.mark = from.mark;
    this.ownerUid = from.ownerUid;
    this.ownerGid = from.ownerGid;
    this.connection = from.connection;
    this.isReply = from.isReply;
    this.timestamp = from.timestamp;
  }
}

/** A bounded pool: when it is empty, allocate() answers null and the packet is lost, as on any machine. */
export class PacketPool {
  readonly bytes: Uint8Array;
  readonly #small: Packet[] = [];
  readonly #large: Packet[] = [];
  /** Packets out at the moment, and requests that found nothing. */
  used = 0;
  failures = 0;

  /** `arena` of at least arenaBytes(smallCount, largeCount) zeroed bytes. */
  constructor(arena: Uint8Array, smallCount: number, largeCount: number) {
    if (arena.length < PacketPool.arenaBytes(smallCount, largeCount)) {
      throw new Error("Packet arena is too small");
    }
    this.bytes = arena;
    let at = 0;
    for (let i = 0; i < smallCount; i++, at += SMALL_SLOT_BYTES) {
      this.#small.push(new Packet(this, at, SMALL_SLOT_BYTES));
    }
    for (let i = 0; i < largeCount; i++, at += LARGE_SLOT_BYTES) {
      this.#large.push(new Packet(this, at, LARGE_SLOT_BYTES));
    }
  }

  static arenaBytes(smallCount: number, largeCount: number): number {
    return smallCount * SMALL_SLOT_BYTES + largeCount * LARGE_SLOT_BYTES;
  }
  /** A pool over ordinary memory. */
  static inHeap(smallCount = 1024, largeCount = 128): PacketPool {
    return new PacketPool(
      new Uint8Array(PacketPool.arenaBytes(smallCount, largeCount)),
      smallCount,
      largeCount,
    );
  }

  /** A packet with `length` (<= PACKET_BYTES_MAX, and a link's headers) bytes of payload, one reference, contents undefined; null = none left. */
  allocate(length: number): Packet | null {
    const isSmall = length <= SMALL_SLOT_BYTES - HEADROOM;
    const packet = (isSmall ? this.#small.pop() : undefined) ?? this.#large.pop();
    if (packet === undefined) {
      this.failures++;
      return null;
    }
    this.used++;
    packet.begin(length);
    return packet;
  }

  /** Copies a packet, from any pool, with its places and notes; null when there is no room. */
  clone(from: Packet): Packet | null {
    const copy = this.allocate(from.end - from.at);
    if (copy === null) return null;
    const bytes = copy.bytes, at = copy.at;
    bytes.set(from.bytes.subarray(from.at, from.end), at);
    const shift = at - from.at;
    copy.linkAt = from.linkAt < from.at ? -1 : from.linkAt + shift;
    copy.networkAt = from.networkAt < from.at ? -1 : from.networkAt + shift;
    copy.transportAt = from.transportAt < from.at ? -1 : from.transportAt + shift;
    copy.copyNotes(from);
    return copy;
  }

  /** For Packet.release() alone. */
  giveBack(packet: Packet): void {
    this.used--;
    packet.connection = null;
    packet.next = null;
    (packet.slotBytes === SMALL_SLOT_BYTES ? this.#small : this.#large).push(packet);
  }
}

/** A first-in, first-out queue of packets linked through Packet.next. */
export class PacketQueue {
  #first: Packet | null = null;
  #last: Packet | null = null;
  count = 0;
  bytes = 0;

  get isEmpty(): boolean {
    return this.#first === null;
  }
  get first(): Packet | null {
    return this.#first;
  }
  push(packet: Packet): void {
    packet.next = null;
    if (this.#last === null) this.#first = packet;
    else this.#last.next = packet;
    this.#last = packet;
    this.count++;
    this.bytes += packet.end - packet.at;
  }
  shift(): Packet | null {
    const packet = this.#first;
    if (packet === null) return null;
    this.#first = packet.next;
    if (this.#first === null) this.#last = null;
    packet.next = null;
    this.count--;
    this.bytes -= packet.end - packet.at;
    return packet;
  }
  /** Releases all. */
  clear(): void {
    for (let packet = this.shift(); packet !== null; packet = this.shift()) packet.release();
  }
}
