// podman drives tsvisor: the real one of the distribution, with directories of its own and an image made on the spot.

import { deepEqual, equal, match } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { command, delay, type Finished, type RunOptions, tsvisorPath } from "../support/tsvisor.ts";

const IMAGE = "localhost/box";
/** The machines that test lack CAP_SYS_RESOURCE. Networks have a test of their own. */
const RUN = ["--network", "none", "--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:4096"];

class Podman {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-podman-" });

  /** `within` is a command that runs podman. */
  async call(
    args: readonly string[],
    options: RunOptions = {},
    within: readonly string[] = [],
  ): Promise<Finished> {
    const own = [
      ...[
        "--runtime",
        await tsvisorPath(),
        "--storage-driver",
        "vfs",
        "--cgroup-manager",
        "cgroupfs",
      ],
      ...["--events-backend", "file", "--log-level", "error"],
      ...["--root", `${this.directory}/root`, "--runroot", `${this.directory}/run`],
      ...["--network-config-dir", `${this.directory}/networks`],
    ];
    return await command([...within, "podman", ...own, ...args], options);
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(args);
    equal(code, 0, `podman ${args.join(" ")}: ${stderr}`);
    return stdout.replaceAll("\r\n", "\n");
  }

  /** busybox and the names of its applets. */
  async makeImage(): Promise<void> {
    using bundle = new Bundle();
    const archive = `${this.directory}/image.tar`;
    await command(["tar", "-C", bundle.rootfs, "-cf", archive, "."]);
    await this.must("import", archive, IMAGE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call(["rm", "--all", "--force", "--time", "0"]);
    // Should anything of it be mounted still.
    await command(["umount", "-R", "-q", `${this.directory}/root/vfs`]);
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("podman: run, exec, logs, ps, pause, stop, rm", async (test) => {
  await using podman = new Podman();
  await podman.makeImage();
  await test.step("run --rm gives output and status", async () => {
    const { code, stdout, stderr } = await podman.call([
      ...["run", "--rm", ...RUN, IMAGE, "/bin/sh", "-c", "echo out; echo err >&2; exit 42"],
    ]);
    deepEqual([code, stdout, stderr], [42, "out\n", "err\n"]);
  });
  await test.step("a program that is missing is reported as podman does for runc", async () => {
    const { code, stderr } = await podman.call(["run", "--rm", ...RUN, IMAGE, "nothing"]);
    equal(code, 127);
    match(stderr, /executable file not found in \$PATH/);
  });
  await test.step("stdin, user, read-only root, volume", async () => {
    // An ordinary user inside gets there.
    const shared = `${podman.directory}/shared`;
    Deno.mkdirSync(shared);
    Deno.writeTextFileSync(`${shared}/file`, "shared\n");
    const { code, stdout } = await podman.call([
      ...["run", "--rm", "-i", ...RUN, "--user", "1000", "--read-only", "-v", `${shared}:/mnt:ro`],
      ...[
        IMAGE,
        "/bin/sh",
        "-c",
        "id -u; cat; cat /mnt/file; echo x >/bin/x || echo refused; touch /tmp/y && echo fine",
      ],
    ], { stdin: "typed\n" });
    deepEqual([code, stdout], [0, "1000\ntyped\nshared\nrefused\nfine\n"]);
  });
  await test.step("in the background", async () => {
    const script = "echo begins; trap 'echo ends; exit 5' TERM; while :; do sleep 0.1; done";
    await podman.must("run", "-d", "--name", "one", ...RUN, IMAGE, "/bin/sh", "-c", script);
    equal(await podman.must("exec", "one", "/bin/echo", "inside"), "inside\n");
    equal((await podman.call(["exec", "one", "/bin/sh", "-c", "exit 9"])).code, 9);
    equal((await podman.call(["exec", "one", "nothing"])).code, 127);
    const fed = await podman.call(["exec", "-i", "one", "/bin/cat"], { stdin: "fed" });
    deepEqual([fed.code, fed.stdout], [0, "fed"]);
    const status = async () => await podman.must("inspect", "one", "--format", "{{.State.Status}}");
    equal(await status(), "running\n");
    await podman.must("pause", "one");
    equal(await status(), "paused\n");
    await podman.must("unpause", "one");
    await podman.must("stop", "one");
    equal(
      await podman.must("inspect", "one", "--format", "{{.State.Status}} {{.State.ExitCode}}"),
      "exited 5\n",
    );
    equal(await podman.must("logs", "one"), "begins\nends\n");
    await podman.must("start", "one");
    await podman.must("rm", "--force", "--time", "0", "one");
    equal(await podman.must("ps", "-aq"), "");
  });
  await test.step("a terminal", async () => {
    const args = [
      "run",
      "--rm",
      "-it",
      ...RUN,
      IMAGE,
      "/bin/sh",
      "-c",
      "test -t 0 && test -t 1 && echo terminal",
    ];
    const own = [await tsvisorPath(), `${podman.directory}/root`, `${podman.directory}/run`];
    const podmanWords = `podman --runtime ${own[0]} --storage-driver vfs --cgroup-manager cgroupfs ` +
      `--events-backend file --root ${own[1]} --runroot ${own[2]} `;
    const line = podmanWords + args.map((word) => `'${word}'`).join(" ");
    const { code, stdout } = await command(["script", "-qec", line, "/dev/null"]);
    deepEqual([code, stdout], [0, "terminal\r\n"]);
  });
});

/** Tries of a published port, half a second apart. */
const TRIES_MAX = 120;

/**
 * What a client gets from port 18080, published of a container on podman's default bridge, by its address and by loopback. All
 * of it is in a network namespace of the test's, with which bridge, ports and rules go.
 */
async function published(podman: Podman, namespace: string): Promise<string> {
  const within = ["ip", "netns", "exec", namespace];
  const script = "echo hello >/tmp/page; cd /tmp; exec busybox httpd -f -p 80";
  const run = [
    "run",
    "-d",
    "--name",
    "web",
    "-p",
    "18080:80",
    ...RUN.slice(2),
    IMAGE,
    "/bin/sh",
    "-c",
    script,
  ];
  const started = await podman.call(run, {}, within);
  if (started.code !== 0) return started.stderr;
  let said = "";
  for (const address of ["127.0.0.1", "10.88.0.1"]) {
    const ask = ["curl", "-s", "-m", "5", `http://${address}:18080/page`];
    let page = await command([...within, ...ask]);
    for (let i = 0; i < TRIES_MAX && page.code !== 0; i++) {
      await delay(500);
      page = await command([...within, ...ask]);
    }
    said += page.stdout;
  }
  await podman.call(["rm", "--force", "--time", "0", "web"], {}, within);
  return said;
}

Deno.test("podman: the default bridge, and a published port", async () => {
  await using podman = new Podman();
  await podman.makeImage();
  const namespace = `tsvp${Deno.pid}`;
  equal((await command(["ip", "netns", "add", namespace])).code, 0);
  try {
    await command(["ip", "-n", namespace, "link", "set", "lo", "up"]);
    const said = await published(podman, namespace);
    // A kernel without bridges or address translation has no such networks, whatever the runtime.
    if (/plugin type=|netavark:|iptables/.test(said)) {
      return console.log(`podman has no network here: ${said}`);
    }
    equal(said, "hello\nhello\n");
  } finally {
    await command(["ip", "netns", "del", namespace]);
  }
});
