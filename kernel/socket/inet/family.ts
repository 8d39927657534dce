// AF_INET and AF_INET6 as families of sockets. Linux: inet_create(), inet6_create(); ip(7), ipv6(7).

import { EACCES, EINVAL, EPERM, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from "../../abi/errno.ts";
import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_IP,
  IPPROTO_MAX,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from "../../abi/inet.ts";
import { AF_INET, AF_INET6, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM } from "../../abi/socket.ts";
import { CAP_NET_RAW } from "../../abi/task.ts";
import { type Credentials, hasCapability } from "../../task/credentials.ts";
import type { Task } from "../../task/task.ts";
import type { Socket, SocketFamily } from "../socket.ts";
import { InetDatagram } from "./datagram.ts";
import { type Network, networkOf } from "./network.ts";
import { InetStream } from "./stream.ts";

/** struct inet_protosw has eight bits of protocol for raw sockets. */
const RAW_PROTOCOL_MAX = 255;

function create(
  task: Task,
  domain: number,
  type: number,
  protocol: number,
  flags: number,
): Socket | number {
  if (protocol < 0 || protocol >= IPPROTO_MAX) return -EINVAL;
  const isV4 = domain === AF_INET;
  switch (type) {
    case SOCK_STREAM: {
      if (protocol !== IPPROTO_IP && protocol !== IPPROTO_TCP) return -EPROTONOSUPPORT;
      const network = networkOf(task.kernel, task.namespaces.net);
      return new InetStream(task, network, domain, flags, network.stack.newTcpEndpoint(isV4));
    }
    case SOCK_DGRAM: {
      if (protocol === (isV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6)) {
        return createPing(task, domain, protocol, flags);
      }
      if (protocol !== IPPROTO_IP && protocol !== IPPROTO_UDP) return -EPROTONOSUPPORT;
      const network = networkOf(task.kernel, task.namespaces.net);
      const endpoint = network.stack.newUdpEndpoint(isV4);
      return new InetDatagram(task, network, domain, type, IPPROTO_UDP, flags, endpoint);
    }
    case SOCK_RAW: {
      if (protocol === IPPROTO_IP || protocol > RAW_PROTOCOL_MAX) return -EPROTONOSUPPORT;
      if (!hasCapability(task.credentials, CAP_NET_RAW)) return -EPERM;
      const network = networkOf(task.kernel, task.namespaces.net);
      const endpoint = network.stack.newRawEndpoint(isV4, protocol);
      return new InetDatagram(task, network, domain, type, protocol, flags, endpoint);
    }
    default:
      return -ESOCKTNOSUPPORT;
  }
}

function createPing(task: Task, domain: number, protocol: number, flags: number): Socket | number {
  const network = networkOf(task.kernel, task.namespaces.net);
  if (!mayPing(task.credentials, network)) return -EACCES;
  const endpoint = network.stack.newPingEndpoint(domain === AF_INET);
  return new InetDatagram(task, network, domain, SOCK_DGRAM, protocol, flags, endpoint);
}

/** ping_init_sock(): one of its groups is within net.ipv4.ping_group_range. */
function mayPing(who: Credentials, network: Network): boolean {
  const { pingGroupFirst, pingGroupLast } = network;
  const isWithin = (gid: number) => gid >= pingGroupFirst && gid <= pingGroupLast;
  return isWithin(who.egid) || who.groups.some(isWithin);
}

export const INET_FAMILY: SocketFamily = {
  create: (task, type, protocol, flags) => create(task, AF_INET, type, protocol, flags),
};
export const INET6_FAMILY: SocketFamily = {
  create: (task, type, protocol, flags) => create(task, AF_INET6, type, protocol, flags),
};
