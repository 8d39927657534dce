// Guest memory without a host: an AddressSpace over plain bytes that follows mmap, munmap, mprotect and mremap page by page, and
// a task that is just enough for the mm and loader rooms. For unit tests.

import { EFAULT, ENOMEM } from "../../kernel/abi/errno.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { HostDescriptors } from "../../kernel/host/host_descriptor.ts";
import { MemoryPressure } from "../../kernel/mm/pressure.ts";
import { MemoryMap } from "../../kernel/mm/address_space.ts";
import { KernelMemory } from "../../kernel/util/kernel_memory.ts";
import { ALL_CAPABILITIES, newCredentials } from "../../kernel/task/credentials.ts";
import { newRlimits } from "../../kernel/task/rlimits.ts";
import type { Task } from "../../kernel/task/task.ts";
import type { AddressSpace, GuestThread, Host } from "../../platform/platform.ts";

interface Page {
  prot: number;
  readonly flags: number;
  readonly fd: number;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export class FakeAddressSpace implements AddressSpace {
  readonly pages = new Map<number, Page>();
  /** Commands carried out: what a call costs. */
  commands = 0;
  protectionOf: ((address: number) => number) | null = null;
  vdsoAddress = 0;
  isReleased = false;

  map(
    _thread: GuestThread,
    address: number,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): number {
    this.commands++;
    for (let at = 0; at < length; at += PAGE_SIZE) {
      const bytes = new Uint8Array(PAGE_SIZE);
      this.pages.set(address + at, { prot, flags, fd, offset: offset + at, bytes });
    }
    return 0;
  }
  unmap(_thread: GuestThread, address: number, length: number): number {
    this.commands++;
    // Far ranges are holes for the most part.
    if (length > this.pages.size * PAGE_SIZE) {
      for (const page of this.pages.keys()) {
        if (page >= address && page < address + length) this.pages.delete(page);
      }
    } else {
      for (let at = 0; at < length; at += PAGE_SIZE) this.pages.delete(address + at);
    }
    return 0;
  }
  protect(_thread: GuestThread, address: number, length: number, prot: number): number {
    this.commands++;
    for (let at = 0; at < length; at += PAGE_SIZE) {
      const page = this.pages.get(address + at);
      if (page === undefined) return -ENOMEM;
      page.prot = prot;
    }
    return 0;
  }
  remap(thread: GuestThread, address: number, oldLength: number, newLength: number, to: number): number {
    this.commands++;
    const moved: Page[] = [];
    for (let at = 0; at < oldLength; at += PAGE_SIZE) {
      const page = this.pages.get(address + at);
      if (page === undefined) return -EFAULT;
      moved.push(page);
      this.pages.delete(address + at);
    }
    const last = moved[moved.length - 1];
    this.map(thread, to, newLength, last.prot, last.flags, last.fd, moved[0].offset);
    moved.forEach((page, i) => i * PAGE_SIZE < newLength && this.pages.set(to + i * PAGE_SIZE, page));
    this.commands--;
    return 0;
  }
  advise(): number {
    this.commands++;
    return 0;
  }
  sync(): number {
    return 0;
  }
  residency(_thread: GuestThread, _address: number, length: number, into: Uint8Array, at: number): number {
    into.fill(1, at, at + length / PAGE_SIZE);
    return 0;
  }
  read(address: number, into: Uint8Array, at: number, length: number): number {
    return this.#copy(address, length, PROT_READ, (page, from, i) => into[at + i] = page[from]);
  }
  write(address: number, from: Uint8Array, at: number, length: number): number {
    return this.#copy(address, length, PROT_WRITE, (page, to, i) => page[to] = from[at + i]);
  }
  #copy(
    address: number,
    length: number,
    prot: number,
    one: (page: Uint8Array, at: number, i: number) => void,
  ): number {
    for (let i = 0; i < length; i++) {
      const at = (address + i) % PAGE_SIZE;
      const page = this.pages.get(address + i - at);
      if (page === undefined || (page.prot & prot) === 0) return i > 0 ? i : -EFAULT;
      one(page.bytes, at, i);
    }
    return length;
  }
  forceWrite(address: number, from: Uint8Array, at: number, length: number): number {
    return this.#copy(address, length, 7, (page, to, i) => page[to] = from[at + i]);
  }
  cpuNanos(): number {
    return 0;
  }
  release(): void {
    this.isReleased = true;
  }
}

/** Host calls of the mm and loader rooms: memfds by number, and a counter for randomness. */
export class FakeMemoryHost {
  readonly sizes = new Map<number, number>();
  #nextFd = 100;
  #random = 1;

  memfdCreate(): number {
    this.sizes.set(this.#nextFd, 0);
    return this.#nextFd++;
  }
  ftruncate(fd: number, size: number): number {
    this.sizes.set(fd, size);
    return 0;
  }
  close(fd: number): number {
    return this.sizes.delete(fd) ? 0 : -9;
  }
  random(into: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) into[at + i] = this.#random++;
  }
}

/** A task with memory, limits and credentials, and nothing else. */
export function newMemoryTask(memoryBytesMax = Infinity): {
  readonly task: Task;
  readonly mm: MemoryMap;
  readonly space: FakeAddressSpace;
  readonly host: FakeMemoryHost;
} {
  const space = new FakeAddressSpace();
  const host = new FakeMemoryHost();
  const mm = new MemoryMap(space, host as unknown as Host, new KernelMemory(2 ** 30).heap);
  const task = {
    mm,
    thread: {},
    // Nothing is copied ahead.
    memory: {},
    credentials: newCredentials(0, 0, [], ALL_CAPABILITIES),
    threadGroup: { limits: newRlimits(2 ** 30) },
    kernel: {
      limits: { memoryBytesMax, tasksMax: 100 },
      memory: new MemoryPressure(memoryBytesMax),
      notice() {},
      descriptors: new HostDescriptors(host as unknown as Host),
    },
  } as unknown as Task;
  return { task, mm, space, host };
}
