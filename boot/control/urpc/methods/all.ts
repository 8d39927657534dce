// Every method of the control API, by receiver and name.

import type { Method } from "../method.ts";
import { CONTAINER_MANAGER } from "./containers.ts";
import { FS } from "./files.ts";
import { NETWORK } from "./network.ts";
import { CGROUPS, DEBUG, LIFECYCLE, LOGGING, METRICS, PROFILE, USAGE } from "./observation.ts";

const RECEIVERS: Readonly<Record<string, Readonly<Record<string, Method>>>> = {
  containerManager: CONTAINER_MANAGER,
  Network: NETWORK,
  debug: DEBUG,
  Lifecycle: LIFECYCLE,
  Usage: USAGE,
  Metrics: METRICS,
  Cgroups: CGROUPS,
  Logging: LOGGING,
  Profile: PROFILE,
  Fs: FS,
};

export const METHODS: ReadonlyMap<string, Method> = new Map(
  Object.entries(RECEIVERS).flatMap(([receiver, methods]) =>
    Object.entries(methods).map(([name, method]) => [`${receiver}.${name}`, method] as const)
  ),
);
