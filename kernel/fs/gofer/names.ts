// Caches names of a host directory, so that few look-ups ask the gofer.

import { EINVAL, ENOENT, EOPNOTSUPP } from "../../abi/errno.ts";
import { S_IFREG } from "../../abi/file.ts";
import { u16, u32 } from "../../abi/struct.ts";
import {
  ATTRIBUTE,
  ATTRIBUTES_BYTES,
  FRAME_BYTES_MAX,
  NAME_BYTES_MAX,
  NO_CONTENT,
  NO_NODE,
  READ_AHEAD,
  READ_RESTART,
  REQUEST,
  WANTS,
} from "../../../gofer/protocol.ts";
import type { GoferFilesystem } from "./filesystem.ts";
import { Freshness } from "./freshness.ts";
import type { GoferInode } from "./inode.ts";
import { AttributeListing, type Listing, RecordListing } from "./listing.ts";

/** Names of one directory whose last look-up is kept. */
const RECENT_NAMES_MAX = 1024;

/** The answer to a look-up (null: no such name) and its time. */
class RecentName {
  readonly inode: GoferInode | null;
  readonly freshness: Freshness;
  constructor(inode: GoferInode | null, freshness: Freshness) {
    this.inode = inode;
    this.freshness = freshness;
  }
}

/** An answer with attributes of files in the directory, and its time. */
class Frame {
  readonly bytes: Uint8Array;
  readonly freshness = new Freshness();
  /** HostFiles.changes when the frame was requested: files changed since then differ from what it says. */
  readonly changes: number;
  /** Whether entries have content behind their names. */
  readonly hasContents: boolean;
  constructor(bytes: Uint8Array, answeredAtNanos: number, changes: number, hasContents = false) {
    this.bytes = bytes;
    this.hasContents = hasContents;
    this.freshness.note(answeredAtNanos);
    this.changes = changes;
  }
}

/** The number of look-ups after a frame of attributes until the next one is read. */
const ASKED_BETWEEN = 4;
/** In a directory whose frames were of little use, the first number is multiplied by this, up to a bound. */
const ASKED_GROWTH = 4;
const ASKED_MAX = 4096;
/** Look-ups that a frame must answer to justify that the host stats all its files. */
const USES_OF_FRAME_MIN = 60;

export class KnownNames {
  readonly #fs: GoferFilesystem;
  readonly #directory: GoferInode;
  /**
   * What is cached of the directory: all it holds (#isWhole), in a shared mount the directories in it, and what was
   * read ahead. Values are inodes, or, before the first look-up, the index of their attributes in #frames.
   */
  #entries: Map<string, GoferInode | number> | null = null;
  #frames: Frame[] = [];
  /** In exclusive mounts: whether #entries has all that the directory holds, or only what was read ahead. */
  #isWhole = false;
  /** In shared mounts: the last answers to look-ups. */
  #recent: Map<string, RecentName> | null = null;
  /** False after the gofer refused to read ahead, as calls on files here may take long. */
  readsAhead = true;
  /** In shared mounts: when the directory was known to be empty. Files made in it since are in #recent. */
  #wasEmpty: Freshness | null = null;
  /**
   * Look-ups requested since the last frame was read ahead, and by what the mount's number before the first frame is
   * multiplied here.
   */
  #asked = 0;
  #askedGrowth = 1;
  /** Look-ups answered from frames. */
  #uses = 0;
  #framesAhead = 0;
  /** The next frame continues where the last one ended. */
  #isAhead = false;
  /** Opening look-ups requested since the last frame with contents; and whether that frame is the last one read. */
  #opensAsked = 0;
  #hasContentsAhead = false;

  constructor(fs: GoferFilesystem, directory: GoferInode) {
    this.#fs = fs;
    this.#directory = directory;
  }

  /** The cached inode at `name`, -ENOENT, or null when the gofer must be asked. */
  lookup(name: string): GoferInode | number | null {
    if (this.#fs.isExclusive) {
      return this.#entries === null ? null : this.#entry(name, this.#isWhole ? -ENOENT : null);
    }
    const recent = this.#recent?.get(name);
    if (recent !== undefined && recent.freshness.isRecent(this.#fs.host, this.#fs.late)) {
      const { inode } = recent;
      if (inode === null) return -ENOENT;
      if (!inode.isOld && this.#fs.inodes.get(inode.key) === inode) return inode;
    }
    const entry = this.#entries === null ? null : this.#entry(name, null);
    if (entry !== null || recent?.inode !== undefined) return entry;
    return this.#wasEmpty?.isRecent(this.#fs.host, this.#fs.late) === true ? -ENOENT : null;
  }

  /** This kernel has just made the directory: it is empty. */
  noteEmpty(): void {
    if (this.#fs.isExclusive) return;
    this.#wasEmpty = new Freshness();
    this.#wasEmpty.note(this.#fs.client.answeredAtNanos);
    this.#recent = null;
  }

  /** The inode that `name` had at its last look-up: usually it still has it. */
  lastOf(name: string): GoferInode | null {
    return this.#recent?.get(name)?.inode ?? null;
  }

  #entry(name: string, missing: number | null): GoferInode | number | null {
    const entry = this.#entries!.get(name);
    if (entry === undefined) return missing;
    let inode: GoferInode;
    if (typeof entry !== "number") {
      inode = entry;
    } else {
      const { isExclusive, host, late, hostFiles } = this.#fs;
      const frame = this.#frames[Math.floor(entry / FRAME_BYTES_MAX)], at = entry % FRAME_BYTES_MAX;
      if (!isExclusive && !frame.freshness.isRecent(host, late)) return null;
      if (hostFiles.isChangedSince(hostFiles.keyOf(frame.bytes, at), frame.changes)) return null;
      inode = this.#fs.takeEntry(frame.bytes, at, this.#directory, name, frame.freshness);
      if (this.#fs.vfs.opensNext) this.#giveContent(frame, at, inode);
      if (isExclusive) this.#entries!.set(name, inode);
      else {
        this.#uses++;
        if (!frame.hasContents) this.#fs.attributesAhead.uses++;
        this.#setRecent(name, inode, frame.freshness);
      }
    }
    inode.revive(this.#directory, name);
    return inode;
  }

  /**
   * Moves the content of `name` that was read ahead to `inode`, which has that name and is opened next. Returns false
   * when there is none.
   */
  takeContent(name: string, inode: GoferInode): boolean {
    const entry = this.#entries?.get(name);
    if (typeof entry !== "number") return false;
    const { host, late, hostFiles } = this.#fs;
    const frame = this.#frames[Math.floor(entry / FRAME_BYTES_MAX)], at = entry % FRAME_BYTES_MAX;
    const key = hostFiles.keyOf(frame.bytes, at);
    if (key !== inode.key || hostFiles.isChangedSince(key, frame.changes)) return false;
    return frame.freshness.isRecent(host, late) && this.#giveContent(frame, at, inode);
  }

  #giveContent(frame: Frame, at: number, inode: GoferInode): boolean {
    if (!frame.hasContents || inode.type !== S_IFREG) return false;
    const lengthAt = at + ATTRIBUTES_BYTES + 2 + u16(frame.bytes, at + ATTRIBUTES_BYTES);
    const length = u16(frame.bytes, lengthAt);
    if (length === NO_CONTENT || inode.content.wants === WANTS.NOTHING) return false;
    this.#fs.contentsAhead.threshold.uses++;
    inode.content.takeBytes(frame.bytes.slice(lengthAt + 2, lengthAt + 2 + length), frame.freshness);
    return true;
  }

  /**
   * Before a request for a file to be opened. As readAhead(), including the contents of small files, since a program
   * that reads a tree opens one after the other.
   */
  readContentsAhead(name: string): GoferInode | number | null {
    const { client, contentsAhead } = this.#fs;
    if (client.isSlow || !this.#fs.hasRoomForContent || !this.readsAhead) return null;
    if (++this.#opensAsked < (this.#hasContentsAhead ? 1 : contentsAhead.threshold.askedFirst)) return null;
    this.#opensAsked = 0;
    const node = this.#directory.knownNode;
    if (node === NO_NODE) return null;
    const isOld = this.#frames.length > 0 &&
      !this.#frames[0].freshness.isRecent(this.#fs.host, this.#fs.late);
    if (this.#entries === null || (isOld && !this.#fs.isExclusive)) {
      this.#isWhole = false;
      this.#entries = new Map();
      this.#frames = [];
    }
    const isDone = this.#readFrame(node, !this.#hasContentsAhead, this.#entries, null, true);
    this.#hasContentsAhead = isDone === 0;
    this.#isAhead = false;
    return isDone < 0 ? null : this.lookup(name);
  }

  /**
   * Before a request for `name`. After many requests in a row, reads ahead the attributes of further files in the
   * directory. Returns the inode at `name` if it was among them, else null.
   */
  readAhead(name: string): GoferInode | number | null {
    if (this.#fs.isExclusive || this.#fs.client.isSlow || !this.readsAhead) return null;
    const { attributesAhead } = this.#fs;
    const askedFirst = Math.min(attributesAhead.askedFirst * this.#askedGrowth, ASKED_MAX);
    if (++this.#asked < (this.#isAhead ? ASKED_BETWEEN : askedFirst)) return null;
    this.#asked = 0;
    const node = this.#directory.knownNode;
    if (node === NO_NODE) return null;
    if (!this.#isAhead || this.#entries === null) {
      const wasOfUse = this.#uses >= this.#framesAhead * USES_OF_FRAME_MIN;
      this.#askedGrowth = wasOfUse ? 1 : Math.min(this.#askedGrowth * ASKED_GROWTH, ASKED_MAX);
      this.#uses = this.#framesAhead = 0;
      this.#entries = new Map();
      this.#frames = [];
    }
    this.#framesAhead++;
    const isDone = this.#readFrame(node, !this.#isAhead, this.#entries, null, false);
    this.#isAhead = isDone === 0;
    this.#hasContentsAhead = false;
    return isDone < 0 ? null : this.lookup(name);
  }

  /**
   * Records that `name` leads to `inode` (null: to nothing): the gofer has just answered so, or the kernel has made
   * it so.
   */
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
    if (this.#recent === null) {
      this.#recent = new Map();
    } else if (this.#recent.size >= RECENT_NAMES_MAX) {
      this.#recent = new Map();
      this.#wasEmpty = null;
    }
    this.#recent.set(name, new RecentName(inode, freshness));
  }

  /** Reads the directory with the attributes of all entries: in an exclusive mount they stay valid. -ERRNO. */
  readAttributes(): Listing | number {
    const node = this.#directory.node();
    if (node < 0) return node;
    const listing = new AttributeListing();
    const entries = new Map<string, GoferInode | number>();
    // Drops read-ahead entries first: the request may be answered late, after further changes.
    this.#entries = null;
    this.#isWhole = false;
    this.#frames = [];
    for (let isFirst = true;; isFirst = false) {
      const isDone = this.#readFrame(node, isFirst, entries, listing, false);
      if (isDone < 0) return isDone;
      if (isDone > 0) break;
    }
    this.#entries = entries;
    this.#isWhole = true;
    this.#hasContentsAhead = false;
    return listing;
  }

  /** Reads one more frame of attributes into `entries` and `listing`: 1 for the last one, 0 for others, or -ERRNO. */
  #readFrame(
    node: number,
    isFirst: boolean,
    entries: Map<string, GoferInode | number>,
    listing: AttributeListing | null,
    hasContents: boolean,
  ): number {
    const { client } = this.#fs, { request, answer } = client;
    const before = this.#fs.hostFiles.changes;
    request.start(hasContents ? REQUEST.READ_CONTENTS : REQUEST.READ_ATTRIBUTES);
    request.u32(node);
    request.u8((isFirst ? READ_RESTART : 0) | (listing === null && !hasContents ? READ_AHEAD : 0));
    // Later frames are waited for on the spot: making the call again would repeat the frames before.
    const result = isFirst || listing === null ? client.call() : client.callNow();
    if (result === -EOPNOTSUPP) this.readsAhead = false;
    if (result < 0) return result;
    const count = answer.u16();
    const isDone = answer.u8() !== 0;
    const from = this.#frames.length * FRAME_BYTES_MAX;
    let contents = 0;
    for (let i = 0; i < count; i++) {
      const at = answer.raw(ATTRIBUTES_BYTES);
      const name = answer.name(NAME_BYTES_MAX);
      if (hasContents) {
        const length = answer.u16();
        if (length !== NO_CONTENT) contents += answer.raw(length) < 0 ? 0 : 1;
      }
      if (at < 0 || answer.isBad) return -EINVAL;
      listing?.addAttributes(name, answer.bytes, at);
      if (typeof entries.get(name) !== "object") entries.set(name, from + at);
    }
    if (count > 0) {
      const { answeredAtNanos } = client;
      this.#frames.push(new Frame(answer.bytes.slice(0, answer.end), answeredAtNanos, before, hasContents));
    }
    if (hasContents) this.#fs.contentsAhead.noteFrame(this, contents, answer.end);
    else if (listing === null) this.#fs.attributesAhead.noteFrame(count);
    return isDone ? 1 : 0;
  }

  /** Reads the directory anew, with the attributes of directories, which a tree walk enters next. -ERRNO. */
  readRecords(): Listing | number {
    const { answer } = this.#fs.client;
    const listing = new RecordListing();
    const entries = new Map<string, number>();
    const frames: Frame[] = [];
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
        // A mode of 0: the entry was removed meanwhile.
        if (u32(answer.bytes, from + i * ATTRIBUTES_BYTES + ATTRIBUTE.MODE) === 0) continue;
        entries.set(directories[i], frames.length * FRAME_BYTES_MAX + i * ATTRIBUTES_BYTES);
      }
      if (directories.length > 0) {
        const { answeredAtNanos } = this.#fs.client;
        frames.push(new Frame(answer.bytes.slice(from, answer.at), answeredAtNanos, before));
      }
    }
    this.#entries = entries;
    this.#frames = frames;
    this.#isAhead = this.#hasContentsAhead = false;
    return listing;
  }

  /** All entries if they are cached, else null. */
  listing(): AttributeListing | null {
    if (!this.#isWhole || this.#entries === null) return null;
    const listing = new AttributeListing();
    for (const [name, entry] of this.#entries) {
      if (typeof entry === "number") {
        listing.addAttributes(
          name,
          this.#frames[Math.floor(entry / FRAME_BYTES_MAX)].bytes,
          entry % FRAME_BYTES_MAX,
        );
      } else listing.add(name, entry.ino, entry.mode);
    }
    return listing;
  }

  /** Drops the frames because others need the memory. */
  dropFrames(): void {
    if (this.#fs.isExclusive) return;
    this.#entries = null;
    this.#frames = [];
    this.#isAhead = this.#hasContentsAhead = false;
  }

  forget(): void {
    this.#entries = null;
    this.#isWhole = false;
    this.#frames = [];
    this.#recent = null;
    this.#wasEmpty = null;
    this.#isAhead = this.#hasContentsAhead = false;
  }
}
