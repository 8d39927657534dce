// A process as containerManager.Processes lists it, in the form of gVisor's control.Process; `ps` prints the same columns.

import type { Kernel } from "../../../kernel/kernel.ts";
import type { ThreadGroup } from "../../../kernel/task/thread_group.ts";
import { byteStringToUtf8 } from "../../../kernel/util/bytes.ts";
import { civilTime } from "../civil_time.ts";
import { goDuration } from "../go_duration.ts";

export interface ProcessRow {
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

/** procps shows no more. */
const CPU_PERCENT_MAX = 99;
/** Major of the slaves of pseudo-terminals (UNIX98_PTY_SLAVE_MAJOR). */
const PTS_MAJOR = 136;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Numbers are those of the root PID namespace. */
export function processRow(kernel: Kernel, group: ThreadGroup): ProcessRow {
  const ageNanos = kernel.clock.monotonic() - group.startNanos;
  const cpuNanos = group.cpuNanos();
  const now = kernel.clock.realtime();
  const percent = ageNanos <= 0 ? 0 : Math.floor(cpuNanos * 100 / ageNanos);
  return {
    uid: group.leader.credentials.euid,
    pid: group.tgid,
    ppid: group.parent === null ? 0 : group.parent.tgid,
    pgid: group.processGroup.pid.root,
    threads: group.tasks.map((task) => task.tid).sort((a, b) => a - b),
    c: Math.min(CPU_PERCENT_MAX, percent),
    tty: terminalName(group),
    stime: startTime(now, Math.floor(now - ageNanos / 1e9)),
    time: goDuration(cpuNanos),
    cmd: byteStringToUtf8(group.leader.name),
  };
}

function terminalName(group: ThreadGroup): string {
  const terminal = group.session.terminal;
  if (terminal === null) return "?";
  // As tty_nr of proc_pid_stat(5): minor in bits 31 to 20 and 7 to 0, major in 15 to 8.
  const number = terminal.deviceNumber;
  const minor = number & 0xff | number >> 12 & 0xfff00;
  return (number >> 8 & 0xff) === PTS_MAJOR ? `pts/${minor}` : "?";
}

/** In UTC, which is what a sandbox knows; seconds since 1970. */
export function startTime(now: number, start: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const today = civilTime(now), then = civilTime(start);
  if (then.year !== today.year) return String(then.year);
  if (then.month !== today.month || then.day !== today.day) {
    return `${MONTHS[then.month - 1]}${two(then.day)}`;
  }
  return `${two(then.hour)}:${two(then.minute)}`;
}
