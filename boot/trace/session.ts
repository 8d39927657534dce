// A trace session: which points are watched, what is said of each, and the sinks that hear of it. gVisor's seccheck. While there
// is none a guest pays nothing: calls are heard through CallHooks, births and ends through Kernel.life.

import type { Container } from "../../kernel/container.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { SyscallTable } from "../../kernel/syscalls/dispatch.ts";
import { SYSCALLS_MAX } from "../../kernel/syscalls/table.ts";
import { NO_RESULT } from "../../kernel/task/call_in_flight.ts";
import type { CallListener } from "../../kernel/task/call_hooks.ts";
import type { LifeListener } from "../../kernel/task/life_listener.ts";
import type { Task } from "../../kernel/task/task.ts";
import type { ThreadGroup } from "../../kernel/task/thread_group.ts";
import { byteStringToUtf8 } from "../../kernel/util/bytes.ts";
import { pathName } from "../../kernel/vfs/path.ts";
import { CONTEXT_FIELDS, type ContextField, MESSAGE, type MessageType } from "./messages.ts";
import { type CallPoint, findCallPoint, SENTRY_POINTS, type SentryPoint } from "./points.ts";
import type { Sink } from "./sinks.ts";

/** A point as a session's configuration has it. */
export interface PointConfig {
  readonly name: string;
  readonly optional_fields: readonly string[];
  readonly context_fields: readonly string[];
}

/** A point that is watched. */
interface Watched {
  readonly name: string;
  readonly optional: ReadonlySet<string>;
  readonly context: readonly ContextField[];
}

interface WatchedCall extends Watched {
  readonly point: CallPoint;
}

const STRINGS_BYTES_MAX = 64 * 1024;

export class TraceSession implements CallListener, LifeListener {
  readonly #kernel: Kernel;
  readonly #sinks: readonly Sink[];
  /** By call number; several points of one call are sent one after the other. */
  readonly #entries = new Map<number, WatchedCall[]>();
  readonly #exits = new Map<number, WatchedCall[]>();
  readonly #watched = new Map<SentryPoint, Watched>();

  /** Throws where a point or a field of it is unknown, unless `ignoresMissing`. It begins with start(). */
  constructor(
    kernel: Kernel,
    table: SyscallTable,
    points: readonly PointConfig[],
    sinks: readonly Sink[],
    ignoresMissing: boolean,
  ) {
    this.#kernel = kernel;
    this.#sinks = sinks;
    const numberOf = (call: string) => table.specs.findIndex((named) => named?.name === call);
    for (const config of points) this.#add(config, numberOf, ignoresMissing);
  }

  #add(config: PointConfig, numberOf: (call: string) => number, ignoresMissing: boolean): void {
    const { name } = config;
    if (Object.hasOwn(SENTRY_POINTS, name)) {
      const point = name as SentryPoint;
      this.#watched.set(point, watchedOf(config, SENTRY_POINTS[point], ignoresMissing));
      return;
    }
    const found = findCallPoint(name, numberOf);
    if (found === null || found.number < 0) {
      if (ignoresMissing) return;
      throw new Error(`point "${name}" not found`);
    }
    const list = found.isEntry ? this.#entries : this.#exits;
    const watched = { ...watchedOf(config, found.point.optional, ignoresMissing), point: found.point };
    list.set(found.number, [...list.get(found.number) ?? [], watched]);
  }

  start(): void {
    const wants = (number: number) => this.#entries.has(number) || this.#exits.has(number);
    if (this.#entries.size + this.#exits.size > 0) this.#kernel.callHooks.listen(this, wants);
    this.#kernel.life = this;
  }

  stop(): void {
    this.#kernel.callHooks.silence(this);
    if (this.#kernel.life === this) this.#kernel.life = null;
    for (const sink of this.#sinks) sink.stop();
  }

  onEnter(task: Task): void {
    const list = this.#entries.get(Math.min(task.call.number, SYSCALLS_MAX));
    if (list !== undefined) { for (const one of list) this.#call(one, task, null); }
  }

  onExit(task: Task, result: number): void {
    const list = this.#exits.get(Math.min(task.call.number, SYSCALLS_MAX));
    if (list !== undefined) { for (const one of list) this.#call(one, task, result); }
  }

  #call(watched: WatchedCall, task: Task, result: number | null): void {
    const { point, optional } = watched;
    // After execve(2) its arguments are gone with the old program.
    const isGone = task.hasExited || result === NO_RESULT && point.type === MESSAGE.SYSCALL_EXECVE;
    this.#tell(watched, point.type, task, {
      ...(result === null ? {} : { exit: exitOf(result) }),
      sysno: task.call.number,
      ...(isGone ? {} : point.read(task, optional)),
    });
  }

  onContainerStart(container: Container): void {
    const watched = this.#watched.get("container/start"), task = container.initTask;
    if (watched === undefined || task === null) return;
    const { mm, fs } = task;
    this.#tell(watched, MESSAGE.CONTAINER_START, task, {
      id: container.id,
      cwd: byteStringToUtf8(pathName(fs.cwd, fs.root)),
      args: strings(task, mm.argStart, mm.argEnd),
      ...(watched.optional.has("env") ? { env: strings(task, mm.envStart, mm.envEnd) } : {}),
      terminal: container.terminal !== null,
    });
  }

  onClone(task: Task, child: Task, flags: number): void {
    const watched = this.#watched.get("sentry/clone");
    if (watched === undefined) return;
    this.#tell(watched, MESSAGE.SENTRY_CLONE, task, {
      created_thread_id: child.tid,
      created_thread_group_id: child.threadGroup.tgid,
      created_thread_start_time_ns: this.#wallClock(child.startNanos),
      flags,
    });
  }

  onExec(task: Task): void {
    const watched = this.#watched.get("sentry/execve");
    if (watched === undefined) return;
    const { mm, fs } = task, { exe } = mm;
    const path = exe === null || exe.path === null ? "" : byteStringToUtf8(pathName(exe.path, fs.root));
    const binary = exe === null || !watched.optional.has("binary_info")
      ? {}
      : { binary_mode: exe.inode.mode, binary_uid: exe.inode.uid, binary_gid: exe.inode.gid };
    this.#tell(watched, MESSAGE.SENTRY_EXEC, task, {
      binary_path: path,
      argv: strings(task, mm.argStart, mm.argEnd),
      ...(watched.optional.has("env") ? { env: strings(task, mm.envStart, mm.envEnd) } : {}),
      ...binary,
    });
  }

  onTaskExit(task: Task): void {
    const watched = this.#watched.get("sentry/task_exit");
    if (watched !== undefined) {
      this.#tell(watched, MESSAGE.SENTRY_TASK_EXIT, task, { exit_status: task.exitStatus });
    }
  }

  onExitNotifyParent(group: ThreadGroup): void {
    const watched = this.#watched.get("sentry/exit_notify_parent");
    if (watched !== undefined) {
      this.#tell(watched, MESSAGE.SENTRY_EXIT_NOTIFY_PARENT, group.leader, { exit_status: group.exitStatus });
    }
  }

  #tell(watched: Watched, type: MessageType, task: Task, values: Record<string, unknown>): void {
    const context = watched.context.length === 0
      ? {}
      : { context_data: this.#context(task, watched.context) };
    for (const sink of this.#sinks) sink.write(watched.name, type, { ...context, ...values });
  }

  #context(task: Task, fields: readonly ContextField[]): Record<string, unknown> {
    const context: Record<string, unknown> = {};
    for (const field of fields) context[CONTEXT_FIELDS[field]] = this.#contextField(task, field);
    return context;
  }

  #contextField(task: Task, field: ContextField): unknown {
    const group = task.threadGroup;
    switch (field) {
      case "time":
        return this.#wallClock(this.#kernel.clock.monotonic());
      case "thread_id":
        return task.tid;
      case "task_start_time":
        return this.#wallClock(task.startNanos);
      case "group_id":
        return group.tgid;
      case "thread_group_start_time":
        return this.#wallClock(group.startNanos);
      case "container_id":
        return group.container.id;
      case "credentials": {
        const { uid, euid, suid, gid, egid, sgid } = task.credentials;
        return {
          ...{ real_uid: uid, effective_uid: euid, saved_uid: suid },
          ...{ real_gid: gid, effective_gid: egid, saved_gid: sgid },
        };
      }
      case "cwd":
        return task.hasExited ? "" : byteStringToUtf8(pathName(task.fs.cwd, task.fs.root));
      case "process_name":
        return byteStringToUtf8(task.name);
      case "parent_thread_group_id":
        return group.parent === null ? 0 : group.parent.tgid;
      default:
        return field satisfies never;
    }
  }

  /** Nanoseconds since 1970 of a monotonic time; they are beyond what a number holds exactly, by some 200 of them. */
  #wallClock(monotonic: number): number {
    const { clock } = this.#kernel;
    const seconds = clock.realtime();
    return seconds * 1e9 + clock.nanoseconds - (clock.monotonic() - monotonic);
  }
}

function watchedOf(
  { name, optional_fields, context_fields }: PointConfig,
  optional: readonly string[],
  ignoresMissing: boolean,
): Watched {
  const isKnown = (field: string, fields: readonly string[], kind: string) => {
    if (fields.includes(field)) return true;
    if (ignoresMissing) return false;
    throw new Error(`configuring point "${name}": ${kind} field "${field}" not found`);
  };
  const contexts = Object.keys(CONTEXT_FIELDS);
  return {
    name,
    optional: new Set(optional_fields.filter((field) => isKnown(field, optional, "optional"))),
    context: context_fields.filter((field): field is ContextField => isKnown(field, contexts, "context")),
  };
}

/** Result and errno as a caller of the C library sees them. */
function exitOf(result: number): { result: number; errorno: number } {
  if (result === NO_RESULT) return { result: 0, errorno: 0 };
  return result < 0 && result >= -4095 ? { result: -1, errorno: -result } : { result, errorno: 0 };
}

function strings(task: Task, start: number, end: number): string[] {
  const bytes = new Uint8Array(Math.max(0, Math.min(end - start, STRINGS_BYTES_MAX)));
  const n = Math.max(0, task.mm.space.read(start, bytes, 0, bytes.length));
  const list = new TextDecoder().decode(bytes.subarray(0, n)).split("\0");
  if (list.at(-1) === "") list.pop();
  return list;
}
