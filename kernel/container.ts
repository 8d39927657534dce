// A container: what was started together and ends together. It has an init, namespaces, a root and what serves it, stdio or
// a console, limits and an exit status. A kernel has one or several (a pod); the root one, the first, takes the sandbox with
// it. boot/container.ts starts one.

import type { Kernel } from "./kernel.ts";
import type { BpfProgram } from "./task/bpf.ts";
import type { PidNamespace, TaskNamespaces } from "./task/namespaces.ts";
import type { ProcessGroup } from "./task/process_group.ts";
import type { Task } from "./task/task.ts";
import type { ThreadGroup } from "./task/thread_group.ts";
import type { HostConsole } from "./tty/host_console.ts";
import type { Terminal } from "./tty/terminal.ts";
import type { Filesystem } from "./vfs/filesystem.ts";
import type { MountNamespace } from "./vfs/mount.ts";

/** `update` changes them. */
export interface ContainerLimits {
  /** Live tasks; clone answers EAGAIN beyond. */
  tasksMax: number;
}

/** A container's gofer: the trees of host files that it serves, the root's first. */
export interface ContainerGofer {
  readonly mounts: readonly Filesystem[];
  /** Nothing is asked any more: gives back the connection, and the gofer ends. */
  release(): void;
}

export class Container {
  readonly kernel: Kernel;
  readonly id: string;
  /** Replaced as a whole when somebody changes one. */
  limits: ContainerLimits;
  /** Those that its init begins with, held until release(); it may share some with other containers of the pod. */
  readonly namespaces: TaskNamespaces;
  readonly gofer: ContainerGofer;
  /** Set when it is born. Its end is the container's. */
  init: ThreadGroup | null = null;
  /** Wait status of its init, -1 while it runs. */
  exitStatus = -1;
  /** Tasks that are not dead, those of nested PID namespaces too. */
  taskCount = 0;
  /** /dev/console; null = it has none, its stdio are descriptors of the host. */
  terminal: Terminal | null = null;
  /** What copies the terminal to and from the host. */
  hostConsole: HostConsole | null = null;
  /** Foreground process group of the host terminal that stdio may be; null = the caller's own. */
  foregroundGroup: ProcessGroup | null = null;
  /** Its init is ready and waits for the word to run: it has been made, not started. */
  isHeld = false;
  /** No guest instruction of it runs, however long that is; calls that have begun may end. See task/freeze.ts. */
  isPaused = false;
  /** Its tasks that would go back to guest code but for the pause. */
  readonly frozen: Task[] = [];
  /** What all its processes begin with as a filter of calls; null = none. */
  seccomp: BpfProgram | null = null;
  /** Called when its init has ended and all others of it; the root's is the sandbox's end instead. */
  onEnd: (container: Container) => void = () => {};
  #isReleased = false;

  constructor(
    kernel: Kernel,
    id: string,
    limits: ContainerLimits,
    namespaces: TaskNamespaces,
    gofer: ContainerGofer,
  ) {
    this.kernel = kernel;
    this.id = id;
    this.limits = limits;
    this.namespaces = namespaces;
    this.gofer = gofer;
    namespaces.hold();
  }

  /** Where its init is process 1, unless it shares it; the root's is the kernel's root namespace. */
  get pids(): PidNamespace {
    return this.namespaces.pidForChildren;
  }

  get mounts(): MountNamespace {
    return this.namespaces.mount;
  }

  get isRoot(): boolean {
    return this.kernel.rootContainer === this;
  }

  /** Its first process, or whichever of its threads leads it now. */
  get initTask(): Task | null {
    return this.init === null ? null : this.init.leader;
  }

  /** Its init has ended, or it cannot go on: `status` in wait(2) form. The first status counts. */
  end(status: number): void {
    if (this.exitStatus >= 0) return;
    this.exitStatus = status;
    if (this.isRoot) this.kernel.exitStatus = status;
    else this.onEnd(this);
  }

  /** Gives back what it holds, once none of its tasks is left. Its last output has been drained; its status stays known. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.hostConsole?.release();
    this.namespaces.drop();
    this.gofer.release();
  }

  /** As release(); and nobody finds it any more. */
  forget(): void {
    this.release();
    if (this.kernel.containers.get(this.id) === this) this.kernel.containers.delete(this.id);
  }
}
