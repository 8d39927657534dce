// Arguments of Network.CreateLinksAndRoutes: links, their addresses, routes and neighbours. On the wire they are Go's JSON:
// addresses are text, masks and hardware addresses base64 of their bytes, enums numbers.

import { encodeBase64 } from "./base64.ts";

/** An address with the number of bits of its network. */
export class IPWithPrefix {
  readonly Address: string;
  readonly PrefixLen: number;
  constructor(address: string, prefixLength: number) {
    this.Address = address;
    this.PrefixLen = prefixLength;
  }

  /** "ADDRESS/BITS". */
  toString(): string {
    return `${this.Address}/${this.PrefixLen}`;
  }
}

/** net.IPNet. */
export interface IPNet {
  readonly IP: string;
  /** Base64. */
  readonly Mask: string;
}

const NO_NET: IPNet = { IP: "", Mask: "" };

/** The network of `bits` bits at `address`. */
export function ipNet(address: string, bits: number): IPNet {
  const mask = new Uint8Array(address.includes(":") ? 16 : 4);
  for (let bit = 0; bit < Math.min(bits, mask.length * 8); bit++) mask[bit >> 3] |= 0x80 >> (bit & 7);
  return { IP: address, Mask: encodeBase64(mask) };
}

export class Route {
  readonly Destination: IPNet;
  /** "" = on the link. */
  readonly Gateway: string;
  constructor(destination: IPNet = NO_NET, gateway = "") {
    this.Destination = destination;
    this.Gateway = gateway;
  }

  /** It leads nowhere: there is none. */
  empty(): boolean {
    return this.Destination.IP === "" && this.Gateway === "";
  }
}

export interface DefaultRoute {
  readonly Route: Route;
  /** The link's. */
  readonly Name: string;
}

/** A static entry of ARP or NDP. */
export interface Neighbor {
  readonly IP: string;
  /** Base64. */
  readonly HardwareAddr: string;
}

/** How packets leave. */
export const QueueingDiscipline = { None: 0, Fifo: 1, Tbf: 2 } as const;
export type QueueingDiscipline = typeof QueueingDiscipline[keyof typeof QueueingDiscipline];

export interface LoopbackLink {
  readonly Name: string;
  readonly Addresses: readonly IPWithPrefix[];
  readonly Routes: readonly Route[];
  /** Nanoseconds. */
  readonly GvisorGROTimeout: number;
}

/** An interface of the host over packet sockets, NumChannels of them. */
export interface FDBasedLink extends XDPLink {
  readonly GSOMaxSize: number;
  readonly GvisorGSOEnabled: boolean;
}

export interface XDPLink {
  readonly Name: string;
  readonly InterfaceIndex: number;
  readonly MTU: number;
  readonly Addresses: readonly IPWithPrefix[];
  readonly Routes: readonly Route[];
  readonly GvisorGROTimeout: number;
  readonly TXChecksumOffload: boolean;
  readonly RXChecksumOffload: boolean;
  /** Base64. */
  readonly LinkAddress: string;
  readonly QDisc: QueueingDiscipline;
  readonly Neighbors: readonly Neighbor[];
  readonly NumChannels: number;
}

export interface CreateLinksAndRoutesArgs {
  readonly LoopbackLinks: readonly LoopbackLink[];
  readonly FDBasedLinks: readonly FDBasedLink[];
  readonly XDPLinks: readonly XDPLink[];
  readonly Defaultv4Gateway: DefaultRoute;
  readonly Defaultv6Gateway: DefaultRoute;
  readonly PCAP: boolean;
}

/** What every sandbox has. */
export const DefaultLoopbackLink: LoopbackLink = {
  Name: "lo",
  Addresses: [new IPWithPrefix("127.0.0.1", 8), new IPWithPrefix("::1", 128)],
  Routes: [new Route(ipNet("127.0.0.0", 8)), new Route(ipNet("::1", 128))],
  GvisorGROTimeout: 0,
};
