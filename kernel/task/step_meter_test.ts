import { deepEqual } from "node:assert/strict";
import { type LongStep, StepMeter } from "./step_meter.ts";

Deno.test("step meter: a long step is told with its call, many short ones as a turn, and waiting is neither", () => {
  let now = 0;
  const told: LongStep[] = [];
  const meter = new StepMeter(5, () => now, (step) => told.push(step));
  const turn = (...steps: [tid: number, number: number, nanos: number][]) => {
    meter.endWait();
    for (const [tid, number, nanos] of steps) {
      meter.serve(tid, number);
      now += nanos;
    }
    meter.turn();
    meter.beginWait();
    // What is used while it waits is nobody's.
    now += 100;
    return told.splice(0);
  };
  meter.beginWait();
  deepEqual(turn([7, 9, 3], [8, 10, 2]), []);
  // Besides its calls a turn takes the events, and lets tasks go on.
  deepEqual(turn([7, 9, 2], [8, 10, 4]), [{ nanos: 6, steps: 4, tid: 8, number: 10 }]);
  deepEqual(turn([7, 9, 6], [8, 10, 1]), [{ nanos: 6, steps: 1, tid: 7, number: 9 }]);
  deepEqual(turn([7, 9, 1], [0, 0, 7]), [{ nanos: 7, steps: 1, tid: 0, number: 0 }]);
});
