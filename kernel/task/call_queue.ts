// Calls that wait for things of which each is for one of them: messages, jobs. Who adds one wakes one call, or a crowd of a
// thousand would wake for every message, for one of them to take it. Linux: pipelined_send() of ipc/msg.c and ipc/mqueue.c.

import { type Waiter, WaitQueue } from "../util/wait_queue.ts";
import type { CallInFlight } from "./call_in_flight.ts";
import type { WaitState } from "./wait_state.ts";

/** Only calls may join it. */
export class CallQueue extends WaitQueue {
  /** Wakes the call that has waited longest of those for `events` that want it and have not been woken yet. */
  wakeOne(events: number, wants: (state: WaitState) => boolean = wantsAll): void {
    for (let waiter = this.first; waiter !== null; waiter = waiter.next) {
      const call = waiter.listener as CallInFlight;
      if (call.isWoken || (waiter.mask & events) === 0 || !wants(call.state)) continue;
      call.wake();
      return;
    }
  }

  /** What a call has been woken for is another's when its task ends before it has come to take it. */
  override remove(waiter: Waiter): void {
    const call = waiter.listener as CallInFlight;
    const isLost = waiter.queue === this && call.isWoken && call.task.hasExited;
    super.remove(waiter);
    if (isLost) this.notify(waiter.mask);
  }
}

function wantsAll(): boolean {
  return true;
}
