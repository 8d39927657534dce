// Large reads and writes on a directory of the host that is mounted shared: the guest program of that name gives the same
// there as on the host itself, and what it has written is there.

import { equal } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { AS_IN_A_SANDBOX, command, PLATFORMS } from "../support/tsvisor.ts";

const SOURCE = `${import.meta.dirname}/../guest/transfer.c`;

Deno.test("large transfers on a shared mount", async (t) => {
  using bundle = new Bundle();
  const host = `${bundle.directory}/host`, sandbox = `${bundle.directory}/sandbox`;
  Deno.mkdirSync(host);
  const program = `${bundle.rootfs}/bin/transfer`;
  const built = await command(["gcc", "-O1", "-static", "-pthread", "-o", program, SOURCE]);
  if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
  const native = await command([...AS_IN_A_SANDBOX, program, host]);
  equal(native.code, 0, native.stderr);
  for (const platform of PLATFORMS) {
    await t.step(`on ${platform}`, async () => {
      Deno.mkdirSync(sandbox);
      bundle.write("exec transfer /shared", ({ mounts, process }) => {
        mounts.push({ destination: "/shared", type: "bind", source: sandbox, options: ["rbind", "rw"] });
        process.env.push("PATH=/bin");
      });
      const { code, stdout, stderr } = await bundle.run([`--platform=${platform}`]);
      equal(stderr, "");
      equal(code, 0);
      equal(stdout, native.stdout.replaceAll(host, "/shared"));
      equal(await content(sandbox), await content(host));
      Deno.removeSync(sandbox, { recursive: true });
    });
  }
});

/** Names and checksums of the files in the one directory below `path`. */
async function content(path: string): Promise<string> {
  const { stdout } = await command(["sh", "-c", `cd ${path}/*/ && sha256sum *`]);
  return stdout;
}
