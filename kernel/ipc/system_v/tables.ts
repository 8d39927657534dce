// The System V objects of an IPC namespace: ipc_namespaces(7).

import type { Task } from "../../task/task.ts";
import type { IpcParameters } from "../../util/parameters.ts";
import { IpcIds } from "./ids.ts";
import type { TypedQueue } from "./messages.ts";
import type { SemaphoreSet } from "./semaphores.ts";
import type { SharedSegment } from "./shared_memory.ts";

export class SystemVTables {
  readonly segments: IpcIds<SharedSegment>;
  readonly semaphores: IpcIds<SemaphoreSet>;
  readonly queues: IpcIds<TypedQueue>;

  constructor(parameters: IpcParameters) {
    this.segments = new IpcIds(() => parameters.segmentsMax);
    this.semaphores = new IpcIds(() => parameters.setsMax);
    this.queues = new IpcIds(() => parameters.queuesMax);
  }

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
  const tables = new SystemVTables(namespace.parameters);
  namespace.tables = tables;
  namespace.held.push(tables);
  return tables;
}
