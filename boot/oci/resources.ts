// linux.resources of a config.json, and the document of `update --resources`: what the host's cgroups are to hold. runtime-spec
// config-linux.md, "Control groups". boot/cgroup/ turns it into files. Engines write null for what they do not set.

import * as z from "../schema.ts";

const amount = z.optional(z.number());
const text = z.optional(z.string());
const flag = z.optional(z.boolean());
/** Of a device. */
const number = z.number().check(z.int());
const rate = z.object({ major: number, minor: number, rate: z.number().check(z.nonnegative()) });
const rates = z.optional(z.array(rate));

const schema = z.object({
  memory: z.optional(z.object({
    limit: amount,
    reservation: amount,
    swap: amount,
    kernelTCP: amount,
    swappiness: amount,
    disableOOMKiller: flag,
    checkBeforeUpdate: flag,
  })),
  cpu: z.optional(z.object({
    shares: amount,
    quota: amount,
    burst: amount,
    period: amount,
    realtimeRuntime: amount,
    realtimePeriod: amount,
    cpus: text,
    mems: text,
    idle: amount,
  })),
  pids: z.optional(z.object({ limit: amount })),
  blockIO: z.optional(z.object({
    weight: amount,
    leafWeight: amount,
    weightDevice: z.optional(z.array(z.object({
      major: number,
      minor: number,
      weight: amount,
      leafWeight: amount,
    }))),
    throttleReadBpsDevice: rates,
    throttleWriteBpsDevice: rates,
    throttleReadIOPSDevice: rates,
    throttleWriteIOPSDevice: rates,
  })),
  hugepageLimits: z.optional(z.array(z.object({
    pageSize: z.string().check(z.regex(/^\d+[KMG]B$/, "must be a size such as 2MB")),
    limit: z.number(),
  }))),
  network: z.optional(z.object({
    classID: amount,
    priorities: z.optional(z.array(z.object({ name: z.string(), priority: z.number() }))),
  })),
  rdma: z.optional(z.record(z.string(), z.object({ hcaHandles: amount, hcaObjects: amount }))),
  devices: z.optional(z.array(z.object({
    allow: z.boolean(),
    type: text,
    major: z.optional(number),
    minor: z.optional(number),
    access: text,
  }))),
  unified: z.optional(
    z.record(
      z.string().check(z.regex(/^[a-z0-9_]+(\.[A-Za-z0-9_]+)+$/, "must be a file's name")),
      z.string(),
    ),
  ),
});

/** Without null: nothing is asked for by it, wherever it stands. */
function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, part]) => part !== null);
  return Object.fromEntries(entries.map(([name, part]) => [name, withoutNull(part)]));
}

export const resourcesSchema = z.pipe(z.transform(withoutNull), schema);

export type Resources = Readonly<z.infer<typeof schema>>;
