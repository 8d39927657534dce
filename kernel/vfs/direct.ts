// Large reads and writes of one open file that the guest's thread carries out itself (AddressSpace.move): the bytes are not
// copied through the sentry. Preparing a file for it costs some copies, so it is for files that are read or written on.

import type { DirectFile } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import type { Mappable } from "./file_kinds.ts";
import type { Vfs } from "./vfs.ts";

/** Shorter transfers go by views: not much is left to gain. */
export const DIRECT_BYTES_MIN = 8192;
/** Large transfers before it pays to prepare the file. */
const COLD_TRANSFERS = 3;

export class DirectTransfers implements DirectFile {
  readonly id: number;
  readonly isMemory: boolean;
  readonly #source: Mappable;
  #count = 0;

  /** Of `source`, whose byte 0 is the descriptor's. `isMemory`: see DirectFile. */
  constructor(vfs: Vfs, isMemory: boolean, source: Mappable) {
    this.id = vfs.transferIds.next();
    this.isMemory = isMemory;
    this.#source = source;
  }

  get readsNow(): boolean {
    return this.#source.readsNow === true;
  }

  hostFd(): number {
    return this.#source.hostFd();
  }

  /** Another large transfer; whether the file has seen enough of them. */
  count(): boolean {
    return ++this.#count > COLD_TRANSFERS;
  }

  /** AddressSpace.move() */
  move(task: Task, direction: number, address: number, length: number, offset: number): number {
    const { thread } = task, space = thread.addressSpace;
    return space.move(thread, direction, this, address, length, offset);
  }

  /** It cannot be done now: to be tried again after as many transfers as at first. */
  cool(): void {
    this.#count = 0;
  }

  /** `task` has closed a descriptor of the file. */
  forget(task: Task): void {
    task.thread.addressSpace.forgetFile(task.thread, this.id);
  }
}
