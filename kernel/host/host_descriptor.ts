// Descriptors of the host that the kernel holds. Each has one owner object, which says where it comes from, what it may
// be used for and who has asked for it; the owner is counted by its users and closes the descriptor once, with the last of
// them. A number means nothing: it is the host's name for the descriptor while it is open, and -1 (EBADF) afterwards.

import type { Host } from "../../platform/platform.ts";
import { EBADF, ENFILE } from "../abi/errno.ts";
import { MFD_CLOEXEC } from "../abi/memory.ts";
import type { Budget } from "../util/kernel_memory.ts";
import { DescriptorQuota, type DescriptorUsers } from "./descriptor_quota.ts";
import { MemoryReleases, type Shrinking } from "./memory_release.ts";

/** What a descriptor may be used for. */
export const HOST_READ = 1;
export const HOST_WRITE = 2;
/** Passed to a stub, to be mapped or to be read and written there. */
export const HOST_MAP = 4;

/** Where it comes from: given by whoever started the sandbox, made by the kernel, memory made by it, or opened by the gofer. */
export type HostDescriptorOrigin = "donated" | "made" | "memory" | "gofer";

/** Room for the arguments of the ioctl requests that are made here. */
export const HOST_IOCTL_BYTES = 64;

/** What sentry and gofer have for themselves, generously. */
const OWN_DESCRIPTORS = 64;
/** A process has a socket to its stub and a descriptor for questions of that; threads count as if they had them too. */
const DESCRIPTORS_OF_TASK = 2;
/** Nobody to count for. */
const NO_USERS: DescriptorUsers = { current: () => -1, tasksOf: () => 0, tasks: 0 };

/** All descriptors of one kernel, so that its end can say what is left. */
export class HostDescriptors {
  readonly host: Host;
  readonly #open = new Set<HostDescriptor>();
  /** Memory that goes back to the host little by little: a service of the loop. */
  readonly releases: MemoryReleases;
  /** Which guest user has how many of them. */
  readonly quota: DescriptorQuota;

  constructor(host: Host, users: DescriptorUsers = NO_USERS) {
    this.host = host;
    this.releases = new MemoryReleases(host);
    const max = host.descriptorsMax() - OWN_DESCRIPTORS;
    this.quota = new DescriptorQuota(max, DESCRIPTORS_OF_TASK, users);
  }

  /** Takes over the open descriptor `fd`, counted once. `purpose` is for a reader of the log. */
  own(fd: number, origin: HostDescriptorOrigin, rights: number, purpose: string): HostDescriptor {
    if (fd < 0) throw new Error(`Cannot own descriptor ${fd} of the host`);
    const descriptor = new HostDescriptor(this, fd, origin, rights, purpose);
    this.#open.add(descriptor);
    return descriptor;
  }

  /** New memory of `length` bytes, all zero; or -ERRNO. */
  newMemory(purpose: string, length: number): HostDescriptor | number {
    if (!this.quota.hasRoom) return -ENFILE;
    const fd = this.host.memfdCreate(purpose, MFD_CLOEXEC);
    if (fd < 0) return fd;
    const result = this.host.ftruncate(fd, length);
    if (result < 0) {
      this.host.close(fd);
      return result;
    }
    return this.own(fd, "memory", HOST_READ | HOST_WRITE | HOST_MAP, purpose);
  }

  /** Another descriptor of the same description, with the same rights; or -ERRNO. Memory has one: its end empties it. */
  copy(descriptor: HostDescriptor): HostDescriptor | number {
    if (descriptor.origin === "memory") {
      throw new Error(`Cannot copy the descriptor of ${descriptor.purpose}`);
    }
    const fd = this.host.dup(descriptor.fd);
    if (fd < 0) return fd;
    return this.own(fd, descriptor.origin, descriptor.rights, descriptor.purpose);
  }

  /** What `descriptor` is open on, for reading and mapping only; or -ERRNO. */
  reopen(descriptor: HostDescriptor): HostDescriptor | number {
    if (!this.quota.hasRoom) return -ENFILE;
    const fd = this.host.reopen(descriptor.fd);
    return fd < 0 ? fd : this.own(fd, "made", HOST_READ | HOST_MAP, descriptor.purpose);
  }

  /** How many are open. */
  get count(): number {
    return this.#open.size;
  }

  /** Those that are open but for `expected`, a line each. */
  describe(expected: readonly HostDescriptor[] = []): string[] {
    return [...this.#open].filter((one) => !expected.includes(one))
      .map(({ fd, origin, purpose }) => `${fd}: ${purpose} (${origin})`);
  }

  /** For HostDescriptor alone. */
  onClosed(descriptor: HostDescriptor): void {
    this.#open.delete(descriptor);
  }
}

export class HostDescriptor {
  /** Its number at the host; -1 once it is closed. For calls that take several descriptors, and for the platform. */
  fd: number;
  readonly origin: HostDescriptorOrigin;
  /** HOST_ bits. */
  readonly rights: number;
  readonly purpose: string;
  readonly #all: HostDescriptors;
  readonly #host: Host;
  #references = 1;
  /** The guest user it counts for. */
  readonly #user: number;
  /** The same memory, for reading only; opened when a stub first wants that. */
  #reader: HostDescriptor | null = null;
  /** Memory whose end is being cut off. */
  #shrinking: Shrinking | null = null;

  constructor(
    all: HostDescriptors,
    fd: number,
    origin: HostDescriptorOrigin,
    rights: number,
    purpose: string,
  ) {
    this.fd = fd;
    this.origin = origin;
    this.rights = rights;
    this.purpose = purpose;
    this.#all = all;
    this.#host = all.host;
    this.#user = all.quota.take();
  }

  get isOpen(): boolean {
    return this.fd >= 0;
  }

  /** One more user. */
  hold(): void {
    if (this.#references === 0) throw new Error(`Descriptor of ${this.purpose} is held after its end`);
    this.#references++;
  }
  /** One user less; the last one closes it. Of memory, `charged` bytes are counted in `budget` until they have gone. */
  drop(budget: Budget | null = null, charged = 0): void {
    if (this.#references === 0) throw new Error(`Descriptor of ${this.purpose} is dropped twice`);
    if (--this.#references > 0) return;
    this.#reader?.drop();
    const { releases } = this.#all;
    if (this.#shrinking !== null && !this.#shrinking.isDone) {
      releases.closeShrinking(this.#shrinking, budget, charged);
    } else if (this.origin === "memory") {
      releases.close(this.fd, budget, charged);
    } else {
      this.#host.close(this.fd);
    }
    this.#shrinking = null;
    this.fd = -1;
    this.#all.quota.give(this.#user);
    this.#all.onClosed(this);
  }

  /**
   * A number for a stub to map, or -ERRNO. Guest code in a stub may get hold of what is passed there, so the descriptor
   * allows writing only where the guest may write.
   */
  fdForMapping(isForWriting: boolean): number {
    if ((this.rights & HOST_MAP) === 0) return -EBADF;
    if (isForWriting || (this.rights & HOST_WRITE) === 0) return this.fd;
    if (this.#reader === null) {
      const reader = this.#all.reopen(this);
      if (typeof reader === "number") return reader;
      this.#reader = reader;
    }
    return this.#reader.fd;
  }

  // Calls of the host on it: results are >= 0 or -ERRNO, as Host has them.

  read(into: Uint8Array, at: number, length: number): number {
    return (this.rights & HOST_READ) === 0 ? -EBADF : this.#host.read(this.fd, into, at, length);
  }
  write(from: Uint8Array, at: number, length: number): number {
    return (this.rights & HOST_WRITE) === 0 ? -EBADF : this.#host.write(this.fd, from, at, length);
  }
  pread(into: Uint8Array, at: number, length: number, offset: number): number {
    return (this.rights & HOST_READ) === 0 ? -EBADF : this.#host.pread(this.fd, into, at, length, offset);
  }
  /** As Host.preadNow(). */
  preadNow(into: Uint8Array, at: number, length: number, offset: number): number {
    return (this.rights & HOST_READ) === 0 ? -EBADF : this.#host.preadNow(this.fd, into, at, length, offset);
  }
  pwrite(from: Uint8Array, at: number, length: number, offset: number): number {
    return (this.rights & HOST_WRITE) === 0 ? -EBADF : this.#host.pwrite(this.fd, from, at, length, offset);
  }
  ftruncate(size: number): number {
    return (this.rights & HOST_WRITE) === 0 ? -EBADF : this.#host.ftruncate(this.fd, size);
  }
  /** Cuts memory off at `size`, little by little: its end must not be used while isShrinking. */
  shrink(size: number): void {
    this.#shrinking = this.#all.releases.shrink(this.fd, size);
  }
  get isShrinking(): boolean {
    return this.#shrinking !== null && !this.#shrinking.isDone;
  }
  fallocate(mode: number, offset: number, length: number): number {
    return (this.rights & HOST_WRITE) === 0 ? -EBADF : this.#host.fallocate(this.fd, mode, offset, length);
  }
  fsync(isDataOnly: boolean): number {
    return isDataOnly ? this.#host.fdatasync(this.fd) : this.#host.fsync(this.fd);
  }
  lseek(offset: number, whence: number): number {
    return this.#host.lseek(this.fd, offset, whence);
  }
  fstat(into: Uint8Array, at: number): number {
    return this.#host.fstat(this.fd, into, at);
  }
  /** As Host.attributes(). */
  attributes(into: Uint8Array, at: number): number {
    return this.#host.attributes(this.fd, into, at);
  }
  /** Poll events of `events` that hold now, and POLLERR, POLLHUP. */
  poll(events: number): number {
    return this.#host.poll(this.fd, events);
  }
  /** `buffer` has HOST_IOCTL_BYTES from `at` on. */
  ioctl(request: number, buffer: Uint8Array, at: number): number {
    return this.#host.ioctl(this.fd, request, buffer, at);
  }
}
