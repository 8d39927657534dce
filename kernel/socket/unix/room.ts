// What the Unix sockets of one kernel share: kernel.unix.

import type { Budget } from "../../util/kernel_memory.ts";
import { SpareMessages } from "./message_queue.ts";
import { RightsInFlight } from "./rights.ts";

export class UnixRoom {
  /** What messages count in. */
  readonly heap: Budget;
  readonly rights = new RightsInFlight();
  readonly spares = new SpareMessages();
  /** The last name that autobind has tried. */
  lastAutobind = 0;

  constructor(heap: Budget) {
    this.heap = heap;
  }
}
