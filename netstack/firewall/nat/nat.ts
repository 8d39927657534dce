// Address translation: decided once for each connection, by its first packet, and then done to every packet of it, both
// ways, and to the ICMP errors about it, inside and out. RFC 3022, RFC 5508; Linux: nf_nat_core.c.

import { Address } from "../../address.ts";
import { readQuote } from "../../icmp/quote.ts";
import { NetworkError } from "../../ip/ip.ts";
import { chooseSource } from "../../ip/source_address.ts";
import type { Nic } from "../../nic.ts";
import { Checksum } from "../../packet.ts";
import type { Stack } from "../../stack.ts";
import { ICMP_BYTES } from "../../wire/icmp.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import { Connection, NAT_DESTINATION, NAT_SOURCE, Related } from "../conntrack/connection.ts";
import type { ConnectionTable } from "../conntrack/connection_table.ts";
import { Tuple } from "../conntrack/tuple.ts";
import { Hook } from "../hooks.ts";
import type { PacketView } from "../packet_view.ts";
import { choose, type NatRange } from "./choice.ts";
import { resealIcmp, rewriteAt, rewritePacket } from "./rewrite.ts";

const BOTH_SIDES = NAT_SOURCE | NAT_DESTINATION;
/** Addresses that MASQUERADE has given out, at most; beyond it the table is looked through whenever anything changes. */
const MASQUERADE_ADDRESSES_MAX = 64;

const KEEP: NatRange = {
  addressFirst: null,
  addressLast: null,
  ports: null,
  isRandom: false,
  isPersistent: false,
};

/** Which side a hook rewrites. Forward does none. */
export function sideOf(hook: Hook): number {
  switch (hook) {
    case Hook.Prerouting:
    case Hook.Output:
      return NAT_DESTINATION;
    case Hook.Input:
    case Hook.Postrouting:
      return NAT_SOURCE;
    case Hook.Forward:
      return 0;
    default:
      hook satisfies never;
      return 0;
  }
}

export class Nat {
  readonly #stack: Stack;
  readonly #table: ConnectionTable;
  readonly #seed: number;
  readonly #now = new Tuple(null, false);
  readonly #target = new Tuple(null, false);
  readonly #address = new Address();
  readonly #quote = new NetworkError();
  /** What MASQUERADE has chosen, and where; looked at when `#generation` is not the routing table's any more. */
  readonly #masqueraded: { readonly address: Address; readonly nicId: number }[] = [];
  #generation = -1;

  constructor(stack: Stack, table: ConnectionTable) {
    this.#stack = stack;
    this.#table = table;
    this.#seed = stack.random.word();
  }

  /** Rules are to be asked for this packet at this hook. */
  wantsRules(view: PacketView): boolean {
    const { connection, isReply } = view.packet;
    if (!(connection instanceof Connection) || isReply || connection.isConfirmed) return false;
    return (connection.decided & sideOf(view.hook)) === 0 && !connection.hasReply;
  }

  /** Decides one side of a new connection. False: a rule asks for what cannot be; the packet is lost. */
  decide(view: PacketView, range: NatRange): boolean {
    const { connection } = view.packet;
    if (!(connection instanceof Connection) || !this.wantsRules(view)) return true;
    const side = sideOf(view.hook);
    connection.decided |= side;
    const now = this.#now;
    if (!now.invert(connection.reply)) return true;
    if (range.addressFirst !== null && range.addressFirst.isV4 !== now.source.isV4) return true;
    choose(this.#table, this.#stack.random, this.#seed, connection, now, side, range);
    this.#target.invert(now);
    if (!this.#target.equals(connection.reply)) {
      connection.reply.copy(this.#target);
      connection.translated |= side;
    }
    return true;
  }

  /** To a port of this host: the address of the interface that it came by, or loopback for our own. */
  redirect(view: PacketView, range: NatRange): boolean {
    const { isV4, incoming } = view;
    const address = this.#address;
    if (view.hook === Hook.Output || incoming === null || incoming.isLoopback) {
      if (isV4) address.setV4(0x7f000001);
      else address.setWords(0, 0, 0, 1);
    } else if (!firstAddress(incoming, isV4, address)) {
      return false;
    }
    return this.decide(view, { ...range, addressFirst: address, addressLast: null });
  }

  /** From the address that the outgoing interface has, for as long as it has it. */
  masquerade(view: PacketView, range: NatRange): boolean {
    const { outgoing, packet } = view;
    if (!this.wantsRules(view)) return true;
    if (outgoing === null || !chooseSource(this.#stack, outgoing, packet.destination, this.#address)) {
      return false;
    }
    if (packet.connection instanceof Connection) packet.connection.masqueradeNicId = outgoing.id;
    this.#noteMasquerade(this.#address, outgoing.id);
    return this.decide(view, { ...range, addressFirst: this.#address, addressLast: null });
  }

  /** No rule had anything to say: as it is, unless it would be taken for another. */
  decideNothing(view: PacketView): void {
    this.decide(view, KEEP);
  }

  /** Does to the packet what was decided for its connection at this hook. */
  apply(view: PacketView): void {
    const { connection, isReply } = view.packet;
    const side = sideOf(view.hook);
    if (side === 0) return;
    // An answer goes back through the other side: its source was the destination.
    const decided = isReply ? side ^ BOTH_SIDES : side;
    if (connection instanceof Connection) {
      if ((connection.translated & decided) === 0) return;
      this.#target.invert(isReply ? connection.original : connection.reply);
      this.#rewrite(view, side, this.#target);
    } else if (connection instanceof Related) {
      if ((connection.connection.translated & decided) === 0) return;
      this.#rewriteError(view, side, connection.connection, isReply);
    }
  }

  #rewrite(view: PacketView, side: number, target: Tuple): void {
    const address = side === NAT_SOURCE ? target.source : target.destination;
    const isIcmp = view.icmpType >= 0;
    const port = side === NAT_SOURCE || isIcmp ? target.sourcePort : target.destinationPort;
    rewritePacket(view.packet, view.transportAt, view.protocol, side, address, port);
    if (isIcmp) return;
    if (side === NAT_SOURCE) view.sourcePort = view.sourcePort < 0 ? -1 : port;
    else view.destinationPort = view.destinationPort < 0 ? -1 : port;
  }

  /** RFC 5508 section 4.2: the packet quoted looks as its sender has sent it, the error as if it came from whom it knows. */
  #rewriteError(view: PacketView, side: number, connection: Connection, isReply: boolean): void {
    const { packet, isV4, transportAt } = view;
    const quote = this.#quote;
    const quoteAt = transportAt + ICMP_BYTES;
    if (!readQuote(quote, packet.bytes, quoteAt, packet.end, isV4)) return;
    // The quoted packet goes the other way: what it was before translation is the tuple of that direction.
    const inner = isReply ? connection.original : connection.reply;
    const innerSide = side ^ BOTH_SIDES;
    const innerAddress = innerSide === NAT_SOURCE ? inner.source : inner.destination;
    const isQuery = innerSide === NAT_SOURCE || !hasPorts(inner);
    const innerPort = isQuery ? inner.sourcePort : inner.destinationPort;
    const { bytes, end } = packet;
    rewriteAt(bytes, quoteAt, quote.at, end, quote.protocol, innerSide, innerAddress, innerPort, false);
    this.#target.invert(inner);
    const outer = side === NAT_SOURCE ? this.#target.source : this.#target.destination;
    // The error has no port; its checksum is made anew below.
    rewriteAt(bytes, packet.at, transportAt, transportAt, view.protocol, side, outer, 0, false);
    (side === NAT_SOURCE ? packet.source : packet.destination).copy(outer);
    resealIcmp(packet, transportAt, isV4);
    if (packet.checksum === Checksum.Partial) packet.checksum = Checksum.Unknown;
  }

  #noteMasquerade(address: Address, nicId: number): void {
    for (const known of this.#masqueraded) if (known.nicId === nicId && known.address.equals(address)) return;
    if (this.#masqueraded.length < MASQUERADE_ADDRESSES_MAX) {
      this.#masqueraded.push({ address: address.clone(), nicId });
    }
  }

  /** Connections of MASQUERADE die with the address they live on, or its interface (nf_nat_masquerade_inet_notifier). */
  dropOrphans(): void {
    const { generation } = this.#stack.routes;
    if (generation === this.#generation) return;
    this.#generation = generation;
    let isAnyGone = this.#masqueraded.length >= MASQUERADE_ADDRESSES_MAX;
    for (let i = this.#masqueraded.length - 1; i >= 0; i--) {
      const { address, nicId } = this.#masqueraded[i];
      if (this.#isAlive(address, nicId)) continue;
      isAnyGone = true;
      this.#masqueraded.splice(i, 1);
    }
    if (!isAnyGone) return;
    this.#table.removeAll((connection) =>
      connection.masqueradeNicId !== 0 &&
      !this.#isAlive(connection.reply.destination, connection.masqueradeNicId)
    );
  }
  #isAlive(address: Address, nicId: number): boolean {
    return this.#stack.nics[nicId]?.isUp === true && this.#stack.nicOf(address) !== null;
  }
}

function hasPorts(tuple: Tuple): boolean {
  return tuple.protocol === IPPROTO_TCP || tuple.protocol === IPPROTO_UDP;
}

function firstAddress(nic: Nic, isV4: boolean, into: Address): boolean {
  for (const entry of nic.addresses) {
    if (entry.address.isV4 !== isV4 || !entry.isUsable || !isV4 && entry.address.isLinkLocal) continue;
    into.copy(entry.address);
    return true;
  }
  return false;
}
