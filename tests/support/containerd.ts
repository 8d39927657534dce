// containerd of the distribution, which drives tsvisor through its stock shim for runc, with directories of its own and an
// image that is written here.

import { equal } from "node:assert/strict";
import { Bundle } from "./bundle.ts";
import { command, delay, type Finished, type RunOptions, tsvisorPath } from "./tsvisor.ts";

const IMAGE = "localhost/box:latest";
const TIMEOUT_MILLIS = 300_000;
const TRIES_MAX = 1000;

export class Containerd {
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
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      if ((await this.call(["version"])).code === 0) return;
      await delay(50);
    }
    throw new Error("containerd does not answer");
  }

  async call(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return await command(["ctr", "--address", `${this.directory}/socket`, ...args], {
      timeoutMillis: TIMEOUT_MILLIS,
      ...options,
    });
  }

  async run(flags: readonly string[], id: string, words: readonly string[]): Promise<Finished> {
    return await this.call(await this.runWords(flags, id, words));
  }

  /**
   * As call(), of a process that prints `output` and ends when it has read a line. ctr closes its end of the output as soon as
   * containerd says that the process has ended, read or not (Cancel() in process.Delete() of its client): one that ends at once
   * may seem to have printed nothing, 1 of 800 runc's too.
   */
  async converse(args: readonly string[], output: string): Promise<Finished> {
    const [program, ...words] = this.words(args);
    const child = new Deno.Command(program, { args: words, stdin: "piped", stdout: "piped", stderr: "piped" })
      .spawn();
    const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MILLIS);
    const stderr = new Response(child.stderr).text();
    const input = child.stdin.getWriter();
    let stdout = "", isAnswered = false;
    for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
      stdout += text;
      if (isAnswered || !stdout.startsWith(output)) continue;
      isAnswered = true;
      await input.write(new TextEncoder().encode("\n"));
    }
    // It may have ended without reading.
    await input.close().catch(() => {});
    const { code } = await child.status;
    clearTimeout(timer);
    return { code, stdout, stderr: await stderr };
  }

  async runWords(flags: readonly string[], id: string, words: readonly string[]): Promise<string[]> {
    const own = ["--runc-binary", await tsvisorPath(), "--snapshotter", "native"];
    return ["run", ...own, ...flags, IMAGE, id, ...words];
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

  /** Words of a command on it, for a terminal. */
  words(args: readonly string[]): string[] {
    return ["ctr", "--address", `${this.directory}/socket`, ...args];
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(args);
    equal(code, 0, `ctr ${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** Waits until task `id` is in this state. */
  async reaches(id: string, status: string): Promise<void> {
    const shown = async () =>
      (await this.must("tasks", "ls")).split("\n").find((line) => line.startsWith(`${id} `));
    for (let tries = 0; tries < TRIES_MAX && !(await shown())?.includes(status); tries++) await delay(50);
    equal((await shown())?.includes(status), true, `${id} is ${await shown()}, not ${status}`);
  }

  /** Host processes of its containers, and mounts: none once they are removed. */
  async traces(): Promise<string[]> {
    let traces: string[] = [];
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { stdout } = await command(["ps", "-eo", "stat=,args="]);
      const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
      const processes = stdout.split("\n").filter((line) =>
        !line.startsWith("Z") && !line.includes("config.toml")
      );
      traces = [...processes, ...mounts].filter((line) => line.includes(this.directory));
      if (traces.length === 0) break;
      await delay(20);
    }
    return traces;
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
