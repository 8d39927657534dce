// Character devices by major and minor number, and the /dev of containers. Linux: drivers/char/mem.c, random.c,
// devtmpfs.

import { ENOSPC, ENXIO } from "../abi/errno.ts";
import { O_APPEND, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM, S_IFCHR } from "../abi/file.ts";
import { put32 } from "../abi/struct.ts";
import type { HostDescriptor } from "../host/host_descriptor.ts";
import type { Kernel } from "../kernel.ts";
import type { Task } from "../task/task.ts";
import { File } from "../vfs/file.ts";
import type { Mappable, MappableFile } from "../vfs/file_kinds.ts";
import type { Filesystem, FilesystemType } from "../vfs/filesystem.ts";
import type { Inode } from "../vfs/inode.ts";
import type { SpecialOpener } from "../vfs/vfs.ts";
import { Tmpfs, type TmpfsInode } from "./tmpfs.ts";

/** The memory devices by minor number. */
const MEMORY_DEVICES: Readonly<Record<number, SpecialOpener>> = {
  3: (_task, inode, flags) => new NullFile(inode, flags),
  5: (task, inode, flags) => new ZeroFile(task, inode, flags, false),
  7: (task, inode, flags) => new ZeroFile(task, inode, flags, true),
  8: (task, inode, flags) => new RandomFile(task, inode, flags),
  9: (task, inode, flags) => new RandomFile(task, inode, flags),
};

/** Opens a node of MEM_MAJOR. */
export function openMemoryDevice(task: Task, inode: Inode, flags: number): File | number {
  const opener = MEMORY_DEVICES[inode.rdevMinor];
  return opener === undefined ? -ENXIO : opener(task, inode, flags);
}

abstract class DeviceFile extends File {
  override get isSeekable(): boolean {
    return true;
  }
  override seek(_offset: number, _whence: number): number {
    return 0;
  }
  override readiness(): number {
    return POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM;
  }
  /** Of these devices only /dev/random has a poll method (drivers/char/random.c); epoll(7) refuses the others. */
  override get isPollable(): boolean {
    return this.inode.rdevMinor === RANDOM_MINOR;
  }
}

const RANDOM_MINOR = 8;
/** RNDGETENTCNT of random(4). The pool is always full: kernel/random/entropy_avail. */
const RNDGETENTCNT = 0x8004_5200;
const ENTROPY_BITS = 256;
const word = new Uint8Array(4);

class NullFile extends DeviceFile {
  override get canSplice(): boolean {
    return false;
  }
  override read(): number {
    return 0;
  }
  override write(_task: Task, _from: Uint8Array, _at: number, length: number): number {
    return length;
  }
}

/** The size shown to mappings: no mapping is larger. */
const ZERO_BYTES = 2 ** 46;

/** /dev/zero, and /dev/full, whose writes fail with ENOSPC. */
class ZeroFile extends DeviceFile implements Mappable, MappableFile {
  readonly hostOffset = 0;
  readonly #isFull: boolean;
  readonly #kernel: Kernel;
  #memory: HostDescriptor | null = null;

  constructor(task: Task, inode: Inode, flags: number, isFull: boolean) {
    super(inode, flags & ~O_APPEND);
    this.#kernel = task.kernel;
    this.#isFull = isFull;
  }
  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    into.fill(0, at, at + length);
    return length;
  }
  override write(_task: Task, _from: Uint8Array, _at: number, length: number): number {
    return this.#isFull ? -ENOSPC : length;
  }
  /** A mapping of /dev/zero is anonymous memory. */
  override asMappable(): MappableFile | null {
    return this.#isFull ? null : this;
  }
  get isSharedWritable(): boolean {
    return this.isWritable;
  }
  mappable(_isShared: boolean, _prot: number): Mappable {
    return this;
  }
  hostFd(): number {
    if (this.#memory === null) {
      const memory = this.#kernel.descriptors.newMemory("/dev/zero", ZERO_BYTES);
      if (typeof memory === "number") return memory;
      this.#memory = memory;
    }
    return this.#memory.fdForMapping(this.isWritable);
  }
  override release(): void {
    this.#memory?.drop();
    super.release();
  }
}

class RandomFile extends DeviceFile {
  readonly #task: Task;
  constructor(task: Task, inode: Inode, flags: number) {
    super(inode, flags);
    this.#task = task;
  }
  /** Some hosts take 1 ms for so many. */
  override get sliceBytes(): number {
    return 64 * 1024;
  }
  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    this.#task.kernel.host.random(into, at, length);
    return length;
  }
  override write(_task: Task, _from: Uint8Array, _at: number, length: number): number {
    return length;
  }
  override ioctl(task: Task, request: number, argument: number): number {
    if (request !== RNDGETENTCNT) return super.ioctl(task, request, argument);
    put32(word, 0, ENTROPY_BITS);
    return task.memory.copyOut(argument, word, 0, 4);
  }
}

interface Node {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
  readonly mode: number;
}

const NODES: readonly Node[] = [
  { name: "null", major: 1, minor: 3, mode: 0o666 },
  { name: "zero", major: 1, minor: 5, mode: 0o666 },
  { name: "full", major: 1, minor: 7, mode: 0o666 },
  { name: "random", major: 1, minor: 8, mode: 0o666 },
  { name: "urandom", major: 1, minor: 9, mode: 0o666 },
  { name: "tty", major: 5, minor: 0, mode: 0o666 },
];

const LINKS: readonly (readonly [string, string])[] = [
  ["fd", "/proc/self/fd"],
  ["stdin", "/proc/self/fd/0"],
  ["stdout", "/proc/self/fd/1"],
  ["stderr", "/proc/self/fd/2"],
  ["ptmx", "pts/ptmx"],
];

/** The type of a container's /dev: a tmpfs that begins with the usual nodes. */
export const DEVTMPFS_TYPE: FilesystemType = {
  name: "devtmpfs",
  hasNoDevice: true,
  isUserMountable: false,
  mount: mountDev,
};

function mountDev(task: Task, _source: string, _options: string): Filesystem | number {
  const limits = { mode: 0o755, uid: 0, gid: 0, sizeBytes: 64 * 1024 * 1024, inodes: 65536 };
  const fs = new Tmpfs(task.kernel, limits, "mode=755", "devtmpfs");
  const root: TmpfsInode = fs.root;
  for (const { name, major, minor, mode } of NODES) {
    root.mknod(name, { mode: S_IFCHR | mode, uid: 0, gid: 0 }, major, minor);
  }
  for (const [name, target] of LINKS) root.symlink(name, target, { mode: 0o777, uid: 0, gid: 0 });
  for (const name of ["pts", "shm", "mqueue"]) root.mkdir(name, { mode: 0o40755, uid: 0, gid: 0 });
  return fs;
}
