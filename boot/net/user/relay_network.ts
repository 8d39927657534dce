// The net process' side of a sandbox's network: a stack of its own that answers for every address in the world, and what lies
// behind it, sockets of the host. Packets of the sandbox are all it hears of the sandbox; they are as hostile as a network's.

import type { NativeSockets } from "../../../native/host_sockets.ts";
import {
  type Address,
  type Link,
  NEVER,
  type PacketPool,
  parseAddress,
  prefixBits,
  type RandomSource,
  Stack,
} from "../../../netstack/mod.ts";
import { CHUNK_BYTES, type HostPoller, type RelayContext, Turns, Watches } from "./context.ts";
import { DNS_PORT, DnsForwarder, type NameServer } from "./dns_forwarder.ts";
import { DnsStreams } from "./dns_stream.ts";
import {
  DNS_V4,
  DNS_V6,
  GATEWAY_V4,
  GATEWAY_V6,
  GUEST_HARDWARE,
  GUEST_V4,
  GUEST_V6,
  own,
  PREFIX_V4,
  PREFIX_V6,
} from "./layout.ts";
import { OutgoingPing } from "./outgoing_ping.ts";
import { OutgoingTcp } from "./outgoing_tcp.ts";
import { OutgoingUdp } from "./outgoing_udp.ts";
import { EgressPolicy } from "./policy.ts";
import { PublishedConnections, PublishedTcp, PublishedUdp } from "./published.ts";

/** Between two looks for flows that are idle. */
const SWEEP_NANOS = 1e9;
/** Connections that the sandbox makes, at most. */
const CONNECTIONS_MAX = 8192;

/** Errors a second: as many as there may be connections. */
const ICMP_ERRORS_MAX = 100_000;

/** Configuration of a net process. */
export interface RelayConfig {
  /** Text of an EgressPolicy. */
  readonly egress: string;
  /** The host's name servers. */
  readonly servers: readonly { readonly address: string; readonly port: number }[];
  /** Sockets that come along, in this order. */
  readonly published: readonly PublishedPort[];
  readonly isLenient: boolean;
}

export interface PublishedPort {
  /** Of the sandbox. */
  readonly port: number;
  readonly isDatagram: boolean;
  readonly isV4: boolean;
}

export interface RelayHost {
  readonly sockets: NativeSockets;
  readonly poller: HostPoller;
  readonly random: RandomSource;
  readonly log: (text: string) => void;
  /** Descriptors that the process may have. */
  readonly descriptorsMax: number;
}

export class RelayNetwork {
  readonly stack: Stack;
  readonly watches: Watches;
  readonly policy: EgressPolicy;
  readonly #turns = new Turns();
  readonly #sweepers: { sweep(now: number): boolean }[];
  #isBusy = false;
  /** NEVER = there is nothing that gets old. */
  #sweepAt = NEVER;

  /** `listeners`: a descriptor for each of config.published. */
  constructor(
    host: RelayHost,
    pool: PacketPool,
    link: Link,
    now: number,
    config: RelayConfig,
    listeners: readonly number[],
  ) {
    this.stack = madeStack(host, pool, link, now);
    this.watches = new Watches(host.poller);
    this.policy = EgressPolicy.parse(config.egress);
    const context: RelayContext = {
      stack: this.stack,
      sockets: host.sockets,
      watches: this.watches,
      turns: this.#turns,
      policy: this.policy,
      chunk: new Uint8Array(CHUNK_BYTES),
      log: host.log,
    };
    // The other half is for datagrams, pings, names and published ports.
    const most = Math.min(CONNECTIONS_MAX, Math.floor(host.descriptorsMax / 2));
    const addresses = [own(DNS_V4), own(DNS_V6)];
    const isDns = (address: Address, port: number) =>
      port === DNS_PORT && addresses.some((one) => one.equals(address));
    const udp = new OutgoingUdp(context, (packet, port) => isDns(packet.destination, port));
    const ping = new OutgoingPing(context);
    const servers = config.servers.map(nameServer);
    const dns = new DnsForwarder(context, addresses, servers), dnsStreams = new DnsStreams(context, servers);
    const tcp = new OutgoingTcp(context, most, (syn) => {
      const isForUs = isDns(syn.destination, syn.destinationPort);
      if (isForUs) dnsStreams.take(syn);
      return isForUs;
    });
    this.stack.tcp.forwarder = tcp;
    this.stack.udp.forwarder = udp;
    this.stack.icmp.forwarder = ping;
    this.#sweepers = [tcp, udp.flows, ping.flows, dns, dnsStreams];
    const connections = new PublishedConnections();
    for (const [i, { port, isDatagram, isV4 }] of config.published.entries()) {
      if (isDatagram) this.#sweepers.push(new PublishedUdp(context, listeners[i], port, isV4).flows);
      else this.#sweepers.push(new PublishedTcp(context, listeners[i], port, isV4, connections));
    }
  }

  /** Does what is to do. */
  turn(now: number): void {
    this.#isBusy = this.stack.poll(now);
    this.#turns.run();
    // What was written just now goes out before we sleep.
    if (this.stack.poll(now)) this.#isBusy = true;
    if (now < this.#sweepAt) {
      if (this.#sweepAt === NEVER) this.#sweepAt = now + SWEEP_NANOS;
      return;
    }
    let hasFlows = false;
    for (const sweeper of this.#sweepers) if (sweeper.sweep(now)) hasFlows = true;
    this.#sweepAt = hasFlows ? now + SWEEP_NANOS : NEVER;
  }

  /** When the next turn is due, should nothing come before; 0 = at once. */
  turnAt(): number {
    if (this.#isBusy || !this.#turns.isIdle) return 0;
    return Math.min(this.stack.pollAt(), this.#sweepAt);
  }

  close(): void {
    this.stack.close();
  }
}

function madeStack(host: RelayHost, pool: PacketPool, link: Link, now: number): Stack {
  const { random, log } = host;
  const stack = new Stack({ pool, random, log, duplicateProbes: 0 });
  stack.now = now;
  // One station hears them, and it is the one that has asked.
  stack.ipSettings.set("icmp_ratelimit", 0);
  stack.ipSettings.set("icmp_msgs_per_sec", ICMP_ERRORS_MAX);
  stack.ipSettings.set("icmp_msgs_burst", ICMP_ERRORS_MAX);
  const nic = stack.addNic("sandbox", link);
  nic.takesAll = true;
  stack.setUp(nic, true);
  const view = new DataView(GUEST_HARDWARE.buffer);
  for (const guest of [GUEST_V4, GUEST_V6]) {
    nic.neighbours.resolve(own(guest)).makePermanent(view.getUint16(0), view.getInt32(2));
  }
  for (const text of [GATEWAY_V4, DNS_V4, GATEWAY_V6, DNS_V6]) {
    const address = own(text);
    stack.addAddress(nic, address, prefixBits(address.isV4 ? PREFIX_V4 : PREFIX_V6, address.isV4), 0);
  }
  return stack;
}

function nameServer({ address, port }: { readonly address: string; readonly port: number }): NameServer {
  const parsed = parseAddress(address);
  if (parsed === null) throw new Error(`Name server "${address}" is no address`);
  return { address: parsed, port };
}
