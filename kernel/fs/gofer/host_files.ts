// What the mounts of host files of one kernel know of each other: kernel.hostFiles. Two of them may show the same file.

import { ATTRIBUTE } from "../../../gofer/protocol.ts";
import { u32, u64 } from "../../abi/struct.ts";
import { DescriptorQuota, type DescriptorUsers } from "../../host/descriptor_quota.ts";

/** What makes two names one file of the host: device and inode number. */
export type FileKey = number | string;

/** Changed files that are remembered. */
const CHANGED_MAX = 8192;

/** A mount that may show files which are changed through another one. */
export interface SharedFiles {
  /** The host file `key` was changed elsewhere: what is known of it is old. */
  forget(key: FileKey): void;
}

/** Part of the gofer's descriptors for files that guests have open; a quarter is for names that are kept, as kernel.ts says. */
const OPEN_PART = 5 / 8;

export class HostFiles {
  /** Which guest user has how many host files open: each costs the gofer a descriptor. */
  readonly quota: DescriptorQuota;
  readonly #shared: SharedFiles[] = [];
  #changes = 0;
  /** What `changes` became when a file was changed last; of changes before #unknownBefore that is forgotten. */
  readonly #changedAt = new Map<FileKey, number>();
  #unknownBefore = 0;
  /** The device of the first file seen, high word and low: most files are there, and are known by their number alone. */
  #commonHigh = -1;
  #commonLow = 0;

  /** The gofer has as many descriptors as we: `descriptorsMax`. */
  constructor(descriptorsMax: number, users: DescriptorUsers) {
    this.quota = new DescriptorQuota(descriptorsMax * OPEN_PART, 0, users);
  }

  /** How often this kernel has changed host files. */
  get changes(): number {
    return this.#changes;
  }

  /** From now on `files` hears of changes through other mounts. */
  share(files: SharedFiles): void {
    this.#shared.push(files);
  }

  /** The host file `key` may have been changed by this kernel since `changes` was `count`. */
  isChangedSince(key: FileKey, count: number): boolean {
    return count < this.#unknownBefore || (this.#changedAt.get(key) ?? 0) > count;
  }

  /** We are changing the host file `key`, through the mount `by`, which looks after what it knows itself. */
  noteChange(by: SharedFiles, key: FileKey): void {
    this.#changes++;
    if (this.#changedAt.size >= CHANGED_MAX) {
      this.#changedAt.clear();
      this.#unknownBefore = this.#changes;
    }
    this.#changedAt.set(key, this.#changes);
    const shared = this.#shared;
    for (let i = 0; i < shared.length; i++) if (shared[i] !== by) shared[i].forget(key);
  }

  /** Of the attributes at `at`. */
  keyOf(bytes: Uint8Array, at: number): FileKey {
    const low = u32(bytes, at + ATTRIBUTE.DEVICE_MINOR), high = u32(bytes, at + ATTRIBUTE.DEVICE_MAJOR);
    if (this.#commonHigh < 0) {
      this.#commonHigh = high;
      this.#commonLow = low;
    }
    const number = u64(bytes, at + ATTRIBUTE.INO);
    return low === this.#commonLow && high === this.#commonHigh ? number : `${high}:${low}:${number}`;
  }
}
