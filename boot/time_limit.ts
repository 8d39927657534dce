// A container that may run for so long and no longer, whatever it does: --timeout of `do`.

import type { Container } from "../kernel/container.ts";
import type { Deadlined } from "../kernel/util/deadline_heap.ts";
import { LATE_CODE } from "./sentry_config.ts";

export class TimeLimit implements Deadlined {
  readonly deadline: number;
  deadlineIndex = -1;
  readonly #container: Container;
  readonly #seconds: number;

  /** From now on. */
  constructor(container: Container, seconds: number) {
    this.#container = container;
    this.#seconds = seconds;
    this.deadline = container.kernel.clock.monotonic() + seconds * 1e9;
  }

  onDeadline(): void {
    this.#container.kernel.notice(`Time limit reached: ${this.#seconds} s; the program is killed`);
    this.#container.end(LATE_CODE << 8);
  }
}
