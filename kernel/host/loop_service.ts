// What has work of its own in the kernel's loop, besides the calls of guests: deadlines, later the network stack. The loop
// knows no service by name. It waits no longer than the earliest pollAt(), and calls poll() of those that are due.

import type { Clock } from "../time/clock.ts";

export interface LoopService {
  /** For the log. */
  readonly name: string;
  /** When it has work next: monotonic nanoseconds, 0 = now, Infinity = not before something else has happened. */
  pollAt(): number;
  /** Does what is due at `now`, within bounds: other services and guests wait meanwhile. */
  poll(now: number): void;
  /** The Task for which it was at work when poll() threw, to be killed; null or absent: nobody's. */
  taskConcerned?(): unknown;
  /** It gets on whatever it throws, and nothing works without it: it is never left out. */
  readonly isVital?: boolean;
}

/** Errors of one service after which it is left out: it would fill the log and keep the loop from sleeping. */
export const SERVICE_ERRORS_MAX = 16;

export class LoopServices {
  /** Replaced, never changed, since services come and go while it is walked. */
  #services: readonly LoopService[] = [];
  readonly #errors = new Map<LoopService, number>();
  /** The service that has thrown in the last poll(), and what. */
  failed: LoopService | null = null;
  error: unknown = null;

  add(service: LoopService): void {
    this.#services = [...this.#services, service];
  }

  remove(service: LoopService): void {
    this.#services = this.#services.filter((one) => one !== service);
    this.#errors.delete(service);
  }

  /** When the earliest has work; Infinity = none has. */
  pollAt(): number {
    const services = this.#services;
    let earliest = Infinity;
    for (let i = 0; i < services.length; i++) {
      const at = services[i].pollAt();
      if (at < earliest) earliest = at;
    }
    return earliest;
  }

  /**
   * Has those that are due do their work; false when one has thrown (`failed`, `error`): the rest waits for the next turn.
   * The clock is read only if some service waits for a time.
   */
  poll(clock: Clock): boolean {
    const services = this.#services;
    let now = -1;
    for (let i = 0; i < services.length; i++) {
      const service = services[i];
      const at = service.pollAt();
      if (at === Infinity) continue;
      if (now < 0) now = clock.monotonic();
      if (at > now) continue;
      try {
        service.poll(now);
      } catch (error) {
        this.#noteError(service, error);
        return false;
      }
    }
    return true;
  }

  #noteError(service: LoopService, error: unknown): void {
    this.failed = service;
    this.error = error;
    if (service.isVital === true) return;
    const count = (this.#errors.get(service) ?? 0) + 1;
    this.#errors.set(service, count);
    if (count >= SERVICE_ERRORS_MAX) this.remove(service);
  }
}
