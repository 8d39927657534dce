// --network=sandbox: a container has the interface of its network namespace, on our own stack, and the host answers there no
// more.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { sandboxOf } from "../support/host_processes.ts";
import { command, delay, PLATFORMS } from "../support/tsvisor.ts";
import {
  BOX_V4,
  BOX_V6,
  ContainerNetwork,
  must,
  PEER_V4,
  PEER_V6,
  SHELL,
  until,
} from "./container_network.ts";

const MIB = 1 << 20;
/** What a container shows of its network, as `ip` prints it in JSON. */
const SHOW = "ip -j addr; ip -j route; ip -j -6 route; ip -j neigh";

// deno-lint-ignore no-explicit-any
type Json = any;

/** What each line of `text` says. */
function lines(text: string): Json[] {
  return text.trim().split("\n").map((line) => JSON.parse(line));
}

function addressesOf(links: Json, name: string): string[] {
  return links.find((link: Json) => link.ifname === name).addr_info.map((one: Json) =>
    `${one.local}/${one.prefixlen}`
  );
}

for (const platform of PLATFORMS) {
  Deno.test(`a container takes over the interface of its namespace on ${platform}`, async () => {
    await using network = await ContainerNetwork.open(platform);
    const [before] = lines(await must(["ip", "-n", network.box, "-j", "addr", "show", "dev", "eth0"]));
    await must([
      "ip",
      "-n",
      network.box,
      "neigh",
      "add",
      "10.78.0.9",
      "lladdr",
      "02:00:00:00:00:09",
      "dev",
      "eth0",
    ]);
    await must(["ip", "-n", network.box, "route", "add", "10.79.0.0/16", "via", "10.78.0.3"]);
    await must(["ip", "-n", network.box, "link", "set", "eth0", "mtu", "1400"]);
    network.write(SHOW);
    const { code, stdout, stderr } = await network.run();
    deepEqual([code, stderr], [0, ""]);
    const [links, routes, routes6, neighbours] = lines(stdout);
    deepEqual(addressesOf(links, "lo"), ["127.0.0.1/8", "::1/128"]);
    deepEqual(addressesOf(links, "eth0").sort(), addressesOf(before, "eth0").sort());
    const eth0 = links.find((link: Json) => link.ifname === "eth0");
    deepEqual([eth0.address, eth0.mtu, eth0.operstate], [before[0].address, 1400, "UP"]);
    const said = routes.map((route: Json) => `${route.dst} ${route.gateway ?? "-"} ${route.dev}`).sort();
    deepEqual(said, ["10.78.0.0/24 - eth0", `10.79.0.0/16 10.78.0.3 eth0`, `default ${PEER_V4} eth0`]);
    ok(routes6.some((route: Json) => route.dst === "default" && route.gateway === PEER_V6));
    const permanent = neighbours.find((entry: Json) => entry.dst === "10.78.0.9");
    deepEqual([permanent.lladdr, permanent.state], ["02:00:00:00:00:09", ["PERMANENT"]]);
    // The host has no address left there with which it could answer.
    const [after] = lines(await must(["ip", "-n", network.box, "-j", "addr", "show", "dev", "eth0"]));
    deepEqual(addressesOf(after, "eth0"), []);
  });
}

Deno.test("ping, HTTP and datagrams go both ways", async (test) => {
  await using network = await ContainerNetwork.open();
  const body = "x".repeat(3 * MIB);
  Deno.writeTextFileSync(`${network.bundle.rootfs}/file`, body);
  network.write("cd / && exec python3 -m http.server --bind :: 8000");
  await network.start();
  await network.accepts(8000);
  await test.step("from outside", async () => {
    for (const address of [BOX_V4, BOX_V6]) {
      const ping = await network.linux(["ping", "-c", "3", "-i", "0.2", "-W", "20", address]);
      match(ping.stdout, / 3 received/);
      const host = address.includes(":") ? `[${address}]` : address;
      const { code, stdout } = await network.linux(["curl", "-sS", `http://${host}:8000/file`]);
      deepEqual([code, stdout.length, stdout === body], [0, body.length, true]);
    }
  });
  await test.step("from inside", async () => {
    network.serve(["python3", "-m", "http.server", "--bind", "::", "9000"], network.bundle.rootfs);
    const script = `
      until curl -s -o /dev/null http://${PEER_V4}:9000/; do sleep 0.1; done
      curl -s http://${PEER_V4}:9000/file | wc -c; wget -q -O - http://[${PEER_V6}]:9000/file | wc -c
      ping -c 1 -W 20 ${PEER_V4} >/dev/null && ping -6 -c 1 -W 20 ${PEER_V6} >/dev/null && echo pings`;
    const { stdout, stderr } = await network.tsvisor(["exec", network.id, SHELL, "-c", script]);
    equal(stdout, `${body.length}\n${body.length}\npings\n`, stderr);
  });
  await test.step("a refused connection is refused at once, both ways", async () => {
    const probe = (address: string) =>
      `import socket\ntry: socket.create_connection(("${address}", 1), 20)\nexcept ConnectionRefusedError: print("refused")`;
    equal((await network.linux(["python3", "-c", probe(BOX_V4)])).stdout, "refused\n");
    equal(
      (await network.tsvisor(["exec", network.id, "/usr/bin/python3", "-c", probe(PEER_V4)])).stdout,
      "refused\n",
    );
  });
});

Deno.test("iperf3 in, out and by UDP; many connections; redis from outside", async (test) => {
  await using network = await ContainerNetwork.open();
  network.write("redis-server --port 6379 --bind 0.0.0.0 --protected-mode no --save '' & exec iperf3 -s");
  await network.start();
  await network.accepts(5201);
  for (const flags of [[], ["-R"], ["-P", "4"], ["-u", "-b", "20M"], ["-6"]]) {
    await test.step(`iperf3 ${flags.join(" ")}`, async () => {
      const address = flags.includes("-6") ? BOX_V6 : BOX_V4;
      const argv = ["iperf3", "-J", "-t", "1", "-c", address, ...flags];
      let report: Json = {};
      // It serves one at a time, and between two it does not even listen.
      await until(async () => {
        report = JSON.parse((await network.linux(argv)).stdout);
        return report.error === undefined;
      }, `iperf3 ${flags.join(" ")}`);
      const sum = report.end.sum_received ?? report.end.sum;
      ok(sum.bytes > 0);
    });
  }
  await test.step("redis", async () => {
    await network.accepts(6379);
    const benchmark = ["redis-benchmark", "-h", BOX_V4, "-q", "-n", "1000", "-c", "200", "-t", "set,get"];
    const { code, stdout, stderr } = await network.linux(benchmark);
    equal(code, 0, stderr);
    match(stdout, /SET: [\d.]+ requests per second[\s\S]*GET: [\d.]+ requests per second/);
    const info = await network.linux(["redis-cli", "-h", BOX_V4, "incr", "counter"]);
    equal(info.stdout, "1\n");
  });
});

Deno.test("an interface that a hook puts into the namespace of the container", async () => {
  await using network = await ContainerNetwork.open();
  const hook = `${network.bundle.directory}/hook`;
  const script = `#!/bin/sh
    set -e
    pid=$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/')
    ip -n ${network.box} link set eth0 netns $pid
    nsenter -t $pid -n ip link set eth0 up
    nsenter -t $pid -n ip addr add ${BOX_V4}/24 dev eth0`;
  Deno.writeTextFileSync(hook, script, { mode: 0o755 });
  const env = [`PATH=${Deno.env.get("PATH")}`];
  network.write(`ping -c 1 -W 20 ${PEER_V4} >/dev/null && echo answered`, "", (config) => {
    config.hooks = { createRuntime: [{ path: hook, env }] };
  });
  const { code, stdout, stderr } = await network.run();
  deepEqual([code, stdout, stderr], [0, "answered\n", ""]);
});

Deno.test("an engine puts the interface into the namespace of a container that was created", async () => {
  await using network = await ContainerNetwork.open();
  network.write(`ping -c 1 -W 20 ${PEER_V4} >/dev/null && echo answered >/file; exec sleep 1000`, "");
  await network.create();
  const { pid } = JSON.parse((await network.tsvisor(["state", network.id])).stdout);
  await must(["ip", "-n", network.box, "link", "set", "eth0", "netns", `${pid}`]);
  const ip = ["nsenter", "-t", `${pid}`, "-n", "ip"];
  await must([...ip, "link", "set", "eth0", "up"]);
  await must([...ip, "addr", "add", `${BOX_V4}/24`, "dev", "eth0"]);
  const started = await network.tsvisor(["start", network.id]);
  equal(started.code, 0, started.stderr);
  await until(() => {
    try {
      return Deno.readTextFileSync(`${network.bundle.rootfs}/file`) === "answered\n";
    } catch {
      return false;
    }
  }, "the answer to a ping");
});

/** A client of the control API in the container's namespace: opens the interface and hands it over, as gVisor's does. */
const CREATE_LINKS = `
import array, base64, fcntl, json, socket, struct, sys
path, address, gateway, count = sys.argv[1:5]
links = []
for i in range(int(count)):
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    link.bind(("eth0", 3))
    links.append(link)
mac = fcntl.ioctl(links[0], 0x8927, struct.pack("16s24x", b"eth0"))[18:24]
b64 = lambda b: base64.b64encode(b).decode()
mask = lambda n: b64(struct.pack("!I", (0xffffffff << (32 - n)) & 0xffffffff))
arg = {
    "LoopbackLinks": [{"Name": "lo", "Addresses": [{"Address": "127.0.0.1", "PrefixLen": 8}],
                       "Routes": [{"Destination": {"IP": "127.0.0.0", "Mask": mask(8)}}]}],
    "FDBasedLinks": [{"Name": "eth7", "InterfaceIndex": 2, "MTU": 1300, "NumChannels": 1, "QDisc": 1, "RXChecksumOffload": True,
                      "LinkAddress": b64(mac), "Addresses": [{"Address": address, "PrefixLen": 24}],
                      "Routes": [{"Destination": {"IP": "10.78.0.0", "Mask": mask(24)}, "Gateway": ""}]}],
    "Defaultv4Gateway": {"Route": {"Destination": {"IP": "0.0.0.0", "Mask": mask(0)}, "Gateway": gateway}, "Name": "eth7"},
}
client = socket.socket(socket.AF_UNIX)
client.connect(path)
body = json.dumps({"method": "Network.CreateLinksAndRoutes", "arg": arg}).encode()
fds = array.array("i", [link.fileno() for link in links])
client.sendmsg([body], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if fds else [])
answer = json.loads(client.recv(65536))
print(answer["success"], answer["err"])
`;

Deno.test("Network.CreateLinksAndRoutes of the control API gives a sandbox its link, once", async () => {
  await using network = await ContainerNetwork.open();
  await must(["ip", "-n", network.box, "addr", "flush", "dev", "eth0"]);
  network.write("exec python3 -m http.server 8000");
  await network.start(["--network=none"]);
  const socket = `${network.bundle.state}/runsc-${network.id}.sock`;
  await until(
    async () => (await network.tsvisor(["exec", network.id, SHELL, "-c", "true"])).code === 0,
    "the container",
  );
  const client = async (count: number) => {
    const words = ["python3", "-c", CREATE_LINKS, socket, BOX_V4, PEER_V4, `${count}`];
    const { stdout, stderr } = await command(["ip", "netns", "exec", network.box, ...words]);
    equal(stderr, "");
    return stdout;
  };
  match(await client(2), /^False args.FilePayload.Files has 2 FDs but we need 1 entries/);
  equal(await client(1), "True \n");
  equal(await client(1), "False links and routes have been created already\n");
  await network.accepts(8000);
  const show = "ip -o -4 addr show dev eth7; ip link show dev eth7 | grep -o 'mtu [0-9]*'; ip route | sort";
  const { stdout } = await network.tsvisor(["exec", network.id, SHELL, "-c", show]);
  match(stdout, new RegExp(`inet ${BOX_V4}/24 .*\\n`));
  match(stdout, /\nmtu 1300\n10.78.0.0\/24 dev eth7 .*\ndefault via 10.78.0.2 dev eth7 \n$/);
});

Deno.test("an idle sandbox with open connections uses no CPU, and survives the end of its interface", async (test) => {
  await using network = await ContainerNetwork.open();
  network.write("exec python3 -m http.server 8000");
  const child = await network.start();
  await network.accepts(8000);
  const holder = `import socket, time
held = [socket.create_connection(("${BOX_V4}", 8000)) for _ in range(50)]
print("held", flush=True)
time.sleep(1000)`;
  network.serve(["python3", "-c", holder]);
  const exec = async (script: string) =>
    (await network.tsvisor(["exec", network.id, SHELL, "-c", script])).stdout;
  await until(
    async () => (await exec("ss -Htn state established | wc -l")).trim() === "50",
    "50 connections",
  );
  await test.step("no CPU", async () => {
    const sentry = (await sandboxOf(child.pid)).find(({ role }) => role === "sentry")!;
    // Over once within the patience: other work of the machine's may be counted to it now and then.
    await until(async () => {
      const before = cpuTicks(sentry.pid);
      await delay(2000);
      return cpuTicks(sentry.pid) - before <= 1;
    }, "two seconds without CPU");
  });
  await test.step("no interface", async () => {
    await must(["ip", "-n", network.box, "link", "del", "eth0"]);
    equal(await exec("ping -c 1 -W 20 127.0.0.1 >/dev/null && echo lives"), "lives\n");
    // What is sent is lost, and nobody is stuck.
    const lost = await exec(`ping -c 1 -W 1 ${PEER_V4} >/dev/null || echo lost`);
    equal(lost, "lost\n");
    const sentry = (await sandboxOf(child.pid)).find(({ role }) => role === "sentry")!;
    await until(async () => {
      const before = cpuTicks(sentry.pid);
      await delay(2000);
      return cpuTicks(sentry.pid) - before <= 1;
    }, "two seconds without CPU");
  });
});

/** User and system time of a process, in clock ticks. */
function cpuTicks(pid: number): number {
  const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}

Deno.test("tcpdump in a container sees its frames, and no others", async () => {
  await using network = await ContainerNetwork.open();
  // It says that it listens before it does; the peer goes on until it has seen enough.
  network.write("exec tcpdump -n -l -i eth0 -c 4 icmp");
  const running = network.run();
  const state = { hasEnded: false };
  running.finally(() => state.hasEnded = true);
  await until(async () => {
    await network.linux(["ping", "-c", "2", "-i", "0.2", "-W", "1", BOX_V4]);
    return state.hasEnded;
  }, "tcpdump's end");
  const { code, stdout, stderr } = await running;
  equal(code, 0, stderr);
  match(stdout, /IP 10.78.0.2 > 10.78.0.1: ICMP echo request/);
  match(stdout, /IP 10.78.0.1 > 10.78.0.2: ICMP echo reply/);
  equal(stdout.trim().split("\n").length, 4);
});

Deno.test("--network=none, --pcap, several channels, and what is refused", async (test) => {
  await using network = await ContainerNetwork.open();
  const count = `ip -br link | wc -l; ping -c 2 -i 0.2 -W 20 ${PEER_V4} | grep -c "bytes from"`;
  await test.step("--network=none takes nothing", async () => {
    network.write(count);
    equal((await network.run(["--network=none"])).stdout, "1\n0\n");
    const [eth0] = lines(await must(["ip", "-n", network.box, "-j", "addr", "show", "dev", "eth0"]));
    ok(addressesOf(eth0, "eth0").includes(`${BOX_V4}/24`));
  });
  await test.step("the host's own network is not given away", async () => {
    network.write(count, "/proc/self/ns/net");
    const { code, stderr } = await network.run();
    equal(code, 128);
    match(stderr, /Cannot run with network enabled in root network namespace/);
    match(
      (await network.run(["--network=host"])).stderr,
      /--network: "host" would give a sandbox sockets of the host's kernel/,
    );
  });
  await test.step("a namespace that is not there", async () => {
    network.write(count, "/run/netns/none-such");
    const { code, stderr } = await network.run();
    equal(code, 128);
    match(stderr, /Cannot open network namespace \/run\/netns\/none-such: ENOENT/);
  });
  await test.step("--pcap and --num-network-channels", async () => {
    network.write(count);
    const file = `${network.bundle.directory}/packets`;
    const { stdout, stderr } = await network.run([`--pcap=${file}`, "--num-network-channels=4"]);
    equal(stdout, "2\n2\n", stderr);
    const dump = await command(["tcpdump", "-n", "-r", file, "icmp"]);
    equal(dump.stdout.match(/ICMP echo request/g)?.length, 2, dump.stderr);
    equal(dump.stdout.match(/ICMP echo reply/g)?.length, 2);
  });
});
