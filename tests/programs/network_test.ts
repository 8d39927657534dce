// Servers and clients over the sandbox's own loopback.

import { sameAsNative } from "./compare.ts";

sameAsNative("servers and clients over loopback", ["bash", "SCRIPTS/network.sh"], {
  needs: ["python3", "curl", "wget", "redis-server", "redis-benchmark", "iperf3", "ip"],
});
