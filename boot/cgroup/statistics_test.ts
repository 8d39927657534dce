import { deepEqual, equal } from "node:assert/strict";
import { FakeCgroups } from "../../tests/support/fake_cgroups.ts";
import { Cgroup, hostHierarchies } from "./cgroup.ts";
import { oomKills, statisticsOf } from "./statistics.ts";

function made(version: 1 | 2, controllers: string[], files: Record<string, string>): Cgroup {
  const host = new FakeCgroups(version, controllers);
  const cgroup = Cgroup.planned(hostHierarchies(host), "/a", "box", host);
  cgroup.make(true);
  for (const [path, text] of Object.entries(files)) host.files.set(path, text);
  return cgroup;
}

Deno.test("what a cgroup of v2 has used, in runc's shape", () => {
  const cgroup = made(2, ["cpu", "memory", "io"], {
    "/cg/a/cpu.stat":
      "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 3\nthrottled_usec 2\n",
    "/cg/a/memory.stat": "anon 5\nfile 6\n",
    "/cg/a/memory.current": "100\n",
    "/cg/a/memory.max": "max\n",
    "/cg/a/memory.peak": "200\n",
    "/cg/a/memory.events": "low 0\nmax 7\noom 1\noom_kill 2\n",
    "/cg/a/io.stat": "8:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n",
  });
  deepEqual(JSON.parse(JSON.stringify(statisticsOf(cgroup))), {
    cpu: {
      usage: { total: 30_000, percpu: [], kernel: 10_000, user: 20_000 },
      throttling: { periods: 4, throttledPeriods: 3, throttledTime: 2000 },
    },
    memory: {
      cache: 6,
      usage: { limit: Number.MAX_SAFE_INTEGER, usage: 100, max: 200, failcnt: 7 },
      swap: { limit: Number.MAX_SAFE_INTEGER, usage: 0, max: 0, failcnt: 0 },
      raw: { anon: 5, file: 6 },
    },
    blkio: {
      ioServiceBytesRecursive: [{ major: 8, minor: 0, op: "Read", value: 4096 }, {
        major: 8,
        minor: 0,
        op: "Write",
        value: 8192,
      }],
    },
  });
  equal(oomKills(cgroup), 2);
});

Deno.test("what a cgroup of v1 has used", () => {
  const cgroup = made(1, ["cpuset", "cpu", "cpuacct", "memory", "blkio"], {
    "/cg/cpuacct/a/cpuacct.usage": "30\n",
    "/cg/cpuacct/a/cpuacct.usage_percpu": "10 20 \n",
    "/cg/cpuacct/a/cpuacct.usage_sys": "12\n",
    "/cg/cpuacct/a/cpuacct.usage_user": "18\n",
    "/cg/memory/a/memory.usage_in_bytes": "100\n",
    "/cg/memory/a/memory.limit_in_bytes": "9223372036854771712\n",
    "/cg/memory/a/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n",
    "/cg/blkio/a/blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\nTotal 4096\n",
  });
  const { cpu, memory, blkio } = JSON.parse(JSON.stringify(statisticsOf(cgroup)));
  deepEqual(cpu.usage, { total: 30, percpu: [10, 20], kernel: 12, user: 18 });
  deepEqual(memory.usage, { limit: Number.MAX_SAFE_INTEGER, usage: 100, max: 0, failcnt: 0 });
  deepEqual(blkio.ioServiceBytesRecursive, [{ major: 8, minor: 0, op: "Read", value: 4096 }]);
  equal(oomKills(cgroup), 5);
});
