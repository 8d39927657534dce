// The content of a regular host file. A small file's content comes with its look-up and is kept for a moment. For
// other files the gofer donates descriptors, which the sentry reads and writes itself. Neither may stop the sandbox:
// what the host does not have in memory the gofer fetches while the task waits; where any call on a descriptor may
// take as long as a server likes (FUSE, network file systems) the sentry gets no descriptor and requests each
// transfer.

import {
  FETCH_BYTES_MAX,
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
 * A write that takes longer than this shows that the disk cannot keep up (balance_dirty_pages(), a full journal): the
 * gofer carries out the writes of the next while. Few file systems support writing without waiting (RWF_NOWAIT), so
 * the sentry itself makes the first one.
 */
const SLOW_WRITE_NANOS = 20e6;
const WRITES_ASIDE_NANOS = 1e9;
/**
 * On a busy machine a write takes as long because somebody else has the CPU: then we have not slept since before it. To ask
 * before each write would cost a third of it, so what was asked so long before is good enough. Where we have slept since, be
 * it in the write or before it, the next writes are the gofer's for a moment only, and for a while each of ours is asked for.
 */
const SLEEPS_HOLD_NANOS = 1e6;
const UNSURE_ASIDE_NANOS = 50e6;
const WRITES_WATCHED_NANOS = 10e9;

/** Bytes that the gofer reads at least where the sentry must not read first: see #fetchChunks(). */
const CHUNK_BYTES = 256 * 1024;
/** Chunks of one file that are remembered; beyond it all are forgotten. */
const CHUNKS_MAX = 65_536;

const sizeChange = new AttributeChange();

/** Scratch: the age of an answer that has just come. */
const age = new Freshness();

export class GoferContent {
  readonly #inode: GoferInode;
  readonly #fs: GoferFilesystem;
  /** Descriptors from the gofer, kept for the next open: one for reading, one for reading and writing. */
  #reading: HostDescriptor | null = null;
  #writing: HostDescriptor | null = null;
  /**
   * True when transfers are requests to the gofer, which keeps the file open; descriptors then serve mappings only.
   */
  #isServed = false;
  #isServedForWriting = false;
  /** The whole content of a small file as of #bytesAge; and whether the last look-up brought its content too. */
  #bytes: Uint8Array | null = null;
  #wasSmall = false;
  readonly #bytesAge = new Freshness();
  /** Whether the descriptors' file system supports RWF_NOWAIT reads. Assumed before the first read. */
  #readsNow = true;
  /** Where it does not: the chunks of the file that the gofer has read, so that the host has them in memory. */
  #fetched: Set<number> | null = null;

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

  /** What a look-up of this file should bring along when the file is opened for reading next. */
  get wants(): number {
    if (this.#reading !== null || this.#writing !== null || this.#isServed) return WANTS.NOTHING;
    // A file that is opened again and again opens faster with a descriptor.
    return this.#wasSmall ? WANTS.DESCRIPTOR : WANTS.CONTENT;
  }

  /** The content of a small file if it is recent enough to be read; else null. */
  get #recentBytes(): Uint8Array | null {
    const bytes = this.#bytes;
    if (bytes === null) return null;
    return !this.#inode.isOld && this.#bytesAge.isRecent(this.#fs.host, this.#fs.late) ? bytes : null;
  }

  /** The kept content is recent, so the attributes that came with it are recent too. */
  get isAtHand(): boolean {
    return this.#recentBytes !== null;
  }

  /** A descriptor of ours for questions about the file, or null. */
  get descriptor(): HostDescriptor | null {
    return this.#isServed ? null : this.#writing ?? this.#reading;
  }

  /** Takes what a WALK answer brings along behind the node's attributes. */
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

  /** Keeps `bytes` as the whole content, as of `then`. */
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

  /** Takes what an answer to a creating request brings along: the request has opened the new file as well. */
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

  /**
   * No writer has the file open any more. Closes the writing descriptor: the host then allows executing the file
   * (ETXTBSY) and reports IN_CLOSE_WRITE to its own watchers.
   */
  closeWriting(): void {
    if (this.#isServed) return;
    this.#writing?.drop();
    this.#writing = null;
  }

  /** Closes everything kept: the file is not open and has not been for long. */
  drop(): void {
    this.forgetBytes();
    this.#fetched = null;
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

  /** Makes sure that the file can be read, or written too: 0 or -ERRNO. */
  open(isForWriting: boolean): number {
    if (!isForWriting && this.#recentBytes !== null) return 0;
    const opened = this.#opened(isForWriting, this.wants === WANTS.CONTENT);
    return typeof opened === "number" ? opened : 0;
  }

  /** The descriptor for transfers; null: request each transfer from the gofer; -ERRNO. */
  #opened(isForWriting: boolean, mayBeContent = false): HostDescriptor | null | number {
    if (this.#isServed) return isForWriting && !this.#isServedForWriting ? this.#ask(true, false) : null;
    if (this.#writing !== null) return this.#writing;
    if (this.#reading !== null && !isForWriting) return this.#reading;
    return this.#ask(isForWriting, mayBeContent && !isForWriting);
  }

  /** As #opened(); with `mayBeContent`, null may also mean that the content has come instead. */
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
   * A descriptor for mapping, or for a stub to read and write on, with no more access than requested, as the guest
   * may get hold of it. MUST_WAIT, -ERRNO.
   */
  toMap(isForWriting: boolean): HostDescriptor | number {
    return this.#knownToMap(isForWriting) ??
      this.#takeToMap(isForWriting, this.#requestToMap(isForWriting) || this.#fs.client.call());
  }

  /** As toMap(), for callers that cannot be made again: waits for the gofer on the spot. */
  toMapNow(isForWriting: boolean): HostDescriptor | number {
    return this.#knownToMap(isForWriting) ??
      this.#takeToMap(isForWriting, this.#requestToMap(isForWriting) || this.#fs.client.callNow());
  }

  #knownToMap(isForWriting: boolean): HostDescriptor | null {
    return isForWriting ? this.#writing : this.#reading;
  }

  #requestToMap(isForWriting: boolean): number {
    const node = this.#inode.node();
    if (node < 0) return node;
    const { request } = this.#fs.client;
    request.start(REQUEST.OPEN);
    request.u32(node);
    request.u32((isForWriting ? O_RDWR : O_RDONLY) | OPEN_TO_MAP);
    return 0;
  }

  #takeToMap(isForWriting: boolean, result: number): HostDescriptor | number {
    return result < 0 ? result : this.#takeOpened(isForWriting) ?? -ENFILE;
  }

  /**
   * Whether a stub may read and write on a descriptor of the file, so that large transfers do not pass the sentry.
   */
  get isDirect(): boolean {
    return !this.#isServed && this.#bytes === null;
  }

  // --- transfers ----------------------------------------------------------------------------------------------------------

  read(into: Uint8Array, at: number, length: number, offset: number): number {
    const bytes = this.#recentBytes;
    if (bytes !== null) return copyPart(bytes, into, at, length, offset);
    const file = this.#opened(false);
    if (typeof file === "number") {
      // The content was read ahead without a node, and the file has lost its name since: openers keep reading what
      // came.
      return file === -ENOENT && this.#bytes !== null
        ? copyPart(this.#bytes, into, at, length, offset)
        : file;
    }
    this.forgetBytes();
    if (file === null) return this.#readServed(into, at, length, offset);
    const n = this.#readsNow ? file.preadNow(into, at, length, offset) : -EOPNOTSUPP;
    if (n === length || (n >= 0 && offset + n >= this.#inode.size)) return n;
    if (n === -EOPNOTSUPP) {
      this.#readsNow = false;
      if (!this.#isFetched(offset, length) && this.#fetchChunks(offset, length) === MUST_WAIT) {
        return MUST_WAIT;
      }
    } else if (n !== -EAGAIN && n < 0) return n;
    else if (this.#fetch(n > 0 ? offset + n : offset, n > 0 ? length - n : length) === MUST_WAIT) {
      return MUST_WAIT;
    }
    return file.pread(into, at, length, offset);
  }

  /** Whether a stub may read these bytes on a descriptor: the host has them in memory, or can be asked for those alone. */
  mayReadDirectly(offset: number, length: number): boolean {
    return this.isDirect && (this.#readsNow || this.#isFetched(offset, length));
  }

  #isFetched(offset: number, length: number): boolean {
    const end = Math.min(offset + length, this.#inode.size);
    for (let at = offset - offset % CHUNK_BYTES; at < end; at += CHUNK_BYTES) {
      if (this.#fetched?.has(at / CHUNK_BYTES) !== true) return false;
    }
    return true;
  }

  /**
   * Has the gofer read whole chunks, as far as one request goes. The overlay and tmpfs of the host do not support
   * RWF_NOWAIT, and a lower layer may be a FUSE mount: the first read of each chunk is not made here.
   */
  #fetchChunks(offset: number, length: number): number {
    const from = offset - offset % CHUNK_BYTES;
    const chunks = Math.min(Math.ceil((offset + length - from) / CHUNK_BYTES), FETCH_BYTES_MAX / CHUNK_BYTES);
    const result = this.#fetch(from, chunks * CHUNK_BYTES);
    if (result === MUST_WAIT) return result;
    const fetched = this.#fetched ??= new Set();
    if (fetched.size > CHUNKS_MAX) fetched.clear();
    for (let i = 0; i < chunks; i++) fetched.add(from / CHUNK_BYTES + i);
    return result;
  }

  /**
   * Has the gofer read into the page cache what is missing there. Errors are ignored here: the following read reports
   * them.
   */
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

  /** Writes; with O_SYNC or O_DSYNC in `flags` also to the disk. The caller records the changed size and times. */
  write(flags: number, from: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.#opened(true);
    if (typeof file === "number") return file;
    const fs = this.#fs, began = fs.host.clockNanos(CLOCK_MONOTONIC);
    const isAside = file === null || (flags & O_DSYNC) !== 0 || began < fs.writesAsideUntil;
    if (isAside && (file === null || length <= TRANSFER_BYTES_MAX)) {
      return this.#writeAside(file, flags, from, at, Math.min(length, TRANSFER_BYTES_MAX), offset);
    }
    if (began < fs.writesWatchedUntil || began > fs.sleepsAskedAt + SLEEPS_HOLD_NANOS) {
      fs.sleeps = fs.host.sleeps();
      fs.sleepsAskedAt = began;
    }
    const n = file.pwrite(from, at, length, offset);
    this.noteWriteTime(began);
    if (n < 0 || (flags & O_DSYNC) === 0) return n;
    const synced = file.fsync((flags & O_SYNC) !== O_SYNC);
    return synced < 0 && synced !== -EINVAL ? synced : n;
  }

  /** Notes the duration of a write, by the sentry or by a stub, that started at `began` and has ended now. */
  noteWriteTime(began: number): void {
    const fs = this.#fs, now = fs.host.clockNanos(CLOCK_MONOTONIC);
    if (now - began <= SLOW_WRITE_NANOS || fs.host.sleeps() === fs.sleeps) return;
    fs.writesAsideUntil = now + (fs.sleepsAskedAt === began ? WRITES_ASIDE_NANOS : UNSURE_ASIDE_NANOS);
    fs.writesWatchedUntil = now + WRITES_WATCHED_NANOS;
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
    // With O_APPEND the file's end may have moved when the call is made again, but the request must be the same.
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

  /** Most bytes that one transfer moves before the call must save its progress; see File.sliceBytes. */
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
    // The file's mode may forbid the gofer to reopen it.
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

  /** fallocate(2), by the gofer: finding free blocks may take the disk long. */
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
    // The file's mode may forbid the gofer to reopen it.
    if (result === -EACCES && file !== null) return file.fallocate(mode, offset, length);
    if (result < 0) return result;
    this.#inode.noteChange();
    this.#inode.loadAnswer();
    return 0;
  }

  /**
   * lseek(2) with SEEK_DATA or SEEK_HOLE, below `size`. Linux: a file system without support for holes reports all as
   * data.
   */
  seekData(offset: number, isForHole: boolean, size: number, whence: number): number {
    const file = this.#opened(false);
    if (typeof file === "number") return file;
    if (file !== null) return file.lseek(offset, whence);
    return isForHole ? size : offset;
  }
}

/** Copies up to `length` of `bytes` from `offset` on. */
function copyPart(bytes: Uint8Array, into: Uint8Array, at: number, length: number, offset: number): number {
  const n = Math.max(0, Math.min(length, bytes.length - offset));
  if (n > 0) into.set(n === bytes.length ? bytes : bytes.subarray(offset, offset + n), at);
  return n;
}
