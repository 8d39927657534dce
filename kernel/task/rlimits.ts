// Resource limits of a process. Linux: struct rlimit, getrlimit(2). RLIM_INFINITY is held as Infinity. Who enforces which
// limit: NPROC clone, NOFILE the descriptor table, AS, DATA, STACK and MEMLOCK the memory map, FSIZE write, CPU the time
// room, SIGPENDING the signal queue, NICE and RTPRIO the scheduling calls. The others are stored.

import {
  RLIM_INFINITY,
  RLIMIT_AS,
  RLIMIT_CORE,
  RLIMIT_CPU,
  RLIMIT_DATA,
  RLIMIT_FSIZE,
  RLIMIT_LOCKS,
  RLIMIT_MEMLOCK,
  RLIMIT_MSGQUEUE,
  RLIMIT_NICE,
  RLIMIT_NOFILE,
  RLIMIT_NPROC,
  RLIMIT_RSS,
  RLIMIT_RTPRIO,
  RLIMIT_RTTIME,
  RLIMIT_SIGPENDING,
  RLIMIT_STACK,
  RLIMITS_COUNT,
} from "../abi/task.ts";

/** Names as the OCI configuration and /proc/PID/limits have them, by RLIMIT_ number. */
export const RLIMIT_NAMES: readonly string[] = nameList();

export class Rlimits {
  /** Soft limits, then hard ones, by RLIMIT_ number. */
  readonly #values = new Float64Array(2 * RLIMITS_COUNT).fill(RLIM_INFINITY);

  /** The limit that holds now. */
  soft(resource: number): number {
    return this.#values[resource];
  }
  /** How far the soft limit may be raised without CAP_SYS_RESOURCE. */
  hard(resource: number): number {
    return this.#values[RLIMITS_COUNT + resource];
  }
  set(resource: number, soft: number, hard: number): void {
    this.#values[resource] = soft;
    this.#values[RLIMITS_COUNT + resource] = hard;
  }

  /** A copy for fork. */
  clone(): Rlimits {
    const copy = new Rlimits();
    copy.#values.set(this.#values);
    return copy;
  }
}

/** What Linux gives its first process (INIT_RLIMITS), with counts that follow the machine as there. */
export function newRlimits(memoryTotalBytes: number): Rlimits {
  const limits = new Rlimits();
  // max_threads / 2, fork_init(): an eighth of memory in stacks of 16 KiB.
  const tasks = Math.floor(memoryTotalBytes / 8 / 16384 / 2);
  limits.set(RLIMIT_STACK, 8 * 1024 * 1024, RLIM_INFINITY);
  limits.set(RLIMIT_CORE, 0, RLIM_INFINITY);
  limits.set(RLIMIT_NPROC, tasks, tasks);
  limits.set(RLIMIT_NOFILE, 1024, 4096);
  limits.set(RLIMIT_MEMLOCK, 8 * 1024 * 1024, 8 * 1024 * 1024);
  limits.set(RLIMIT_SIGPENDING, tasks, tasks);
  limits.set(RLIMIT_MSGQUEUE, 819200, 819200);
  limits.set(RLIMIT_NICE, 0, 0);
  limits.set(RLIMIT_RTPRIO, 0, 0);
  return limits;
}

function nameList(): string[] {
  const names: string[] = [];
  names[RLIMIT_CPU] = "RLIMIT_CPU";
  names[RLIMIT_FSIZE] = "RLIMIT_FSIZE";
  names[RLIMIT_DATA] = "RLIMIT_DATA";
  names[RLIMIT_STACK] = "RLIMIT_STACK";
  names[RLIMIT_CORE] = "RLIMIT_CORE";
  names[RLIMIT_RSS] = "RLIMIT_RSS";
  names[RLIMIT_NPROC] = "RLIMIT_NPROC";
  names[RLIMIT_NOFILE] = "RLIMIT_NOFILE";
  names[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK";
  names[RLIMIT_AS] = "RLIMIT_AS";
  names[RLIMIT_LOCKS] = "RLIMIT_LOCKS";
  names[RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING";
  names[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE";
  names[RLIMIT_NICE] = "RLIMIT_NICE";
  names[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO";
  names[RLIMIT_RTTIME] = "RLIMIT_RTTIME";
  return names;
}
