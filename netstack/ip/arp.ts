// ARP: who has an IPv4 address, RFC 826; address conflict rules of RFC 5227 as far as Linux follows them.

import { Address } from "../address.ts";
import type { NeighbourEntry } from "../neighbour.ts";
import type { Nic } from "../nic.ts";
import type { Packet } from "../packet.ts";
import { Route } from "../route.ts";
import {
  ARP_BYTES,
  ARP_OPERATION_AT,
  ARP_REPLY,
  ARP_REQUEST,
  ARP_SENDER_AT,
  ARP_SENDER_HARDWARE_AT,
  ARP_TARGET_AT,
  ARP_TARGET_HARDWARE_AT,
} from "../wire/arp.ts";
import { get16, get32, put16, put32 } from "../wire/bytes.ts";
import { ARPHRD_ETHER, ETHERTYPE_ARP, ETHERTYPE_IPV4 } from "../wire/numbers.ts";
import { chooseSource } from "./source_address.ts";

const sender = new Address();
const target = new Address();
const chosen = new Address();
const proxied = new Route();

/** Asks for a neighbour: everybody while it is unknown, it alone when it is probed. `source` = of the packet that waits. */
export function sendArpRequest(nic: Nic, entry: NeighbourEntry, source: Address | null): void {
  if (source !== null && source.isV4 && nic.hasAddress(source)) chosen.copy(source);
  else if (!chooseSource(nic.stack, nic, entry.address, chosen)) return;
  const isProbe = entry.hasAddress;
  send(
    nic,
    ARP_REQUEST,
    chosen,
    isProbe ? entry.hardwareHigh : 0xffff,
    isProbe ? entry.hardwareLow : -1,
    0,
    0,
    entry.address,
  );
}

/** Tells everybody of an own address (RFC 5227 section 2.3), after it was added. */
export function announceArp(nic: Nic, address: Address): void {
  send(nic, ARP_REQUEST, address, 0xffff, -1, 0, 0, address);
}

function send(
  nic: Nic,
  operation: number,
  from: Address,
  frameHigh: number,
  frameLow: number,
  targetHigh: number,
  targetLow: number,
  to: Address,
): void {
  const packet = nic.stack.pool.allocate(ARP_BYTES);
  if (packet === null) return;
  const { bytes, at } = packet;
  put16(bytes, at, ARPHRD_ETHER);
  put16(bytes, at + 2, ETHERTYPE_IPV4);
  bytes[at + 4] = 6;
  bytes[at + 5] = 4;
  put16(bytes, at + ARP_OPERATION_AT, operation);
  for (let i = 0; i < 6; i++) bytes[at + ARP_SENDER_HARDWARE_AT + i] = nic.link.address[i];
  from.write4(bytes, at + ARP_SENDER_AT);
  put16(bytes, at + ARP_TARGET_HARDWARE_AT, targetHigh);
  put32(bytes, at + ARP_TARGET_HARDWARE_AT + 2, targetLow);
  to.write4(bytes, at + ARP_TARGET_AT);
  packet.etherType = ETHERTYPE_ARP;
  packet.hardwareHigh = frameHigh;
  packet.hardwareLow = frameLow;
  nic.send(packet);
}

/** An ARP packet has come in. */
export function receiveArp(packet: Packet, nic: Nic): void {
  const { bytes, at } = packet;
  if (!nic.hasNeighbours || packet.length < ARP_BYTES) return;
  if (get16(bytes, at) !== ARPHRD_ETHER || get16(bytes, at + 2) !== ETHERTYPE_IPV4) return;
  if (bytes[at + 4] !== 6 || bytes[at + 5] !== 4) return;
  const operation = get16(bytes, at + ARP_OPERATION_AT);
  if (operation !== ARP_REQUEST && operation !== ARP_REPLY) return;
  sender.read4(bytes, at + ARP_SENDER_AT);
  target.read4(bytes, at + ARP_TARGET_AT);
  const high = get16(bytes, at + ARP_SENDER_HARDWARE_AT), low = get32(bytes, at + ARP_SENDER_HARDWARE_AT + 2);
  // A station with a group address, or one that says it is us, is believed nothing.
  if ((high & 0x100) !== 0 || sender.isMulticast || nic.hasAddress(sender)) return;
  const isForUs = nic.hasAddress(target);
  if (operation === ARP_REQUEST && (isForUs || nic.proxiesArp && isBehindUs(nic))) {
    send(nic, ARP_REPLY, target, high, low, high, low, sender);
  }
  if (sender.isUnspecified || sender.isLimitedBroadcast) return;
  // RFC 826: a known sender is updated, an unknown one entered only when it talks to us. An answer confirms only
  // those that we know: nobody fills the table by answering what was not asked.
  const known = nic.neighbours.find(sender);
  if (known !== null) known.learn(high, low, operation === ARP_REPLY && isForUs, true);
  else if (operation === ARP_REQUEST && isForUs) nic.neighbours.resolve(sender).learn(high, low, false, true);
}

/** RFC 1027: `target` is reached by another interface of ours, and is no broadcast or group. */
function isBehindUs(nic: Nic): boolean {
  if (target.isMulticast || target.isUnspecified || target.isLoopback || nic.isBroadcast(target)) {
    return false;
  }
  if (sender.isUnspecified || !nic.isForwarding) return false;
  chosen.setUnspecified(true);
  if (nic.stack.routes.find(target, chosen, 0, proxied) < 0) return false;
  return proxied.nic !== null && proxied.nic !== nic && !proxied.isLocal;
}
