// Directories of the host that are bound into a container: files made there are as on the host, whatever the umask of who
// starts tsvisor, and what hangs on the host holds up nobody else.

import { deepEqual, equal } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { AS_IN_A_SANDBOX, command, PLATFORMS } from "../support/tsvisor.ts";

const GUEST = new URL("../guest/", import.meta.url).pathname;

/** Compiles a guest program without shared libraries. */
async function compile(name: string, into: string): Promise<void> {
  const { code, stderr } = await command([
    "gcc",
    "-static",
    "-O1",
    "-w",
    "-pthread",
    "-o",
    into,
    `${GUEST}${name}.c`,
  ]);
  if (code !== 0) throw new Error(`gcc: ${stderr}`);
}

for (const platform of PLATFORMS) {
  Deno.test(`bind mount: files come out as on the host, on ${platform}`, async () => {
    using bundle = new Bundle();
    await compile("made_files", `${bundle.rootfs}/bin/made_files`);
    for (const name of ["host", "bound"]) Deno.mkdirSync(`${bundle.directory}/${name}`);
    const inside = `cd ${bundle.directory}/host && exec ${bundle.rootfs}/bin/made_files`;
    const native = await command([...AS_IN_A_SANDBOX, "/bin/sh", "-c", inside]);
    equal(native.code, 0, native.stderr);
    bundle.write("cd /bound && exec made_files", (config) => {
      const capabilities = [
        "CAP_CHOWN",
        "CAP_FOWNER",
        "CAP_FSETID",
        "CAP_DAC_OVERRIDE",
        "CAP_DAC_READ_SEARCH",
      ];
      for (const set of ["bounding", "effective", "permitted"]) {
        config.process.capabilities[set] = capabilities;
      }
      const source = `${bundle.directory}/bound`;
      config.mounts.push({ destination: "/bound", type: "bind", source, options: ["rbind", "rw"] });
    });
    const umask = Deno.umask(0o077);
    const running = bundle.run([`--platform=${platform}`]);
    Deno.umask(umask);
    const { code, stdout, stderr } = await running;
    equal(code, 0, stderr);
    deepEqual(stdout.split("\n"), native.stdout.split("\n"));
  });
}
