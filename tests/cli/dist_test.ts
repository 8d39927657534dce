// dist/ works from anywhere: another directory, an empty environment, a link, another place.

import assert from "node:assert/strict";
import { command, tsvisorPath } from "../support/tsvisor.ts";

const ECHO = ["do", "--", "/bin/echo", "hello"];

async function saysHello(argv: readonly string[], cwd?: string): Promise<void> {
  const { code, stdout, stderr } = await command([...argv, ...ECHO], { cwd });
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "hello\n", stderr: "" });
}

Deno.test("dist/tsvisor works with an empty environment", async () => {
  await saysHello(["/usr/bin/env", "-i", await tsvisorPath()]);
});

Deno.test("dist/tsvisor works through a link, by a relative path and from PATH", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-dist-" });
  try {
    const path = await tsvisorPath();
    Deno.symlinkSync(path, `${directory}/tsvisor-link`);
    await saysHello([`${directory}/tsvisor-link`]);
    await saysHello(["./tsvisor-link"], directory);
    await saysHello(["/bin/sh", "-c", 'PATH="$0:$PATH"; exec tsvisor-link "$@"', directory]);
    await saysHello(["./dist/tsvisor"], `${import.meta.dirname}/../..`);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("dist/ works where it is moved to as a whole, the first time and later", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-dist-" });
  try {
    const from = (await tsvisorPath()).replace(/\/tsvisor$/, "");
    const { code, stderr } = await command(["cp", "-r", from, `${directory}/moved here`]);
    assert.equal(code, 0, stderr);
    for (let i = 0; i < 3; i++) await saysHello([`${directory}/moved here/tsvisor`], "/");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("the guest sees the caller's environment, nothing of the launcher's", async () => {
  const argv = [
    "/usr/bin/env",
    "-i",
    "A=1",
    "DENO_DIR=/nowhere",
    await tsvisorPath(),
    "do",
    "--env=A",
    "--env=DENO_DIR",
    "--env=TSVISOR_NATIVE",
    "--",
    "/usr/bin/env",
  ];
  const { stdout } = await command(argv);
  const names = stdout.trimEnd().split("\n").filter((line) => !/^(PWD|SHLVL|_|OLDPWD)=/.test(line)).sort();
  assert.deepEqual(names, ["A=1", "DENO_DIR=/nowhere"]);
});

Deno.test("a caller without root can use it, from a place that only root may write to", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-dist-" });
  try {
    Deno.chmodSync(directory, 0o755);
    const from = (await tsvisorPath()).replace(/\/tsvisor$/, "");
    await command(["cp", "-r", from, `${directory}/dist`]);
    const other = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (let i = 0; i < 2; i++) await saysHello([...other, `${directory}/dist/tsvisor`], "/");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
