// The listening end of the control API: accepts clients, one wait for all of them, a call of each at a time. What a call does is
// its handler's business, which answers at once or later.

import { EAGAIN } from "../../../kernel/abi/errno.ts";
import { Budget } from "../../../kernel/util/kernel_memory.ts";
import type { NativeHost } from "../../../native/host.ts";
import { type NativeStreams, pollEvents, setPollEntry } from "../../../native/stream.ts";
import { type Call, Connection, Phase } from "./connection.ts";

/** Clients at one time. For one more, the one goes that has been idle longest. */
export const CONNECTIONS_MAX = 256;
/** Accepted in one turn. */
const ACCEPTED_MAX = 16;
/** Bytes of messages and answers of all clients together, beyond what each has anyway. */
const BUFFERED_BYTES_MAX = 64 * 1024 * 1024;

const POLLIN = 1;
const LISTENER = 0, LINK = 1, FIRST = 2;

/** Another descriptor that the same wait looks at. */
export interface Link {
  readonly fd: number;
  onReady(): void;
}

export class UrpcServer {
  readonly #host: NativeHost;
  readonly #streams: NativeStreams;
  readonly #listener: number;
  readonly #link: Link;
  readonly #handle: (call: Call) => void;
  readonly #now: () => number;
  readonly #budget = new Budget(BUFFERED_BYTES_MAX);
  #connections: Connection[] = [];
  #entries = new Int32Array(2 * (FIRST + CONNECTIONS_MAX));
  #isAccepting = true;

  /** Serves who connects to `listener`; `now` is in milliseconds. */
  constructor(
    host: NativeHost,
    streams: NativeStreams,
    listener: number,
    link: Link,
    now: () => number,
    handle: (call: Call) => void,
  ) {
    this.#host = host;
    this.#streams = streams;
    this.#listener = listener;
    this.#link = link;
    this.#now = now;
    this.#handle = handle;
  }

  get connectionCount(): number {
    return this.#connections.length;
  }

  /** Takes no new client, and ends those that have asked for nothing. */
  stop(): void {
    this.#isAccepting = false;
    for (const connection of this.#connections) if (connection.isIdle) connection.close();
    this.#sweep();
  }

  /** Waits `millis` at most for something to happen, and does what is due. */
  turn(millis: number): void {
    const entries = this.#entries, connections = this.#connections;
    setPollEntry(entries, LISTENER, this.#isAccepting ? this.#listener : -1, POLLIN);
    setPollEntry(entries, LINK, this.#link.fd, POLLIN);
    for (let i = 0; i < connections.length; i++) {
      setPollEntry(entries, FIRST + i, connections[i].fd, connections[i].events);
    }
    this.#streams.poll(entries, FIRST + connections.length, this.#wait(millis));
    if (pollEvents(entries, LINK) !== 0) this.#link.onReady();
    const now = this.#now();
    for (let i = 0; i < connections.length; i++) {
      const connection = connections[i];
      if (connection.phase === Phase.Closed) continue;
      if (connection.hasMore) connection.proceed();
      else if (pollEvents(entries, FIRST + i) !== 0) connection.onReady();
      if (connection.deadline <= now) connection.close();
    }
    this.#sweep();
    if (this.#isAccepting && pollEvents(entries, LISTENER) !== 0) this.#accept();
  }

  /** No longer than until the earliest deadline. */
  #wait(millis: number): number {
    let earliest = Infinity;
    for (const connection of this.#connections) {
      if (connection.hasMore) return 0;
      if (connection.deadline < earliest) earliest = connection.deadline;
    }
    if (earliest === Infinity) return millis;
    const left = Math.max(0, Math.ceil(earliest - this.#now()));
    return millis < 0 ? left : Math.min(left, millis);
  }

  #accept(): void {
    for (let count = 0; count < ACCEPTED_MAX; count++) {
      const fd = this.#streams.accept(this.#listener);
      if (fd === -EAGAIN) return;
      // It has disconnected meanwhile, or we have no descriptor left: clients that are connected come first.
      if (fd < 0) return;
      if (this.#connections.length >= CONNECTIONS_MAX && !this.#evict()) {
        this.#host.close(fd);
        continue;
      }
      const now = this.#now;
      this.#connections.push(
        new Connection(this.#host, this.#streams, fd, this.#budget, now, this.#handle),
      );
    }
  }

  /** Ends the client that has been idle longest. False when all have something to do. */
  #evict(): boolean {
    let oldest: Connection | null = null;
    for (const connection of this.#connections) {
      if (connection.isIdle && (oldest === null || connection.activeAt < oldest.activeAt)) {
        oldest = connection;
      }
    }
    oldest?.close();
    this.#sweep();
    return oldest !== null;
  }

  #sweep(): void {
    if (!this.#connections.some((connection) => connection.phase === Phase.Closed)) return;
    this.#connections = this.#connections.filter((connection) => connection.phase !== Phase.Closed);
  }
}
