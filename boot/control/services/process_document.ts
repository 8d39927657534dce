// A process as containerManager.Processes lists it, in the form of gVisor's control.Process.

import type { Kernel } from "../../../kernel/kernel.ts";
import type { ThreadGroup } from "../../../kernel/task/thread_group.ts";
import { byteStringToUtf8 } from "../../../kernel/util/bytes.ts";
import { civilTime } from "../civil_time.ts";
import { goDuration } from "../go_duration.ts";
import { processRow } from "../../process_rows.ts";

export interface ProcessDocument {
  readonly uid: number;
  readonly pid: number;
  readonly ppid: number;
  readonly pgid: number;
  readonly threads: readonly number[];
  /** Per cent of a processor since its start. */
  readonly c: number;
  /** "pts/N", "?" = none. */
  readonly tty: string;
  /** Start: HH:MM today, MonDD this year, the year before. */
  readonly stime: string;
  /** Processor time as Go prints a duration. */
  readonly time: string;
  readonly cmd: string;
}

/** The most that ps(1) shows. */
const CPU_PERCENT_MAX = 99;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Numbers are those of the root PID namespace. */
export function processDocument(kernel: Kernel, group: ThreadGroup): ProcessDocument {
  const { uid, pid, parentPid, tty, ageNanos, cpuNanos, name } = processRow(kernel, group, kernel.rootPids);
  const now = kernel.clock.realtime();
  const percent = ageNanos <= 0 ? 0 : Math.floor(cpuNanos * 100 / ageNanos);
  return {
    uid,
    pid,
    ppid: parentPid,
    pgid: group.processGroup.pid.root,
    threads: group.tasks.map((task) => task.tid).sort((a, b) => a - b),
    c: Math.min(CPU_PERCENT_MAX, percent),
    tty,
    stime: startTime(now, Math.floor(now - ageNanos / 1e9)),
    time: goDuration(cpuNanos),
    cmd: byteStringToUtf8(name),
  };
}

/** In UTC, as a sandbox has no time zone; seconds since 1970. */
export function startTime(now: number, start: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const today = civilTime(now), then = civilTime(start);
  if (then.year !== today.year) return String(then.year);
  if (then.month !== today.month || then.day !== today.day) {
    return `${MONTHS[then.month - 1]}${two(then.day)}`;
  }
  return `${two(then.hour)}:${two(then.minute)}`;
}
