// The rseq(2) area of a guest thread, which the host keeps up to date, and what a thread that ends leaves in memory.

import { EBUSY, EFAULT, ENOSYS } from "../../kernel/abi/errno.ts";
import { OP_LEAVE } from "../slot.ts";
import { GUEST_END } from "../stub/layout.ts";
import type { SystrapThread } from "./thread.ts";

const SYS_rseq = 334;
const RSEQ_FLAG_UNREGISTER = 1;
/** struct robust_list_head. */
const ROBUST_HEAD_BYTES = 24;

/** What rseq(2) has registered with the host for one thread. */
export class Rseq {
  /** 0 = none. */
  #address = 0;
  #length = 0;
  #signature = 0;

  get isRegistered(): boolean {
    return this.#address !== 0;
  }

  #set(address: number, length: number, signature: number): void {
    this.#address = address;
    this.#length = length;
    this.#signature = signature;
  }

  /** The thread is a new one of the host's. */
  forget(): void {
    this.#set(0, 0, 0);
  }

  /** rseq(2), now. */
  call(thread: SystrapThread, address: number, length: number, flags: number, signature: number): number {
    const result = thread.callNow(SYS_rseq, address, length, flags, signature);
    if (result === 0) this.#set(flags === 0 ? address : 0, length, signature);
    thread.platform.hasRseq ||= result === 0;
    return result;
  }

  /** GuestThread.registerLater(). */
  registerLater(thread: SystrapThread, address: number, length: number, signature: number): boolean {
    if (!thread.platform.hasRseq || this.isRegistered) return false;
    thread.call(SYS_rseq, false, address, length, 0, signature);
    this.#set(address, length, signature);
    return true;
  }

  /** Gives the area up when the thread runs its next commands: the host would write to what is somebody else's by then. */
  unregisterLater(thread: SystrapThread): void {
    thread.call(SYS_rseq, false, this.#address, this.#length, RSEQ_FLAG_UNREGISTER, this.#signature);
    this.forget();
  }

  /** GuestThread.leaveMemory(). */
  leaveMemory(
    thread: SystrapThread,
    area: number,
    length: number,
    signature: number,
    robustHead: number,
    word: number,
  ): number {
    if (robustHead > GUEST_END - ROBUST_HEAD_BYTES || word > GUEST_END - 4) return -ENOSYS;
    const index = thread.command(OP_LEAVE, false, 0, area, length, signature, robustHead, word);
    const ran = thread.run();
    const result = ran < 0 ? -EFAULT : thread.result(index);
    if (area !== 0 && result !== -EBUSY) this.forget();
    return result;
  }
}
