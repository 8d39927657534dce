// The window of a systrap thread: guest memory as its system call sees it. Reads come from what the stub has copied into
// the slot, writes go to the slot's outbox, which the stub empties when the thread resumes. What does not fit goes
// through process_vm_readv and writev.

import { EFAULT, ENAMETOOLONG } from "../../kernel/abi/errno.ts";
import { bytesToLatin1 } from "../../kernel/util/bytes.ts";
import { type UserWindow, VIEW_MAX } from "../platform.ts";
import {
  IN_ENTRIES,
  IN_MAX,
  OUT_COUNT,
  OUT_ENTRIES,
  OUT_MAX,
  STAGING_IN,
  STAGING_IN_BYTES,
  STAGING_OUT,
  STAGING_OUT_BYTES,
} from "../slot.ts";
import type { SystrapAddressSpace } from "./address_space.ts";
import { GUEST_END } from "../stub/layout.ts";

const TWO_32 = 4294967296;

/** Below this many bytes a loop beats Uint8Array.set with its subarray. */
const LOOP_COPY_MAX = 64;

/** Copies between byte arrays without allocating for short lengths. */
export function copyBytes(
  to: Uint8Array,
  at: number,
  from: Uint8Array,
  fromAt: number,
  length: number,
): void {
  if (length <= LOOP_COPY_MAX) {
    for (let i = 0; i < length; i++) to[at + i] = from[fromAt + i];
  } else {
    to.set(from.subarray(fromAt, fromAt + length), at);
  }
}

/**
 * Longer results go by process_vm_writev instead of the outbox: there the guest's CPU would have to fetch each line of them
 * from ours. As LONG_BYTES in the stub, which copies in no longer argument than this.
 */
const OUTBOX_BYTES_MAX = 4096;

/** For views that do not fit a slot. One for all threads: a view holds only until the next call on its window. */
const scratch = new Uint8Array(VIEW_MAX);

export class SystrapWindow implements UserWindow {
  view: Uint8Array;
  viewEnd = 0;
  readonly #bytes: Uint8Array;
  readonly #words: Uint32Array;
  #space: SystrapAddressSpace;
  /** Entries the stub copied for the current event; 0 unless it is a system call. Copied once, then trusted as a number. */
  inCount = 0;
  /** Outbox entries and staging bytes used since the last resume. */
  #outCount = 0;
  #outUsed = 0;
  /** The open outView: guest address, where its bytes stand (in #bytes, or in scratch when #outIsScratch). */
  #outAddress = 0;
  #outAt = 0;
  #outIsScratch = false;

  constructor(space: SystrapAddressSpace, bytes: Uint8Array, words: Uint32Array) {
    this.#space = space;
    this.#bytes = bytes;
    this.#words = words;
    this.view = bytes;
  }

  /** Slots are reused: the same window serves a thread of another address space. */
  attach(space: SystrapAddressSpace): void {
    this.#space = space;
    this.inCount = 0;
    this.reset();
  }

  /** The outbox has been handed to the stub, or is to be forgotten. */
  reset(): void {
    this.#outCount = 0;
    this.#outUsed = 0;
  }

  inView(address: number, length: number): number {
    if (length === 0) return 0;
    const at = this.#find(address, length);
    if (at >= 0) {
      this.view = this.#bytes;
      return at;
    }
    if (length > VIEW_MAX) throw new Error("inView is longer than VIEW_MAX");
    if (!isUserRange(address, length)) return -EFAULT;
    this.view = scratch;
    return this.#space.read(address, scratch, 0, length) === length ? 0 : -EFAULT;
  }

  outView(address: number, length: number): number {
    if (!isUserRange(address, length)) return -EFAULT;
    this.#outAddress = address;
    if (
      length <= OUTBOX_BYTES_MAX && this.#outCount < OUT_MAX && length <= STAGING_OUT_BYTES - this.#outUsed
    ) {
      this.#outIsScratch = false;
      this.#outAt = STAGING_OUT + this.#outUsed;
      this.view = this.#bytes;
      return this.#outAt;
    }
    if (length > VIEW_MAX) throw new Error("outView is longer than VIEW_MAX");
    this.#outIsScratch = true;
    this.view = scratch;
    return 0;
  }

  outCommit(length: number): number {
    if (length === 0) return 0;
    if (this.#outIsScratch) {
      if (length <= OUTBOX_BYTES_MAX) return this.copyOut(this.#outAddress, scratch, 0, length);
      return this.#space.write(this.#outAddress, scratch, 0, length) === length ? 0 : -EFAULT;
    }
    this.#post(this.#outAddress, length);
    return 0;
  }

  readString(address: number, max: number): string | number {
    const known = this.#findString(address, max);
    if (known >= 0) return bytesToLatin1(this.#bytes, known, this.#stringLength);
    // Page by page, as the string may end right before unmapped memory.
    let done = 0;
    if (max > VIEW_MAX) max = VIEW_MAX;
    while (done < max) {
      const from = address + done;
      const length = Math.min(max - done, 4096 - from % 4096);
      if (!isUserRange(from, 1) || this.#space.read(from, scratch, done, length) !== length) return -EFAULT;
      for (let i = done; i < done + length; i++) {
        if (scratch[i] === 0) return bytesToLatin1(scratch, 0, i);
      }
      done += length;
    }
    return -ENAMETOOLONG;
  }

  copyIn(address: number, into: Uint8Array, at: number, length: number): number {
    if (length === 0) return 0;
    const found = this.#find(address, length);
    if (found >= 0) {
      copyBytes(into, at, this.#bytes, found, length);
      return 0;
    }
    if (!isUserRange(address, length)) return -EFAULT;
    return this.#space.read(address, into, at, length) === length ? 0 : -EFAULT;
  }

  copyOut(address: number, from: Uint8Array, at: number, length: number): number {
    if (length === 0) return 0;
    if (!isUserRange(address, length)) return -EFAULT;
    if (
      length <= OUTBOX_BYTES_MAX && this.#outCount < OUT_MAX && length <= STAGING_OUT_BYTES - this.#outUsed
    ) {
      this.#outAt = STAGING_OUT + this.#outUsed;
      copyBytes(this.#bytes, this.#outAt, from, at, length);
      this.#post(address, length);
      return 0;
    }
    return this.#space.write(address, from, at, length) === length ? 0 : -EFAULT;
  }

  readBack(address: number, into: Uint8Array, at: number, length: number): number {
    const words = this.#words;
    for (let i = this.#outCount - 1; i >= 0; i--) {
      const entry = (OUT_ENTRIES >> 2) + i * 4;
      const start = words[entry] + words[entry + 1] * TWO_32, size = words[entry + 2];
      if (address < start || address + length > start + size) continue;
      const offset = words[entry + 3] + (address - start);
      // The entry is ours, but its memory is the guest's too.
      if (offset < STAGING_OUT || offset + length > STAGING_OUT + STAGING_OUT_BYTES) return -EFAULT;
      copyBytes(into, at, this.#bytes, offset, length);
      return 0;
    }
    if (!isUserRange(address, length)) return -EFAULT;
    return this.#space.read(address, into, at, length) === length ? 0 : -EFAULT;
  }

  /** Enters `length` bytes at #outAt into the outbox. */
  #post(address: number, length: number): void {
    const entry = (OUT_ENTRIES >> 2) + this.#outCount * 4;
    const words = this.#words;
    words[entry] = address >>> 0;
    words[entry + 1] = Math.floor(address / TWO_32);
    words[entry + 2] = length;
    words[entry + 3] = this.#outAt;
    this.#outUsed += (length + 7) & ~7;
    this.#outCount++;
    words[OUT_COUNT >> 2] = this.#outCount;
  }

  known(address: number, length: number): number {
    this.view = this.#bytes;
    return this.#find(address, length);
  }

  /** Place in the slot of `length` bytes at `address` that the stub copied in, or -1. */
  #find(address: number, length: number): number {
    const words = this.#words;
    for (let i = 0; i < this.inCount; i++) {
      const entry = (IN_ENTRIES >> 2) + i * 4;
      const start = words[entry] + words[entry + 1] * TWO_32;
      const size = words[entry + 2];
      const offset = words[entry + 3];
      if (address < start || address + length > start + size) continue;
      if (offset < STAGING_IN || offset + size > STAGING_IN + STAGING_IN_BYTES) return -1;
      this.viewEnd = offset + size;
      return offset + (address - start);
    }
    return -1;
  }

  #stringLength = 0;

  /** Place of a NUL-terminated string the stub copied in, its length in #stringLength; or -1. */
  #findString(address: number, max: number): number {
    const at = this.#find(address, 1);
    if (at < 0) return -1;
    const bytes = this.#bytes;
    const end = Math.min(at + max, STAGING_IN + STAGING_IN_BYTES);
    for (let i = at; i < end; i++) {
      if (bytes[i] === 0) {
        this.#stringLength = i - at;
        return at;
      }
    }
    return -1;
  }

  /** Takes over the number of entries at a system call. */
  open(count: number): void {
    this.inCount = count > IN_MAX ? 0 : count;
  }
}

function isUserRange(address: number, length: number): boolean {
  return address >= 0 && address + length <= GUEST_END;
}
