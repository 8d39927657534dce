// Which address and port a translated connection gets: within what the rule says, as near to what it had as can be, and
// nobody else's. Linux: get_unique_tuple(), nf_nat_l4proto_unique_tuple(); RFC 4787 section 4.2, RFC 6056.

import { type Address, mix } from "../../address.ts";
import type { RandomWords } from "../../random.ts";
import { IPPROTO_ICMP, IPPROTO_ICMPV6, IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import { type Connection, NAT_SOURCE } from "../conntrack/connection.ts";
import type { ConnectionTable } from "../conntrack/connection_table.ts";
import { Tuple } from "../conntrack/tuple.ts";

/** Ports tried for one connection at most (NF_NAT_MAX_ATTEMPTS). */
export const PORT_TRIES_MAX = 128;

/** Where a translation leads. */
export interface NatRange {
  /** Inclusive; null = the address is left alone. */
  readonly addressFirst: Address | null;
  readonly addressLast: Address | null;
  /** Inclusive; null = as it is, or what is free. */
  readonly ports: { readonly first: number; readonly last: number } | null;
  /** The port is drawn by lot (--random, --random-fully). */
  readonly isRandom: boolean;
  /** A client has the same address for all destinations (--persistent). */
  readonly isPersistent: boolean;
}

const question = new Tuple(null, false);

/** Changes `tuple` (what the originator sends, as it is to leave here) as `range` says. `seed` hashes clients to addresses. */
export function choose(
  table: ConnectionTable,
  random: RandomWords,
  seed: number,
  connection: Connection,
  tuple: Tuple,
  side: number,
  range: NatRange,
): void {
  chooseAddress(tuple, side, range, seed);
  choosePort(table, random, connection, tuple, side, range);
}

function chooseAddress(tuple: Tuple, side: number, range: NatRange, seed: number): void {
  const { addressFirst, addressLast } = range;
  if (addressFirst === null) return;
  const address = side === NAT_SOURCE ? tuple.source : tuple.destination;
  let hash = tuple.source.hash(seed);
  if (!range.isPersistent) hash = tuple.destination.hash(hash);
  address.copy(addressFirst);
  if (addressLast === null) return;
  // The last word alone varies: checked when the rule was added.
  const count = (addressLast.d >>> 0) - (addressFirst.d >>> 0) + 1;
  address.d = addressFirst.d + (mix(hash, tuple.protocol) >>> 0) % count | 0;
}

function choosePort(
  table: ConnectionTable,
  random: RandomWords,
  connection: Connection,
  tuple: Tuple,
  side: number,
  range: NatRange,
): void {
  const { protocol } = tuple;
  const isIcmp = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
  if (!isIcmp && protocol !== IPPROTO_TCP && protocol !== IPPROTO_UDP) return;
  const isSource = side === NAT_SOURCE || isIcmp;
  const port = isSource ? tuple.sourcePort : tuple.destinationPort;
  // The service's number says which service: it is changed by order only.
  if (side !== NAT_SOURCE && range.ports === null) return;
  const first = range.ports === null ? lowest(port, isIcmp) : range.ports.first;
  const last = range.ports === null ? highest(port, isIcmp) : range.ports.last;
  if (first === last) return void put(tuple, isSource, first);
  const fits = range.ports === null || port >= first && port <= last;
  if (!range.isRandom && fits && isFree(table, connection, tuple)) return;
  const count = last - first + 1;
  const tries = Math.min(count, PORT_TRIES_MAX);
  // From where it was when it is not by lot; then by lot too, as its neighbourhood is crowded.
  let next = range.isRandom || !fits ? random.below(count) : (port - first + 1) % count;
  for (let n = 0; n < tries; n++) {
    if (n === PORT_TRIES_MAX >> 1) next = random.below(count);
    put(tuple, isSource, first + next);
    if (isFree(table, connection, tuple)) return;
    next = (next + 1) % count;
  }
  // Nothing is free: confirmation will find out that it clashes, and the packet is lost.
}

function put(tuple: Tuple, isSource: boolean, port: number): void {
  if (isSource) tuple.sourcePort = port;
  else tuple.destinationPort = port;
}

function isFree(table: ConnectionTable, connection: Connection, tuple: Tuple): boolean {
  question.invert(tuple);
  return !table.isTaken(question, connection);
}

/** Privileged ports stay privileged, and others do not become so. */
function lowest(port: number, isIcmp: boolean): number {
  if (isIcmp) return 0;
  return port < 512 ? 1 : port < 1024 ? 600 : 1024;
}
function highest(port: number, isIcmp: boolean): number {
  if (isIcmp) return 65_535;
  return port < 512 ? 511 : port < 1024 ? 1023 : 65_535;
}
