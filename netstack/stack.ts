// The root of a network stack: what it was given (clock through poll, randomness, packet memory), its interfaces, tables
// and protocols. One thread, no promises: poll(now) does what is to do, pollAt() says when there is more.

import type { Link } from "./link/link.ts";
import { Nic } from "./nic.ts";
import type { Packet, PacketPool } from "./packet.ts";
import { type RandomSource, RandomWords } from "./random.ts";
import { TimerQueue } from "./timer.ts";

/** Packets taken from one link in one turn, so that no link starves the others and the kernel's own work. */
const POLL_BUDGET = 64;

export interface StackEnvironment {
  readonly pool: PacketPool;
  readonly random: RandomSource;
  /** One line for the operator: refused martians, full tables. Rate-limited by whoever calls it. */
  log(text: string): void;
}

export class Stack {
  readonly pool: PacketPool;
  readonly random: RandomWords;
  readonly log: (text: string) => void;
  readonly timers = new TimerQueue();
  /** By interface index; index 0 is never used. Removed ones leave undefined. */
  readonly nics: (Nic | undefined)[] = [undefined];
  /** Monotonic nanoseconds of the last poll(). */
  now = 0;

  constructor(environment: StackEnvironment) {
    this.pool = environment.pool;
    this.random = new RandomWords(environment.random);
    this.log = environment.log;
  }

  addNic(name: string, link: Link): Nic {
    const nic = new Nic(this, this.nics.length, name, link);
    this.nics.push(nic);
    return nic;
  }

  /** Receives, fires timers, sends. True when there is more to do at once. */
  poll(now: number): boolean {
    this.now = now;
    let isBusy = false;
    for (let i = 1; i < this.nics.length; i++) {
      const nic = this.nics[i];
      if (nic !== undefined && nic.link.poll(now, POLL_BUDGET) === POLL_BUDGET) isBusy = true;
    }
    this.timers.expire(now);
    for (let i = 1; i < this.nics.length; i++) this.nics[i]?.link.flush();
    return isBusy;
  }

  /** When poll() is to be called at the latest, nanoseconds; NEVER = only when a device has something. */
  pollAt(): number {
    let at = this.timers.next;
    for (let i = 1; i < this.nics.length; i++) {
      const nic = this.nics[i];
      if (nic !== undefined) at = Math.min(at, nic.link.pollAt());
    }
    return at;
  }

  /** A packet for the network layer. */
  receive(_packet: Packet, _nic: Nic): void {}
}
