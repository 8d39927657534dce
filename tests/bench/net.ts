// The network stack side by side with Linux' and with runsc's over a veth pair, in turns: one connection in and out, one-byte
// round trips, connections a second; the stack alone, and the same server in a container of runc, runsc and tsvisor. `deno task bench-net [--seconds=N] [--rounds=N] [--only=SERVER,...] [--markdown]`; RUNSC names a newer runsc.

import { Hosts, LINUX_V4, STACK_V4 } from "../net/hosts.ts";
import { command, tsvisorPath } from "../support/tsvisor.ts";
import { replaceTable } from "./page.ts";

const HERE = new URL(".", import.meta.url).pathname;
const ROWS = [
  ["in", "Gbit/s", "more"],
  ["out", "Gbit/s", "more"],
  ["round-trip", "us", "less"],
  ["connections", "/s", "more"],
] as const;

const flag = (name: string, preset: number) =>
  Number(Deno.args.find((word) => word.startsWith(`--${name}=`))?.split("=")[1] ?? preset);
const seconds = flag("seconds", 2), rounds = flag("rounds", 3);

const only = Deno.args.find((word) => word.startsWith("--only="))?.slice("--only=".length).split(",");

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-bench-net-" });
const peer = `${directory}/net_peer`;

/** Who serves: what is started in the server's namespace. Our own stack brings its own server. */
interface Server {
  readonly name: string;
  open(hosts: Hosts): Promise<() => Promise<void>>;
}

/** The stack alone, without a sandbox. */
const STACK = "stack";
const servers: Server[] = [
  { name: "linux", open: (hosts) => hosts.serveFromLinux([peer, "serve"]) },
  ...runscs().map(([name, path]): Server => ({
    name,
    open: (hosts) => serveFromContainer(hosts, path),
  })),
  { name: "runc", open: (hosts) => serveFromContainer(hosts, "runc") },
  { name: STACK, open: () => Promise.resolve(async () => {}) },
  { name: "tsvisor", open: async (hosts) => await serveFromContainer(hosts, await tsvisorPath()) },
];

function runscs(): [string, string][] {
  const given = Deno.env.get("RUNSC");
  return [["runsc", "runsc"], ...(given ? [["runsc-new", given] as [string, string]] : [])];
}

/** Its ports are below 1024. */
const PORTS = ["CAP_NET_BIND_SERVICE"];

/** The same program in a container whose network is the server's namespace. */
async function serveFromContainer(hosts: Hosts, runtime: string): Promise<() => Promise<void>> {
  const bundle = Deno.makeTempDirSync({ dir: directory });
  const root = `${bundle}/root`;
  Deno.mkdirSync(root);
  Deno.copyFileSync(peer, `${root}/net_peer`);
  Deno.chmodSync(`${root}/net_peer`, 0o755);
  const namespaces = ["pid", "ipc", "uts", "mount"].map((type) => ({ type }));
  Deno.writeTextFileSync(
    `${bundle}/config.json`,
    JSON.stringify({
      ociVersion: "1.0.2",
      process: {
        args: ["/net_peer", "serve"],
        cwd: "/",
        env: [],
        user: { uid: 0, gid: 0 },
        capabilities: { bounding: PORTS, effective: PORTS, permitted: PORTS },
      },
      root: { path: root, readonly: true },
      linux: { namespaces: [...namespaces, { type: "network", path: hosts.serverNamespacePath }] },
    }),
  );
  await hosts.addressForLinux();
  const id = `bench-net-${Deno.pid}`;
  const run = [runtime, "--root", `${bundle}/state`, "run", "--bundle", bundle, id];
  const child = new Deno.Command(run[0], {
    args: run.slice(1),
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  return async () => {
    await command([runtime, "--root", `${bundle}/state`, "kill", id, "KILL"]);
    await child.status;
    await command([runtime, "--root", `${bundle}/state`, "delete", "--force", id]);
    await command(["umount", `${bundle}/state/null-netns`]);
  };
}

/** Numbers of one round; null where the server cannot be had. */
async function measure(server: Server): Promise<Map<string, number> | null> {
  const hosts = await Hosts.open({ isBare: server.name !== STACK });
  let stop = async () => {};
  try {
    stop = await server.open(hosts);
    for (let i = 0; i < 50; i++) {
      const probe = await hosts.linux([
        "python3",
        "-c",
        `import socket; socket.create_connection(("${STACK_V4}", 7), 1)`,
      ]);
      if (probe.code === 0) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    const { code, stdout, stderr } = await hosts.linux([peer, "ask", STACK_V4, `${seconds}`], 120_000);
    if (code !== 0) {
      console.error(`${server.name}: ${stderr.trim()} (asked from ${LINUX_V4})`);
      return null;
    }
    return new Map(
      stdout.trim().split("\n").map((line) => line.split(" ")).map(([name, value]) => [name, Number(value)]),
    );
  } catch (error) {
    console.error(`${server.name}: ${(error as Error).message}`);
    return null;
  } finally {
    try {
      await stop();
    } finally {
      await hosts.close();
    }
  }
}

try {
  const built = await command(["gcc", "-O2", "-w", "-pthread", "-static", "-o", peer, `${HERE}net_peer.c`]);
  if (built.code !== 0) throw new Error(built.stderr);
  const best = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const server of servers.filter(({ name }) => only === undefined || only.includes(name))) {
      for (const [name, value] of await measure(server) ?? []) {
        const key = `${server.name} ${name}`;
        const isLess = name === "round-trip";
        best.set(key, best.has(key) ? (isLess ? Math.min : Math.max)(best.get(key)!, value) : value);
      }
    }
  }
  const text = table(best);
  console.log(text);
  if (Deno.args.includes("--markdown")) replaceTable("deno task bench-net --markdown", text);
} finally {
  Deno.removeSync(directory, { recursive: true });
}

function table(best: ReadonlyMap<string, number>): string {
  const names = servers.map((server) => server.name);
  const lines = [`| row | unit | ${names.join(" | ")} | tsvisor / linux | tsvisor / runsc |`];
  lines.push(`|${"---|".repeat(names.length + 4)}`);
  for (const [row, unit, better] of ROWS) {
    const value = (name: string) => best.get(`${name} ${row}`);
    const cells = names.map((name) => value(name)?.toPrecision(3) ?? "-");
    const newest = value("runsc-new") ?? value("runsc");
    const ratio = (other: number | undefined) => {
      const own = value("tsvisor");
      return own === undefined || other === undefined ? "-" : (own / other).toPrecision(2);
    };
    lines.push(
      `| ${row} (${better} is better) | ${unit} | ${cells.join(" | ")} | ${ratio(value("linux"))} | ${
        ratio(newest)
      } |`,
    );
  }
  return lines.join("\n");
}
