// Neighbours of an interface: which hardware address an IP address has, and whether it still answers. The states and times
// of RFC 4861 section 7.3, for ARP too, as Linux' net/core/neighbour.c has them.

import type { Address } from "./address.ts";
import { AddressMap } from "./address_map.ts";
import { sendArpRequest } from "./ip/arp.ts";
import { sendSolicitation } from "./ip/ndp_send.ts";
import type { Nic } from "./nic.ts";
import { NeighbourState } from "./numbers.ts";
import { type Packet, PacketQueue } from "./packet.ts";
import { Timer, type TimerOwner } from "./timer.ts";

/** Entries that are learned, per interface; the one longest unused goes. */
export const NEIGHBOURS_MAX = 1024;
/** Packets that wait for one resolution; the oldest is lost (unres_qlen). */
const WAITING_MAX = 64;
/** RFC 4861 section 10. */
const RETRANSMIT_NANOS = 1e9;
const REACHABLE_NANOS = 30e9;
const DELAY_FIRST_PROBE_NANOS = 5e9;
const MULTICAST_PROBES_MAX = 3;
const UNICAST_PROBES_MAX = 3;
/** How long a failed resolution answers at once, so that a dead host costs no flood of questions. */
const FAILED_NANOS = 3e9;

export class NeighbourEntry implements TimerOwner {
  readonly table: NeighbourTable;
  readonly address: Address;
  state: NeighbourState = NeighbourState.None;
  /** First two bytes and last four; meaningful in the states after Incomplete. */
  hardwareHigh = 0;
  hardwareLow = 0;
  isRouter = false;
  readonly #waiting = new PacketQueue();
  readonly #timer = new Timer(this, 0);
  #probes = 0;
  confirmedAt = 0;
  /** Taken out of its table: those who cached it look again. */
  isGone = false;

  constructor(table: NeighbourTable, address: Address) {
    this.table = table;
    this.address = address.clone();
  }

  get hasAddress(): boolean {
    return this.state >= NeighbourState.Reachable && this.state !== NeighbourState.Failed;
  }

  /** Sends `packet` to this neighbour, at once or when it is found. Takes it over. */
  send(packet: Packet): void {
    switch (this.state) {
      case NeighbourState.Stale:
        // RFC 4861 section 7.3.3: somebody above may confirm it in the meantime.
        this.#enter(NeighbourState.Delay, DELAY_FIRST_PROBE_NANOS);
        break;
      case NeighbourState.None:
        this.#wait(packet);
        this.#probes = 0;
        this.#enter(NeighbourState.Incomplete, 0);
        this.#solicit();
        return;
      case NeighbourState.Incomplete:
        this.#wait(packet);
        return;
      case NeighbourState.Failed:
        this.table.nic.stack.unreachable(packet);
        return;
      case NeighbourState.Reachable:
      case NeighbourState.Delay:
      case NeighbourState.Probe:
      case NeighbourState.Permanent:
        break;
    }
    packet.hardwareHigh = this.hardwareHigh;
    packet.hardwareLow = this.hardwareLow;
    this.table.nic.send(packet);
  }

  #wait(packet: Packet): void {
    if (this.#waiting.count >= WAITING_MAX) this.#waiting.shift()?.release();
    this.#waiting.push(packet);
  }

  /** A protocol above has made progress with it (RFC 4861 section 7.3.1): no probe is needed. */
  confirm(): void {
    switch (this.state) {
      case NeighbourState.Stale:
      case NeighbourState.Delay:
      case NeighbourState.Probe:
        this.#reachable();
        break;
      case NeighbourState.Reachable:
        this.confirmedAt = this.table.nic.stack.now;
        break;
      default:
        break;
    }
  }

  /**
   * Its hardware address was told. `isAnswer`: it answers a question of ours, and is reachable. `overrides`: another
   * address than the known one is believed (the O flag of an advertisement; ARP always).
   */
  learn(high: number, low: number, isAnswer: boolean, overrides: boolean): void {
    if (this.state === NeighbourState.Permanent) return;
    const isKnown = this.hasAddress;
    const isSame = isKnown && this.hardwareHigh === high && this.hardwareLow === low;
    if (isKnown && !isSame && !overrides) {
      if (this.state === NeighbourState.Reachable) this.#enter(NeighbourState.Stale, 0);
      return;
    }
    this.hardwareHigh = high;
    this.hardwareLow = low;
    if (isAnswer) this.#reachable();
    else if (!isSame) this.#enter(NeighbourState.Stale, 0);
    this.#flush();
  }

  makePermanent(high: number, low: number): void {
    this.hardwareHigh = high;
    this.hardwareLow = low;
    this.#enter(NeighbourState.Permanent, 0);
    this.#flush();
  }

  #flush(): void {
    for (let packet = this.#waiting.shift(); packet !== null; packet = this.#waiting.shift()) {
      this.send(packet);
    }
  }

  #reachable(): void {
    const stack = this.table.nic.stack;
    this.confirmedAt = stack.now;
    // Uniform between 0.5 and 1.5 of the base, RFC 4861 section 6.3.2.
    this.#enter(
      NeighbourState.Reachable,
      this.table.reachableNanos * (0.5 + stack.random.below(1000) / 1000),
    );
  }

  /** `nanos` until the timer fires, 0 = no timer. */
  #enter(state: NeighbourState, nanos: number): void {
    this.state = state;
    const { timers, now } = this.table.nic.stack;
    if (nanos > 0) timers.set(this.#timer, now + nanos);
    else timers.stop(this.#timer);
  }

  onTimer(_kind: number, now: number): void {
    const timers = this.table.nic.stack.timers;
    switch (this.state) {
      case NeighbourState.Reachable: {
        // Confirmed meanwhile: as long again from then.
        const until = this.confirmedAt + this.table.reachableNanos;
        if (until > now) timers.set(this.#timer, until);
        else this.#enter(NeighbourState.Stale, 0);
        return;
      }
      case NeighbourState.Delay:
        this.#probes = 0;
        this.state = NeighbourState.Probe;
        this.#solicit();
        return;
      case NeighbourState.Probe:
        if (this.#probes < UNICAST_PROBES_MAX) this.#solicit();
        else this.#fail();
        return;
      case NeighbourState.Incomplete:
        if (this.#probes < MULTICAST_PROBES_MAX) this.#solicit();
        else this.#fail();
        return;
      case NeighbourState.Failed:
        this.state = NeighbourState.None;
        return;
      case NeighbourState.None:
      case NeighbourState.Stale:
      case NeighbourState.Permanent:
        return;
    }
  }

  #solicit(): void {
    const { nic } = this.table;
    this.#probes++;
    nic.stack.timers.set(this.#timer, nic.stack.now + this.table.retransmitNanos);
    const first = this.#waiting.first;
    const source = first === null ? null : first.source;
    if (this.address.isV4) sendArpRequest(nic, this, source);
    else sendSolicitation(nic, this, source);
  }

  #fail(): void {
    this.#enter(NeighbourState.Failed, FAILED_NANOS);
    const { stack } = this.table.nic;
    for (let packet = this.#waiting.shift(); packet !== null; packet = this.#waiting.shift()) {
      stack.unreachable(packet);
    }
  }

  /** Its table lets go of it. */
  dispose(): void {
    this.isGone = true;
    this.table.nic.stack.timers.remove(this.#timer);
    this.#waiting.clear();
  }
}

export class NeighbourTable {
  readonly nic: Nic;
  readonly #entries: AddressMap<NeighbourEntry>;
  /** Base of the reachable time and time between questions; routers may say others (RFC 4861 section 6.3.4). */
  reachableNanos = REACHABLE_NANOS;
  retransmitNanos = RETRANSMIT_NANOS;

  constructor(nic: Nic) {
    this.nic = nic;
    this.#entries = new AddressMap(nic.stack.random.word());
  }

  get entries(): Iterable<NeighbourEntry> {
    return this.#entries.values();
  }
  get size(): number {
    return this.#entries.size;
  }

  find(address: Address): NeighbourEntry | null {
    return this.#entries.get(address);
  }

  /** The entry of `address`, made if there is none. */
  resolve(address: Address): NeighbourEntry {
    const known = this.#entries.get(address);
    if (known !== null) {
      this.#entries.touch(known.address);
      return known;
    }
    if (this.#entries.size >= NEIGHBOURS_MAX) this.#evict();
    const entry = new NeighbourEntry(this, address);
    this.#entries.set(entry.address, entry);
    return entry;
  }

  remove(address: Address): boolean {
    const entry = this.#entries.get(address);
    if (entry === null) return false;
    this.#entries.delete(entry.address);
    entry.dispose();
    return true;
  }

  /** All but the permanent ones go: the link was down. */
  flush(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state !== NeighbourState.Permanent) this.remove(entry.address);
    }
  }

  /** All go: the interface does. */
  clear(): void {
    for (const entry of this.#entries.values()) this.remove(entry.address);
  }

  /** The learned entry longest unused goes. Permanent ones are the embedder's, and do not count. */
  #evict(): void {
    for (const entry of this.#entries.values()) {
      if (entry.state === NeighbourState.Permanent) continue;
      this.remove(entry.address);
      return;
    }
  }
}
