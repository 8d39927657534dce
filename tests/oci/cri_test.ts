// Kubernetes' way in: containerd's CRI makes a pod of two containers through the stock shim for runc. The network of a sandbox
// is its own: CNI gives the host's namespace that goes with it a loopback, and an address that nobody uses.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import {
  callCri,
  CONTAINER_STATE,
  NAMESPACE_MODE,
  SANDBOX_READY,
  type Streamed,
  streamExec,
} from "../support/cri.ts";
import { command, delay, tsvisorPath } from "../support/tsvisor.ts";

/** Lives of a pod one after the other, where they are asked for: it takes minutes; and at once. */
const REPEATS = Number(Deno.env.get("TSVISOR_REPEATS") ?? 0);
const AT_ONCE = 8;
const IMAGE = "localhost/box:latest";
const TRIES_MAX = 1200;
/** Of Debian's containernetworking-plugins. */
const CNI_PLUGINS = "/usr/lib/cni";
const NO_NETWORK = `#!/bin/sh
cat >/dev/null
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"0.4.0","supportedVersions":["0.4.0"]}' ;;
ADD) echo '{"cniVersion":"0.4.0","interfaces":[{"name":"eth0","sandbox":"'$CNI_NETNS'"}],
  "ips":[{"version":"4","address":"192.0.2.1/32","interface":0}]}' ;;
esac
`;

class Kubelet implements AsyncDisposable {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-cri-" });
  readonly logs = `${this.directory}/logs`;
  #daemon: Deno.ChildProcess | null = null;

  get socket(): string {
    return `${this.directory}/socket`;
  }

  async start(): Promise<void> {
    const at = this.directory;
    for (const name of ["cni", "plugins", "logs"]) Deno.mkdirSync(`${at}/${name}`);
    Deno.symlinkSync(`${CNI_PLUGINS}/loopback`, `${at}/plugins/loopback`);
    Deno.writeTextFileSync(`${at}/plugins/none`, NO_NETWORK, { mode: 0o755 });
    const network = { cniVersion: "0.4.0", name: "none", plugins: [{ type: "none" }] };
    Deno.writeTextFileSync(`${at}/cni/10-none.conflist`, JSON.stringify(network));
    const cri = `plugins."io.containerd.grpc.v1.cri"`;
    Deno.writeTextFileSync(
      `${at}/config.toml`,
      `version = 2
root = "${at}/root"
state = "${at}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "${at}/socket"
[${cri}]
sandbox_image = "${IMAGE}"
disable_tcp_service = true
stream_server_address = "127.0.0.1"
stream_server_port = "0"
restrict_oom_score_adj = true
[${cri}.containerd]
snapshotter = "native"
default_runtime_name = "tsvisor"
[${cri}.containerd.runtimes.tsvisor]
runtime_type = "io.containerd.runc.v2"
[${cri}.containerd.runtimes.tsvisor.options]
BinaryName = "${await tsvisorPath()}"
[${cri}.cni]
bin_dir = "${at}/plugins"
conf_dir = "${at}/cni"
`,
    );
    this.#daemon = new Deno.Command("containerd", {
      args: ["-c", `${at}/config.toml`, "--log-level", "info"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let tries = 0;; tries++) {
      try {
        equal((await this.call("Version", {})).runtime_name, "containerd");
        return;
      } catch (error) {
        if (tries >= TRIES_MAX) throw error;
        await delay(50);
      }
    }
  }

  // deno-lint-ignore no-explicit-any
  async call(name: string, request: Record<string, unknown>): Promise<any> {
    return await callCri(this.socket, name, request);
  }

  /** A pause image and a container's in one: busybox, which sleeps where nothing else is asked for. */
  async importImage(): Promise<void> {
    using bundle = new Bundle();
    const image = `${this.directory}/image`, blobs = `${image}/blobs/sha256`;
    Deno.mkdirSync(blobs, { recursive: true });
    const blob = async (bytes: Uint8Array<ArrayBuffer>, type: string) => {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
      Deno.writeFileSync(`${blobs}/${digest}`, bytes);
      return {
        mediaType: `application/vnd.oci.image.${type}`,
        digest: `sha256:${digest}`,
        size: bytes.length,
      };
    };
    const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    await command(["tar", "-C", bundle.rootfs, "-cf", `${this.directory}/layer.tar`, "."]);
    const layer = await blob(Deno.readFileSync(`${this.directory}/layer.tar`), "layer.v1.tar");
    const process = { Env: ["PATH=/bin"], Entrypoint: ["/bin/sleep", "1000000"] };
    const rootfs = { type: "layers", diff_ids: [layer.digest] };
    const config = await blob(
      json({ architecture: "amd64", os: "linux", config: process, rootfs }),
      "config.v1+json",
    );
    const manifest = await blob(json({ schemaVersion: 2, config, layers: [layer] }), "manifest.v1+json");
    const annotations = { "io.containerd.image.name": IMAGE };
    const index = { schemaVersion: 2, manifests: [{ ...manifest, annotations }] };
    Deno.writeFileSync(`${image}/index.json`, json(index));
    Deno.writeFileSync(`${image}/oci-layout`, json({ imageLayoutVersion: "1.0.0" }));
    const archive = `${this.directory}/image.tar`;
    await command(["tar", "-C", image, "-cf", archive, "."]);
    const ctr = ["ctr", "--address", this.socket, "-n", "k8s.io"];
    const imported = await command([...ctr, "images", "import", "--snapshotter", "native", archive]);
    equal(imported.code, 0, imported.stderr);
  }

  sandboxConfig(name: string) {
    const namespaces = { network: NAMESPACE_MODE.POD, pid: NAMESPACE_MODE.CONTAINER };
    return {
      metadata: { name, uid: `uid-${name}`, namespace: "default" },
      hostname: name,
      log_directory: this.logs,
      linux: { security_context: { namespace_options: namespaces } },
    };
  }

  async runPod(name: string): Promise<string> {
    const config = this.sandboxConfig(name);
    return (await this.call("RunPodSandbox", { config, runtime_handler: "tsvisor" })).pod_sandbox_id;
  }

  /** A container that runs `script`. */
  async runContainer(pod: string, podName: string, name: string, script: string): Promise<string> {
    const { container_id } = await this.call("CreateContainer", {
      pod_sandbox_id: pod,
      sandbox_config: this.sandboxConfig(podName),
      config: {
        metadata: { name },
        image: { image: IMAGE },
        command: ["/bin/sh", "-c", script],
        envs: [{ key: "WHO", value: name }],
        log_path: `${name}.log`,
      },
    });
    await this.call("StartContainer", { container_id });
    return container_id;
  }

  async execute(container_id: string, ...cmd: string[]) {
    const { stdout = new Uint8Array(), exit_code = 0 } = await this.call("ExecSync", { container_id, cmd });
    return { stdout: new TextDecoder().decode(stdout), code: exit_code };
  }

  /** As kubectl exec: over streams, with a terminal or without. */
  async stream(container_id: string, tty: boolean, script: string, input: string): Promise<Streamed> {
    const streams = { stdin: input !== "", stdout: true, stderr: !tty };
    const cmd = ["/bin/sh", "-c", script];
    return await streamExec((await this.call("Exec", { container_id, cmd, tty, ...streams })).url, input);
  }

  async exited(container_id: string): Promise<number> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { status } = await this.call("ContainerStatus", { container_id });
      if (status.state === CONTAINER_STATE.EXITED) return status.exit_code ?? 0;
      await delay(50);
    }
    throw new Error("The container does not end");
  }

  /** Processes and mounts that name our directory. */
  async traces(): Promise<string[]> {
    const processes = (await command(["ps", "-eo", "stat=,args="])).stdout.split("\n")
      .filter((line) => !line.startsWith("Z") && !line.includes("config.toml"));
    const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
    return [...processes, ...mounts].filter((line) => line.includes(this.directory));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#daemon?.kill("SIGTERM");
    await this.#daemon?.status;
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("CRI: a pod of two containers, exec, logs, stats, stop and remove", async () => {
  await using kubelet = new Kubelet();
  await kubelet.start();
  await kubelet.importImage();
  const pod = await kubelet.runPod("web");
  try {
    const state = async () =>
      (await kubelet.call("PodSandboxStatus", { pod_sandbox_id: pod })).status.state ?? 0;
    equal(await state(), SANDBOX_READY);
    const serve = "echo serves as $WHO; busybox nc -ll -p 80 -e /bin/cat & trap 'exit 3' TERM; wait";
    const server = await kubelet.runContainer(pod, "web", "server", serve);
    const client = await kubelet.runContainer(pod, "web", "client", "echo one; echo two >&2; sleep 1000000");

    const inside = await kubelet.execute(server, "/bin/sh", "-c", "echo $WHO $(hostname); exit 4");
    deepEqual(inside, { stdout: "server web\n", code: 4 });
    const talk = await kubelet.stream(server, false, "read line; echo got $line; echo err >&2", "typed\n");
    deepEqual([talk.stdout, talk.stderr, talk.status.status], ["got typed\n", "err\n", "Success"]);
    const terminal = await kubelet.stream(
      client,
      true,
      "test -t 0 && read line && echo got $line; exit 7",
      "typed\n",
    );
    match(terminal.stdout, /got typed\r\n$/);
    match(JSON.stringify(terminal.status), /"ExitCode","message":"7"/);
    equal((await kubelet.execute(client, "/bin/sh", "-c", "ls /proc | grep -c '^[0-9]*$'")).code, 0);
    const asked =
      "for i in 1 2 3 4 5 6 7 8 9 10; do echo hello | busybox nc 127.0.0.1 80 && break; sleep 0.2; done";
    equal((await kubelet.execute(client, "/bin/sh", "-c", asked)).stdout, "hello\n", "they share a network");
    match(Deno.readTextFileSync(`${kubelet.logs}/server.log`), /^\S+ stdout F serves as server$/m);
    const log = Deno.readTextFileSync(`${kubelet.logs}/client.log`);
    match(log, /stdout F one$/m);
    match(log, /stderr F two$/m);
    const { stats } = await kubelet.call("ContainerStats", { container_id: server });
    ok(stats.cpu.usage_core_nano_seconds.value > 0 && stats.memory.working_set_bytes.value > 0);

    await kubelet.call("StopContainer", { container_id: server, timeout: 60 });
    equal(await kubelet.exited(server), 3);
    equal(await state(), SANDBOX_READY, "a container's end is not the pod's");
    equal((await kubelet.execute(client, "/bin/echo", "lives")).stdout, "lives\n");
    await kubelet.call("RemoveContainer", { container_id: server });
    const again = await kubelet.runContainer(pod, "web", "server", "exit 5");
    equal(await kubelet.exited(again), 5);
    await kubelet.call("StopPodSandbox", { pod_sandbox_id: pod });
    equal(await kubelet.exited(client), 137);
    ok(await state() !== SANDBOX_READY);
  } finally {
    await kubelet.call("StopPodSandbox", { pod_sandbox_id: pod });
    await kubelet.call("RemovePodSandbox", { pod_sandbox_id: pod });
  }
  await nothingIsLeft(kubelet);
});

async function nothingIsLeft(kubelet: Kubelet): Promise<void> {
  let traces: string[] = [];
  for (let tries = 0; tries < TRIES_MAX && (traces = await kubelet.traces()).length > 0; tries++) {
    await delay(50);
  }
  deepEqual(traces, []);
}

Deno.test({
  name: `CRI: ${REPEATS} pods in a row, and ${AT_ONCE} at once`,
  ignore: REPEATS === 0,
  fn: lives,
});

async function lives(): Promise<void> {
  await using kubelet = new Kubelet();
  await kubelet.start();
  await kubelet.importImage();
  const live = async (name: string) => {
    const pod = await kubelet.runPod(name);
    try {
      const box = await kubelet.runContainer(
        pod,
        name,
        `box-${name}`,
        "trap 'exit 5' TERM; sleep 1000000 & wait",
      );
      const inside = await kubelet.execute(box, "/bin/sh", "-c", "echo $WHO $(hostname)");
      deepEqual(inside, { stdout: `box-${name} ${name}\n`, code: 0 });
      await kubelet.call("StopContainer", { container_id: box, timeout: 300 });
      equal(await kubelet.exited(box), 5);
    } finally {
      await kubelet.call("StopPodSandbox", { pod_sandbox_id: pod });
      await kubelet.call("RemovePodSandbox", { pod_sandbox_id: pod });
    }
  };
  for (let n = 0; n < REPEATS; n++) await live(`row-${n}`);
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, (_, n) => live(`once-${n}`)));
  deepEqual(ended.filter(({ status }) => status === "rejected"), []);
  await nothingIsLeft(kubelet);
}
