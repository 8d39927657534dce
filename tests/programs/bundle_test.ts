// An OCI bundle with nothing but a static busybox: `run` mounts /proc, /dev and the rest, and busybox sh does its script.

import { deepEqual, equal, match } from "node:assert/strict";
import { PLATFORMS, tsvisor } from "../support/tsvisor.ts";
import { defaultSpec } from "../../boot/oci/default_spec.ts";

const SCRIPT = `
set -e
mkdir -p /tmp/work; cd /tmp/work
busybox --list | wc -l
echo "in $(pwd) as $(id -u) on $(hostname)"
mount | awk '{print $3}' | sort | tr '\\n' ' '; echo
ls /; ls /dev | grep -cE '^(null|zero|full|random|urandom|tty|ptmx|pts|shm|fd|stdin|stdout|stderr)$'
{ echo a > /nosuch; } 2>/dev/null || echo "root is read-only"
seq 100 | sort -rn | head -n 1 > out; cat out; rm out
(sleep 0.1; echo later) & wait
trap 'echo trapped' USR1; kill -USR1 $$
cat <<END | tr a-z A-Z
here-document $((6 * 7))
END
mkfifo fifo; (echo through > fifo) & cat fifo; wait
ps | awk 'NR > 1 {print $1}' | head -n 1
dd if=/dev/urandom of=/dev/shm/r bs=1k count=64 2>/dev/null; stat -c %s /dev/shm/r
exit 17
`;

for (const platform of PLATFORMS) {
  Deno.test(`busybox in an empty root, on ${platform}`, async () => {
    const bundle = Deno.makeTempDirSync({ prefix: "tsvisor-bundle-" });
    try {
      Deno.mkdirSync(`${bundle}/rootfs/bin`, { recursive: true });
      Deno.copyFileSync("/usr/bin/busybox", `${bundle}/rootfs/bin/busybox`);
      for (const name of ["dev", "proc", "sys", "tmp"]) Deno.mkdirSync(`${bundle}/rootfs/${name}`);
      const spec = defaultSpec(["/bin/busybox", "sh", "-c", SCRIPT]) as any;
      spec.process.terminal = false;
      spec.process.env = ["PATH=/bin"];
      spec.hostname = "bundled";
      spec.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
      Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(spec));
      const state = `${bundle}/state`;
      const done = await tsvisor([
        ...["--root", state, `--platform=${platform}`],
        ...["run", "--bundle", bundle, `busybox-${platform}`],
      ]);
      const lines = done.stdout.trimEnd().split("\n");
      equal(done.stderr, "");
      match(lines[0], /^[23]\d\d$/);
      equal(lines[1], "in /tmp/work as 0 on bundled");
      for (const mount of ["/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/sys", "/tmp"]) {
        match(` ${lines[2]}`, new RegExp(` ${mount} `));
      }
      deepEqual(lines.slice(3), [
        ...["bin", "dev", "proc", "sys", "tmp", "13", "root is read-only", "100", "later", "trapped"],
        ...["HERE-DOCUMENT 42", "through", "1", "65536"],
      ]);
      equal(done.code, 17);
      deepEqual([...Deno.readDirSync(`${bundle}/rootfs`)].map((entry) => entry.name).sort(), [
        ...["bin", "dev", "proc", "sys", "tmp"],
      ]);
    } finally {
      Deno.removeSync(bundle, { recursive: true });
    }
  });
}
