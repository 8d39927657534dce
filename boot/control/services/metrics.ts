// Metrics: what can be counted of a sandbox, by name, with a registration that is the same from its first moment. A collector
// keeps the registration of the start and checks later exports against it. Numbers that the kernel has anyway are read when
// somebody asks: a metric costs a guest nothing.

import { busyNanos } from "../../../kernel/fs/proc/load.ts";
import { SYSCALLS_MAX } from "../../../kernel/syscalls/table.ts";
import { rfc3339 } from "../civil_time.ts";
import { isSafePattern } from "../metric_pattern.ts";
import { BOUNDS_NANOS } from "./call_times.ts";
import { type Query, Refusal, type Sandbox, type Services } from "./query.ts";
import { fullUsage } from "./usage.ts";

/** As in gVisor's metric.proto. */
const UNITS = { NONE: 0, NANOSECONDS: 1 } as const;
/** As in gVisor's pkg/prometheus. */
const TYPE = { GAUGE: 1, COUNTER: 2, HISTOGRAM: 3 } as const;

interface Metric {
  readonly name: string;
  readonly description: string;
  readonly isCumulative: boolean;
  readonly units: number;
  /** Its one label; null = it has none. */
  readonly label: { readonly name: string; values(sandbox: Sandbox): readonly string[] } | null;
  /** The value, of each value of the label that is not 0. */
  read(sandbox: Sandbox): ReadonlyMap<string, number>;
}

const single = (value: number): ReadonlyMap<string, number> => new Map([["", Math.round(value)]]);

const KINDS: Readonly<Record<string, "System" | "Anonymous" | "Mapped" | "Tmpfs">> = {
  system: "System",
  anonymous: "Anonymous",
  mapped: "Mapped",
  tmpfs: "Tmpfs",
};
const BEYOND = "beyond the table";

const METRICS: readonly Metric[] = [
  {
    name: "/unimplemented_syscalls",
    description: "Calls of guests that are not supported, by name.",
    isCumulative: true,
    units: UNITS.NONE,
    label: {
      name: "syscall",
      values: (sandbox) => [...unsupported(sandbox), BEYOND],
    },
    read: (sandbox) => {
      const counts = new Map<string, number>();
      for (const [number, count] of sandbox.kernel.coverage.calls) {
        counts.set(callName(sandbox, number), count);
      }
      return counts;
    },
  },
  {
    name: "/unsupported_features",
    description: "Times that a guest asked for a feature that is not supported.",
    isCumulative: true,
    units: UNITS.NONE,
    label: null,
    read: ({ kernel }) => {
      let sum = 0;
      for (const count of kernel.coverage.features.values()) sum += count;
      return single(sum);
    },
  },
  {
    name: "/sandbox/cpu",
    description: "Processor time of all processes.",
    isCumulative: true,
    units: UNITS.NANOSECONDS,
    label: null,
    read: ({ kernel }) => single(busyNanos(kernel)),
  },
  {
    name: "/sandbox/uptime",
    description: "Time since the sandbox started.",
    isCumulative: true,
    units: UNITS.NANOSECONDS,
    label: null,
    read: ({ kernel }) => single(kernel.clock.monotonic() - kernel.bootNanos),
  },
  gauge("/sandbox/tasks", "Tasks that have not been reaped.", ({ kernel }) => kernel.tasks.size),
  gauge("/sandbox/containers", "Containers.", ({ kernel }) => kernel.containers.size),
  gauge(
    "/sandbox/host_descriptors",
    "Descriptors of the host in use.",
    ({ kernel }) => kernel.descriptors.count,
  ),
  {
    name: "/memory/usage",
    description: "Bytes of memory in use, by kind.",
    isCumulative: false,
    units: UNITS.NONE,
    label: { name: "kind", values: () => Object.keys(KINDS) },
    read: ({ kernel }) => {
      const usage = fullUsage(kernel);
      return new Map(Object.entries(KINDS).map(([label, kind]) => [label, usage[kind]]));
    },
  },
];

function gauge(name: string, description: string, read: (sandbox: Sandbox) => number): Metric {
  const value = (sandbox: Sandbox) => single(read(sandbox));
  return { name, description, isCumulative: false, units: UNITS.NONE, label: null, read: value };
}

function callName({ table }: Sandbox, number: number): string {
  return number >= SYSCALLS_MAX ? BEYOND : table.name(number) ?? `call ${number}`;
}

function unsupported(sandbox: Sandbox): string[] {
  const names: string[] = [];
  for (let number = 0; number < SYSCALLS_MAX; number++) {
    if (!sandbox.table.isSupported(number)) names.push(callName(sandbox, number));
  }
  return names;
}

function prometheusName(name: string): string {
  return name.slice(1).replaceAll("/", "_");
}

/** MetricRegistration of metric.proto, as Go's JSON has it: what is zero is left out. */
function registration(sandbox: Sandbox): object {
  const metrics = METRICS.map(({ name, description, isCumulative, units, label }) => ({
    name,
    description,
    ...(isCumulative ? { cumulative: true } : {}),
    sync: true,
    ...(units === UNITS.NONE ? {} : { units }),
    ...(label === null
      ? {}
      : { fields: [{ field_name: label.name, allowed_values: label.values(sandbox) }] }),
    prometheus_name: prometheusName(name),
  }));
  const fields = [{ field_name: "method", allowed_values: sandbox.callTimes.methods }];
  return { RegisteredMetrics: { metrics: [...metrics, { ...CALL_TIMES, fields }] } };
}

/** The one distribution; its names are those of the API's methods. */
const CALL_TIMES = {
  name: "/control/call_latency",
  description: "How long calls of the control API took to be answered.",
  cumulative: true,
  sync: true,
  units: UNITS.NANOSECONDS,
  distribution_bucket_lower_bounds: [0, ...BOUNDS_NANOS],
  prometheus_name: "control_call_latency",
};

function callTimes({ callTimes }: Sandbox): object[] {
  const { description, prometheus_name: name } = CALL_TIMES;
  return [...callTimes.byMethod].map(([method, { totalNanos, counts }]) => ({
    metric: { name, type: TYPE.HISTOGRAM, help: description },
    labels: { method },
    hist: {
      total: { int: Math.round(totalNanos) },
      buckets: counts.map((n, i) => ({
        le: i < BOUNDS_NANOS.length ? { int: BOUNDS_NANOS[i] } : { float: "+Inf" },
        n,
      })),
    },
  }));
}

/** A Snapshot of pkg/prometheus. */
function snapshot(sandbox: Sandbox, query: Query): object {
  const only = query.string("only_metrics");
  if (!isSafePattern(only)) return new Refusal(`invalid only_metrics regexp "${only}"`);
  const pattern = new RegExp(only);
  const data: object[] = [];
  for (const metric of METRICS) {
    const name = prometheusName(metric.name);
    if (!pattern.test(name)) continue;
    const described = {
      name,
      type: metric.isCumulative ? TYPE.COUNTER : TYPE.GAUGE,
      help: metric.description,
    };
    for (const [value, number] of metric.read(sandbox)) {
      const labels = metric.label === null ? {} : { labels: { [metric.label.name]: value } };
      data.push({ metric: described, ...labels, val: number === 0 ? {} : { int: number } });
    }
  }
  if (pattern.test(CALL_TIMES.prometheus_name)) data.push(...callTimes(sandbox));
  return { snapshot: { when: when(sandbox), data } };
}

/** RFC 3339, of the host's clock. */
function when({ kernel }: Sandbox): string {
  const seconds = kernel.clock.realtime();
  return rfc3339(seconds, kernel.clock.nanoseconds);
}

export const METRICS_SERVICES: Services = {
  "Metrics.GetRegisteredMetrics": registration,
  "Metrics.Export": snapshot,
};
