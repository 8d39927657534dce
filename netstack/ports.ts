// Local ports of one transport: who may bind what beside whom, and which port nobody asked for by number. Linux:
// inet_csk_bind_conflict(), udp_lib_lport_inuse(), __inet_hash_connect(); RFC 6056 section 3.3.

import { type Address, mix } from "./address.ts";
import { EADDRINUSE, EADDRNOTAVAIL } from "./errno.ts";
import type { RandomWords } from "./random.ts";

/** Default of ip_local_port_range. */
export const PORT_FIRST = 32768;
export const PORT_LAST = 60999;
/** Bindings of one port at most: SO_REUSEPORT groups and connections that share their listener's port. */
const SHARED_MAX = 65_536;
/** Counters of RFC 6056 algorithm 4; a power of two. */
const OFFSETS = 256;

/** One hold on a port. */
export class PortBinding {
  readonly address: Address;
  readonly port: number;
  /** Bound to this interface alone, 0 = any. */
  readonly nicId: number;
  /** "::" that takes no IPv4. */
  readonly isV6Only: boolean;
  reuseAddress: boolean;
  reusePort: boolean;
  readonly uid: number;
  /** TCP: somebody listens here; SO_REUSEADDR does not share with that. */
  isListening = false;

  constructor(
    address: Address,
    port: number,
    nicId: number,
    isV6Only: boolean,
    reuseAddress: boolean,
    reusePort: boolean,
    uid: number,
  ) {
    this.address = address.clone();
    this.port = port;
    this.nicId = nicId;
    this.isV6Only = isV6Only;
    this.reuseAddress = reuseAddress;
    this.reusePort = reusePort;
    this.uid = uid;
  }
}

/** Connections of one port. */
class PortHold {
  count = 0;
  /** Of them, those with SO_REUSEADDR and with SO_REUSEPORT. */
  sharingAddress = 0;
  sharingPort = 0;
}

export class PortTable {
  readonly #bindings = new Map<number, PortBinding[]>();
  readonly #random: RandomWords;
  readonly #secret: number;
  first = PORT_FIRST;
  last = PORT_LAST;
  /** Ports of connections (those of a listener, those in TIME-WAIT), and how many of them let others bind beside them. */
  readonly #held = new Map<number, PortHold>();
  /** Where the next choice for a bucket of destinations begins (RFC 6056 algorithm 4). */
  readonly #offsets = new Uint32Array(OFFSETS);
  /** Ports not given out by choice (ip_local_reserved_ports). */
  readonly reserved = new Set<number>();

  constructor(random: RandomWords) {
    this.#random = random;
    this.#secret = random.word();
    for (let i = 0; i < OFFSETS; i++) this.#offsets[i] = random.word();
  }

  /** Takes the port of `wanted`, or for port 0 one of the range; a binding or -EADDRINUSE. */
  bind(wanted: PortBinding): PortBinding | number {
    if (wanted.port !== 0) {
      if (this.conflicts(wanted, wanted.port) || this.#isHeldAgainst(wanted, wanted.port)) return -EADDRINUSE;
      return this.#enter(wanted);
    }
    const count = this.last - this.first + 1;
    const start = this.#random.below(count);
    for (let i = 0; i < count; i++) {
      const port = this.first + (start + i) % count;
      if (this.reserved.has(port) || this.conflicts(wanted, port) || this.#isHeldAgainst(wanted, port)) {
        continue;
      }
      return this.#enter(
        new PortBinding(
          wanted.address,
          port,
          wanted.nicId,
          wanted.isV6Only,
          wanted.reuseAddress,
          wanted.reusePort,
          wanted.uid,
        ),
      );
    }
    return -EADDRINUSE;
  }

  /**
   * A port for a connection from `source` to `destination`:`port`, for which `isFree` says whether the four are not in use
   * (RFC 6056 algorithm 4: a hash of the destination says where to begin, and a counter where it was left). The port, or
   * -EADDRNOTAVAIL.
   */
  choose(source: Address, destination: Address, port: number, isFree: (port: number) => boolean): number {
    const count = this.last - this.first + 1;
    const hash = mix(destination.hash(source.hash(this.#secret)), port);
    const bucket = hash >>> 24 & OFFSETS - 1;
    const start = (hash >>> 0) + this.#offsets[bucket];
    for (let i = 0; i < count; i++) {
      const candidate = this.first + (start + i) % count;
      if (this.reserved.has(candidate) || !isFree(candidate)) continue;
      this.#offsets[bucket] += i + 1 + this.#random.below(4);
      return candidate;
    }
    return -EADDRNOTAVAIL;
  }

  /** A connection has `port`; nobody may bind it unless both sides allow it. */
  hold(port: number, reusesAddress: boolean, reusesPort: boolean): void {
    let held = this.#held.get(port);
    if (held === undefined) this.#held.set(port, held = new PortHold());
    held.count++;
    if (reusesAddress) held.sharingAddress++;
    if (reusesPort) held.sharingPort++;
  }
  unhold(port: number, reusesAddress: boolean, reusesPort: boolean): void {
    const held = this.#held.get(port);
    if (held === undefined) return;
    if (--held.count === 0) {
      this.#held.delete(port);
      return;
    }
    if (reusesAddress) held.sharingAddress--;
    if (reusesPort) held.sharingPort--;
  }
  /** `wanted` cannot have `port` beside the connections there. Linux looks at their addresses too; the port decides here. */
  #isHeldAgainst(wanted: PortBinding, port: number): boolean {
    const held = this.#held.get(port);
    if (held === undefined) return false;
    const sharesAddress = wanted.reuseAddress && held.sharingAddress === held.count;
    const sharesPort = wanted.reusePort && held.sharingPort === held.count;
    return !sharesAddress && !sharesPort;
  }

  /** Somebody holds `port` by bind(). */
  isBound(port: number): boolean {
    return this.#bindings.has(port);
  }

  #enter(binding: PortBinding): PortBinding {
    const list = this.#bindings.get(binding.port);
    if (list === undefined) this.#bindings.set(binding.port, [binding]);
    else list.push(binding);
    return binding;
  }

  release(binding: PortBinding): void {
    const list = this.#bindings.get(binding.port);
    if (list === undefined) return;
    const i = list.indexOf(binding);
    if (i >= 0) list.splice(i, 1);
    if (list.length === 0) this.#bindings.delete(binding.port);
  }

  /** `wanted` cannot have `port` beside those who have it. For listen() too, with isListening set. */
  conflicts(wanted: PortBinding, port: number): boolean {
    const list = this.#bindings.get(port);
    if (list === undefined) return false;
    if (list.length >= SHARED_MAX) return true;
    for (const other of list) {
      if (other === wanted) continue;
      if (wanted.nicId !== 0 && other.nicId !== 0 && wanted.nicId !== other.nicId) continue;
      if (!overlap(wanted, other)) continue;
      const sharesAddress = wanted.reuseAddress && other.reuseAddress && !other.isListening;
      const sharesPort = wanted.reusePort && other.reusePort && wanted.uid === other.uid;
      if (!sharesAddress && !sharesPort) return true;
    }
    return false;
  }
}

/** Some packet could be for both. */
function overlap(a: PortBinding, b: PortBinding): boolean {
  const isWildA = a.address.isUnspecified, isWildB = b.address.isUnspecified;
  const v4A = a.address.isV4, v4B = b.address.isV4;
  if (v4A === v4B) return isWildA || isWildB || a.address.equals(b.address);
  // Of different families: only "::" of a dual-stack endpoint meets IPv4.
  const six = v4A ? b : a;
  return six.address.isUnspecified && !six.isV6Only;
}
