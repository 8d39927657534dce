// For unit tests of the stack: a link that keeps what is sent, a stack on it, and packets written field by field.

import { Address, parseAddress, prefixBits } from "./address.ts";
import { SoftwareOffload } from "./link/offload.ts";
import { LoopbackLink } from "./link/loopback.ts";
import { packetTypeOf, parseHardwareAddress } from "./link/hardware_address.ts";
import { type Link, LINK_NEIGHBOURS, type LinkReceiver } from "./link/link.ts";
import type { Nic } from "./nic.ts";
import { type Packet, PacketPool } from "./packet.ts";
import { SeededRandom } from "./random.ts";
import { Stack } from "./stack.ts";
import { NEVER } from "./timer.ts";
import { get16, get32, put16, put32 } from "./wire/bytes.ts";
import { checksumOf, fold, putChecksum, sumBytes, sumPseudoHeader } from "./wire/checksum.ts";
import { ARPHRD_ETHER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "./wire/numbers.ts";

export const OWN_HARDWARE = "02:00:00:00:00:01";
export const PEER_HARDWARE = "02:00:00:00:00:02";
export const SECOND = 1e9;

/** What a link was asked to send: a copy. */
export interface Frame {
  readonly etherType: number;
  readonly hardware: string;
  readonly bytes: Uint8Array;
  readonly gsoBytes: number;
}

export class CaptureLink implements Link {
  readonly kind = "ethernet";
  readonly hardwareType = ARPHRD_ETHER;
  readonly address: Uint8Array;
  mtu = 1500;
  features = LINK_NEIGHBOURS;
  readonly gsoBytesMax = 65_535;
  readonly room = 1000;
  readonly sent: Frame[] = [];
  receiver: LinkReceiver | null = null;
  isClosed = false;

  constructor(address = OWN_HARDWARE) {
    this.address = parseHardwareAddress(address)!;
  }
  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
  }
  setMtu(mtu: number): number {
    this.mtu = mtu;
    return 0;
  }
  send(packet: Packet): void {
    this.sent.push({
      etherType: packet.etherType,
      hardware: hardwareText(packet.hardwareHigh, packet.hardwareLow),
      bytes: packet.bytes.slice(packet.at, packet.end),
      gsoBytes: packet.gsoBytes,
    });
    packet.release();
  }
  poll(): number {
    return 0;
  }
  pollAt(): number {
    return NEVER;
  }
  flush(): void {}
  close(): void {
    this.isClosed = true;
  }
}

/** A stack with loopback and one ethernet interface, 192.0.2.1/24 and 2001:db8::1/64, both addresses ready. */
export class Bench {
  readonly pool: PacketPool;
  readonly stack: Stack;
  readonly link: CaptureLink;
  readonly nic: Nic;
  readonly lo: Nic;
  readonly log: string[] = [];
  now = 1000 * SECOND;

  constructor(seed = 1, options: { duplicateProbes?: number; addresses?: readonly string[] } = {}) {
    this.pool = PacketPool.inHeap(256, 96);
    this.stack = new Stack({
      pool: this.pool,
      random: new SeededRandom(seed),
      log: (text) => this.log.push(text),
      duplicateProbes: options.duplicateProbes ?? 0,
    });
    this.stack.now = this.now;
    this.lo = this.stack.addNic("lo", new LoopbackLink());
    this.stack.setUp(this.lo, true);
    this.stack.addAddress(this.lo, address("127.0.0.1"), prefixBits(8, true));
    this.stack.addAddress(this.lo, address("::1"), 128);
    this.link = new CaptureLink();
    this.nic = this.stack.addNic("eth0", new SoftwareOffload(this.link, this.pool));
    this.stack.setUp(this.nic, true);
    for (const text of options.addresses ?? ["192.0.2.1/24", "2001:db8::1/64"]) this.add(text);
    // Announcements and membership reports are out of the way.
    this.advance(5 * SECOND);
    this.take();
  }

  add(text: string, nic: Nic = this.nic): void {
    const [host, length] = text.split("/");
    const parsed = address(host);
    const result = this.stack.addAddress(nic, parsed, prefixBits(Number(length), parsed.isV4));
    if (result < 0) throw new Error(`addAddress(${text}): ${result}`);
  }
  /** Another interface; its link is `nic.link`. */
  addNic(name: string, hardware: string, addresses: readonly string[]): { nic: Nic; link: CaptureLink } {
    const link = new CaptureLink(hardware);
    const nic = this.stack.addNic(name, new SoftwareOffload(link, this.pool));
    this.stack.setUp(nic, true);
    for (const text of addresses) this.add(text, nic);
    link.sent.length = 0;
    return { nic, link };
  }

  /** What was sent since the last call. */
  take(link: CaptureLink = this.link): Frame[] {
    this.run();
    return link.sent.splice(0);
  }
  /** Lets the stack do what is due now. */
  run(): void {
    for (let i = 0; i < 100 && (this.stack.poll(this.now) || this.stack.pollAt() <= this.now); i++);
  }
  /** Time goes on, timers fire at their moments. */
  advance(nanos: number): void {
    const until = this.now + nanos;
    for (let i = 0; i < 10_000; i++) {
      const at = Math.max(this.now, this.stack.pollAt());
      if (at > until) break;
      this.now = at;
      this.run();
    }
    this.now = until;
    this.run();
  }

  /** A frame comes in. */
  inject(
    etherType: number,
    bytes: Uint8Array,
    to = OWN_HARDWARE,
    from = PEER_HARDWARE,
    nic = this.nic,
  ): void {
    const packet = this.pool.allocate(bytes.length);
    if (packet === null) throw new Error("The pool is empty");
    packet.bytes.set(bytes, packet.at);
    packet.etherType = etherType;
    const high = parseHardwareAddress(to)!, low = parseHardwareAddress(from)!;
    packet.hardwareHigh = get16(high, 0);
    packet.hardwareLow = get32(high, 2);
    packet.sourceHardwareHigh = get16(low, 0);
    packet.sourceHardwareLow = get32(low, 2);
    packet.packetType = packetTypeOf(packet, nic.link.address);
    nic.receive(packet);
    packet.release();
    this.run();
  }
  v4(bytes: Uint8Array, to = OWN_HARDWARE, nic = this.nic): void {
    this.inject(ETHERTYPE_IPV4, bytes, to, PEER_HARDWARE, nic);
  }
  v6(bytes: Uint8Array, to = OWN_HARDWARE, nic = this.nic): void {
    this.inject(ETHERTYPE_IPV6, bytes, to, PEER_HARDWARE, nic);
  }

  /** Enters a neighbour as if it had answered. */
  know(text: string, hardware = PEER_HARDWARE, nic = this.nic): void {
    const bytes = parseHardwareAddress(hardware)!;
    nic.neighbours.resolve(address(text)).makePermanent(get16(bytes, 0), get32(bytes, 2));
  }
  /** No packet is missing from the pool but these. */
  get packetsHeld(): number {
    return this.pool.used;
  }
}

export function address(text: string): Address {
  const parsed = parseAddress(text);
  if (parsed === null) throw new Error(`Not an address: ${text}`);
  return parsed;
}

export function bytesOf(...parts: (number | string | Uint8Array | readonly number[])[]): Uint8Array {
  const out: number[] = [];
  for (const part of parts) {
    if (typeof part === "number") out.push(part);
    else if (typeof part === "string") { for (const c of part) out.push(c.charCodeAt(0)); }
    else out.push(...part);
  }
  return Uint8Array.from(out);
}

export interface Ipv4Fields {
  source?: string;
  destination?: string;
  protocol: number;
  payload: Uint8Array;
  ttl?: number;
  tos?: number;
  id?: number;
  /** Flags and offset as they stand in the header. */
  fragment?: number;
  options?: readonly number[];
  /** Written as they are, right or wrong. */
  totalLength?: number;
  headerWords?: number;
  checksum?: number;
}

export function ipv4(fields: Ipv4Fields): Uint8Array {
  const options = fields.options ?? [];
  const headerBytes = 20 + Math.ceil(options.length / 4) * 4;
  const bytes = new Uint8Array(headerBytes + fields.payload.length);
  bytes[0] = 0x40 | (fields.headerWords ?? headerBytes / 4);
  bytes[1] = fields.tos ?? 0;
  put16(bytes, 2, fields.totalLength ?? bytes.length);
  put16(bytes, 4, fields.id ?? 0x1234);
  put16(bytes, 6, fields.fragment ?? 0);
  bytes[8] = fields.ttl ?? 64;
  bytes[9] = fields.protocol;
  address(fields.source ?? "192.0.2.2").write4(bytes, 12);
  address(fields.destination ?? "192.0.2.1").write4(bytes, 16);
  bytes.set(options, 20);
  bytes.set(fields.payload, headerBytes);
  putChecksum(bytes, 10, checksumOf(sumBytes(0, bytes, 0, headerBytes)));
  if (fields.checksum !== undefined) put16(bytes, 10, fields.checksum);
  return bytes;
}

export interface Ipv6Fields {
  source?: string;
  destination?: string;
  next: number;
  payload: Uint8Array;
  hops?: number;
  trafficClass?: number;
  payloadLength?: number;
}

export function ipv6(fields: Ipv6Fields): Uint8Array {
  const bytes = new Uint8Array(40 + fields.payload.length);
  put32(bytes, 0, 6 << 28 | (fields.trafficClass ?? 0) << 20);
  put16(bytes, 4, fields.payloadLength ?? fields.payload.length);
  bytes[6] = fields.next;
  bytes[7] = fields.hops ?? 64;
  address(fields.source ?? "2001:db8::2").write6(bytes, 8);
  address(fields.destination ?? "2001:db8::1").write6(bytes, 24);
  bytes.set(fields.payload, 40);
  return bytes;
}

/** Fills the checksum at `offset` of a message that will go between these addresses. */
export function sealed(
  bytes: Uint8Array,
  offset: number,
  protocol: number,
  source: string,
  destination: string,
): Uint8Array {
  put16(bytes, offset, 0);
  const isPlain = protocol === 1 || protocol === 2;
  const start = isPlain ? 0 : sumPseudoHeader(address(source), address(destination), protocol, bytes.length);
  putChecksum(bytes, offset, checksumOf(sumBytes(start, bytes, 0, bytes.length)));
  return bytes;
}

/** An ICMP or ICMPv6 message with its checksum. */
export function icmp(
  type: number,
  code: number,
  info: number,
  body: Uint8Array | readonly number[],
  source = "192.0.2.2",
  destination = "192.0.2.1",
): Uint8Array {
  const bytes = bytesOf(
    type,
    code,
    0,
    0,
    [info >>> 24, info >>> 16 & 255, info >>> 8 & 255, info & 255],
    body,
  );
  return sealed(bytes, 2, address(source).isV4 ? 1 : 58, source, destination);
}

export function udp(
  sourcePort: number,
  destinationPort: number,
  body: Uint8Array | string,
  source = "192.0.2.2",
  destination = "192.0.2.1",
): Uint8Array {
  const bytes = bytesOf(new Uint8Array(8), body);
  put16(bytes, 0, sourcePort);
  put16(bytes, 2, destinationPort);
  put16(bytes, 4, bytes.length);
  return sealed(bytes, 6, 17, source, destination);
}

export function arp(
  operation: number,
  from: string,
  fromHardware: string,
  to: string,
  toHardware: string,
): Uint8Array {
  const bytes = new Uint8Array(28);
  put16(bytes, 0, 1);
  put16(bytes, 2, ETHERTYPE_IPV4);
  bytes[4] = 6;
  bytes[5] = 4;
  put16(bytes, 6, operation);
  bytes.set(parseHardwareAddress(fromHardware)!, 8);
  address(from).write4(bytes, 14);
  bytes.set(parseHardwareAddress(toHardware)!, 18);
  address(to).write4(bytes, 24);
  return bytes;
}

/** One line of a frame: "ICMP 192.0.2.1 > 192.0.2.2 type 0 code 0", for tests that read as conversations. */
export function describe(frame: Frame): string {
  const { bytes, etherType } = frame;
  if (etherType === ETHERTYPE_ARP) {
    const from = new Address().read4(bytes, 14), to = new Address().read4(bytes, 24);
    return `ARP ${get16(bytes, 6) === 1 ? "who-has" : "reply"} ${from} > ${to}`;
  }
  const isV4 = etherType === ETHERTYPE_IPV4;
  const from = isV4 ? new Address().read4(bytes, 12) : new Address().read6(bytes, 8);
  const to = isV4 ? new Address().read4(bytes, 16) : new Address().read6(bytes, 24);
  const ends = `${from} > ${to}`;
  const [protocol, at] = transportOf(frame);
  if (protocol === 1 || protocol === 58) {
    return `${isV4 ? "ICMP" : "ICMP6"} ${ends} type ${bytes[at]} code ${bytes[at + 1]}`;
  }
  if (protocol === 17) {
    return `UDP ${from}:${get16(bytes, at)} > ${to}:${get16(bytes, at + 2)} ${get16(bytes, at + 4) - 8}`;
  }
  if (protocol === 2) return `IGMP ${ends} type ${bytes[at].toString(16)}`;
  return `IP ${ends} protocol ${protocol} ${bytes.length}`;
}

/** Protocol and where its header begins; a fragment header counts as the protocol. */
export function transportOf(frame: Frame): [protocol: number, at: number] {
  const { bytes } = frame;
  if (frame.etherType === ETHERTYPE_IPV4) {
    const fragment = get16(bytes, 6) & 0x3fff;
    return [fragment === 0 ? bytes[9] : 44, (bytes[0] & 15) * 4];
  }
  return bytes[6] === 0 ? [bytes[40], 40 + (bytes[41] + 1) * 8] : [bytes[6], 40];
}

/** The header checksum (IPv4) and the transport's hold. */
export function isSound(frame: Frame): boolean {
  const { bytes } = frame;
  const [protocol, at] = transportOf(frame);
  const isV4 = frame.etherType === ETHERTYPE_IPV4;
  if (isV4 && fold(sumBytes(0, bytes, 0, (bytes[0] & 15) * 4)) !== 0xffff) return false;
  if (isV4 && get16(bytes, 2) !== bytes.length) return false;
  if (!isV4 && get16(bytes, 4) + 40 !== bytes.length) return false;
  if (protocol === 44 || (isV4 && ![1, 2, 6, 17].includes(protocol))) return true;
  const from = isV4 ? new Address().read4(bytes, 12) : new Address().read6(bytes, 8);
  const to = isV4 ? new Address().read4(bytes, 16) : new Address().read6(bytes, 24);
  const length = bytes.length - at;
  const start = protocol === 1 || protocol === 2 ? 0 : sumPseudoHeader(from, to, protocol, length);
  return fold(sumBytes(start, bytes, at, length)) === 0xffff;
}

function hardwareText(high: number, low: number): string {
  const hex = (high & 0xffff).toString(16).padStart(4, "0") + (low >>> 0).toString(16).padStart(8, "0");
  return hex.match(/../g)!.join(":");
}
