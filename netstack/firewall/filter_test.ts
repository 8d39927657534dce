// Rules at work on a router between two stacks: verdicts, states, refusals, a full table.

import { deepEqual as equal, match as matchText, ok as holds } from "node:assert/strict";
import { ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT, EPERM } from "../errno.ts";
import { address, bytesOf } from "../test_support.ts";
import { IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from "../wire/numbers.ts";
import { Hook } from "./hooks.ts";
import {
  MatchKind,
  STATE_ESTABLISHED,
  STATE_INVALID,
  STATE_NEW,
  STATE_RELATED,
  STATE_UNTRACKED,
} from "./matches.ts";
import { ChainType, PRIORITY_MANGLE, PRIORITY_RAW } from "./tables.ts";
import { RejectWith, TargetKind } from "./targets.ts";
import {
  ACCEPT,
  add,
  connect,
  DROP,
  endpointAddress,
  listen,
  Network,
  protocol,
  receive,
  sendTo,
  state,
  toPort,
  udpAt,
} from "./test_support.ts";

const SECURITY_CODES: readonly [string, RejectWith, number][] = [
  ["network unreachable", RejectWith.NetUnreachable, -ENETUNREACH],
  ["host unreachable", RejectWith.HostUnreachable, -EHOSTUNREACH],
  ["protocol unreachable", RejectWith.ProtocolUnreachable, -ENOPROTOOPT],
  ["port unreachable", RejectWith.PortUnreachable, -ECONNREFUSED],
  ["network prohibited", RejectWith.NetProhibited, -ENETUNREACH],
  ["host prohibited", RejectWith.HostProhibited, -EHOSTUNREACH],
  ["administratively prohibited", RejectWith.AdministrativelyProhibited, -EHOSTUNREACH],
];

for (const [name, how, error] of SECURITY_CODES) {
  Deno.test(`REJECT tells a UDP client: ${name}`, () => {
    const network = new Network();
    network.routeBack();
    const chain = network.chain(Hook.Forward);
    add(chain, [protocol(IPPROTO_UDP)], { kind: TargetKind.Reject, with: how });
    const client = udpAt(network.client, "10.0.0.2", 5000);
    equal(client.connect(endpointAddress("192.0.2.2", 9)), 0);
    // Soft errors are told to whoever wants to hear them, ip(7): IP_RECVERR.
    client.setOption(0, 11, Uint8Array.of(1, 0, 0, 0), 0, 4);
    client.write(bytesOf("x"), 0, 1, 0, null);
    network.run(0.5);
    equal(receive(client), error);
    equal(chain.rules[0].packets, 1);
    client.close();
    network.close();
  });
}

for (const host of ["192.0.2.2", "2001:db8::2"]) {
  Deno.test(`REJECT with a reset: a connection to ${host} is refused at once`, () => {
    const network = new Network();
    network.routeBack();
    add(network.chain(Hook.Forward), [protocol(IPPROTO_TCP)], {
      kind: TargetKind.Reject,
      with: RejectWith.TcpReset,
    });
    const caller = connect(network.client, host, 80);
    network.run(0.1);
    equal(caller.read(new Uint8Array(1), 0, 1, 0, null), -ECONNREFUSED);
    caller.close();
    network.close();
  });
  Deno.test(`REJECT on output and input: the router's own program, and a client of it, are refused (${host})`, () => {
    const network = new Network();
    const target = { kind: TargetKind.Reject as const, with: RejectWith.PortUnreachable };
    add(network.chain(Hook.Output), [protocol(IPPROTO_UDP), toPort(9)], target);
    add(network.chain(Hook.Input), [protocol(IPPROTO_UDP), toPort(7)], target);
    const isV4 = !host.includes(":");
    const own = network.router.newUdpEndpoint(isV4);
    own.connect(endpointAddress(host, 9));
    equal(own.write(bytesOf("x"), 0, 1, 0, null), -EPERM);
    network.run(0.5);
    equal(receive(own), -ECONNREFUSED);
    const client = network.client.newUdpEndpoint(isV4);
    client.connect(endpointAddress(isV4 ? "10.0.0.1" : "fd00::1", 7));
    client.write(bytesOf("x"), 0, 1, 0, null);
    network.run(0.5);
    equal(receive(client), -ECONNREFUSED);
    own.close();
    client.close();
    network.close();
  });
}

Deno.test("a stateful filter: outwards is new, answers are established, errors related, the rest is dropped", () => {
  const network = new Network();
  network.routeBack();
  const chain = network.chain(Hook.Forward);
  add(chain, [state(STATE_ESTABLISHED | STATE_RELATED)], ACCEPT);
  add(chain, [{ kind: MatchKind.Incoming, name: "eth0" }, state(STATE_NEW)], ACCEPT);
  equal(chain.setPolicy("drop"), 0);
  const service = udpAt(network.server, "192.0.2.2", 53);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(service, "unasked", "10.0.0.2", 5000);
  network.run(0.5);
  equal(typeof receive(client), "number");
  sendTo(client, "question", "192.0.2.2", 53);
  network.run(0.5);
  equal(receive(service), "question from 10.0.0.2:5000");
  sendTo(service, "answer", "10.0.0.2", 5000);
  network.run(0.5);
  equal(receive(client), "answer from 192.0.2.2:53");
  const other = udpAt(network.client, "10.0.0.2", 5001);
  other.connect(endpointAddress("192.0.2.2", 9));
  other.write(bytesOf("x"), 0, 1, 0, null);
  network.run(0.5);
  equal(receive(other), -ECONNREFUSED);
  equal(chain.policyPackets, 1);
  for (const endpoint of [service, client, other]) endpoint.close();
  network.close();
});

Deno.test("NOTRACK: packets that the raw table names have no connection", () => {
  const network = new Network();
  network.routeBack();
  add(network.chain(Hook.Prerouting, ChainType.Filter, PRIORITY_RAW), [toPort(53)], {
    kind: TargetKind.NoTrack,
  });
  const chain = network.chain(Hook.Forward);
  add(chain, [state(STATE_UNTRACKED)], ACCEPT);
  add(chain, [state(STATE_INVALID)], DROP);
  const service = udpAt(network.server, "192.0.2.2", 53);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(client, "x", "192.0.2.2", 53);
  network.run(0.5);
  equal(receive(service), "x from 10.0.0.2:5000");
  equal(chain.rules[0].packets, 1);
  equal(network.firewall.conntrack.table.size, 0);
  service.close();
  client.close();
  network.close();
});

Deno.test("MARK before routing chooses the table that a rule of routes names", () => {
  const network = new Network();
  network.routeBack();
  add(network.chain(Hook.Prerouting, ChainType.Filter, PRIORITY_MANGLE), [toPort(53)], {
    kind: TargetKind.Mark,
    value: 7,
    mask: -1,
  });
  const any = address("0.0.0.0");
  network.router.routes.addRule({
    priority: 100,
    isV4: true,
    source: null,
    sourceBits: 0,
    destination: null,
    destinationBits: 0,
    mark: 7,
    markMask: -1,
    incomingNicId: 0,
    table: 100,
    type: 2,
  });
  const service = udpAt(network.server, "192.0.2.2", 53), other = udpAt(network.server, "192.0.2.2", 54);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(client, "forbidden", "192.0.2.2", 53);
  sendTo(client, "free", "192.0.2.2", 54);
  network.run(0.5);
  equal(receive(other), "free from 10.0.0.2:5000");
  equal(typeof receive(service), "number");
  equal(any.isUnspecified, true);
  for (const endpoint of [service, other, client]) endpoint.close();
  network.close();
});

Deno.test("LOG writes a line with Linux' fields, but not without end", () => {
  const network = new Network();
  network.routeBack();
  add(network.chain(Hook.Forward), [protocol(IPPROTO_UDP)], { kind: TargetKind.Log, prefix: "seen: " });
  const client = udpAt(network.client, "10.0.0.2", 5000);
  for (let i = 0; i < 200; i++) sendTo(client, "x", "192.0.2.2", 9);
  network.run(0.01);
  matchText(
    network.log[0],
    /^seen: IN=eth0 OUT=eth1 SRC=10\.0\.0\.2 DST=192\.0\.2\.2 LEN=29 .*PROTO=UDP SPT=5000 DPT=9$/,
  );
  holds(network.log.length >= 10 && network.log.length <= 25, String(network.log.length));
  client.close();
  network.close();
});

Deno.test("owner: programs of one user are kept from the network", () => {
  const network = new Network();
  add(network.chain(Hook.Output), [
    { kind: MatchKind.Owner, uids: { first: 1000, last: 1999 }, gids: null, wantsSocket: false },
  ], DROP);
  const endpoint = udpAt(network.router, "192.0.2.1", 5000);
  endpoint.uid = 1500;
  equal(sendTo(endpoint, "x", "192.0.2.2", 9), -EPERM);
  endpoint.uid = 2000;
  equal(sendTo(endpoint, "x", "192.0.2.2", 9), 1);
  endpoint.close();
  network.run(1);
  network.close();
});

Deno.test("a full table: who was not answered goes first; when all are assured, new ones are lost and it is said", () => {
  const network = new Network(4);
  network.routeBack();
  network.firewall.keepsTracking = true;
  const { table } = network.firewall.conntrack;
  const service = udpAt(network.server, "192.0.2.2", 53);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  for (let i = 0; i < 20; i++) sendTo(client, `${i}`, "192.0.2.2", 100 + i);
  network.run(0.1);
  equal(table.size, 4);
  equal(table.statistics.earlyDrop, 16);
  // Four connections that talk.
  const listener = listen(network.server, "192.0.2.2", 80);
  const callers = [1, 2, 3, 4].map(() => connect(network.client, "192.0.2.2", 80));
  network.run(1);
  for (const caller of callers) caller.write(bytesOf("x"), 0, 1, 0, null);
  network.run(1);
  equal(table.size, 4);
  equal([...table.connections()].map((connection) => connection.isAssured), [true, true, true, true]);
  sendTo(client, "late", "192.0.2.2", 53);
  network.run(0.1);
  equal(typeof receive(service), "number");
  equal(table.statistics.drop, 1);
  matchText(network.log.at(-1)!, /table full/);
  for (const endpoint of [service, client, listener, ...callers]) endpoint.close();
  network.close();
});

Deno.test("entries end by time: an unanswered datagram after 30 s, and no timer stays", () => {
  const network = new Network();
  network.routeBack();
  network.firewall.keepsTracking = true;
  const { table } = network.firewall.conntrack;
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(client, "x", "192.0.2.2", 53);
  network.run(0.5);
  equal(table.size, 1);
  matchText(
    network.firewall.conntrackText(),
    /^ipv4 {5}2 udp {6}17 29 src=10\.0\.0\.2 dst=192\.0\.2\.2 sport=5000 dport=53 /,
  );
  network.run(28);
  equal(table.size, 1);
  network.run(5);
  equal(table.size, 0);
  equal(network.firewall.conntrackText(), "");
  holds(network.firewall.conntrackStatisticsText().startsWith("entries "));
  client.close();
  network.run(120);
  network.close();
});

Deno.test("ping through a stateful filter, and an answer that nobody asked for", () => {
  const network = new Network();
  network.routeBack();
  const chain = network.chain(Hook.Forward);
  add(chain, [state(STATE_INVALID)], DROP);
  add(
    chain,
    [protocol(IPPROTO_ICMP), { kind: MatchKind.Icmp, type: 8, codeFirst: 0, codeLast: 255 }],
    ACCEPT,
  );
  const endpoint = network.client.newPingEndpoint(true);
  endpoint.connect(endpointAddress("192.0.2.2", 0));
  const request = bytesOf(8, 0, 0, 0, 0, 0, 0, 1, "hello");
  endpoint.write(request, 0, request.length, 0, null);
  network.run(0.5);
  equal(endpoint.read(request, 0, request.length, 0, null), request.length);
  equal([chain.rules[0].packets, chain.rules[1].packets], [0, 1]);
  // A raw reply without a request.
  const raw = network.server.newRawEndpoint(true, IPPROTO_ICMP);
  raw.connect(endpointAddress("10.0.0.2", 0));
  const reply = bytesOf(0, 0, 0xff, 0xfe, 0, 1, 0, 0);
  raw.write(reply, 0, reply.length, 0, null);
  network.run(0.5);
  equal(chain.rules[0].packets, 1);
  endpoint.close();
  raw.close();
  network.close();
});
