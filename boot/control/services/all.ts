// Every call of the control API that the sentry carries out.

import { CONTAINERS } from "./containers.ts";
import { DEBUG } from "./debug.ts";
import { LOGGING } from "./logging.ts";
import { METRICS_SERVICES } from "./metrics.ts";
import { NETWORK } from "./network.ts";
import { PROCFS } from "./procfs.ts";
import type { Services } from "./query.ts";
import { SUBCONTAINERS } from "./subcontainers.ts";
import { UNSUPPORTED } from "./unsupported.ts";
import { USAGE } from "./usage.ts";

export const SERVICES: Services = {
  ...UNSUPPORTED,
  ...CONTAINERS,
  ...DEBUG,
  ...LOGGING,
  ...METRICS_SERVICES,
  ...NETWORK,
  ...PROCFS,
  ...SUBCONTAINERS,
  ...USAGE,
};
