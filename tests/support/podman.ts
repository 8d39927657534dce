// podman of the distribution with tsvisor as its runtime, with directories of its own and an image made on the spot.

import { equal } from "node:assert/strict";
import { Bundle } from "./bundle.ts";
import { drive, type Driven, type Step } from "./terminal.ts";
import { command, delay, type Finished, type RunOptions, tsvisorPath } from "./tsvisor.ts";

export const IMAGE = "localhost/box";
/** The machines that test lack CAP_SYS_RESOURCE. Networks have a test of their own. */
export const RUN = ["--network", "none", "--ulimit", "nofile=1024:4096", "--ulimit", "nproc=1024:4096"];
/** A podman that others keep waiting for its locks is slow. */
const TIMEOUT_MILLIS = 300_000;
const TRIES_MAX = 500;

export class Podman {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-podman-" });

  async words(args: readonly string[]): Promise<string[]> {
    return [
      ...[
        "podman",
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
      ...args,
    ];
  }

  /** `within` is a command that runs podman. */
  async call(
    args: readonly string[],
    options: RunOptions = {},
    within: readonly string[] = [],
  ): Promise<Finished> {
    const own = { timeoutMillis: TIMEOUT_MILLIS, ...options };
    return await command([...within, ...await this.words(args)], own);
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(args);
    equal(code, 0, `podman ${args.join(" ")}: ${stderr}`);
    return stdout.replaceAll("\r\n", "\n");
  }

  /** On a terminal. */
  async drive(args: readonly string[], steps: Step[]): Promise<Driven> {
    return await drive(await this.words(args), steps);
  }

  async status(name: string): Promise<string> {
    return (await this.must("inspect", name, "--format", "{{.State.Status}} {{.State.ExitCode}}")).trim();
  }

  /** Waits until its log has these words. */
  async logs(name: string, wanted: string): Promise<string> {
    let text = "";
    for (let tries = 0; tries < TRIES_MAX && !text.includes(wanted); tries++) {
      text = await this.must("logs", name);
      if (!text.includes(wanted)) await delay(20);
    }
    return text;
  }

  /** busybox and the names of its applets. */
  async makeImage(): Promise<void> {
    using bundle = new Bundle();
    const archive = `${this.directory}/image.tar`;
    await command(["tar", "-C", bundle.rootfs, "-cf", archive, "."]);
    await this.must("import", archive, IMAGE);
  }

  /** Processes of its containers on the host, and mounts: none once they are removed. */
  async traces(): Promise<string[]> {
    let traces: string[] = [];
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const { stdout } = await command(["ps", "-eo", "pid=,stat=,args="]);
      const mounts = Deno.readTextFileSync("/proc/self/mountinfo").split("\n");
      traces = [...stdout.split("\n").filter((line) => !/^ *\d+ Z/.test(line)), ...mounts].filter((line) =>
        line.includes(`${this.directory}/`)
      );
      if (traces.length <= 1) break;
      await delay(20);
    }
    // podman keeps its own storage mounted to itself.
    return traces.filter((line) => !line.includes(` ${this.directory}/root/vfs `));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.call(["pod", "rm", "--all", "--force", "--time", "0"]);
    await this.call(["rm", "--all", "--force", "--time", "0"]);
    // Should anything of it be mounted still.
    await command(["umount", "-R", "-q", `${this.directory}/root/vfs`]);
    Deno.removeSync(this.directory, { recursive: true });
  }
}
