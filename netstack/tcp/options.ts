// Socket options of the TCP level.

import type { OptionSpec } from "../options.ts";

export const TCP_OPTIONS: readonly OptionSpec[] = [];
