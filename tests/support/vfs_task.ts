// A task on the fake platform that is good enough for the file system calls: its memory is one array, and its clock advances a
// microsecond a reading.

import { ALL_CAPABILITIES, newCredentials, NO_CAPABILITIES } from "../../kernel/task/credentials.ts";
import { newRlimits } from "../../kernel/task/rlimits.ts";
import { BLOCKED, CallInFlight, MUST_WAIT } from "../../kernel/task/call_in_flight.ts";
import { type Task, TaskState } from "../../kernel/task/task.ts";
import { endCall, endWait, suspendOperation } from "../../kernel/task/wait_engine.ts";
import { MAP_PRIVATE, PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { Args } from "../../kernel/syscalls/args.ts";
import type { SyscallHandler } from "../../kernel/syscalls/table.ts";
import { Tmpfs } from "../../kernel/fs/tmpfs.ts";
import { FdTable } from "../../kernel/vfs/fd_table.ts";
import type { SpecialOpener } from "../../kernel/vfs/vfs.ts";
import type { FilesystemType } from "../../kernel/vfs/filesystem.ts";
import { FsContext } from "../../kernel/vfs/fs_context.ts";
import { MountNamespace, newMount } from "../../kernel/vfs/mount.ts";
import { Path } from "../../kernel/vfs/path.ts";
import { Kernel } from "../../kernel/kernel.ts";
import { HostClock } from "../../kernel/time/clock.ts";
import { FakeAddressSpace, FakeHost, FakePlatform, FakeWindow } from "./fake_platform.ts";
import * as netstack from "../../netstack/mod.ts";

/** A call waits. */
export const TEST_BLOCKED = BLOCKED;
const MEMORY_BYTES = 1 << 20;

/** What the tests see of it beside Task. */
export class VfsTask {
  readonly host = new FakeHost(1e9, 1000);
  readonly #space = new FakeAddressSpace();
  readonly memory = new FakeWindow(this.#space);
  /** All of its memory, by address; the first page is nobody's. */
  readonly bytes: Uint8Array;
  /** All of it may be written. */
  readonly mm = { accessibleBytes: (_address: number, length: number) => length };
  readonly args = new Args();
  readonly kernel: Kernel;
  readonly namespaces: { mount: MountNamespace };
  readonly threadGroup = { limits: newRlimits(2 ** 30), pid: { in: () => 7 }, tgid: 7 };
  readonly pid = { namespace: null };
  credentials = newCredentials(0, 0, [], ALL_CAPABILITIES);
  files = new FdTable();
  fs: FsContext;
  /** The call it is in: the kernel's own. */
  readonly call: CallInFlight = new CallInFlight(this as unknown as Task);
  readonly signals = { hasPending: false, isKilled: false, recalculate() {} };
  state = TaskState.Running;
  blockCount = 0;
  #handler: SyscallHandler | null = null;
  hasExited = false;
  /** Where the next argument goes in memory. */
  #free = 4096;

  constructor(
    parent: VfsTask | null = null,
    types: readonly FilesystemType[] = [],
    openers: ReadonlyMap<number, SpecialOpener> = new Map(),
  ) {
    this.#space.map(null, 0, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE, -1, 0);
    this.bytes = this.#space.backing(0);
    this.#space.pages.delete(0);
    this.kernel = parent === null ? this.#newKernel(types, openers) : parent.kernel;
    if (parent === null) {
      const root = newMount(this.newTmpfs(), "none", 0);
      this.namespaces = { mount: new MountNamespace(root, 1) };
      const path = new Path(root, root.root);
      this.fs = new FsContext(path, path, 0o022);
    } else {
      this.namespaces = parent.namespaces;
      this.fs = parent.fs.clone();
    }
    this.kernel.tasks.set(this.kernel.tasks.size + 1, this.task);
  }

  #newKernel(
    types: readonly FilesystemType[],
    openers: ReadonlyMap<number, SpecialOpener>,
  ): Kernel {
    const limits = { tasksMax: 64, memoryBytesMax: Infinity };
    const registry = { filesystems: new Map(types.map((type) => [type.name, type])), openers };
    const clock = new HostClock(this.host);
    const kernel = new Kernel(this.host, new FakePlatform(), clock, limits, registry, 2, 2 ** 30);
    kernel.inet.loadNetstack = () => netstack;
    return kernel;
  }

  /** A fresh tmpfs with the options a guest's mount would have. */
  newTmpfs(limits: Partial<{ sizeBytes: number; inodes: number }> = {}): Tmpfs {
    return new Tmpfs(
      this.kernel,
      { mode: 0o755, uid: 0, gid: 0, sizeBytes: Infinity, inodes: Infinity, ...limits },
      "",
    );
  }

  get task(): Task {
    return this as unknown as Task;
  }

  /** Becomes an ordinary user. */
  dropTo(uid: number, gid = uid): void {
    this.credentials = newCredentials(uid, gid, [], NO_CAPABILITIES);
  }

  /** Something has woken it: the call is to go on. */
  get isWoken(): boolean {
    return this.call.isWoken;
  }
  /** The call that waits goes on, as in the run loop. */
  goOn(): number {
    const { call } = this;
    endWait(this.task);
    return this.#finish(
      call.then === null ? this.#handler!(this.task, this.args) : call.then.run(this.task, this.args),
    );
  }
  /** A signal ends the wait. */
  interrupt(): number {
    this.signals.hasPending = true;
    const result = this.goOn();
    this.signals.hasPending = false;
    return result;
  }
  #finish(result: number): number {
    if (result === MUST_WAIT) result = suspendOperation(this.task);
    if (result !== BLOCKED) endCall(this.task, result);
    return result;
  }
  /** A thread of the same process, with its descriptors, memory and clock. */
  thread(): VfsTask {
    const other = new VfsTask(this);
    other.files = this.files;
    return other;
  }

  /** Puts bytes into guest memory and gives back where. */
  put(value: string | Uint8Array): number {
    const bytes = typeof value === "string" ? new TextEncoder().encode(`${value}\0`) : value;
    if (this.#free + bytes.length > MEMORY_BYTES / 2) this.#free = 4096;
    const at = this.#free;
    this.bytes.set(bytes, at);
    this.#free += (bytes.length + 15) & ~15;
    return at;
  }

  /** Makes a call, ending one that waits: strings and arrays are put into memory first, numbers are passed as they are. */
  make(handler: SyscallHandler, ...values: (number | string | Uint8Array)[]): number {
    this.call.clear();
    this.#handler = handler;
    this.args.words.fill(0);
    values.forEach((value, i) => {
      if (typeof value === "number" && value < 0) {
        this.args.words[2 * i] = value >>> 0;
        this.args.words[2 * i + 1] = 0xffff_ffff;
      } else {
        this.args.set(i, typeof value === "number" ? value : this.put(value));
      }
    });
    return this.#finish(handler(this.task, this.args));
  }
}
