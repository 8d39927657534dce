// The network of a sandbox with --network=user, whose only other station is the net process: addresses as slirp4netns and QEMU
// have them, so that what is known of those holds here.

import { type Address, parseAddress } from "../../../netstack/mod.ts";
import { encodeBase64 } from "../../api/base64.ts";
import {
  type CreateLinksAndRoutesArgs,
  ipNet,
  IPWithPrefix,
  QueueingDiscipline,
  Route,
} from "../../api/network.ts";

const LINK_NAME = "eth0";
export const GUEST_V4 = "10.0.2.100";
export const GUEST_V6 = "fd00::100";
/** The way out; what is sent to it itself goes to the host's loopback, where the policy lets it. */
export const GATEWAY_V4 = "10.0.2.2";
export const GATEWAY_V6 = "fd00::2";
/** Where names are asked for. */
export const DNS_V4 = "10.0.2.3";
export const DNS_V6 = "fd00::3";
export const PREFIX_V4 = 24;
export const PREFIX_V6 = 64;
/** No wire is between the two: large packets are few packets. As slirp4netns advises and pasta does. */
export const MTU = 65_520;
const GSO_BYTES = 65_536;
export const GUEST_HARDWARE = Uint8Array.of(0x52, 0x55, 0x0a, 0, 2, 100);
export const RELAY_HARDWARE = Uint8Array.of(0x52, 0x55, 0x0a, 0, 2, 2);

/** `address`, which is one of the above. */
export function own(address: string): Address {
  return parseAddress(address)!;
}

/** The sentry's end of the link, as it is configured. */
export function guestLinks(hasPcap: boolean): CreateLinksAndRoutesArgs {
  const neighbour = (IP: string) => ({ IP, HardwareAddr: encodeBase64(RELAY_HARDWARE) });
  return {
    LoopbackLinks: [],
    FDBasedLinks: [{
      Name: LINK_NAME,
      InterfaceIndex: 0,
      MTU,
      Addresses: [new IPWithPrefix(GUEST_V4, PREFIX_V4), new IPWithPrefix(GUEST_V6, PREFIX_V6)],
      Routes: [],
      GvisorGROTimeout: 0,
      TXChecksumOffload: true,
      RXChecksumOffload: true,
      LinkAddress: encodeBase64(GUEST_HARDWARE),
      QDisc: QueueingDiscipline.Fifo,
      Neighbors: [GATEWAY_V4, GATEWAY_V6, DNS_V4, DNS_V6].map(neighbour),
      NumChannels: 1,
      GSOMaxSize: GSO_BYTES,
      GvisorGSOEnabled: true,
    }],
    XDPLinks: [],
    Defaultv4Gateway: { Route: new Route(ipNet("0.0.0.0", 0), GATEWAY_V4), Name: LINK_NAME },
    Defaultv6Gateway: { Route: new Route(ipNet("::", 0), GATEWAY_V6), Name: LINK_NAME },
    PCAP: hasPcap,
  };
}
