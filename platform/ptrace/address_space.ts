// A guest address space on ptrace: a stub process whose stopped threads are made to execute host calls.

import { EAGAIN, EFAULT, EIO, ENOSYS } from "../../kernel/abi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from "../../kernel/abi/memory.ts";
import {
  type AddressSpace,
  EVENT,
  type Features,
  type GuestAreas,
  type GuestThread,
  type HostUsage,
  NOT_MOVED,
} from "../platform.ts";
import { STUB_SYSCALL, STUB_TEXT } from "../slot.ts";
import { COPY_IN, COPY_OUT } from "../stub/stubs.ts";
import { readUsage } from "../stub/usage.ts";
import type { PtracePlatform } from "./platform.ts";
import { PtraceThread } from "./thread.ts";
import { GUEST_END, STUB_LAYOUT } from "../stub/layout.ts";

const TWO_32 = 4294967296;
const MAP_PASSED = MAP_SHARED | MAP_PRIVATE | MAP_NORESERVE | MAP_POPULATE | MAP_STACK;
const SYS_close = 3;
const SYS_mmap = 9;
const SYS_mprotect = 10;
const SYS_munmap = 11;
const SYS_mremap = 25;
const SYS_msync = 26;
const SYS_mincore = 27;
const SYS_madvise = 28;
const SYS_recvmsg = 47;
const SYS_clone = 56;
const SYS_sigaltstack = 131;
const SYS_prctl = 157;

/** Memory of each stub that we use for a msghdr, mincore results, child tids. */
const SCRATCH = STUB_TEXT + 0x20_0000;
const SCRATCH_BYTES = 64 * 1024;
/** Behind it: where the host writes a signal frame when we ask what a fault was (native/src/ptrace.rs). One for all threads. */
const SIGNAL_STACK = SCRATCH + SCRATCH_BYTES;
const SIGNAL_STACK_BYTES = 64 * 1024;
const PROT_RW = 3;
const PTRACE_O_PEEK_WORD = 8;

const FEATURES: Features = { hasExchange: false, hasClear: false, hasHostFutex: false };

const instruction = new BigUint64Array([BigInt(STUB_TEXT + STUB_SYSCALL)]);
const call = new Uint32Array(14);

export class PtraceAddressSpace implements AddressSpace {
  readonly platform: PtracePlatform;
  readonly pid: number;
  readonly threads = new Set<PtraceThread>();
  readonly features = FEATURES;
  readonly layout = STUB_LAYOUT;
  areas: GuestAreas | null = null;
  isDead = false;
  #cpuNanos = 0;
  #hasLeaderEnded = false;

  constructor(platform: PtracePlatform, pid: number) {
    this.platform = platform;
    this.pid = pid;
  }

  get vdsoAddress(): number {
    return this.platform.vdsoAddress;
  }

  /** Has `by` make a host call; its own registers are untouched in our copy. */
  inject(by: PtraceThread, number: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
    if (this.isDead) return -EIO;
    put(0, number);
    put(1, a);
    put(2, b);
    put(3, c);
    put(4, d);
    put(5, e);
    put(6, f);
    const { commandTime } = this.platform;
    if (commandTime.isCounted) commandTime.begin(this.pid);
    const result = this.platform.calls.tsv_ptrace_inject(by.tid, by.registers, instruction, call);
    if (commandTime.isCounted) commandTime.end(this.pid);
    if (result < 0) return -EIO;
    return call[0] + (call[1] | 0) * TWO_32;
  }

  map(
    thread: GuestThread,
    address: number,
    length: number,
    prot: number,
    flags: number,
    hostFd: number,
    offset: number,
  ): number {
    const by = thread as PtraceThread;
    const passed = flags & MAP_PASSED | MAP_FIXED;
    if (hostFd < 0) {
      const result = this.inject(by, SYS_mmap, address, length, prot, passed | MAP_ANONYMOUS, -1, 0);
      return result < 0 ? result : 0;
    }
    const fd = this.#receive(by, hostFd);
    if (fd < 0) return fd;
    const result = this.inject(by, SYS_mmap, address, length, prot, passed, fd, offset);
    this.inject(by, SYS_close, fd);
    return result < 0 ? result : 0;
  }

  /** Maps SCRATCH and the signal stack, once, in the stub from which all others are forked. 0 or -ERRNO. */
  mapScratch(by: PtraceThread): number {
    const flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
    const bytes = SCRATCH_BYTES + SIGNAL_STACK_BYTES;
    const result = this.inject(by, SYS_mmap, SCRATCH, bytes, PROT_RW, flags, -1, 0);
    return result < 0 ? result : this.#setSignalStack(by);
  }

  /** fork(2) passes the setting on, a new thread begins without (sigaltstack(2)). 0 or -ERRNO. */
  #setSignalStack(by: PtraceThread): number {
    // stack_t: where, flags, size.
    const stack = new Uint32Array([
      SIGNAL_STACK % TWO_32,
      Math.floor(SIGNAL_STACK / TWO_32),
      0,
      0,
      SIGNAL_STACK_BYTES,
      0,
    ]);
    const bytes = new Uint8Array(stack.buffer);
    const n = this.platform.stubs.copy(this.#livingTid, COPY_OUT, SCRATCH, bytes, 0, bytes.length);
    return n < 0 ? n : this.inject(by, SYS_sigaltstack, SCRATCH, 0);
  }

  /** Passes `hostFd` to the stub; its number there. Nobody else of the process can run a host call meanwhile. */
  #receive(by: PtraceThread, hostFd: number): number {
    const sent = this.platform.stubs.calls.tsv_stub_send(this.platform.socket, -1, hostFd);
    if (sent < 0) return sent;
    // struct msghdr at SCRATCH, iovec at +64, the byte at +96, control at +128.
    const message = new Uint32Array(64);
    const word = (at: number, value: number) => {
      message[at >> 2] = value % TWO_32;
      message[(at >> 2) + 1] = Math.floor(value / TWO_32);
    };
    word(16, SCRATCH + 64);
    word(24, 1);
    word(32, SCRATCH + 128);
    word(40, 64);
    word(64, SCRATCH + 96);
    word(72, 1);
    const bytes = new Uint8Array(message.buffer);
    if (this.platform.stubs.copy(this.#livingTid, COPY_OUT, SCRATCH, bytes, 0, 256) !== 256) return -EFAULT;
    const received = this.inject(by, SYS_recvmsg, 0, SCRATCH, 0);
    if (received < 0) return received;
    if (this.platform.stubs.copy(this.#livingTid, COPY_IN, SCRATCH + 128, bytes, 0, 24) !== 24) {
      return -EFAULT;
    }
    return new DataView(bytes.buffer).getInt32(16, true);
  }

  unmap(thread: GuestThread, address: number, length: number): number {
    return this.inject(thread as PtraceThread, SYS_munmap, address, length);
  }
  protect(thread: GuestThread, address: number, length: number, prot: number): number {
    return this.inject(thread as PtraceThread, SYS_mprotect, address, length, prot);
  }
  remap(
    thread: GuestThread,
    address: number,
    oldLength: number,
    newLength: number,
    newAddress: number,
  ): number {
    const flags = newAddress === address ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;
    const result = this.inject(
      thread as PtraceThread,
      SYS_mremap,
      address,
      oldLength,
      newLength,
      flags,
      newAddress,
    );
    return result < 0 ? result : 0;
  }
  discardLater(): boolean {
    return false;
  }

  advise(thread: GuestThread, address: number, length: number, advice: number): number {
    return this.inject(thread as PtraceThread, SYS_madvise, address, length, advice);
  }
  sync(thread: GuestThread, address: number, length: number, flags: number): number {
    return this.inject(thread as PtraceThread, SYS_msync, address, length, flags);
  }
  residency(thread: GuestThread, address: number, length: number, into: Uint8Array, at: number): number {
    const pages = Math.ceil(length / 4096);
    for (let done = 0; done < pages; done += SCRATCH_BYTES) {
      const count = Math.min(SCRATCH_BYTES, pages - done);
      const result = this.inject(
        thread as PtraceThread,
        SYS_mincore,
        address + done * 4096,
        count * 4096,
        SCRATCH,
      );
      if (result < 0) return result;
      if (this.platform.stubs.copy(this.#livingTid, COPY_IN, SCRATCH, into, at + done, count) !== count) {
        return -EFAULT;
      }
    }
    return 0;
  }

  read(address: number, into: Uint8Array, at: number, length: number): number {
    if (address < 0 || address + length > GUEST_END || at + length > into.length) return -EFAULT;
    return this.platform.stubs.copy(this.#livingTid, COPY_IN, address, into, at, length);
  }
  write(address: number, from: Uint8Array, at: number, length: number): number {
    if (address < 0 || address + length > GUEST_END || at + length > from.length) return -EFAULT;
    return this.platform.stubs.copy(this.#livingTid, COPY_OUT, address, from, at, length);
  }

  forceWrite(address: number, from: Uint8Array, at: number, length: number): number {
    for (const thread of this.threads) {
      if (thread.isRunning) continue;
      const prot = this.areas === null ? 5 : this.areas.protectionOf(address);
      if (prot < 0) return -EFAULT;
      const page = address - address % 4096;
      const pages = Math.ceil((address + length - page) / 4096) * 4096;
      if (this.protect(thread, page, pages, prot | 3) < 0) return -EFAULT;
      const n = this.write(address, from, at, length);
      this.protect(thread, page, pages, prot);
      return n;
    }
    return -EAGAIN;
  }

  // Not here: a batch is carried out as it comes, nothing is moved without a copy.
  beginBatch(): void {}
  endBatch(): number {
    return 0;
  }
  move(): number {
    return NOT_MOVED;
  }
  forgetFile(): void {}
  compareExchange(): number {
    return -ENOSYS;
  }
  clear(): number {
    return -ENOSYS;
  }

  cpuNanos(): number {
    if (!this.isDead) {
      this.#cpuNanos = Math.max(this.#cpuNanos, this.platform.stubs.calls.tsv_stub_cpu_nanos(this.pid));
    }
    return this.#cpuNanos;
  }

  usage(into: HostUsage): boolean {
    return !this.isDead && readUsage(this.platform.stubs.calls, this.pid, 0, into);
  }

  /** A thread by which the host finds the memory: a first thread that has ended, others living, has none any more. */
  get #livingTid(): number {
    if (!this.#hasLeaderEnded) return this.pid;
    for (const thread of this.threads) return thread.tid;
    return this.pid;
  }

  newThread(by: PtraceThread): PtraceThread | number {
    const tid = this.inject(
      by,
      SYS_clone,
      this.platform.stubs.threadFlags,
      SCRATCH + 2048,
      0,
      SCRATCH + PTRACE_O_PEEK_WORD,
    );
    if (tid <= 0) return -EAGAIN;
    const thread = this.#enter(by, this, tid);
    this.#setSignalStack(thread);
    return thread;
  }

  fork(by: PtraceThread): PtraceThread | number {
    const pid = this.inject(by, SYS_clone, this.platform.stubs.forkFlags, 0, 0, SCRATCH + PTRACE_O_PEEK_WORD);
    if (pid <= 0) return -EAGAIN;
    const thread = this.#enter(by, new PtraceAddressSpace(this.platform, pid), pid);
    thread.addressSpace.inject(thread, SYS_prctl, 1, 9);
    return thread;
  }

  #enter(by: PtraceThread, space: PtraceAddressSpace, tid: number): PtraceThread {
    const thread = new PtraceThread(this.platform, space, tid);
    thread.registers.set(by.registers);
    space.threads.add(thread);
    this.platform.threadsByTid.set(tid, thread);
    return thread;
  }

  endThread(thread: PtraceThread): void {
    this.threads.delete(thread);
    this.platform.threadsByTid.delete(thread.tid);
    if (this.isDead || this.threads.size === 0) return;
    if (thread.tid === this.pid) this.#hasLeaderEnded = true;
    this.platform.calls.tsv_ptrace_end(thread.tid, thread.registers, instruction);
  }

  release(): void {
    if (!this.isDead) this.cpuNanos();
    this.isDead = true;
    for (const thread of this.threads) this.platform.threadsByTid.delete(thread.tid);
    this.platform.stubs.kill(this.pid);
  }

  /** The process is gone unasked: every thread has a DEAD event. */
  die(): void {
    this.isDead = true;
    for (const thread of this.threads) thread.event = EVENT.DEAD;
  }
}

function put(n: number, value: number): void {
  call[2 * n] = value % TWO_32;
  call[2 * n + 1] = Math.floor(value / TWO_32);
}
