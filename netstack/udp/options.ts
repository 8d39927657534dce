// Socket options of the UDP level.

import type { OptionSpec } from "../options.ts";

export const UDP_OPTIONS: readonly OptionSpec[] = [];
