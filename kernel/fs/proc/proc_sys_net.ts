// /proc/sys/net: parameters of a network namespace that have an effect. Linux: sysctl_net_ipv4.c,
// Documentation/networking/ip-sysctl. Read-only values are in proc_sys.ts.

import type { IpSettingName, Settings, Stack, TcpSettingName } from "../../../netstack/mod.ts";
import { TCP_SETTINGS } from "../../../netstack/numbers.ts";
import { EINVAL } from "../../abi/errno.ts";
import { type Network, networkOf } from "../../socket/inet/network.ts";
import type { Task } from "../../task/task.ts";
import type { Accept, Generate } from "../virtual.ts";

const PORT_MAX = 65_535;
const GROUP_MAX = 0x7fff_ffff;

/** One parameter: its numbers, and how to set them (false: refused). */
interface Parameter {
  get(network: Network): readonly number[];
  set(network: Network, values: readonly number[]): boolean;
}

/** Settings of the IP layers by path below net/ipv4. */
const IP_NAMES: Readonly<Record<string, IpSettingName>> = {
  ip_default_ttl: "default_ttl",
  icmp_echo_ignore_all: "icmp_echo_ignore_all",
  icmp_echo_ignore_broadcasts: "icmp_echo_ignore_broadcasts",
  icmp_msgs_per_sec: "icmp_msgs_per_sec",
  icmp_msgs_burst: "icmp_msgs_burst",
  icmp_ratelimit: "icmp_ratelimit",
  "route/min_pmtu": "min_pmtu",
  "route/mtu_expires": "mtu_expires",
};
/** TCP settings that share one file with others. */
const BUFFER_SETTING = /^[rw]mem_/;

const PARAMETERS: Readonly<Record<string, Parameter>> = {
  "ipv4/ip_unprivileged_port_start": {
    get: (network) => [network.unprivilegedPortFirst],
    set(network, [port]) {
      if (port > PORT_MAX) return false;
      network.unprivilegedPortFirst = port;
      return true;
    },
  },
  "ipv4/ping_group_range": {
    get: (network) => [network.pingGroupFirst, network.pingGroupLast],
    set(network, [first, last]) {
      if (first > GROUP_MAX || last > GROUP_MAX) return false;
      // Linux: a range whose first id is above its last permits nobody.
      [network.pingGroupFirst, network.pingGroupLast] = last < first ? [1, 0] : [first, last];
      return true;
    },
  },
  "ipv4/ip_local_port_range": {
    get: ({ stack }) => [stack.tcp.ports.first, stack.tcp.ports.last],
    set({ stack }, [first, last]) {
      if (first < 1 || last > PORT_MAX || last < first) return false;
      for (const { ports } of [stack.tcp, stack.udp]) {
        ports.first = first;
        ports.last = last;
      }
      return true;
    },
  },
  "ipv4/ip_forward": {
    get: ({ stack }) => [stack.nics.some((nic) => nic?.isForwarding === true) ? 1 : 0],
    set({ stack }, [value]) {
      for (const nic of stack.nics) if (nic !== undefined) nic.isForwarding = value !== 0;
      return true;
    },
  },
  "ipv4/tcp_rmem": buffers("rmem"),
  "ipv4/tcp_wmem": buffers("wmem"),
  ...Object.fromEntries(
    Object.entries(IP_NAMES).map(([path, name]) => [
      `ipv4/${path}`,
      setting((stack) => stack.ipSettings, name),
    ]),
  ),
  ...Object.fromEntries(
    (Object.keys(TCP_SETTINGS) as TcpSettingName[]).filter((name) => !BUFFER_SETTING.test(name))
      .map((name) => [`ipv4/tcp_${name}`, setting((stack) => stack.tcp.settings, name)]),
  ),
};

function setting<Name extends string>(of: (stack: Stack) => Settings<Name>, name: Name): Parameter {
  return {
    get: ({ stack }) => [of(stack).get(name)],
    set: ({ stack }, [value]) => of(stack).set(name, value),
  };
}

/** tcp_rmem and tcp_wmem: minimum, initial, maximum. */
function buffers(which: "rmem" | "wmem"): Parameter {
  const names = [`${which}_min`, `${which}_default`, `${which}_max`] as TcpSettingName[];
  return {
    get: ({ stack }) => names.map((name) => stack.tcp.settings.get(name)),
    set: ({ stack }, values) => values.every((value, i) => stack.tcp.settings.set(names[i], value)),
  };
}

/** Calls `add` for each file: its path below /proc/sys, its text, and what a write does. */
export function addNetSysctls(add: (path: string, text: Generate, accept: Accept) => void): void {
  for (const [path, parameter] of Object.entries(PARAMETERS)) {
    add(
      `net/${path}`,
      (task) => `${parameter.get(networkFor(task)).join("\t")}\n`,
      (task, text) => accept(networkFor(task), parameter, text),
    );
  }
  add(
    "net/ipv4/tcp_congestion_control",
    (task) => `${networkFor(task).stack.tcp.defaultCongestion}\n`,
    (task, text) => networkFor(task).stack.tcp.setDefaultCongestion(text.trim()),
  );
}

function networkFor(task: Task): Network {
  return networkOf(task.kernel, task.namespaces.net);
}

function accept(network: Network, parameter: Parameter, text: string): number {
  const words = text.trim().split(/\s+/);
  const count = parameter.get(network).length;
  if (words.length !== count || !words.every((word) => /^\d{1,10}$/.test(word))) return -EINVAL;
  return parameter.set(network, words.map(Number)) ? 0 : -EINVAL;
}
