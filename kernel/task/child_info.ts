// The siginfo a parent gets about a child: SIGCHLD of sigaction(2), also waitid(2)'s result.

import { SignalInfo } from "../signal/signal_info.ts";
import { nanosToTicks, processUsage, Usage } from "./usage.ts";
import type { ThreadGroup } from "./thread_group.ts";

const usage = new Usage();

/** The SIGCHLD siginfo that reports a change of `group` to its parent: CLD_ code and status. */
export function childInfo(group: ThreadGroup, signal: number, code: number, status: number): SignalInfo {
  const info = new SignalInfo(signal, code);
  const parent = group.parent;
  if (parent !== null) info.pid = group.pid.in(parent.pid.namespace);
  info.uid = group.leader.credentials.uid;
  info.isOfChild = true;
  info.status = status;
  processUsage(group, usage);
  info.userTicks = nanosToTicks(usage.userNanos);
  info.systemTicks = nanosToTicks(usage.systemNanos);
  return info;
}
