// Socket options of the IP level.

import type { OptionSpec } from "../options.ts";

export const IP_OPTIONS: readonly OptionSpec[] = [];
