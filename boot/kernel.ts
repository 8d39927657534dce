// Boots a kernel that runs nothing yet (clock, limits, what it shows of the host), and ends one. boot/container.ts starts
// containers in it.

import { FILE_REGISTRY } from "../kernel/fs/registry.ts";
import type { HostDescriptor } from "../kernel/host/host_descriptor.ts";
import { Kernel } from "../kernel/kernel.ts";
import type { Netstack } from "../kernel/socket/inet/room.ts";
import { exitKilled, killContainer } from "../kernel/task/exit.ts";
import { HostClock } from "../kernel/time/clock.ts";
import type { Host, Platform } from "../platform/platform.ts";
import type { KernelConfig } from "./sentry_config.ts";

/** AT_MINSIGSTKSZ: a frame with AVX-512 state. */
const SIGNAL_STACK_BYTES_MIN = 3632;

/** The kernel of `config`; its log goes to `log`. */
export function bootKernel(
  config: KernelConfig,
  host: Host,
  platform: Platform,
  log: (text: string) => void,
  loadNetstack: () => Netstack,
): Kernel {
  const kernel = new Kernel(
    host,
    platform,
    new HostClock(host),
    { tasksMax: config.tasksMax, memoryBytesMax: config.memoryBytesMax },
    FILE_REGISTRY,
    config.cpuCount,
    config.memoryTotalBytes,
  );
  const { hwcap, hwcap2, cpuinfo } = config.host;
  kernel.hardware = { hwcap, hwcap2, minSignalStackBytes: SIGNAL_STACK_BYTES_MIN };
  kernel.cpuinfo = cpuinfo;
  kernel.log = log;
  kernel.inet.loadNetstack = loadNetstack;
  const { files, heap } = kernel.account;
  files.onRefusal = () =>
    kernel.notice(
      `Limit of memory reached: ${files.limitBytes} bytes of files in memory; they get ENOSPC`,
    );
  heap.onRefusal = () =>
    kernel.notice(
      `Limit of kernel memory reached: ${heap.limitBytes} bytes; calls get ENOMEM or its like`,
    );
  return kernel;
}

/**
 * Ends what still runs in `kernel` and gives everything back, as nobody does where the process just ends. Descriptors of the
 * host that are left besides `kept`, a line each: bugs of ours.
 */
export function endKernel(kernel: Kernel, kept: readonly HostDescriptor[]): string[] {
  const containers = [...kernel.containers.values()];
  for (const container of containers) killContainer(container);
  exitKilled(kernel);
  for (const container of containers) container.forget();
  for (const shared of kernel.sharedFilesystems.values()) shared.drop();
  return kernel.descriptors.describe(kept);
}
