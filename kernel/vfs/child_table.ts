// The children of a dentry by name. A path walk looks names up in place, as bytes of the path, by a hash of their bytes that
// it makes while it looks for the next slash: no string is cut out for a name that is known.

import type { Dentry } from "./dentry.ts";

/** Hash of name.slice(start, end). */
export function hashOf(text: string, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i++) hash = Math.imul(hash, 31) + text.charCodeAt(i) | 0;
  return hash & HASH_MASK;
}

/** One step of hashOf, for who walks over the bytes anyway; the result is to be masked with HASH_MASK. */
export function hashStep(hash: number, code: number): number {
  return Math.imul(hash, 31) + code | 0;
}

/** Keeps hashes small integers, which maps look up fastest. */
export const HASH_MASK = 0x3fff_ffff;

export class ChildTable {
  /** By hash; those of equal hashes are chained by nextOfHash. */
  readonly #byHash = new Map<number, Dentry>();
  size = 0;

  /** The child named text.slice(start, end), whose hash is `hash`. */
  find(text: string, start: number, end: number, hash: number): Dentry | null {
    let child = this.#byHash.get(hash) ?? null;
    while (child !== null && !isNamed(child.name, text, start, end)) child = child.nextOfHash;
    return child;
  }

  /** Enters `child`; none of its name may be there. */
  add(child: Dentry): void {
    const hash = hashOf(child.name, 0, child.name.length);
    child.nextOfHash = this.#byHash.get(hash) ?? null;
    this.#byHash.set(hash, child);
    this.size++;
  }

  /** Takes `child` out; false if it was not there. */
  remove(child: Dentry): boolean {
    const hash = hashOf(child.name, 0, child.name.length);
    const first = this.#byHash.get(hash);
    if (first === undefined) return false;
    if (first === child) {
      if (child.nextOfHash === null) this.#byHash.delete(hash);
      else this.#byHash.set(hash, child.nextOfHash);
    } else {
      let before = first;
      while (before.nextOfHash !== null && before.nextOfHash !== child) before = before.nextOfHash;
      if (before.nextOfHash === null) return false;
      before.nextOfHash = child.nextOfHash;
    }
    child.nextOfHash = null;
    this.size--;
    return true;
  }

  /** All children at this moment. */
  all(): Dentry[] {
    const children: Dentry[] = [];
    for (const first of this.#byHash.values()) {
      for (let child: Dentry | null = first; child !== null; child = child.nextOfHash) children.push(child);
    }
    return children;
  }
}

function isNamed(name: string, text: string, start: number, end: number): boolean {
  if (name.length !== end - start) return false;
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) !== text.charCodeAt(start + i)) return false;
  return true;
}
