// Processes without guest code: the real kernel, run loop and system calls over a platform whose threads do what a test
// tells them. Memory is one array per address space, time stands still until a test moves it.

import type { FileRegistry } from "../../kernel/vfs/vfs.ts";
import { Container } from "../../kernel/container.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { MemoryMap } from "../../kernel/mm/address_space.ts";
import { Vma } from "../../kernel/mm/vma.ts";
import { SyscallTable } from "../../kernel/syscalls/dispatch.ts";
import type { SyscallFamily } from "../../kernel/syscalls/table.ts";
import { createInitTask } from "../../kernel/task/clone.ts";
import { ALL_CAPABILITIES, newCredentials } from "../../kernel/task/credentials.ts";
import { IpcNamespace, NetNamespace, TaskNamespaces, UtsNamespace } from "../../kernel/task/namespaces.ts";
import { newRlimits } from "../../kernel/task/rlimits.ts";
import { turn } from "../../kernel/task/run_loop.ts";
import type { Task } from "../../kernel/task/task.ts";
import { UnsupportedCalls } from "../../kernel/trace/unsupported_calls.ts";
import { FdTable } from "../../kernel/vfs/fd_table.ts";
import type { FsContext } from "../../kernel/vfs/fs_context.ts";
import type { MountNamespace } from "../../kernel/vfs/mount.ts";
import {
  type AddressSpace,
  EVENT,
  Fault,
  type GuestThread,
  type Host,
  type PlatformEvents,
  REG,
  REGS_COUNT,
  type UserWindow,
} from "../../platform/platform.ts";

/** Guest memory of every address space here: [BASE, BASE + BYTES), readable and writable. */
export const BASE = 0x10_0000;
const BYTES = 0x10_0000;
/** What syscall() gives back when the call has not answered. */
export const WAITS = "waits";

export class FakeSpace {
  readonly bytes: Uint8Array;
  protectionOf: ((address: number) => number) | null = null;
  readonly vdsoAddress = 0;
  isReleased = false;
  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
  #lies(address: number, length: number): boolean {
    return address >= BASE && address + length <= BASE + BYTES;
  }
  read(address: number, into: Uint8Array, at: number, length: number): number {
    length = Math.min(length, BASE + BYTES - address);
    if (!this.#lies(address, length) || length <= 0) return -14;
    into.set(this.bytes.subarray(address - BASE, address - BASE + length), at);
    return length;
  }
  write(address: number, from: Uint8Array, at: number, length: number): number {
    if (!this.#lies(address, length)) return -14;
    this.bytes.set(from.subarray(at, at + length), address - BASE);
    return length;
  }
  cpuNanos(): number {
    return 0;
  }
  release(): void {
    this.isReleased = true;
  }
}

class FakeWindow {
  view: Uint8Array;
  readonly #space: FakeSpace;
  constructor(space: FakeSpace) {
    this.#space = space;
    this.view = space.bytes;
  }
  inView(address: number, length: number): number {
    return address >= BASE && address + length <= BASE + BYTES ? address - BASE : -14;
  }
  outView(address: number, length: number): number {
    return this.inView(address, length);
  }
  outCommit(): number {
    return 0;
  }
  readString(): number {
    return -14;
  }
  copyIn(address: number, into: Uint8Array, at: number, length: number): number {
    return this.#space.read(address, into, at, length) === length ? 0 : -14;
  }
  copyOut(address: number, from: Uint8Array, at: number, length: number): number {
    return this.#space.write(address, from, at, length) === length ? 0 : -14;
  }
}

export class FakeThread {
  readonly platform: FakePlatform;
  readonly addressSpace: AddressSpace;
  readonly space: FakeSpace;
  owner: unknown = null;
  event: number = EVENT.NONE;
  readonly fault = new Fault();
  isRunning = false;
  isEnded = false;
  readonly window: UserWindow;
  readonly words = new Uint32Array(2 * REGS_COUNT);
  /** Byte 32 of what loadFpu got last: the first register of SSE begins at 160. */
  fpu = new Uint8Array(576);

  constructor(platform: FakePlatform, space: FakeSpace, addressSpace?: AddressSpace) {
    this.platform = platform;
    this.space = space;
    this.addressSpace = addressSpace ?? space as unknown as AddressSpace;
    this.window = new FakeWindow(space) as UserWindow;
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
  readonly fpuBytes = 576;
  readonly fpuFeatures = 3;
  pushFpu(address: number): number {
    this.space.write(address, this.fpu, 0, this.fpu.length);
    this.fpu = new Uint8Array(576);
    return 0;
  }
  loadFpu(from: Uint8Array, at: number, length: number): number {
    this.fpu = from.slice(at, at + length);
    return 0;
  }
  resetFpu(): void {}
  resume(): void {
    this.isRunning = true;
  }
  interrupt(): void {
    if (this.isRunning) this.platform.post(this, EVENT.INTERRUPTED);
  }
  park(): void {}
  cpuNanos(): number {
    return 0;
  }
  #copy(space: FakeSpace): FakeThread {
    const thread = new FakeThread(this.platform, space);
    thread.words.set(this.words);
    return thread;
  }
  cloneThread(): GuestThread {
    return this.#copy(this.space) as unknown as GuestThread;
  }
  fork(): GuestThread {
    return this.#copy(new FakeSpace(this.space.bytes.slice())) as unknown as GuestThread;
  }
  exit(): void {
    this.isEnded = true;
  }
}

export class FakePlatform {
  readonly #posted: FakeThread[] = [];
  /** Cookies of watched host descriptors. */
  readonly #cookies = new Map<number, number>();
  /** Those that are ready, and their events. */
  readonly #hostEvents: [number, number][] = [];
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
  post(thread: FakeThread, event: number): void {
    thread.event = event;
    if (!this.#posted.includes(thread)) this.#posted.push(thread);
  }
  wait(): PlatformEvents {
    const threads = this.#posted.splice(0).filter((thread) => thread.isRunning);
    for (const thread of threads) thread.isRunning = false;
    const hostEvents = this.#hostEvents.splice(0);
    return {
      threads: threads as unknown as GuestThread[],
      threadCount: threads.length,
      hostFdCookies: hostEvents.map(([cookie]) => cookie),
      hostFdEvents: hostEvents.map(([, events]) => events),
      hostFdCount: hostEvents.length,
    };
  }
}

const NO_FILES: FileRegistry = { filesystems: new Map(), openers: new Map() };

/** A root directory that is only counted. */
class FakeFsContext {
  references = 1;
  clone(): FakeFsContext {
    return new FakeFsContext();
  }
  hold(): void {
    this.references++;
  }
  drop(): void {
    this.references--;
  }
}

export class Processes {
  readonly platform = new FakePlatform();
  readonly kernel: Kernel;
  /** Monotonic nanoseconds. */
  now = 1e9;
  /** Process 1, which ignores what it has no handler for; most tests work with a child of it. */
  readonly init: Task;
  readonly #table: SyscallTable;

  constructor(families: readonly SyscallFamily[]) {
    this.#table = new SyscallTable(families);
    const clock = { nanoseconds: 0, monotonic: () => this.now, realtime: () => 1_700_000_000 };
    const limits = { tasksMax: 64, memoryBytesMax: Infinity };
    this.kernel = new Kernel({} as Host, this.platform as never, clock, limits, NO_FILES, 2, 2 ** 30);
    new UnsupportedCalls(this.kernel.callHooks, this.#table);
    this.kernel.log = (text) => {
      throw new Error(text);
    };
    const thread = new FakeThread(this.platform, new FakeSpace(new Uint8Array(BYTES)));
    const mm = new MemoryMap(thread.addressSpace, this.kernel.host, this.kernel.account.heap);
    mm.areas.insert(new Vma(BASE, BASE + BYTES, PROT_READ | PROT_WRITE, 2, null, 0, ""));
    const pids = this.kernel.rootPids;
    const mounts = { hold() {}, drop() {} } as unknown as MountNamespace;
    const gofer = { mounts: [], release() {} };
    const container = new Container(this.kernel, "test", limits, pids, mounts, gofer);
    this.kernel.containers.set(container.id, container);
    this.kernel.rootContainer = container;
    this.init = createInitTask(container, {
      thread: thread as unknown as GuestThread,
      mm,
      credentials: newCredentials(0, 0, [], ALL_CAPABILITIES),
      files: new FdTable(),
      fs: new FakeFsContext() as unknown as FsContext,
      namespaces: new TaskNamespaces(
        new UtsNamespace(2, "test", ""),
        new IpcNamespace(3),
        new NetNamespace(4),
        mounts,
        pids,
      ),
      limits: newRlimits(2 ** 30),
    });
    this.init.thread.set(REG.RSP, BASE + BYTES - 4096);
    this.init.thread.set(REG.RIP, 0x40_0000);
    this.kernel.ready.push(this.init);
    this.run();
  }

  /** Lets everything happen that can without new calls. */
  run(): void {
    for (let i = 0; i < 8; i++) turn(this.kernel, this.#table, false);
  }

  /** `task`, which runs guest code, makes a call. Its answer as a signed number, or WAITS. */
  syscall(task: Task, number: number, ...values: number[]): number | typeof WAITS {
    const thread = task.thread as unknown as FakeThread;
    if (!thread.isRunning) throw new Error(`Task ${task.tid} does not run`);
    const registers = [REG.RDI, REG.RSI, REG.RDX, REG.R10, REG.R8, REG.R9];
    registers.forEach((register, i) => thread.set(register, values[i] ?? 0));
    thread.set(REG.ORIG_RAX, number);
    thread.set(REG.RIP, thread.get(REG.RIP) + 2);
    this.platform.post(thread, EVENT.SYSCALL);
    this.run();
    return this.answer(task);
  }

  /** What the last call of `task` has answered, or WAITS. */
  answer(task: Task): number | typeof WAITS {
    const thread = task.thread as unknown as FakeThread;
    if (!thread.isRunning) return WAITS;
    return thread.low(REG.RAX) + (thread.high(REG.RAX) | 0) * 2 ** 32;
  }

  /** A child of `parent` by fork(2). */
  fork(parent: Task): Task {
    return this.kernel.tasks.get(this.syscall(parent, 57) as number)!;
  }

  /** A thread of `parent`'s process. */
  thread(parent: Task): Task {
    const CLONE_FLAGS = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000;
    return this.kernel.tasks.get(this.syscall(parent, 56, CLONE_FLAGS, BASE + 0x8_0000) as number)!;
  }

  /** Guest memory of `task` from BASE on. */
  memory(task: Task): DataView {
    const { bytes } = (task.thread as unknown as FakeThread).space;
    return new DataView(bytes.buffer, bytes.byteOffset);
  }

  /** Moves the clock. */
  pass(nanos: number): void {
    this.now += nanos;
    this.run();
  }
}
