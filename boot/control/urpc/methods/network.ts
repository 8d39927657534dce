// Network: links, addresses and routes of the sandbox's stack.

import * as go from "../go_types.ts";
import { type Method, method } from "../method.ts";

const ipWithPrefix = go.struct("IPWithPrefix", { Address: go.ip, PrefixLen: go.int32 });
const route = go.struct("Route", { Destination: go.ipNet, Gateway: go.ip, MTU: go.uint32 });
const defaultRoute = go.struct("DefaultRoute", { Route: route, Name: go.string });
const neighbor = go.struct("Neighbor", { IP: go.ip, HardwareAddr: go.hardwareAddress });

const loopbackLink = go.struct("LoopbackLink", {
  Name: go.string,
  Addresses: go.slice(ipWithPrefix),
  Routes: go.slice(route),
  GvisorGROTimeout: go.duration,
});

const link = {
  Name: go.string,
  InterfaceIndex: go.int32,
  MTU: go.int32,
  Addresses: go.slice(ipWithPrefix),
  Routes: go.slice(route),
  GvisorGROTimeout: go.duration,
  TXChecksumOffload: go.bool,
  RXChecksumOffload: go.bool,
  LinkAddress: go.hardwareAddress,
  QDisc: go.int32,
  Neighbors: go.slice(neighbor),
  NumChannels: go.int32,
};
const fdBasedLink = go.struct("FDBasedLink", { ...link, GSOMaxSize: go.uint32, GvisorGSOEnabled: go.bool });
const xdpLink = go.struct("XDPLink", link);

const createLinksAndRoutes = go.struct("CreateLinksAndRoutesArgs", {
  LoopbackLinks: go.slice(loopbackLink),
  FDBasedLinks: go.slice(fdBasedLink),
  XDPLinks: go.slice(xdpLink),
  Defaultv4Gateway: defaultRoute,
  Defaultv6Gateway: defaultRoute,
  PCAP: go.bool,
});

/** Descriptors of an XDP link: its socket, program, map of sockets, link. */
const XDP_FILES = 4;

export const NETWORK: Readonly<Record<string, Method>> = {
  CreateLinksAndRoutes: method("CreateLinksAndRoutesArgs", createLinksAndRoutes, (args, fileCount) => {
    let wanted = args.PCAP ? 1 : 0;
    for (const { NumChannels } of args.FDBasedLinks) wanted += NumChannels;
    wanted += XDP_FILES * args.XDPLinks.length;
    return wanted === fileCount
      ? ""
      : `args.FilePayload.Files has ${fileCount} FDs but we need ${wanted} entries based on FDBasedLinks, XDPLinks, and PCAP`;
  }),
};
