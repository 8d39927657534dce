// The host's cgroup of a sandbox: where it lies, what is in it, that it goes with the container. A host that lets nobody have
// one is told of in one line (boot/cgroup/ has tests for other hosts).

import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { Cgroup } from "../../boot/cgroup/cgroup.ts";
import { Bundle } from "../support/bundle.ts";
import { canHaveCgroups, cgroupOf, numberOf, pathsOf } from "../support/cgroups.ts";
import { childrenOf, isAlive } from "../support/host_processes.ts";
import { command, delay, tsvisorPath } from "../support/tsvisor.ts";

/** A path of its own below a cgroup of the test's, so that tests do not meet. */
function ownPath(): string {
  return `/tsvisor-test-${crypto.randomUUID()}`;
}

interface State {
  readonly pid: number;
  readonly status: string;
}

async function stateOf(bundle: Bundle): Promise<State> {
  const { stdout } = await bundle.tsvisor(["state", "box"]);
  return JSON.parse(stdout) as State;
}

/** Starts "box" in the background. */
async function started(bundle: Bundle, flags: readonly string[] = []): Promise<Cgroup> {
  const { code, stderr } = await bundle.inBackground([
    ...flags,
    "run",
    "--detach",
    "--bundle",
    bundle.directory,
    "box",
  ]);
  equal(code, 0, stderr);
  return cgroupOf(bundle.state, "box")!;
}

Deno.test("cgroup: all processes of a sandbox are in the one that config.json names, with its limits", async () => {
  if (!canHaveCgroups()) return;
  using bundle = new Bundle();
  const path = ownPath();
  bundle.write("sleep 1000", ({ linux }) => {
    linux.cgroupsPath = `${path}/inner`;
    linux.resources = {
      memory: { limit: 1 << 28 },
      pids: { limit: 20 },
      cpu: { quota: 50_000, period: 100_000 },
    };
  });
  const cgroup = await started(bundle);
  try {
    for (const place of cgroup.record.places) ok(place.path.endsWith(`${path}/inner`), place.path);
    const { pid } = await stateOf(bundle);
    const roles = childrenOf(pid);
    const expected = [pid, ...roles, ...roles.flatMap(childrenOf)].sort();
    for (const process of expected) ok(cgroup.processes().includes(process), `${process} is outside`);
    equal(numberOf(cgroup, "memory", "memory.limit_in_bytes", "memory.max"), 1 << 28);
    // Our own processes and threads come on top.
    equal(numberOf(cgroup, "pids", "pids.max", "pids.max"), 20 + 128);
    equal(cgroup.read("cpu", cgroup.version === 1 ? "cpu.cfs_quota_us" : "cpu.max")!.split(" ")[0], "50000");
  } finally {
    await bundle.tsvisor(["delete", "--force", "box"]);
    for (const { path } of cgroup.record.places) await command(["rmdir", path.slice(0, -"/inner".length)]);
  }
  deepEqual(pathsOf(cgroup), []);
});

Deno.test("cgroup: a container that runs attached has one until its end", async () => {
  if (!canHaveCgroups()) return;
  using bundle = new Bundle();
  const path = ownPath();
  bundle.write("cat", ({ linux }) => linux.cgroupsPath = path);
  const child = new Deno.Command(await tsvisorPath(), {
    args: ["--root", bundle.state, "run", "--bundle", bundle.directory, "box"],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let cgroup: Cgroup | null = null;
  while (cgroup === null || cgroup.processes().length < 3) {
    await delay(20);
    try {
      cgroup = cgroupOf(bundle.state, "box");
    } catch {
      // There is no record yet.
    }
  }
  await child.stdin.close();
  equal((await child.status).code, 0);
  deepEqual(pathsOf(cgroup), []);
});

Deno.test("cgroup: it goes with `delete`, whichever process was killed before", async (test) => {
  if (!canHaveCgroups()) return;
  for (const victim of ["attendant", "sentry", "gofer"]) {
    await test.step(victim, async () => {
      using bundle = new Bundle();
      bundle.write("sleep 1000", ({ linux }) => linux.cgroupsPath = ownPath());
      const cgroup = await started(bundle);
      const { pid } = await stateOf(bundle);
      const record = JSON.parse(Deno.readTextFileSync(`${bundle.state}/box.json`));
      const gofer = childrenOf(pid).find((child) => child !== record.pid)!;
      Deno.kill(victim === "attendant" ? pid : victim === "sentry" ? record.pid : gofer, "SIGKILL");
      while (isAlive(record.pid)) await delay(10);
      equal((await bundle.tsvisor(["delete", "--force", "box"])).code, 0);
      deepEqual(pathsOf(cgroup), []);
    });
  }
});

Deno.test("cgroup: one that was there is used and left; one in use is refused", async () => {
  if (!canHaveCgroups()) return;
  using bundle = new Bundle();
  bundle.write("sleep 1000", ({ linux }) => linux.cgroupsPath = ownPath());
  const cgroup = await started(bundle);
  using second = new Bundle();
  const { linux } = JSON.parse(Deno.readTextFileSync(`${bundle.directory}/config.json`));
  second.write("true", (config) => config.linux.cgroupsPath = linux.cgroupsPath);
  try {
    const refused = await second.run();
    equal(refused.code, 128);
    match(refused.stderr, /^tsvisor: linux\.cgroupsPath: \/\S+ is in use, \d+ processes are in it\n$/);
    equal((await second.tsvisor(["list", "--quiet"])).stdout, "");
  } finally {
    await bundle.tsvisor(["delete", "--force", "box"]);
  }
  deepEqual(pathsOf(cgroup), []);
  for (const { path } of cgroup.record.places) Deno.mkdirSync(path);
  try {
    if (cgroup.version === 1) {
      const cpuset = cgroup.record.places.find(({ controllers }) => controllers.includes("cpuset"))!.path;
      const parent = cpuset.slice(0, cpuset.lastIndexOf("/"));
      for (const file of ["cpuset.cpus", "cpuset.mems"]) {
        Deno.writeTextFileSync(`${cpuset}/${file}`, Deno.readTextFileSync(`${parent}/${file}`).trim());
      }
    }
    equal((await second.run()).code, 0);
    equal(pathsOf(cgroup).length, cgroup.record.places.length);
  } finally {
    for (const { path } of cgroup.record.places) Deno.removeSync(path);
  }
});

Deno.test("cgroup: containers of one id in two state directories have one each", async () => {
  if (!canHaveCgroups()) return;
  using one = new Bundle();
  using two = new Bundle();
  for (const bundle of [one, two]) bundle.write("sleep 1000");
  try {
    const cgroups = await Promise.all([one, two].map((bundle) => started(bundle)));
    const [first, second] = cgroups.map((cgroup) => cgroup.record.places.map(({ path }) => path));
    deepEqual(first.filter((path) => second.includes(path)), []);
    for (const bundle of [one, two]) equal((await bundle.tsvisor(["delete", "--force", "box"])).code, 0);
    deepEqual(cgroups.flatMap(pathsOf), []);
  } finally {
    for (const bundle of [one, two]) await bundle.tsvisor(["delete", "--force", "box"]);
  }
});

Deno.test("cgroup: what the host cannot hold is one line that names field and value, and nothing stays", async () => {
  if (!canHaveCgroups()) return;
  using bundle = new Bundle();
  const { code, stderr } = await bundle.script(
    "true",
    ({ linux }) => linux.resources = { cpu: { cpus: "4095" } },
  );
  equal(code, 128);
  match(
    stderr,
    /^tsvisor: linux\.resources\.cpu\.cpus: the host does not set cpuset\.cpus to "4095": \S.*\n$/,
  );
  equal((await bundle.tsvisor(["list", "--quiet"])).stdout, "");
});

/** Runs its arguments where the host has cgroup v2 alone: this one's hierarchy of v2, which has few controllers beside v1's. */
const ON_V2 = [
  ...["unshare", "--mount", "sh", "-c"],
  'umount -R /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup || exit 77; exec "$@"',
  "sh",
];
const EXIT_CANNOT_MOUNT = 77;

Deno.test("cgroup: on v2 the processes are in it too, and a controller that is not handed down is told of", async () => {
  using bundle = new Bundle();
  const path = await tsvisorPath();
  bundle.write("sleep 1000", ({ linux }) => linux.cgroupsPath = ownPath());
  const words = ["--root", bundle.state, "run", "--detach", "--bundle", bundle.directory, "box"];
  const script = `exec "$@" >${bundle.directory}/output 2>&1 </dev/null`;
  const { code } = await command([...ON_V2, "sh", "-c", script, "sh", path, ...words]);
  // A container of CI may not.
  if (code === EXIT_CANNOT_MOUNT) return;
  equal(code, 0, Deno.readTextFileSync(`${bundle.directory}/output`));
  try {
    const record = JSON.parse(Deno.readTextFileSync(`${bundle.state}/box.json`));
    equal(record.cgroup.version, 2);
    const own = record.cgroup.places[0].path.slice("/sys/fs/cgroup".length);
    for (const pid of [record.runner.pid, record.pid, ...childrenOf(record.pid)]) {
      match(Deno.readTextFileSync(`/proc/${pid}/cgroup`), new RegExp(`^0::${own}$`, "m"));
    }
  } finally {
    await command([...ON_V2, path, "--root", bundle.state, "delete", "--force", "box"]);
  }
  bundle.write("echo fine", ({ linux }) => linux.resources = { memory: { limit: 1 << 28 } });
  const short = await command([...ON_V2, path, ...words.filter((word) => word !== "--detach")]);
  deepEqual([short.code, short.stdout], [0, "fine\n"]);
  const said = /^(tsvisor: No cgroup for the sandbox \(linux\.resources\.memory\.limit: .*\n)?$/;
  match(short.stderr, said);
});

Deno.test("cgroup: --ignore-cgroups makes none, and our kernel's own limits hold", async () => {
  using bundle = new Bundle();
  bundle.write("sleep 1000", ({ linux }) => linux.resources = { pids: { limit: 20 } });
  const { code } = await bundle.inBackground([
    "--ignore-cgroups",
    "run",
    "-d",
    "--bundle",
    bundle.directory,
    "box",
  ]);
  equal(code, 0);
  equal(cgroupOf(bundle.state, "box"), null);
  await bundle.tsvisor(["delete", "--force", "box"]);
});

Deno.test("update: other limits on the host and in our kernel, which `events --stats` shows", async () => {
  if (!canHaveCgroups()) return;
  using bundle = new Bundle();
  bundle.write("sleep 1000", ({ linux }) => {
    linux.cgroupsPath = ownPath();
    linux.resources = { memory: { limit: 1 << 28 }, pids: { limit: 20 } };
  });
  const cgroup = await started(bundle);
  const statistics = async () => {
    const { stdout } = await bundle.tsvisor(["events", "--stats", "box"]);
    const { type, id, data } = JSON.parse(stdout);
    deepEqual([type, id], ["stats", "box"]);
    ok(data.cpu.usage.total > 0 && data.memory.usage.usage > 0, stdout);
    return [data.memory.usage.limit, data.pids.limit];
  };
  try {
    deepEqual(await statistics(), [1 << 28, 20]);
    const flags = ["--memory", "128m", "--pids-limit", "30", "--cpu-quota", "50000"];
    equal((await bundle.tsvisor(["update", ...flags, "box"])).code, 0);
    deepEqual(await statistics(), [1 << 27, 30]);
    equal(cgroup.read("cpu", cgroup.version === 1 ? "cpu.cfs_quota_us" : "cpu.max")!.split(" ")[0], "50000");
    const document = JSON.stringify({ memory: { limit: 1 << 29 }, pids: { limit: 300 }, blockIO: null });
    const byFile = await bundle.tsvisor(["update", "--resources", "-", "box"], { stdin: document });
    deepEqual([byFile.code, byFile.stderr], [0, ""]);
    deepEqual(await statistics(), [1 << 29, 300]);
    equal(numberOf(cgroup, "pids", "pids.max", "pids.max"), 300 + 128);
    for (
      const [words, reason] of [
        [["--memory", "much"], /^tsvisor: --memory: "much" is not a size in bytes\n$/],
        [["--l3-cache-schema", "x"], /^tsvisor: --l3-cache-schema: refused/],
        [[], /^tsvisor: Nothing to update/],
        [
          ["--cpuset-cpus", "4095"],
          /^tsvisor: linux\.resources\.cpu\.cpus: the host does not set cpuset\.cpus to "4095"/,
        ],
      ] as const
    ) {
      const { code, stderr } = await bundle.tsvisor(["update", ...words, "box"]);
      equal(code, 128);
      match(stderr, reason);
    }
  } finally {
    await bundle.tsvisor(["delete", "--force", "box"]);
  }
});

Deno.test("cgroup: --systemd-cgroup wants slice:prefix:name, and a systemd", async () => {
  using bundle = new Bundle();
  bundle.write("true", ({ linux }) => linux.cgroupsPath = "/a/b");
  const named = await bundle.run(["--systemd-cgroup"]);
  equal(named.code, 128);
  match(
    named.stderr,
    /^tsvisor: linux\.cgroupsPath: "\/a\/b" is not slice:prefix:name, as --systemd-cgroup asks for\n$/,
  );
});
