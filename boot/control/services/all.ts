// Every call of the control API that the sentry carries out.

import { CONTAINERS } from "./containers.ts";
import { CGROUPS } from "./cgroups.ts";
import { DEBUG } from "./debug.ts";
import { FILES } from "./files/all.ts";
import { LOGGING } from "./logging.ts";
import { METRICS_SERVICES } from "./metrics.ts";
import { NETWORK } from "./network.ts";
import { PORT_FORWARD } from "./port_forward.ts";
import { PROCFS } from "./procfs.ts";
import { PROFILE } from "./profile.ts";
import type { Services } from "./query.ts";
import { SUBCONTAINERS } from "./subcontainers.ts";
import { TRACE } from "./trace.ts";
import { UNSUPPORTED } from "./unsupported.ts";
import { USAGE } from "./usage.ts";

export const SERVICES: Services = {
  ...UNSUPPORTED,
  ...CGROUPS,
  ...CONTAINERS,
  ...DEBUG,
  ...FILES,
  ...LOGGING,
  ...METRICS_SERVICES,
  ...NETWORK,
  ...PORT_FORWARD,
  ...PROCFS,
  ...PROFILE,
  ...SUBCONTAINERS,
  ...TRACE,
  ...USAGE,
};
