// Pods by the command line, as containerd's shim for runc and CRI-O call it: several containers in one sandbox, by annotations.

import { deepEqual, equal, match, notEqual, ok } from "node:assert/strict";
import { Bundle, type Config } from "../support/bundle.ts";
import { gone } from "../support/host_processes.ts";
import { command, delay, type Finished, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

const LOOP = "trap 'exit 5' TERM; sleep 1000 & wait";

/** A sandbox "pod" whose container only waits, in the background; further bundles share its state directory. */
class Pod implements AsyncDisposable {
  readonly #bundles: Bundle[] = [];
  readonly #flags: readonly string[];
  readonly state: string;

  constructor(flags: readonly string[] = []) {
    this.#flags = flags;
    const bundle = new Bundle();
    this.#bundles.push(bundle);
    this.state = bundle.state;
  }

  get root(): Bundle {
    return this.#bundles[0];
  }

  /** With files for stdio where a container gets it: of pipes of ours we would await the end. */
  async tsvisor(...args: readonly string[]): Promise<Finished> {
    if (args[0] !== "create" && args[0] !== "run") return await this.root.tsvisor([...this.#flags, ...args]);
    const [out, err] = ["stdout", "stderr"].map((name) => `${this.root.directory}/${name}`);
    const words = [await tsvisorPath(), "--root", this.state, ...this.#flags, ...args];
    const finished = await command(["sh", "-c", `exec "$0" "$@" >${out} 2>${err}`, ...words]);
    return { ...finished, stdout: Deno.readTextFileSync(out), stderr: Deno.readTextFileSync(err) };
  }

  async must(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.tsvisor(...args);
    equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  async start(change: (config: Config) => void = () => {}): Promise<void> {
    this.root.write(LOOP, (config) => {
      config.annotations = {
        "io.kubernetes.cri.container-type": "sandbox",
        "io.kubernetes.cri.sandbox-id": "pod",
      };
      config.hostname = "podname";
      change(config);
    });
    await this.must("run", "--detach", "--bundle", this.root.directory, "pod");
  }

  /** A bundle of a container in the sandbox. */
  bundle(script: string, change: (config: Config) => void = () => {}): Bundle {
    const bundle = new Bundle();
    this.#bundles.push(bundle);
    bundle.write(script, (config) => {
      config.annotations = {
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-id": "pod",
      };
      config.linux.namespaces = [{ type: "pid" }, { type: "mount" }];
      change(config);
    });
    return bundle;
  }

  async status(id: string): Promise<string> {
    const { code, stdout } = await this.tsvisor("state", id);
    return code === 0 ? JSON.parse(stdout).status : "gone";
  }

  /** Of the host: who waits for it, and its children. */
  async processesOf(id: string): Promise<number[]> {
    const { pid } = JSON.parse(await this.must("state", id));
    const children = Deno.readTextFileSync(`/proc/${pid}/task/${pid}/children`).trim();
    return [pid, ...children.split(" ").map(Number)];
  }

  async becomes(id: string, status: string): Promise<void> {
    for (let tries = 0; tries < 600 && await this.status(id) !== status; tries++) await delay(50);
    equal(await this.status(id), status);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout } = await this.tsvisor("list", "--quiet");
    for (const id of stdout.split("\n").filter((line) => line !== "")) {
      await this.tsvisor("delete", "--force", id);
    }
    for (const bundle of this.#bundles) bundle[Symbol.dispose]();
  }
}

for (const platform of PLATFORMS) {
  Deno.test(`pod: containers come and go in one sandbox, on ${platform}`, async () => {
    const processes: number[] = [];
    {
      await using pod = new Pod([`--platform=${platform}`]);
      await pod.start();
      const one = pod.bundle(`echo one > /tmp/name; ${LOOP}`);
      await pod.must("create", "--bundle", one.directory, "--pid-file", `${one.directory}/pid`, "one");
      equal(await pod.status("one"), "created");
      const { pid } = JSON.parse(await pod.must("state", "one"));
      equal(Deno.readTextFileSync(`${one.directory}/pid`), String(pid));
      await pod.must("start", "one");
      equal(await pod.status("one"), "running");
      const two = pod.bundle(LOOP, (config) => config.linux.namespaces = []);
      await pod.must("run", "--detach", "--bundle", two.directory, "two");
      notEqual(JSON.parse(await pod.must("state", "two")).pid, pid);
      for (const id of ["pod", "one", "two"]) processes.push(...await pod.processesOf(id));
      equal(processes.length, 7, "who waits and a gofer of each, one sentry");

      equal(await pod.must("exec", "one", "/bin/sh", "-c", "cat /tmp/name; echo $PPID"), "one\n0\n");
      equal((await pod.tsvisor("exec", "two", "/bin/cat", "/tmp/name")).code, 1, "each has its root");
      equal(await pod.must("exec", "one", "/bin/hostname"), "podname\n");
      const ids = async (id: string) => JSON.parse(await pod.must("ps", "--format", "json", id)) as number[];
      ok((await ids("one")).includes(1), "it is process 1 of its own");
      ok(!(await ids("two")).includes(1), "it shares the sandbox's");
      const shown = await pod.must("exec", "pod", "/bin/sh", "-c", "ls /proc | grep -c '^[0-9]'");
      ok(Number(shown) >= 6, "the sandbox sees the processes of all");
      const events = JSON.parse(await pod.must("events", "--stats", "one"));
      ok(events.data.cpu.usage.total > 0 && events.data.pids.current >= 1);

      await pod.must("kill", "one", "TERM");
      equal((await pod.tsvisor("wait", "one")).code === 0, false);
      await pod.becomes("one", "stopped");
      equal(await pod.status("pod"), "running", "a container's end is not the sandbox's");
      equal(await pod.status("two"), "running");
      await pod.must("delete", "one");
      const again = await pod.tsvisor("run", "--bundle", pod.bundle("exit 7").directory, "one");
      equal(again.code, 7, again.stderr);
      await pod.must("kill", "two", "KILL");
      await pod.becomes("two", "stopped");
      await pod.must("delete", "two");

      await pod.must("run", "--detach", "--bundle", two.directory, "two");
      await pod.must("kill", "pod", "KILL");
      await pod.becomes("two", "stopped");
      await pod.becomes("pod", "stopped");
    }
    deepEqual(await gone(processes, 20_000), []);
  });
}

Deno.test("pod: containers share the network, System V objects and what a hint says", async () => {
  const shared = Deno.makeTempDirSync({ prefix: "tsvisor-volume-" });
  const hint = (field: string) => `dev.gvisor.spec.mount.scratch.${field}`;
  try {
    await using pod = new Pod();
    await pod.start((config) => {
      Object.assign(config.annotations, {
        [hint("source")]: shared,
        [hint("type")]: "tmpfs",
        [hint("share")]: "pod",
      });
    });
    const volume = { destination: "/scratch", type: "bind", source: shared, options: ["rbind", "rw"] };
    for (const id of ["one", "two"]) {
      const bundle = pod.bundle(LOOP, (config) => config.mounts.push(volume));
      await pod.must("run", "--detach", "--bundle", bundle.directory, id);
    }
    await pod.must("exec", "one", "/bin/sh", "-c", "echo between > /scratch/file");
    equal(await pod.must("exec", "two", "/bin/cat", "/scratch/file"), "between\n");
    deepEqual([...Deno.readDirSync(shared)], [], "nothing of it is on the host");
    match(await pod.must("exec", "two", "/bin/grep", "/scratch", "/proc/mounts"), /^scratch \/scratch tmpfs/);
    const names = ["ipc", "net", "uts"];
    const namespaces = async (id: string) =>
      await pod.must(
        "exec",
        id,
        "/bin/sh",
        "-c",
        `cd /proc/self/ns; for n in ${names.join(" ")}; do stat -Lc %i $n; done`,
      );
    equal(await namespaces("one"), await namespaces("pod"));
  } finally {
    Deno.removeSync(shared, { recursive: true });
  }
});

Deno.test("pod: the loss of a gofer or of who waits is one container's end", async () => {
  await using pod = new Pod();
  await pod.start();
  const bundle = pod.bundle(LOOP);
  for (const name of ["waits", "serves"]) {
    await pod.must("run", "--detach", "--bundle", bundle.directory, name);
    const [waiter, gofer] = await pod.processesOf(name);
    Deno.kill(name === "waits" ? waiter : gofer, "SIGKILL");
    await pod.becomes(name, "stopped");
    await pod.must("delete", name);
    await pod.must("run", "--detach", "--bundle", bundle.directory, name);
    equal(await pod.must("exec", name, "/bin/echo", "again"), "again\n");
  }
  equal(await pod.status("pod"), "running");
});

Deno.test("pod: what cannot join says why and leaves nothing", async () => {
  await using pod = new Pod();
  const bundle = pod.bundle("exit 0");
  const early = await pod.tsvisor("create", "--bundle", bundle.directory, "one");
  deepEqual([early.code, early.stderr], [128, 'tsvisor: Container "pod" does not exist\n']);
  await pod.start();
  const missing = pod.bundle("", (config) => config.process.args = ["/missing"]);
  const refused = await pod.tsvisor("create", "--bundle", missing.directory, "one");
  equal(refused.code, 127, refused.stderr);
  match(refused.stderr, /^tsvisor: Cannot run \/missing: [^\n]*\n$/);
  equal(await pod.status("one"), "gone");
  await pod.must("kill", "pod", "KILL");
  await pod.becomes("pod", "stopped");
  const late = await pod.tsvisor("create", "--bundle", bundle.directory, "one");
  deepEqual([late.code, late.stderr], [128, 'tsvisor: Cannot join sandbox "pod" in state stopped\n']);
  equal(await pod.status("one"), "gone");
});
