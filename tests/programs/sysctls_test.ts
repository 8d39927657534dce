// Sysctls of the whole kernel take effect. Only in a sandbox: on the host they would change the machine.

import { tsvisor } from "../support/tsvisor.ts";
import { SCRIPTS } from "./compare.ts";

const EXPECTED = `== namespaces
unshare -u: 1
unshare -u: 0
unshare -u: 0
unshare -m: 1
unshare -n: 1
unshare -i: 1
unshare -pf: 1
unshare -pf: 0
unshare -pf: 0
== process ids
5001
== addresses
1
1
random
== files
no more files
== tasks
no more tasks
again
== mappings
no more mappings
`;

Deno.test("sysctls of a whole sandbox take effect", async () => {
  const { stdout, stderr } = await tsvisor(["do", "--", "sh", `${SCRIPTS}sysctls.sh`], {
    timeoutMillis: 120_000,
  });
  if (stdout !== EXPECTED) throw new Error(`It prints\n${stdout}\nand on stderr\n${stderr}`);
});
