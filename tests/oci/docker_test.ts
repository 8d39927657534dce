// Docker drives tsvisor: the real daemon of the distribution, with directories, socket and cgroups of its own and an image
// made on the spot. TSVISOR_REPEATS=N repeats lives more often.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { hostHierarchies } from "../../boot/cgroup/cgroup.ts";
import { Bundle } from "../support/bundle.ts";
import { command, delay, type Finished, type RunOptions, tsvisorPath } from "../support/tsvisor.ts";

const IMAGE = "box";
const RUN = ["--runtime", "tsvisor", "--network", "none"];
const REPEATS = Number(Deno.env.get("TSVISOR_REPEATS") ?? 1);
const AT_ONCE = 8;
/** Longest the daemon may take to answer, and a command of it. */
const START_TRIES = 600;
const CALL_MILLIS = 180_000;

class Docker {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-docker-" });
  readonly #socket = `unix://${this.directory}/socket`;
  readonly #cgroup = `/tsvisor-docker-${crypto.randomUUID()}`;
  #daemon: Deno.ChildProcess | null = null;

  async start(): Promise<void> {
    const at = this.directory;
    const daemon = { runtimes: { tsvisor: { path: await tsvisorPath() } } };
    Deno.writeTextFileSync(`${at}/daemon.json`, JSON.stringify(daemon));
    const words = [
      ...["--config-file", `${at}/daemon.json`, "--data-root", `${at}/root`, "--exec-root", `${at}/exec`],
      ...["--pidfile", `${at}/pid`, "--host", this.#socket, "--storage-driver", "vfs"],
      ...["--bridge=none", "--iptables=false", "--ip6tables=false", "--cgroup-parent", this.#cgroup],
    ];
    this.#daemon = new Deno.Command("sh", {
      args: ["-c", `exec dockerd "$@" >${at}/log 2>&1`, "sh", ...words],
      stdin: "null",
    }).spawn();
    for (let tries = 0; tries < START_TRIES; tries++) {
      if ((await this.call(["version"])).code === 0) return;
      await delay(100);
    }
    throw new Error(`dockerd does not answer: ${Deno.readTextFileSync(`${at}/log`).slice(-2000)}`);
  }

  /** Words of a command of the client. */
  words(args: readonly string[]): string[] {
    return ["docker", "--host", this.#socket, ...args];
  }

  async call(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return await command(this.words(args), { timeoutMillis: CALL_MILLIS, ...options });
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(args);
    equal(code, 0, `docker ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** busybox and the names of its applets. */
  async makeImage(): Promise<void> {
    using bundle = new Bundle();
    const archive = `${this.directory}/image.tar`;
    await command(["tar", "-C", bundle.rootfs, "-cf", archive, "."]);
    await this.must("import", archive, IMAGE);
  }

  /** Waits until a container is in a state. */
  async reaches(name: string, expected: RegExp): Promise<void> {
    const format = "{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}";
    for (let tries = 0; tries < START_TRIES; tries++) {
      if (expected.test(await this.must("inspect", name, "--format", format))) return;
      await delay(100);
    }
    match(await this.must("inspect", name, "--format", format), expected);
  }

  /** What is in its cgroups, once nothing of it runs. */
  cgroupsLeft(): string[] {
    const tops = hostHierarchies().map(({ mountPoint }) => `${mountPoint}${this.#cgroup}`);
    return tops.flatMap((top) => {
      try {
        return [...Deno.readDirSync(top)].filter(({ isDirectory }) => isDirectory).map(({ name }) =>
          `${top}/${name}`
        );
      } catch {
        return [];
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout } = await this.call(["ps", "--all", "--quiet"]);
    const ids = stdout.split("\n").filter((id) => id !== "");
    if (ids.length > 0) await this.call(["rm", "--force", ...ids]);
    this.#daemon?.kill("SIGTERM");
    await this.#daemon?.status;
    for (const { mountPoint } of hostHierarchies()) await command(["rmdir", `${mountPoint}${this.#cgroup}`]);
    // Should anything of it be mounted still.
    for (const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n").reverse()) {
      const path = line.split(" ")[4] ?? "";
      if (path.startsWith(`${this.directory}/`)) await command(["umount", "-q", path]);
    }
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("docker: run, exec, logs, stats, pause, stop, kill, restart, rm", async (test) => {
  await using docker = new Docker();
  await docker.start();
  await docker.makeImage();
  await test.step("run --rm gives output and status", async () => {
    const { code, stdout, stderr } = await docker.call([
      ...["run", "--rm", ...RUN, IMAGE, "/bin/sh", "-c", "echo out; echo err >&2; exit 42"],
    ]);
    deepEqual([code, stdout, stderr], [42, "out\n", "err\n"]);
  });
  await test.step("a program that is missing is reported as for runc", async () => {
    const { code, stderr } = await docker.call(["run", "--rm", ...RUN, IMAGE, "nothing"]);
    equal(code, 127);
    match(stderr, /executable file not found in \$PATH/);
  });
  await test.step("limits, stdin, user, read-only root, volume", async () => {
    const shared = `${docker.directory}/shared`;
    Deno.mkdirSync(shared);
    Deno.writeTextFileSync(`${shared}/file`, "shared\n");
    const script = "id -u; cat; cat /mnt/file; echo x >/bin/x || echo refused";
    const { code, stdout, stderr } = await docker.call([
      ...["run", "--rm", "-i", ...RUN, "--memory", "128m", "--pids-limit", "50", "--cpus", "0.9"],
      ...["--user", "1000", "--read-only", "-v", `${shared}:/mnt:ro`, IMAGE, "/bin/sh", "-c", script],
    ], { stdin: "typed\n" });
    deepEqual([code, stdout], [0, "1000\ntyped\nshared\nrefused\n"], stderr);
  });
  await test.step("in the background", async () => {
    const script = "echo begins; trap 'echo ends; exit 5' TERM; while :; do sleep 0.1; done";
    const words = [...RUN, "--memory", "128m", "--pids-limit", "50", IMAGE, "/bin/sh", "-c", script];
    await docker.must("run", "-d", "--name", "one", ...words);
    equal(await docker.must("exec", "one", "/bin/echo", "inside"), "inside\n");
    equal((await docker.call(["exec", "one", "/bin/sh", "-c", "exit 9"])).code, 9);
    const fed = await docker.call(["exec", "-i", "one", "/bin/cat"], { stdin: "fed" });
    deepEqual([fed.code, fed.stdout], [0, "fed"]);
    match(await docker.must("stats", "--no-stream", "--format", "{{.MemUsage}}", "one"), /\/ 128MiB\n$/);
    await docker.must("pause", "one");
    await docker.reaches("one", /^paused/);
    await docker.must("unpause", "one");
    await docker.must("stop", "--time", "60", "one");
    await docker.reaches("one", /^exited 5 /);
    equal(await docker.must("logs", "one"), "begins\nends\n");
    await docker.must("start", "one");
    await docker.must("kill", "one");
    await docker.reaches("one", /^exited 137 /);
    await docker.must("rm", "one");
    equal(await docker.must("ps", "--all", "--quiet"), "");
  });
  await test.step("restart policy", async () => {
    const words = ["--restart", "on-failure:2", ...RUN, IMAGE, "/bin/sh", "-c", "echo run; exit 1"];
    await docker.must("run", "-d", "--name", "two", ...words);
    await docker.reaches("two", /^exited 1 2\n$/);
    equal(await docker.must("logs", "two"), "run\nrun\nrun\n");
    await docker.must("rm", "two");
  });
  await test.step("a terminal", async () => {
    const script = "test -t 0 && test -t 1 && echo terminal";
    const words = docker.words(["run", "--rm", "-it", ...RUN, IMAGE, "/bin/sh", "-c", script]);
    const line = words.map((word) => `'${word}'`).join(" ");
    const { code, stdout } = await command(["script", "-qec", line, "/dev/null"], {
      timeoutMillis: CALL_MILLIS,
    });
    equal(code, 0, stdout);
    ok(stdout.endsWith("terminal\r\n"), JSON.stringify(stdout));
  });
  deepEqual(docker.cgroupsLeft(), []);
});

/** What one container goes through. */
async function live(docker: Docker, name: string): Promise<void> {
  const { code, stdout } = await docker.call([
    ...["run", "--rm", ...RUN, IMAGE, "/bin/sh", "-c", `echo ${name}; exit 7`],
  ]);
  deepEqual([code, stdout], [7, `${name}\n`]);
  const script = "echo begins; trap 'echo ends; exit 5' TERM; while :; do sleep 0.1; done";
  await docker.must("run", "-d", "--name", name, ...RUN, "--memory", "128m", IMAGE, "/bin/sh", "-c", script);
  const inside = await docker.call(["exec", name, "/bin/sh", "-c", "echo inside; exit 9"]);
  deepEqual([inside.code, inside.stdout], [9, "inside\n"]);
  await docker.must("pause", name);
  await docker.must("unpause", name);
  await docker.must("stop", "--time", "150", name);
  await docker.reaches(name, /^exited 5 /);
  equal(await docker.must("logs", name), "begins\nends\n");
  await docker.must("rm", name);
}

Deno.test(`docker: ${REPEATS} lives in a row, and ${AT_ONCE} at once`, async () => {
  await using docker = new Docker();
  await docker.start();
  await docker.makeImage();
  for (let n = 0; n < REPEATS; n++) await live(docker, `row-${n}`);
  const ended = await Promise.allSettled(
    Array.from({ length: AT_ONCE }, (_, n) => live(docker, `once-${n}`)),
  );
  deepEqual(ended.filter(({ status }) => status === "rejected"), []);
  equal(await docker.must("ps", "--all", "--quiet"), "");
  deepEqual(docker.cgroupsLeft(), []);
});
