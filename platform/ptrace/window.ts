// The window of a ptrace thread: every access is a copy between processes. Simple and slow; nothing is prefetched.

import { EFAULT, ENAMETOOLONG } from "../../kernel/abi/errno.ts";
import { bytesToLatin1 } from "../../kernel/util/bytes.ts";
import { type AddressSpace, type UserWindow, VIEW_MAX } from "../platform.ts";
import { GUEST_END } from "../stub/layout.ts";

/** One for all threads: a view holds only until the next call on its window. */
const scratch = new Uint8Array(VIEW_MAX);

export class PtraceWindow implements UserWindow {
  view: Uint8Array = scratch;
  readonly viewEnd = 0;
  readonly #space: AddressSpace;
  #outAddress = 0;

  constructor(space: AddressSpace) {
    this.#space = space;
  }

  known(): number {
    return -1;
  }

  inView(address: number, length: number): number {
    if (length === 0) return 0;
    if (length > VIEW_MAX) throw new Error("inView is longer than VIEW_MAX");
    return this.#space.read(address, scratch, 0, length) === length ? 0 : -EFAULT;
  }

  outView(address: number, length: number): number {
    if (length > VIEW_MAX) throw new Error("outView is longer than VIEW_MAX");
    if (address < 0 || address + length > GUEST_END) return -EFAULT;
    this.#outAddress = address;
    return 0;
  }

  outCommit(length: number): number {
    if (length === 0) return 0;
    return this.#space.write(this.#outAddress, scratch, 0, length) === length ? 0 : -EFAULT;
  }

  readString(address: number, max: number): string | number {
    let done = 0;
    if (max > VIEW_MAX) max = VIEW_MAX;
    while (done < max) {
      const from = address + done;
      const length = Math.min(max - done, 4096 - from % 4096);
      if (this.#space.read(from, scratch, done, length) !== length) return -EFAULT;
      for (let i = done; i < done + length; i++) {
        if (scratch[i] === 0) return bytesToLatin1(scratch, 0, i);
      }
      done += length;
    }
    return -ENAMETOOLONG;
  }

  copyIn(address: number, into: Uint8Array, at: number, length: number): number {
    if (length === 0) return 0;
    return this.#space.read(address, into, at, length) === length ? 0 : -EFAULT;
  }

  readBack(address: number, into: Uint8Array, at: number, length: number): number {
    return this.copyIn(address, into, at, length);
  }

  copyOut(address: number, from: Uint8Array, at: number, length: number): number {
    if (length === 0) return 0;
    return this.#space.write(address, from, at, length) === length ? 0 : -EFAULT;
  }
}
