// Translation on a router between two stacks: RFC 3022, RFC 4787, RFC 5508.

import { deepEqual as equal, ok as holds } from "node:assert/strict";
import { Address } from "../../address.ts";
import type { Stack } from "../../stack.ts";
import type { TcpEndpoint } from "../../tcp/endpoint.ts";
import { PatternProgram } from "../../tcp/two_stacks.ts";
import { address, bytesOf } from "../../test_support.ts";
import { IPPROTO_TCP, IPPROTO_UDP } from "../../wire/numbers.ts";
import { ECONNREFUSED } from "../../errno.ts";
import { Hook } from "../hooks.ts";
import { MatchKind } from "../matches.ts";
import { ChainType } from "../tables.ts";
import {
  add,
  connect,
  destinationNat,
  endpointAddress,
  listen,
  MASQUERADE,
  Network,
  protocol,
  receive,
  redirect,
  sendTo,
  sourceNat,
  toPort,
  udpAt,
} from "../test_support.ts";
import { RejectWith, TargetKind } from "../targets.ts";

function accepted(listener: TcpEndpoint): TcpEndpoint {
  const endpoint = listener.accept();
  if (typeof endpoint === "number") throw new Error(`accept answers ${endpoint}`);
  return endpoint;
}
/** Both send each other a pattern until the end. */
function converse(network: Network, first: TcpEndpoint, second: TcpEndpoint, total: number): void {
  const left = new PatternProgram(first, total), right = new PatternProgram(second, total);
  for (let i = 0; i < 400 && !(left.isDone && right.isDone); i++) {
    left.serve();
    right.serve();
    network.run(0.05);
  }
  equal([left.failure, right.failure], ["", ""]);
  equal([left.received, right.received], [total, total]);
}
function ping(stack: Stack, host: string) {
  const endpoint = stack.newPingEndpoint(!host.includes(":"));
  endpoint.connect(endpointAddress(host, 0));
  const request = bytesOf(host.includes(":") ? 128 : 8, 0, 0, 0, 0, 0, 0, 1, "hello");
  equal(endpoint.write(request, 0, request.length, 0, null), request.length);
  return endpoint;
}

for (
  const [inner, server, outer] of [["10.0.0.2", "192.0.2.2", "192.0.2.1"], [
    "fd00::2",
    "2001:db8::2",
    "2001:db8::1",
  ]]
) {
  Deno.test(`MASQUERADE: ${inner} speaks as ${outer}, and hears the answers`, () => {
    const network = new Network();
    network.masquerade();
    const service = udpAt(network.server, server, 53);
    const client = udpAt(network.client, inner, 5000);
    sendTo(client, "question", server, 53);
    network.run(1);
    equal(receive(service), `question from ${outer}:5000`);
    sendTo(service, "answer", outer, 5000);
    network.run(1);
    equal(receive(client), `answer from ${server}:53`);

    const listener = listen(network.server, server, 80);
    const caller = connect(network.client, server, 80);
    network.run(1);
    const callee = accepted(listener);
    const peer = endpointAddress(server, 0);
    callee.peerAddress(peer);
    equal(peer.address.toString(), outer);
    converse(network, caller, callee, 300_000);

    const echo = ping(network.client, server);
    network.run(1);
    const into = new Uint8Array(100);
    equal(echo.read(into, 0, 100, 0, null), 13);
    for (const endpoint of [service, client, listener, caller, callee, echo]) endpoint.close();
    network.close();
  });

  Deno.test(`ICMP errors: ${inner} hears of a closed port behind ${outer} as if it had not been translated`, () => {
    const network = new Network();
    network.masquerade();
    const client = network.client.newUdpEndpoint(!inner.includes(":"));
    client.bind(endpointAddress(inner, 5000));
    equal(client.connect(endpointAddress(server, 9)), 0);
    equal(client.write(bytesOf("anyone?"), 0, 7, 0, null), 7);
    network.run(1);
    equal(receive(client), -ECONNREFUSED);
    equal(network.client.icmp.statistics[inner.includes(":") ? "v6" : "v4"].inChecksumErrors, 0);
    client.close();
    network.close();
  });
}

Deno.test("DNAT: a port of the router leads to an inner server, at another port", () => {
  const network = new Network();
  add(
    network.chain(Hook.Prerouting, ChainType.Nat),
    [protocol(IPPROTO_TCP), toPort(8080)],
    destinationNat("10.0.0.2", 80),
  );
  const listener = listen(network.client, "10.0.0.2", 80);
  const caller = connect(network.server, "192.0.2.1", 8080);
  network.run(1);
  const callee = accepted(listener);
  converse(network, caller, callee, 100_000);
  const text = network.firewall.conntrackText();
  holds(text.includes("src=192.0.2.2 dst=192.0.2.1"), text);
  holds(text.includes("src=10.0.0.2 dst=192.0.2.2 sport=80"), text);
  holds(text.includes("[ASSURED]"), text);
  for (const endpoint of [listener, caller, callee]) endpoint.close();
  network.close();
});

Deno.test("DNAT: an error about the inner server's closed port comes from the router's address", () => {
  const network = new Network();
  add(
    network.chain(Hook.Prerouting, ChainType.Nat),
    [protocol(IPPROTO_UDP), toPort(53)],
    destinationNat("10.0.0.2", 5353),
  );
  const caller = network.server.newUdpEndpoint(true);
  equal(caller.connect(endpointAddress("192.0.2.1", 53)), 0);
  caller.write(bytesOf("x"), 0, 1, 0, null);
  network.run(1);
  equal(receive(caller), -ECONNREFUSED);
  caller.close();
  network.close();
});

Deno.test("REDIRECT: what goes through the router comes to a port of it, which learns where it was going", () => {
  const network = new Network();
  add(network.chain(Hook.Prerouting, ChainType.Nat), [protocol(IPPROTO_TCP), toPort(80)], redirect(3128));
  const listener = listen(network.router, "0.0.0.0", 3128);
  const caller = connect(network.client, "192.0.2.2", 80);
  network.run(1);
  const callee = accepted(listener);
  const local = endpointAddress("0.0.0.0", 0), remote = endpointAddress("0.0.0.0", 0);
  callee.localAddress(local);
  callee.peerAddress(remote);
  equal(local.address.toString(), "10.0.0.1");
  const into = new Address();
  const port = network.firewall.originalDestination(
    IPPROTO_TCP,
    local.address,
    local.port,
    remote.address,
    remote.port,
    into,
  );
  equal([into.toString(), port], ["192.0.2.2", 80]);
  converse(network, caller, callee, 50_000);
  for (const endpoint of [listener, caller, callee]) endpoint.close();
  network.close();
});

Deno.test("REDIRECT: the router's own connections come to loopback", () => {
  const network = new Network();
  add(network.chain(Hook.Output, ChainType.Nat), [protocol(IPPROTO_TCP), toPort(80)], redirect(3128));
  const listener = listen(network.router, "0.0.0.0", 3128);
  const caller = connect(network.router, "192.0.2.2", 80);
  network.run(1);
  const callee = accepted(listener);
  const peer = endpointAddress("0.0.0.0", 0);
  caller.peerAddress(peer);
  equal([peer.address.toString(), peer.port], ["192.0.2.2", 80]);
  converse(network, caller, callee, 50_000);
  for (const endpoint of [listener, caller, callee]) endpoint.close();
  network.close();
});

Deno.test("SNAT: two clients of one port get two ports of the range, and a third none", () => {
  const network = new Network();
  add(
    network.chain(Hook.Postrouting, ChainType.Nat),
    [protocol(IPPROTO_UDP)],
    sourceNat("192.0.2.1", 7000, 7001),
  );
  const service = udpAt(network.server, "192.0.2.2", 53);
  const clients = [
    udpAt(network.client, "10.0.0.2", 5000),
    udpAt(network.client, "10.0.0.3", 5000),
    udpAt(network.client, "10.0.0.3", 5001),
  ];
  for (const [i, client] of clients.entries()) {
    sendTo(client, `from ${i}`, "192.0.2.2", 53);
    network.run(0.1);
  }
  const heard = [receive(service), receive(service)].sort();
  const ports = heard.map((text) => Number(String(text).split(":").at(-1)));
  equal([...ports].sort(), [7000, 7001]);
  holds(typeof receive(service) === "number");
  equal(network.firewall.conntrack.table.statistics.insertFailed, 1);
  for (const [i, port] of ports.entries()) sendTo(service, `to ${i}`, "192.0.2.1", port);
  network.run(1);
  equal([receive(clients[0]), receive(clients[1])], ["to 0 from 192.0.2.2:53", "to 1 from 192.0.2.2:53"]);
  for (const endpoint of [service, ...clients]) endpoint.close();
  network.close();
});

Deno.test("no clash: the router's own datagram gets another port than the translated one of the same number", () => {
  const network = new Network();
  network.masquerade();
  const service = udpAt(network.server, "192.0.2.2", 53);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  const own = udpAt(network.router, "192.0.2.1", 5000);
  sendTo(client, "inner", "192.0.2.2", 53);
  network.run(0.1);
  sendTo(own, "own", "192.0.2.2", 53);
  network.run(0.1);
  equal(receive(service), "inner from 192.0.2.1:5000");
  const second = String(receive(service));
  const port = Number(second.split(":").at(-1));
  holds(second.startsWith("own from 192.0.2.1:") && port !== 5000, second);
  sendTo(service, "back", "192.0.2.1", port);
  network.run(0.1);
  equal(receive(own), "back from 192.0.2.2:53");
  for (const endpoint of [service, client, own]) endpoint.close();
  network.close();
});

Deno.test("hairpin: an inner client reaches an inner server by the router's outer address", () => {
  const network = new Network();
  const isToRouter = { kind: MatchKind.Destination as const, address: address("192.0.2.1"), bits: 128 };
  add(
    network.chain(Hook.Prerouting, ChainType.Nat),
    [isToRouter, protocol(IPPROTO_UDP), toPort(53)],
    destinationNat("10.0.0.3", 5353),
  );
  add(network.chain(Hook.Postrouting, ChainType.Nat), [], MASQUERADE);
  const service = udpAt(network.client, "10.0.0.3", 5353);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(client, "question", "192.0.2.1", 53);
  network.run(1);
  equal(receive(service), "question from 10.0.0.1:5000");
  sendTo(service, "answer", "10.0.0.1", 5000);
  network.run(1);
  equal(receive(client), "answer from 192.0.2.1:53");
  service.close();
  client.close();
  network.close();
});

Deno.test("fragments: a datagram in pieces is translated whole, both ways", () => {
  const network = new Network();
  network.masquerade();
  const service = udpAt(network.server, "192.0.2.2", 53);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(client, new Uint8Array(4000), "192.0.2.2", 53);
  network.run(1);
  equal(receive(service), "4000 bytes from 192.0.2.1:5000");
  sendTo(service, new Uint8Array(9000), "192.0.2.1", 5000);
  network.run(1);
  equal(receive(client), "9000 bytes from 192.0.2.2:53");
  equal(network.router.ipv4.FragCreates > 0, true);
  service.close();
  client.close();
  network.close();
});

Deno.test("MASQUERADE: connections die with the address they live on", () => {
  const network = new Network();
  network.masquerade();
  const service = udpAt(network.server, "192.0.2.2", 53);
  const client = udpAt(network.client, "10.0.0.2", 5000);
  sendTo(client, "one", "192.0.2.2", 53);
  network.run(1);
  equal(network.firewall.conntrack.table.size, 1);
  network.router.addAddress(network.outer, address("192.0.2.9"), 120);
  network.router.removeAddress(network.outer, address("192.0.2.1"));
  sendTo(client, "two", "192.0.2.2", 53);
  network.run(1);
  receive(service);
  equal(receive(service), "two from 192.0.2.9:5000");
  equal(network.firewall.conntrack.table.size, 1);
  service.close();
  client.close();
  network.close();
});

Deno.test("REJECT of a translated first packet comes as from the address that was asked, and leaves no entry", () => {
  const network = new Network();
  const nat = network.chain(Hook.Prerouting, ChainType.Nat);
  add(nat, [], destinationNat("10.0.0.2", 5353));
  const chain = network.chain(Hook.Forward);
  add(chain, [protocol(IPPROTO_UDP)], { kind: TargetKind.Reject, with: RejectWith.PortUnreachable });
  add(chain, [protocol(IPPROTO_TCP)], { kind: TargetKind.Reject, with: RejectWith.TcpReset });
  const datagrams = network.server.newUdpEndpoint(true);
  datagrams.connect(endpointAddress("192.0.2.1", 53));
  datagrams.write(bytesOf("x"), 0, 1, 0, null);
  const caller = connect(network.server, "192.0.2.1", 80);
  network.run(0.5);
  equal(receive(datagrams), -ECONNREFUSED);
  equal(caller.read(new Uint8Array(1), 0, 1, 0, null), -ECONNREFUSED);
  equal(network.firewall.conntrack.table.size, 0);
  datagrams.close();
  caller.close();
  network.close();
});

Deno.test("DNAT to a range: each client has its server, and keeps it where it is said so", () => {
  const network = new Network();
  add(network.chain(Hook.Prerouting, ChainType.Nat), [protocol(IPPROTO_UDP)], {
    kind: TargetKind.DestinationNat,
    addressFirst: address("10.0.0.2"),
    addressLast: address("10.0.0.3"),
    ports: null,
    isRandom: false,
    isPersistent: true,
  });
  const services = [udpAt(network.client, "10.0.0.2", 53), udpAt(network.client, "10.0.0.3", 53)];
  const callers = [1, 2, 3].map((n) => udpAt(network.server, "192.0.2.2", 5000 + n));
  for (const caller of callers) sendTo(caller, "x", "192.0.2.1", 53);
  network.run(1);
  const counts = services.map((service) => {
    let n = 0;
    while (typeof receive(service) === "string") n++;
    return n;
  });
  equal(counts.toSorted(), [0, 3]);
  for (const endpoint of [...services, ...callers]) endpoint.close();
  network.close();
});
