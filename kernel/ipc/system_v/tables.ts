// The System V objects of an IPC namespace: ipc_namespaces(7).

import type { Task } from "../../task/task.ts";
import { IpcIds } from "./ids.ts";
import { QUEUES_MAX, type TypedQueue } from "./messages.ts";
import { type SemaphoreSet, SETS_MAX } from "./semaphores.ts";
import { SEGMENTS_MAX, type SharedSegment } from "./shared_memory.ts";

export class SystemVTables {
  readonly segments = new IpcIds<SharedSegment>(SEGMENTS_MAX);
  readonly semaphores = new IpcIds<SemaphoreSet>(SETS_MAX);
  readonly queues = new IpcIds<TypedQueue>(QUEUES_MAX);

  /** The namespace ends: removes all objects. */
  release(): void {
    this.segments.removeAll();
    this.semaphores.removeAll();
    this.queues.removeAll();
  }
}

/** The objects of the namespace of `task`. */
export function systemV(task: Task): SystemVTables {
  const namespace = task.namespaces.ipc;
  if (namespace.tables !== null) return namespace.tables;
  const tables = new SystemVTables();
  namespace.tables = tables;
  namespace.held.push(tables);
  return tables;
}
