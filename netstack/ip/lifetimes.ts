// Addresses that end: deprecated when their preferred lifetime is over, removed with their valid one (RFC 4862 section
// 5.5.4). For IPv4 too, as ip-address(8) has it.

import type { InterfaceAddress, Nic } from "../nic.ts";
import { NEVER, Timer, type TimerOwner } from "../timer.ts";

export class Lifetimes implements TimerOwner {
  readonly #nic: Nic;
  readonly #timer = new Timer(this, 0);

  constructor(nic: Nic) {
    this.#nic = nic;
  }

  /** Both as moments of the stack's clock, NEVER = for ever. */
  set(entry: InterfaceAddress, preferredUntil: number, validUntil: number): void {
    entry.preferredUntil = Math.min(preferredUntil, validUntil);
    entry.validUntil = validUntil;
    this.onTimer(0, this.#nic.stack.now);
  }

  onTimer(_kind: number, now: number): void {
    const { stack, addresses } = this.#nic;
    let next = NEVER;
    for (let i = addresses.length - 1; i >= 0; i--) {
      const entry = addresses[i];
      if (entry.validUntil <= now) {
        stack.removeAddress(this.#nic, entry.address);
        continue;
      }
      const isDeprecated = entry.preferredUntil <= now;
      if (isDeprecated !== entry.isDeprecated) {
        entry.isDeprecated = isDeprecated;
        stack.routes.generation++;
      }
      next = Math.min(next, entry.validUntil, isDeprecated ? NEVER : entry.preferredUntil);
    }
    if (next === NEVER) stack.timers.stop(this.#timer);
    else stack.timers.set(this.#timer, next);
  }

  close(): void {
    this.#nic.stack.timers.remove(this.#timer);
  }
}
