// iptables' own programs (the first interface, "legacy") on the packet filter of a sandbox: what they print and what their rules
// do is what it is on the host, in a network namespace of the test's own on either side; and who may not is refused.

import { equal, match } from "node:assert/strict";
import { command, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

const TOOLS = ["iptables-legacy", "ip6tables-legacy"];
const timeoutMillis = 240_000;

for (const tool of TOOLS) {
  Deno.test(`${tool}: rules are shown, do what they say, and are saved and restored as on the host`, async (test) => {
    const script = ["unshare", "-n", "sh", `${import.meta.dirname}/iptables.sh`, tool];
    const host = await command(script, { timeoutMillis });
    match(host.stdout, /8300 answers 1000 8300[^]*as it was\n$/, host.stderr);
    for (const platform of PLATFORMS) {
      await test.step(`on ${platform}`, async () => {
        const args = [`--platform=${platform}`, "--network=none", "do", "--cwd", "/", "--", ...script];
        const box = await command([await tsvisorPath(), ...args], { timeoutMillis });
        equal(box.stdout, host.stdout, box.stderr);
      });
    }
  });
}

Deno.test("iptables-legacy: without CAP_NET_ADMIN the tables are nobody's to read or write", async () => {
  const program = `
import errno, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def tried(call):
    try: call(); return "done"
    except OSError as error: return errno.errorcode[error.errno]
name = b"filter".ljust(84, b"\\0")
print(tried(lambda: s.getsockopt(0, 64, 84)), tried(lambda: s.setsockopt(0, 64, name)))
`;
  const args = ["--network=none", "do", "--cwd", "/", "--", "setpriv", "--reuid=4326", "--clear-groups"];
  args.push("--bounding-set=-all", "--inh-caps=-all", "--", "/usr/bin/python3", "-c", program);
  const { stdout, stderr } = await command([await tsvisorPath(), ...args], { timeoutMillis });
  equal(stdout, "EPERM EPERM\n", stderr);
});
