// Containers of a pod besides the root one: made while the sandbox runs, each with a gofer, a root and stdio of its own, and
// ended without the sandbox. Their statuses stay known until they are destroyed, or one of the same name is made.

import type { Container } from "../kernel/container.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { killContainer } from "../kernel/task/exit.ts";
import { resumeContainer } from "../kernel/task/freeze.ts";
import { errnoName } from "../kernel/abi/errno.ts";
import type { NativeHost } from "../native/host.ts";
import { connectToGofer, discard, startContainer } from "./container.ts";
import type { ContainerConfig } from "./sentry_config.ts";
import { StartError } from "./start_error.ts";
import { ownPassed, ownStdio } from "./stdio.ts";
import { WatchedProcesses } from "./watched_process.ts";

/** Containers of a sandbox, and those of them that have ended and are still known. */
const CONTAINERS_MAX = 1024;
const ENDED_MAX = 64;
const RESERVED_MAX = 64;
/** Its gofer serves already: nothing has to be opened, and nobody else is served meanwhile. */
const GOFER_MILLIS_MAX = 2000;

/** Descriptors of a new container, which are taken over. */
export interface SubcontainerParts {
  readonly stdio: readonly number[];
  /** The socket to its gofer. */
  readonly gofer: number;
  /** What its init gets from 3 on. */
  readonly passed: readonly number[];
}

export class Subcontainers {
  readonly #kernel: Kernel;
  readonly #host: NativeHost;
  readonly #watched = new WeakMap<Container, WatchedProcesses>();

  /** Ids that are taken and have no container yet, with the host's terminal that it is to have; -1 = none. */
  readonly #reserved = new Map<string, number>();

  constructor(kernel: Kernel, host: NativeHost) {
    this.#kernel = kernel;
    this.#host = host;
  }

  get reserved(): ReadonlyMap<string, number> {
    return this.#reserved;
  }

  /** Takes id and terminal; false, and the terminal is closed, where too many are taken. */
  reserve(id: string, terminal: number): boolean {
    const isFull = this.#reserved.size >= RESERVED_MAX;
    if (!isFull) this.#reserved.set(id, terminal);
    else if (terminal >= 0) this.#host.close(terminal);
    return !isFull;
  }

  /** False where it was not taken. */
  unreserve(id: string): boolean {
    const terminal = this.#reserved.get(id);
    if (terminal === undefined) return false;
    if (terminal >= 0) this.#host.close(terminal);
    return this.#reserved.delete(id);
  }

  /** Processes of `container`, the root one too, whose ends somebody wants to know. */
  watchedOf(container: Container): WatchedProcesses {
    let watched = this.#watched.get(container);
    if (watched === undefined) this.#watched.set(container, watched = new WatchedProcesses(container));
    return watched;
  }

  /** Makes one; its init runs at once unless it is to be held. */
  make(config: ContainerConfig, { stdio, gofer, passed }: SubcontainerParts): Container | StartError {
    const kernel = this.#kernel;
    const refuse = (reason: string) => {
      for (const fd of [...stdio, gofer, ...passed]) this.#host.close(fd);
      return new StartError(`Cannot start container ${config.id}: ${reason}`, 128);
    };
    if (kernel.containers.size >= CONTAINERS_MAX) return refuse("the sandbox has too many");
    const thread = kernel.platform.createAddressSpace();
    if (typeof thread === "number") return refuse(errnoName(-thread));
    const descriptors = [...ownStdio(kernel, stdio), ...ownPassed(kernel, passed)];
    try {
      const served = connected(() => connectToGofer(kernel, config, gofer, GOFER_MILLIS_MAX));
      if (served instanceof StartError) {
        discard({ thread, stdio: descriptors, gofer: { mounts: [], release() {} } });
        return served;
      }
      const container = startContainer(kernel, config, { thread, stdio: descriptors, gofer: served });
      const watched = this.watchedOf(container);
      // From now on, so that it sees the end.
      watched.find(0);
      container.onEnd = () => {
        resumeContainer(container);
        watched.awaitEnd(0, () => container.release());
      };
      this.#forgetOldest();
      return container;
    } catch (error) {
      if (error instanceof StartError) return error;
      kernel.log(`Container ${config.id}: ${error instanceof Error ? error.stack : error}`);
      return new StartError(`Cannot start container ${config.id}: ${(error as Error).message}`, 128);
    }
  }

  /** Kills what runs of it. `onGone` is called when nothing of it is left; then nobody finds it any more. */
  destroy(container: Container, onGone: () => void = () => {}): void {
    this.end(container);
    this.watchedOf(container).awaitEnd(0, () => {
      container.forget();
      onGone();
    });
  }

  /** Kills what runs of it. */
  end(container: Container): void {
    if (container.exitStatus >= 0) return;
    resumeContainer(container);
    killContainer(container);
  }

  #forgetOldest(): void {
    const ended = [...this.#kernel.containers.values()].filter((one) => !one.isRoot && one.exitStatus >= 0);
    for (const container of ended.slice(0, Math.max(0, ended.length - ENDED_MAX))) container.forget();
  }
}

function connected<T>(connect: () => T): T | StartError {
  try {
    return connect();
  } catch (error) {
    if (error instanceof StartError) return error;
    throw error;
  }
}
