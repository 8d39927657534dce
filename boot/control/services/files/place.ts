// Whose files Fs.* is about: those that the init of a container sees, from its root and with its credentials.

import { PATH_MAX } from "../../../../kernel/abi/file.ts";
import type { Task } from "../../../../kernel/task/task.ts";
import { utf8ToByteString } from "../../../../kernel/util/bytes.ts";
import { type Query, Refusal, type Sandbox } from "../query.ts";

/** The init of the container that `query` names. */
export function initOf({ kernel }: Sandbox, query: Query): Task | Refusal {
  const id = query.string("container_id");
  const container = kernel.containers.get(id);
  if (container === undefined) return new Refusal(`container "${id}" not found`);
  const init = container.initTask;
  return init === null || init.hasExited ? new Refusal(`container "${id}" does not run`) : init;
}

/** The absolute path in a field, as bytes. */
export function pathOf(query: Query, field: string): string | Refusal {
  const path = utf8ToByteString(query.string(field));
  if (!path.startsWith("/")) return new Refusal(`${field} must be absolute`);
  if (path.includes("\0")) return new Refusal(`${field} has a NUL`);
  return path.length >= PATH_MAX ? new Refusal(`${field} is too long: ENAMETOOLONG`) : path;
}
