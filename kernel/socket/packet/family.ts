// AF_PACKET as a family of sockets. Linux: packet_create(), packet(7).

import { EPERM, ESOCKTNOSUPPORT } from "../../abi/errno.ts";
import { SOCK_DGRAM, SOCK_RAW } from "../../abi/socket.ts";
import { CAP_NET_RAW } from "../../abi/task.ts";
import { hasCapability } from "../../task/credentials.ts";
import { networkOf } from "../inet/network.ts";
import type { SocketFamily } from "../socket.ts";
import { PacketSocket } from "./packet_socket.ts";

export const PACKET_FAMILY: SocketFamily = {
  create(task, type, protocol, flags) {
    if (!hasCapability(task.credentials, CAP_NET_RAW)) return -EPERM;
    // SOCK_PACKET is what Linux 2.0 had instead.
    if (type !== SOCK_RAW && type !== SOCK_DGRAM) return -ESOCKTNOSUPPORT;
    return new PacketSocket(task, networkOf(task.kernel, task.namespaces.net), type, protocol, flags);
  },
};
