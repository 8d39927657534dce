// Socket options of the RAW level.

import type { OptionSpec } from "../options.ts";

export const RAW_OPTIONS: readonly OptionSpec[] = [];
