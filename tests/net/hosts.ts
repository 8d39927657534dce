// Test hosts: our stack in one network namespace, Linux' in another, a veth pair or an impairing wire between them. All of
// it goes away with close(), whatever has failed.

import { buildNative } from "../../native/build.ts";
import { command, type Finished } from "../support/tsvisor.ts";

export const STACK_V4 = "10.77.0.1";
export const LINUX_V4 = "10.77.0.2";
export const STACK_V6 = "fd77::1";
export const LINUX_V6 = "fd77::2";

const ROOT = new URL("../..", import.meta.url).pathname;
const READY_MILLIS_MAX = 20_000;

export interface HostOptions {
  readonly mtu?: number;
  /** The server's namespace gets neither our stack nor an address: somebody else serves there. */
  readonly isBare?: boolean;
  /** Flags of the stack program besides device and addresses. */
  readonly stack?: readonly string[];
  /** Flags of wire.ts: an impairing wire stands between. Offloads are off then, as real frames are to be harmed. */
  readonly wire?: readonly string[];
}

let made = 0;

export class Hosts {
  readonly #prefix: string;
  readonly #namespaces: string[] = [];
  readonly #children: Deno.ChildProcess[] = [];

  private constructor() {
    this.#prefix = `tsv${Deno.pid % 10_000}-${made++}`;
  }

  static async open(options: HostOptions = {}): Promise<Hosts> {
    buildNative();
    const hosts = new Hosts();
    try {
      await hosts.#make(options);
    } catch (error) {
      await hosts.close();
      throw error;
    }
    return hosts;
  }

  async #make(options: HostOptions): Promise<void> {
    const { mtu = 1500, wire } = options;
    const stack = await this.#namespace("stack"), linux = await this.#namespace("linux");
    if (wire === undefined) {
      await ip([
        "link",
        "add",
        "eth0",
        "mtu",
        `${mtu}`,
        "netns",
        stack,
        "type",
        "veth",
        "peer",
        "name",
        "eth0",
        "mtu",
        `${mtu}`,
        "netns",
        linux,
      ]);
    } else {
      const middle = await this.#namespace("wire");
      for (const [name, end] of [["left", stack], ["right", linux]]) {
        await ip([
          "link",
          "add",
          "eth0",
          "mtu",
          `${mtu}`,
          "netns",
          end,
          "type",
          "veth",
          "peer",
          "name",
          name,
          "mtu",
          `${mtu}`,
          "netns",
          middle,
        ]);
        if (mtu >= 1280) await quietV6(middle, name);
        await ip(["-n", middle, "link", "set", name, "up"]);
      }
      const off = ["tso", "off", "gso", "off", "gro", "off", "tx", "off", "rx", "off"];
      await must(["ip", "netns", "exec", linux, "ethtool", "-K", "eth0", ...off]);
      await this.#start(middle, ["tests/net/wire.ts", "left", "right", ...wire], "Wire is up");
    }
    // Below that the interface has no IPv6 at all.
    if (mtu >= 1280) await quietV6(stack, "eth0");
    await ip(["-n", stack, "link", "set", "eth0", "up"]);
    await ip(["-n", linux, "link", "set", "lo", "up"]);
    await ip(["-n", linux, "link", "set", "eth0", "up"]);
    await ip(["-n", linux, "addr", "add", `${LINUX_V4}/24`, "dev", "eth0"]);
    if (mtu >= 1280) await ip(["-n", linux, "addr", "add", `${LINUX_V6}/64`, "dev", "eth0", "nodad"]);
    if (options.isBare === true) return;
    const addresses = [`--address=${STACK_V4}/24`, ...(mtu >= 1280 ? [`--address=${STACK_V6}/64`] : [])];
    const flags = wire === undefined ? [] : ["--no-offload"];
    await this.#start(
      stack,
      ["boot/stack/main.ts", "--device=eth0", ...addresses, ...flags, ...(options.stack ?? [])],
      "Serving",
    );
    await this.#answers(mtu >= 1280 && wire === undefined);
  }

  async #namespace(role: string): Promise<string> {
    const name = `${this.#prefix}-${role}`;
    await ip(["netns", "add", name]);
    this.#namespaces.push(name);
    return name;
  }

  async #start(namespace: string, args: readonly string[], sign: string): Promise<void> {
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", namespace, Deno.execPath(), "run", "-A", "--no-check", "--quiet", ...args],
      cwd: ROOT,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#children.push(child);
    const reader = child.stdout.getReader();
    const timer = setTimeout(() => child.kill("SIGKILL"), READY_MILLIS_MAX);
    let said = "";
    while (!said.includes(sign)) {
      const { value, done } = await reader.read();
      if (done) throw new Error(`${args[0]} has not started: ${said}`);
      said += new TextDecoder().decode(value);
    }
    clearTimeout(timer);
    reader.releaseLock();
    await child.stdout.cancel();
  }

  /** IPv6 addresses of the stack are tentative for a second. */
  async #answers(hasV6: boolean): Promise<void> {
    if (!hasV6) return;
    for (let i = 0; i < 30; i++) {
      const { code } = await this.linux(["ping", "-6", "-c", "1", "-W", "1", STACK_V6]);
      if (code === 0) return;
    }
    throw new Error(`${STACK_V6} does not answer`);
  }

  /** Where `ip netns` keeps the server's namespace. */
  get serverNamespacePath(): string {
    return `/run/netns/${this.#prefix}-stack`;
  }
  /** Bare hosts: the server's interface gets the stack's address, for Linux or a container to use. */
  async addressForLinux(): Promise<void> {
    const name = `${this.#prefix}-stack`;
    await ip(["-n", name, "link", "set", "lo", "up"]);
    await ip(["-n", name, "addr", "add", `${STACK_V4}/24`, "dev", "eth0"]);
  }
  /** Bare hosts: runs a server on Linux' own stack; gives back how to stop it. */
  async serveFromLinux(argv: readonly string[]): Promise<() => Promise<void>> {
    await this.addressForLinux();
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", `${this.#prefix}-stack`, ...argv],
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).spawn();
    this.#children.push(child);
    return () => this.#stopLast();
  }

  /** Runs a command on the Linux host. */
  async linux(argv: readonly string[], timeoutMillis = 60_000): Promise<Finished> {
    return await command(["ip", "netns", "exec", `${this.#prefix}-linux`, ...argv], { timeoutMillis });
  }
  /** Runs the stack program as a client in the stack's namespace; the server's own is stopped first. */
  async client(args: readonly string[], timeoutMillis = 60_000): Promise<Finished> {
    await this.#stopLast();
    const argv = [
      Deno.execPath(),
      "run",
      "-A",
      "--no-check",
      "--quiet",
      `${ROOT}boot/stack/main.ts`,
      ...args,
    ];
    return await command(["ip", "netns", "exec", `${this.#prefix}-stack`, ...argv], { timeoutMillis });
  }
  async #stopLast(): Promise<void> {
    const child = this.#children.pop();
    if (child === undefined) return;
    try {
      child.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await child.status;
  }

  async close(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      try {
        child.kill("SIGKILL");
      } catch {
        // It has ended.
      }
      await child.status;
    }
    for (const name of this.#namespaces.splice(0)) {
      const { stdout } = await command(["ip", "netns", "pids", name]);
      for (const pid of stdout.split("\n").filter((line) => line !== "")) await command(["kill", "-9", pid]);
      await command(["ip", "netns", "del", name]);
    }
  }
}

async function quietV6(namespace: string, device: string): Promise<void> {
  await must(["ip", "netns", "exec", namespace, "sysctl", "-qw", `net.ipv6.conf.${device}.disable_ipv6=1`]);
}
async function ip(args: readonly string[]): Promise<void> {
  await must(["ip", ...args]);
}
async function must(argv: readonly string[]): Promise<void> {
  const { code, stderr } = await command(argv, { timeoutMillis: 10_000 });
  if (code !== 0) throw new Error(`${argv.join(" ")}: ${stderr.trim() || `exit ${code}`}`);
}
