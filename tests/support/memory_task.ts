// A task on the fake platform that is just enough for the mm and loader rooms: memory, limits, credentials.

import { HostDescriptors } from "../../kernel/host/host_descriptor.ts";
import { MemoryPressure } from "../../kernel/mm/pressure.ts";
import { MemoryMap } from "../../kernel/mm/address_space.ts";
import { KernelMemory } from "../../kernel/util/kernel_memory.ts";
import { Parameters } from "../../kernel/util/parameters.ts";
import { ALL_CAPABILITIES, newCredentials } from "../../kernel/task/credentials.ts";
import { newRlimits } from "../../kernel/task/rlimits.ts";
import type { Task } from "../../kernel/task/task.ts";
import { FakeAddressSpace, FakeHost, FakeWindow } from "./fake_platform.ts";

/** A task with memory, limits and credentials, and nothing else. */
export function newMemoryTask(memoryBytesMax = Infinity): {
  readonly task: Task;
  readonly mm: MemoryMap;
  readonly space: FakeAddressSpace;
  readonly host: FakeHost;
} {
  const space = new FakeAddressSpace();
  const host = new FakeHost();
  const mm = new MemoryMap(space, host, new KernelMemory(2 ** 30).heap);
  const task = {
    mm,
    thread: {},
    memory: new FakeWindow(space),
    credentials: newCredentials(0, 0, [], ALL_CAPABILITIES),
    threadGroup: { limits: newRlimits(2 ** 30) },
    kernel: {
      limits: { memoryBytesMax, tasksMax: 100 },
      memory: new MemoryPressure(memoryBytesMax),
      parameters: new Parameters(),
      notice() {},
      descriptors: new HostDescriptors(host),
    },
  } as unknown as Task;
  return { task, mm, space, host };
}
