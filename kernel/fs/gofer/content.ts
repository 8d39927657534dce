// How the content of a regular host file is reached. Of a file that is small and read once, it comes with the look-up and is
// kept for a moment. Of others the gofer donates descriptors, on which we read and write ourselves. Neither may hold the
// sandbox up: what the host does not have in memory the gofer fetches first, while the task waits, and where calls on a
// descriptor may take as long as somebody else likes (FUSE, network file systems) we get none and ask for each transfer.

import {
  HAS,
  OPEN_CONTENT,
  OPEN_TO_MAP,
  REQUEST,
  SET_SIZE,
  TRANSFER_BYTES_MAX,
  WANTS,
  WRITE_APPENDS,
  WRITE_DATA_SYNC,
  WRITE_SYNC,
} from "../../../gofer/protocol.ts";
import { EACCES, EAGAIN, EINVAL, ENFILE, ENOENT, EOPNOTSUPP } from "../../abi/errno.ts";
import { O_APPEND, O_DSYNC, O_RDONLY, O_RDWR, O_SYNC } from "../../abi/file.ts";
import type { HostDescriptor } from "../../host/host_descriptor.ts";
import { AttributeChange } from "../../vfs/inode.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import { askToChange } from "./attributes.ts";
import type { GoferFilesystem } from "./filesystem.ts";
import { Freshness } from "./freshness.ts";
import type { GoferInode } from "./inode.ts";

const CLOCK_MONOTONIC = 1;
/**
 * A write that has taken so long shows a disk that has more to write than it can (balance_dirty_pages(), a full journal): the
 * next ones are the gofer's for a while. No file system but a few writes without waiting (RWF_NOWAIT), so the first is ours.
 */
const SLOW_WRITE_NANOS = 20e6;
const WRITES_ASIDE_NANOS = 1e9;

const sizeChange = new AttributeChange();

/** Of an answer that has just come. */
const age = new Freshness();

export class GoferContent {
  readonly #inode: GoferInode;
  readonly #fs: GoferFilesystem;
  /** Descriptors from the gofer, kept for the next open: for reading, and for reading and writing. */
  #reading: HostDescriptor | null = null;
  #writing: HostDescriptor | null = null;
  /** The gofer has the file open, and we ask it for each transfer; descriptors are then for mapping alone. */
  #isServed = false;
  #isServedForWriting = false;
  /** All of a small file, as it was a moment ago; and whether it has been looked up so before. */
  #bytes: Uint8Array | null = null;
  #wasSmall = false;
  readonly #bytesAge = new Freshness();
  /** The descriptors' file system can read what is in memory and no more. Not known before the first read. */
  #readsNow = true;

  constructor(inode: GoferInode) {
    this.#inode = inode;
    this.#fs = inode.fs;
  }

  get readsNow(): boolean {
    return this.#readsNow;
  }
  get isServed(): boolean {
    return this.#isServed;
  }

  /** What the look-up of a file that is opened for reading next is to bring along. */
  get wants(): number {
    if (this.#reading !== null || this.#writing !== null || this.#isServed) return WANTS.NOTHING;
    // One that is opened again and again is quicker to open with a descriptor.
    return this.#wasSmall ? WANTS.DESCRIPTOR : WANTS.CONTENT;
  }

  /** A small file's content, young enough to be read. */
  get #recentBytes(): Uint8Array | null {
    const bytes = this.#bytes;
    if (bytes === null) return null;
    return !this.#inode.isOld && this.#bytesAge.isRecent(this.#fs.host, this.#fs.late) ? bytes : null;
  }

  /** Its attributes, as they came with the content, are not older than that may be. */
  get isAtHand(): boolean {
    return this.#recentBytes !== null;
  }

  /** For what asks the host about the file: an open descriptor of ours, null = there is none. */
  get descriptor(): HostDescriptor | null {
    return this.#isServed ? null : this.#writing ?? this.#reading;
  }

  /** Takes what a WALK has brought along, whose answer goes on with it. */
  takeAlong(): void {
    const has = this.#fs.client.answer.u8();
    const opened = this.#fs.takeDescriptor(false);
    if (opened !== null) this.keepForReading(opened);
    if (has === HAS.CONTENT) this.#takeContent();
  }

  #takeContent(): void {
    const { answer, answeredAtNanos } = this.#fs.client;
    const length = answer.u32(), at = answer.raw(length);
    if (at < 0 || length > TRANSFER_BYTES_MAX) return;
    age.note(answeredAtNanos);
    this.takeBytes(answer.bytes.slice(at, at + length), age);
  }

  /** All of it is `bytes`, as of then. */
  takeBytes(bytes: Uint8Array, then: Freshness): void {
    this.forgetBytes();
    this.#bytes = bytes;
    this.#fs.contentBytes += bytes.length;
    this.#wasSmall = true;
    this.#bytesAge.copy(then);
    this.#inode.noteIdle();
  }

  forgetBytes(): void {
    if (this.#bytes === null) return;
    this.#fs.contentBytes -= this.#bytes.length;
    this.#bytes = null;
  }

  keepForReading(opened: HostDescriptor): void {
    if (this.#reading !== null || this.#writing !== null) opened.drop();
    else this.#reading = opened;
    this.#inode.noteIdle();
  }

  /** What made the file has opened it, too; the answer goes on with how. */
  takeMade(made: HostDescriptor | null): void {
    const has = this.#fs.client.answer.u8();
    if (made === null) {
      this.#isServed = this.#isServedForWriting = has === HAS.SERVED;
    } else if (this.#writing !== null) {
      made.drop();
    } else {
      this.#writing = made;
    }
    this.#inode.noteIdle();
  }

  /** Nobody has it open for writing any more: it can be executed, and who watches it on the host hears that it is written. */
  closeWriting(): void {
    if (this.#isServed) return;
    this.#writing?.drop();
    this.#writing = null;
  }

  /** Nobody has the file open any more, or has for long. */
  drop(): void {
    this.forgetBytes();
    this.#reading?.drop();
    this.#writing?.drop();
    this.#reading = this.#writing = null;
    if (!this.#isServed) return;
    this.#isServed = this.#isServedForWriting = false;
    const node = this.#inode.knownNode;
    const { request } = this.#fs.client;
    request.start(REQUEST.RELEASE);
    request.u32(node);
    this.#fs.client.send();
  }

  /** Makes sure that it can be read, or written too: 0 or -ERRNO. */
  open(isForWriting: boolean): number {
    if (!isForWriting && this.#recentBytes !== null) return 0;
    const opened = this.#opened(isForWriting, this.wants === WANTS.CONTENT);
    return typeof opened === "number" ? opened : 0;
  }

  /** What to read or write it by; null = by asking the gofer. -ERRNO. */
  #opened(isForWriting: boolean, mayBeContent = false): HostDescriptor | null | number {
    if (this.#isServed) return isForWriting && !this.#isServedForWriting ? this.#ask(true, false) : null;
    if (this.#writing !== null) return this.#writing;
    if (this.#reading !== null && !isForWriting) return this.#reading;
    return this.#ask(isForWriting, mayBeContent && !isForWriting);
  }

  /** As #opened(); with `mayBeContent` null may also mean that its content has come. */
  #ask(isForWriting: boolean, mayBeContent: boolean): HostDescriptor | null | number {
    const node = this.#inode.node();
    if (node < 0) return node;
    const { client } = this.#fs;
    client.request.start(REQUEST.OPEN);
    client.request.u32(node);
    client.request.u32(isForWriting ? O_RDWR : mayBeContent ? O_RDONLY | OPEN_CONTENT : O_RDONLY);
    const result = client.call();
    if (result < 0) return result;
    const has = client.answer.u8();
    if (has === HAS.CONTENT && mayBeContent) {
      this.#takeContent();
      return null;
    }
    if (has === HAS.SERVED) {
      this.#isServed = true;
      this.#isServedForWriting ||= isForWriting;
      return null;
    }
    return this.#takeOpened(isForWriting) ?? -ENFILE;
  }

  #takeOpened(isForWriting: boolean): HostDescriptor | null {
    const opened = this.#fs.takeDescriptor(isForWriting);
    if (opened === null) return null;
    if (isForWriting) this.#writing = opened;
    else this.#reading = opened;
    return opened;
  }

  /**
   * A descriptor to map, or for a stub to read and write on, with no more access than asked for, as its guest may get hold of
   * it. Waits for it on the spot. -ERRNO.
   */
  toMap(isForWriting: boolean): HostDescriptor | number {
    const known = isForWriting ? this.#writing : this.#reading;
    if (known !== null) return known;
    const node = this.#inode.node();
    if (node < 0) return node;
    const { client } = this.#fs;
    client.request.start(REQUEST.OPEN);
    client.request.u32(node);
    client.request.u32((isForWriting ? O_RDWR : O_RDONLY) | OPEN_TO_MAP);
    const result = client.callNow();
    if (result < 0) return result;
    return this.#takeOpened(isForWriting) ?? -ENFILE;
  }

  /** A stub may read or write on a descriptor of it: large transfers go past us. */
  get isDirect(): boolean {
    return !this.#isServed && this.#bytes === null;
  }

  // --- transfers ----------------------------------------------------------------------------------------------------------

  read(into: Uint8Array, at: number, length: number, offset: number): number {
    const bytes = this.#recentBytes;
    if (bytes !== null) return copyPart(bytes, into, at, length, offset);
    const file = this.#opened(false);
    if (typeof file === "number") {
      // It was read ahead, without a node, and has lost its name since: whoever has it open goes on with what it was.
      return file === -ENOENT && this.#bytes !== null
        ? copyPart(this.#bytes, into, at, length, offset)
        : file;
    }
    this.forgetBytes();
    if (file === null) return this.#readServed(into, at, length, offset);
    if (!this.#readsNow) return file.pread(into, at, length, offset);
    const n = file.preadNow(into, at, length, offset);
    if (n === length || (n >= 0 && offset + n >= this.#inode.size)) return n;
    if (n === -EOPNOTSUPP) this.#readsNow = false;
    else if (n !== -EAGAIN && n < 0) return n;
    else if (this.#fetch(n > 0 ? offset + n : offset, n > 0 ? length - n : length) === MUST_WAIT) {
      return MUST_WAIT;
    }
    return file.pread(into, at, length, offset);
  }

  /** Has the gofer read what is not in the host's memory. What that fails of, the read itself tells. */
  #fetch(offset: number, length: number): number {
    const node = this.#inode.node();
    if (node < 0) return node;
    const { client } = this.#fs;
    client.request.start(REQUEST.FETCH);
    client.request.u32(node);
    client.request.u64(offset);
    client.request.u64(length);
    return client.call();
  }

  #readServed(into: Uint8Array, at: number, length: number, offset: number): number {
    const node = this.#inode.node();
    if (node < 0) return node;
    const { client } = this.#fs, { answer } = client;
    client.request.start(REQUEST.READ);
    client.request.u32(node);
    client.request.u64(offset);
    client.request.u32(Math.min(length, TRANSFER_BYTES_MAX));
    const result = client.call();
    if (result < 0) return result;
    const n = answer.left, from = answer.raw(n);
    if (n > length) return -EINVAL;
    into.set(answer.bytes.subarray(from, from + n), at);
    return n;
  }

  /** Writes, and with O_SYNC or O_DSYNC among `flags` also to the disk. The caller notes what that has changed. */
  write(flags: number, from: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.#opened(true);
    if (typeof file === "number") return file;
    const fs = this.#fs, began = fs.host.clockNanos(CLOCK_MONOTONIC);
    const isAside = file === null || (flags & O_DSYNC) !== 0 || began < fs.writesAsideUntil;
    if (isAside && (file === null || length <= TRANSFER_BYTES_MAX)) {
      return this.#writeAside(file, flags, from, at, Math.min(length, TRANSFER_BYTES_MAX), offset);
    }
    const n = file.pwrite(from, at, length, offset);
    this.noteWriteTime(began);
    if (n < 0 || (flags & O_DSYNC) === 0) return n;
    const synced = file.fsync((flags & O_SYNC) !== O_SYNC);
    return synced < 0 && synced !== -EINVAL ? synced : n;
  }

  /** A write by us, or by a stub at our command, began then and is over. */
  noteWriteTime(began: number): void {
    const fs = this.#fs, now = fs.host.clockNanos(CLOCK_MONOTONIC);
    if (now - began > SLOW_WRITE_NANOS) fs.writesAsideUntil = now + WRITES_ASIDE_NANOS;
  }

  #writeAside(
    file: HostDescriptor | null,
    flags: number,
    from: Uint8Array,
    at: number,
    length: number,
    offset: number,
  ): number {
    const node = this.#inode.node();
    if (node < 0) return node;
    const { client } = this.#fs;
    const isAppend = (flags & O_APPEND) !== 0;
    let how = isAppend ? WRITE_APPENDS : 0;
    if ((flags & O_DSYNC) !== 0) how |= (flags & O_SYNC) === O_SYNC ? WRITE_SYNC : WRITE_DATA_SYNC;
    client.request.start(REQUEST.WRITE);
    client.request.u32(node);
    client.request.u8(how);
    // The file's end may be another one when the call is made again: the request must be the same.
    client.request.u64(isAppend ? 0 : offset);
    client.request.raw(from, at, length);
    const result = client.call();
    if (result === -EACCES && file !== null) return file.pwrite(from, at, length, offset);
    if (result < 0) return result;
    const n = client.answer.u32();
    if (n > length) return -EINVAL;
    this.#inode.noteChange();
    this.#inode.loadAnswer();
    return n;
  }

  /** Most bytes that one transfer moves before the call must note how far it has come; see File.sliceBytes. */
  sliceBytes(flags: number, most: number): number {
    const { writesAsideUntil, host } = this.#fs;
    const isAside = this.#isServed || (flags & O_DSYNC) !== 0 ||
      (writesAsideUntil > 0 && host.clockNanos(CLOCK_MONOTONIC) < writesAsideUntil);
    return isAside ? TRANSFER_BYTES_MAX : most;
  }

  /** fsync(2), by the gofer: a disk may take seconds. */
  sync(isDataOnly: boolean): number {
    const node = this.#inode.node();
    if (node < 0) return node;
    this.#fs.client.request.start(REQUEST.SYNC);
    this.#fs.client.request.u32(node);
    this.#fs.client.request.u8(isDataOnly ? 1 : 0);
    const result = this.#fs.client.call();
    // Its mode may forbid to open it anew.
    return result === -EACCES ? this.descriptor?.fsync(isDataOnly) ?? result : result;
  }

  /** ftruncate(2), by the gofer: a disk may take seconds. */
  truncate(size: number): number {
    const node = this.#inode.node();
    if (node < 0) return node;
    this.#inode.noteChange();
    sizeChange.size = size;
    const result = askToChange(this.#fs.client, node, SET_SIZE, sizeChange);
    if (result === 0) this.#inode.loadAnswer();
    return result === -EACCES ? this.descriptor?.ftruncate(size) ?? result : result;
  }

  /** fallocate(2), by the gofer: a disk may take its time to find room. */
  allocate(mode: number, offset: number, length: number): number {
    const file = this.#opened(true);
    if (typeof file === "number") return file;
    const node = this.#inode.node();
    if (node < 0) return node;
    const { client } = this.#fs;
    client.request.start(REQUEST.ALLOCATE);
    client.request.u32(node);
    client.request.u32(mode);
    client.request.u64(offset);
    client.request.u64(length);
    const result = client.call();
    // Its mode may forbid to open it anew.
    if (result === -EACCES && file !== null) return file.fallocate(mode, offset, length);
    if (result < 0) return result;
    this.#inode.noteChange();
    this.#inode.loadAnswer();
    return 0;
  }

  /** lseek(2) with SEEK_DATA or SEEK_HOLE, below `size`. Linux: a file system that knows no holes is all data. */
  seekData(offset: number, isForHole: boolean, size: number, whence: number): number {
    const file = this.#opened(false);
    if (typeof file === "number") return file;
    if (file !== null) return file.lseek(offset, whence);
    return isForHole ? size : offset;
  }
}

/** Up to `length` of `bytes` from `offset` on. */
function copyPart(bytes: Uint8Array, into: Uint8Array, at: number, length: number, offset: number): number {
  const n = Math.max(0, Math.min(length, bytes.length - offset));
  if (n > 0) into.set(n === bytes.length ? bytes : bytes.subarray(offset, offset + n), at);
  return n;
}
