// Dentries: names in the tree and the cache of look-ups, positive and negative. Linux: struct dentry, fs/dcache.c.
// A dentry lives as long as something refers to it (children, paths); what the cache keeps beyond that is bounded
// (dentry_cache.ts).

import { EMFILE, ENFILE, ENOENT } from "../abi/errno.ts";
import { ChildTable, hashOf } from "./child_table.ts";
import { type DentryCache, LOOKUPS_OF_CALL_MAX, LOOKUPS_SPARED } from "./dentry_cache.ts";
import type { Inode } from "./inode.ts";
import { notifyGone } from "./notify.ts";

export class Dentry {
  readonly #cache: DentryCache;
  /** "" for the root of a file system. */
  name: string;
  /** null for the root of a file system. One that was removed keeps it, as its name is still shown. */
  parent: Dentry | null;
  /** null = negative: the name is known not to exist. */
  inode: Inode | null;
  #children: ChildTable | null = null;
  /** Next in its parent's table of children; owned by ChildTable. */
  nextOfHash: Dentry | null = null;
  /** Paths, open files and mounts that use it; at zero it may be evicted. */
  #uses = 0;
  /** No longer entered in its directory (removed, replaced, stale); it may still be open. */
  isUnlinked = false;
  /** Something is mounted here in some namespace: look for it in the mount table. */
  mountCount = 0;
  /** Stands in the ring of unused dentries. */
  isListed = false;
  /** Values of the cache's clock when it was looked up last, and when the ring came by last. */
  #lookedUpAt = 0;
  #visitedAt = 0;

  /** The root of a file system (no parent) has an inode. */
  constructor(name: string, parent: Dentry | null, inode: Inode | null) {
    this.#cache = parent === null ? inode!.fs.vfs.dentries : parent.#cache;
    this.name = name;
    this.parent = parent;
    this.inode = inode;
    inode?.hold();
  }

  get isNegative(): boolean {
    return this.inode === null;
  }
  get isUsed(): boolean {
    return this.#uses > 0;
  }

  hold(): void {
    this.#uses++;
  }

  drop(): void {
    if (--this.#uses > 0) return;
    if (this.isUnlinked || this.parent === null) this.#forget();
    else this.#cache.list(this);
  }

  #forget(): void {
    const inode = this.inode;
    this.inode = null;
    if (inode === null) return;
    if (this.isUnlinked) notifyGone(inode);
    inode.drop();
  }

  /** The cached child of that name, or null. */
  child(name: string): Dentry | null {
    return this.#find(name, 0, name.length, hashOf(name, 0, name.length));
  }

  #find(text: string, start: number, end: number, hash: number): Dentry | null {
    if (this.#children === null) return null;
    const child = this.#children.find(text, start, end, hash);
    if (child !== null) child.#lookedUpAt = ++this.#cache.clock;
    return child;
  }

  /** The child of that name, looked up in the file system where the cache does not know. -ERRNO other than ENOENT. */
  lookup(name: string): Dentry | number {
    return this.lookupIn(name, 0, name.length, hashOf(name, 0, name.length));
  }

  /** lookup() of text.slice(start, end) with its hash (child_table.ts): the way of a path walk. */
  lookupIn(text: string, start: number, end: number, hash: number): Dentry | number {
    const directory = this.inode!;
    const known = this.#find(text, start, end, hash);
    if (known !== null && directory.isCacheable) return known;
    return this.#lookupInFilesystem(directory, known, text.slice(start, end));
  }

  /** The child of that name as a negative one, where nothing says that it exists and asking costs more than making it. */
  presumeMissing(text: string, start: number, end: number, hash: number): Dentry | null {
    const known = this.#find(text, start, end, hash);
    if (known !== null && known.inode !== null) return null;
    const name = text.slice(start, end);
    return this.inode!.presumesMissing(name) ? known ?? new Dentry(name, this, null) : null;
  }

  #lookupInFilesystem(directory: Inode, known: Dentry | null, name: string): Dentry | number {
    let found = directory.lookup(name);
    if (found === -EMFILE || found === -ENFILE) {
      // Cached dentries of a gofer hold descriptors of the host: release some and try again.
      this.#cache.shrink();
      found = directory.lookup(name);
    }
    if (typeof found === "number") {
      if (found !== -ENOENT) return found;
      if (known !== null && known.inode === null) return known;
      if (known !== null) this.#detach(known);
      return directory.isCacheable ? this.add(name, null) : new Dentry(name, this, null);
    }
    if (known !== null) {
      if (known.inode === found) return known;
      // Both may hold the same inode below, as an overlay's do: it must not be without a holder in between.
      found.hold();
      this.#detach(known);
      const made = this.add(name, found);
      found.drop();
      return made;
    }
    return this.add(name, found);
  }

  /** Adds a child. It starts unused: a caller that keeps it must hold() it. */
  add(name: string, inode: Inode | null): Dentry {
    const child = new Dentry(name, this, inode);
    child.#lookedUpAt = child.#visitedAt = ++this.#cache.clock;
    if (this.#children === null) this.#children = new ChildTable();
    const before = this.child(name);
    if (before !== null) this.#detach(before);
    this.#children.add(child);
    this.#cache.list(child);
    return child;
  }

  /** A negative child has come into being. One that was looked up without being cached is entered now. */
  instantiate(inode: Inode): void {
    inode.hold();
    this.inode = inode;
    const parent = this.parent!;
    const entered = parent.child(this.name);
    if (entered === this) return;
    if (entered !== null) parent.#detach(entered);
    (parent.#children ??= new ChildTable()).add(this);
    this.#cache.list(this);
  }

  /** The child has been removed from the file system: open files keep it, and its name becomes a negative entry. */
  remove(child: Dentry): void {
    this.#detach(child);
    if (this.inode!.isCacheable) this.add(child.name, null);
  }

  #detach(child: Dentry): void {
    this.#children?.remove(child);
    child.isUnlinked = true;
    if (child.#uses === 0) child.#forget();
  }

  /** Moves `child` of this directory to `to` under another name, after a rename in the file system. */
  moveChild(child: Dentry, to: Dentry, name: string): void {
    const before = child.name;
    this.#children?.remove(child);
    const replaced = to.child(name);
    if (replaced !== null && replaced !== child) to.#detach(replaced);
    child.name = name;
    child.parent = to;
    if (to.#children === null) to.#children = new ChildTable();
    to.#children.add(child);
    if (this.inode!.isCacheable) this.add(before, null);
  }

  /** Swaps two children after RENAME_EXCHANGE. */
  static exchange(a: Dentry, b: Dentry): void {
    const aParent = a.parent!, bParent = b.parent!, aName = a.name;
    aParent.#children!.remove(a);
    bParent.#children!.remove(b);
    a.parent = bParent;
    a.name = b.name;
    b.parent = aParent;
    b.name = aName;
    bParent.#children!.add(a);
    aParent.#children!.add(b);
  }

  /** Forgets negative and unused children (the directory changed behind the cache). */
  prune(): void {
    if (this.#children === null) return;
    for (const child of this.#children.all()) {
      if (child.#uses > 0 || child.mountCount > 0) continue;
      child.prune();
      if (child.#children === null || child.#children.size === 0) this.#detach(child);
    }
  }

  /** Whether `other` is this dentry or lies below it. */
  contains(other: Dentry): boolean {
    for (let at: Dentry | null = other; at !== null; at = at.parent) if (at === this) return true;
    return false;
  }

  /**
   * For the ring: goes if nobody uses it. True = it stays listed: it has children, or was looked up since the ring came by
   * last. With `isUrgent` only what the call that is being served may have looked up is spared.
   */
  evict(isUrgent: boolean): boolean {
    if (this.#uses > 0 || this.mountCount > 0 || this.parent === null || this.isUnlinked) return false;
    const age = this.#cache.clock - this.#lookedUpAt;
    const isRecent = isUrgent
      ? age < LOOKUPS_OF_CALL_MAX
      : this.#lookedUpAt > this.#visitedAt || age < LOOKUPS_SPARED;
    if (isRecent || (this.#children !== null && this.#children.size > 0)) {
      this.#visitedAt = this.#cache.clock;
      return true;
    }
    this.parent.#detach(this);
    return false;
  }
}
