// `deno task demo`: builds what is missing and shows a container from inside.

import { build } from "../boot/build.ts";

const SCRIPT = `
echo "== uname";  uname -a
echo "== who";    id
echo "== mounts"; mount
echo "== processes"; ps -ef 2>/dev/null || ls /proc | grep '^[0-9]'
echo "== a write stays in the sandbox"; echo hello > /etc/tsvisor-was-here && cat /etc/tsvisor-was-here
if command -v python3 >/dev/null; then
  echo "== python"; python3 -c 'import platform, os; print(platform.python_version(), "on", os.uname().release)'
fi
`;

try {
  const launcher = await build();
  const { code } = new Deno.Command(launcher, {
    args: ["do", "--", "/bin/sh", "-c", SCRIPT],
    stdin: "inherit",
    stdout: "inherit",
    stderr: "inherit",
  }).outputSync();
  Deno.exit(code);
} catch (error) {
  console.error(`demo: ${(error as Error).message}`);
  Deno.exit(1);
}
