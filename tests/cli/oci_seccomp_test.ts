// linux.seccomp of a config.json with --oci-seccomp: which calls of a container's processes it lets through.

import { deepEqual, equal, match } from "node:assert/strict";
import { Bundle, type Config } from "../support/bundle.ts";

/** Docker's form: a list of what is allowed, some of it by its arguments only, with names that no x86-64 kernel has. */
const DENYING = {
  defaultAction: "SCMP_ACT_ALLOW",
  architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
  flags: ["SECCOMP_FILTER_FLAG_LOG"],
  syscalls: [
    { names: ["mkdir", "mkdirat", "no_such_call"], action: "SCMP_ACT_ERRNO", errnoRet: 28 },
    { names: ["sethostname"], action: "SCMP_ACT_ERRNO" },
    {
      names: ["kill"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 3,
      // -1 as the program gives it, all 64 bits.
      args: [{ index: 0, value: "MINUS_ONE", op: "SCMP_CMP_EQ" }, { index: 1, value: 0, op: "SCMP_CMP_EQ" }],
    },
    { names: ["chroot"], action: "SCMP_ACT_KILL_PROCESS" },
  ],
};

function write(bundle: Bundle, script: string, seccomp: unknown): void {
  bundle.write(script, (config: Config) => {
    config.linux.seccomp = seccomp;
    for (const set of ["bounding", "effective", "permitted"]) config.process.capabilities[set] = ["CAP_KILL"];
  });
  const path = `${bundle.directory}/config.json`;
  Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replaceAll('"MINUS_ONE"', String(2n ** 64n - 1n)));
}

for (const platform of ["systrap", "ptrace"]) {
  Deno.test(`run: --oci-seccomp filters what init, its children and exec call, on ${platform}`, async () => {
    using bundle = new Bundle();
    const asks = "busybox mkdir /tmp/new; busybox kill -0 -1; busybox kill -0 1 && echo allowed; " +
      "busybox chroot /tmp; echo $?; grep Seccomp: /proc/self/status";
    write(bundle, asks, DENYING);
    const flags = [`--platform=${platform}`, "--oci-seccomp"];
    const { stdout, stderr, code } = await bundle.run(flags);
    equal(code, 0, stderr);
    match(stdout, /^allowed\n159\nSeccomp:\t2\n$/);
    match(stderr, /mkdir: can't create directory '\/tmp\/new': No space left on device/);
    match(stderr, /kill: can't kill pid -1: No such process/);
    write(bundle, "sleep 1000", DENYING);
    equal(
      (await bundle.inBackground([...flags, "run", "--detach", "--bundle", bundle.directory, "one"])).code,
      0,
    );
    const inside = await bundle.tsvisor([
      "exec",
      "one",
      "/bin/sh",
      "-c",
      "mkdir /tmp/x; grep Seccomp: /proc/1/status",
    ]);
    equal(inside.stdout, "Seccomp:\t2\n");
    match(inside.stderr, /No space left on device/);
    equal((await bundle.tsvisor(["delete", "--force", "one"])).code, 0);
  });
}

Deno.test("run: what cannot be a seccomp profile is refused; without the flag it is told that it has no effect", async () => {
  using bundle = new Bundle();
  write(bundle, "mkdir /tmp/new && echo made", DENYING);
  const without = await bundle.run();
  deepEqual([without.code, without.stdout], [0, "made\n"]);
  match(without.stderr, /without effect: .*linux\.seccomp \(--oci-seccomp\)/);
  write(bundle, "true", { defaultAction: "SCMP_ACT_NOTIFY" });
  const refused = await bundle.run(["--oci-seccomp"]);
  match(refused.stderr, /^tsvisor: linux\.seccomp\.defaultAction: .*\n$/);
  equal(refused.code === 0, false);
});
