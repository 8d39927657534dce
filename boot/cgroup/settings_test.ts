import { deepEqual, throws } from "node:assert/strict";
import type { Resources } from "../oci/resources.ts";
import { settingsOfV1 } from "./settings_v1.ts";
import { settingsOfV2 } from "./settings_v2.ts";

/** "file value" of each, in order. */
function v1(resources: Resources, present: Record<string, string> = {}): string[] {
  return settingsOfV1(resources, (_, file) => present[file] ?? null)
    .map(({ files, value }) => `${files[0]} ${value}`);
}
function v2(resources: Resources, present: Record<string, string> = {}): string[] {
  return settingsOfV2(resources, (_, file) => present[file] ?? null)
    .map(({ files, value }) => `${files[0]} ${value}`);
}

Deno.test("nothing is asked for by nothing, and by zeros", () => {
  const zeros = {
    memory: { limit: 0, swap: 0 },
    cpu: { shares: 0, quota: 0, cpus: "" },
    pids: { limit: 0 },
    devices: [],
  };
  deepEqual([v1({}), v1(zeros), v2({}), v2(zeros)], [[], [], [], []]);
});

Deno.test("v1: the limit with swap never falls below the one without", () => {
  const withSwap = { "memory.memsw.limit_in_bytes": "1000" };
  deepEqual(v1({ memory: { limit: 500, swap: 800 } }, withSwap), [
    "memory.limit_in_bytes 500",
    "memory.memsw.limit_in_bytes 800",
  ]);
  deepEqual(v1({ memory: { limit: 2000, swap: 4000 } }, withSwap), [
    "memory.memsw.limit_in_bytes 4000",
    "memory.limit_in_bytes 2000",
  ]);
  deepEqual(v1({ memory: { limit: -1 } }, withSwap), [
    "memory.memsw.limit_in_bytes -1",
    "memory.limit_in_bytes -1",
  ]);
  deepEqual(v1({ memory: { limit: -1 } }), ["memory.limit_in_bytes -1"]);
});

Deno.test("v1: all fields", () => {
  const rate = [{ major: 8, minor: 0, rate: 1e6 }];
  deepEqual(
    v1({
      memory: { reservation: 1, kernelTCP: 2, swappiness: 0, disableOOMKiller: true },
      cpu: {
        shares: 3,
        quota: 4,
        burst: 5,
        period: 6,
        realtimeRuntime: 7,
        realtimePeriod: 8,
        cpus: "0",
        mems: "0",
        idle: 1,
      },
      pids: { limit: -1 },
      blockIO: {
        weight: 10,
        leafWeight: 20,
        weightDevice: [{ major: 8, minor: 0, weight: 30, leafWeight: 40 }],
        throttleReadBpsDevice: rate,
        throttleWriteBpsDevice: rate,
        throttleReadIOPSDevice: rate,
        throttleWriteIOPSDevice: rate,
      },
      hugepageLimits: [{ pageSize: "2MB", limit: 2 << 20 }],
      network: { classID: 1, priorities: [{ name: "eth0", priority: 5 }] },
      rdma: { mlx5_1: { hcaHandles: 3, hcaObjects: 4 } },
    }),
    [
      "cpuset.cpus 0",
      "cpuset.mems 0",
      "memory.soft_limit_in_bytes 1",
      "memory.kmem.tcp.limit_in_bytes 2",
      "memory.swappiness 0",
      "memory.oom_control 1",
      "cpu.shares 3",
      "cpu.rt_period_us 8",
      "cpu.rt_runtime_us 7",
      "cpu.cfs_period_us 6",
      "cpu.cfs_quota_us 4",
      "cpu.cfs_burst_us 5",
      "cpu.idle 1",
      "pids.max max",
      "blkio.weight 10",
      "blkio.leaf_weight 20",
      "blkio.weight_device 8:0 30",
      "blkio.leaf_weight_device 8:0 40",
      "blkio.throttle.read_bps_device 8:0 1000000",
      "blkio.throttle.write_bps_device 8:0 1000000",
      "blkio.throttle.read_iops_device 8:0 1000000",
      "blkio.throttle.write_iops_device 8:0 1000000",
      "hugetlb.2MB.limit_in_bytes 2097152",
      "net_cls.classid 1",
      "net_prio.ifpriomap eth0 5",
      "rdma.max mlx5_1 hca_handle=3 hca_object=4",
    ],
  );
  throws(
    () => v1({ unified: { "memory.high": "1" } }),
    /"memory\.high" cannot be set, the host has cgroup v1/,
  );
});

Deno.test("v1: rules for devices, and after them what every container may use", () => {
  const list = v1({
    devices: [{ allow: false, access: "rwm" }, {
      allow: true,
      type: "c",
      major: 10,
      minor: 200,
      access: "rw",
    }, {
      allow: true,
      type: "c",
      major: 4,
    }],
  });
  deepEqual(list.slice(0, 4), [
    "devices.deny a",
    "devices.allow c 10:200 rw",
    "devices.allow c 4:* rwm",
    "devices.allow c *:* m",
  ]);
});

Deno.test("v2: values of v1 become those of v2", () => {
  deepEqual(v2({ cpu: { shares: 2 } }), ["cpu.weight 1"]);
  deepEqual(v2({ cpu: { shares: 262_144 } }), ["cpu.weight 10000"]);
  deepEqual(v2({ cpu: { period: 20_000 } }), ["cpu.max max 20000"]);
  deepEqual(v2({ memory: { limit: 100, swap: 300 } }), ["memory.max 100", "memory.swap.max 200"]);
  deepEqual(
    v2({ memory: { limit: 100, swap: 100 } }),
    ["memory.max 100"],
    "no file for swap, and none wanted",
  );
  deepEqual(v2({ memory: { limit: 100, swap: -1 } }, { "memory.swap.max": "0" }), [
    "memory.max 100",
    "memory.swap.max max",
  ]);
  deepEqual(v2({ blockIO: { weight: 1000 } }), ["io.weight 10000"]);
  deepEqual(v2({ blockIO: { weight: 500 } }, { "io.bfq.weight": "100" }), ["io.bfq.weight 500"]);
  deepEqual(v2({ blockIO: { throttleReadIOPSDevice: [{ major: 8, minor: 0, rate: 5 }] } }), [
    "io.max 8:0 riops=5",
  ]);
  throws(
    () => v2({ memory: { limit: 100, swap: 50 } }),
    /memory\.swap: 50 is below the limit of memory, 100/,
  );
  throws(() => v2({ memory: { swap: 50 } }), /memory\.swap: 50 needs a memory\.limit/);
});

Deno.test("a limit below what is in use is refused where that is asked for", () => {
  const memory = { limit: 100, checkBeforeUpdate: true };
  throws(
    () => v1({ memory }, { "memory.usage_in_bytes": "200" }),
    /memory\.limit: 100 is below what is in use, 200/,
  );
  throws(
    () => v2({ memory }, { "memory.current": "200" }),
    /memory\.limit: 100 is below what is in use, 200/,
  );
  deepEqual(v2({ memory }, { "memory.current": "50" }), ["memory.max 100"]);
});
