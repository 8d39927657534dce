// A tour of coreutils, findutils, util-linux and procps.

import { sameAsNative } from "./compare.ts";

sameAsNative("coreutils", ["bash", "SCRIPTS/coreutils.sh"]);
