// Tools that are programs of many processes and files: git, archives, text tools, openssl, sqlite3; redis and nginx;
// valgrind, which translates the programs it runs.

import { PLATFORMS } from "../support/tsvisor.ts";
import { sameAsNative } from "./compare.ts";

sameAsNative("git, tar and text tools", ["bash", "SCRIPTS/git.sh"], {
  needs: ["git", "xz", "zstd", "bzip2", "awk", "openssl", "sqlite3"],
});
sameAsNative("redis and nginx", ["bash", "SCRIPTS/servers.sh"], { needs: ["redis-server", "nginx", "curl"] });
sameAsNative("valgrind", ["bash", "SCRIPTS/valgrind.sh"], {
  platforms: PLATFORMS,
  needs: ["valgrind", "gcc"],
});
