// Our stack against Linux' over a veth pair, in namespaces of their own: what users' programs do to a network.

import { equal } from "node:assert/strict";
import { type HostOptions, Hosts, LINUX_V4, LINUX_V6, STACK_V4, STACK_V6 } from "./hosts.ts";

const PEER = new URL("peer.py", import.meta.url).pathname;
const MIB = 1 << 20;

/** Runs checks on one pair of hosts. */
function withHosts(
  name: string,
  options: HostOptions,
  body: (hosts: Hosts, t: Deno.TestContext) => Promise<void>,
) {
  Deno.test(name, async (t) => {
    const hosts = await Hosts.open(options);
    try {
      await body(hosts, t);
    } finally {
      await hosts.close();
    }
  });
}

async function peer(
  hosts: Hosts,
  args: readonly (string | number)[],
  timeoutMillis?: number,
): Promise<string> {
  const done = await hosts.linux(["python3", PEER, ...args.map(String)], timeoutMillis);
  return done.code === 0 ? done.stdout.trim() : `exit ${done.code}: ${done.stderr.slice(-300)}`;
}

async function pings(hosts: Hosts, address: string, bytes: number): Promise<string> {
  const { stdout } = await hosts.linux([
    "ping",
    "-c",
    "3",
    "-i",
    "0.1",
    "-W",
    "2",
    "-s",
    `${bytes}`,
    address,
  ]);
  return /(\d+) received/.exec(stdout)?.[1] ?? stdout;
}

withHosts("the stack answers Linux over a veth pair", {}, async (hosts, t) => {
  for (const [family, address] of [["IPv4", STACK_V4], ["IPv6", STACK_V6]]) {
    await t.step(`${family}: ping, whole and in fragments`, async () => {
      for (const bytes of [0, 56, 1472, 1473, 20_000, 65_000]) {
        equal(await pings(hosts, address, bytes), "3", `${bytes}`);
      }
    });
    await t.step(`${family}: 64 MiB there and back, with checksums`, async () => {
      equal(await peer(hosts, ["echo", address, 64 * MIB]), `${64 * MIB} True`);
    });
    await t.step(`${family}: one byte, and bytes one by one`, async () => {
      equal(await peer(hosts, ["echo", address, 1]), "1 True");
      equal(await peer(hosts, ["echo", address, 3000, 1]), "3000 True");
    });
    await t.step(`${family}: 100 connections at once`, async () => {
      equal(await peer(hosts, ["many", address, 100]), "100");
    });
    await t.step(`${family}: 1000 connections one after the other`, async () => {
      equal(await peer(hosts, ["churn", address, 1000]), "1000");
    });
    await t.step(`${family}: datagrams of 0 to 60,000 bytes`, async () => {
      equal(await peer(hosts, ["datagrams", address]), "[0, 1, 1000, 1472, 1473, 9000, 60000]");
    });
    await t.step(`${family}: closed ports refuse`, async () => {
      equal(await peer(hosts, ["refused", address]), "[111, 111]");
    });
    await t.step(`${family}: half close`, async () => {
      equal(await peer(hosts, ["half_close", address]), "True True");
    });
    await t.step(`${family}: a window that was closed opens again`, async () => {
      equal(await peer(hosts, ["closed_window", address]), "True");
    });
    await t.step(`${family}: a reset ends one connection`, async () => {
      equal(await peer(hosts, ["reset", address]), "1000 True");
    });
  }
});

withHosts("the stack is a client of Linux", {}, async (hosts, t) => {
  for (
    const [family, linux, own] of [["IPv4", LINUX_V4, `${STACK_V4}/24`], [
      "IPv6",
      `[${LINUX_V6}]`,
      `${STACK_V6}/64`,
    ]]
  ) {
    for (const [direction, what] of [["send", "sink"], ["receive", "source"]]) {
      await t.step(`${family}: ${direction}s 16 MiB`, async () => {
        const server = peer(hosts, ["listen", 5001, what, 16 * MIB]);
        await new Promise((resolve) => setTimeout(resolve, 700));
        const flags = [
          "--device=eth0",
          `--address=${own}`,
          `--connect=${linux}:5001`,
          `--${direction}=${16 * MIB}`,
        ];
        const client = await hosts.client(flags);
        equal(client.code, 0, client.stderr);
        equal(client.stdout.startsWith(`${16 * MIB} bytes`), true, client.stdout);
        equal(await server, direction === "send" ? `listening\n${16 * MIB}` : "listening\n0");
      });
    }
  }
});

for (const mtu of [700, 1280, 9000, 65_535]) {
  withHosts(`MTU ${mtu}`, { mtu }, async (hosts) => {
    equal(await pings(hosts, STACK_V4, 5000), "3");
    equal(await peer(hosts, ["echo", STACK_V4, 8 * MIB]), `${8 * MIB} True`);
    equal(await peer(hosts, ["datagrams", STACK_V4]), "[0, 1, 1000, 1472, 1473, 9000, 60000]");
    if (mtu >= 1280) equal(await peer(hosts, ["echo", STACK_V6, 8 * MIB]), `${8 * MIB} True`);
  });
}

withHosts("without offloads", { stack: ["--no-offload"] }, async (hosts) => {
  await hosts.linux(["ethtool", "-K", "eth0", "tso", "off", "gso", "off", "gro", "off", "tx", "off"]);
  equal(await peer(hosts, ["echo", STACK_V4, 8 * MIB]), `${8 * MIB} True`);
  equal(await peer(hosts, ["datagrams", STACK_V6]), "[0, 1, 1000, 1472, 1473, 9000, 60000]");
});

const WIRES: readonly (readonly [string, readonly string[], number])[] = [
  ["1 % loss", ["--loss=10000"], 4],
  ["5 % loss", ["--loss=50000"], 1],
  ["1 % loss at 4 ms round trip", ["--loss=10000", "--delay=2"], 4],
  ["reordering", ["--reorder=50000", "--delay=1"], 4],
  ["duplication", ["--duplicate=50000"], 4],
  ["corruption", ["--corrupt=10000"], 2],
  ["40 ms delay", ["--delay=20"], 4],
  ["all of it", ["--loss=10000", "--reorder=20000", "--duplicate=10000", "--corrupt=5000", "--delay=2"], 1],
];
for (const [name, wire, mebibytes] of WIRES) {
  for (const congestion of name === "1 % loss" ? ["cubic", "reno"] : ["cubic"]) {
    withHosts(
      `a wire with ${name} (${congestion})`,
      { wire, stack: [`--congestion=${congestion}`] },
      async (hosts) => {
        const bytes = mebibytes * MIB;
        equal(await peer(hosts, ["echo", STACK_V4, bytes], 90_000), `${bytes} True`);
      },
    );
  }
}
