// What a container has used, in the form of runc's events as gVisor's boot package has them: numbers that are 0 are left out
// where they are optional here.

export interface CpuUsage {
  /** Nanoseconds. */
  readonly kernel?: number;
  readonly user?: number;
  readonly total?: number;
  readonly percpu?: readonly number[];
}

export interface Cpu {
  readonly usage: CpuUsage;
}

export interface MemoryEntry {
  /** Bytes; 0 = none. */
  readonly limit: number;
  readonly usage?: number;
  readonly max?: number;
  /** How often the limit was met. */
  readonly failcnt: number;
}

export interface Memory {
  readonly cache?: number;
  readonly usage: MemoryEntry;
  readonly swap: MemoryEntry;
  readonly kernel: MemoryEntry;
  readonly kernelTCP: MemoryEntry;
  readonly raw?: Readonly<Record<string, number>>;
}

export interface Pids {
  readonly current?: number;
  readonly limit?: number;
}

export interface Stats {
  readonly cpu: Cpu;
  readonly memory: Memory;
  readonly pids: Pids;
}

/** An event of runc's. */
export interface Event {
  readonly type: string;
  /** The container's. */
  readonly id: string;
  readonly data: Stats;
}

/** What containerManager.Event answers. */
export interface EventOut {
  readonly event: Event;
  /** Processor nanoseconds of each container by its id. */
  readonly containerUsage: Readonly<Record<string, number>>;
}
