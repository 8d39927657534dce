// The written list of address families.

import { AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, AF_UNIX } from "../abi/socket.ts";
import { INET6_FAMILY, INET_FAMILY } from "./inet/family.ts";
import { NETLINK_FAMILY } from "./netlink/family.ts";
import { PACKET_FAMILY } from "./packet/family.ts";
import type { SocketFamily } from "./socket.ts";
import { UNIX_FAMILY } from "./unix/family.ts";

/** By AF_ number. What is missing answers EAFNOSUPPORT. */
export const SOCKET_FAMILIES: ReadonlyMap<number, SocketFamily> = new Map([
  [AF_UNIX, UNIX_FAMILY],
  [AF_INET, INET_FAMILY],
  [AF_INET6, INET6_FAMILY],
  [AF_NETLINK, NETLINK_FAMILY],
  [AF_PACKET, PACKET_FAMILY],
]);
