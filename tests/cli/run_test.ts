// tsvisor run: what a bundle's config.json asks for is what its process finds.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle, type Config } from "../support/bundle.ts";
import { isAlive, parentOf, pids, read } from "../support/host_processes.ts";
import { command, eventually, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

/** Runs a script in a bundle and compares its lines. */
async function expectLines(
  script: string,
  lines: readonly string[],
  change?: (config: Config) => void,
): Promise<void> {
  using bundle = new Bundle();
  const { code, stdout, stderr } = await bundle.script(script, change);
  equal(stderr, "");
  deepEqual(stdout.trimEnd().split("\n"), lines);
  equal(code, 0);
}

Deno.test("run: args, env, cwd, user, umask and groups", async () => {
  await expectLines(
    'pwd; id -u; id -g; id -G; echo "$A $B"; echo $HOME; umask',
    ["/work/deep", "1000", "1001", "1001 5 6", "3 two", "/home/ann", "0027"],
    ({ process }) => {
      process.cwd = "/work/deep";
      process.user = { uid: 1000, gid: 1001, additionalGids: [5, 6], umask: 0o27 };
      process.env.push("A=1", "B=two", "A=3");
    },
  );
});

Deno.test("run: HOME is the user's of /etc/passwd, or as given", async () => {
  await expectLines("echo $HOME", ["/root"]);
  await expectLines("echo $HOME", ["/mine"], ({ process }) => process.env.push("HOME=/mine"));
  await expectLines("echo $HOME", ["/"], ({ process }) => process.user = { uid: 77, gid: 77 });
});

Deno.test("run: the program is looked up along PATH of the container", async () => {
  await expectLines("", ["found"], ({ process }) => {
    process.args = ["echo", "found"];
    process.env = ["PATH=/none:/bin"];
  });
});

Deno.test("run: rlimits, capabilities, no_new_privs", async () => {
  await expectLines(
    "ulimit -n; ulimit -Hn; grep -E '^(CapEff|CapPrm|CapBnd|CapInh|CapAmb|NoNewPrivs)' /proc/self/status",
    [
      "100",
      "200",
      "CapInh:\t0000000000000000",
      "CapPrm:\t0000000000000020",
      "CapEff:\t0000000000000020",
      "CapBnd:\t0000000000000420",
      "CapAmb:\t0000000000000000",
      "NoNewPrivs:\t1",
    ],
    ({ process }) => {
      process.rlimits = [{ type: "RLIMIT_NOFILE", soft: 100, hard: 200 }];
      process.capabilities = {
        bounding: ["CAP_KILL", "CAP_NET_BIND_SERVICE"],
        effective: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
      };
    },
  );
});

Deno.test("run: hostname, domainname and kernel parameters", async () => {
  await expectLines("hostname; cat /proc/sys/kernel/domainname", ["box", "example.org"], (config) => {
    config.hostname = "first";
    config.domainname = "example.org";
    config.linux.sysctl = { "kernel.hostname": "box" };
  });
});

Deno.test("run: mounts by type, with their options, in the order given", async () => {
  await expectLines(
    [
      "grep -E ' /(small|ro|dev/mqueue|sys|proc|dev/pts|hidden) ' /proc/mounts | while read a b c d e; do echo $b $c $d; done | sort",
      "stat -c '%a %u' /small; dd if=/dev/zero of=/small/file bs=1k count=100 2>/dev/null || echo full",
      "touch /ro/file 2>/dev/null || echo read-only; ls /hidden",
    ].join("\n"),
    [
      "/dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime",
      "/dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666",
      "/hidden tmpfs rw,relatime",
      "/proc proc rw,relatime",
      "/ro tmpfs ro,relatime",
      "/small tmpfs rw,nosuid,nodev,noexec,relatime,size=64k,mode=750,uid=12",
      "/sys sysfs ro,nosuid,nodev,noexec,relatime",
      "750 12",
      "full",
      "read-only",
    ],
    (config) => {
      config.mounts.push(
        {
          destination: "/small",
          type: "tmpfs",
          source: "tmpfs",
          options: ["ro", "nosuid", "nodev", "noexec", "rw", "size=64k", "mode=750", "uid=12"],
        },
        { destination: "/ro", type: "tmpfs", source: "tmpfs", options: ["ro"] },
        { destination: "/hidden/below", type: "tmpfs", source: "tmpfs" },
        { destination: "/hidden", type: "tmpfs", source: "tmpfs" },
      );
    },
  );
});

Deno.test("run: bind mounts of directories and of single files, read-only or not", async () => {
  using bundle = new Bundle();
  const source = `${bundle.directory}/source`;
  Deno.mkdirSync(`${source}/sub`, { recursive: true });
  Deno.writeTextFileSync(`${source}/file`, "content\n");
  Deno.writeTextFileSync(`${source}/script`, "#!/bin/sh\necho ran\n", { mode: 0o755 });
  const { stdout, stderr } = await bundle.script(
    [
      "cat /one/file /in/etc/single; ls /in/two; echo new >/one/made",
      "(echo x >/in/two/made) 2>/dev/null || echo read-only",
      "(echo x >/in/etc/single) 2>/dev/null || echo read-only",
      "/noexec/script 2>/dev/null || echo not executable; /one/script; echo more >>/rw-file",
    ].join("\n"),
    (config) =>
      config.mounts.push(
        { destination: "/one", type: "bind", source, options: ["rbind", "rw"] },
        { destination: "/in/two", type: "none", source, options: ["bind", "ro"] },
        { destination: "/noexec", source: "source", options: ["bind", "noexec"] },
        { destination: "/in/etc/single", type: "bind", source: `${source}/file`, options: ["bind", "ro"] },
        { destination: "/rw-file", type: "bind", source: `${source}/file`, options: ["bind"] },
      ),
  );
  equal(stderr, "");
  deepEqual(stdout.trimEnd().split("\n"), [
    "content",
    "content",
    "file",
    "script",
    "sub",
    "read-only",
    "read-only",
    "not executable",
    "ran",
  ]);
  equal(Deno.readTextFileSync(`${source}/made`), "new\n");
  equal(Deno.readTextFileSync(`${source}/file`), "content\nmore\n");
});

Deno.test("run: rbind shows the host's mounts below a source, bind the source alone", async () => {
  using bundle = new Bundle();
  const below = `${bundle.directory}/source/below`;
  Deno.mkdirSync(below, { recursive: true });
  const mounted = await command(["mount", "-t", "tmpfs", "tmpfs", below]);
  equal(mounted.code, 0, mounted.stderr);
  try {
    Deno.writeTextFileSync(`${below}/file`, "");
    const { stdout } = await bundle.script("ls /all/below; echo; ls /one/below", ({ mounts }) => {
      mounts.push(
        { destination: "/all", source: "source", options: ["rbind"] },
        { destination: "/one", source: "source", options: ["bind"] },
      );
    });
    equal(stdout, "file\n\n");
  } finally {
    await command(["umount", below]);
  }
});

Deno.test("run: maskedPaths show nothing, readonlyPaths cannot be written", async () => {
  using bundle = new Bundle();
  for (const path of ["private", "open"]) Deno.mkdirSync(`${bundle.rootfs}/${path}`);
  for (const path of ["etc/secret", "private/key", "open/file"]) {
    Deno.writeTextFileSync(`${bundle.rootfs}/${path}`, "old\n");
  }
  const { stdout, stderr } = await bundle.script(
    [
      "cat /etc/secret; ls /private; cat /proc/uptime; echo masked",
      "(echo x >/open/file) 2>/dev/null || echo read-only; cat /open/file",
      "(echo x >/proc/sys/kernel/hostname) 2>/dev/null || echo read-only",
    ].join("\n"),
    ({ linux }) => {
      linux.maskedPaths = ["/etc/secret", "/private", "/proc/uptime", "/not/there"];
      linux.readonlyPaths = ["/open", "/proc/sys", "/not/there"];
    },
  );
  equal(stderr, "");
  equal(stdout, "masked\nread-only\nold\nread-only\n");
});

Deno.test("run: --overlay2=all:memory keeps changes of bind mounts in memory too, within its size", async () => {
  using bundle = new Bundle();
  const volume = `${bundle.directory}/volume`;
  Deno.mkdirSync(volume);
  Deno.writeTextFileSync(`${volume}/old`, "old\n");
  const script =
    "echo new >> /volume/old; cat /volume/old; dd if=/dev/zero of=/volume/big bs=1M count=8 2>/dev/null; " +
    "echo $?; stat -c %s /volume/big";
  bundle.write(
    script,
    (config) =>
      config.mounts.push({ destination: "/volume", type: "bind", source: volume, options: ["rbind"] }),
  );
  const kept = await bundle.run(["--overlay2=all:memory,size=4m"]);
  match(kept.stdout, /^old\nnew\n1\n\d+\n$/, kept.stderr);
  equal(Deno.readTextFileSync(`${volume}/old`), "old\n");
  deepEqual([...Deno.readDirSync(volume)].map(({ name }) => name), ["old"]);
  match(
    (await bundle.run(["--overlay2=root:self"])).stderr,
    /--overlay2: "root:self": changes cannot be kept in a file/,
  );
});

Deno.test("run: what is written to a root that is not read-only stays there; with --overlay2=root:memory it does not", async () => {
  using bundle = new Bundle();
  bundle.write("echo kept >/kept; mkdir /made; cat /kept");
  equal((await bundle.run(["--overlay2=root:memory"])).stdout, "kept\n");
  deepEqual(names(bundle.rootfs), ["bin", "etc", "tmp"]);
  equal((await bundle.run()).stdout, "kept\n");
  equal(Deno.readTextFileSync(`${bundle.rootfs}/kept`), "kept\n");
  ok(Deno.statSync(`${bundle.rootfs}/made`).isDirectory);
});

Deno.test("run: with --file-access=shared the container sees what others change in its root", async () => {
  using bundle = new Bundle();
  Deno.writeTextFileSync(`${bundle.rootfs}/shared`, "old\n");
  bundle.write(
    "cat /shared; echo on >/there; while ! test -e /go; do sleep 0.1; done; sleep 0.2; cat /shared",
  );
  // A small file may be read as it was 50 ms ago (kernel/fs/gofer/freshness.ts).
  const running = bundle.run(["--file-access=shared"]);
  ok(await eventually(() => names(bundle.rootfs).includes("there")));
  Deno.writeTextFileSync(`${bundle.rootfs}/shared`, "new and longer\n");
  Deno.writeTextFileSync(`${bundle.rootfs}/go`, "");
  equal((await running).stdout, "old\nnew and longer\n");
});

Deno.test("run: a read-only root is not written, not even for places to mount at", async () => {
  using bundle = new Bundle();
  const { stdout } = await bundle.script(
    "(echo x >/file) 2>/dev/null || echo read-only; test -d /proc/1 && echo proc",
    (config) => {
      config.root.readonly = true;
    },
  );
  equal(stdout, "read-only\nproc\n");
  deepEqual(names(bundle.rootfs), ["bin", "etc", "tmp"]);
});

Deno.test("run: the exit code is the program's, or 128 + the signal it died of", async () => {
  using bundle = new Bundle();
  equal((await bundle.script("exit 37")).code, 37);
  bundle.write("", ({ process }) => process.args = ["sh", "-c", "sh -c 'kill -9 $$'; exit $?"]);
  equal((await bundle.run()).code, 137);
});

Deno.test("run: state, list, kill and delete see it; the pid file has the sentry's pid; nothing is left", async () => {
  using bundle = new Bundle();
  bundle.write("trap 'echo usr1' USR1; trap 'echo term; exit 9' TERM; echo on; while :; do sleep 0.1; done");
  const pidFile = `${bundle.directory}/pid`;
  const args = ["--root", bundle.state, "run", "--pid-file", pidFile, "--bundle", bundle.directory, "box"];
  const child = new Deno.Command(await tsvisorPath(), {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let output = "";
  const until = async (text: string) => {
    while (!output.includes(text)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`It ended after ${output}`);
      output += value;
    }
  };
  await until("on");
  const state = JSON.parse((await bundle.tsvisor(["state", "box"])).stdout);
  equal(state.status, "running");
  equal(state.id, "box");
  equal(state.bundle, Deno.realPathSync(bundle.directory));
  equal(Deno.readTextFileSync(pidFile), String(state.pid));
  equal((await bundle.tsvisor(["list", "-q"])).stdout, "box\n");
  const [listed] = JSON.parse((await bundle.tsvisor(["list", "-f", "json"])).stdout);
  deepEqual([listed.id, listed.status, listed.pid], ["box", "running", state.pid]);
  match(
    (await bundle.tsvisor(["list"])).stdout,
    /^ID +PID +STATUS +BUNDLE +CREATED +OWNER\nbox +\d+ +running /,
  );

  const second = await bundle.run();
  deepEqual([second.code, second.stderr], [128, 'tsvisor: Container "box" already exists\n']);
  const refused = await bundle.tsvisor(["delete", "box"]);
  deepEqual([refused.code, refused.stderr], [
    128,
    'tsvisor: Cannot delete container "box" in state running without --force\n',
  ]);

  equal((await bundle.tsvisor(["kill", "box", "USR1"])).stderr, "");
  await until("usr1");
  equal((await bundle.tsvisor(["kill", "box"])).code, 0);
  await until("term");
  await reader.cancel();
  equal((await child.status).code, 9);
  deepEqual(names(bundle.state), []);
  const gone = await bundle.tsvisor(["state", "box"]);
  deepEqual([gone.code, gone.stderr], [128, 'tsvisor: Container "box" does not exist\n']);
});

Deno.test("delete --force ends a container that runs, and is content with none", async () => {
  using bundle = new Bundle();
  bundle.write("sleep 100");
  const running = bundle.run();
  ok(await eventually(async () => (await bundle.tsvisor(["list"])).stdout.includes("running")));
  equal((await bundle.tsvisor(["delete", "--force", "box"])).code, 0);
  equal((await running).code, 137);
  deepEqual(names(bundle.state), []);
  equal((await bundle.tsvisor(["delete", "-f", "box"])).code, 0);
});

Deno.test("--version has the shape that engines read", async () => {
  using bundle = new Bundle();
  match(
    (await bundle.tsvisor(["--version"])).stdout,
    /^tsvisor version \S+\n(commit: .*\n)?spec: \d+\.\d+\.\d+\n/,
  );
});

Deno.test("run: a caller without root is root inside, and owns on the host what is made there", async () => {
  using bundle = new Bundle();
  const dist = `${bundle.directory}/dist`;
  await command(["cp", "-r", (await tsvisorPath()).replace(/\/tsvisor$/, ""), dist]);
  bundle.write("id -u; echo x >/made; stat -c %u /made");
  await command(["chown", "-R", "4321:4321", bundle.rootfs, bundle.directory]);
  Deno.chmodSync(bundle.directory, 0o755);
  const argv = [`${dist}/tsvisor`, "--root", bundle.state, "run", "--bundle", bundle.directory, "box"];
  const { code, stdout, stderr } = await command([
    "setpriv",
    "--reuid=4321",
    "--regid=4321",
    "--clear-groups",
    ...argv,
  ]);
  deepEqual([code, stdout, stderr], [0, "0\n0\n", ""]);
  equal(Deno.statSync(`${bundle.rootfs}/made`).uid, 4321);
});

Deno.test("--strace writes calls to --debug-log, --strace-syscalls those that are named", async () => {
  using bundle = new Bundle();
  const log = `${bundle.directory}/log`;
  const flags = [`--debug-log=${log}`, "--strace"];
  await bundle.tsvisor([...flags, "do", "--", "/bin/true"]);
  match(Deno.readTextFileSync(log), /\] true execve\(|\] true exit_group\(0\) = \?/);
  Deno.removeSync(log);
  await bundle.tsvisor([...flags, "--strace-syscalls=exit_group,brk", "do", "--", "/bin/true"]);
  const lines = Deno.readTextFileSync(log).trimEnd().split("\n");
  ok(
    lines.length > 0 && lines.every((line) => /\] true ((exit_group|brk)\(|\+\+\+ exited)/.test(line)),
    lines.join("\n"),
  );
});

Deno.test("run: flags of runc without a meaning here are accepted", async () => {
  using bundle = new Bundle();
  bundle.write("echo fine");
  const args = [
    "run",
    "--no-pivot",
    "--no-new-keyring",
    "--user-log",
    "/nowhere",
    "--no-subreaper",
    "--preserve-fds",
    "0",
    "--bundle",
    bundle.directory,
    "x",
  ];
  const { code, stdout } = await bundle.tsvisor(["--debug", "--rootless=auto", ...args]);
  deepEqual([code, stdout], [0, "fine\n"]);
});

function names(directory: string): string[] {
  return [...Deno.readDirSync(directory)].map((entry) => entry.name).sort();
}

Deno.test("do: a relative --cwd is below the caller's directory", async () => {
  const { code, stdout, stderr } = await tsvisor(["do", "--cwd", "share", "--", "/bin/pwd"], { cwd: "/usr" });
  equal(stdout, "/usr/share\n", stderr);
  equal(code, 0);
});

Deno.test("run: more bind mounts than descriptors in one message", async () => {
  using bundle = new Bundle();
  const count = 80;
  const { code, stdout, stderr } = await bundle.script(
    `for d in /m/*; do cat $d/name; done | wc -l; cat /m/${count - 1}/name`,
    (config) => {
      for (let i = 0; i < count; i++) {
        const source = `${bundle.directory}/source-${i}`;
        Deno.mkdirSync(source);
        Deno.writeTextFileSync(`${source}/name`, `${i}\n`);
        config.mounts.push({ destination: `/m/${i}`, type: "bind", source, options: ["rbind", "ro"] });
      }
    },
  );
  deepEqual([code, stdout, stderr], [0, `${count}\n${count - 1}\n`, ""]);
});

Deno.test("run: what was started for a container that cannot be is gone with the command", async () => {
  using bundle = new Bundle();
  const { code } = await bundle.tsvisor(["run", "--bundle", `${bundle.directory}/missing`, "x"]);
  equal(code, 128);
  const lib = `${(await tsvisorPath()).replace(/[^/]+$/, "")}lib/`;
  const orphans = pids().filter((pid) => isAlive(pid) && parentOf(pid) === 1).map((pid) =>
    read(`/proc/${pid}/cmdline`)
  );
  deepEqual(orphans.filter((line) => line.startsWith(lib)), []);
});

Deno.test("--debug writes the stages of a start to --debug-log, of all three processes", async () => {
  using bundle = new Bundle();
  const log = `${bundle.directory}/log`;
  await bundle.tsvisor(["--debug", `--debug-log=${log}`, "do", "--", "/bin/true"]);
  const text = Deno.readTextFileSync(log);
  match(text, /^\d+\.\d\d sentry: guest code runs \(\+\d+\.\d\d ms\)$/m);
  match(text, /^\d+\.\d\d gofer: it is confined /m);
  match(text, /^\d+\.\d\d command line: the container runs /m);
});
