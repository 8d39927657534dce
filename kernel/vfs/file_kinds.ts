// What only some kinds of files can do. A File answers its asX() with itself where it is one of that kind, else null; who
// asks gives the errno that Linux gives for the others.

import { EINVAL, EOPNOTSUPP } from "../abi/errno.ts";
import { NOT_MOVED } from "../../platform/platform.ts";
import type { Task } from "../task/task.ts";
import { File } from "./file.ts";

/** Told each directory entry; gives back false when the caller's buffer is full. `nextOffset` is d_off. */
export interface DirectorySink {
  emit(name: string, ino: number, type: number, nextOffset: number): boolean;
  /** As emit, of the struct linux_dirent64 at `at`, whose name has `nameLength` bytes. Where it lacks, emit is called. */
  emitRecord?(bytes: Uint8Array, at: number, nameLength: number, nextOffset: number): boolean;
}

/** getdents(2); anything else answers ENOTDIR. */
export interface DirectoryFile {
  /** Emits entries from `position` on, "." and ".." included; moves `position`. 0 or -ERRNO. */
  readDirectory(task: Task, sink: DirectorySink): number;
}

/** Memory a mapping can be made of: a host descriptor and an offset in it. */
export interface Mappable {
  /** Host descriptor to map; it stays owned by the file. -ERRNO when it cannot be had now. */
  hostFd(): number;
  /** Host offset of the file's byte 0. */
  readonly hostOffset: number;
  /** See DirectFile.readsNow. */
  readonly readsNow?: boolean;
}

/** mmap(2); anything else answers ENODEV. */
export interface MappableFile {
  /** A shared mapping of it may be written, at once or after mprotect(2). */
  readonly isSharedWritable: boolean;
  /** What to map, or why not: `isShared` and `prot` are for the file to refuse. */
  mappable(isShared: boolean, prot: number): Mappable | number;
}

/** F_ADD_SEALS and F_GET_SEALS of fcntl(2); anything else answers EINVAL. */
export interface SealableFile {
  readonly seals: number;
  /** 0 or -ERRNO. */
  addSeals(seals: number): number;
}

/** An end of a pipe, or a FIFO that is open: splice(2) and tee(2) work on it; others answer EINVAL. */
export interface PipeEnd extends File {
  /** Copies what a read would give, `skip` bytes in, and leaves it there. Bytes, 0 at the end, -EAGAIN to wait. */
  peek(into: Uint8Array, at: number, length: number, skip: number): number;
  /** Takes `length` bytes that peek() has shown. */
  consume(length: number): void;
  /** Bytes that a write would take now; 0 = it would wait. -EPIPE without a reader. */
  room(): number;
  /** Bytes it holds: F_GETPIPE_SZ; anything else answers EBADF. */
  readonly capacity: number;
  /** F_SETPIPE_SZ: the new size, or -ERRNO. */
  resize(task: Task, bytes: number): number;
}

/** SO_RCVTIMEO and SO_SNDTIMEO: longest wait of a blocking read or write, Infinity = none. */
export interface SocketFile {
  readonly readTimeoutNanos: number;
  readonly writeTimeoutNanos: number;
}

/** Content at offsets: regular files of all file systems. ftruncate(2) of anything else answers EINVAL. */
export abstract class ContentFile extends File {
  override get isSeekable(): boolean {
    return true;
  }
  override asContent(): ContentFile {
    return this;
  }

  truncate(_size: number): number {
    return -EINVAL;
  }
  /** Before fallocate(2), which calls allocate() piece by piece: what is known to fail is to fail before the first. */
  mayAllocate(_mode: number, _offset: number, _length: number): number {
    return 0;
  }
  allocate(_mode: number, _offset: number, _length: number): number {
    return -EOPNOTSUPP;
  }
  /** As read() and write(), of a large piece straight to and from guest memory; NOT_MOVED where that cannot be. */
  readDirectly(_task: Task, _address: number, _length: number, _offset: number): number {
    return NOT_MOVED;
  }
  writeDirectly(_task: Task, _address: number, _length: number, _offset: number): number {
    return NOT_MOVED;
  }
}
