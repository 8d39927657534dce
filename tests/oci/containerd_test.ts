// containerd drives tsvisor through its stock shim for runc: the real ones of the distribution, with directories of their own
// and an image that is written here.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { command, delay, type Finished, type RunOptions, tsvisorPath } from "../support/tsvisor.ts";

const IMAGE = "localhost/box:latest";

class Containerd {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-containerd-" });
  #daemon: Deno.ChildProcess | null = null;

  /** Without CRI, which would need networks. */
  async start(): Promise<void> {
    const at = this.directory;
    Deno.writeTextFileSync(
      `${at}/config.toml`,
      `version = 2\nroot = "${at}/root"\nstate = "${at}/state"\n` +
        `disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n` +
        `[grpc]\naddress = "${at}/socket"\n`,
    );
    this.#daemon = new Deno.Command("containerd", {
      args: ["-c", `${at}/config.toml`, "--log-level", "error"],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    for (let tries = 0; tries < 200; tries++) {
      if ((await this.call(["version"])).code === 0) return;
      await delay(50);
    }
    throw new Error("containerd does not answer");
  }

  async call(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return await command(["ctr", "--address", `${this.directory}/socket`, ...args], options);
  }

  async run(flags: readonly string[], id: string, words: readonly string[]): Promise<Finished> {
    const own = ["--runc-binary", await tsvisorPath(), "--snapshotter", "native"];
    return await this.call(["run", ...own, ...flags, IMAGE, id, ...words]);
  }

  /** An OCI image of one layer: busybox and the names of its applets. */
  async makeImage(): Promise<void> {
    using bundle = new Bundle();
    const image = `${this.directory}/image`, blobs = `${image}/blobs/sha256`;
    Deno.mkdirSync(blobs, { recursive: true });
    const blob = async (bytes: Uint8Array<ArrayBuffer>, mediaType: string) => {
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
      Deno.writeFileSync(`${blobs}/${digest}`, bytes);
      return {
        mediaType: `application/vnd.oci.image.${mediaType}`,
        digest: `sha256:${digest}`,
        size: bytes.length,
      };
    };
    const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
    await command(["tar", "-C", bundle.rootfs, "-cf", `${this.directory}/layer.tar`, "."]);
    const layer = await blob(Deno.readFileSync(`${this.directory}/layer.tar`), "layer.v1.tar");
    const config = await blob(
      json({
        architecture: "amd64",
        os: "linux",
        config: { Env: ["PATH=/bin"] },
        rootfs: { type: "layers", diff_ids: [layer.digest] },
      }),
      "config.v1+json",
    );
    const manifest = await blob(json({ schemaVersion: 2, config, layers: [layer] }), "manifest.v1+json");
    const annotations = { "io.containerd.image.name": IMAGE };
    Deno.writeFileSync(
      `${image}/index.json`,
      json({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
    );
    Deno.writeFileSync(`${image}/oci-layout`, json({ imageLayoutVersion: "1.0.0" }));
    const archive = `${this.directory}/image.tar`;
    await command(["tar", "-C", image, "-cf", archive, "."]);
    const { code, stderr } = await this.call(["images", "import", "--snapshotter", "native", archive]);
    equal(code, 0, stderr);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { stdout } = await this.call(["tasks", "ls", "-q"]);
    for (const id of stdout.split("\n").filter((line) => line !== "")) {
      await this.call(["tasks", "delete", "--force", id]);
    }
    this.#daemon?.kill("SIGTERM");
    await this.#daemon?.status;
    Deno.removeSync(this.directory, { recursive: true });
  }
}

Deno.test("containerd: run, exec, kill, delete through the shim for runc", async () => {
  await using containerd = new Containerd();
  await containerd.start();
  await containerd.makeImage();
  const ended = await containerd.run(["--rm"], "ends", ["/bin/sh", "-c", "echo out; exit 7"]);
  deepEqual([ended.code, ended.stdout], [7, "out\n"], ended.stderr);
  const started = await containerd.run(["--detach"], "stays", [
    "/bin/sh",
    "-c",
    "trap 'exit 3' TERM; while :; do sleep 0.1; done",
  ]);
  equal(started.code, 0, started.stderr);
  const inside = await containerd.call([
    "tasks",
    "exec",
    "--exec-id",
    "e",
    "stays",
    "/bin/sh",
    "-c",
    "echo in; exit 4",
  ]);
  deepEqual([inside.code, inside.stdout], [4, "in\n"], inside.stderr);
  const listed = async () => (await containerd.call(["tasks", "ls"])).stdout;
  ok((await listed()).includes("RUNNING"));
  equal((await containerd.call(["tasks", "pause", "stays"])).code, 0);
  ok((await listed()).includes("PAUSED"));
  equal((await containerd.call(["tasks", "resume", "stays"])).code, 0);
  equal((await containerd.call(["tasks", "kill", "--signal", "TERM", "stays"])).code, 0);
  for (let tries = 0; tries < 100 && !(await listed()).includes("STOPPED"); tries++) await delay(50);
  const removed = await containerd.call(["tasks", "delete", "stays"]);
  match(removed.stderr, /exit code 3/);
  equal((await containerd.call(["containers", "delete", "stays"])).code, 0);
});
