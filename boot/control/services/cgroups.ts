// Cgroups: control files of a container as far as the kernel counts and limits by container: processes, processor time, memory.
// Linux: none; guests see no cgroup file system, and the names are those of both versions of the host's.

import type { Container } from "../../../kernel/container.ts";
import { cpuNanosOf, memoryShareOf } from "./containers.ts";
import type { Query, Sandbox, Services } from "./query.ts";

interface ControlFile {
  read(container: Container, sandbox: Sandbox): string;
  /** What is wrong with a value, "" = it holds; null = nobody can write it. */
  readonly write: ((container: Container, value: string) => string) | null;
}

const micros = (nanos: number) => Math.floor(nanos / 1000);
const limitText = (limit: number) => limit === Infinity ? "max" : String(limit);
const cpu = (container: Container, { kernel }: Sandbox) => cpuNanosOf(kernel, container);
const memory: ControlFile = {
  read: (container, { kernel }) => String(memoryShareOf(kernel, container)),
  write: null,
};
const memoryLimit: ControlFile = {
  read: (_, { kernel }) => limitText(kernel.limits.memoryBytesMax),
  write: null,
};

/** A clone beyond it is refused (pids_can_fork()); those that are there stay. */
function setTasksMax(container: Container, value: string): string {
  const limit = value.trim() === "max" ? Infinity : Number(value);
  if (!(limit >= 0) || value.trim() === "" || limit !== Infinity && !Number.isSafeInteger(limit)) {
    return "invalid argument";
  }
  container.limits = { ...container.limits, tasksMax: limit };
  return "";
}

/** By controller ("" = version 2), then name. */
const FILES: Readonly<Record<string, Readonly<Record<string, ControlFile>>>> = {
  "": {
    "pids.current": { read: ({ taskCount }) => String(taskCount), write: null },
    "pids.max": { read: ({ limits }) => limitText(limits.tasksMax), write: setTasksMax },
    "cpu.stat": { read: (...of) => `usage_usec ${micros(cpu(...of))}`, write: null },
    "memory.current": memory,
    "memory.max": memoryLimit,
  },
  pids: {
    "pids.current": { read: ({ taskCount }) => String(taskCount), write: null },
    "pids.max": { read: ({ limits }) => limitText(limits.tasksMax), write: setTasksMax },
  },
  cpuacct: { "cpuacct.usage": { read: (...of) => String(Math.round(cpu(...of))), write: null } },
  memory: { "memory.usage_in_bytes": memory, "memory.limit_in_bytes": memoryLimit },
};

interface Answer {
  readonly value: string;
  readonly is_error?: true;
}

const wrong = (value: string): Answer => ({ value, is_error: true });

/** The file that `query` names, of the container whose id its path is. */
function find({ kernel }: Sandbox, query: Query): readonly [Container, ControlFile] | string {
  const file = query.struct("file");
  const controller = file.string("controller"), name = file.string("name"), path = file.string("path");
  const files = Object.hasOwn(FILES, controller) ? FILES[controller] : null;
  if (files === null) return `controller "${controller}" not found`;
  const container = path === "/" ? kernel.rootContainer : kernel.containers.get(path.replace(/^\/|\/$/g, ""));
  if (container === undefined || container === null) return `cgroup "${path}" not found`;
  return Object.hasOwn(files, name) ? [container, files[name]] : `control file "${name}" not found`;
}

function read(sandbox: Sandbox, query: Query): Answer {
  const found = find(sandbox, query);
  if (typeof found === "string") return wrong(found);
  const [container, file] = found;
  return { value: file.read(container, sandbox) };
}

function write(sandbox: Sandbox, query: Query): Answer {
  const found = find(sandbox, query);
  if (typeof found === "string") return wrong(found);
  const [container, file] = found;
  if (file.write === null) return wrong(`control file "${query.struct("file").string("name")}" is read-only`);
  const problem = file.write(container, query.string("value"));
  return problem === "" ? { value: "" } : wrong(problem);
}

/** Each of a batch is answered by itself. */
export const CGROUPS: Services = {
  "Cgroups.ReadControlFiles": (sandbox, query) => ({
    results: query.list("args").map((one) => read(sandbox, one)),
  }),
  "Cgroups.WriteControlFiles": (sandbox, query) => ({
    results: query.list("args").map((one) => write(sandbox, one)),
  }),
};
