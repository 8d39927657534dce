// What becomes of a sandbox whose processes use more memory than it may have: the one that has promised itself most is
// killed, as Linux's OOM killer does with a memory cgroup. mm/pressure.ts tells when to look.

import { SIGKILL } from "../abi/signal.ts";
import type { Kernel } from "../kernel.ts";
import type { MemoryMap } from "../mm/address_space.ts";
import { byteStringToUtf8 } from "../util/bytes.ts";
import type { Task } from "./task.ts";
import { killGroup } from "./kill.ts";

/** Promises of all processes, each memory once. */
function promisedBytes(kernel: Kernel): number {
  const seen = new Set<MemoryMap>();
  let bytes = 0;
  for (const task of kernel.tasks.values()) {
    if (task.hasExited || seen.has(task.mm)) continue;
    seen.add(task.mm);
    bytes += promiseOf(task);
  }
  return bytes;
}

/** Begins to keep the sandbox below its limit. */
export function watchMemory(kernel: Kernel): void {
  const { memory } = kernel;
  memory.onTally = () => memory.setOver(promisedBytes(kernel) > memory.limitBytes);
}

/** The host says that the sandbox uses `bytes`, as asked for by memory.onChange. */
export function onMemoryMeasured(kernel: Kernel, bytes: number): void {
  const { memory } = kernel;
  if (bytes > memory.limitBytes) {
    const victim = largestProcess(kernel);
    if (victim !== null) {
      const name = byteStringToUtf8(victim.name);
      kernel.notice(
        `Limit of memory reached: ${memory.limitBytes} bytes; process ${victim.threadGroup.leader.tid} (${name}) is killed`,
      );
      killGroup(victim.threadGroup, SIGKILL);
    }
  }
  memory.onTally();
}

/** The first process only when there is no other: with it the sandbox ends. */
function largestProcess(kernel: Kernel): Task | null {
  const init = kernel.rootContainer?.initTask ?? null;
  let largest: Task | null = null;
  for (const task of kernel.tasks.values()) {
    if (task.hasExited || task.threadGroup.isExiting || task === init) continue;
    if (largest === null || promiseOf(task) > promiseOf(largest)) largest = task;
  }
  if (largest === null || init === null) return largest ?? init;
  // Little ones beside a large first process cannot be to blame.
  return promiseOf(init) > 2 * promiseOf(largest) ? init : largest;
}

/** What a process may come to use: memory that several share counts for each of them. */
function promiseOf(task: Task): number {
  return task.mm.areas.committedBytes + task.mm.areas.sharedBytes;
}
