// The memory behind shared and file mappings: a host descriptor and an offset in it. Linux: vm_file,
// shmem_zero_setup().

import { ENOMEM } from "../abi/errno.ts";
import type { HostDescriptor, HostDescriptors } from "../host/host_descriptor.ts";
import type { FutexTable } from "../task/futex_queue.ts";
import type { File } from "../vfs/file.ts";
import type { Mappable } from "../vfs/file_kinds.ts";
import type { Backing } from "./vma.ts";

/**
 * Memory of an open file. Areas of one mmap call share it; each holds the file once, the first by the constructor.
 */
export class FileBacking implements Backing {
  readonly file: File;
  /** The inode keeps the futexes of a file's memory. */
  readonly futexes = null;
  readonly #mappable: Mappable;
  /** The guest may write the file through the mapping, now or after mprotect(2). */
  readonly #canWrite: boolean;

  constructor(file: File, mappable: Mappable, isShared: boolean) {
    this.file = file;
    this.#mappable = mappable;
    this.#canWrite = isShared && file.isWritable;
    this.hold();
  }
  hostFd(): number {
    return this.#mappable.hostFd();
  }
  get hostOffset(): number {
    return this.#mappable.hostOffset;
  }
  get isMemory(): boolean {
    return this.file.inode.fs.isMemory;
  }
  hold(): void {
    this.file.hold();
    if (this.#canWrite) this.file.inode.writableMappings++;
  }
  drop(): void {
    if (this.#canWrite) this.file.inode.writableMappings--;
    this.file.drop();
  }
}

/** Shared anonymous memory: a memfd of its own, so that forked processes share it and futexes have one identity. */
class SharedMemory implements Backing {
  readonly file = null;
  futexes: FutexTable | null = null;
  readonly hostOffset = 0;
  readonly isMemory = true;
  readonly #memory: HostDescriptor;

  constructor(memory: HostDescriptor) {
    this.#memory = memory;
  }
  hostFd(): number {
    return this.#memory.fdForMapping(true);
  }
  hold(): void {
    this.#memory.hold();
  }
  drop(): void {
    this.#memory.drop();
  }
}

/** Makes `length` bytes of shared memory, held once; -ENOMEM. */
export function newSharedMemory(descriptors: HostDescriptors, length: number): SharedMemory | number {
  const memory = descriptors.newMemory("shared memory", length);
  return typeof memory === "number" ? -ENOMEM : new SharedMemory(memory);
}
