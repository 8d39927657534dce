// The links of a sandbox's network stack that come from the host: Network.CreateLinksAndRoutes, called by the command line
// before the container's init runs, or by a client of the control API. It takes effect once. What it says is checked whole
// before anything is made. Order as gVisor's boot.Network: interfaces, addresses, neighbours, routes, default gateways.

import { errnoName } from "../../kernel/abi/errno.ts";
import type { HostListener } from "../../kernel/host/host_watch.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Network, networkOf } from "../../kernel/socket/inet/network.ts";
import type { NativeHost } from "../../native/host.ts";
import type { Netstack } from "../../kernel/socket/inet/room.ts";
import type { Address, EthernetLink, Link, Nic, PacketLogLink, PcapWriter } from "../../netstack/mod.ts";
import { decodeBase64 } from "../api/base64.ts";
import { QueueingDiscipline } from "../api/network.ts";
import { type Query, Refusal } from "../control/services/query.ts";
import { HostChannels } from "./host_channels.ts";
import { describePacket } from "./packet_line.ts";

const CLOCK_REALTIME = 0;
const S_IFMT = 0o170000;
const S_IFSOCK = 0o140000;
const STAT_BYTES = 144;
const STAT_MODE_AT = 24;
/** As Linux' IFNAMSIZ, without the NUL. */
const NAME_CHARACTERS_MAX = 15;
const MTU_MIN = 68;
const MTU_MAX = 65_535;
/** Links of one call, and channels of one link. */
const LINKS_MAX = 64;
const CHANNELS_MAX = 64;
/** Metric of IPv6 routes that say none (IP6_RT_PRIO_USER). */
const METRIC_V6 = 1024;

interface PlannedRoute {
  readonly prefix: Address;
  /** Unified form. */
  readonly bits: number;
  readonly gateway: Address | null;
  readonly mtu: number;
}

interface PlannedLink {
  readonly name: string;
  readonly addresses: { readonly address: Address; readonly bits: number }[];
  readonly routes: PlannedRoute[];
  readonly neighbours: { readonly address: Address; readonly hardware: Uint8Array }[];
  /** null = a loopback. */
  readonly device: PlannedDevice | null;
}

interface PlannedDevice {
  readonly mtu: number;
  readonly hardware: Uint8Array;
  readonly hasOffload: boolean;
  readonly trustsChecksums: boolean;
  readonly joinsSegments: boolean;
  readonly isQueued: boolean;
  readonly fds: readonly number[];
}

interface Plan {
  readonly links: readonly PlannedLink[];
  readonly gateways: { readonly route: PlannedRoute; readonly name: string }[];
  /** -1 = no packet goes to a file. */
  readonly pcap: number;
}

/** What a call cannot be. */
class PlanError extends Error {}

export class SandboxNetwork {
  readonly #kernel: Kernel;
  readonly #host: NativeHost;
  #isMade = false;
  /** Of all links that were made: where their packets are logged. */
  readonly #logs: { readonly name: string; readonly link: PacketLogLink }[] = [];

  constructor(kernel: Kernel, host: NativeHost) {
    this.#kernel = kernel;
    this.#host = host;
  }

  /** Carries out Network.CreateLinksAndRoutes. `query.files` stay the caller's. */
  create(query: Query): unknown {
    const task = this.#kernel.rootContainer?.initTask ?? null;
    if (task === null) return new Refusal("the sandbox has no container yet");
    if (this.#isMade) return new Refusal("links and routes have been created already");
    try {
      const network = networkOf(this.#kernel, task.namespaces.net);
      const plan = new PlanReader(network.shared.netstack).plan(query);
      for (const { device } of plan.links) {
        for (const fd of device?.fds ?? []) this.#requireSocket(fd);
      }
      this.#make(network, plan);
    } catch (error) {
      if (error instanceof PlanError) return new Refusal(error.message);
      throw error;
    }
    this.#isMade = true;
    return null;
  }

  /** A line in the log for each packet of the links, from now on or no more. */
  logPackets(isWanted: boolean): void {
    const log = this.#kernel.log;
    if (this.#logs.length === 0) return;
    const { netstack } = this.#kernel.inet.shared;
    for (const { name, link } of this.#logs) {
      link.line = isWanted
        ? (direction, packet) => log(describePacket(netstack, name, direction, packet))
        : null;
    }
  }

  #requireSocket(fd: number): void {
    const stat = new Uint8Array(STAT_BYTES);
    const result = this.#host.fstat(fd, stat, 0);
    const mode = new DataView(stat.buffer).getUint32(STAT_MODE_AT, true);
    if (result < 0 || (mode & S_IFMT) !== S_IFSOCK) throw new PlanError("a link's FD is not a socket");
  }

  #make(network: Network, plan: Plan): void {
    const { stack } = network;
    network.touch();
    const taken = plan.links.find(({ name, device }) =>
      device !== null && stack.nics.some((nic) => nic?.name === name)
    );
    if (taken !== undefined) throw new PlanError(`there is a link "${taken.name}" already`);
    const pcap = this.#pcapWriter(network.shared.netstack, plan.pcap);
    const nics = plan.links.map((link) => {
      const known = stack.nics.find((nic) => nic?.name === link.name);
      const nic = known ?? stack.addNic(link.name, this.#linkOf(network, link, pcap));
      stack.setUp(nic, true);
      return nic;
    });
    // Somebody on the host had these addresses until now, so that nobody else has them.
    for (const [i, { addresses }] of plan.links.entries()) {
      for (const { address, bits } of addresses) {
        if (nics[i].find(address) === null) check(stack.addAddress(nics[i], address, bits, 0), `${address}`);
      }
    }
    for (const [i, { neighbours }] of plan.links.entries()) {
      for (const { address, hardware } of neighbours) {
        const view = new DataView(hardware.buffer, hardware.byteOffset);
        nics[i].neighbours.resolve(address).makePermanent(view.getUint16(0), view.getInt32(2));
      }
    }
    for (const [i, { routes }] of plan.links.entries()) {
      for (const route of routes) addRoute(nics[i], route);
    }
    for (const { route, name } of plan.gateways) {
      addRoute(nics[plan.links.findIndex((link) => link.name === name)], route);
    }
    network.wake();
  }

  #linkOf(network: Network, planned: PlannedLink, pcap: PcapWriter | null): Link {
    const { device, name } = planned;
    const { netstack, packets } = network.shared;
    if (device === null) return new netstack.LoopbackLink();
    const kernel = this.#kernel;
    const facts = { name, mtu: device.mtu, address: device.hardware, hasOffload: device.hasOffload };
    const fds = device.fds.map((fd) => this.#copy(fd));
    const listener = new LinkListener(kernel, network);
    const channels = new HostChannels(kernel, fds, facts, listener);
    const { trustsChecksums } = device;
    const ethernet = new netstack.EthernetLink(channels, packets, device.hardware, { trustsChecksums });
    let link: Link = new netstack.SoftwareOffload(ethernet, packets);
    if (device.isQueued) link = new netstack.FifoLink(link);
    if (device.joinsSegments) link = new netstack.GroLink(link);
    const logged = new netstack.PacketLogLink(link, pcap);
    listener.serve(logged, ethernet, channels);
    this.#logs.push({ name, link: logged });
    return logged;
  }

  #copy(fd: number): number {
    const copy = this.#host.dup(fd);
    if (copy < 0) throw new PlanError(`a link's FD cannot be kept: ${errnoName(-copy)}`);
    return copy;
  }

  #pcapWriter(netstack: Netstack, fd: number): PcapWriter | null {
    if (fd < 0) return null;
    const host = this.#host, copy = this.#copy(fd);
    const sink = { write: (bytes: Uint8Array) => void host.write(copy, bytes, 0, bytes.length) };
    return new netstack.PcapWriter(sink, {
      seconds: () => host.clockSeconds(CLOCK_REALTIME),
      nanoseconds: () => host.clockFraction,
    });
  }
}

/** Gives a link's stack its turn when the host has frames for it. */
class LinkListener implements HostListener {
  readonly #kernel: Kernel;
  /** Whose link it was when last looked: guests may move it to another namespace. */
  #network: Network;
  #link: Link | null = null;
  #ethernet: EthernetLink | null = null;
  #channels: HostChannels | null = null;

  constructor(kernel: Kernel, network: Network) {
    this.#kernel = kernel;
    this.#network = network;
  }

  serve(link: Link, ethernet: EthernetLink, channels: HostChannels): void {
    this.#link = link;
    this.#ethernet = ethernet;
    this.#channels = channels;
  }

  onHostEvents(): void {
    const link = this.#link;
    if (link === null) return;
    if (!hasLink(this.#network, link)) {
      for (const network of this.#kernel.inet.networks) if (hasLink(network, link)) this.#network = network;
    }
    this.#network.poll(this.#kernel.clock.monotonic());
    if (this.#ethernet?.failure === 0) return;
    this.#kernel.log(`Network: an interface has failed: ${errnoName(-this.#ethernet!.failure)}`);
    this.#channels?.unwatch();
  }
}

function hasLink({ stack }: Network, link: Link): boolean {
  for (const nic of stack.nics) if (nic !== undefined && nic.link === link) return true;
  return false;
}

/** Adds a route, unless it is the one that an address has brought along. */
function addRoute(nic: Nic, { prefix, bits, gateway, mtu }: PlannedRoute): void {
  const { routes } = nic.stack;
  const isThere = gateway === null && mtu === 0 &&
    routes.entries.some((entry) =>
      entry.nic === nic && entry.gateway === null && entry.prefixBits === bits && entry.prefix.equals(prefix)
    );
  if (isThere) return;
  const metric = prefix.isV4 ? 0 : METRIC_V6;
  check(routes.add({ prefix, prefixBits: bits, gateway, nic, metric, mtu, source: null }), `route ${prefix}`);
}

function check(result: number, what: string): void {
  if (result < 0) throw new PlanError(`cannot add ${what}: ${errnoName(-result)}`);
}

/** Reads and checks a call. Throws PlanError. */
class PlanReader {
  readonly #netstack: Netstack;

  constructor(netstack: Netstack) {
    this.#netstack = netstack;
  }

  /** The whole call as it is to be carried out. */
  plan(query: Query): Plan {
    const { files } = query;
    const xdp = query.list("XDPLinks");
    if (xdp.length > 0) throw new PlanError("AF_XDP links are not supported");
    const links: PlannedLink[] = query.list("LoopbackLinks").map((link) => ({
      ...this.#commonOf(link),
      neighbours: [],
      device: null,
    }));
    let used = 0;
    for (const link of query.list("FDBasedLinks")) {
      const channels = link.number("NumChannels");
      if (!Number.isInteger(channels) || channels < 1 || channels > CHANNELS_MAX) {
        throw new PlanError(`link "${link.string("Name")}" has ${channels} channels`);
      }
      const fds = files.slice(used, used + channels);
      used += channels;
      links.push({
        ...this.#commonOf(link),
        neighbours: this.#neighboursOf(link),
        device: deviceOf(link, fds),
      });
    }
    const hasPcap = query.flag("PCAP");
    const wanted = used + (hasPcap ? 1 : 0);
    if (files.length !== wanted) {
      throw new PlanError(
        `args.FilePayload.Files has ${files.length} FDs but we need ${wanted} entries based on FDBasedLinks, XDPLinks, and PCAP`,
      );
    }
    if (links.length > LINKS_MAX) {
      throw new PlanError(`there are ${links.length} links, at most ${LINKS_MAX}`);
    }
    if (new Set(links.map(({ name }) => name)).size < links.length) {
      throw new PlanError("two links have one name");
    }
    const gateways: Plan["gateways"] = [];
    for (const field of ["Defaultv4Gateway", "Defaultv6Gateway"]) {
      const gateway = query.struct(field), name = gateway.string("Name");
      const route = this.#defaultRouteOf(gateway.struct("Route"), field === "Defaultv4Gateway");
      if (route === null) continue;
      if (!links.some((link) => link.name === name)) {
        throw new PlanError(`invalid interface name "${name}" for default route`);
      }
      gateways.push({ route, name });
    }
    return { links, gateways, pcap: hasPcap ? files[used] : -1 };
  }

  #commonOf(link: Query): Pick<PlannedLink, "name" | "addresses" | "routes"> {
    const name = link.string("Name");
    if (name.length < 1 || name.length > NAME_CHARACTERS_MAX || /[/:\s\0]/.test(name)) {
      throw new PlanError(`"${name}" is no name for a link`);
    }
    const addresses = link.list("Addresses").map((entry) => {
      const address = this.#addressOf(entry.string("Address")), length = entry.number("PrefixLen");
      if (!Number.isInteger(length) || length < 0 || length > (address.isV4 ? 32 : 128)) {
        throw new PlanError(`address ${address} has a prefix of ${length} bits`);
      }
      return { address, bits: this.#netstack.prefixBits(length, address.isV4) };
    });
    return { name, addresses, routes: link.list("Routes").map((route) => this.#routeOf(route)) };
  }

  #addressOf(text: string): Address {
    const address = this.#netstack.parseAddress(text);
    if (address === null) throw new PlanError(`"${text}" is not an IP address`);
    return address;
  }

  #routeOf(route: Query): PlannedRoute {
    const net = route.struct("Destination"), gateway = route.string("Gateway");
    const prefix = this.#addressOf(net.string("IP"));
    const bits = maskBits(decodeBase64(net.string("Mask")));
    if (bits < 0 || bits > (prefix.isV4 ? 32 : 128)) throw new PlanError(`route ${prefix} has no mask`);
    const unified = this.#netstack.prefixBits(bits, prefix.isV4);
    return {
      prefix: prefix.clone().mask(unified),
      bits: unified,
      gateway: gateway === "" ? null : this.#addressOf(gateway),
      mtu: Math.max(0, route.number("MTU")),
    };
  }

  /** null where it is Empty(). */
  #defaultRouteOf(route: Query, isV4: boolean): PlannedRoute | null {
    const destination = route.struct("Destination").string("IP"), text = route.string("Gateway");
    if (destination === "" && text === "") return null;
    const gateway = text === "" ? null : this.#addressOf(text);
    if (gateway !== null && gateway.isV4 !== isV4) {
      throw new PlanError(`gateway ${gateway} is of the other family`);
    }
    const prefix = this.#netstack.parseAddress(isV4 ? "0.0.0.0" : "::")!;
    return {
      prefix,
      bits: this.#netstack.prefixBits(0, isV4),
      gateway,
      mtu: Math.max(0, route.number("MTU")),
    };
  }

  #neighboursOf(link: Query): PlannedLink["neighbours"] {
    return link.list("Neighbors").map((entry) => {
      const hardware = decodeBase64(entry.string("HardwareAddr"));
      if (hardware.length !== 6) {
        throw new PlanError(`neighbour ${entry.string("IP")} has no hardware address`);
      }
      return { address: this.#addressOf(entry.string("IP")), hardware };
    });
  }
}

/** Number of leading ones; -1 where ones stand behind zeroes, or there is no mask. */
function maskBits(mask: Uint8Array): number {
  if (mask.length !== 4 && mask.length !== 16) return -1;
  let bits = 0;
  while (bits < mask.length * 8 && (mask[bits >> 3] & 0x80 >> (bits & 7)) !== 0) bits++;
  for (let bit = bits; bit < mask.length * 8; bit++) {
    if ((mask[bit >> 3] & 0x80 >> (bit & 7)) !== 0) return -1;
  }
  return bits;
}

function deviceOf(link: Query, fds: readonly number[]): PlannedDevice {
  const mtu = link.number("MTU"), hardware = decodeBase64(link.string("LinkAddress"));
  if (!Number.isInteger(mtu) || mtu < MTU_MIN || mtu > MTU_MAX) {
    throw new PlanError(`link "${link.string("Name")}" has an MTU of ${mtu}`);
  }
  if (hardware.length !== 6) throw new PlanError(`link "${link.string("Name")}" has no hardware address`);
  const queueing = link.number("QDisc");
  if (queueing !== QueueingDiscipline.None && queueing !== QueueingDiscipline.Fifo) {
    throw new PlanError(
      `link "${link.string("Name")}" has queueing discipline ${queueing}, which is unknown`,
    );
  }
  // The process that opened the sockets has enabled virtio-net headers on them where it says GSO.
  const hasOffload = link.number("GSOMaxSize") > 0;
  const joinsSegments = !hasOffload || link.number("GvisorGROTimeout") > 0;
  const trustsChecksums = !hasOffload && link.flag("RXChecksumOffload");
  const isQueued = queueing === QueueingDiscipline.Fifo;
  return { mtu, hardware, hasOffload, trustsChecksums, joinsSegments, isQueued, fds };
}
