// For the tests of the filter: a client, a router that filters and translates, and a server, joined by two wires; and short
// words for rules and programs.

import { prefixBits } from "../address.ts";
import { EndpointAddress, IncomingControl, OutgoingControl } from "../endpoint.ts";
import { LoopbackLink } from "../link/loopback.ts";
import { VethLink } from "../link/veth.ts";
import type { Link } from "../link/link.ts";
import type { Nic } from "../nic.ts";
import { PacketPool } from "../packet.ts";
import { SeededRandom } from "../random.ts";
import { Stack } from "../stack.ts";
import type { TcpEndpoint } from "../tcp/endpoint.ts";
import { address, bytesOf } from "../test_support.ts";
import type { UdpEndpoint } from "../udp/endpoint.ts";
import { Firewall } from "./firewall.ts";
import { Hook } from "./hooks.ts";
import { type Match, MatchKind } from "./matches.ts";
import {
  type Chain,
  ChainType,
  Family,
  PRIORITY_FILTER,
  PRIORITY_NAT_DESTINATION,
  PRIORITY_NAT_SOURCE,
  type Table,
} from "./tables.ts";
import { type Target, TargetKind } from "./targets.ts";

export const ACCEPT: Target = { kind: TargetKind.Accept };
export const DROP: Target = { kind: TargetKind.Drop };
export const MASQUERADE: Target = { kind: TargetKind.Masquerade, ports: null, isRandom: false };
export function destinationNat(text: string, port: number | null = null): Target {
  return {
    kind: TargetKind.DestinationNat,
    addressFirst: address(text),
    addressLast: null,
    ports: port === null ? null : { first: port, last: port },
    isRandom: false,
    isPersistent: false,
  };
}
export function sourceNat(text: string, first: number | null = null, last = first): Target {
  return {
    kind: TargetKind.SourceNat,
    addressFirst: address(text),
    addressLast: null,
    ports: first === null || last === null ? null : { first, last },
    isRandom: false,
    isPersistent: false,
  };
}
export function redirect(port: number): Target {
  return { kind: TargetKind.Redirect, ports: { first: port, last: port }, isRandom: false };
}
export function protocol(number: number): Match {
  return { kind: MatchKind.Protocol, protocol: number };
}
export function toPort(first: number, last = first): Match {
  return { kind: MatchKind.DestinationPort, first, last };
}
export function state(states: number): Match {
  return { kind: MatchKind.State, states };
}
export function out(name: string): Match {
  return { kind: MatchKind.Outgoing, name };
}

const HOOK_NAMES: readonly string[] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/** A base chain of Linux' usual name and priority, made when it is asked for first. */
export function chainOf(firewall: Firewall, hook: Hook, type: ChainType, priority?: number): Chain {
  const name = `${type === ChainType.Nat ? "nat" : `filter${priority ?? ""}`}`;
  const table = ok<Table>(firewall.table(name, Family.Both) ?? firewall.addTable(name, Family.Both));
  const isSource = hook === Hook.Postrouting || hook === Hook.Input;
  const natAt = isSource ? PRIORITY_NAT_SOURCE : PRIORITY_NAT_DESTINATION;
  const at = priority ?? (type === ChainType.Nat ? natAt : PRIORITY_FILTER);
  return ok<Chain>(
    table.chain(HOOK_NAMES[hook]) ?? table.addChain(HOOK_NAMES[hook], { hook, type, priority: at }),
  );
}
export function ok<T>(value: T | number): T {
  if (typeof value === "number") throw new Error(`It answers ${value}`);
  return value;
}
export function add(chain: Chain, matches: readonly Match[], target: Target): void {
  const result = chain.insert(matches, target);
  if (result < 0) throw new Error(`insert answers ${result}`);
}

export class Network {
  readonly pool = PacketPool.inHeap(2048, 192);
  readonly client: Stack;
  readonly router: Stack;
  readonly server: Stack;
  readonly firewall: Firewall;
  readonly inner: Nic;
  readonly outer: Nic;
  readonly log: string[] = [];
  now = 1000e9;

  constructor(connectionsMax?: number, seed = 1) {
    const [a, b] = VethLink.pair(Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2));
    const [c, d] = VethLink.pair(Uint8Array.of(2, 0, 0, 0, 0, 3), Uint8Array.of(2, 0, 0, 0, 0, 4));
    this.client = this.#stack(seed);
    this.router = this.#stack(seed + 1);
    this.server = this.#stack(seed + 2);
    const left = this.#nic(this.client, "eth0", a, ["10.0.0.2/24", "10.0.0.3/24", "fd00::2/64"]);
    this.inner = this.#nic(this.router, "eth0", b, ["10.0.0.1/24", "fd00::1/64"]);
    this.outer = this.#nic(this.router, "eth1", c, ["192.0.2.1/24", "2001:db8::1/64"]);
    this.#nic(this.server, "eth0", d, ["192.0.2.2/24", "2001:db8::2/64"]);
    this.inner.isForwarding = this.outer.isForwarding = true;
    this.client.addDefaultRoute(left, address("10.0.0.1"));
    this.client.addDefaultRoute(left, address("fd00::1"));
    this.firewall = new Firewall(this.router, connectionsMax);
    this.router.firewall = this.firewall;
    this.run(0.1);
  }
  /** The server can answer the client without translation. */
  routeBack(): void {
    const nic = this.server.nics[2]!;
    this.server.addDefaultRoute(nic, address("192.0.2.1"));
    this.server.addDefaultRoute(nic, address("2001:db8::1"));
  }

  #stack(seed: number): Stack {
    const stack = new Stack({
      pool: this.pool,
      random: new SeededRandom(seed),
      log: (text) => this.log.push(text),
      duplicateProbes: 0,
    });
    stack.now = this.now;
    const lo = stack.addNic("lo", new LoopbackLink());
    stack.setUp(lo, true);
    stack.addAddress(lo, address("127.0.0.1"), prefixBits(8, true));
    stack.addAddress(lo, address("::1"), 128);
    return stack;
  }
  #nic(stack: Stack, name: string, link: Link, addresses: readonly string[]): Nic {
    const nic = stack.addNic(name, link);
    stack.setUp(nic, true);
    for (const text of addresses) {
      const [host, length] = text.split("/");
      const parsed = address(host);
      stack.addAddress(nic, parsed, prefixBits(Number(length), parsed.isV4));
    }
    return nic;
  }

  /** Virtual time goes on. */
  run(seconds: number): void {
    const until = this.now + seconds * 1e9;
    const stacks = [this.client, this.router, this.server];
    for (let i = 0; i < 20_000; i++) {
      for (let n = 0, isBusy = true; isBusy && n < 200; n++) {
        isBusy = false;
        for (const stack of stacks) if (stack.poll(this.now)) isBusy = true;
      }
      const at = Math.min(...stacks.map((stack) => stack.pollAt()));
      if (at > until) break;
      this.now = Math.max(this.now + 1000, at);
    }
    this.now = until;
    for (const stack of stacks) stack.poll(this.now);
  }

  /** Closes all; no packet may be missing. */
  close(): void {
    for (const stack of [this.client, this.router, this.server]) stack.close();
    this.firewall.close();
    if (this.pool.used !== 0) throw new Error(`${this.pool.used} packets are lost`);
  }

  chain(hook: Hook, type = ChainType.Filter, priority?: number): Chain {
    return chainOf(this.firewall, hook, type, priority);
  }
  /** MASQUERADE on the outer side. */
  masquerade(): void {
    add(this.chain(Hook.Postrouting, ChainType.Nat), [out("eth1")], MASQUERADE);
  }
}

export function endpointAddress(text: string, port: number): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(address(text));
  to.port = port;
  return to;
}
export function udpAt(stack: Stack, host: string, port: number): UdpEndpoint {
  const endpoint = stack.newUdpEndpoint(!host.includes(":"));
  const result = endpoint.bind(endpointAddress(host, port));
  if (result < 0) throw new Error(`bind answers ${result}`);
  return endpoint;
}
export function sendTo(endpoint: UdpEndpoint, body: string | Uint8Array, host: string, port: number): number {
  const control = new OutgoingControl();
  control.to = endpointAddress(host, port);
  const bytes = bytesOf(body);
  return endpoint.write(bytes, 0, bytes.length, 0, control);
}
/** "body from address:port", or -ERRNO. */
export function receive(endpoint: UdpEndpoint): string | number {
  const into = new Uint8Array(65_536);
  const control = new IncomingControl();
  const n = endpoint.read(into, 0, into.length, 0, control);
  if (n < 0) return n;
  const body = n > 100 ? `${n} bytes` : String.fromCharCode(...into.subarray(0, n));
  return `${body} from ${control.from.address}:${control.from.port}`;
}

export function listen(stack: Stack, host: string, port: number): TcpEndpoint {
  const endpoint = stack.newTcpEndpoint(!host.includes(":"));
  const bound = endpoint.bind(endpointAddress(host, port));
  const result = bound < 0 ? bound : endpoint.listen(16);
  if (result < 0) throw new Error(`listen answers ${result}`);
  return endpoint;
}
export function connect(stack: Stack, host: string, port: number): TcpEndpoint {
  const endpoint = stack.newTcpEndpoint(!host.includes(":"));
  endpoint.connect(endpointAddress(host, port));
  return endpoint;
}
