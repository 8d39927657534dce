// The call lists of sentry and gofer: what is in them, and that the host refuses the rest.

import { deepEqual, equal, ok } from "node:assert/strict";
import { GOFER_CALLS, PTRACE_CALLS, SENTRY_CALLS } from "../../boot/seccomp_lists.ts";
import { command } from "../support/tsvisor.ts";

const NEVER =
  "execve execveat fork vfork clone socket connect bind accept mount umount2 setns unshare bpf init_module ioperm"
    .split(" ");

Deno.test("each allowed call has a reason, and none of what an attacker needs next is allowed", () => {
  for (const list of [SENTRY_CALLS, GOFER_CALLS, PTRACE_CALLS]) {
    for (const { name, reason } of list) {
      ok(reason.length > 0, name);
      ok(!NEVER.includes(name), name);
    }
  }
  const opens = SENTRY_CALLS.filter(({ name }) => name.startsWith("open"));
  ok(opens.every((allowed) => allowed.isRefused === true), "the sentry opens nothing by path");
  equal(SENTRY_CALLS.some(({ name }) => name === "ptrace"), false);
});

for (const role of ["sentry", "gofer"]) {
  Deno.test(`what the ${role} must not do the host refuses`, async () => {
    const program = new URL("../support/forbidden_calls.ts", import.meta.url).pathname;
    const argv = [Deno.execPath(), "run", "--quiet", "--no-check", "-A", program, role];
    const { code, stdout, stderr } = await command(argv);
    equal(code, 0, stderr);
    deepEqual(JSON.parse(stdout), { succeeded: [], failed: [] });
  });
}
