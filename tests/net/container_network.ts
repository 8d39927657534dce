// A container's network for tests: a network namespace with an interface for a container to take over, and another with the
// far end of it, where Linux' own programs are. All of it goes away with close(), whatever has failed; nothing of it is in the
// host's own namespace.

import { Bundle, type Config } from "../support/bundle.ts";
import { command, delay, type Finished, tsvisorPath } from "../support/tsvisor.ts";

export const BOX_V4 = "10.78.0.1";
export const PEER_V4 = "10.78.0.2";
export const BOX_V6 = "fd78::1";
export const PEER_V6 = "fd78::2";

/** A condition may take so long; it is waited for, not slept for. */
const PATIENCE_MILLIS = 120_000;
const CAPABILITIES = [
  "CAP_SETUID",
  "CAP_SETGID",
  "CAP_NET_ADMIN",
  "CAP_NET_RAW",
  "CAP_NET_BIND_SERVICE",
  "CAP_KILL",
];

export const SHELL = "/usr/bin/dash";

let made = 0;

export class ContainerNetwork {
  readonly #name = `tsvn${Deno.pid % 100_000}-${made++}`;
  readonly bundle = new Bundle();
  readonly #children: Deno.ChildProcess[] = [];
  #platform: string;

  constructor(platform = "systrap") {
    this.#platform = platform;
  }

  static async open(platform?: string): Promise<ContainerNetwork> {
    const network = new ContainerNetwork(platform);
    try {
      await must(["ip", "netns", "add", network.box]);
      await must(["ip", "netns", "add", network.peer]);
      await must([
        ...["ip", "link", "add", "eth0", "netns", network.box],
        ...["type", "veth", "peer", "name", "eth0", "netns", network.peer],
      ]);
      await network.address(network.box, BOX_V4, BOX_V6);
      await network.address(network.peer, PEER_V4, PEER_V6);
      await must(["ip", "-n", network.box, "route", "add", "default", "via", PEER_V4]);
      await must(["ip", "-n", network.box, "route", "add", "default", "via", PEER_V6]);
    } catch (error) {
      await network[Symbol.asyncDispose]();
      throw error;
    }
    return network;
  }

  /** The container's: others on this machine may be testing too, and a cgroup goes by it. */
  get id(): string {
    return this.#name;
  }
  /** Name of the namespace that a container takes over, and of the one with Linux' programs. */
  get box(): string {
    return `${this.#name}-box`;
  }
  get peer(): string {
    return `${this.#name}-peer`;
  }

  async address(namespace: string, v4: string, v6: string): Promise<void> {
    const ip = ["ip", "-n", namespace];
    await must([...ip, "link", "set", "lo", "up"]);
    await must([...ip, "link", "set", "eth0", "up"]);
    await must([...ip, "addr", "add", `${v4}/24`, "dev", "eth0"]);
    await must([...ip, "addr", "add", `${v6}/64`, "dev", "eth0", "nodad"]);
  }

  /** A config.json with the host's programs in its root; `path` "" is a namespace of the container's own. */
  write(script: string, path = `/run/netns/${this.box}`, change: (config: Config) => void = () => {}): void {
    this.bundle.write(script, (config) => {
      withHostPrograms(this.bundle, config);
      // busybox' shell would take its own programs before the path's.
      config.process.args[0] = SHELL;
      for (const set of ["bounding", "effective", "permitted"]) {
        config.process.capabilities[set].push(...CAPABILITIES);
      }
      const network = config.linux.namespaces.find((entry: Config) => entry.type === "network");
      if (path !== "") network.path = path;
      change(config);
    });
  }

  /** tsvisor with the state directory of the bundle. */
  async tsvisor(args: readonly string[]): Promise<Finished> {
    return await this.bundle.tsvisor([`--platform=${this.#platform}`, ...args], {
      timeoutMillis: 2 * PATIENCE_MILLIS,
    });
  }
  /** Runs what write() has written, to its end. */
  async run(flags: readonly string[] = []): Promise<Finished> {
    return await this.tsvisor([...flags, "run", "--bundle", this.bundle.directory, this.id]);
  }
  /** Runs it in the background of the test, until it is killed; the command line's process. */
  async start(flags: readonly string[] = []): Promise<Deno.ChildProcess> {
    const args = [`--platform=${this.#platform}`, "--root", this.bundle.state, ...flags];
    const child = new Deno.Command(await tsvisorPath(), {
      args: [...args, "run", "--bundle", this.bundle.directory, this.id],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#children.push(child);
    return child;
  }

  /** Makes it, to be started later. Its stdio is nobody's: it would be kept open. */
  async create(): Promise<void> {
    const args = [`--platform=${this.#platform}`, "--root", this.bundle.state, "create"];
    const child = new Deno.Command(await tsvisorPath(), {
      args: [...args, "--bundle", this.bundle.directory, this.id],
      stdin: "null",
      stdout: "null",
      stderr: "null",
    });
    const { code } = await child.output();
    if (code !== 0) throw new Error(`create ends with ${code}`);
  }

  /** Runs a command of Linux' at the far end. */
  async linux(argv: readonly string[], options = {}): Promise<Finished> {
    return await command(["ip", "netns", "exec", this.peer, ...argv], {
      timeoutMillis: PATIENCE_MILLIS,
      ...options,
    });
  }
  /** A server there, until the test ends. */
  serve(argv: readonly string[], cwd?: string): void {
    this.#children.push(
      new Deno.Command("ip", {
        args: ["netns", "exec", this.peer, ...argv],
        cwd,
        stdin: "null",
        stdout: "null",
        stderr: "null",
      }).spawn(),
    );
  }
  /** Waits until somebody accepts connections at `port` of the container, as seen from the far end. */
  async accepts(port: number): Promise<void> {
    await until(async () => {
      const probe = `import socket; socket.create_connection(("${BOX_V4}", ${port}), 5)`;
      return (await this.linux(["python3", "-c", probe])).code === 0;
    }, `port ${port} of the container`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children.splice(0)) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    }
    await this.bundle.tsvisor(["delete", "--force", this.id]);
    for (const name of [this.box, this.peer]) {
      const { stdout } = await command(["ip", "netns", "pids", name]);
      for (const pid of stdout.split("\n").filter((line) => line !== "")) await command(["kill", "-9", pid]);
      await command(["ip", "netns", "del", name]);
    }
    this.bundle[Symbol.dispose]();
  }
}

/** The host's /usr and /etc below the bundle's root. */
export function withHostPrograms(bundle: Bundle, config: Config): void {
  for (const name of ["lib", "lib64", "sbin"]) {
    try {
      Deno.symlinkSync(`usr/${name}`, `${bundle.rootfs}/${name}`);
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
  for (const name of ["usr", "etc"]) {
    const options = ["rbind", "ro"];
    config.mounts.push({ destination: `/${name}`, type: "bind", source: `/${name}`, options });
  }
  config.mounts.push({ destination: "/tmp", type: "tmpfs", source: "tmpfs" });
  config.process.env = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LC_ALL=C"];
}

/** Waits until `holds`. */
export async function until(holds: () => Promise<boolean> | boolean, what: string): Promise<void> {
  for (const end = Date.now() + PATIENCE_MILLIS; Date.now() < end;) {
    if (await holds()) return;
    await delay(50);
  }
  throw new Error(`Waited too long for ${what}`);
}

export async function must(argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await command(argv, { timeoutMillis: PATIENCE_MILLIS });
  if (code !== 0) throw new Error(`${argv.join(" ")}: ${stderr.trim() || `exit ${code}`}`);
  return stdout;
}
