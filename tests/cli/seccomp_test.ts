// The call lists of sentry and gofer: what is in them, and that the host refuses the rest.

import { deepEqual, equal, ok } from "node:assert/strict";
import { goferCalls, PTRACE_CALLS, RELAY_CALLS, sentryCalls } from "../../boot/seccomp_lists.ts";
import { command } from "../support/tsvisor.ts";

const REGION = { from: 2 ** 40, end: 2 ** 42 };
const SENTRY_CALLS = sentryCalls(REGION), GOFER_CALLS = goferCalls(REGION);
const O_RDONLY = 0, O_CLOEXEC = 0o2000000;
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
  // The net process makes connections, which is what it is for, and takes those of published ports. It offers nothing.
  const NEVER_OF_RELAY = [
    ...NEVER.filter((name) => name !== "socket" && name !== "connect"),
    "bind",
    "listen",
  ];
  for (const { name, reason } of RELAY_CALLS) {
    ok(reason.length > 0, name);
    ok(!NEVER_OF_RELAY.includes(name), name);
  }
  const opens = SENTRY_CALLS.filter(({ name }) => name.startsWith("open"));
  equal(opens.length, 1);
  deepEqual(
    opens[0].when,
    [{ argument: 2, mask: 0xffff_ffff, value: O_RDONLY | O_CLOEXEC }],
    "for reading only",
  );
  equal(SENTRY_CALLS.some(({ name }) => name === "ptrace"), false);
});

for (const role of ["sentry", "gofer", "relay"]) {
  Deno.test(`what the ${role} must not do the host refuses`, async () => {
    const program = new URL("../support/forbidden_calls.ts", import.meta.url).pathname;
    const argv = [Deno.execPath(), "run", "--quiet", "--no-check", "-A", program, role];
    const { code, stdout, stderr } = await command(argv);
    equal(code, 0, stderr);
    deepEqual(JSON.parse(stdout), { succeeded: [], failed: [] });
  });
}
