// The machine of unit tests: a host whose descriptors are byte arrays, address spaces of pages, threads that do what a test
// tells them. The kernel above is the real one. Nothing here runs guest code; time moves when a test says so, or a little
// with each reading.

import { EBADF, EFAULT, EINVAL, ENAMETOOLONG, ENOMEM, ENOSYS, ENOTTY } from "../../kernel/abi/errno.ts";
import { S_IFIFO, S_IFREG } from "../../kernel/abi/file.ts";
import { PAGE_SIZE, PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { put32, put64 } from "../../kernel/abi/struct.ts";
import { CLOCK_REALTIME } from "../../kernel/abi/time.ts";
import {
  type AddressSpace,
  EVENT,
  Fault,
  type Features,
  type GuestAreas,
  type GuestLayout,
  type GuestThread,
  type Host,
  NOT_MOVED,
  type Platform,
  type PlatformEvents,
  REG,
  REGS_COUNT,
  type UserWindow,
  VIEW_MAX,
} from "../../platform/platform.ts";

const FPU_BYTES = 576;
/** Wall-clock seconds when monotonic time is 0. */
const EPOCH_SECONDS = 1_700_000_000;
const FALLOC_FL_KEEP_SIZE = 1;
const FALLOC_FL_PUNCH_HOLE = 2;
const SEEK_DATA = 3;

/** What a descriptor of the fake host shows. */
class FakeFile {
  readonly isPipe: boolean;
  bytes = new Uint8Array(0);
  size = 0;

  constructor(isPipe: boolean) {
    this.isPipe = isPipe;
  }
  resize(size: number): void {
    if (size > this.bytes.length) {
      const bytes = new Uint8Array(size * 2);
      bytes.set(this.bytes);
      this.bytes = bytes;
    }
    if (size < this.size) this.bytes.fill(0, size, this.size);
    this.size = size;
  }
}

/** Host calls on memory files and on pipes that nobody reads; what no room under test makes answers ENOSYS. */
export class FakeHost implements Host {
  /** Open descriptors. */
  readonly files = new Map<number, FakeFile>();
  /** Monotonic nanoseconds, and how many pass with each reading. */
  now: number;
  readonly tickNanos: number;
  clockFraction = 0;
  receivedFds = 0;
  #nextFd = 100;
  #random = 1;

  constructor(now = 1e9, tickNanos = 0) {
    this.now = now;
    this.tickNanos = tickNanos;
  }

  #open(file: FakeFile): number {
    this.files.set(this.#nextFd, file);
    return this.#nextFd++;
  }
  newPipe(): number {
    return this.#open(new FakeFile(true));
  }
  memfdCreate(): number {
    return this.#open(new FakeFile(false));
  }
  reopen(fd: number): number {
    return this.dup(fd);
  }
  dup(fd: number): number {
    const file = this.files.get(fd);
    return file === undefined ? -EBADF : this.#open(file);
  }
  descriptorsMax(): number {
    return 1 << 20;
  }
  close(fd: number): number {
    return this.files.delete(fd) ? 0 : -EBADF;
  }
  preadNow(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    return this.pread(fd, into, at, length, offset);
  }
  pread(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -EBADF;
    const n = Math.max(0, Math.min(length, file.size - offset));
    into.set(file.bytes.subarray(offset, offset + n), at);
    return n;
  }
  pwrite(fd: number, from: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -EBADF;
    if (offset + length > file.size) file.resize(offset + length);
    file.bytes.set(from.subarray(at, at + length), offset);
    return length;
  }
  read(): number {
    return -ENOSYS;
  }
  write(fd: number, from: Uint8Array, at: number, length: number): number {
    return this.pwrite(fd, from, at, length, this.files.get(fd)?.size ?? 0);
  }
  ftruncate(fd: number, size: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -EBADF;
    file.resize(size);
    return 0;
  }
  fallocate(fd: number, mode: number, offset: number, length: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -EBADF;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0) file.bytes.fill(0, offset, offset + length);
    else if ((mode & FALLOC_FL_KEEP_SIZE) === 0 && offset + length > file.size) file.resize(offset + length);
    return 0;
  }
  fsync(): number {
    return 0;
  }
  fdatasync(): number {
    return 0;
  }
  /** A file without holes. */
  lseek(fd: number, offset: number, whence: number): number {
    return whence === SEEK_DATA ? offset : this.files.get(fd)?.size ?? -EBADF;
  }
  attributes(): number {
    return -ENOSYS;
  }
  /** struct stat: st_mode, st_size and st_blocks. */
  fstat(fd: number, into: Uint8Array, at: number): number {
    const file = this.files.get(fd);
    if (file === undefined) return -EBADF;
    into.fill(0, at, at + 144);
    put32(into, at + 24, (file.isPipe ? S_IFIFO : S_IFREG) | 0o600);
    put64(into, at + 48, file.size);
    put64(into, at + 64, Math.ceil(file.size / PAGE_SIZE) * 8);
    return 0;
  }
  poll(): number {
    return 0;
  }
  ioctl(): number {
    return -ENOTTY;
  }
  setNonblocking(): number {
    return 0;
  }
  sleeps(): number {
    return 0;
  }
  clockNanos(): number {
    return this.now += this.tickNanos;
  }
  clockSeconds(clock: number): number {
    const now = this.clockNanos();
    this.clockFraction = now % 1e9;
    return Math.floor(now / 1e9) + (clock === CLOCK_REALTIME ? EPOCH_SECONDS : 0);
  }
  /** Numbers that count up: a test can foretell them. */
  random(into: Uint8Array, at: number, length: number): void {
    for (let i = 0; i < length; i++) into[at + i] = this.#random++;
  }
  sendMessage(): number {
    return -ENOSYS;
  }
  receiveMessage(): number {
    return -ENOSYS;
  }
}

interface Page {
  prot: number;
  readonly flags: number;
  readonly fd: number;
  readonly offset: number;
  /** A part of the array of the map() that made it. */
  readonly bytes: Uint8Array;
}

/** Follows mmap, munmap, mprotect and mremap page by page. */
/** Addresses of guests without a stub. */
export const FAKE_LAYOUT: GuestLayout = { start: 0x1_0000, end: 0x7fe0_0000_0000 };

export class FakeAddressSpace implements AddressSpace {
  readonly layout = FAKE_LAYOUT;
  readonly pages = new Map<number, Page>();
  /** Commands carried out: what a call costs. */
  commands = 0;
  readonly features: Features = { hasExchange: false, hasClear: false, hasHostFutex: false };
  areas: GuestAreas | null = null;
  readonly vdsoAddress = 0;
  isReleased = false;

  map(
    _thread: GuestThread | null,
    address: number,
    length: number,
    prot: number,
    flags: number,
    fd: number,
    offset: number,
  ): number {
    this.commands++;
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += PAGE_SIZE) {
      const page = bytes.subarray(at, at + PAGE_SIZE);
      this.pages.set(address + at, { prot, flags, fd, offset: offset + at, bytes: page });
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
    return 0;
  }
  discardLater(): boolean {
    return false;
  }
  advise(_thread: GuestThread, _address: number, _length: number, _advice: number): number {
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
    return this.#each(address, length, PROT_READ, (page, from, n, done) => {
      into.set(page.subarray(from, from + n), at + done);
    });
  }
  write(address: number, from: Uint8Array, at: number, length: number): number {
    return this.#each(address, length, PROT_WRITE, (page, to, n, done) => {
      page.set(from.subarray(at + done, at + done + n), to);
    });
  }
  forceWrite(address: number, from: Uint8Array, at: number, length: number): number {
    return this.#each(address, length, 7, (page, to, n, done) => {
      page.set(from.subarray(at + done, at + done + n), to);
    });
  }
  /** Calls `one` for the part of each page that may be used so; gives back the bytes until one may not. */
  #each(
    address: number,
    length: number,
    prot: number,
    one: (page: Uint8Array, at: number, length: number, done: number) => void,
  ): number {
    let done = 0;
    while (done < length) {
      const at = (address + done) % PAGE_SIZE;
      const page = this.pages.get(address + done - at);
      if (page === undefined || (page.prot & prot) === 0) return done > 0 ? done : -EFAULT;
      const n = Math.min(length - done, PAGE_SIZE - at);
      one(page.bytes, at, n, done);
      done += n;
    }
    return length;
  }
  /** The array behind the mapping that begins at `address`, for tests that look into memory. */
  backing(address: number): Uint8Array {
    const page = this.pages.get(address);
    if (page === undefined) throw new Error(`Nothing is mapped at 0x${address.toString(16)}`);
    return new Uint8Array(page.bytes.buffer, page.bytes.byteOffset);
  }
  /** As a forked process has it: private copies, those of one mapping in one array again. */
  copy(): FakeAddressSpace {
    const copies = new Map<ArrayBufferLike, ArrayBufferLike>();
    const space = new FakeAddressSpace();
    for (const [address, page] of this.pages) {
      const { buffer, byteOffset } = page.bytes;
      let copied = copies.get(buffer);
      if (copied === undefined) copies.set(buffer, copied = buffer.slice(0));
      space.pages.set(address, { ...page, bytes: new Uint8Array(copied, byteOffset, PAGE_SIZE) });
    }
    return space;
  }
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
    return 0;
  }
  usage(): boolean {
    return false;
  }
  release(): void {
    this.isReleased = true;
  }
}

/** A window that copies at each use, as on ptrace. */
export class FakeWindow implements UserWindow {
  readonly view = new Uint8Array(VIEW_MAX);
  readonly viewEnd = 0;
  readonly #space: FakeAddressSpace;
  #outAddress = 0;

  constructor(space: FakeAddressSpace) {
    this.#space = space;
  }
  inView(address: number, length: number): number {
    return this.copyIn(address, this.view, 0, length);
  }
  known(): number {
    return -1;
  }
  outView(address: number): number {
    this.#outAddress = address;
    return 0;
  }
  outCommit(length: number): number {
    return this.copyOut(this.#outAddress, this.view, 0, length);
  }
  readString(address: number, max: number): string | number {
    const byte = new Uint8Array(1);
    let text = "";
    for (let i = 0; i < max; i++) {
      if (this.#space.read(address + i, byte, 0, 1) !== 1) return -EFAULT;
      if (byte[0] === 0) return text;
      text += String.fromCharCode(byte[0]);
    }
    return -ENAMETOOLONG;
  }
  copyIn(address: number, into: Uint8Array, at: number, length: number): number {
    return this.#space.read(address, into, at, length) === length ? 0 : -EFAULT;
  }
  readBack(address: number, into: Uint8Array, at: number, length: number): number {
    return this.copyIn(address, into, at, length);
  }
  copyOut(address: number, from: Uint8Array, at: number, length: number): number {
    return this.#space.write(address, from, at, length) === length ? 0 : -EFAULT;
  }
}

/** Its events are those that a test posts to its platform. */
export class FakeThread implements GuestThread {
  readonly platform: FakePlatform;
  readonly addressSpace: FakeAddressSpace;
  owner: unknown = null;
  event: number = EVENT.NONE;
  readonly fault = new Fault();
  isRunning = false;
  isEnded = false;
  readonly window: FakeWindow;
  readonly words = new Uint32Array(2 * REGS_COUNT);
  fpu = new Uint8Array(FPU_BYTES);
  readonly fpuBytes = FPU_BYTES;
  /** x87 and SSE. */
  readonly fpuFeatures = 3;

  constructor(platform: FakePlatform, space: FakeAddressSpace) {
    this.platform = platform;
    this.addressSpace = space;
    this.window = new FakeWindow(space);
  }
  low(index: number): number {
    return this.words[2 * index];
  }
  high(index: number): number {
    return this.words[2 * index + 1];
  }
  get(index: number): number {
    return this.low(index) + this.high(index) * 2 ** 32;
  }
  set(index: number, value: number): void {
    this.setWords(index, value % 2 ** 32, Math.floor(value / 2 ** 32));
  }
  setWords(index: number, low: number, high: number): void {
    this.words[2 * index] = low;
    this.words[2 * index + 1] = high;
  }
  takeCall(into: Uint32Array): number {
    [REG.RDI, REG.RSI, REG.RDX, REG.R10, REG.R8, REG.R9].forEach((register, n) => {
      into[2 * n] = this.low(register);
      into[2 * n + 1] = this.high(register);
    });
    return this.low(REG.ORIG_RAX);
  }
  setResult(value: number): void {
    this.set(REG.RAX, value);
  }
  saveFpu(into: Uint8Array, at: number): number {
    into.set(this.fpu, at);
    return FPU_BYTES;
  }
  pushFpu(address: number): number {
    const result = this.window.copyOut(address, this.fpu, 0, FPU_BYTES);
    this.resetFpu();
    return result;
  }
  loadFpu(from: Uint8Array, at: number, length: number): number {
    if (length < FPU_BYTES) return -EINVAL;
    this.fpu = from.slice(at, at + length);
    return 0;
  }
  resetFpu(): void {
    this.fpu = new Uint8Array(FPU_BYTES);
  }
  resume(): void {
    this.isRunning = true;
  }
  interrupt(): void {
    if (this.isRunning) this.platform.post(this, EVENT.INTERRUPTED);
  }
  park(): void {}
  parkLater(): void {}
  mayUseHostFutex = false;
  readonly isHostFutexBack = false;
  readonly isInHostFutex = false;
  waitHostFutex(): void {}
  hostFutex(): number {
    return -ENOSYS;
  }
  rseq(): number {
    return -ENOSYS;
  }
  registerLater(): boolean {
    return false;
  }
  leaveMemory(): number {
    return -ENOSYS;
  }
  memoryBarrier(): number {
    return -ENOSYS;
  }
  cpuNanos(): number {
    return 0;
  }
  usage(): boolean {
    return false;
  }
  #twin(space: FakeAddressSpace): FakeThread {
    const thread = new FakeThread(this.platform, space);
    thread.words.set(this.words);
    thread.fpu.set(this.fpu.subarray(0, FPU_BYTES));
    return thread;
  }
  cloneThread(): FakeThread {
    return this.#twin(this.addressSpace);
  }
  fork(): FakeThread {
    return this.#twin(this.addressSpace.copy());
  }
  exit(): void {
    this.isEnded = true;
  }
}

export class FakePlatform implements Platform {
  readonly name = "fake";
  mayPatch = false;
  readonly ownCpu = -1;
  readonly #posted: FakeThread[] = [];
  /** Cookies of watched host descriptors. */
  readonly #cookies = new Map<number, number>();
  /** Those that are ready, and their events. */
  readonly #hostEvents: [number, number][] = [];

  createAddressSpace(): FakeThread {
    return new FakeThread(this, new FakeAddressSpace());
  }
  watch(fd: number, events: number, cookie: number): number {
    if (events === 0) this.#cookies.delete(fd);
    else this.#cookies.set(fd, cookie);
    return 0;
  }
  /** Descriptor `fd` of the host is ready. */
  hostEvent(fd: number, events: number): void {
    const cookie = this.#cookies.get(fd);
    if (cookie !== undefined) this.#hostEvents.push([cookie, events]);
  }
  /** `thread` has come back with `event`. */
  post(thread: FakeThread, event: number): void {
    thread.event = event;
    if (!this.#posted.includes(thread)) this.#posted.push(thread);
  }
  wait(): PlatformEvents {
    const threads = this.#posted.splice(0).filter((thread) => thread.isRunning);
    for (const thread of threads) thread.isRunning = false;
    const hostEvents = this.#hostEvents.splice(0);
    return {
      threads,
      threadCount: threads.length,
      hostFdCookies: hostEvents.map(([cookie]) => cookie),
      hostFdEvents: hostEvents.map(([, events]) => events),
      hostFdCount: hostEvents.length,
    };
  }
  setMarshalling(): void {}
  limitProcesses(): void {}
  busyNanos(): number {
    return 0;
  }
  shutdown(): void {}
}
