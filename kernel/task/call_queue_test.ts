import { deepEqual, equal } from "node:assert/strict";
import { POLLIN, POLLOUT } from "../abi/file.ts";
import { Waiter } from "../util/wait_queue.ts";
import type { CallInFlight } from "./call_in_flight.ts";
import { CallQueue } from "./call_queue.ts";
import type { WaitState } from "./wait_state.ts";

/** As much of a call as a queue sees, in the queue for `events`. */
class Call {
  isWoken = false;
  readonly task = { hasExited: false };
  readonly state: WaitState;
  readonly waiter: Waiter;

  constructor(queue: CallQueue, id: number, events = POLLIN) {
    this.state = { kind: "system v", id };
    this.waiter = new Waiter(this as unknown as CallInFlight);
    queue.add(this.waiter, events);
  }
  wake(): void {
    this.isWoken = true;
  }
  onReady(): void {
    this.wake();
  }
}

Deno.test("a message wakes the first call that wants it, the next message the next", () => {
  const queue = new CallQueue();
  const calls = [1, 2, 1, 1].map((id) => new Call(queue, id));
  const sender = new Call(queue, 1, POLLOUT);
  const wantsOnes = (state: WaitState) => state.kind === "system v" && state.id === 1;
  queue.wakeOne(POLLIN, wantsOnes);
  queue.wakeOne(POLLIN, wantsOnes);
  deepEqual(calls.map((call) => call.isWoken), [true, false, true, false]);
  queue.wakeOne(POLLIN);
  deepEqual(calls.map((call) => call.isWoken), [true, true, true, false]);
  equal(sender.isWoken, false);
});

Deno.test("what a call was woken for goes to others when its task ends first", () => {
  const queue = new CallQueue();
  const [first, second] = [new Call(queue, 1), new Call(queue, 1)];
  queue.wakeOne(POLLIN);
  // It goes on: nobody else is told.
  queue.remove(first.waiter);
  equal(second.isWoken, false);
  first.isWoken = false;
  queue.add(first.waiter, POLLIN);
  queue.wakeOne(POLLIN);
  second.task.hasExited = true;
  queue.remove(second.waiter);
  equal(first.isWoken, true);
});
