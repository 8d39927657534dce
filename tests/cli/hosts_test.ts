// Hosts and callers that give less than usual: low limits, no user namespaces, root without all of its rights. It works, or one
// line says what is missing and what helps.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { ARENA_BYTES, ARENAS_MAX } from "../../platform/slot.ts";
import { Bundle } from "../support/bundle.ts";
import { command, type Finished, forEverybody, PLATFORMS, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

const ON = ["do", "--", "sh", "-c", "for i in 1 2 3; do sleep 0.1 & done; wait; echo on"];

function works({ code, stdout, stderr }: Finished): void {
  deepEqual({ code, stdout, stderr }, { code: 0, stdout: "on\n", stderr: "" });
}

function refused({ code, stdout, stderr }: Finished, words: RegExp): void {
  match(stderr, /^tsvisor: [^\n]+\n$/);
  match(stderr, words);
  deepEqual([code, stdout], [128, ""]);
}

/** The least that the launcher accepts; a stub process's slots are one file. */
const LEAST = [`fsize=${ARENA_BYTES}`, `as=${ARENAS_MAX * ARENA_BYTES + 2 ** 40}`, "nofile=256:256"];

for (const platform of PLATFORMS) {
  for (const limit of [...LEAST, "nproc=4000:4000", "nproc=600:600", "nofile=512:512"]) {
    Deno.test(`host: it runs with ${limit} on ${platform}`, async () => {
      works(await command(["prlimit", `--${limit}`, await tsvisorPath(), `--platform=${platform}`, ...ON]));
    });
  }
}

Deno.test("host: soft limits are no matter", async () => {
  const limits = ["nofile=32:", "as=4000000000:", "fsize=1000:", "data=100000000:", "stack=65536:"];
  works(await command(["prlimit", ...limits.map((limit) => `--${limit}`), await tsvisorPath(), ...ON]));
});

for (
  const [limit, words] of [
    ["nofile=128:128", /with 128 open files at most: a sandbox needs 256 \(ulimit -n\)/],
    ["as=4000000000", /with 4000000000 bytes of address space at most: .* \(ulimit -v\)/],
    ["fsize=1000", /with 1000 bytes of a file at most: .* \(ulimit -f\)/],
    ["data=100000000", /with 100000000 bytes of data at most: .* \(ulimit -d\)/],
    ["stack=65536:65536", /with 65536 bytes of stack at most: .* \(ulimit -s\)/],
  ] as const
) {
  Deno.test(`host: with ${limit} it says so`, async () => {
    refused(await command(["prlimit", `--${limit}`, await tsvisorPath(), ...ON]), words);
  });
}

Deno.test("host: another user with few processes can use it", async () => {
  await forEverybody(async (path) => {
    const other = ["setpriv", "--reuid=4323", "--regid=4323", "--clear-groups", "prlimit", "--nproc=400:400"];
    works(await command([...other, path, ...ON], { cwd: "/" }));
  });
});

Deno.test("host: root of a namespace with one user id can use it, and is told where it cannot", async () => {
  const path = await tsvisorPath();
  works(await command(["unshare", "-Ur", path, ...ON]));
  const script = 'echo 0 >/proc/sys/user/max_user_namespaces; exec "$0" "$@"';
  refused(
    await command(["unshare", "-Ur", "sh", "-c", script, path, ...ON]),
    /the host lets this root have no namespaces \(ENOSPC\); it needs CAP_SYS_ADMIN, or to be allowed user namespaces/,
  );
});

/** Runs its arguments as root of a user namespace that has all ids and allows no further ones, after `setpriv` words. */
const WITHOUT_USER_NAMESPACES = `
import ctypes, os, sys
r, w = os.pipe()
r2, w2 = os.pipe()
pid = os.fork()
if pid == 0:
    ctypes.CDLL(None).unshare(0x10000000)
    os.write(w, b"x")
    os.read(r2, 1)
    os.setgid(0)
    os.setuid(0)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.execvp(sys.argv[1], sys.argv[1:])
os.read(r, 1)
for name in ("uid_map", "gid_map"):
    open(f"/proc/{pid}/{name}", "w").write("0 0 70000\\n")
os.write(w2, b"x")
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`;

Deno.test("host: without user namespaces root runs it, and others hear what helps", async () => {
  const within = ["python3", "-c", WITHOUT_USER_NAMESPACES];
  works(await command([...within, await tsvisorPath(), ...ON]));
  await forEverybody(async (path) => {
    const other = ["setpriv", "--reuid=4321", "--regid=4321", "--clear-groups"];
    refused(
      await command([...within, ...other, path, ...ON], { cwd: "/" }),
      /the host lets it have no user namespace \((ENOSPC|EPERM)\); run it as root, or allow them \(sysctl user\.max_user_namespaces, /,
    );
  });
});

Deno.test("host: a start that fails is in --debug-log too", async () => {
  const log = Deno.makeTempFileSync({ prefix: "tsvisor-log-" });
  try {
    await tsvisor([`--debug-log=${log}`, "do", "--cwd", "/no/such", "--", "true"]);
    match(Deno.readTextFileSync(log), /^Command line: Cannot enter \/no\/such: ENOENT$/m);
  } finally {
    Deno.removeSync(log);
  }
});

Deno.test("--strace and --debug write to stderr where there is no --debug-log", async () => {
  const traced = await tsvisor(["--strace", "--strace-syscalls=exit_group", "do", "--", "/bin/true"]);
  equal(traced.code, 0);
  match(
    traced.stderr,
    /^[\d:.]+ \[\d+\] true exit_group\(0\) = \? <[\d.]+>\n[\d:.]+ \[\d+\] true \+\+\+ exited with 0 \+\+\+\n$/,
  );
  const debugged = await tsvisor(["--debug", "do", "--", "/bin/true"]);
  match(debugged.stderr, /^\d+\.\d\d sentry: guest code runs \(\+\d+\.\d\d ms\)$/m);
  match(debugged.stderr, /^\d+\.\d\d gofer: it is confined /m);
  match(debugged.stderr, /^\d+\.\d\d command line: the container runs /m);
});

Deno.test("run: a user who is not root can open /dev/stdin, stdout and stderr, whatever they are", async () => {
  using bundle = new Bundle();
  const script =
    "cat /dev/stdin; echo out >>/dev/stdout; echo err >>/dev/stderr; echo more >>/proc/self/fd/1";
  bundle.write(script, ({ process }) => process.user = { uid: 1000, gid: 1000 });
  const { code, stdout, stderr } = await bundle.run([], { stdin: "in\n" });
  deepEqual({ code, stdout, stderr }, { code: 0, stdout: "in\nout\nmore\n", stderr: "err\n" });
  const files = ["in", "out", "err"].map((name) => `${bundle.directory}/${name}`);
  Deno.writeTextFileSync(files[0], "in\n", { mode: 0o600 });
  const redirect = `exec "$@" <${files[0]} >>${files[1]} 2>>${files[2]}`;
  const argv = ["--root", bundle.state, "run", "--bundle", bundle.directory, "box"];
  equal((await command(["sh", "-c", redirect, "sh", await tsvisorPath(), ...argv])).code, 0);
  deepEqual(files.map((path) => Deno.readTextFileSync(path)), ["in\n", "in\nout\nmore\n", "err\n"]);
  // On the host they are whose they were.
  deepEqual(files.map((path) => Deno.statSync(path).uid), [0, 0, 0]);
});

Deno.test("run: what a config.json asks for and does not get is told in one line", async () => {
  using bundle = new Bundle();
  const log = `${bundle.directory}/log`;
  bundle.write("echo fine", (config) => {
    config.mounts.push({ destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup" });
    config.process.apparmorProfile = "docker-default";
    config.linux.seccomp = { defaultAction: "SCMP_ACT_ALLOW" };
    config.linux.resources = { memory: {}, devices: null, nothing: { shares: 512 } };
    config.linux.namespaces[0].path = "/proc/1/ns/pid";
  });
  const line =
    "Fields of config.json without effect: process.apparmorProfile, linux.resources.nothing, linux.seccomp (--oci-seccomp), linux.namespaces[0].path, mounts[6] (cgroup)";
  const { code, stdout, stderr } = await bundle.run();
  deepEqual([code, stdout], [0, "fine\n"]);
  const sorted = (text: string) => text.trimEnd().split(/, |: /).sort();
  deepEqual(sorted(stderr), sorted(`tsvisor: ${line}`));
  // Where there is a log stderr is the container's alone.
  const logged = await bundle.run([`--log=${log}`, "--log-format=json"]);
  deepEqual([logged.stdout, logged.stderr], ["fine\n", ""]);
  const { msg, level } = JSON.parse(Deno.readTextFileSync(log));
  equal(level, "warning");
  ok(msg.startsWith("Fields of config.json without effect: "));
});

Deno.test("run: devices of a config.json are there with mode and owner; one that nobody serves answers ENXIO", async () => {
  using bundle = new Bundle();
  const script = "stat -c '%n %F %a %u:%g %t:%T' /dev/one /dev/deep/two /dev/pipe /dev/null; " +
    "cat /dev/one; cat /dev/deep/zero | head -c 2 | wc -c";
  const { code, stdout, stderr } = await bundle.script(script, (config) => {
    config.linux.devices = [
      { type: "c", path: "/dev/one", major: 10, minor: 229, fileMode: 0o644, uid: 7, gid: 8 },
      { type: "b", path: "/dev/deep/two", major: 8, minor: 1 },
      { type: "p", path: "/dev/pipe" },
      { type: "u", path: "/dev/deep/zero", major: 1, minor: 5 },
      { type: "c", path: "/dev/null", major: 1, minor: 3 },
    ];
  });
  const expected = [
    "/dev/one character special file 644 7:8 a:e5",
    "/dev/deep/two block special file 666 0:0 8:1",
    "/dev/pipe fifo 666 0:0 0:0",
    "/dev/null character special file 666 0:0 1:3",
    "2",
  ];
  deepEqual([code, stdout], [0, `${expected.join("\n")}\n`], stderr);
  match(stderr, /'\/dev\/one': No such device or address/);
  const taken = await bundle.script("true", (config) => {
    config.linux.devices = [{ type: "c", path: "/dev/zero", major: 9, minor: 9 }];
  });
  deepEqual([taken.code, taken.stderr], [
    128,
    "tsvisor: Cannot make the device /dev/zero: something else is there\n",
  ]);
});

Deno.test("run: a kernel parameter that is not there is told in one line", async () => {
  using bundle = new Bundle();
  const { code, stdout, stderr } = await bundle.script("echo fine", ({ linux }) => {
    linux.sysctl = { "net.ipv9.nothing": "1" };
  });
  deepEqual([code, stdout], [0, "fine\n"]);
  equal(stderr, 'tsvisor: linux.sysctl: net.ipv9.nothing is not set to "1": ENOENT\n');
});
