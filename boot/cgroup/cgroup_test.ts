import { deepEqual, equal, throws } from "node:assert/strict";
import { FakeCgroups } from "../../tests/support/fake_cgroups.ts";
import type { Resources } from "../oci/resources.ts";
import { Cgroup, CgroupExists, hostHierarchies, NoCgroup } from "./cgroup.ts";
import { removalFrom, removalOf } from "./removal.ts";

const ALL = ["cpuset", "cpu", "memory", "pids", "io"];
const RESOURCES: Resources = {
  memory: { limit: 64 << 20, swap: 128 << 20, reservation: 32 << 20 },
  cpu: { shares: 1024, quota: 50_000, cpus: "0-1" },
  pids: { limit: 20 },
};

function planned(host: FakeCgroups, path = "/a/b", id = "box"): Cgroup {
  return Cgroup.planned(hostHierarchies(host), path, id, host);
}

Deno.test("v2: controllers are handed down to the cgroup, limits are set, processes join", () => {
  const host = new FakeCgroups(2, ALL);
  const cgroup = planned(host);
  cgroup.make(false);
  equal(host.files.get("/cg/cgroup.subtree_control"), ALL.join(" "));
  equal(host.files.get("/cg/a/cgroup.subtree_control"), ALL.join(" "));
  cgroup.limit(RESOURCES);
  deepEqual(
    ["memory.max", "memory.low", "memory.swap.max", "cpu.max", "cpu.weight", "cpuset.cpus", "pids.max"].map((
      name,
    ) => cgroup.read("memory", name)),
    ["67108864", "33554432", "67108864", "50000 100000", "39", "0-1", "148"],
  );
  cgroup.join([7, 8]);
  equal(cgroup.read("memory", "cgroup.procs"), "7\n8");
  deepEqual(cgroup.processes(), [7, 8]);
});

Deno.test("v2: what is not asked for stays as it is when limits are changed", () => {
  const host = new FakeCgroups(2, ALL);
  const cgroup = planned(host);
  cgroup.make(false);
  cgroup.limit({ cpu: { quota: 20_000, period: 50_000 } });
  cgroup.limit({ cpu: { quota: 10_000 } });
  equal(cgroup.read("cpu", "cpu.max"), "10000 50000");
  cgroup.limit({ cpu: { quota: -1 } });
  equal(cgroup.read("cpu", "cpu.max"), "max 50000");
  cgroup.limit({ memory: { limit: -1 }, pids: { limit: -1 } });
  deepEqual([cgroup.read("memory", "memory.max"), cgroup.read("pids", "pids.max")], ["max", "max"]);
});

Deno.test("v2: fields without a file there are named, unified ones are written as they are", () => {
  const host = new FakeCgroups(2, ALL);
  const cgroup = planned(host);
  cgroup.make(false);
  deepEqual(cgroup.missing({ memory: { swappiness: 10 }, cpu: { realtimePeriod: 5 }, devices: [] }), [
    "linux.resources.memory.swappiness",
    "linux.resources.cpu.realtimePeriod",
  ]);
  cgroup.limit({ unified: { "memory.high": "1000000" } });
  equal(cgroup.read("memory", "memory.high"), "1000000");
  throws(
    () => cgroup.limit({ unified: { "memory.nothing": "1" } }),
    /^Error: linux\.resources\.unified\.memory\.nothing: the host's memory cgroup has no memory\.nothing$/,
  );
});

Deno.test("v2: a controller that the host does not hand down is missed when it is asked for", () => {
  const host = new FakeCgroups(2, ["memory"]);
  const cgroup = planned(host);
  cgroup.make(false);
  cgroup.limit({ memory: { limit: 1 << 20 } });
  throws(
    () => cgroup.limit({ pids: { limit: 5 } }),
    /^Error: linux\.resources\.pids\.limit: the host's pids cgroup has no pids\.max$/,
  );
});

Deno.test("v1: a directory in each hierarchy, cpusets inherit before a process joins", () => {
  const host = new FakeCgroups(1, ["cpuset", "memory", "pids"]);
  const cgroup = planned(host);
  cgroup.make(false);
  equal(host.files.get("/cg/cpuset/a/cpuset.cpus"), "0-3");
  equal(host.files.get("/cg/cpuset/a/b/cpuset.mems"), "0");
  cgroup.join([7]);
  for (const name of ["cpuset", "memory", "pids"]) {
    equal(host.files.get(`/cg/${name}/a/b/cgroup.procs`), "7\n");
  }
});

Deno.test("those made by the processes that join come along", () => {
  const host = new FakeCgroups(1, ["pids"]);
  host.files.set("/proc/7/task/7/children", "8 9 ");
  host.files.set("/proc/9/task/9/children", "10 ");
  const cgroup = planned(host);
  cgroup.make(false);
  cgroup.join([7]);
  deepEqual(cgroup.processes(), [7, 8, 9, 10]);
});

Deno.test("where it lies: from the top, below the caller's (v1), beside the caller's (v2)", () => {
  const pathOf = (host: FakeCgroups, path: string) => planned(host, path).record.places[0].path;
  deepEqual(
    ["/x/y", "x/y", "", "/../x", "../../x"].map((path) => pathOf(new FakeCgroups(1, ["pids"], "/own"), path)),
    [
      "/cg/pids/x/y",
      "/cg/pids/own/x/y",
      "/cg/pids/own/box",
      "/cg/pids/x",
      "/cg/pids/own/x",
    ],
  );
  deepEqual(["/x/y", "x/y", ""].map((path) => pathOf(new FakeCgroups(2, ALL, "/user/own"), path)), [
    "/cg/x/y",
    "/cg/user/x/y",
    "/cg/user/box",
  ]);
  throws(
    () => planned(new FakeCgroups(1, ["pids"]), "/").make(false),
    /linux\.cgroupsPath: it leads to \/cg\/pids, outside/,
  );
});

Deno.test("what was there before is used, not removed; what is in use is refused", () => {
  const host = new FakeCgroups(2, ALL);
  host.makeDirectory("/cg/a");
  host.makeDirectory("/cg/a/b");
  const cgroup = planned(host);
  cgroup.make(false);
  equal(cgroup.removeEmpty(), true);
  equal(host.inode("/cg/a/b") !== 0, true);
  host.write("/cg/a/b/cgroup.procs", "99");
  throws(
    () => planned(host).make(false),
    /^Error: linux\.cgroupsPath: \/cg\/a\/b is in use, 1 processes are in it$/,
  );
});

Deno.test("it is removed once it is empty, and never another's of the same name", () => {
  const host = new FakeCgroups(2, ALL);
  const cgroup = planned(host);
  cgroup.make(false);
  cgroup.join([7]);
  const recorded = new Cgroup(cgroup.record, [], host);
  equal(recorded.removeEmpty(), false);
  host.write("/cg/cgroup.procs", "7");
  equal(recorded.removeEmpty(), true);
  equal(host.inode("/cg/a/b"), 0);
  host.makeDirectory("/cg/a/b");
  equal(recorded.removeEmpty(), true);
  equal(host.inode("/cg/a/b") !== 0, true);
});

Deno.test("one that must be new is not another's, and leaves nothing where it is", () => {
  const host = new FakeCgroups(1, ["memory", "pids"]);
  host.makeDirectory("/cg/pids/box");
  throws(() => planned(host, "").make(true), CgroupExists);
  host.write("/cg/pids/box/cgroup.procs", "99");
  throws(() => planned(host, "").make(true), CgroupExists);
  deepEqual([host.inode("/cg/memory/box"), host.inode("/cg/pids/box") !== 0], [0, true]);
});

Deno.test("its maker may be killed before it has noted what it made", () => {
  const host = new FakeCgroups(2, ALL);
  const cgroup = planned(host);
  const before = cgroup.record;
  cgroup.make(false);
  equal(new Cgroup(before, [], host).removeEmpty(), true);
  equal(host.inode("/cg/a/b"), 0);
});

Deno.test("a caller without the right has none, and leaves nothing", () => {
  const host = new FakeCgroups(1, ["memory", "pids"]);
  host.refused.push("/cg/pids/a");
  const cgroup = planned(host);
  throws(() => cgroup.make(false), NoCgroup);
  equal(host.inode("/cg/memory/a/b"), 0);
  throws(() => Cgroup.planned([], "", "box", host), NoCgroup);
});

Deno.test("a value that the host refuses is told with its field", () => {
  const host = new FakeCgroups(2, ALL);
  host.refused.push("/cpuset.cpus");
  const cgroup = planned(host);
  cgroup.make(false);
  throws(
    () => cgroup.limit({ cpu: { cpus: "99" } }),
    /^Error: linux\.resources\.cpu\.cpus: the host does not set cpuset\.cpus to "99": invalid argument$/,
  );
});

Deno.test("the launcher gets the directories that are ours", () => {
  const host = new FakeCgroups(1, ["memory", "pids"]);
  host.makeDirectory("/cg/pids/a");
  host.makeDirectory("/cg/pids/a/b");
  const cgroup = planned(host);
  cgroup.make(false);
  const text = removalOf(cgroup.record);
  equal(text, `${host.inode("/cg/memory/a/b")} /cg/memory/a/b`);
  deepEqual(removalFrom(text).places.map(({ path }) => path), ["/cg/memory/a/b"]);
  deepEqual([removalOf(undefined), removalFrom("").places], ["", []]);
});
