// Where the sentry waits for the host, whichever platform runs: watched descriptors, and the hang-ups of stubs' sockets.

import { HOST_EVENT_WORDS, type HostLoopMemory, startHostLoop } from "../../native/host_loop.ts";
import type { PlatformEvents } from "../platform.ts";

/** High word of the cookie of a stub's socket. */
const COOKIE_STUB = 1;

export class HostLoop {
  readonly #memory: HostLoopMemory = startHostLoop();
  /** Called with the cookie of a stub's socket that has hung up, until that is closed. */
  readonly #onHangUp: (cookie: number) => void;

  constructor(onHangUp: (cookie: number) => void) {
    this.#onHangUp = onHangUp;
  }

  /** Platform.watch(). */
  watch(hostFd: number, events: number, cookie: number): number {
    return this.#memory.calls.tsv_host_watch(hostFd, events, cookie);
  }

  /** Sleeps until `deadline` (0 = does not), a descriptor or the doorbell: how many are ready, for take(). */
  sleep(deadline: number): number {
    return this.#memory.calls.tsv_host_sleep(deadline);
  }

  /** Enters the `count` descriptors that are ready into `into`. */
  take(count: number, into: PlatformEvents): void {
    into.hostFdCount = 0;
    const words = this.#memory.events;
    for (let at = 0; at < count * HOST_EVENT_WORDS; at += HOST_EVENT_WORDS) {
      if (words[at + 1] === COOKIE_STUB) {
        this.#onHangUp(words[at]);
      } else {
        into.hostFdCookies[into.hostFdCount] = words[at];
        into.hostFdEvents[into.hostFdCount++] = words[at + 2];
      }
    }
  }
}
