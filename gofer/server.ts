// The gofer's server: opens what it is to serve, then leaves it to the workers of native/src/gofer/server.rs. They are native,
// as a host call may take for ever and a thread of the runtime that is stuck in one could serve nobody else.

import { errnoName } from "../kernel/abi/errno.ts";
import { type GoferCalls, loadGoferCalls } from "../native/gofer_host.ts";

/** A host directory (or file) to serve, by its path. */
export interface GoferMount {
  readonly path: string;
  readonly isReadOnly: boolean;
  /** With the host's mounts below it. */
  readonly isRecursive: boolean;
}

export class GoferServer {
  readonly #calls: GoferCalls = loadGoferCalls();
  /** Of the native server. */
  number = -1;

  /** Opens the next mount, numbered from 0, or takes it as `tree` that the command line has opened (-1 = it has not). */
  open(mount: GoferMount, tree = -1): void {
    const bytes = new TextEncoder().encode(`${mount.path}\0`);
    const result = this.#calls.tsv_gofer_root(
      tree,
      bytes,
      mount.isRecursive ? 1 : 0,
      mount.isReadOnly ? 1 : 0,
    );
    if (result < 0) throw new Error(`Cannot open ${mount.path}: ${errnoName(-result)}`);
  }

  /** Makes the workers, with the rights that this process has now. They serve the sentry that connects over `socket`. */
  start(socket: number): void {
    this.number = this.#calls.tsv_gofer_start(socket);
    if (this.number < 0) throw new Error(`Cannot start to serve: ${errnoName(-this.number)}`);
  }

  /** Returns when the sentry is gone. */
  serve(): void {
    this.#calls.tsv_gofer_serve(this.number);
  }
}
