// Profile.{CPU, Heap, Block, Mutex, Trace}: each writes to the descriptor that comes along and is answered then. gVisor's are of
// its own goroutines; ours are of guests: processor time by process and call, memory by process and kind, waits by call, and
// each call by itself. All are pprof's format, but the trace, which is trace events in JSON.

import { EAGAIN, errnoName } from "../../../kernel/abi/errno.ts";
import { PAGE_SIZE } from "../../../kernel/abi/memory.ts";
import { HOST_WRITE, type HostDescriptor } from "../../../kernel/host/host_descriptor.ts";
import type { Kernel } from "../../../kernel/kernel.ts";
import { residentMemory } from "../../../kernel/mm/residency.ts";
import { byteStringToUtf8 } from "../../../kernel/util/bytes.ts";
import type { Deadlined } from "../../../kernel/util/deadline_heap.ts";
import { CallTrace, ProcessorProfile, type Taking, WaitProfile } from "../../profile/call_profiles.ts";
import { Profile } from "../../profile/pprof.ts";
import { LATER, type Query, Refusal, type Sandbox, type Service, type Services } from "./query.ts";

/** Longest delay and longest profile. */
const NANOS_MAX = 3600e9;
/** How long the reader of the profile may take to make room, and between two tries. */
const WRITE_NANOS_MAX = 10e9;
const WRITE_NANOS = 5e6;
const PIECE_BYTES = 64 * 1024;
/** Calls that wait for a lock. */
const LOCK_CALLS = new Set(["futex", "futex_wait", "futex_waitv", "flock", "fcntl", "semop", "semtimedop"]);

/** Sandboxes that are being profiled: there is room for one listener of this kind. */
const busy = new WeakSet<Kernel>();

/** Waits, has a profile taken, waits again, and writes it out. */
class Run implements Deadlined {
  deadline: number;
  deadlineIndex = -1;
  readonly #kernel: Kernel;
  readonly #query: Query;
  readonly #file: HostDescriptor;
  readonly #begin: () => Taking;
  readonly #durationNanos: number;
  #taking: Taking | null = null;
  #startNanos = 0;
  #bytes: Uint8Array<ArrayBuffer> | null = null;
  #at = 0;
  #writeUntil = 0;

  constructor(kernel: Kernel, query: Query, file: HostDescriptor, begin: () => Taking) {
    this.#kernel = kernel;
    this.#query = query;
    this.#file = file;
    this.#begin = begin;
    this.#durationNanos = query.number("duration");
    this.deadline = kernel.clock.monotonic() + query.number("delay");
    busy.add(kernel);
    query.onForgotten = () => this.#end(new Refusal("nobody waits for it"));
    kernel.deadlines.add(this);
  }

  onDeadline(now: number): void {
    if (this.#bytes !== null) return this.#write(now);
    if (this.#taking === null) {
      this.#startNanos = now;
      this.#taking = this.#begin();
      return this.#sleep(this.#durationNanos);
    }
    const { clock } = this.#kernel;
    this.#taking.stop();
    const seconds = clock.realtime(), took = now - this.#startNanos;
    this.#bytes = this.#taking.encode(seconds * 1e9 + clock.nanoseconds - took, took);
    this.#taking = null;
    this.#writeUntil = now + WRITE_NANOS_MAX;
    this.#write(now);
  }

  #sleep(nanos: number): void {
    this.deadline = this.#kernel.clock.monotonic() + nanos;
    this.#kernel.deadlines.add(this);
  }

  #write(now: number): void {
    const bytes = this.#bytes!;
    while (this.#at < bytes.length) {
      const n = this.#file.write(bytes, this.#at, Math.min(PIECE_BYTES, bytes.length - this.#at));
      if (n === -EAGAIN && now < this.#writeUntil) return this.#sleep(WRITE_NANOS);
      if (n <= 0) return this.#end(new Refusal(`writing the profile: ${errnoName(-n)}`));
      this.#at += n;
    }
    this.#end({});
  }

  #end(result: unknown): void {
    if (this.deadlineIndex >= 0) this.#kernel.deadlines.remove(this);
    this.#taking?.stop();
    this.#taking = null;
    if (!this.#file.isOpen) return;
    this.#file.drop();
    busy.delete(this.#kernel);
    this.#query.reply(result);
  }
}

function profiled(begin: (sandbox: Sandbox) => Taking): Service {
  return (sandbox, query) => {
    const { kernel, host } = sandbox;
    if (query.files.length < 1) return new Refusal("no output writer provided");
    for (const field of ["duration", "delay"]) {
      const nanos = query.number(field);
      if (nanos < 0 || nanos > NANOS_MAX) return new Refusal(`${field} must be between 0 and an hour`);
    }
    if (busy.has(kernel)) return new Refusal("another profile is in progress");
    const fd = host.dup(query.files[0]);
    if (fd < 0) return new Refusal(`duplicating the output: ${errnoName(-fd)}`);
    host.setNonblocking(fd);
    const file = kernel.descriptors.own(fd, "donated", HOST_WRITE, "profile");
    new Run(kernel, query, file, () => begin(sandbox));
    return LATER;
  };
}

/** Memory as it is at the end: of each process by kind, and the kernel's own for guests. */
class MemoryProfile implements Taking {
  readonly #kernel: Kernel;
  readonly #profile = new Profile([{ name: "inuse_space", unit: "bytes" }]);

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  stop(): void {
    const { tasks, account } = this.#kernel;
    const seen = new Set<object>();
    for (const task of tasks.values()) {
      if (task.hasExited || seen.has(task.mm)) continue;
      seen.add(task.mm);
      const { anonymousPages, sharedPages, filePages } = residentMemory(task);
      const owners = [byteStringToUtf8(task.name), task.threadGroup.container.id];
      const kinds = [["anonymous", anonymousPages], ["shared", sharedPages], ["file", filePages]] as const;
      for (const [kind, pages] of kinds) this.#profile.add([kind, ...owners], [pages * PAGE_SIZE]);
    }
    this.#profile.add(["(kernel) for guests"], [account.heap.usedBytes]);
    this.#profile.add(["(kernel) files in memory"], [account.files.usedBytes]);
  }

  encode(timeNanos: number, durationNanos: number): Uint8Array<ArrayBuffer> {
    return this.#profile.encode(timeNanos, durationNanos);
  }
}

export const PROFILE: Services = {
  "Profile.CPU": profiled(({ kernel, table }) => new ProcessorProfile(kernel, table)),
  "Profile.Heap": profiled(({ kernel }) => new MemoryProfile(kernel)),
  "Profile.Block": profiled(({ kernel, table }) => new WaitProfile(kernel, table, null)),
  "Profile.Mutex": profiled(({ kernel, table }) => new WaitProfile(kernel, table, LOCK_CALLS)),
  "Profile.Trace": profiled(({ kernel, table }) => new CallTrace(kernel, table)),
};
