// A learning bridge inside the stack: links are its ports, and it is a link itself for the stack's own address on it.
// Linux: net/bridge (without spanning tree and VLANs); IEEE 802.1D section 7.

import { EBUSY, EINVAL } from "../errno.ts";
import { type Packet, PacketQueue } from "../packet.ts";
import { NEVER } from "../timer.ts";
import { ARPHRD_ETHER } from "../wire/numbers.ts";
import { get16, get32 } from "../wire/bytes.ts";
import { noteSource, packetTypeOf } from "./hardware_address.ts";
import { type Link, LINK_GSO, LINK_NEIGHBOURS, LINK_TX_CHECKSUM, type LinkReceiver } from "./link.ts";

/** Stations remembered at most; the oldest is forgotten. And how long without a word, as Linux' ageing_time. */
const STATIONS_MAX = 1024;
const STATION_NANOS = 300e9;
const PORTS_MAX = 1024;
/** Packets for the bridge's own address that wait for its poll. */
const QUEUE_MAX = 1000;

interface Station {
  port: BridgePort;
  seenAt: number;
}

/** One link of a bridge: what comes in is handed to the bridge with the port it came by. */
class BridgePort implements LinkReceiver {
  readonly bridge: BridgeLink;
  readonly link: Link;

  constructor(bridge: BridgeLink, link: Link) {
    this.bridge = bridge;
    this.link = link;
  }
  receive(packet: Packet): void {
    this.bridge.forward(packet, this);
  }
}

export class BridgeLink implements Link {
  readonly kind = "bridge";
  readonly hardwareType = ARPHRD_ETHER;
  readonly address: Uint8Array;
  mtu: number;
  readonly #ports: BridgePort[] = [];
  /** By hardware address as a number, in the order they were last heard. */
  readonly #stations = new Map<number, Station>();
  readonly #incoming = new PacketQueue();
  #receiver: LinkReceiver | null = null;
  #now = 0;
  drops = 0;

  constructor(address: Uint8Array, mtu = 1500) {
    this.address = address;
    this.mtu = mtu;
  }

  /** Makes `link` a port; it must not be attached elsewhere. */
  addPort(link: Link): number {
    if (this.#ports.some((port) => port.link === link)) return -EBUSY;
    if (this.#ports.length >= PORTS_MAX) return -EINVAL;
    const port = new BridgePort(this, link);
    this.#ports.push(port);
    link.attach(port);
    return 0;
  }
  removePort(link: Link): number {
    const i = this.#ports.findIndex((port) => port.link === link);
    if (i < 0) return -EINVAL;
    const [port] = this.#ports.splice(i, 1);
    for (const [key, station] of this.#stations) if (station.port === port) this.#stations.delete(key);
    return 0;
  }
  /** Number of stations remembered. */
  get stationCount(): number {
    return this.#stations.size;
  }

  get features(): number {
    let features = LINK_NEIGHBOURS | LINK_TX_CHECKSUM | LINK_GSO;
    for (const port of this.#ports) features &= port.link.features | LINK_NEIGHBOURS;
    return features;
  }
  get gsoBytesMax(): number {
    return this.#ports.reduce((most, port) => Math.min(most, port.link.gsoBytesMax), 65_535);
  }
  get room(): number {
    return this.#ports.reduce((least, port) => Math.min(least, port.link.room), QUEUE_MAX);
  }
  attach(receiver: LinkReceiver): void {
    this.#receiver = receiver;
  }
  setMtu(mtu: number): number {
    if (mtu < 68 || mtu > 65_535) return -EINVAL;
    this.mtu = mtu;
    return 0;
  }

  /** A packet of the stack itself. */
  send(packet: Packet): void {
    noteSource(packet, this.address);
    packet.isBridged = true;
    const station = this.#stationOf(packet.hardwareHigh, packet.hardwareLow);
    if (station !== null) {
      station.port.link.send(packet);
      return;
    }
    this.#flood(packet, null);
    packet.release();
  }

  /** A packet that came in by `from`; the port keeps its reference. */
  forward(packet: Packet, from: BridgePort): void {
    this.#learn(packet, from);
    const type = packetTypeOf(packet, this.address);
    const isOwn = packet.hardwareHigh === get16(this.address, 0) &&
      packet.hardwareLow === get32(this.address, 2);
    if (!isOwn) {
      const station = this.#stationOf(packet.hardwareHigh, packet.hardwareLow);
      if (station === null) this.#flood(packet, from);
      else if (station.port !== from) this.#sendCopy(packet, station.port);
      if (station !== null) return;
    }
    if (this.#receiver === null) return;
    // Behind everybody else's back: promiscuous NICs and taps see flooded packets too.
    packet.packetType = type;
    if (this.#incoming.count >= QUEUE_MAX) {
      this.drops++;
      return;
    }
    this.#incoming.push(packet.hold());
  }

  #learn(packet: Packet, from: BridgePort): void {
    if ((packet.sourceHardwareHigh & 0x100) !== 0) return;
    const key = keyOf(packet.sourceHardwareHigh, packet.sourceHardwareLow);
    // Set anew, so that the map's order is that of their last word.
    this.#stations.delete(key);
    if (this.#stations.size >= STATIONS_MAX) {
      for (const oldest of this.#stations.keys()) {
        this.#stations.delete(oldest);
        break;
      }
    }
    this.#stations.set(key, { port: from, seenAt: this.#now });
  }

  #stationOf(high: number, low: number): Station | null {
    if ((high & 0x100) !== 0) return null;
    const key = keyOf(high, low);
    const station = this.#stations.get(key);
    if (station === undefined) return null;
    if (this.#now - station.seenAt <= STATION_NANOS) return station;
    this.#stations.delete(key);
    return null;
  }

  #flood(packet: Packet, except: BridgePort | null): void {
    for (const port of this.#ports) if (port !== except) this.#sendCopy(packet, port);
  }

  #sendCopy(packet: Packet, port: BridgePort): void {
    const copy = packet.pool.clone(packet);
    if (copy === null) {
      this.drops++;
      return;
    }
    copy.isBridged = true;
    port.link.send(copy);
  }

  poll(now: number, budget: number): number {
    this.#now = now;
    let handed = 0;
    for (const port of this.#ports) handed += port.link.poll(now, budget);
    for (let packet = this.#incoming.shift(); packet !== null; packet = this.#incoming.shift()) {
      packet.isBridged = false;
      this.#receiver?.receive(packet);
      packet.release();
      handed++;
    }
    return Math.min(handed, budget);
  }
  pollAt(): number {
    let at = this.#incoming.isEmpty ? NEVER : 0;
    for (const port of this.#ports) at = Math.min(at, port.link.pollAt());
    return at;
  }
  flush(): void {
    for (const port of this.#ports) port.link.flush();
  }
  close(): void {
    this.#incoming.clear();
    for (const port of this.#ports) port.link.close();
  }
}

/** 48 bits fit a number exactly. */
function keyOf(high: number, low: number): number {
  return high * 4294967296 + (low >>> 0);
}
