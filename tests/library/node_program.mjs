// What node_test.ts has Node run.

import { Sandbox, SandboxError } from "@tsvisor/tsvisor";
const sandbox = await Sandbox.create({ timeout: "2m" });
try {
  console.log((await sandbox.sh`echo hello from $(uname -s)`.text()).trim());
  for await (const line of sandbox.sh`printf 'a\nb\n'`.lines()) console.log(line);
  const child = sandbox.spawn("cat", { stdin: "piped" });
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("through a pipe"));
  await writer.close();
  console.log((await child.output()).text());
  await sandbox.sh`exit 3`;
} catch (error) {
  console.log(error instanceof SandboxError, error.code);
} finally {
  await sandbox.kill();
}
