// A guest address space on systrap: one stub process with its arena of slots. Changes of the address space are
// commands that a stopped thread of the process carries out; copies use process_vm_readv(2) and process_vm_writev(2).

import { EAGAIN, EFAULT, ENOMEM } from "../../kernel/abi/errno.ts";
import {
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_REMOVE,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_NORESERVE,
  MAP_POPULATE,
  MAP_PRIVATE,
  MAP_SHARED,
  MAP_STACK,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  PROT_EXEC,
  PROT_WRITE,
} from "../../kernel/abi/memory.ts";
import { put32, u32 } from "../../kernel/abi/struct.ts";
import {
  type AddressSpace,
  type DirectFile,
  EVENT,
  type Features,
  type GuestAreas,
  type GuestThread,
  type HostUsage,
  MAP_BY_INTERPRETER,
  MAP_INTERPRETER,
} from "../platform.ts";
import { readUsage } from "../stub/usage.ts";
import {
  ARENA_BYTES,
  ARENA_POSITIONS,
  ARENA_SLOTS,
  ARENAS,
  COMMANDS_MAX,
  OP_BEGIN,
  OP_CLONE,
  OP_COPY,
  OP_EXIT,
  OP_FORK,
  OP_PATCH,
  OP_RECEIVE_FDS,
  SLOT_TID,
  STAGING_IN,
  STAGING_IN_BYTES,
  STAGING_OUT,
  STAGING_OUT_BYTES,
} from "../slot.ts";
import { COPY_IN, COPY_OUT } from "../stub/stubs.ts";
import { DirectFiles } from "./direct_files.ts";
import type { Image } from "./images.ts";
import { Patches } from "./patches.ts";
import type { SystrapPlatform } from "./platform.ts";
import type { SystrapThread } from "./thread.ts";
import { RECEIVED_FD } from "./commands.ts";
import { GUEST_END, STUB_LAYOUT } from "../stub/layout.ts";

const SYS_close = 3;
const SYS_mmap = 9;
const SYS_mprotect = 10;
const SYS_munmap = 11;
const SYS_mremap = 25;
const SYS_msync = 26;
const SYS_mincore = 27;
const SYS_madvise = 28;
const SYS_dup2 = 33;
const SYS_prctl = 157;
const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;
const SYS_rseq = 334;
const RSEQ_FLAG_UNREGISTER = 1;

/** The caller's mmap flags that are passed to the host. */
const MAP_PASSED = MAP_SHARED | MAP_PRIVATE | MAP_NORESERVE | MAP_POPULATE | MAP_STACK;
const PROT_RW = 3;
/** The most bytes of one munmap(2) or mprotect(2): a stub that is busy for too long is killed (patience.ts). */
const PIECE_BYTES = 1 << 28;
/** The most commands that one mapping adds to a batch: close, receive, map, and the close at the end. */
const BATCH_COMMANDS_MAX = 4;
/** Bytes that one command of a batch writes: its result, the number of missing bytes, must not look like an errno. */
const BATCH_WRITE_BYTES = 2048;
/** Advice that resets memory to its state after mmap(2). */
const DISCARDING = new Set([MADV_DONTNEED, MADV_FREE, MADV_REMOVE]);
/** Tries of compareExchange() while the guest changes the words beside the target. */
const EXCHANGE_TRIES_MAX = 32;

/** Idle host threads of a process that are kept for new guest threads. */
const IDLE_THREADS_MAX = 8;
/** PID_MAX_LIMIT of Linux. */
const HOST_IDS_MAX = 1 << 22;

const FEATURES: Features = { hasExchange: true, hasClear: true, hasHostFutex: true };

/** The 16 bytes around a word that is exchanged. */
const line = new Uint8Array(16);

export class SystrapAddressSpace implements AddressSpace {
  readonly platform: SystrapPlatform;
  /** Number of the arena in the region: its slot S is arena * ARENA_SLOTS + S of all slots. */
  readonly arena: number;
  /** The arena's place in the stub's address space; differs from the parent's, as both are mapped during a fork. */
  readonly position: number;
  /** The sentry's end of the stub's socket; the cookie of its hang-up is `arena`. */
  readonly socket: number;
  /** Host pid of the stub process; 0 until the fork has reported it. */
  pid = 0;
  readonly threads = new Set<SystrapThread>();
  patches: Patches;
  readonly features = FEATURES;
  readonly layout = STUB_LAYOUT;
  areas: GuestAreas | null = null;
  /** The process has ended or is no longer trusted. */
  isDead = false;
  /** Slots of ended threads, reusable once the host has zeroed their TID word. */
  readonly #ended: SystrapThread[] = [];
  readonly #direct: DirectFiles;
  /** Host threads without a guest thread, kept because clone(2) costs more than a wake-up. */
  readonly #idle: SystrapThread[] = [];
  #slotsUsed = 0;
  #cpuNanos = 0;
  /** The thread whose map() calls are being batched, and the descriptor that the batch has open in the stub. */
  #batch: SystrapThread | null = null;
  #batchFd = -1;
  /** Bytes of the staging area used by the batch. */
  #batchStaged = 0;

  constructor(
    platform: SystrapPlatform,
    arena: number,
    position: number,
    socket: number,
    parent: Patches | null,
  ) {
    this.platform = platform;
    this.arena = arena;
    this.position = position;
    this.socket = socket;
    this.patches = new Patches(this, parent);
    this.#direct = new DirectFiles(socket);
  }

  get base(): number {
    return ARENAS + this.position * ARENA_BYTES;
  }
  get vdsoAddress(): number {
    return this.platform.vdsoAddress;
  }
  get threadCount(): number {
    return this.threads.size;
  }

  /** All host threads that may run guest code. */
  get hostThreads(): readonly SystrapThread[] {
    return [...this.threads, ...this.#idle];
  }

  /** An unused slot of this arena as a thread object, or null if all are used. */
  takeSlot(): SystrapThread | null {
    for (let i = 0; i < this.#ended.length; i++) {
      const thread = this.#ended[i];
      if (!thread.hasEnded) continue;
      this.#ended[i] = this.#ended[this.#ended.length - 1];
      this.#ended.pop();
      this.threads.add(thread);
      return thread;
    }
    if (this.#slotsUsed >= ARENA_SLOTS) return null;
    const index = this.#slotsUsed++;
    const thread = this.platform.threadOf(this, index);
    this.threads.add(thread);
    return thread;
  }

  // --- memory -----------------------------------------------------------------------------------------------------------

  map(
    thread: GuestThread,
    address: number,
    length: number,
    prot: number,
    flags: number,
    hostFd: number,
    offset: number,
  ): number {
    const by = thread as SystrapThread;
    this.patches.release(by, address, length, false);
    let passed = flags & MAP_PASSED | MAP_FIXED;
    const isCode = hostFd >= 0 && (prot & (PROT_EXEC | PROT_WRITE)) === PROT_EXEC &&
      (flags & MAP_PRIVATE) !== 0;
    // MAP_NORESERVE: otherwise VM_ACCOUNT, which a mapping gets once it was writable, keeps the host from merging it
    // with its neighbours.
    if (isCode) passed |= MAP_NORESERVE;
    const image = isCode && (flags & (MAP_BY_INTERPRETER | MAP_INTERPRETER)) !== 0
      ? this.#copyOf(address, length, flags, hostFd, offset)
      : null;
    if (image !== null) {
      hostFd = image.fd;
      offset = 0;
    }
    if (by === this.#batch) return this.#mapInBatch(by, address, length, prot, passed, hostFd, offset);
    if (hostFd < 0) {
      const result = by.callNow(SYS_mmap, address, length, prot, passed | MAP_ANONYMOUS, -1, 0);
      return result < 0 ? result : 0;
    }
    const sent = this.platform.stubs.calls.tsv_stub_send(this.socket, -1, hostFd);
    if (sent < 0) return sent;
    by.command(OP_RECEIVE_FDS, true, 0);
    const mapped = by.call(SYS_mmap, false, address, length, prot, passed, RECEIVED_FD, offset);
    by.call(SYS_close, false, RECEIVED_FD);
    const ran = by.run();
    if (ran < 0) return ran;
    const result = by.result(mapped);
    return result < 0 ? result : 0;
  }

  /** The patched copy to map instead of code of the program interpreter; null: the file itself. */
  #copyOf(address: number, length: number, flags: number, hostFd: number, offset: number): Image | null {
    if (!this.patches.isOn) return null;
    const code = this.platform.images.find(hostFd, offset, length, (flags & MAP_INTERPRETER) !== 0);
    if (code !== null) this.patches.enterCode(address, address + length, code);
    return code === null ? null : code.image;
  }

  beginBatch(thread: GuestThread): void {
    this.#batch = thread as SystrapThread;
  }

  /** Whether the commands entered for `thread` belong to a batch, which runs later. */
  isBatching(thread: SystrapThread): boolean {
    return this.#batch === thread;
  }

  endBatch(): number {
    const by = this.#batch;
    this.#batch = null;
    return by === null ? 0 : this.#runBatch(by);
  }

  /** Adds a write to the batch, after its mappings. False when there is no room for it. */
  #writeInBatch(by: SystrapThread, address: number, from: Uint8Array, at: number, length: number): boolean {
    const commands = Math.ceil(length / BATCH_WRITE_BYTES);
    if (
      this.#batchStaged + length > STAGING_OUT_BYTES ||
      by.commandCount + commands > COMMANDS_MAX - BATCH_COMMANDS_MAX
    ) {
      return false;
    }
    for (let done = 0; done < length; done += BATCH_WRITE_BYTES) {
      const count = Math.min(BATCH_WRITE_BYTES, length - done);
      const staged = STAGING_OUT + this.#batchStaged;
      by.bytes.set(from.subarray(at + done, at + done + count), staged);
      by.command(OP_COPY, true, 0, address + done, by.address + staged, count);
      this.#batchStaged += count;
    }
    return true;
  }

  #runBatch(by: SystrapThread): number {
    this.#batchStaged = 0;
    this.#closeBatchFd(by);
    return by.commandCount === 0 ? 0 : by.run();
  }

  #closeBatchFd(by: SystrapThread): void {
    if (this.#batchFd >= 0) by.call(SYS_close, false, RECEIVED_FD);
    this.#batchFd = -1;
  }

  #mapInBatch(
    by: SystrapThread,
    address: number,
    length: number,
    prot: number,
    flags: number,
    hostFd: number,
    offset: number,
  ): number {
    if (by.commandCount > COMMANDS_MAX - BATCH_COMMANDS_MAX) {
      const ran = this.#runBatch(by);
      if (ran < 0) return ran;
    }
    if (hostFd < 0) {
      by.call(SYS_mmap, true, address, length, prot, flags | MAP_ANONYMOUS, -1, 0);
      return 0;
    }
    // Consecutive mappings of one file share one passed descriptor.
    if (hostFd !== this.#batchFd) {
      this.#closeBatchFd(by);
      const sent = this.platform.stubs.calls.tsv_stub_send(this.socket, -1, hostFd);
      if (sent < 0) return sent;
      by.command(OP_RECEIVE_FDS, true, 0);
      this.#batchFd = hostFd;
    }
    by.call(SYS_mmap, true, address, length, prot, flags, RECEIVED_FD, offset);
    return 0;
  }

  unmap(thread: GuestThread, address: number, length: number): number {
    const by = thread as SystrapThread;
    this.patches.release(by, address, length, false);
    for (let done = 0; done < length; done += PIECE_BYTES) {
      const result = by.callNow(SYS_munmap, address + done, Math.min(length - done, PIECE_BYTES));
      if (result < 0) return result;
    }
    return 0;
  }

  protect(thread: GuestThread, address: number, length: number, prot: number): number {
    const by = thread as SystrapThread;
    // Code that becomes writable or loses PROT_EXEC is readable for the guest, which must find what the file holds:
    // remove the patches.
    if ((prot & (PROT_WRITE | PROT_EXEC)) !== PROT_EXEC) this.patches.release(by, address, length, true);
    for (let done = 0; done < length; done += PIECE_BYTES) {
      const result = by.callNow(SYS_mprotect, address + done, Math.min(length - done, PIECE_BYTES), prot);
      if (result < 0) return result;
    }
    return 0;
  }

  remap(
    thread: GuestThread,
    address: number,
    oldLength: number,
    newLength: number,
    newAddress: number,
  ): number {
    const by = thread as SystrapThread;
    this.patches.release(by, address, oldLength, true);
    const flags = newAddress === address ? 0 : MREMAP_MAYMOVE | MREMAP_FIXED;
    const result = by.callNow(SYS_mremap, address, oldLength, newLength, flags, newAddress);
    return result < 0 ? result : 0;
  }

  advise(thread: GuestThread, address: number, length: number, advice: number): number {
    const by = thread as SystrapThread;
    if (DISCARDING.has(advice)) this.patches.release(by, address, length, false);
    return by.callNow(SYS_madvise, address, length, advice);
  }

  discardLater(thread: GuestThread, address: number, length: number): boolean {
    const by = thread as SystrapThread;
    return by.commandCount === 0 && by.call(SYS_madvise, false, address, length, MADV_DONTNEED) === 0;
  }

  sync(thread: GuestThread, address: number, length: number, flags: number): number {
    return (thread as SystrapThread).callNow(SYS_msync, address, length, flags);
  }

  residency(thread: GuestThread, address: number, length: number, into: Uint8Array, at: number): number {
    const by = thread as SystrapThread;
    const pages = Math.ceil(length / 4096);
    const room = STAGING_IN_BYTES >> 1;
    for (let done = 0; done < pages; done += room) {
      const count = Math.min(room, pages - done);
      // During a call only the first half of the staging area is used, by what the stub has copied in.
      const to = STAGING_IN + room;
      const result = by.callNow(SYS_mincore, address + done * 4096, count * 4096, by.address + to);
      if (result < 0) return result;
      into.set(by.bytes.subarray(to, to + count), at + done);
    }
    return 0;
  }

  read(address: number, into: Uint8Array, at: number, length: number): number {
    if (address < 0 || address + length > GUEST_END) return -EFAULT;
    return this.platform.stubs.copy(this.pid, COPY_IN, address, into, at, length);
  }

  write(address: number, from: Uint8Array, at: number, length: number): number {
    const by = this.#batch;
    if (by !== null && !this.#writeInBatch(by, address, from, at, length)) {
      const ran = this.#runBatch(by);
      if (ran < 0) return -EFAULT;
    } else if (by !== null) {
      return length;
    }
    if (address < 0 || address + length > GUEST_END) return -EFAULT;
    return this.platform.stubs.copy(this.pid, COPY_OUT, address, from, at, length);
  }

  forceWrite(address: number, from: Uint8Array, at: number, length: number): number {
    for (const thread of this.threads) {
      if (!thread.isRunning) return this.#forceBy(thread, address, from, at, length);
    }
    return -EAGAIN;
  }

  #forceBy(thread: SystrapThread, address: number, from: Uint8Array, at: number, length: number): number {
    const prot = this.areas === null ? 5 : this.areas.protectionOf(address);
    if (prot < 0) return -EFAULT;
    const room = STAGING_IN_BYTES >> 1;
    const count = Math.min(length, room);
    const staged = STAGING_IN + room;
    thread.bytes.set(from.subarray(at, at + count), staged);
    const page = address - address % 4096;
    const pages = Math.ceil((address + count - page) / 4096) * 4096;
    thread.call(SYS_mprotect, true, page, pages, prot | PROT_RW);
    const copied = thread.command(OP_COPY, false, 0, address, thread.address + staged, count);
    thread.call(SYS_mprotect, false, page, pages, prot);
    if (thread.run() < 0) return -EFAULT;
    return count + thread.result(copied);
  }

  compareExchange(thread: GuestThread, address: number, expected: number, value: number): number {
    const by = thread as SystrapThread;
    const at = address % 16;
    for (let tries = 0; tries < EXCHANGE_TRIES_MAX; tries++) {
      if (this.read(address - at, line, 0, 16) !== 16) return -EFAULT;
      if (u32(line, at) !== expected) return 0;
      const exchange = by.command(OP_PATCH, false, 0, address - at);
      by.putCommandWords(exchange, 1, u32(line, 0), u32(line, 4));
      by.putCommandWords(exchange, 2, u32(line, 8), u32(line, 12));
      put32(line, at, value);
      by.putCommandWords(exchange, 3, u32(line, 0), u32(line, 4));
      by.putCommandWords(exchange, 4, u32(line, 8), u32(line, 12));
      if (by.run() < 0) return -EFAULT;
      if (by.result(exchange) === 1) return 1;
    }
    // The words beside the target kept changing, or the page cannot be written.
    return -EFAULT;
  }

  clear(thread: GuestThread, rseqAddress: number, rseqLength: number, rseqSignature: number): number {
    if (this.threads.size !== 1 || this.isDead) return -EAGAIN;
    for (const ended of this.#ended) if (!ended.hasEnded) return -EAGAIN;
    const by = thread as SystrapThread;
    by.forgetCall();
    this.#direct.enterDrop(by);
    if (rseqAddress !== 0) {
      by.call(SYS_rseq, false, rseqAddress, rseqLength, RSEQ_FLAG_UNREGISTER, rseqSignature);
    }
    by.call(SYS_munmap, true, 0, GUEST_END);
    by.start();
    this.patches = new Patches(this, null);
    return 0;
  }

  move(
    thread: GuestThread,
    direction: number,
    file: DirectFile,
    address: number,
    length: number,
    offset: number,
  ): number {
    return this.#direct.move(thread as SystrapThread, direction, file, address, length, offset);
  }

  forgetFile(thread: GuestThread, id: number): void {
    // A thread that is not stopped has ended or is about to.
    if (!this.isDead && !thread.isRunning) this.#direct.forget(thread as SystrapThread, id);
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

  // --- threads and processes ----------------------------------------------------------------------------------------

  newThread(by: SystrapThread): SystrapThread | number {
    const idle = by.hasGs ? null : this.#takeIdle();
    if (idle !== null) {
      idle.adopt(by);
      return idle;
    }
    const thread = this.takeSlot();
    if (thread === null) return -EAGAIN;
    thread.inherit(by);
    thread.command(OP_BEGIN, true, 0);
    thread.words[SLOT_TID >> 2] = 1; // until the clone has answered; the host zeroes it at the end
    const clone = by.command(OP_CLONE, true, 0, this.platform.stubs.threadFlags, thread.address);
    const result = by.runClone();
    if (result < 0) {
      thread.words[SLOT_TID >> 2] = 0;
      this.threads.delete(thread);
      this.#ended.push(thread);
      return result === -ENOMEM ? result : -EAGAIN;
    }
    const tid = by.result(clone);
    if (!isHostId(tid)) {
      this.fail(`thread ${tid}`);
      return -EAGAIN;
    }
    thread.hostThread(tid);
    return thread;
  }

  /** An idle host thread, or null. */
  #takeIdle(): SystrapThread | null {
    const at = this.#idle.findIndex((thread) => thread.isAtRest);
    if (at < 0) return null;
    const [thread] = this.#idle.splice(at, 1);
    this.threads.add(thread);
    return thread;
  }

  /** Forks the process; the child's first thread is a copy of `by`. */
  fork(by: SystrapThread): SystrapThread | number {
    const platform = this.platform;
    const position = (this.position + 1) % ARENA_POSITIONS;
    const space = platform.newAddressSpace(position, this.patches);
    if (typeof space === "number") return space;
    const thread = space.takeSlot()!;
    thread.inherit(by);
    enterBeginning(thread, space.base);
    thread.words[SLOT_TID >> 2] = 1;
    const sent = platform.stubs.calls.tsv_stub_send(this.socket, space.arena, platform.childSocket);
    platform.stubs.calls.tsv_stub_close(platform.childSocket);
    if (sent < 0) {
      platform.discard(space);
      return -EAGAIN;
    }
    this.#direct.enterDrop(by);
    by.command(OP_RECEIVE_FDS, true, 0);
    by.call(SYS_mmap, true, space.base, ARENA_BYTES, PROT_RW, MAP_SHARED | MAP_FIXED, RECEIVED_FD, 0);
    const fork = by.command(OP_FORK, false, 0, platform.stubs.forkFlags, thread.address);
    by.call(SYS_munmap, false, space.base, ARENA_BYTES);
    by.call(SYS_close, false, RECEIVED_FD);
    by.call(SYS_close, false, RECEIVED_FD + 1);
    const ran = by.runClone();
    const pid = ran < 0 ? ran : by.result(fork);
    if (pid < 0 || !platform.adopt(space, pid)) {
      platform.discard(space);
      return pid === -ENOMEM ? pid : -EAGAIN;
    }
    thread.hostThread(pid);
    return thread;
  }

  /**
   * Ends one guest thread. Its host thread stays for another one, or ends; its slot is reusable once the host reports
   * the end.
   */
  endThread(thread: SystrapThread): void {
    this.threads.delete(thread);
    if (this.isDead || this.threads.size === 0) return; // the process goes as a whole, by release()
    if (this.#idle.length < IDLE_THREADS_MAX && !thread.hasGs) {
      thread.idle();
      this.#idle.push(thread);
      return;
    }
    thread.command(OP_EXIT, false, 0);
    thread.resumeToEnd();
    this.#ended.push(thread);
  }

  release(): void {
    if (!this.isDead) this.cpuNanos();
    this.isDead = true;
    let isRunning = false;
    for (const thread of this.threads) {
      if (thread.isRunning) isRunning = true;
      else thread.park();
      this.platform.forget(thread);
    }
    for (const thread of this.#ended) this.platform.forget(thread);
    if (isRunning) this.platform.destroy(this);
    else this.platform.discard(this);
  }

  /** The stub process has died or broken the protocol: marks all its tasks dead. */
  fail(reason: string): void {
    if (this.isDead) return;
    this.isDead = true;
    this.platform.reportDead(this, reason);
    for (const thread of this.threads) thread.event = EVENT.DEAD;
  }
}

/**
 * Enters the first commands of a forked process. Its descriptors are then 0: its parent's socket, 1: the doorbell, 2:
 * the memory of its slots, 3: its own socket.
 */
function enterBeginning(thread: SystrapThread, base: number): void {
  thread.call(SYS_dup2, true, RECEIVED_FD + 1, 0);
  thread.call(SYS_close, true, RECEIVED_FD + 1);
  thread.call(SYS_close, true, RECEIVED_FD);
  thread.call(SYS_prctl, true, PR_SET_PDEATHSIG, SIGKILL);
  // Arenas are not inherited: a fork maps the child its own.
  thread.call(SYS_madvise, true, base, ARENA_BYTES, MADV_DONTFORK);
  thread.command(OP_BEGIN, true, 0);
}

/** Whether a number from a stub can be the id of a host process or thread other than the namespace's first. */
export function isHostId(id: number): boolean {
  return id > 1 && id <= HOST_IDS_MAX;
}
