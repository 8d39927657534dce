// Usage: the sandbox's memory by kind, as one answer or as a page that is kept current.

import type { HostDescriptor } from "../../../kernel/host/host_descriptor.ts";
import type { Kernel } from "../../../kernel/kernel.ts";
import { residentMemory } from "../../../kernel/mm/residency.ts";
import type { MemoryMap } from "../../../kernel/mm/address_space.ts";
import { memoryUse } from "../../../kernel/fs/proc/proc_system.ts";
import { put64 } from "../../../kernel/abi/struct.ts";
import { PAGE_SIZE } from "../../../kernel/abi/memory.ts";
import type { Deadlined } from "../../../kernel/util/deadline_heap.ts";
import { Refusal, ResultWithFiles, type Sandbox, type Services } from "./query.ts";

/** Bytes, with the names of gVisor's control.MemoryUsage. */
export interface MemoryUsage {
  readonly Unknown: number;
  readonly System: number;
  readonly Anonymous: number;
  readonly PageCache: number;
  readonly Mapped: number;
  readonly Tmpfs: number;
  readonly Ramdiskfs: number;
  readonly Total: number;
}

const NOTHING = { Unknown: 0, System: 0, Anonymous: 0, PageCache: 0, Mapped: 0, Tmpfs: 0, Ramdiskfs: 0 };

/** Every page looked up: System is what our own heap holds for guests, Mapped files of the host. */
export function fullUsage(kernel: Kernel): MemoryUsage {
  let anonymous = 0, mapped = 0;
  for (const task of oneTaskOfEach(kernel)) {
    const resident = residentMemory(task);
    anonymous += (resident.anonymousPages + resident.sharedPages) * PAGE_SIZE;
    mapped += resident.filePages * PAGE_SIZE;
  }
  const tmpfs = memoryUse(kernel).files * 1024;
  const system = kernel.account.heap.usedBytes;
  const parts = { System: system, Anonymous: anonymous, Mapped: mapped, Tmpfs: tmpfs };
  return { ...NOTHING, ...parts, Total: system + anonymous + mapped + tmpfs };
}

/** Without looking at kinds: all but mapped files is Unknown. */
function quickUsage(kernel: Kernel): MemoryUsage {
  const { Mapped, Total } = fullUsage(kernel);
  return { ...NOTHING, Unknown: Total - Mapped, Mapped, Total };
}

function oneTaskOfEach(kernel: Kernel) {
  const tasks = new Map<MemoryMap, ReturnType<Kernel["tasks"]["get"]> & object>();
  for (const task of kernel.tasks.values()) if (!task.hasExited) tasks.set(task.mm, task);
  return tasks.values();
}

/** Between two times at which the page is written. */
const REFRESH_NANOS = 500e6;

/**
 * What Usage.UsageFD gives: a page whose first 8 bytes count mapped files of the host, and a file whose blocks stand for the
 * rest. Guests' memory is in many processes here and not in one file: so it is one without blocks, and the page counts all.
 */
class UsagePage implements Deadlined {
  deadline = 0;
  deadlineIndex = -1;
  readonly page: HostDescriptor;
  readonly memory: HostDescriptor;
  readonly #kernel: Kernel;
  readonly #bytes = new Uint8Array(8);

  constructor(kernel: Kernel, page: HostDescriptor, memory: HostDescriptor) {
    this.#kernel = kernel;
    this.page = page;
    this.memory = memory;
    this.onDeadline();
  }

  onDeadline(): void {
    put64(this.#bytes, 0, fullUsage(this.#kernel).Total);
    this.page.pwrite(this.#bytes, 0, 8, 0);
    this.deadline = this.#kernel.clock.monotonic() + REFRESH_NANOS;
    this.#kernel.deadlines.add(this);
  }
}

/** One for each kernel, made when it is first asked for. */
const pages = new WeakMap<Kernel, UsagePage>();

function usageFiles({ kernel }: Sandbox): ResultWithFiles | Refusal {
  let page = pages.get(kernel);
  if (page === undefined) {
    const memories = ["usage", "usage memory"].map((name) => kernel.descriptors.newMemory(name, PAGE_SIZE));
    const [counters, memory] = memories;
    if (typeof counters === "number" || typeof memory === "number") {
      for (const one of memories) if (typeof one !== "number") one.drop();
      return new Refusal("cannot make memory for the counters");
    }
    page = new UsagePage(kernel, counters, memory);
    pages.set(kernel, page);
  }
  return new ResultWithFiles({}, [page.page.fd, page.memory.fd]);
}

export const USAGE: Services = {
  "Usage.Collect": ({ kernel }, query) => query.flag("Full") ? fullUsage(kernel) : quickUsage(kernel),
  "Usage.UsageFD": (sandbox, query) =>
    query.number("Version") === 1
      ? usageFiles(sandbox)
      : new Refusal(`unsupported version requested: ${query.number("Version")}`),
};
