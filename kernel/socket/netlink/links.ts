// Links over rtnetlink: ip-link(8). Linux: rtnl_fill_ifinfo(), do_setlink(), veth_newlink().

import type { Nic, Stack } from "../../../netstack/mod.ts";
import { EADDRINUSE, EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, ESRCH } from "../../abi/errno.ts";
import { IFF_LOWER_UP, IFF_UP, IFNAMSIZ } from "../../abi/inet.ts";
import {
  IF_OPER_DOWN,
  IF_OPER_UNKNOWN,
  IF_OPER_UP,
  IFLA_ADDRESS,
  IFLA_BROADCAST,
  IFLA_CARRIER,
  IFLA_GROUP,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINKINFO,
  IFLA_LINKMODE,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_NET_NS_PID,
  IFLA_NUM_RX_QUEUES,
  IFLA_NUM_TX_QUEUES,
  IFLA_OPERSTATE,
  IFLA_PROMISCUITY,
  IFLA_QDISC,
  IFLA_STATS,
  IFLA_STATS64,
  IFLA_TXQLEN,
  NETLINK_ROUTE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_MULTI,
  RTM_DELLINK,
  RTM_NEWLINK,
  RTNLGRP_LINK,
  VETH_INFO_PEER,
} from "../../abi/netlink.ts";
import { i32, put16, put32, u32 } from "../../abi/struct.ts";
import { NamespaceFile } from "../../fs/nsfs.ts";
import { NetNamespace } from "../../task/namespaces.ts";
import { bytesToLatin1 } from "../../util/bytes.ts";
import { interfaceFlags, QUEUE_LENGTH } from "../inet/interface_ioctl.ts";
import { type Network, networkOf, setInterfaceUp } from "../inet/network.ts";
import {
  beginAnswer,
  endOfDump,
  finishAnswer,
  finishDump,
  fixedPart,
  netstackOf,
  stackOf,
  writerOf,
} from "./answer.ts";
import { attributeBytes, attributeWord, findAttribute, type NetlinkWriter } from "./message.ts";
import type { NetlinkRequest } from "./netlink_socket.ts";

/** sizeof(struct ifinfomsg). */
const IFINFO_BYTES = 16;
/** Interfaces of one namespace at most: those that went count too, as numbers are not used again. */
const LINKS_MAX = 4096;
const BROADCAST_ADDRESS = new Uint8Array(6).fill(0xff);

export function dumpLinks(request: NetlinkRequest): number {
  for (const nic of stackOf(request).nics) {
    if (nic === undefined) continue;
    putLink(writerOf(request), beginAnswer(request, RTM_NEWLINK, NLM_F_MULTI, IFINFO_BYTES), nic);
    endOfDump(request);
  }
  return finishDump(request);
}

export function getLink(request: NetlinkRequest): number {
  const nic = namedLink(request);
  if (typeof nic === "number") return nic;
  putLink(writerOf(request), beginAnswer(request, RTM_NEWLINK, 0, IFINFO_BYTES), nic);
  return finishAnswer(request);
}

/** The interface that a request names by number or by name; -ERRNO. */
function namedLink(request: NetlinkRequest): Nic | number {
  const at = fixedPart(request, IFINFO_BYTES);
  if (at < 0) return -EINVAL;
  const { nics } = stackOf(request);
  const index = i32(request.bytes, at + 4);
  if (index > 0) return nics[index] ?? -ENODEV;
  const name = textAttribute(request.bytes, at + IFINFO_BYTES, request.end, IFLA_IFNAME);
  if (index < 0 || name === "") return -EINVAL;
  return nics.find((nic) => nic !== undefined && nic.name === name) ?? -ENODEV;
}

function textAttribute(bytes: Uint8Array, at: number, end: number, type: number): string {
  const data = findAttribute(bytes, at, end, type);
  if (data < 0) return "";
  let length = 0;
  while (length < attributeBytes(bytes, data) && bytes[data + length] !== 0) length++;
  return bytesToLatin1(bytes, data, length);
}

/** struct ifinfomsg at `at`, and the attributes behind it. */
function putLink(writer: NetlinkWriter, at: number, nic: Nic): void {
  const { bytes } = writer;
  put16(bytes, at + 2, nic.link.hardwareType);
  put32(bytes, at + 4, nic.id);
  put32(bytes, at + 8, interfaceFlags(nic) | (nic.isUp ? IFF_LOWER_UP : 0));
  writer.text(IFLA_IFNAME, nic.name);
  writer.word(IFLA_TXQLEN, QUEUE_LENGTH);
  writer.byte(IFLA_OPERSTATE, !nic.isUp ? IF_OPER_DOWN : nic.isLoopback ? IF_OPER_UNKNOWN : IF_OPER_UP);
  writer.byte(IFLA_LINKMODE, 0);
  writer.word(IFLA_MTU, nic.mtu);
  writer.word(IFLA_GROUP, 0);
  writer.word(IFLA_PROMISCUITY, nic.isPromiscuous ? 1 : 0);
  writer.word(IFLA_NUM_TX_QUEUES, 1);
  writer.word(IFLA_NUM_RX_QUEUES, 1);
  writer.byte(IFLA_CARRIER, 1);
  writer.text(IFLA_QDISC, nic.isUp ? "noqueue" : "noop");
  writer.raw(IFLA_ADDRESS, nic.link.address);
  writer.raw(IFLA_BROADCAST, nic.isLoopback ? new Uint8Array(6) : BROADCAST_ADDRESS);
  const s = nic.statistics;
  const counters = new Array<number>(25).fill(0);
  counters[0] = s.receivePackets;
  counters[1] = s.sendPackets;
  counters[2] = s.receiveBytes;
  counters[3] = s.sendBytes;
  counters[4] = s.receiveErrors;
  counters[5] = s.sendErrors;
  counters[6] = s.receiveDropped;
  counters[7] = s.sendDropped;
  counters[8] = s.receiveMulticast;
  writer.numbers(IFLA_STATS64, 8, counters);
  writer.numbers(IFLA_STATS, 4, counters.slice(0, 24));
  if (nic.isLoopback) return;
  const info = writer.nest(IFLA_LINKINFO);
  writer.text(IFLA_INFO_KIND, nic.link.kind);
  writer.endNest(info);
}

/** RTM_NEWLINK and RTM_SETLINK: makes a link, or changes one. */
export function changeLink(request: NetlinkRequest): number {
  const { bytes, end, flags } = request;
  const at = fixedPart(request, IFINFO_BYTES);
  if (at < 0) return -EINVAL;
  const found = namedLink(request);
  if (typeof found === "number") {
    if (request.type !== RTM_NEWLINK || i32(bytes, at + 4) < 0) return found;
    // __rtnl_newlink(): what names nothing is not there.
    return (flags & NLM_F_CREATE) === 0 ? -ENODEV : makeLink(request, at);
  }
  if (request.type === RTM_NEWLINK && (flags & NLM_F_EXCL) !== 0) return -EEXIST;
  const attributes = at + IFINFO_BYTES;
  const mtu = attributeWord(bytes, attributes, end, IFLA_MTU, 0);
  if (mtu !== 0) {
    const result = found.link.setMtu(mtu);
    if (result < 0) return result;
  }
  const name = textAttribute(bytes, attributes, end, IFLA_IFNAME);
  if (name !== "" && name !== found.name) {
    const result = rename(stackOf(request), found, name);
    if (result < 0) return result;
  }
  const wanted = u32(bytes, at + 8), change = u32(bytes, at + 12);
  // Without a mask all flags are meant (rtnl_dev_combine_flags()).
  if ((change & IFF_UP) !== 0 || (change === 0 && wanted !== 0)) {
    setInterfaceUp(request.socket.network, found, (wanted & IFF_UP) !== 0);
  }
  const target = targetNamespace(request, attributes, end);
  if (typeof target === "number") return target;
  if (target !== null && target !== request.socket.network) return moveLink(request, found, target);
  tellLink(request.socket.network, found, RTM_NEWLINK);
  return 0;
}

function rename(stack: Stack, nic: Nic, name: string): number {
  if (!isName(name)) return -EINVAL;
  if (nic.isUp) return -EBUSY;
  if (stack.nics.some((other) => other !== undefined && other.name === name)) return -EEXIST;
  nic.name = name;
  return 0;
}

/** dev_valid_name(). */
function isName(name: string): boolean {
  return name.length > 0 && name.length < IFNAMSIZ && !/[/:\s]/.test(name) && name !== "." && name !== "..";
}

/** Where IFLA_NET_NS_PID or IFLA_NET_NS_FD leads; null = nowhere else. */
function targetNamespace(request: NetlinkRequest, at: number, end: number): Network | null | number {
  const { task, bytes } = request;
  const { kernel } = task;
  const pid = attributeWord(bytes, at, end, IFLA_NET_NS_PID, 0);
  if (pid !== 0) {
    const other = task.pid.namespace.task(pid);
    return other === null || other.hasExited ? -ESRCH : networkOf(kernel, other.namespaces.net);
  }
  const fd = attributeWord(bytes, at, end, IFLA_NET_NS_FD, 0xffff_ffff);
  if (fd === 0xffff_ffff) return null;
  const file = task.files.get(fd);
  const isNet = file instanceof NamespaceFile && file.namespace instanceof NetNamespace;
  return isNet ? networkOf(kernel, file.namespace) : -EINVAL;
}

function moveLink(request: NetlinkRequest, nic: Nic, target: Network): number {
  if (nic.isLoopback) return -EINVAL;
  if (target.stack.nics.some((other) => other !== undefined && other.name === nic.name)) return -EEXIST;
  if (target.stack.nics.length > LINKS_MAX) return -EADDRINUSE;
  tellLink(request.socket.network, nic, RTM_DELLINK);
  stackOf(request).detachNic(nic);
  tellLink(target, target.stack.addNic(nic.name, nic.link), RTM_NEWLINK);
  return 0;
}

/** `ip link add`: of the kinds there is veth. */
function makeLink(request: NetlinkRequest, at: number): number {
  const { bytes, end, task } = request;
  const attributes = at + IFINFO_BYTES;
  const info = findAttribute(bytes, attributes, end, IFLA_LINKINFO);
  const infoEnd = info < 0 ? -1 : info + attributeBytes(bytes, info);
  const kind = info < 0 ? "" : textAttribute(bytes, info, infoEnd, IFLA_INFO_KIND);
  if (kind !== "veth") return task.kernel.coverage.unfinished(`link of kind "${kind}"`, EOPNOTSUPP);
  const network = request.socket.network;
  const data = findAttribute(bytes, info, infoEnd, IFLA_INFO_DATA);
  const peer = data < 0 ? -1 : findAttribute(bytes, data, data + attributeBytes(bytes, data), VETH_INFO_PEER);
  const peerAt = peer < 0 ? -1 : peer + IFINFO_BYTES;
  const peerEnd = peer < 0 ? -1 : peer + attributeBytes(bytes, peer);
  const target = peer < 0 ? null : targetNamespace(request, peerAt, peerEnd);
  if (typeof target === "number") return target;
  const there = target ?? network;
  const name = textAttribute(bytes, attributes, end, IFLA_IFNAME) || freeName(network.stack, "");
  const peerName = (peer < 0 ? "" : textAttribute(bytes, peerAt, peerEnd, IFLA_IFNAME)) ||
    freeName(there.stack, name);
  if (!isName(name) || !isName(peerName)) return -EINVAL;
  if (has(network.stack, name) || has(there.stack, peerName)) return -EEXIST;
  if (there === network && name === peerName) return -EEXIST;
  if (Math.max(network.stack.nics.length, there.stack.nics.length) > LINKS_MAX) return -EADDRINUSE;
  const [here, far] = network.shared.netstack.VethLink.pair(
    newHardwareAddress(network.stack),
    newHardwareAddress(there.stack),
  );
  tellLink(there, there.stack.addNic(peerName, far), RTM_NEWLINK);
  tellLink(network, network.stack.addNic(name, here), RTM_NEWLINK);
  return 0;
}

function has(stack: Stack, name: string): boolean {
  return stack.nics.some((nic) => nic !== undefined && nic.name === name);
}
function freeName(stack: Stack, other: string): string {
  let i = 0;
  while (has(stack, `veth${i}`) || other === `veth${i}`) i++;
  return `veth${i}`;
}
/** Locally administered, as eth_random_addr() makes them. */
function newHardwareAddress(stack: Stack): Uint8Array {
  const address = new Uint8Array(6);
  for (let i = 0; i < 6; i++) address[i] = stack.random.word();
  address[0] = address[0] & 0xfe | 0x02;
  return address;
}

export function removeLink(request: NetlinkRequest): number {
  const nic = namedLink(request);
  if (typeof nic === "number") return nic;
  if (nic.isLoopback) return -EOPNOTSUPP;
  const { kernel } = request.task;
  // Its other end goes with it, wherever that is.
  const other = nic.link instanceof netstackOf(request).VethLink ? nic.link.peer : null;
  removeNic(request.socket.network, nic);
  if (other === null) return 0;
  for (const network of kernel.inet.networks) {
    const far = network.stack.nics.find((candidate) => candidate?.link === other);
    if (far !== undefined) removeNic(network, far);
  }
  return 0;
}
function removeNic(network: Network, nic: Nic): void {
  tellLink(network, nic, RTM_DELLINK);
  network.stack.removeNic(nic);
}

/** Tells listeners of a link's state. */
function tellLink(network: Network, nic: Nic, type: number): void {
  const { writer } = network.netlink;
  putLink(writer, writer.begin(type, 0, 0, 0, IFINFO_BYTES), nic);
  writer.end();
  network.netlink.multicast(NETLINK_ROUTE, RTNLGRP_LINK, writer.bytes.slice(0, writer.length));
  writer.clear();
}
