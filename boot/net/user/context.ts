// What the parts of a net process share: the stack that answers the sandbox, sockets of the host, which listener gets which event, the
// policy. Whatever is ready is entered once and served in turn, a bounded piece at a time.

import type { NativeSockets } from "../../../native/host_sockets.ts";
import { ADDRESS_BYTES } from "../../../native/host_sockets.ts";
import type { Address, Stack } from "../../../netstack/mod.ts";
import type { EgressPolicy } from "./policy.ts";

/** Largest piece that is moved at once; a datagram fits. */
export const CHUNK_BYTES = 256 * 1024;

/** Bytes in buffers of all connections beyond which no new one is made; at twice that one that wants more is reset. */
export const BUFFER_BYTES_MAX = 256 * 1024 * 1024;

export interface RelayContext {
  readonly stack: Stack;
  readonly sockets: NativeSockets;
  readonly watches: Watches;
  readonly turns: Turns;
  readonly policy: EgressPolicy;
  /** Scratch of the listener being called, CHUNK_BYTES. */
  readonly chunk: Uint8Array;
  readonly log: (text: string) => void;
}

/** Served in its turn after it was entered. */
export interface Served {
  /** It is on the list: kept by Turns. */
  isEntered: boolean;
  serve(): void;
}

export class Turns {
  #ready: Served[] = [];
  #serving: Served[] = [];

  get isIdle(): boolean {
    return this.#ready.length === 0;
  }

  enter(served: Served): void {
    if (served.isEntered) return;
    served.isEntered = true;
    this.#ready.push(served);
  }

  /** Serves all that were entered before, once each. */
  run(): void {
    const serving = this.#ready;
    this.#ready = this.#serving;
    this.#serving = serving;
    for (const served of serving) {
      served.isEntered = false;
      served.serve();
    }
    serving.length = 0;
  }
}

/** The host's wait: tsv_host_watch(). */
export interface HostPoller {
  watch(fd: number, events: number, cookie: number): number;
}

export interface HostListener {
  /** poll(2)'s events of its descriptor. */
  onHost(events: number): void;
}

/** Listeners by cookie. A cookie is used once, so that no listener gets an event of a descriptor that had its number before. */
export class Watches {
  readonly #poller: HostPoller;
  readonly #listeners = new Map<number, HostListener>();
  #next = 1;

  constructor(poller: HostPoller) {
    this.#poller = poller;
  }

  /** Watches `fd`, which stays the caller's, for `events`. */
  add(fd: number, events: number, listener: HostListener): Watch {
    while (this.#listeners.has(this.#next) || this.#next === 0) this.#next = this.#next + 1 >>> 0;
    const cookie = this.#next;
    this.#next = cookie + 1 >>> 0;
    this.#listeners.set(cookie, listener);
    return new Watch(this.#poller, this.#listeners, fd, cookie, events);
  }

  dispatch(cookie: number, events: number): void {
    this.#listeners.get(cookie)?.onHost(events);
  }
}

export class Watch {
  readonly #poller: HostPoller;
  readonly #listeners: Map<number, HostListener>;
  readonly #fd: number;
  readonly #cookie: number;
  #events = 0;

  constructor(
    poller: HostPoller,
    listeners: Map<number, HostListener>,
    fd: number,
    cookie: number,
    events: number,
  ) {
    this.#poller = poller;
    this.#listeners = listeners;
    this.#fd = fd;
    this.#cookie = cookie;
    this.set(events);
  }

  /** 0 = nothing, not even a hang-up. */
  set(events: number): void {
    if (events === this.#events) return;
    this.#events = events;
    this.#poller.watch(this.#fd, events, this.#cookie);
  }

  /** Before its descriptor is closed. */
  end(): void {
    this.set(0);
    this.#listeners.delete(this.#cookie);
  }
}

/** The block of native/host_sockets.ts. */
export function addressBlock(address: Address, port: number): Uint8Array {
  const block = new Uint8Array(ADDRESS_BYTES);
  address.write6(block, 0);
  block[16] = port >> 8;
  block[17] = port & 0xff;
  return block;
}
