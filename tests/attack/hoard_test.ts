// Guest programs that take without end what the kernel keeps for them (hoard.c): each meets an errno of Linux before the
// sentry's own memory is in danger, and what it took is there again for others.

import { deepEqual, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { sandboxOf, statusOf } from "../support/host_processes.ts";
import { command, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

/** Memory of the sandbox; a part of it may be the kernel's. */
const MEMORY_BYTES = 1 << 28;
/** What the sentry may have had at any time: some 80 MiB at the start, and its heap gives back late. */
const SENTRY_MIB_MAX = 800;

const EXPECTED: Readonly<Record<string, string>> = {
  "file": "ENOMEM",
  "generated": "ENOMEM",
  "epoll_of_one": "ENOMEM",
  "inotify_instance": "EMFILE",
  "pipe_full": "ENOMEM",
  "stream_full": "ENOBUFS",
  "datagrams_full": "ENOBUFS",
  "timer": "EAGAIN",
  "queued_signal": "EAGAIN",
  "memory_file": "ENOSPC",
  "memory_file_large": "ENOSPC",
  "small_file": "ENOSPC",
  "symbolic_link": "ENOSPC",
  "attribute": "ENOSPC",
  "deeper": "ENOSPC",
  "record_lock": "ENOLCK",
  "semaphores": "ENOMEM",
  "messages": "ENOMEM",
  "posix_queue": "EMFILE",
  "many_areas": "ENOMEM",
  "mounts": "ENOSPC",
  "namespaces": "ENOMEM",
};

for (const platform of PLATFORMS) {
  Deno.test(`the kernel's memory is bounded, whatever is hoarded, on ${platform}`, async () => {
    using bundle = new Bundle();
    const path = `${bundle.rootfs}/bin/hoard`;
    const built = await command([
      "gcc",
      "-O1",
      "-w",
      "-static",
      "-o",
      path,
      `${import.meta.dirname}/hoard.c`,
      "-lrt",
    ]);
    if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
    bundle.write("", (config) => {
      config.process.args = ["/bin/hoard"];
      config.linux.resources = { memory: { limit: MEMORY_BYTES } };
      for (const set of ["bounding", "effective", "permitted"]) {
        config.process.capabilities[set].push("CAP_SYS_ADMIN", "CAP_SYS_RESOURCE");
      }
    });
    const child = new Deno.Command(await tsvisorPath(), {
      // The host's cgroup would end it before our kernel's own account has shown what it holds.
      args: [
        `--platform=${platform}`,
        "--ignore-cgroups",
        "--root",
        bundle.state,
        "run",
        "--bundle",
        bundle.directory,
        "box",
      ],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    while (!text.includes("done\n")) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`It ended: ${text}`);
      text += value;
    }
    const sentry = (await sandboxOf(child.pid)).find((process) => process.role === "sentry")!;
    const peakMib = Math.round(parseInt(statusOf(`/proc/${sentry.pid}/status`)["VmHWM"]) / 1024);
    child.kill("SIGKILL");
    await reader.cancel();
    await child.stderr.cancel();
    await child.status;
    const expected = Object.entries(EXPECTED).map(([name, errno]) => `${name}: ${errno} after some`);
    deepEqual(text.trim().split("\n"), [...expected, "done"]);
    ok(peakMib < SENTRY_MIB_MAX, `the sentry had ${peakMib} MiB`);
  });
}
