// stress-ng: 130 small programs that each lean on one corner of the kernel and check what they get.

import { sameAsNative } from "./compare.ts";

sameAsNative("stress-ng", ["bash", "SCRIPTS/stress.sh"], { needs: ["stress-ng"] });
