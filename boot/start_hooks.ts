// Hooks startContainer: programs of the container, as its process would be, that run when it is started and before its init.
// Should one fail, the init does not run. Linux peers: runc's, which its init runs before execve.

import { errnoName } from "../kernel/abi/errno.ts";
import { SIGKILL } from "../kernel/abi/signal.ts";
import type { Container } from "../kernel/container.ts";
import { killGroup } from "../kernel/task/kill.ts";
import type { ThreadGroup } from "../kernel/task/thread_group.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import type { NativeHost } from "../native/host.ts";
import type { StartHook } from "./sentry_config.ts";
import type { Services } from "./services.ts";
import { StartError } from "./start_error.ts";

/** Of the sentry: nothing comes from it, and nothing that goes there is kept. */
const NOTHING = 1;

/** The hooks of one container, from the first to the last or to the one that fails. */
export class StartHooks implements Deadlined {
  deadline = 0;
  deadlineIndex = -1;
  readonly #services: Services;
  readonly #host: NativeHost;
  readonly #container: Container;
  readonly #hooks: readonly StartHook[];
  /** Called once: null, or why the container cannot start. */
  readonly #onEnd: (failure: StartError | null) => void;
  /** How many have succeeded. */
  #at = 0;
  /** The one that runs. */
  #group: ThreadGroup | null = null;
  #isLate = false;

  constructor(
    services: Services,
    host: NativeHost,
    container: Container,
    hooks: readonly StartHook[],
    onEnd: (failure: StartError | null) => void,
  ) {
    this.#services = services;
    this.#host = host;
    this.#container = container;
    this.#hooks = hooks;
    this.#onEnd = onEnd;
  }

  /** Runs the next, or tells the end. */
  next(): void {
    if (this.#at === this.#hooks.length) return this.#onEnd(null);
    const { process, input, timeoutSeconds } = this.#hooks[this.#at];
    const started = this.#services.execute(this.#container, process, this.#stdio(input));
    if (typeof started === "number") return this.#fail(errnoName(-started));
    if (started instanceof StartError) return this.#fail(started.message);
    const { kernel, pids } = this.#container;
    this.#group = started.threadGroup;
    if (timeoutSeconds > 0) {
      this.deadline = kernel.clock.monotonic() + timeoutSeconds * 1e9;
      kernel.deadlines.add(this);
    }
    const watched = this.#services.subcontainers.watchedOf(this.#container);
    watched.awaitEnd(started.pid.in(pids), (status) => this.#ended(status, timeoutSeconds));
  }

  onDeadline(_now: number): void {
    this.#isLate = true;
    if (this.#group !== null) killGroup(this.#group, SIGKILL);
  }

  #ended(status: number, timeoutSeconds: number): void {
    this.#container.kernel.deadlines.remove(this);
    this.#group = null;
    if (this.#isLate) return this.#fail(`it took longer than ${timeoutSeconds} s`);
    if ((status & 0x7f) !== 0) return this.#fail(`killed by signal ${status & 0x7f}`);
    if (status !== 0) return this.#fail(`exit status ${status >> 8}`);
    this.#at++;
    this.next();
  }

  #fail(reason: string): void {
    this.#onEnd(new StartError(`Hook ${this.#hooks[this.#at].name} failed: ${reason}`, 128));
  }

  #stdio(input: string): number[] {
    const stdin = this.#host.memfdCreate("tsvisor-hook", 0);
    const bytes = new TextEncoder().encode(input);
    if (stdin >= 0) this.#host.pwrite(stdin, bytes, 0, bytes.length, 0);
    return [stdin < 0 ? this.#host.dup(NOTHING) : stdin, this.#host.dup(NOTHING), this.#host.dup(NOTHING)];
  }
}
