// Process ids as objects. Linux: struct pid. A Pid has one number in its PID namespace and in each above; it is used by a
// task and, under the same number, by the process group and the session that the task founded. The number is free again
// when nobody of the three is left.

import type { PidNamespace } from "./namespaces.ts";
import type { ProcessGroup, Session } from "./process_group.ts";
import type { Task } from "./task.ts";

export class Pid {
  /** The innermost namespace it has a number in. */
  readonly namespace: PidNamespace;
  /** Its number by level of namespace; the last one is of `namespace`. */
  readonly #numbers: readonly number[];
  /** Its number in the root namespace. */
  readonly root: number;
  /** Its number in its own namespace: what getpid() answers. */
  readonly own: number;
  task: Task | null = null;
  group: ProcessGroup | null = null;
  session: Session | null = null;

  /** Use allocatePid(). */
  constructor(namespace: PidNamespace, numbers: readonly number[]) {
    this.namespace = namespace;
    this.#numbers = numbers;
    this.root = numbers[0];
    this.own = numbers[namespace.level];
  }

  /** Its number as seen from `namespace`, 0 where it cannot be seen. */
  in(namespace: PidNamespace): number {
    if (namespace.level === 0) return this.#numbers[0];
    if (namespace.level > this.namespace.level) return 0;
    return namespace.contains(this.namespace) ? this.#numbers[namespace.level] : 0;
  }
  /** Its numbers from `namespace` inwards: NSpid of /proc/PID/status. */
  numbersFrom(namespace: PidNamespace): readonly number[] {
    return this.#numbers.slice(namespace.level);
  }

  /** Gives the numbers back if no task, group or session uses them. Called after each of the three is set to null. */
  dropIfUnused(): void {
    if (this.task !== null || this.group !== null || this.session !== null) return;
    let namespace: PidNamespace | null = this.namespace;
    while (namespace !== null) {
      namespace.pids.delete(this.#numbers[namespace.level]);
      namespace.endIfUnused();
      namespace = namespace.parent;
    }
  }
}

/**
 * A Pid for a task born in `namespace`, or null when a namespace has no number left. `wanted` are numbers asked for by
 * clone3's set_tid, innermost first; the caller has checked that they are free. Others are below `pidMax`.
 */
export function allocatePid(
  namespace: PidNamespace,
  pidMax: number,
  wanted: readonly number[] = [],
): Pid | null {
  const numbers: number[] = new Array(namespace.level + 1);
  let at: PidNamespace | null = namespace;
  while (at !== null) {
    const depth = namespace.level - at.level;
    const number = depth < wanted.length ? wanted[depth] : at.freeNumber(pidMax);
    if (number < 0) return null;
    numbers[at.level] = number;
    at = at.parent;
  }
  const pid = new Pid(namespace, numbers);
  for (at = namespace; at !== null; at = at.parent) at.pids.set(numbers[at.level], pid);
  return pid;
}
