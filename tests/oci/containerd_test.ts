// containerd drives tsvisor through its stock shim for runc. TSVISOR_REPEATS=N repeats lives more often.

import { deepEqual, equal, match } from "node:assert/strict";
import { Containerd } from "../support/containerd.ts";
import { drive } from "../support/terminal.ts";

const REPEATS = Number(Deno.env.get("TSVISOR_REPEATS") ?? 2);
const AT_ONCE = 8;
const SERVICE = ["/bin/sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"];

/** Everything that `ctr` does with a container in the background. */
async function live(containerd: Containerd, id: string): Promise<void> {
  const own = await containerd.runWords(["--rm"], `${id}-ends`, [
    "/bin/sh",
    "-c",
    "echo out; read x; exit 7",
  ]);
  const ended = await containerd.converse(own, "out\n");
  deepEqual(ended, { code: 7, stdout: "out\n", stderr: "" });
  const started = await containerd.run(["--detach"], id, SERVICE);
  equal(started.code, 0, started.stderr);
  const exec = ["tasks", "exec", "--exec-id", "e", id, "/bin/sh", "-c", "echo in; read x; exit 4"];
  const inside = await containerd.converse(exec, "in\n");
  deepEqual(inside, { code: 4, stdout: "in\n", stderr: "" });
  await containerd.reaches(id, "RUNNING");
  await containerd.must("tasks", "pause", id);
  await containerd.reaches(id, "PAUSED");
  await containerd.must("tasks", "resume", id);
  match(await containerd.must("tasks", "ps", id), /^PID +INFO\n1 /);
  await containerd.must("tasks", "kill", "--signal", "TERM", id);
  await containerd.reaches(id, "STOPPED");
  match((await containerd.call(["tasks", "delete", id])).stderr, /exit code 3/);
  await containerd.must("containers", "delete", id);
}

Deno.test(`containerd: ${REPEATS} lives in a row, and ${AT_ONCE} at once`, async () => {
  await using containerd = new Containerd();
  await containerd.start();
  await containerd.makeImage();
  for (let n = 0; n < REPEATS; n++) await live(containerd, `row-${Deno.pid}-${n}`);
  await Promise.all(Array.from({ length: AT_ONCE }, (_, n) => live(containerd, `once-${Deno.pid}-${n}`)));
  equal(await containerd.must("containers", "ls", "-q"), "");
  deepEqual(await containerd.traces(), []);
});

Deno.test("containerd: a terminal of a task and of a process in it", async () => {
  await using containerd = new Containerd();
  await containerd.start();
  await containerd.makeImage();
  // The shim keeps the state of all containerds of a host in one place.
  const stays = `stays-${Deno.pid}`;
  const own = await containerd.runWords(["--rm", "-t"], `talks-${Deno.pid}`, ["/bin/sh"]);
  const { status } = await drive(containerd.words(own), [
    ["send", "test -t 0 && echo is $((6 * 7))\n"],
    ["expect", "is 42"],
    ["send", "exit 6\n"],
  ]);
  equal(status, 6);
  equal((await containerd.run(["--detach"], stays, SERVICE)).code, 0);
  const exec = ["tasks", "exec", "-t", "--exec-id", "e", stays, "/bin/sh"];
  const inside = await drive(containerd.words(exec), [
    ["send", "test -t 0 && echo is $((6 * 7))\n"],
    ["expect", "is 42"],
    ["send", "exit 5\n"],
  ]);
  equal(inside.status, 5);
  await containerd.must("tasks", "delete", "--force", stays);
  await containerd.must("containers", "delete", stays);
  deepEqual(await containerd.traces(), []);
});
