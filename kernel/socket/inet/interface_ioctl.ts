// ioctls about interfaces, which any socket of the internet takes: netdevice(7). Linux: dev_ioctl(), devinet_ioctl().

import type { Nic, Stack } from "../../../netstack/mod.ts";
import { EADDRNOTAVAIL, EFAULT, EINVAL, ENODEV, ENOTTY, EOPNOTSUPP, EPERM } from "../../abi/errno.ts";
import {
  IFF_BROADCAST,
  IFF_LOOPBACK,
  IFF_MULTICAST,
  IFF_PROMISC,
  IFF_RUNNING,
  IFF_UP,
  IFNAMSIZ,
  IFREQ_BYTES,
  SIOCETHTOOL,
  SIOCGIFADDR,
  SIOCGIFBRDADDR,
  SIOCGIFCONF,
  SIOCGIFDSTADDR,
  SIOCGIFFLAGS,
  SIOCGIFHWADDR,
  SIOCGIFINDEX,
  SIOCGIFMAP,
  SIOCGIFMETRIC,
  SIOCGIFMTU,
  SIOCGIFNAME,
  SIOCGIFNETMASK,
  SIOCGIFTXQLEN,
  SIOCSIFFLAGS,
  SIOCSIFMTU,
} from "../../abi/inet.ts";
import { AF_INET } from "../../abi/socket.ts";
import { i32, put16, put32, put64, u64, zero } from "../../abi/struct.ts";
import { CAP_NET_ADMIN } from "../../abi/task.ts";
import { hasCapability } from "../../task/credentials.ts";
import type { Task } from "../../task/task.ts";
import { bytesToLatin1, putLatin1 } from "../../util/bytes.ts";
import { putSocketAddress } from "./address.ts";
import { type Network, setInterfaceUp } from "./network.ts";

/** Where the union of struct ifreq begins. */
const VALUE_AT = IFNAMSIZ;
/** tx_queue_len of a device, and of loopback. */
export const QUEUE_LENGTH = 1000;
/** Interfaces that one SIOCGIFCONF lists at most. */
const LISTED_MAX = 1024;

const request = new Uint8Array(IFREQ_BYTES);

/** A request that is about an interface, known or not. */
export function isInterfaceIoctl(code: number): boolean {
  return code >= SIOCGIFNAME && code <= SIOCGIFMAP;
}

export function interfaceIoctl(task: Task, network: Network, code: number, argument: number): number {
  if (code === SIOCGIFCONF) return listInterfaces(task, network.stack, argument);
  if (task.memory.copyIn(argument, request, 0, IFREQ_BYTES) < 0) return -EFAULT;
  const { stack } = network;
  const result = code === SIOCGIFNAME ? nameOf(stack) : serve(task, network, code);
  if (result < 0) return result;
  return task.memory.copyOut(argument, request, 0, IFREQ_BYTES);
}

function nameOf(stack: Stack): number {
  const nic = stack.nics[i32(request, VALUE_AT)];
  if (nic === undefined) return -ENODEV;
  zero(request, 0, IFNAMSIZ);
  putLatin1(request, 0, nic.name);
  return 0;
}

function serve(task: Task, network: Network, code: number): number {
  let end = 0;
  while (end < IFNAMSIZ - 1 && request[end] !== 0) end++;
  const name = bytesToLatin1(request, 0, end);
  // "eth0:1" names an address of eth0.
  const device = name.split(":")[0];
  const nic = network.stack.nics.find((candidate) => candidate !== undefined && candidate.name === device);
  if (nic === undefined) return isKnown(code) ? -ENODEV : -ENOTTY;
  switch (code) {
    case SIOCGIFINDEX:
      put32(request, VALUE_AT, nic.id);
      return 0;
    case SIOCGIFFLAGS:
      put16(request, VALUE_AT, interfaceFlags(nic));
      return 0;
    case SIOCGIFMTU:
      put32(request, VALUE_AT, nic.mtu);
      return 0;
    case SIOCGIFMETRIC:
      put32(request, VALUE_AT, 0);
      return 0;
    case SIOCGIFTXQLEN:
      put32(request, VALUE_AT, QUEUE_LENGTH);
      return 0;
    case SIOCGIFMAP:
      zero(request, VALUE_AT, IFREQ_BYTES - VALUE_AT);
      return 0;
    case SIOCGIFHWADDR:
      zero(request, VALUE_AT, 16);
      put16(request, VALUE_AT, nic.link.hardwareType);
      request.set(nic.link.address, VALUE_AT + 2);
      return 0;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
      return putInterfaceAddress(nic, code);
    case SIOCSIFFLAGS:
      if (!hasCapability(task.credentials, CAP_NET_ADMIN)) return -EPERM;
      setInterfaceUp(network, nic, (request[VALUE_AT] & IFF_UP) !== 0);
      return 0;
    case SIOCSIFMTU:
      if (!hasCapability(task.credentials, CAP_NET_ADMIN)) return -EPERM;
      return nic.link.setMtu(i32(request, VALUE_AT));
    case SIOCETHTOOL:
      return -EOPNOTSUPP;
    default:
      return -ENOTTY;
  }
}

const KNOWN = new Set([
  SIOCGIFINDEX,
  SIOCGIFFLAGS,
  SIOCGIFMTU,
  SIOCGIFMETRIC,
  SIOCGIFTXQLEN,
  SIOCGIFMAP,
  SIOCGIFHWADDR,
  SIOCGIFADDR,
  SIOCGIFDSTADDR,
  SIOCGIFBRDADDR,
  SIOCGIFNETMASK,
  SIOCSIFFLAGS,
  SIOCSIFMTU,
  SIOCETHTOOL,
]);
function isKnown(code: number): boolean {
  return KNOWN.has(code);
}

/** The first IPv4 address, or what belongs to it. */
function putInterfaceAddress(nic: Nic, code: number): number {
  const entry = nic.addresses.find((candidate) => candidate.address.isV4);
  if (entry === undefined) return -EADDRNOTAVAIL;
  putSocketAddress(request, VALUE_AT, entry.address, 0, 0, true);
  if (code === SIOCGIFADDR || code === SIOCGIFDSTADDR) return 0;
  const mask = entry.prefixBits <= 96 ? 0 : -1 << (128 - entry.prefixBits);
  const value = code === SIOCGIFNETMASK ? mask : nic.isLoopback ? 0 : entry.address.d | ~mask;
  for (let i = 0; i < 4; i++) request[VALUE_AT + 4 + i] = value >>> 24 - 8 * i;
  return 0;
}

/** IFF_ flags; those beyond 16 bits are netlink's alone. */
export function interfaceFlags(nic: Nic): number {
  let flags = nic.isLoopback ? IFF_LOOPBACK : IFF_BROADCAST | IFF_MULTICAST;
  if (nic.isUp) flags |= IFF_UP | IFF_RUNNING;
  if (nic.isPromiscuous) flags |= IFF_PROMISC;
  return flags;
}

/** SIOCGIFCONF: struct ifconf, and a struct ifreq for each IPv4 address; without a buffer its size alone. */
function listInterfaces(task: Task, stack: Stack, argument: number): number {
  const head = new Uint8Array(16);
  if (task.memory.copyIn(argument, head, 0, 16) < 0) return -EFAULT;
  const room = i32(head, 0), buffer = u64(head, 8);
  if (room < 0) return -EINVAL;
  let used = 0;
  for (const nic of stack.nics.slice(0, LISTED_MAX)) {
    if (nic === undefined) continue;
    for (const entry of nic.addresses) {
      if (!entry.address.isV4) continue;
      if (buffer !== 0) {
        if (room - used < IFREQ_BYTES) break;
        zero(request, 0, IFREQ_BYTES);
        putLatin1(request, 0, nic.name);
        put16(request, VALUE_AT, AF_INET);
        entry.address.write4(request, VALUE_AT + 4);
        if (task.memory.copyOut(buffer + used, request, 0, IFREQ_BYTES) < 0) return -EFAULT;
      }
      used += IFREQ_BYTES;
    }
  }
  put32(head, 0, used);
  put64(head, 8, buffer);
  return task.memory.copyOut(argument, head, 0, 16);
}
