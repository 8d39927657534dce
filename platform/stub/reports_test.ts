import { deepEqual, equal } from "node:assert/strict";
import { EAGAIN, EPIPE, ETIMEDOUT } from "../../kernel/abi/errno.ts";
import type { StubCalls } from "../../native/stub.ts";
import { Reports } from "./reports.ts";

const FIRST = 10, GUEST = 11;
/** As the first result: a clone(2) is let go while the sentry makes ready to halt who has asked for it. */
const LET_GO = 1;

/** Reports of a stub that answers `results` one after the other, and what is done to it meanwhile. */
function reportsOf(...results: number[]) {
  const notes: string[] = [];
  const isLetGo = results[0] === LET_GO && results.shift() === LET_GO;
  const next = () => results.shift() ?? 0;
  const calls = {
    tsv_stub_await: next,
    tsv_stub_clone: next,
    tsv_stub_cpu_nanos: () => 0,
    tsv_stub_waits: () => 0,
    tsv_stub_hold_clone: (slot: number) => (notes.push(`hold ${slot}`), isLetGo ? 0 : 1),
    tsv_stub_free_clone: (slot: number) => notes.push(`free ${slot}`),
    tsv_stub_halt: (pid: number) => notes.push(`halt ${pid}`),
  };
  const reports = new Reports(calls as unknown as StubCalls, (reason) => notes.push(reason));
  reports.firstPid = FIRST;
  const by = (pid: number) => ({ slot: 0, tid: pid, addressSpace: { socket: 3, pid } });
  return { reports, notes, by };
}

Deno.test("reports: a guest's stub that is late is halted, and given up when it has halted and not gone on", () => {
  const { reports, notes, by } = reportsOf(...new Array(20).fill(-ETIMEDOUT));
  equal(reports.wait(by(GUEST), 1, false), -ETIMEDOUT);
  deepEqual([notes[0], notes.at(-1)!.includes("has halted and not gone on")], [`halt ${GUEST}`, true]);
});

Deno.test("reports: the first stub is waited for as long as it lives, and never halted", () => {
  const late = new Array(50).fill(-EAGAIN).concat(new Array(200).fill(-ETIMEDOUT));
  const { reports, notes, by } = reportsOf(...late, 0, -ETIMEDOUT, -EPIPE);
  equal(reports.waitForClone(by(FIRST), 5), 0);
  equal(reports.wait(by(FIRST), 1, false), -EPIPE);
  deepEqual(notes, []);
});

Deno.test("reports: a clone is not let go while its stub is halted, and a stub whose clone was let go is not halted", () => {
  const waiting = reportsOf(-EAGAIN, -EAGAIN, 0);
  equal(waiting.reports.waitForClone(waiting.by(GUEST), 5), 0);
  deepEqual(waiting.notes, ["hold 0", `halt ${GUEST}`, "free 0"]);
  const cloning = reportsOf(LET_GO, -EAGAIN, -EAGAIN, 0);
  equal(cloning.reports.waitForClone(cloning.by(GUEST), 5), 0);
  deepEqual(cloning.notes, ["hold 0"]);
});
