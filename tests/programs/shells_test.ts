// Shells: pipes, jobs, here-documents, traps, redirections, and what only bash has.

import { PLATFORMS } from "../support/tsvisor.ts";
import { sameAsNative } from "./compare.ts";

sameAsNative("busybox sh", ["busybox", "sh", "SCRIPTS/busybox.sh"], {
  platforms: PLATFORMS,
  needs: ["busybox"],
});
sameAsNative("bash", ["bash", "SCRIPTS/bash.bash"], { platforms: PLATFORMS });
