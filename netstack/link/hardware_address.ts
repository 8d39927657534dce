// Ethernet addresses as packets note them: the first two bytes and the last four.

import { type Packet, PacketType } from "../packet.ts";
import { get16, get32 } from "../wire/bytes.ts";

export const HARDWARE_BYTES = 6;

/** For whom a frame is, seen from a station with address `own`. */
export function packetTypeOf(packet: Packet, own: Uint8Array): PacketType {
  if (packet.hardwareHigh === 0xffff && packet.hardwareLow === -1) return PacketType.Broadcast;
  if ((packet.hardwareHigh & 0x100) !== 0) return PacketType.Multicast;
  return packet.hardwareHigh === get16(own, 0) && packet.hardwareLow === get32(own, 2)
    ? PacketType.Host
    : PacketType.OtherHost;
}

/** Notes `own` as the source of `packet`, unless it is bridged. */
export function noteSource(packet: Packet, own: Uint8Array): void {
  if (packet.isBridged) return;
  packet.sourceHardwareHigh = get16(own, 0);
  packet.sourceHardwareLow = get32(own, 2);
}

/** "02:00:00:00:00:01", or null. */
export function parseHardwareAddress(text: string): Uint8Array | null {
  if (!/^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(text)) return null;
  return Uint8Array.from(text.split(":"), (part) => parseInt(part, 16));
}

export function formatHardwareAddress(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
