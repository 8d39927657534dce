// Processes without guest code: the real kernel, run loop and system calls over a platform whose threads do what a test
// tells them. Memory is one array per address space, time stands still until a test moves it.

import type { FileRegistry } from "../../kernel/vfs/vfs.ts";
import { Container } from "../../kernel/container.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { MAP_PRIVATE, PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
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
import { HostClock } from "../../kernel/time/clock.ts";
import { FdTable } from "../../kernel/vfs/fd_table.ts";
import type { FsContext } from "../../kernel/vfs/fs_context.ts";
import type { MountNamespace } from "../../kernel/vfs/mount.ts";
import * as netstack from "../../netstack/mod.ts";
import { EVENT, REG } from "../../platform/platform.ts";
import { FakeHost, FakePlatform, type FakeThread } from "./fake_platform.ts";

/** Guest memory of every address space here: [BASE, BASE + BYTES), readable and writable. */
export const BASE = 0x10_0000;
const BYTES = 0x10_0000;
/** What syscall() gives back when the call has not answered. */
export const WAITS = "waits";

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
  readonly host = new FakeHost();
  /** Process 1, which ignores what it has no handler for; most tests work with a child of it. */
  readonly init: Task;
  readonly table: SyscallTable;

  constructor(families: readonly SyscallFamily[]) {
    this.table = new SyscallTable(families);
    const clock = new HostClock(this.host);
    const limits = { tasksMax: 64, memoryBytesMax: Infinity };
    this.kernel = new Kernel(this.host, this.platform, clock, limits, NO_FILES, 2, 2 ** 30);
    this.kernel.inet.loadNetstack = () => netstack;
    new UnsupportedCalls(this.kernel.callHooks, this.table);
    this.kernel.log = (text) => {
      throw new Error(text);
    };
    const thread = this.platform.createAddressSpace();
    thread.addressSpace.map(null, BASE, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1, 0);
    const mm = new MemoryMap(thread.addressSpace, this.kernel.host, this.kernel.account.heap);
    mm.areas.insert(new Vma(BASE, BASE + BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, null, 0, ""));
    const pids = this.kernel.rootPids;
    const mounts = { hold() {}, drop() {} } as unknown as MountNamespace;
    const gofer = { mounts: [], release() {} };
    const namespaces = new TaskNamespaces(
      new UtsNamespace(2, "test", ""),
      new IpcNamespace(3),
      new NetNamespace(4, { isLoopbackUp: true }),
      mounts,
      pids,
    );
    const container = new Container(this.kernel, "test", limits, namespaces, gofer);
    this.kernel.containers.set(container.id, container);
    this.kernel.rootContainer = container;
    this.init = createInitTask(container, {
      thread,
      mm,
      credentials: newCredentials(0, 0, [], ALL_CAPABILITIES),
      files: new FdTable(),
      fs: new FakeFsContext() as unknown as FsContext,
      namespaces,
      limits: newRlimits(2 ** 30),
    });
    this.init.thread.set(REG.RSP, BASE + BYTES - 4096);
    this.init.thread.set(REG.RIP, 0x40_0000);
    this.kernel.ready.push(this.init);
    this.run();
  }

  /** Lets everything happen that can without new calls. */
  run(): void {
    for (let i = 0; i < 8; i++) turn(this.kernel, this.table, false);
  }

  /** Monotonic nanoseconds. */
  get now(): number {
    return this.host.now;
  }

  /** `task`, which runs guest code, makes a call. Its answer as a signed number, or WAITS. */
  syscall(task: Task, number: number, ...values: number[]): number | typeof WAITS {
    const thread = task.thread as FakeThread;
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
    const thread = task.thread as FakeThread;
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
    const bytes = (task.thread as FakeThread).addressSpace.backing(BASE);
    return new DataView(bytes.buffer, bytes.byteOffset);
  }

  /** Moves the clock. */
  pass(nanos: number): void {
    this.host.now += nanos;
    this.run();
  }
}
