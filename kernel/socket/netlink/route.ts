// NETLINK_ROUTE: links, addresses, routes, neighbours and rules of a network namespace. Linux: net/core/rtnetlink.c,
// rtnetlink(7). Each kind stands in a file of its own.

import { EOPNOTSUPP, EPERM } from "../../abi/errno.ts";
import {
  NLM_F_DUMP,
  NLMSG_HEADER_BYTES,
  RTM_DELADDR,
  RTM_DELLINK,
  RTM_DELNEIGH,
  RTM_DELROUTE,
  RTM_GETADDR,
  RTM_GETLINK,
  RTM_GETNEIGH,
  RTM_GETROUTE,
  RTM_GETRULE,
  RTM_MAX,
  RTM_NEWADDR,
  RTM_NEWLINK,
  RTM_NEWNEIGH,
  RTM_NEWROUTE,
  RTM_SETLINK,
} from "../../abi/netlink.ts";
import { CAP_NET_ADMIN } from "../../abi/task.ts";
import { hasCapability } from "../../task/credentials.ts";
import { addAddress, dumpAddresses, removeAddress } from "./addresses.ts";
import { changeLink, dumpLinks, getLink, removeLink } from "./links.ts";
import type { NetlinkHandler, NetlinkRequest } from "./netlink_socket.ts";
import { addNeighbour, dumpNeighbours, removeNeighbour } from "./neighbours.ts";
import { addRoute, dumpRoutes, dumpRules, getRoute, removeRoute } from "./routes.ts";

/** Of four types that belong together (new, del, get, set) the one that asks. */
const KIND_GET = 2;

/** Handlers by type: of a request, and of one that asks for all. */
const REQUESTS: ReadonlyMap<number, NetlinkHandler> = new Map([
  [RTM_NEWLINK, changeLink],
  [RTM_SETLINK, changeLink],
  [RTM_DELLINK, removeLink],
  [RTM_GETLINK, getLink],
  [RTM_NEWADDR, addAddress],
  [RTM_DELADDR, removeAddress],
  [RTM_NEWROUTE, addRoute],
  [RTM_DELROUTE, removeRoute],
  [RTM_GETROUTE, getRoute],
  [RTM_NEWNEIGH, addNeighbour],
  [RTM_DELNEIGH, removeNeighbour],
]);
const DUMPS: ReadonlyMap<number, NetlinkHandler> = new Map([
  [RTM_GETLINK, dumpLinks],
  [RTM_GETADDR, dumpAddresses],
  [RTM_GETROUTE, dumpRoutes],
  [RTM_GETNEIGH, dumpNeighbours],
  [RTM_GETRULE, dumpRules],
]);

/** rtnetlink_rcv_msg(). */
export function serveRoute(request: NetlinkRequest): number {
  const { type, flags, task } = request;
  if (type > RTM_MAX) return -EOPNOTSUPP;
  // Not even a family.
  if (request.end - request.at <= NLMSG_HEADER_BYTES) return 0;
  const isGet = (type & 3) === KIND_GET;
  if (!isGet && !hasCapability(task.credentials, CAP_NET_ADMIN)) return -EPERM;
  const handler = isGet && (flags & NLM_F_DUMP) === NLM_F_DUMP ? DUMPS.get(type) : REQUESTS.get(type);
  return handler === undefined
    ? task.kernel.coverage.unfinished(`rtnetlink message ${type}`, EOPNOTSUPP)
    : handler(request);
}
