// Waits on descriptors of the host: stdio, terminals, sockets of the sandbox's own. A watch is level-triggered; its listener
// is called in the kernel's turn, and must bear to be called for nothing.

import type { Platform } from "../../platform/platform.ts";
import type { HostDescriptor } from "./host_descriptor.ts";

export interface HostListener {
  /** Poll events that hold. */
  onHostEvents(events: number): void;
  /** The Task that an error thrown there kills; without one it is logged alone. */
  taskConcerned?(): unknown;
}

/** Errors of one listener after which its watch ends: it would fill the log and keep the loop from sleeping. */
export const LISTENER_ERRORS_MAX = 16;

export class HostWatch {
  readonly listener: HostListener;
  readonly #all: HostWatches;
  readonly #descriptor: HostDescriptor;
  /** Index in HostWatches, -1 once it has ended. */
  #cookie: number;
  /** Poll events that are waited for now; 0 = none. */
  #events = 0;
  #errors = 0;

  constructor(all: HostWatches, descriptor: HostDescriptor, listener: HostListener, cookie: number) {
    this.#all = all;
    this.#descriptor = descriptor;
    this.listener = listener;
    this.#cookie = cookie;
  }

  get purpose(): string {
    return this.#descriptor.purpose;
  }

  /** Waits for `events` from now on instead; 0 = for nothing. */
  set(events: number): void {
    if (events === this.#events || this.#cookie < 0) return;
    this.#events = events;
    this.#all.platform.watch(this.#descriptor.fd, events, this.#cookie);
  }

  /** The listener has thrown. */
  noteError(): void {
    if (++this.#errors >= LISTENER_ERRORS_MAX) this.end();
  }

  /** Ends it, before the descriptor closes. Safe to call again. */
  end(): void {
    if (this.#cookie < 0) return;
    this.set(0);
    this.#all.onEnded(this.#cookie);
    this.#cookie = -1;
  }
}

export class HostWatches {
  readonly platform: Platform;
  /** By cookie: what the platform gives back with an event. */
  readonly #watches: (HostWatch | null)[] = [];

  constructor(platform: Platform) {
    this.platform = platform;
  }

  /** A watch of `descriptor` for poll `events`; one at a time for each number of the host's. */
  add(descriptor: HostDescriptor, events: number, listener: HostListener): HostWatch {
    let cookie = this.#watches.indexOf(null);
    if (cookie < 0) cookie = this.#watches.length;
    const watch = new HostWatch(this, descriptor, listener, cookie);
    this.#watches[cookie] = watch;
    watch.set(events);
    return watch;
  }

  /** The watch that an event with `cookie` belongs to; null when it has ended since. */
  at(cookie: number): HostWatch | null {
    return this.#watches[cookie] ?? null;
  }

  /** For HostWatch alone. */
  onEnded(cookie: number): void {
    this.#watches[cookie] = null;
  }
}
