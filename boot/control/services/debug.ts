// debug.Stacks: where everything stands. gVisor's prints its goroutines; a sandbox here has one thread of ours, whose stack says
// little, and tasks whose calls are plain data.

import type { Container } from "../../../kernel/container.ts";
import { describeWait } from "../../../kernel/task/describe_wait.ts";
import { type Task, TaskState } from "../../../kernel/task/task.ts";
import { byteStringToUtf8 } from "../../../kernel/util/bytes.ts";
import type { Sandbox, Services } from "./query.ts";

const STATES: Readonly<Record<TaskState, string>> = {
  [TaskState.Running]: "running",
  [TaskState.Blocked]: "blocked",
  [TaskState.BlockedKillable]: "blocked, killable",
  [TaskState.Stopped]: "stopped",
  [TaskState.Zombie]: "zombie",
  [TaskState.Dead]: "dead",
};

/** Text: the sentry's stack, then of each task its state, its call, what it waits for, and its time. */
function stacksText(sandbox: Sandbox, stack: string): string {
  const { kernel } = sandbox;
  const now = kernel.clock.monotonic();
  const lines = [
    `sentry: up ${
      seconds(now - kernel.bootNanos)
    }, ${kernel.containers.size} containers, ${kernel.tasks.size} tasks`,
    ...stack.split("\n").slice(1),
  ];
  const tasks = [...kernel.tasks.values()].sort((a, b) => a.tid - b.tid);
  for (const task of tasks) lines.push("", ...taskLines(sandbox, task, now));
  return `${lines.join("\n")}\n`;
}

function taskLines(sandbox: Sandbox, task: Task, now: number): string[] {
  const { threadGroup } = task;
  const container: Container = threadGroup.container;
  const times = `age ${seconds(now - task.startNanos)}, CPU of its process ${
    seconds(threadGroup.cpuNanos())
  }`;
  const name = JSON.stringify(byteStringToUtf8(task.name));
  const lines = [
    `task ${task.tid} (process ${threadGroup.tgid}, container ${container.id}) ${name} [${
      STATES[task.state]
    }], ${times}`,
  ];
  const wait = describeWait(task);
  if (task.hasExited || wait.number < 0) return lines;
  const call = sandbox.table.name(wait.number) ?? `call ${wait.number}`;
  // Between two calls the number is the last one's.
  if (!wait.isWaiting) return [...lines, `    last call: ${call}`];
  lines.push(`    in ${call}(${wait.arguments.join(", ")})`);
  const parts: string[] = [];
  if (wait.queueCount > 0) parts.push(`${wait.queueCount} queues`);
  for (const { fd, ino } of wait.files) {
    parts.push(fd < 0 ? `a closed file (inode ${ino})` : `file ${fd} (inode ${ino})`);
  }
  for (const { key, isPi } of wait.futexes) {
    parts.push(`${isPi ? "PI futex" : "futex"} 0x${key.toString(16)}`);
  }
  parts.push(wait.deadline === null ? "no deadline" : `deadline in ${seconds(wait.deadline - now)}`);
  if (wait.done > 0) parts.push(`${wait.done} bytes done`);
  lines.push(`    waits for ${parts.join(", ")}`);
  if (wait.continuation !== null) lines.push(`    goes on with ${wait.continuation}`);
  return lines;
}

function seconds(nanos: number): string {
  return `${(nanos / 1e9).toFixed(3)} s`;
}

export const DEBUG: Services = {
  "debug.Stacks": (sandbox) => stacksText(sandbox, new Error("stack").stack ?? ""),
};
