// What Linux keeps in /proc/sys/net/ipv4, ipv6 and core for the layers below TCP: one table with range, default and meaning.
// Those of one interface (forwarding, accept_ra, use_tempaddr, proxy_arp) are fields of Nic; TCP's are in tcp/settings.ts.

import { type Setting, Settings } from "../settings.ts";

export const IP_SETTINGS = {
  default_ttl: { min: 1, max: 255, default: 64, text: "time to live of IPv4 packets that say none" },
  icmp_echo_ignore_all: { min: 0, max: 1, default: 0, text: "echo requests are not answered" },
  icmp_echo_ignore_broadcasts: {
    min: 0,
    max: 1,
    default: 1,
    text: "those to broadcast and group addresses are not (IPv4)",
  },
  icmp6_echo_ignore_all: { min: 0, max: 1, default: 0, text: "the same for IPv6" },
  icmp_msgs_per_sec: { min: 0, max: 0x7fffffff, default: 1000, text: "ICMP errors a second, to all" },
  icmp_msgs_burst: { min: 0, max: 0x7fffffff, default: 50, text: "as many at once" },
  icmp_ratelimit: {
    min: 0,
    max: 0x7fffffff,
    default: 1000,
    text: "milliseconds between errors to one; 0 = no limit",
  },
  accept_redirects: { min: 0, max: 1, default: 0, text: "ICMP redirects from the gateway in use are obeyed" },
  min_pmtu: { min: 68, max: 65_535, default: 552, text: "no smaller IPv4 path MTU is believed" },
  mtu_expires: { min: 1, max: 0x7fffffff, default: 600, text: "seconds that a path MTU is kept" },
  rmem_default: {
    min: 2304,
    max: 0x7fffffff,
    default: 212_992,
    text: "receive buffer of datagram endpoints, bytes",
  },
  rmem_max: {
    min: 2304,
    max: 0x7fffffff,
    default: 212_992,
    text: "most that SO_RCVBUF gives, before it is doubled",
  },
  wmem_default: {
    min: 4608,
    max: 0x7fffffff,
    default: 212_992,
    text: "send buffer of datagram endpoints, bytes",
  },
  wmem_max: {
    min: 4608,
    max: 0x7fffffff,
    default: 212_992,
    text: "most that SO_SNDBUF gives, before it is doubled",
  },
} satisfies Record<string, Setting>;

export type IpSettingName = keyof typeof IP_SETTINGS;

/** The values of one stack. */
export class IpSettings extends Settings<IpSettingName> {
  constructor() {
    super(IP_SETTINGS);
  }
}
