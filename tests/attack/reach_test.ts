// Guest code that makes the host calls of its stub (reach.c): which it reaches, with arguments of its choice, and that the
// descriptors that pass through a stub are not its own.

import { deepEqual, equal, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { sandboxOf } from "../support/host_processes.ts";
import { command, PLATFORMS, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

const HERE = `${import.meta.dirname}/`;
const directory = Deno.makeTempDirSync({ prefix: "tsvisor-reach-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

/** With --stub-calls=own: they change the process itself, and nothing else. */
const OWN = [
  "mmap",
  "munmap",
  "mprotect",
  "mprotect of the stub",
  "mremap",
  "madvise",
  "mincore",
  "msync",
  "close",
  "dup2",
  "rseq",
  "membarrier",
  "clock_gettime",
  "sigaltstack",
  "prctl",
];
/** Neither way. */
const NEVER = [
  "mmap of a descriptor",
  "recvmsg",
  "clone of a process",
  "clone of a thread",
  "pread64",
  "pwrite64",
];

async function compile(more: readonly string[] = [], path = `${directory}/reach`): Promise<string> {
  const flags = [...more, "-O1", "-Wall", "-Werror", "-mfsgsbase", "-pthread"];
  const done = await command(["gcc", ...flags, "-o", path, `${HERE}reach.c`]);
  if (done.code !== 0) throw new Error(`gcc: ${done.stderr}`);
  return path;
}

const program = compile();

/** Names of the calls by which a guest got something, and of all that it tried. */
async function reach(flags: readonly string[]): Promise<{ gained: string[]; tried: string[] }> {
  const { stdout, code } = await tsvisor([...flags, "do", "--", await program, "calls"], {
    timeoutMillis: 300_000,
  });
  equal(code, 0, stdout);
  return resultsOf(stdout);
}

function resultsOf(stdout: string): { gained: string[]; tried: string[] } {
  const results = [...stdout.matchAll(/^(.*): ([01])$/gm)];
  return {
    gained: results.filter(([, , result]) => result === "1").map(([, name]) => name),
    tried: results.map(([, name]) => name).sort(),
  };
}

Deno.test("reach: with --stub-calls=none guest code reaches no call of its stub", async () => {
  const { gained, tried } = await reach(["--platform=systrap", "--stub-calls=none"]);
  deepEqual(tried, [...OWN, ...NEVER].sort());
  deepEqual(gained, []);
});

Deno.test("reach: a bundle's annotation takes the calls away as the flag does", async () => {
  using bundle = new Bundle();
  await compile(["-static"], `${bundle.rootfs}/bin/reach`);
  bundle.write("", (config) => {
    config.process.args = ["/bin/reach", "calls"];
    config.annotations = { "dev.tsvisor.flag.stub-calls": "none" };
  });
  const { stdout, stderr, code } = await bundle.run(["--platform=systrap"]);
  equal(stderr, "");
  equal(code, 0);
  const { gained, tried } = resultsOf(stdout);
  deepEqual(tried, [...OWN, ...NEVER].sort());
  deepEqual(gained, []);
});

Deno.test("reach: else guest code reaches calls on its own process, and no descriptor, process or thread", async () => {
  const { gained, tried } = await reach(["--platform=systrap"]);
  deepEqual(tried, [...OWN, ...NEVER].sort());
  deepEqual(gained.filter((name) => !OWN.includes(name)), []);
});

Deno.test("reach: on ptrace guest code reaches no call of the host", async () => {
  const { gained, tried } = await reach(["--platform=ptrace"]);
  deepEqual(tried, [...OWN, ...NEVER].sort());
  deepEqual(gained, []);
});

for (const platform of PLATFORMS) {
  Deno.test(`reach: a second thread does not catch the descriptor of a file that is mapped for reading, on ${platform}`, async () => {
    for (const place of ["/tmp/victim", "/dev/shm/victim"]) {
      const argv = [`--platform=${platform}`, "do", "--", await program, "steal", place, "enemy"];
      const { stdout } = await tsvisor(argv, { timeoutMillis: 300_000 });
      equal(stdout, "unchanged\n", place);
    }
  });
}

/** How long the sentry is watched, and how much of that it may run: one that spins takes all it can get. */
const WATCHED_MILLIS = 2000, BUSY_MILLIS_MAX = 400;

for (const platform of PLATFORMS) {
  Deno.test(`reach: a state that no stub writes does not keep the sentry busy, on ${platform}`, async () => {
    const child = new Deno.Command(await tsvisorPath(), {
      args: [`--platform=${platform}`, "do", "--", await program, "unknown_state"],
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let text = ""; !text.includes("asleep");) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`It ended: ${text}`);
        text += value;
      }
      const sentry = (await sandboxOf(child.pid)).find((process) => process.role === "sentry")!;
      await pause(WATCHED_MILLIS);
      const before = cpuMillis(sentry.pid);
      await pause(WATCHED_MILLIS);
      const busy = cpuMillis(sentry.pid) - before;
      ok(busy < BUSY_MILLIS_MAX, `${busy} ms of ${WATCHED_MILLIS}`);
    } finally {
      child.kill("SIGKILL");
      await reader.cancel();
      await child.status;
    }
  });
}

function pause(millis: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, millis));
}

/** CPU time of the main thread of process `pid`, which is the sentry's loop. */
function cpuMillis(pid: number): number {
  return Number(Deno.readTextFileSync(`/proc/${pid}/schedstat`).split(" ")[0]) / 1e6;
}
