// kernel.hostFiles: shared by all gofer mounts of a kernel, as two of them may show the same file.

import { ATTRIBUTE, CLOSE_COUNT_MAX } from "../../../gofer/protocol.ts";
import { u32, u64 } from "../../abi/struct.ts";
import { DescriptorQuota, type DescriptorUsers } from "../../host/descriptor_quota.ts";

/** Identifies a host file: device and inode number. Two names with one key are one file. */
export type FileKey = number | string;

/** Changed files that are remembered; older changes are forgotten together. */
const CHANGED_MAX = 8192;

/** A gofer mount whose files may be changed through another mount. */
export interface SharedFiles {
  /** The host file `key` was changed through another mount: cached knowledge of it is invalid. */
  forget(key: FileKey): void;
}

/**
 * The share of the gofer's descriptors that guests' open files may use; a quarter is for cached names (kernel.ts).
 */
const OPEN_PART = 5 / 8;

export class HostFiles {
  /** Nodes that are closed together: few of the gofer's descriptors may wait to be closed. */
  readonly closesAt: number;
  /** Counts open host files per guest user: each costs the gofer a descriptor. */
  readonly quota: DescriptorQuota;
  readonly #shared: SharedFiles[] = [];
  #changes = 0;
  /** The value of `changes` after a file's last change; changes before #unknownBefore are forgotten. */
  readonly #changedAt = new Map<FileKey, number>();
  #unknownBefore = 0;
  /**
   * The device of the first file, high and low word: most files are on it, so their key is the inode number alone.
   */
  #commonHigh = -1;
  #commonLow = 0;

  /** The gofer has the same limit of descriptors as the sentry: `descriptorsMax`. */
  constructor(descriptorsMax: number, users: DescriptorUsers) {
    this.closesAt = Math.min(CLOSE_COUNT_MAX, descriptorsMax >> 4);
    this.quota = new DescriptorQuota(descriptorsMax * OPEN_PART, 0, users);
  }

  /** How many changes this kernel has made to host files. */
  get changes(): number {
    return this.#changes;
  }

  /** Calls `files.forget()` from now on for changes through other mounts. */
  share(files: SharedFiles): void {
    this.#shared.push(files);
  }

  /** Whether this kernel may have changed the host file `key` since `changes` was `count`. */
  isChangedSince(key: FileKey, count: number): boolean {
    return count < this.#unknownBefore || (this.#changedAt.get(key) ?? 0) > count;
  }

  /** The kernel changes the host file `key` through the mount `by`, which updates its own caches itself. */
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

  /** The key of the file with the attributes at `at`. */
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
