// Profiles of what guests do in calls: how long calls wait, how long the kernel works on them, and each call by itself. They
// hear calls through CallHooks, for as long as they are wanted.

import type { Kernel } from "../../kernel/kernel.ts";
import type { SyscallTable } from "../../kernel/syscalls/dispatch.ts";
import type { CallListener } from "../../kernel/task/call_hooks.ts";
import type { Task } from "../../kernel/task/task.ts";
import type { ThreadGroup } from "../../kernel/task/thread_group.ts";
import { byteStringToUtf8 } from "../../kernel/util/bytes.ts";
import { Profile } from "./pprof.ts";

/** A profile that is being taken. */
export interface Taking {
  stop(): void;
  /** What has been found: what is written out. */
  encode(timeNanos: number, durationNanos: number): Uint8Array<ArrayBuffer>;
}

/** Whose a call is, innermost first: process, container. */
function ownersOf(task: Task): string[] {
  return [byteStringToUtf8(task.name), task.threadGroup.container.id];
}

function callName(table: SyscallTable, task: Task): string {
  const { number } = task.call;
  return table.name(number) ?? `call ${number}`;
}

/** How often and how long tasks wait, by call and process: of calls that take locks, or of all. */
export class WaitProfile implements CallListener, Taking {
  readonly #kernel: Kernel;
  readonly #table: SyscallTable;
  readonly #since = new Map<Task, number>();
  readonly #profile = new Profile([
    { name: "contentions", unit: "count" },
    { name: "delay", unit: "nanoseconds" },
  ]);

  /** `names`: of these calls only; null = all. */
  constructor(kernel: Kernel, table: SyscallTable, names: ReadonlySet<string> | null) {
    this.#kernel = kernel;
    this.#table = table;
    kernel.callHooks.listen(this, (number) => names === null || names.has(table.name(number) ?? ""));
  }

  onWait(task: Task): void {
    if (!this.#since.has(task)) this.#since.set(task, this.#kernel.clock.monotonic());
  }

  onExit(task: Task): void {
    const since = this.#since.get(task);
    if (since === undefined) return;
    this.#since.delete(task);
    this.#profile.add([callName(this.#table, task), ...ownersOf(task)], [
      1,
      this.#kernel.clock.monotonic() - since,
    ]);
  }

  stop(): void {
    this.#kernel.callHooks.silence(this);
    const now = this.#kernel.clock.monotonic();
    for (const [task, since] of this.#since) {
      if (!task.hasExited) {
        this.#profile.add([callName(this.#table, task), ...ownersOf(task)], [1, now - since]);
      }
    }
    this.#since.clear();
  }

  encode(timeNanos: number, durationNanos: number): Uint8Array<ArrayBuffer> {
    return this.#profile.encode(timeNanos, durationNanos);
  }
}

/** Processor time: of the kernel by call, and of guests' processes as the host counts it. */
export class ProcessorProfile implements CallListener, Taking {
  readonly #kernel: Kernel;
  readonly #table: SyscallTable;
  readonly #entered = new Map<Task, number>();
  /** What each process had used at the start. */
  readonly #used = new Map<ThreadGroup, number>();
  readonly #profile = new Profile([
    { name: "samples", unit: "count" },
    { name: "cpu", unit: "nanoseconds" },
  ]);

  constructor(kernel: Kernel, table: SyscallTable) {
    this.#kernel = kernel;
    this.#table = table;
    for (const { threadGroup } of kernel.tasks.values()) this.#used.set(threadGroup, threadGroup.cpuNanos());
    kernel.callHooks.listen(this, () => true);
  }

  onEnter(task: Task): void {
    this.#entered.set(task, this.#kernel.clock.monotonic());
  }
  onWait(task: Task): void {
    this.#note(task);
  }
  onExit(task: Task): void {
    this.#note(task);
  }

  #note(task: Task): void {
    const since = this.#entered.get(task);
    if (since === undefined) return;
    this.#entered.delete(task);
    const nanos = this.#kernel.clock.monotonic() - since;
    this.#profile.add([callName(this.#table, task), "(kernel)", ...ownersOf(task)], [1, nanos]);
  }

  stop(): void {
    this.#kernel.callHooks.silence(this);
    const groups = new Set([...this.#kernel.tasks.values()].map(({ threadGroup }) => threadGroup));
    for (const group of groups) {
      const nanos = group.cpuNanos() - (this.#used.get(group) ?? 0);
      if (nanos > 0) this.#profile.add(["(guest code)", ...ownersOf(group.leader)], [1, nanos]);
    }
  }

  encode(timeNanos: number, durationNanos: number): Uint8Array<ArrayBuffer> {
    return this.#profile.encode(timeNanos, durationNanos);
  }
}

/** Events of one trace: some 10 MiB of text. */
const EVENTS_MAX = 100_000;

/** Each call with its beginning and length, as trace events that Perfetto and chrome://tracing open. */
export class CallTrace implements CallListener, Taking {
  readonly #kernel: Kernel;
  readonly #table: SyscallTable;
  readonly #start: number;
  readonly #entered = new Map<Task, number>();
  readonly #events: object[] = [];
  #lostCount = 0;

  constructor(kernel: Kernel, table: SyscallTable) {
    this.#kernel = kernel;
    this.#table = table;
    this.#start = kernel.clock.monotonic();
    kernel.callHooks.listen(this, () => true);
  }

  onEnter(task: Task): void {
    this.#entered.set(task, this.#kernel.clock.monotonic());
  }

  onExit(task: Task, result: number): void {
    const since = this.#entered.get(task);
    if (since === undefined) return;
    this.#entered.delete(task);
    if (this.#events.length >= EVENTS_MAX) {
      this.#lostCount++;
      return;
    }
    const micros = (nanos: number) => Math.round(nanos / 100) / 10;
    const [process, container] = ownersOf(task);
    this.#events.push({
      ...{ name: callName(this.#table, task), ph: "X", pid: task.threadGroup.tgid, tid: task.tid },
      ...{ ts: micros(since - this.#start), dur: micros(this.#kernel.clock.monotonic() - since) },
      args: { process, container, result },
    });
  }

  stop(): void {
    this.#kernel.callHooks.silence(this);
  }

  encode(): Uint8Array<ArrayBuffer> {
    const metadata = { lostEvents: this.#lostCount };
    return new TextEncoder().encode(JSON.stringify({ traceEvents: this.#events, metadata }));
  }
}
