// AF_NETLINK as a family of sockets. Linux: netlink_create().

import { EOPNOTSUPP, EPROTONOSUPPORT, ESOCKTNOSUPPORT } from "../../abi/errno.ts";
import {
  NETLINK_KOBJECT_UEVENT,
  NETLINK_PROTOCOLS_MAX,
  NETLINK_ROUTE,
  NETLINK_SOCK_DIAG,
} from "../../abi/netlink.ts";
import { SOCK_DGRAM, SOCK_RAW } from "../../abi/socket.ts";
import type { SocketFamily } from "../socket.ts";
import { networkOf } from "../inet/network.ts";
import { type NetlinkHandler, NetlinkSocket } from "./netlink_socket.ts";
import { serveRoute } from "./route.ts";
import { serveSockDiag } from "./sock_diag.ts";

/** Devices do not come and go here: listeners hear nothing, and the kernel takes no requests. */
const serveEvents: NetlinkHandler = () => -EOPNOTSUPP;

const HANDLERS: ReadonlyMap<number, NetlinkHandler> = new Map([
  [NETLINK_ROUTE, serveRoute],
  [NETLINK_SOCK_DIAG, serveSockDiag],
  [NETLINK_KOBJECT_UEVENT, serveEvents],
]);

export const NETLINK_FAMILY: SocketFamily = {
  create(task, type, protocol, flags) {
    if (type !== SOCK_RAW && type !== SOCK_DGRAM) return -ESOCKTNOSUPPORT;
    if (protocol < 0 || protocol >= NETLINK_PROTOCOLS_MAX) return -EPROTONOSUPPORT;
    const handler = HANDLERS.get(protocol);
    if (handler === undefined) {
      return task.kernel.coverage.unfinished(`socket AF_NETLINK ${protocol}`, EPROTONOSUPPORT);
    }
    return new NetlinkSocket(
      task,
      networkOf(task.kernel, task.namespaces.net),
      type,
      protocol,
      flags,
      handler,
    );
  },
};
