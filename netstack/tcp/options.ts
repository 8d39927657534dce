// Socket options of the TCP level.

import type { OptionSpec } from "../option_spec.ts";

export const TCP_OPTIONS: readonly OptionSpec[] = [];
