// Large reads and writes that a guest thread makes itself, at the sentry's command: the bytes go between the host's
// page cache and the guest's memory without passing the sentry, and are copied on the guest's CPU.
//
// At most two files of an address space, those most used lately. The stub has a host file's descriptor meanwhile; its
// seccomp filter permits that number for pread64 (and preadv2 with RWF_NOWAIT, where the sentry must not wait for a
// disk) only, or for pwrite64 only: a guest that jumps there reaches only what it has open anyway. A memory file is
// mapped in a window above the guest's memory, for reading as a private mapping, which cannot change it. Both are
// removed when the process closes the file, forks or calls execve.

import { EFAULT } from "../../kernel/abi/errno.ts";
import {
  MADV_DONTFORK,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  PROT_READ,
  PROT_WRITE,
} from "../../kernel/abi/memory.ts";
import { DIRECT_WRITE, type DirectFile, NOT_MOVED } from "../platform.ts";
import {
  DIRECT_READ_FD,
  DIRECT_WINDOW_BYTES,
  DIRECT_WINDOWS,
  DIRECT_WRITE_FD,
  OP_COPY,
  OP_RECEIVE_FDS,
  SLOT_STATE,
  SLOT_TIME,
  STATE_EVENT,
} from "../slot.ts";
import { putNumber, RECEIVED_FD } from "./commands.ts";
import type { SystrapThread } from "./thread.ts";

const SYS_close = 3;
const SYS_mmap = 9;
const SYS_munmap = 11;
const SYS_pread64 = 17;
const SYS_pwrite64 = 18;
const SYS_madvise = 28;
const SYS_dup2 = 33;
const SYS_preadv2 = 327;
const RWF_NOWAIT = 8;

/** The most bytes of one command, as the sentry waits meanwhile. */
const MOVE_BYTES_MAX = 256 * 1024;

/** The prepared file of one direction. */
class Place {
  /** DirectFile.id of the descriptor's file, and of the file in the window with its offset there; 0: none. */
  descriptorId = 0;
  windowId = 0;
  windowOffset = 0;
  /** How many transfers of other files, or parts, are made through views before one may replace this file. */
  credit = 0;

  /** Asks to replace the file; true if allowed. So two files used in turns do not replace each other each time. */
  yields(): boolean {
    if (this.credit === 0) return true;
    this.credit--;
    return false;
  }
}

/** The credit after each use. */
const CREDIT = 4;

export class DirectFiles {
  readonly #socket: number;
  readonly #places = [new Place(), new Place()];

  constructor(socket: number) {
    this.#socket = socket;
  }

  /** AddressSpace.move(). */
  move(
    by: SystrapThread,
    direction: number,
    file: DirectFile,
    address: number,
    length: number,
    offset: number,
  ): number {
    let done = 0;
    while (done < length) {
      // Waking a sleeping stub would cost more than it saves.
      if (by.words[SLOT_STATE >> 2] !== STATE_EVENT) break;
      const count = Math.min(length - done, MOVE_BYTES_MAX);
      const n = file.isMemory
        ? this.#copy(by, direction, file, address + done, count, offset + done)
        : this.#call(by, direction, file, address + done, count, offset + done);
      if (n === -EFAULT && done === 0) return n;
      if (n < 0) break;
      done += n;
      if (n < count && !file.isMemory) return done;
      if (n === 0) return done;
    }
    return done === 0 ? NOT_MOVED : done;
  }

  #call(
    by: SystrapThread,
    direction: number,
    file: DirectFile,
    address: number,
    count: number,
    offset: number,
  ): number {
    const place = this.#places[direction];
    const isWrite = direction === DIRECT_WRITE;
    const fd = isWrite ? DIRECT_WRITE_FD : DIRECT_READ_FD;
    if (place.descriptorId !== file.id) {
      if (!place.yields()) return NOT_MOVED;
      place.descriptorId = 0;
      if (!this.#send(by, file)) return NOT_MOVED;
      by.call(SYS_dup2, true, RECEIVED_FD, fd);
      by.call(SYS_close, true, RECEIVED_FD);
      if (by.run() < 0) return NOT_MOVED;
      place.descriptorId = file.id;
    }
    place.credit = CREDIT;
    const n = !isWrite && file.readsNow
      ? readNow(by, fd, address, count, offset)
      : by.callNow(isWrite ? SYS_pwrite64 : SYS_pread64, fd, address, count, offset);
    // The guest can forge the result.
    return n <= count ? n : NOT_MOVED;
  }

  /** Copies up to the end of the window. */
  #copy(
    by: SystrapThread,
    direction: number,
    file: DirectFile,
    address: number,
    count: number,
    offset: number,
  ): number {
    const place = this.#places[direction];
    const window = DIRECT_WINDOWS + direction * DIRECT_WINDOW_BYTES;
    const from = offset - offset % DIRECT_WINDOW_BYTES;
    if (place.windowId !== file.id || place.windowOffset !== from) {
      const isNext = place.windowId === file.id && from === place.windowOffset + DIRECT_WINDOW_BYTES;
      if (!isNext && !place.yields()) return NOT_MOVED;
      place.windowId = 0;
      if (!this.#send(by, file)) return NOT_MOVED;
      const isWrite = direction === DIRECT_WRITE;
      const prot = isWrite ? PROT_READ | PROT_WRITE : PROT_READ;
      const flags = MAP_FIXED | MAP_NORESERVE | (isWrite ? MAP_SHARED : MAP_PRIVATE);
      by.call(SYS_mmap, true, window, DIRECT_WINDOW_BYTES, prot, flags, RECEIVED_FD, from);
      by.call(SYS_madvise, true, window, DIRECT_WINDOW_BYTES, MADV_DONTFORK);
      by.call(SYS_close, true, RECEIVED_FD);
      if (by.run() < 0) return NOT_MOVED;
      place.windowId = file.id;
      place.windowOffset = from;
    }
    place.credit = CREDIT;
    const at = window + offset - from;
    if (count > from + DIRECT_WINDOW_BYTES - offset) count = from + DIRECT_WINDOW_BYTES - offset;
    const copy = direction === DIRECT_WRITE
      ? by.command(OP_COPY, false, 0, at, address, count)
      : by.command(OP_COPY, false, 0, address, at, count);
    if (by.run() < 0) return NOT_MOVED;
    const left = -by.result(copy);
    // The guest can forge the result.
    if (!(left >= 0 && left <= count)) return NOT_MOVED;
    return left === count ? -EFAULT : count - left;
  }

  #send(by: SystrapThread, file: DirectFile): boolean {
    const fd = file.hostFd();
    if (fd < 0 || by.addressSpace.platform.stubs.calls.tsv_stub_send(this.#socket, -1, fd) < 0) {
      return false;
    }
    by.command(OP_RECEIVE_FDS, true, 0);
    return true;
  }

  /** AddressSpace.forgetFile(). */
  forget(by: SystrapThread, id: number): void {
    for (let direction = 0; direction < 2; direction++) {
      const place = this.#places[direction];
      if (place.descriptorId === id || place.windowId === id) this.#drop(by, direction);
    }
  }

  /** Enters the commands that remove everything, before a fork or execve. */
  enterDrop(by: SystrapThread): void {
    this.#enterDrop(by, 0);
    this.#enterDrop(by, 1);
  }

  #drop(by: SystrapThread, direction: number): void {
    this.#enterDrop(by, direction);
    if (by.commandCount > 0) by.run();
  }

  #enterDrop(by: SystrapThread, direction: number): void {
    const place = this.#places[direction];
    if (place.descriptorId !== 0) {
      by.call(SYS_close, false, direction === DIRECT_WRITE ? DIRECT_WRITE_FD : DIRECT_READ_FD);
    }
    if (place.windowId !== 0) {
      by.call(SYS_munmap, false, DIRECT_WINDOWS + direction * DIRECT_WINDOW_BYTES, DIRECT_WINDOW_BYTES);
    }
    place.descriptorId = place.windowId = place.credit = 0;
  }
}

/** preadv2(2) with RWF_NOWAIT into one range of memory; the guest may change the iovec, as it may the memory. */
function readNow(by: SystrapThread, fd: number, address: number, count: number, offset: number): number {
  const at = SLOT_TIME >> 2;
  putNumber(by.words, at, address);
  putNumber(by.words, at + 2, count);
  return by.callNow(SYS_preadv2, fd, by.address + SLOT_TIME, 1, offset, 0, RWF_NOWAIT);
}
