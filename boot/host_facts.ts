// What the CLI reads of the host for a sandbox: processors and memory. The sentry could not: it sees no /proc.

import { childrenOf } from "./cgroup/files.ts";

/** Facts that go into a SentryConfig. */
export interface HostFacts {
  readonly cpuCount: number;
  readonly memoryTotalBytes: number;
  readonly cpuinfo: string;
  readonly hwcap: number;
  readonly hwcap2: number;
}

/** Reads them from /proc. */
export function readHostFacts(): HostFacts {
  const cpuinfo = Deno.readTextFileSync("/proc/cpuinfo");
  const memory = /^MemTotal:\s+(\d+) kB/m.exec(Deno.readTextFileSync("/proc/meminfo"));
  const auxv = auxiliaryVector();
  return {
    cpuCount: Math.max(1, navigator.hardwareConcurrency),
    memoryTotalBytes: memory === null ? 2 ** 31 : Number(memory[1]) * 1024,
    cpuinfo,
    hwcap: auxv.get(16) ?? 0x078b_fbff,
    hwcap2: auxv.get(26) ?? 0,
  };
}

/** Bytes that the guests of a sandbox use: of the children of its sentry, shared pages by their share. */
export function memoryOf(sentryPid: number): number {
  let kilobytes = 0;
  for (const pid of childrenOf(sentryPid)) {
    try {
      const rollup = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
      kilobytes += Number(/^Pss_Anon:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
      kilobytes += Number(/^Pss_Shmem:\s+(\d+)/m.exec(rollup)?.[1] ?? 0);
    } catch {
      // It has ended meanwhile.
    }
  }
  return kilobytes * 1024;
}

/** AT_HWCAP and the rest of this process. */
function auxiliaryVector(): Map<number, number> {
  const bytes = Deno.readFileSync("/proc/self/auxv");
  const view = new DataView(bytes.buffer);
  const map = new Map<number, number>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) {
    map.set(Number(view.getBigUint64(at, true)), Number(view.getBigUint64(at + 8, true)));
  }
  return map;
}
