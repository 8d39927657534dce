// The connections by both of their tuples. Bounded: when it is full, one that nobody would miss goes, or the new one is not
// let in. Entries die by the stack's timers, in sweeps of a bounded number of buckets, and are dead for whoever finds them
// later than that. Linux: nf_conntrack_core.c, gc_worker(), early_drop().

import type { Stack } from "../../stack.ts";
import { NEVER, Timer, type TimerOwner } from "../../timer.ts";
import { Connection } from "./connection.ts";
import { ConntrackStatistics } from "./statistics.ts";
import type { Tuple } from "./tuple.ts";

/** Connections at most (nf_conntrack_max) unless said otherwise, and hash buckets (nf_conntrack_buckets). */
export const CONNECTIONS_MAX = 65_536;
const BUCKETS = 16_384;
/** Buckets of one sweep, and the pause until the next while a pass is under way, and between passes. */
const SWEEP_BUCKETS = 1024;
const SWEEP_NANOS = 20e6;
const PASS_NANOS = 1e9;
/** Buckets searched for somebody to drop (NF_CT_EVICTION_RANGE). */
const EVICTION_BUCKETS = 8;

export class ConnectionTable implements TimerOwner {
  readonly #stack: Stack;
  readonly #seed: number;
  readonly #buckets: (Tuple | null)[] = new Array(BUCKETS).fill(null);
  readonly #timer = new Timer(this, 0);
  /** The next bucket to sweep, and the earliest end of an entry seen in this pass. */
  #sweepAt = 0;
  #earliest = NEVER;
  /** The connection of the packet at hand, not entered yet: errors about that packet belong to it. */
  #pending: Connection | null = null;
  readonly statistics = new ConntrackStatistics();
  connectionsMax: number;
  size = 0;

  constructor(stack: Stack, connectionsMax = CONNECTIONS_MAX) {
    this.#stack = stack;
    this.#seed = stack.random.word();
    this.connectionsMax = connectionsMax;
  }

  /** The living entry's tuple that equals `tuple`; null = there is none. */
  find(tuple: Tuple): Tuple | null {
    const { now } = this.#stack;
    const bucket = tuple.hash(this.#seed) & (BUCKETS - 1);
    for (let entry = this.#buckets[bucket]; entry !== null; entry = entry.next) {
      if (!entry.equals(tuple)) continue;
      const connection = entry.connection!;
      if (connection.expires > now) return entry;
      this.remove(connection);
      return null;
    }
    const pending = this.#pending;
    if (pending === null || pending.isConfirmed) return null;
    if (pending.original.equals(tuple)) return pending.original;
    return pending.reply.equals(tuple) ? pending.reply : null;
  }

  /** Whether a reply to `tuple` would be taken for somebody else's than `own`. */
  isTaken(tuple: Tuple, own: Connection): boolean {
    const found = this.find(tuple);
    return found !== null && found.connection !== own;
  }

  /** A connection to be confirmed; null when there is no room. One that never was is used again. */
  allocate(): Connection | null {
    const { now } = this.#stack;
    if (this.size >= this.connectionsMax && !this.#dropEarly()) return null;
    const unused = this.#pending;
    const connection = unused === null || unused.isConfirmed ? new Connection() : unused;
    connection.begin(now);
    this.#pending = connection;
    return connection;
  }

  /** Enters a connection, its packet being let through; false when another has one of its tuples. */
  confirm(connection: Connection): boolean {
    if (this.#pending === connection) this.#pending = null;
    if (this.find(connection.original) !== null || this.find(connection.reply) !== null) {
      this.statistics.insertFailed++;
      return false;
    }
    this.#enter(connection.original);
    this.#enter(connection.reply);
    connection.isConfirmed = true;
    this.size++;
    this.statistics.insert++;
    this.noteExpiry(connection);
    return true;
  }

  /** The connection's end was moved to an earlier time. */
  noteExpiry(connection: Connection): void {
    const at = Math.max(connection.expires, this.#stack.now + PASS_NANOS);
    if (at < this.#earliest) this.#earliest = at;
    if (at < this.#timer.at) this.#stack.timers.set(this.#timer, at);
  }

  remove(connection: Connection): void {
    if (!connection.isConfirmed) return;
    connection.isConfirmed = false;
    // A holder that still has it (a packet on its way) must not take it for new.
    connection.hasReply = true;
    this.#leave(connection.original);
    this.#leave(connection.reply);
    this.size--;
    this.statistics.deleted++;
    if (this.size === 0) this.#stack.timers.stop(this.#timer);
  }

  /** Removes all that `matches`, how many there were. */
  removeAll(matches: (connection: Connection) => boolean): number {
    let removed = 0;
    for (let i = 0; i < BUCKETS; i++) {
      for (let entry = this.#buckets[i]; entry !== null;) {
        const { next, connection } = entry;
        if (!entry.isReply && matches(connection!)) {
          this.remove(connection!);
          removed++;
          // Both of its tuples may have stood here.
          entry = this.#buckets[i];
        } else {
          entry = next;
        }
      }
    }
    return removed;
  }

  /** Every living connection, for lists. */
  *connections(): IterableIterator<Connection> {
    const { now } = this.#stack;
    for (let i = 0; i < BUCKETS; i++) {
      for (let entry = this.#buckets[i]; entry !== null; entry = entry.next) {
        if (!entry.isReply && entry.connection!.expires > now) yield entry.connection!;
      }
    }
  }

  onTimer(_kind: number, now: number): void {
    const end = Math.min(BUCKETS, this.#sweepAt + SWEEP_BUCKETS);
    if (this.#sweepAt === 0) this.#earliest = NEVER;
    for (; this.#sweepAt < end; this.#sweepAt++) {
      for (let entry = this.#buckets[this.#sweepAt]; entry !== null;) {
        const { next, connection } = entry;
        if (connection!.expires <= now) {
          this.remove(connection!);
          entry = next !== null && next.bucket < 0 ? this.#buckets[this.#sweepAt] : next;
        } else {
          if (connection!.expires < this.#earliest) this.#earliest = connection!.expires;
          entry = next;
        }
      }
    }
    if (this.size === 0) {
      this.#sweepAt = 0;
      return;
    }
    if (this.#sweepAt < BUCKETS) {
      this.#stack.timers.set(this.#timer, now + SWEEP_NANOS);
      return;
    }
    this.#sweepAt = 0;
    this.#stack.timers.set(this.#timer, Math.max(this.#earliest, now + PASS_NANOS));
  }

  clear(): void {
    this.removeAll(() => true);
    this.#pending = null;
    this.#stack.timers.remove(this.#timer);
  }

  /** Makes room by the entry whose last packet is oldest among the unassured of some buckets. */
  #dropEarly(): boolean {
    const start = this.#stack.random.below(BUCKETS);
    let victim: Connection | null = null;
    let searched = 0;
    // Empty buckets do not count, or a sparse table would never find anybody.
    for (let i = 0; i < BUCKETS && searched < EVICTION_BUCKETS; i++) {
      const first = this.#buckets[(start + i) & (BUCKETS - 1)];
      if (first !== null) searched++;
      for (let entry = first; entry !== null; entry = entry.next) {
        const connection = entry.connection!;
        if (connection.isAssured && connection.expires > this.#stack.now) continue;
        if (victim === null || connection.expires < victim.expires) victim = connection;
      }
    }
    if (victim === null) {
      this.statistics.drop++;
      return false;
    }
    this.remove(victim);
    this.statistics.earlyDrop++;
    return true;
  }

  #enter(tuple: Tuple): void {
    const bucket = tuple.bucket = tuple.hash(this.#seed) & (BUCKETS - 1);
    tuple.next = this.#buckets[bucket];
    this.#buckets[bucket] = tuple;
  }
  #leave(tuple: Tuple): void {
    const { bucket } = tuple;
    if (this.#buckets[bucket] === tuple) {
      this.#buckets[bucket] = tuple.next;
    } else {
      for (let entry = this.#buckets[bucket]; entry !== null; entry = entry.next) {
        if (entry.next !== tuple) continue;
        entry.next = tuple.next;
        break;
      }
    }
    tuple.bucket = -1;
    tuple.next = null;
  }
}
