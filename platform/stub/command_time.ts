// CPU time that stubs use for what the sentry tells them to do, while it waits for them. It counts as the sentry's own where steps
// of its loop are measured, since nobody is served meanwhile.

import type { StubCalls } from "../../native/stub.ts";

export class CommandTime {
  /** Somebody asks. */
  isCounted = false;
  readonly #calls: StubCalls;
  /** Of all commands so far, without what the sentry used itself as it waited for them. */
  #nanos = 0;
  #start = 0;

  constructor(calls: StubCalls) {
    this.#calls = calls;
  }

  /** Platform.busyNanos() */
  total(): number {
    this.isCounted = true;
    return this.#calls.tsv_usage_own_nanos() + this.#nanos;
  }

  /** A wait for process `pid` begins. */
  begin(pid: number): void {
    this.#start = this.#difference(pid);
  }

  /** Other threads of the process may have run as well: what is counted is what it can have cost at most. */
  end(pid: number): void {
    this.#nanos += Math.max(0, this.#difference(pid) - this.#start);
  }

  #difference(pid: number): number {
    return this.#calls.tsv_stub_cpu_nanos(pid) - this.#calls.tsv_usage_own_nanos();
  }
}
