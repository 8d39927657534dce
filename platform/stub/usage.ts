// What the host counts for processes and threads of guests, read of the sentry's own /proc: slow, so only when asked.

import type { StubCalls } from "../../native/stub.ts";
import type { HostUsage } from "../platform.ts";

const times = new Float64Array(4);
const peak = new Float64Array(2);
const timesBytes = new Uint8Array(times.buffer);
const peakBytes = new Uint8Array(peak.buffer);

/** Of thread `tid`, of the whole process where it is 0. */
export function readUsage(calls: StubCalls, pid: number, tid: number, into: HostUsage): boolean {
  if (calls.tsv_usage_times(pid, tid, timesBytes) < 0) return false;
  into.minorFaults = times[0];
  into.majorFaults = times[1];
  into.userTicks = times[2];
  into.systemTicks = times[3];
  if (tid !== 0) return true;
  peak.fill(0);
  if (calls.tsv_usage_peak(pid, peakBytes) < 0) return false;
  into.peakKib = peak[0];
  into.involuntarySwitches = peak[1];
  return true;
}
