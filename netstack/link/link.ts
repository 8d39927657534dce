// What a NIC stands on: a link endpoint. Loopback, ethernet over a packet device, veth, bridge, and links that wrap
// another (impairment, packet log).

import type { Packet } from "../packet.ts";

/** Bits of Link.features. */
/** The receiver of a packet with Checksum.Partial completes it; without, the link does it in software. */
export const LINK_TX_CHECKSUM = 1;
/** Takes packets with `gso` set, up to gsoBytesMax; without, the link cuts them in software. */
export const LINK_GSO = 2;
/** Destinations on it have link addresses to be found by ARP or NDP. */
export const LINK_NEIGHBOURS = 4;
/** What is sent comes back in: loopback. */
export const LINK_LOOPBACK = 8;

/** The receiver of a link's packets: a NIC, a bridge. */
export interface LinkReceiver {
  /**
   * A packet has come in: network header at packet.at, etherType, packetType and hardware addresses noted. The link keeps
   * its reference and releases it after the call.
   */
  receive(packet: Packet): void;
}

export interface Link {
  /** "loopback", "ethernet", "veth", "bridge": for rtnetlink and logs. */
  readonly kind: string;
  /** ARPHRD_*. */
  readonly hardwareType: number;
  /** Own address: six bytes, or none. */
  readonly address: Uint8Array;
  readonly mtu: number;
  readonly features: number;
  /** Largest IP packet with `gso` set. */
  readonly gsoBytesMax: number;
  /** Called once, before any packet. */
  attach(receiver: LinkReceiver): void;
  /** -EINVAL where the link cannot. */
  setMtu(mtu: number): number;
  /**
   * Takes over a packet whose network header is at packet.at; etherType and the destination's hardware address are noted
   * in it (the source's too where packet.isBridged). It goes out now or with flush().
   */
  send(packet: Packet): void;
  /** Packets the link can take before flush(); at 0 a queueing discipline above holds back, and what is sent is lost. */
  readonly room: number;
  /** Hands at most `budget` received packets on; their number. */
  poll(now: number, budget: number): number;
  /** When poll() has something to do by itself (delayed packets): nanoseconds or NEVER. */
  pollAt(): number;
  /** End of a turn: what was sent leaves, in one call where there is a device. */
  flush(): void;
  close(): void;
}

/** A device that carries whole ethernet frames, many a call; passed in. Frames start with the virtio-net header where it has offloads. */
export interface PacketDevice {
  readonly mtu: number;
  readonly address: Uint8Array;
  /** Frames carry a struct virtio_net_hdr of virtioHeaderBytes (0, 10 or 12): the host does checksums, GSO and GRO. */
  readonly virtioHeaderBytes: number;
  /**
   * Receives into packets: `packets[i]` is empty with its whole slot behind `at`; sets `end`. Number received, 0 when
   * nothing is there, -ERRNO when the device is gone.
   */
  receive(packets: Packet[], count: number): number;
  /** Sends `at`..`end` of packets[from..count). Number taken (the caller keeps all packets), or -ERRNO. */
  send(packets: Packet[], from: number, count: number): number;
  close(): void;
}
