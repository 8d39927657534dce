// An ordinary user without any right of root's: a sandbox in a user namespace, without a cgroup where the host gives it none.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { command, delay, type Finished, forEverybody } from "../support/tsvisor.ts";

/** Of nobody on this host. */
const USER = "4325";

Deno.test("an ordinary user: do, run, run --detach, exec, ps, events, update, kill, delete", async (test) => {
  await forEverybody(async (path) => await asUser(test, path));
});

async function asUser(test: Deno.TestContext, path: string): Promise<void> {
  using bundle = new Bundle();
  const { directory } = bundle;
  const as = ["setpriv", `--reuid=${USER}`, `--regid=${USER}`, "--clear-groups", "--"];
  const env = { HOME: directory, XDG_RUNTIME_DIR: directory };
  const call = async (...args: string[]): Promise<Finished> =>
    await command([...as, path, "--rootless=true", ...args], { env, cwd: directory });
  bundle.write("id -u; exec sleep 1000", ({ linux }) => linux.resources = { memory: { limit: 1 << 28 } });
  await command(["chown", "-R", `${USER}:${USER}`, directory]);
  await test.step("do", async () => {
    const { code, stdout } = await call("do", "--cwd", "/", "--", "/bin/sh", "-c", "id -u; exit 3");
    deepEqual([code, stdout], [3, `${USER}\n`]);
  });
  await test.step("a container in the background, without a cgroup", async () => {
    const words = [...as, path, `--log=${directory}/log`, "run", "--detach", "--bundle", directory, "box"];
    const script = `exec "$@" >${directory}/output 2>&1 </dev/null`;
    const { code } = await command(["sh", "-c", script, "sh", ...words], { env, cwd: directory });
    equal(code, 0, Deno.readTextFileSync(`${directory}/output`));
    while (Deno.readTextFileSync(`${directory}/output`) === "") await delay(20);
    equal(Deno.readTextFileSync(`${directory}/output`), "0\n");
    const { cgroup } = JSON.parse(Deno.readTextFileSync(`${directory}/tsvisor/box.json`));
    const said = Deno.readTextFileSync(`${directory}/log`).match(/No cgroup for the sandbox/g) ?? [];
    // Some hosts delegate a cgroup to users.
    equal(said.length, cgroup === undefined ? 1 : 0);
  });
  await test.step("exec, ps, events, update", async () => {
    const inside = await call("exec", "box", "/bin/sh", "-c", "id -u; exit 4");
    deepEqual([inside.code, inside.stdout], [4, "0\n"]);
    match((await call("ps", "box")).stdout, /\bsleep\n$/);
    equal((await call("update", "--pids-limit", "33", "box")).code, 0);
    equal(JSON.parse((await call("events", "--stats", "box")).stdout).data.pids.limit, 33);
  });
  await test.step("kill, delete", async () => {
    equal((await call("kill", "box", "KILL")).code, 0);
    while (!(await call("state", "box")).stdout.includes('"stopped"')) await delay(20);
    equal((await call("delete", "box")).code, 0);
    equal((await call("list", "--quiet")).stdout, "");
  });
  await test.step("run", async () => {
    bundle.write("echo out; exit 5");
    const { code, stdout, stderr } = await call("run", "--bundle", directory, "box");
    deepEqual([code, stdout], [5, "out\n"], stderr);
    ok(![...Deno.readDirSync(`${directory}/tsvisor`)].some(({ name }) => name.startsWith("box")));
  });
}
