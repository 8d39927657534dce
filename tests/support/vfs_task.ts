// A task good enough for the file system calls, without a platform: its memory is one array, its host keeps memfds in
// arrays, its clock advances a microsecond a reading.

import { ALL_CAPABILITIES, newCredentials, NO_CAPABILITIES } from "../../kernel/task/credentials.ts";
import { newRlimits } from "../../kernel/task/rlimits.ts";
import { BLOCKED, CallInFlight, MUST_WAIT } from "../../kernel/task/call_in_flight.ts";
import { type Task, TaskState } from "../../kernel/task/task.ts";
import { endCall, endWait, suspendOperation } from "../../kernel/task/wait_engine.ts";
import { put64 } from "../../kernel/abi/struct.ts";
import { Args } from "../../kernel/syscalls/args.ts";
import type { SyscallHandler } from "../../kernel/syscalls/table.ts";
import { Tmpfs } from "../../kernel/fs/tmpfs.ts";
import { FdTable } from "../../kernel/vfs/fd_table.ts";
import type { SpecialOpener } from "../../kernel/vfs/vfs.ts";
import type { FilesystemType } from "../../kernel/vfs/filesystem.ts";
import { FsContext } from "../../kernel/vfs/fs_context.ts";
import { MountNamespace, newMount } from "../../kernel/vfs/mount.ts";
import { Path } from "../../kernel/vfs/path.ts";
import type { Host, Platform } from "../../platform/platform.ts";
import { Kernel } from "../../kernel/kernel.ts";
import type { Clock } from "../../kernel/time/clock.ts";

/** A call waits. */
export const TEST_BLOCKED = BLOCKED;
const MEMORY_BYTES = 1 << 20;

class FakeFile {
  bytes = new Uint8Array(0);
  size = 0;
}

/** Host calls on memfds only. */
class FakeHost {
  readonly files = new Map<number, FakeFile>();
  #next = 100;
  clockFraction = 0;

  memfdCreate(): number {
    this.files.set(this.#next, new FakeFile());
    return this.#next++;
  }
  close(fd: number): number {
    return this.files.delete(fd) ? 0 : -9;
  }
  ftruncate(fd: number, size: number): number {
    const file = this.files.get(fd)!;
    this.#grow(file, size);
    if (size < file.size) file.bytes.fill(0, size, file.size);
    file.size = size;
    return 0;
  }
  #grow(file: FakeFile, size: number): void {
    if (size <= file.bytes.length) return;
    const bytes = new Uint8Array(size * 2);
    bytes.set(file.bytes);
    file.bytes = bytes;
  }
  pread(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.files.get(fd)!;
    const n = Math.max(0, Math.min(length, file.size - offset));
    into.set(file.bytes.subarray(offset, offset + n), at);
    return n;
  }
  pwrite(fd: number, from: Uint8Array, at: number, length: number, offset: number): number {
    const file = this.files.get(fd)!;
    this.#grow(file, offset + length);
    file.bytes.set(from.subarray(at, at + length), offset);
    file.size = Math.max(file.size, offset + length);
    return length;
  }
  fallocate(fd: number, mode: number, offset: number, length: number): number {
    if ((mode & 2) !== 0) this.files.get(fd)!.bytes.fill(0, offset, offset + length);
    else if ((mode & 1) === 0) this.ftruncate(fd, Math.max(this.files.get(fd)!.size, offset + length));
    return 0;
  }
  /** struct stat with st_blocks alone. */
  fstat(fd: number, into: Uint8Array, at: number): number {
    put64(into, at + 64, Math.ceil(this.files.get(fd)!.size / 4096) * 8);
    return 0;
  }
  lseek(fd: number, offset: number, whence: number): number {
    return whence === 3 ? offset : this.files.get(fd)!.size;
  }
}

class FakeMemory {
  readonly bytes = new Uint8Array(MEMORY_BYTES);
  view: Uint8Array = this.bytes;
  inView(address: number, length: number): number {
    return address > 0 && address + length <= MEMORY_BYTES ? address : -14;
  }
  outView(address: number, length: number): number {
    return this.inView(address, length);
  }
  outCommit(): number {
    return 0;
  }
  readString(address: number, max: number): string | number {
    let text = "";
    for (let at = address; at < address + max; at++) {
      if (at <= 0 || at >= MEMORY_BYTES) return -14;
      if (this.bytes[at] === 0) return text;
      text += String.fromCharCode(this.bytes[at]);
    }
    return -36;
  }
  copyIn(address: number, into: Uint8Array, at: number, length: number): number {
    if (this.inView(address, length) < 0) return -14;
    into.set(this.bytes.subarray(address, address + length), at);
    return 0;
  }
  copyOut(address: number, from: Uint8Array, at: number, length: number): number {
    if (this.inView(address, length) < 0) return -14;
    this.bytes.set(from.subarray(at, at + length), address);
    return 0;
  }
}

/** What the tests see of it beside Task. */
export class VfsTask {
  readonly host = new FakeHost();
  readonly bytes: FakeMemory = new FakeMemory();
  readonly memory = this.bytes;
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
  #micros = 1_000_000;
  hasExited = false;
  /** Where the next argument goes in memory. */
  #free = 4096;

  constructor(
    parent: VfsTask | null = null,
    types: readonly FilesystemType[] = [],
    openers: ReadonlyMap<number, SpecialOpener> = new Map(),
  ) {
    const readTime = () => this.#micros++;
    const clock = {
      nanoseconds: 0,
      monotonic: () => readTime() * 1000,
      realtime(): number {
        const now = readTime();
        this.nanoseconds = now % 1_000_000 * 1000;
        return Math.floor(now / 1_000_000);
      },
    };
    this.kernel = parent === null ? this.#newKernel(clock, types, openers) : parent.kernel;
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
    clock: Clock,
    types: readonly FilesystemType[],
    openers: ReadonlyMap<number, SpecialOpener>,
  ): Kernel {
    const limits = { tasksMax: 64, memoryBytesMax: Infinity };
    const registry = { filesystems: new Map(types.map((type) => [type.name, type])), openers };
    return new Kernel(this.host as unknown as Host, {} as Platform, clock, limits, registry, 2, 2 ** 30);
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
    this.bytes.bytes.set(bytes, at);
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
