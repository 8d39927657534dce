// What the kernel knows of the names in a host directory, so that not each look-up asks the gofer.

import { EINVAL, ENOENT } from "../../abi/errno.ts";
import { u32 } from "../../abi/struct.ts";
import {
  ATTRIBUTE,
  ATTRIBUTES_BYTES,
  FRAME_BYTES_MAX,
  NAME_BYTES_MAX,
  NO_NODE,
  REQUEST,
} from "../../../gofer/protocol.ts";
import type { GoferFilesystem } from "./filesystem.ts";
import { Freshness } from "./freshness.ts";
import type { GoferInode } from "./inode.ts";
import { AttributeListing, type Listing, RecordListing } from "./listing.ts";

/** Names of one directory whose look-up is remembered. */
const RECENT_NAMES_MAX = 1024;

/** An answer to a look-up (null = no such name), and since when it holds. */
class RecentName {
  readonly inode: GoferInode | null;
  readonly freshness: Freshness;
  constructor(inode: GoferInode | null, freshness: Freshness) {
    this.inode = inode;
    this.freshness = freshness;
  }
}

export class KnownNames {
  readonly #fs: GoferFilesystem;
  readonly #directory: GoferInode;
  /**
   * From the last time the directory was read: in an exclusive mount all it holds, in a shared one the directories in it.
   * Inodes, or, of those nobody has looked up yet, where their attributes stand in #frames.
   */
  #entries: Map<string, GoferInode | number> | null = null;
  /** Answers with attributes, and HostFiles.changes when they came: they hold until the next change. */
  #frames: readonly Uint8Array[] = [];
  #framesAt = 0;
  /** In shared mounts: how old those are, and the last answers to look-ups. */
  #readAt = new Freshness();
  #recent: Map<string, RecentName> | null = null;

  constructor(fs: GoferFilesystem, directory: GoferInode) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** What stands at `name`: its inode, -ENOENT, or null where the gofer must be asked. */
  lookup(name: string): GoferInode | number | null {
    if (this.#fs.isExclusive) return this.#entries === null ? null : this.#entry(name, -ENOENT);
    const recent = this.#recent?.get(name);
    if (recent !== undefined && recent.freshness.isRecent(this.#fs.host, this.#fs.late)) {
      const { inode } = recent;
      if (inode === null) return -ENOENT;
      if (!inode.isOld && this.#fs.inodes.get(inode.key) === inode) return inode;
    }
    if (this.#entries === null || !this.#readAt.isRecent(this.#fs.host, this.#fs.late)) return null;
    return this.#entry(name, null);
  }

  /** The node that `name` had when it was looked up last: it most often still has. */
  nodeOf(name: string): number {
    return this.#recent?.get(name)?.inode?.knownNode ?? NO_NODE;
  }

  #entry(name: string, missing: number | null): GoferInode | number | null {
    const entry = this.#entries!.get(name);
    if (entry === undefined) return missing;
    let inode: GoferInode;
    if (typeof entry !== "number") {
      inode = entry;
    } else {
      if (this.#framesAt !== this.#fs.hostFiles.changes) return null;
      const frame = this.#frames[Math.floor(entry / FRAME_BYTES_MAX)];
      inode = this.#fs.takeEntry(frame, entry % FRAME_BYTES_MAX, this.#directory, name, this.#readAt);
      if (this.#fs.isExclusive) this.#entries!.set(name, inode);
      else this.#setRecent(name, inode, this.#readAt);
    }
    inode.revive(this.#directory, name);
    return inode;
  }

  /** `name` stands for `inode` (null = for nothing): the gofer has just said so, or we have just made it so. */
  note(name: string, inode: GoferInode | null): void {
    if (this.#fs.isExclusive) {
      if (inode === null) this.#entries?.delete(name);
      else this.#entries?.set(name, inode);
      return;
    }
    this.#entries?.delete(name);
    const now = new Freshness();
    now.note(this.#fs.client.answeredAtNanos);
    this.#setRecent(name, inode, now);
  }

  #setRecent(name: string, inode: GoferInode | null, freshness: Freshness): void {
    if (this.#recent === null || this.#recent.size >= RECENT_NAMES_MAX) this.#recent = new Map();
    this.#recent.set(name, new RecentName(inode, freshness));
  }

  /** Reads the directory with the attributes of all it holds: in an exclusive mount they stay true. -ERRNO. */
  readAttributes(): Listing | number {
    const node = this.#directory.node();
    if (node < 0) return node;
    const { client } = this.#fs, { request, answer } = client;
    const listing = new AttributeListing();
    const entries = new Map<string, GoferInode | number>();
    const frames: Uint8Array[] = [];
    const before = this.#fs.hostFiles.changes;
    for (let isFirst = true, isDone = false; !isDone; isFirst = false) {
      request.start(REQUEST.READ_ATTRIBUTES);
      request.u32(node);
      request.u8(isFirst ? 1 : 0);
      const result = isFirst ? client.call() : client.callNow();
      if (result < 0) return result;
      const count = answer.u16();
      isDone = answer.u8() !== 0;
      for (let i = 0; i < count; i++) {
        const at = answer.raw(ATTRIBUTES_BYTES);
        const name = answer.name(NAME_BYTES_MAX);
        if (at < 0 || answer.isBad) return -EINVAL;
        listing.addAttributes(name, answer.bytes, at);
        entries.set(name, frames.length * FRAME_BYTES_MAX + at);
      }
      if (count > 0) frames.push(answer.bytes.slice(0, answer.end));
    }
    this.#noteRead(entries, frames, before);
    return listing;
  }

  /** Reads the directory as it is now, with the attributes of directories: who walks a tree goes into them next. -ERRNO. */
  readRecords(): Listing | number {
    const { answer } = this.#fs.client;
    const listing = new RecordListing();
    const entries = new Map<string, number>();
    const frames: Uint8Array[] = [];
    const directories: string[] = [];
    const before = this.#fs.hostFiles.changes;
    for (let isFirst = true, isDone = false; !isDone; isFirst = false) {
      const result = this.#directory.askRecords(isFirst);
      if (result < 0) return result;
      isDone = answer.u8() !== 0;
      const length = answer.u32(), at = answer.raw(length);
      directories.length = 0;
      if (at < 0 || !listing.add(answer.bytes, at, length, directories)) return -EINVAL;
      const from = answer.at;
      if (answer.raw(directories.length * ATTRIBUTES_BYTES) < 0) return -EINVAL;
      for (let i = 0; i < directories.length; i++) {
        // A mode of 0: gone meanwhile.
        if (u32(answer.bytes, from + i * ATTRIBUTES_BYTES + ATTRIBUTE.MODE) === 0) continue;
        entries.set(directories[i], frames.length * FRAME_BYTES_MAX + i * ATTRIBUTES_BYTES);
      }
      if (directories.length > 0) frames.push(answer.bytes.slice(from, answer.at));
    }
    this.#noteRead(entries, frames, before);
    return listing;
  }

  /** The directory has been read; `before` is HostFiles.changes of the moment when that began. */
  #noteRead(entries: Map<string, GoferInode | number>, frames: readonly Uint8Array[], before: number): void {
    this.#entries = entries;
    this.#frames = frames;
    this.#framesAt = before;
    this.#readAt = new Freshness();
    this.#readAt.note(this.#fs.client.answeredAtNanos);
  }

  /** All entries, where they are known. */
  listing(): AttributeListing | null {
    if (!this.#fs.isExclusive || this.#entries === null) return null;
    const listing = new AttributeListing();
    for (const [name, entry] of this.#entries) {
      if (typeof entry === "number") {
        listing.addAttributes(
          name,
          this.#frames[Math.floor(entry / FRAME_BYTES_MAX)],
          entry % FRAME_BYTES_MAX,
        );
      } else listing.add(name, entry.ino, entry.mode);
    }
    return listing;
  }

  forget(): void {
    this.#entries = null;
    this.#frames = [];
    this.#recent = null;
  }
}
