// A table by IP address that allocates nothing at a look-up, and finds the entry that was longest unused.
// Buckets are chosen by a hash with a secret, so that nobody can fill one of them.

import type { Address } from "./address.ts";

const BUCKETS_MIN = 16;

interface Node<T> {
  readonly address: Address;
  value: T;
  next: Node<T> | null;
  /** Neighbours in the order of use. */
  older: Node<T> | null;
  newer: Node<T> | null;
}

export class AddressMap<T> {
  readonly #seed: number;
  #buckets: (Node<T> | null)[] = new Array(BUCKETS_MIN).fill(null);
  #oldest: Node<T> | null = null;
  #newest: Node<T> | null = null;
  size = 0;

  constructor(seed: number) {
    this.#seed = seed;
  }

  get(address: Address): T | null {
    const node = this.#find(address);
    return node === null ? null : node.value;
  }

  /** Enters or replaces; the entry counts as just used. `address` is kept and must not change. */
  set(address: Address, value: T): void {
    const known = this.#find(address);
    if (known !== null) {
      known.value = value;
      this.#toFront(known);
      return;
    }
    if (this.size >= 2 * this.#buckets.length) this.#grow();
    const bucket = this.#bucketOf(address);
    const node: Node<T> = { address, value, next: this.#buckets[bucket], older: null, newer: null };
    this.#buckets[bucket] = node;
    this.#append(node);
    this.size++;
  }

  /** The entry of `address` was used: it is the last to go. */
  touch(address: Address): void {
    const node = this.#find(address);
    if (node !== null) this.#toFront(node);
  }

  delete(address: Address): boolean {
    const bucket = this.#bucketOf(address);
    let before: Node<T> | null = null;
    for (let node = this.#buckets[bucket]; node !== null; before = node, node = node.next) {
      if (!node.address.equals(address)) continue;
      if (before === null) this.#buckets[bucket] = node.next;
      else before.next = node.next;
      this.#unlink(node);
      this.size--;
      return true;
    }
    return false;
  }

  clear(): void {
    this.#buckets = new Array(BUCKETS_MIN).fill(null);
    this.#oldest = this.#newest = null;
    this.size = 0;
  }

  /** The address longest unused, null = none is there. */
  get oldest(): Address | null {
    return this.#oldest === null ? null : this.#oldest.address;
  }

  /** All values, the one longest unused first. An entry may be deleted while it is the current one. */
  *values(): IterableIterator<T> {
    for (let node = this.#oldest; node !== null;) {
      const { newer } = node;
      yield node.value;
      node = newer;
    }
  }

  #find(address: Address): Node<T> | null {
    for (let node = this.#buckets[this.#bucketOf(address)]; node !== null; node = node.next) {
      if (node.address.equals(address)) return node;
    }
    return null;
  }
  #bucketOf(address: Address): number {
    return address.hash(this.#seed) & (this.#buckets.length - 1);
  }

  #toFront(node: Node<T>): void {
    if (this.#newest === node) return;
    this.#unlink(node);
    this.#append(node);
  }
  #append(node: Node<T>): void {
    node.older = this.#newest;
    node.newer = null;
    if (this.#newest === null) this.#oldest = node;
    else this.#newest.newer = node;
    this.#newest = node;
  }
  #unlink(node: Node<T>): void {
    if (node.older === null) this.#oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === null) this.#newest = node.older;
    else node.newer.older = node.older;
  }

  #grow(): void {
    this.#buckets = new Array(2 * this.#buckets.length).fill(null);
    for (let node = this.#oldest; node !== null; node = node.newer) {
      const bucket = this.#bucketOf(node.address);
      node.next = this.#buckets[bucket];
      this.#buckets[bucket] = node;
    }
  }
}
