// Root's gofer has capabilities in a user namespace of its own only: it serves files of all owners all the same.

import { deepEqual, equal } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { command } from "../support/tsvisor.ts";

/** Of another user, of the largest id there is, and of a user beyond 16 bits. */
const OWNERS = [1234, 4294967294, 70000];

Deno.test("run: files of all owners are read, changed, given away and removed, with setuid bits and devices", async () => {
  using bundle = new Bundle();
  const source = `${bundle.directory}/source`;
  Deno.mkdirSync(source);
  for (const owner of OWNERS) {
    Deno.mkdirSync(`${source}/${owner}`);
    Deno.writeTextFileSync(`${source}/${owner}/secret`, `${owner}`, { mode: 0o600 });
    Deno.chownSync(`${source}/${owner}/secret`, owner, owner);
    Deno.chownSync(`${source}/${owner}`, owner, owner);
    Deno.chmodSync(`${source}/${owner}`, 0o700);
  }
  equal((await command(["mknod", `${source}/null`, "c", "1", "3"])).code, 0);
  const script = OWNERS.flatMap((owner) => [
    `cat /mnt/${owner}/secret; echo`,
    `echo more >>/mnt/${owner}/secret; chmod 4755 /mnt/${owner}/secret`,
    `echo new >/mnt/${owner}/given; chown ${owner}:${owner} /mnt/${owner}/given; chmod 6711 /mnt/${owner}/given`,
    `mkdir /mnt/${owner}/gone; rmdir /mnt/${owner}/gone; chown 5:6 /mnt/${owner}`,
  ]);
  const { stdout, stderr, code } = await bundle.script(
    [...script, "stat -c '%F %t %T' /mnt/null", "mkfifo /mnt/fifo; chown 7:8 /mnt/fifo"].join("\n"),
    (config) => {
      config.mounts.push({ destination: "/mnt", type: "bind", source, options: ["rbind", "rw"] });
      for (const set of ["bounding", "effective", "permitted"]) {
        config.process.capabilities[set].push("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID");
      }
    },
  );
  deepEqual([code, stderr], [0, ""]);
  equal(stdout, `${OWNERS.join("\n")}\ncharacter special file 1 3\n`);
  const seen = (path: string) => {
    const { uid, gid, mode } = Deno.lstatSync(path);
    return [uid, gid, (mode! & 0o7777).toString(8)];
  };
  for (const owner of OWNERS) {
    deepEqual(seen(`${source}/${owner}/secret`), [owner, owner, "4755"]);
    deepEqual(seen(`${source}/${owner}/given`), [owner, owner, "6711"]);
    deepEqual(seen(`${source}/${owner}`).slice(0, 2), [5, 6]);
    equal(Deno.readTextFileSync(`${source}/${owner}/secret`), `${owner}more\n`);
  }
  deepEqual(seen(`${source}/fifo`).slice(0, 2), [7, 8]);
});
