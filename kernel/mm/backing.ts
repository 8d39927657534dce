// What shared and file mappings are made of: a host descriptor and an offset in it. Linux: vm_file, shmem_zero_setup().

import type { Host } from "../../platform/platform.ts";
import { ENOMEM } from "../abi/errno.ts";
import { MFD_CLOEXEC } from "../abi/memory.ts";
import type { File, Mappable } from "../vfs/file.ts";
import type { Backing } from "./vma.ts";

/** Memory of an open file. Areas of one mmap call share it; each holds the file once, the first from the start. */
export class FileBacking implements Backing {
  readonly file: File;
  readonly #mappable: Mappable;
  /** The guest may write the file through it, now or after mprotect. */
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

/** Shared anonymous memory: a memfd of its own, so that forked processes share it and futexes find it. */
export class SharedMemory implements Backing {
  readonly file = null;
  readonly hostOffset = 0;
  readonly isMemory = true;
  readonly #host: Host;
  readonly #fd: number;
  #references = 1;

  constructor(host: Host, fd: number) {
    this.#host = host;
    this.#fd = fd;
  }
  hostFd(): number {
    return this.#fd;
  }
  hold(): void {
    this.#references++;
  }
  drop(): void {
    if (--this.#references === 0) this.#host.close(this.#fd);
  }
}

/** `length` bytes of new shared memory, held once; -ENOMEM. */
export function newSharedMemory(host: Host, length: number): SharedMemory | number {
  const fd = host.memfdCreate("shared", MFD_CLOEXEC);
  if (fd < 0) return -ENOMEM;
  if (host.ftruncate(fd, length) < 0) {
    host.close(fd);
    return -ENOMEM;
  }
  return new SharedMemory(host, fd);
}
