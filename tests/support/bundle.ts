// OCI bundles for tests: busybox in a root of its own, a config.json to be changed, a state directory beside.

import { defaultSpec } from "../../boot/oci/default_spec.ts";
import { Cgroup, type CgroupRecord } from "../../boot/cgroup/cgroup.ts";
import { command, type Finished, type RunOptions, tsvisor, tsvisorPath } from "./tsvisor.ts";

/** The parts of a config.json that tests change; anything may be put there. */
export interface Config {
  // deno-lint-ignore no-explicit-any
  [name: string]: any;
}

const APPLETS =
  "sh ls cat echo id env pwd sleep mount grep touch mkdir dd head ulimit stat hostname kill test wc seq"
    .split(
      " ",
    );

export class Bundle {
  readonly directory: string;
  readonly rootfs: string;
  readonly state: string;
  constructor() {
    this.directory = Deno.makeTempDirSync({ prefix: "tsvisor-bundle-" });
    this.rootfs = `${this.directory}/rootfs`;
    this.state = `${this.directory}/state`;
    for (const name of ["bin", "etc", "tmp"]) Deno.mkdirSync(`${this.rootfs}/${name}`, { recursive: true });
    Deno.copyFileSync("/bin/busybox", `${this.rootfs}/bin/busybox`);
    for (const name of APPLETS) Deno.symlinkSync("busybox", `${this.rootfs}/bin/${name}`);
    Deno.writeTextFileSync(
      `${this.rootfs}/etc/passwd`,
      "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n",
    );
  }

  [Symbol.dispose](): void {
    removeCgroups(this.state);
    Deno.removeSync(this.directory, { recursive: true });
  }

  /** Writes config.json: a shell script, unless `change` says otherwise. */
  write(script: string, change: (config: Config) => void = () => {}): void {
    const config = defaultSpec(["/bin/sh", "-c", script]) as Config;
    config.process.terminal = false;
    config.root.readonly = false;
    change(config);
    this.writeText(JSON.stringify(config));
  }

  writeText(text: string): void {
    Deno.writeTextFileSync(`${this.directory}/config.json`, text);
  }

  /** tsvisor with this state directory. */
  async tsvisor(args: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return await tsvisor(["--root", this.state, ...args], options);
  }

  /** As tsvisor(), of a command whose stdio stays with what it leaves running: pipes of ours would have no end. */
  async inBackground(args: readonly string[]): Promise<Finished> {
    const errors = `${this.directory}/stderr`;
    const words = [await tsvisorPath(), "--root", this.state, ...args];
    const done = await command(["sh", "-c", `exec "$0" "$@" >/dev/null 2>${errors}`, ...words]);
    return { ...done, stderr: Deno.readTextFileSync(errors) };
  }

  /** Runs the container "box". */
  async run(flags: readonly string[] = [], options: RunOptions = {}): Promise<Finished> {
    return await this.tsvisor([...flags, "run", "--bundle", this.directory, "box"], options);
  }

  /** Writes and runs in one. */
  async script(script: string, change: (config: Config) => void = () => {}): Promise<Finished> {
    this.write(script, change);
    return await this.run();
  }
}

/** Of containers that a test has killed and nobody has deleted: their records say which. */
function removeCgroups(state: string): void {
  try {
    for (const { name } of Deno.readDirSync(state)) {
      if (!name.endsWith(".json")) continue;
      const { cgroup } = JSON.parse(Deno.readTextFileSync(`${state}/${name}`)) as { cgroup?: CgroupRecord };
      if (cgroup !== undefined) removeSoon(new Cgroup(cgroup));
    }
  } catch {
    // No state, or a record that a test has made up.
  }
}

/** What has been killed just now may take a moment to go. */
function removeSoon(cgroup: Cgroup): void {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let tries = 0; tries < 6000 && !cgroup.removeEmpty(); tries++) Atomics.wait(pause, 0, 0, 10);
}

/** What a sandbox could leave on the host: processes of ours, mounts, network namespaces. */
export async function hostTraces(): Promise<string[]> {
  const traces: string[] = [];
  const listed = await command(["ps", "-eo", "pid=,args="]);
  for (const line of listed.stdout.split("\n")) {
    if (/(--role=|(sentry|gofer)\.js)/.test(line)) traces.push(line.trim());
  }
  for (const line of Deno.readTextFileSync("/proc/self/mountinfo").split("\n")) traces.push(line);
  return traces.sort();
}
