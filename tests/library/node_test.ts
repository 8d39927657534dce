// The library as Node has it: the package is made, laid out as npm does it, and used by a program that Node runs.

import { equal } from "node:assert/strict";
import { pack } from "../../boot/npm_package.ts";
import { command, tsvisorPath } from "../support/tsvisor.ts";

Deno.test("library: as a package for Node", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-node-" });
  try {
    const place = `${directory}/node_modules/@tsvisor/tsvisor`;
    Deno.mkdirSync(place, { recursive: true });
    await pack(`${directory}/tsvisor.tgz`);
    const unpacked = await command([
      "tar",
      "xzf",
      `${directory}/tsvisor.tgz`,
      "--strip-components=1",
      "-C",
      place,
    ]);
    equal(unpacked.code, 0, unpacked.stderr);
    // Its types stand beside it.
    Deno.statSync(`${place}/mod.d.ts`);
    Deno.copyFileSync(`${import.meta.dirname}/node_program.mjs`, `${directory}/program.mjs`);
    const env = { TSVISOR: await tsvisorPath() };
    const { code, stdout, stderr } = await command(["node", `${directory}/program.mjs`], { env });
    equal(stdout, "hello from Linux\na\nb\nthrough a pipe\ntrue COMMAND_FAILED\n", stderr);
    equal(code, 0, stderr);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});
