// Pausing a container: its tasks stay out of guest code until it is resumed. What they are in (a wait, a call) goes on in the
// kernel, and its answer waits with them. Linux: cgroup v2's freezer.

import type { Container } from "../container.ts";
import type { LoopService } from "../host/loop_service.ts";
import type { Task } from "./task.ts";

/** True when `task` may not go on now: it waits for its container to be resumed. Called for a task without a running thread. */
export function freeze(task: Task): boolean {
  const { container } = task.threadGroup;
  if (!container.isPaused) return false;
  container.frozen.push(task);
  return true;
}

/** Pauses `container`; `onPaused` is called once none of its threads runs guest code. False when it is paused already. */
export function pauseContainer(container: Container, onPaused: () => void): boolean {
  if (container.isPaused) return false;
  const { kernel } = container;
  container.isPaused = true;
  kernel.pausedCount++;
  for (const task of kernel.tasks.values()) {
    if (task.threadGroup.container === container && runsGuestCode(task)) task.thread.interrupt();
  }
  kernel.services.add(new Freeze(container, onPaused));
  return true;
}

/** False when it is not paused. */
export function resumeContainer(container: Container): boolean {
  if (!container.isPaused) return false;
  const { kernel, frozen } = container;
  container.isPaused = false;
  kernel.pausedCount--;
  for (const task of frozen) kernel.ready.push(task);
  frozen.length = 0;
  return true;
}

function runsGuestCode(task: Task): boolean {
  return !task.hasExited && task.thread.isRunning;
}

/** Looks, turn by turn, until every thread has stopped: that takes as long as its next event, which interrupt() brings. */
class Freeze implements LoopService {
  readonly name = "pause";
  readonly #container: Container;
  readonly #onPaused: () => void;
  constructor(container: Container, onPaused: () => void) {
    this.#container = container;
    this.#onPaused = onPaused;
  }

  pollAt(): number {
    return 0;
  }

  poll(): void {
    const container = this.#container, { kernel } = container;
    if (container.isPaused) {
      for (const task of kernel.tasks.values()) {
        if (task.threadGroup.container === container && runsGuestCode(task)) return;
      }
    }
    kernel.services.remove(this);
    this.#onPaused();
  }
}
