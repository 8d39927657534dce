// What tests see of the host: processes of a sandbox with what /proc tells of them, and what a sandbox may leave behind.

import { delay } from "./tsvisor.ts";

/** Milliseconds a sandbox may take to come or go. */
const PATIENCE_MILLIS = 60_000;

/** A process of a running sandbox. */
export interface HostProcess {
  readonly pid: number;
  readonly role: "sentry" | "gofer" | "stub";
}

/** Pids of the children of `pid`. */
export function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const candidate of pids()) {
    if (parentOf(candidate) === pid) children.push(candidate);
  }
  return children;
}

/** Sentry, gofer and stubs below the command line `pid`, once there are all three kinds. */
export async function sandboxOf(pid: number): Promise<HostProcess[]> {
  for (let waited = 0; waited < PATIENCE_MILLIS; waited += 50) {
    const found: HostProcess[] = [];
    for (const child of childrenOf(pid)) {
      const role = roleOf(child);
      if (role === null) continue;
      found.push({ pid: child, role });
      for (const stub of childrenOf(child)) found.push({ pid: stub, role: "stub" });
    }
    const roles = new Set(found.map((process) => process.role));
    if (roles.size === 3) return found;
    await delay(50);
  }
  throw new Error(`No sandbox below process ${pid}`);
}

function roleOf(pid: number): "sentry" | "gofer" | null {
  const line = read(`/proc/${pid}/cmdline`);
  if (/(sentry\.js|--role=sentry)/.test(line)) return "sentry";
  return /(gofer\.js|--role=gofer)/.test(line) ? "gofer" : null;
}

/** Numbers of all processes. */
export function pids(): number[] {
  return [...Deno.readDirSync("/proc")].map((entry) => Number(entry.name)).filter((pid) => pid > 0);
}

export function parentOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] ?? 0);
}

/** Whether `pid` runs: neither gone nor a zombie. */
export function isAlive(pid: number): boolean {
  const stat = read(`/proc/${pid}/stat`);
  return stat !== "" && !/\) [ZX] /.test(stat);
}

/** CPU time of a process and its threads, clock ticks. */
export function cpuTicks(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

/** Waits until none of `list` runs; gives back those that still do after `millis`. */
export async function gone(list: readonly number[], millis: number): Promise<number[]> {
  for (let waited = 0; waited < millis; waited += 20) {
    if (!list.some(isAlive)) return [];
    await delay(20);
  }
  return list.filter(isAlive);
}

/** Lines "Name:\tvalue" of a status file. */
export function statusOf(path: string): Record<string, string> {
  const fields: Record<string, string> = {};
  for (const line of read(path).split("\n")) {
    const at = line.indexOf(":");
    if (at > 0) fields[line.slice(0, at)] = line.slice(at + 1).trim();
  }
  return fields;
}

/** The text of a file, "" when it is gone. */
export function read(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

/** Where a link of /proc leads to, "" when it is gone. */
export function link(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
