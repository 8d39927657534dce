// eventfd: a 64-bit counter; write(2) adds to it, read(2) resets or decrements it. Linux: fs/eventfd.c, eventfd(2).
// The counter is two u32 words, as its full range is 0 .. 2^64-2.

import { EAGAIN, EINVAL } from "../../abi/errno.ts";
import { EFD_SEMAPHORE, POLLERR, POLLIN, POLLOUT } from "../../abi/file.ts";
import { put32, u32 } from "../../abi/struct.ts";
import type { Kernel } from "../../kernel.ts";
import type { Task } from "../../task/task.ts";
import { AnonymousFile } from "./filesystem.ts";

const TWO_32 = 4294967296;
const WORD_MAX = 0xffff_ffff;

export class EventFile extends AnonymousFile {
  #low: number;
  #high = 0;
  readonly #isSemaphore: boolean;
  /** The id that fdinfo shows. */
  readonly #id: number;

  /** `initial` is an unsigned 32-bit number; `how` may have EFD_SEMAPHORE. */
  constructor(kernel: Kernel, initial: number, how: number, flags: number) {
    super(kernel, "[eventfd]", flags);
    this.#id = kernel.pseudo.eventIds.next();
    this.#low = initial;
    this.#isSemaphore = (how & EFD_SEMAPHORE) !== 0;
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    if (length < 8) return -EINVAL;
    if (this.#low === 0 && this.#high === 0) return -EAGAIN;
    if (this.#isSemaphore) {
      put32(into, at, 1);
      put32(into, at + 4, 0);
      if (this.#low === 0) {
        this.#low = WORD_MAX;
        this.#high--;
      } else {
        this.#low--;
      }
    } else {
      put32(into, at, this.#low);
      put32(into, at + 4, this.#high);
      this.#low = 0;
      this.#high = 0;
    }
    this.queue.notify(POLLOUT);
    return 8;
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number): number {
    if (length < 8) return -EINVAL;
    const low = u32(from, at), high = u32(from, at + 4);
    if (low === WORD_MAX && high === WORD_MAX) return -EINVAL;
    return this.#add(low, high) ? 8 : -EAGAIN;
  }

  /** Adds, unless the sum would exceed 2^64-2; then returns false. */
  #add(low: number, high: number): boolean {
    let sumLow = this.#low + low;
    let sumHigh = this.#high + high;
    if (sumLow >= TWO_32) {
      sumLow -= TWO_32;
      sumHigh++;
    }
    if (sumHigh > WORD_MAX || (sumHigh === WORD_MAX && sumLow === WORD_MAX)) return false;
    this.#low = sumLow;
    this.#high = sumHigh;
    this.queue.notify(POLLIN);
    return true;
  }

  /**
   * Adds one for the kernel itself (asynchronous I/O, cgroup events): a full counter stays at its maximum, as
   * eventfd_signal() does.
   */
  signal(): void {
    if (this.#add(1, 0)) return;
    this.#low = this.#high = WORD_MAX;
    this.queue.notify(POLLIN | POLLERR);
  }

  override readiness(): number {
    let events = 0;
    if (this.#low !== 0 || this.#high !== 0) events |= POLLIN;
    if (this.#high === WORD_MAX && this.#low === WORD_MAX) events |= POLLERR;
    if (this.#high !== WORD_MAX || this.#low < WORD_MAX - 1) events |= POLLOUT;
    return events;
  }

  override get infoText(): string {
    const count = (BigInt(this.#high) << 32n | BigInt(this.#low)).toString(16).padStart(16);
    return `eventfd-count: ${count}\neventfd-id: ${this.#id}\neventfd-semaphore: ${
      this.#isSemaphore ? 1 : 0
    }\n`;
  }
}
