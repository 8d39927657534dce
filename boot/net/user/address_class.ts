// What kind of network an address belongs to, as an egress policy sees it. RFC 6890 and the registries it began.

import { type Address, parsePrefix, prefixBits } from "../../../netstack/mod.ts";

/** From the most to the least open: a policy compares them. */
export const enum AddressClass {
  /** Anybody's. */
  Public,
  /** Of a site: a name does not lead here, as who answers for the name may be anybody (DNS rebinding). */
  Private,
  /** Of this host or link alone, of a cloud's own services, or of no single host: only a rule for addresses opens it. */
  Guarded,
}

interface Network {
  readonly address: Address;
  readonly bits: number;
}

const network = (text: string): Network => {
  const { address, length } = parsePrefix(text)!;
  return { address, bits: prefixBits(length, address.isV4) };
};

const GUARDED: readonly Network[] = [
  // "This network": Linux takes 0.0.0.0 for its loopback.
  "0.0.0.0/8",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "::/128",
  "::1/128",
  "fe80::/10",
  "ff00::/8",
  // Services of clouds that know a machine by its address: Alibaba, Oracle, Azure, Amazon over IPv6. (Most are link-local.)
  "100.100.100.200/32",
  "192.0.0.192/32",
  "168.63.129.16/32",
  "fd00:ec2::/32",
].map(network);

const PRIVATE: readonly Network[] = [
  "10.0.0.0/8",
  "100.64.0.0/10",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.168.0.0/16",
  "198.18.0.0/15",
  "fc00::/7",
  "fec0::/10",
].map(network);

/** Prefixes behind which an IPv4 address lies that a translator on the way may take out. */
const NAT64 = network("64:ff9b::/96");
const SIX_TO_FOUR = network("2002::/16");
const COMPATIBLE = network("::/96");

export function classOf(address: Address): AddressClass {
  const own = ownClassOf(address);
  const inner = innerOf(address);
  return inner === null ? own : Math.max(own, ownClassOf(inner));
}

function ownClassOf(address: Address): AddressClass {
  const isIn = ({ address: prefix, bits }: Network) => address.isWithin(prefix, bits);
  if (GUARDED.some(isIn)) return AddressClass.Guarded;
  return PRIVATE.some(isIn) ? AddressClass.Private : AddressClass.Public;
}

/** The IPv4 address inside an IPv6 one, null = none. (A mapped one is an IPv4 address already.) */
function innerOf(address: Address): Address | null {
  if (address.isV4) return null;
  if (address.isWithin(NAT64.address, NAT64.bits) || address.isWithin(COMPATIBLE.address, COMPATIBLE.bits)) {
    return address.clone().setV4(address.d);
  }
  if (!address.isWithin(SIX_TO_FOUR.address, SIX_TO_FOUR.bits)) return null;
  return address.clone().setV4(address.a << 16 | address.b >>> 16);
}
