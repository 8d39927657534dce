// Dentries: names in the tree and the cache of look-ups, positive and negative. Linux: struct dentry, fs/dcache.c.
// A dentry lives as long as something refers to it (children, paths); the cache beyond that is bounded by an LRU list of
// dentries that nobody has opened or mounted on.

import { ENOENT } from "../abi/errno.ts";
import type { Inode } from "./inode.ts";

/** Unused dentries kept, over all file systems. */
export const DENTRIES_UNUSED_MAX = 20_000;

export class Dentry {
  /** "" for the root of a file system. */
  name: string;
  /** null for the root of a file system and for one that was removed. */
  parent: Dentry | null;
  /** null = negative: the name is known not to exist. */
  inode: Inode | null;
  #children: Map<string, Dentry> | null = null;
  /** Paths, open files, mounts and children that use it; at zero it may be evicted. */
  #uses = 0;
  /** Removed from its directory; it may still be open. */
  isUnlinked = false;
  /** Something is mounted here in some namespace: look for it in the mount table. */
  mountCount = 0;
  #isListed = false;

  constructor(name: string, parent: Dentry | null, inode: Inode | null) {
    this.name = name;
    this.parent = parent;
    this.inode = inode;
  }

  get isNegative(): boolean {
    return this.inode === null;
  }

  hold(): void {
    this.#uses++;
  }

  drop(): void {
    if (--this.#uses > 0) return;
    if (this.isUnlinked || this.parent === null) this.#forget();
    else if (!this.#isListed) list(this);
  }

  #forget(): void {
    this.inode?.drop();
    this.inode = null;
  }

  /** The cached child of that name, or null. */
  child(name: string): Dentry | null {
    return this.#children?.get(name) ?? null;
  }

  /** The child of that name, looked up in the file system where the cache does not know. -ERRNO other than ENOENT. */
  lookup(name: string): Dentry | number {
    const directory = this.inode!;
    const known = this.child(name);
    if (known !== null && directory.isCacheable) return known;
    const found = directory.lookup(name);
    if (typeof found === "number") {
      if (found !== -ENOENT) return found;
      if (known !== null && known.inode !== null) this.#detach(known);
      return directory.isCacheable ? this.add(name, null) : new Dentry(name, this, null);
    }
    if (known !== null) {
      if (known.inode === found) return known;
      this.#detach(known);
    }
    return this.add(name, found);
  }

  /** Enters a child. It starts unused: whoever keeps it holds it. */
  add(name: string, inode: Inode | null): Dentry {
    const child = new Dentry(name, this, inode);
    inode?.hold();
    if (this.#children === null) this.#children = new Map();
    const before = this.#children.get(name);
    if (before !== undefined) this.#detach(before);
    this.#children.set(name, child);
    list(child);
    return child;
  }

  /** A negative child has come into being. */
  instantiate(inode: Inode): void {
    inode.hold();
    this.inode = inode;
  }

  /** The child has been removed from the file system: the name is free, who has it open keeps it. */
  remove(child: Dentry): void {
    this.#children?.delete(child.name);
    child.isUnlinked = true;
    if (child.#uses === 0) child.#forget();
  }

  /** Takes a cached child out that turned out to be stale. */
  #detach(child: Dentry): void {
    if (this.#children?.get(child.name) === child) this.#children.delete(child.name);
    child.isUnlinked = true;
    if (child.#uses === 0) child.#forget();
  }

  /** Moves `child` of this directory to `to` under another name, after a rename in the file system. */
  moveChild(child: Dentry, to: Dentry, name: string): void {
    this.#children?.delete(child.name);
    const replaced = to.child(name);
    if (replaced !== null && replaced !== child) to.remove(replaced);
    child.name = name;
    child.parent = to;
    if (to.#children === null) to.#children = new Map();
    to.#children.set(name, child);
  }

  /** Swaps two children after RENAME_EXCHANGE. */
  static exchange(a: Dentry, b: Dentry): void {
    const aParent = a.parent!, bParent = b.parent!, aName = a.name;
    aParent.#children!.delete(a.name);
    bParent.#children!.delete(b.name);
    a.parent = bParent;
    a.name = b.name;
    b.parent = aParent;
    b.name = aName;
    bParent.#children!.set(a.name, a);
    aParent.#children!.set(b.name, b);
  }

  /** Forgets negative and unused children (the directory changed behind the cache). */
  prune(): void {
    if (this.#children === null) return;
    for (const child of this.#children.values()) {
      if (child.#uses === 0 && child.#children === null && child.mountCount === 0) this.#detach(child);
    }
  }

  /** Whether `other` is this dentry or lies below it. */
  contains(other: Dentry): boolean {
    for (let at: Dentry | null = other; at !== null; at = at.parent) if (at === this) return true;
    return false;
  }

  /** Evicts this dentry if nobody uses it; for the LRU. */
  evict(): void {
    this.#isListed = false;
    if (this.#uses > 0 || this.mountCount > 0 || this.parent === null || this.isUnlinked) return;
    if (this.#children !== null && this.#children.size > 0) {
      list(this);
      return;
    }
    this.parent.#detach(this);
  }

  markListed(): boolean {
    if (this.#isListed) return false;
    this.#isListed = true;
    return true;
  }
}

/** Unused dentries in the order they became unused. A ring: the oldest is looked at first when it is over-full. */
let unused: Dentry[] = [];
let unusedFrom = 0;

function list(dentry: Dentry): void {
  if (!dentry.markListed()) return;
  unused.push(dentry);
  if (unused.length - unusedFrom <= DENTRIES_UNUSED_MAX) return;
  for (let n = 0; n < 64 && unusedFrom < unused.length - 64; n++) unused[unusedFrom++].evict();
  if (unusedFrom > DENTRIES_UNUSED_MAX) {
    unused = unused.slice(unusedFrom);
    unusedFrom = 0;
  }
}
