// The README's example of a bundle, as a reader types it.

import assert from "node:assert/strict";
import { command, tsvisor } from "../support/tsvisor.ts";

Deno.test("spec and run: a bundle of busybox alone, its root read-only and without mount points", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-readme-" });
  try {
    const bundle = `${directory}/bundle`;
    Deno.mkdirSync(`${bundle}/rootfs/bin`, { recursive: true });
    Deno.copyFileSync("/bin/busybox", `${bundle}/rootfs/bin/sh`);
    const script = "echo in a container; echo x > /file || echo read-only; exit 7";
    const spec = await tsvisor(["spec", "--bundle", bundle, "sh", "-c", script]);
    assert.equal(spec.code, 0, spec.stderr);
    const config = JSON.parse(Deno.readTextFileSync(`${bundle}/config.json`));
    config.process.terminal = false;
    assert.equal(config.root.readonly, true);
    Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(config));
    const root = `${directory}/state`;
    const { code, stdout, stderr } = await tsvisor(["--root", root, "run", "--bundle", bundle, "readme"]);
    assert.equal(stdout, "in a container\nread-only\n", stderr);
    assert.equal(code, 7);
    assert.deepEqual([...Deno.readDirSync(`${bundle}/rootfs`)].map((entry) => entry.name), ["bin"]);
    assert.deepEqual([...Deno.readDirSync(root)], []);
    const again = await tsvisor(["spec", "--bundle", bundle]);
    assert.deepEqual([again.code, again.stderr], [
      128,
      `tsvisor: Cannot write ${bundle}/config.json: it exists\n`,
    ]);
    await command(["rm", "-r", root]);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
