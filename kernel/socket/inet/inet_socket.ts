// Sockets of AF_INET and AF_INET6: files over endpoints of the network stack. Linux: net/ipv4/af_inet.c, net/ipv6/af_inet6.c.
// The stack knows the protocols; here are addresses, permissions and messages as system calls have them. What the four
// kinds do differently stands in stream.ts and datagram.ts.

import type { Endpoint, EndpointAddress, TcpEndpoint } from "../../../netstack/mod.ts";
import { SHUTDOWN_READ, SHUTDOWN_WRITE } from "../../../netstack/numbers.ts";
import { EACCES, EINVAL, ENOBUFS, ENOPROTOOPT, EOPNOTSUPP, EPERM } from "../../abi/errno.ts";
import { FIONREAD } from "../../abi/file.ts";
import { IP_TRANSPARENT, IPV6_TRANSPARENT, SOL_IP, SOL_IPV6 } from "../../abi/inet.ts";
import {
  AF_INET,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SIOCOUTQ,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_LINGER,
  SO_PEEK_OFF,
  SO_PEERCRED,
  SO_PRIORITY,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
} from "../../abi/socket.ts";
import { i32, put32 } from "../../abi/struct.ts";
import { CAP_NET_ADMIN, CAP_NET_BIND_SERVICE, CAP_NET_RAW } from "../../abi/task.ts";
import { putIntResult } from "../../fs/anonymous/filesystem.ts";
import { hasCapability } from "../../task/credentials.ts";
import type { Task } from "../../task/task.ts";
import type { OutgoingMessage, SocketAddress } from "../message.ts";
import { Socket } from "../socket.ts";
import { isUnspecifiedFamily, readBindAddress, writeSocketAddress } from "./address.ts";
import type { Network } from "./network.ts";

/** What a socket counts with its endpoint (and connection), besides its file. */
const ENDPOINT_COST = 3072;
const INT_MAX = 0x7fff_ffff;

const scratch = new Uint8Array(8);

export abstract class InetSocket extends Socket {
  readonly network: Network;
  readonly endpoint: Endpoint;
  /** AF_INET. */
  readonly isV4: boolean;

  constructor(
    task: Task,
    network: Network,
    type: number,
    protocol: number,
    flags: number,
    domain: number,
    endpoint: Endpoint,
  ) {
    super(task, domain, type, protocol, flags);
    this.network = network;
    this.endpoint = endpoint;
    this.isV4 = domain === AF_INET;
    network.namespace.hold();
    task.kernel.account.heap.force(ENDPOINT_COST);
    endpoint.queue = this.queue;
    endpoint.inode = this.inode.ino;
    endpoint.uid = this.inode.uid;
    endpoint.gid = this.inode.gid;
  }

  /** The address of the call being served, as the stack has it. */
  protected get callAddress(): EndpointAddress {
    return this.network.shared.address;
  }

  /** The ports that only privileged processes may have concern it: not those of ping and raw sockets. */
  protected get hasPorts(): boolean {
    return true;
  }

  /** Level of its protocol's own options; -1 = it has none. */
  protected abstract get ownLevel(): number;

  override bind(task: Task, address: SocketAddress): number {
    const to = this.callAddress;
    const read = readBindAddress(address, this.isV4, to);
    if (read < 0) return read;
    const isPrivileged = this.hasPorts && to.port !== 0 && to.port < this.network.unprivilegedPortFirst;
    if (isPrivileged && !hasCapability(task.credentials, CAP_NET_BIND_SERVICE)) return -EACCES;
    return this.endpoint.bind(to);
  }

  override connect(_task: Task, address: SocketAddress): number {
    if (address.length < 2) return -EINVAL;
    const { endpoint, network } = this;
    network.touch();
    const result = isUnspecifiedFamily(address) ? endpoint.disconnect() : this.connectTo(address);
    network.settle();
    return result;
  }
  /** connect(2) to an address of a family. */
  protected abstract connectTo(address: SocketAddress): number;

  override send(
    task: Task,
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number {
    if (task.kernel.account.heap.isFull) return -ENOBUFS;
    const { network } = this;
    network.touch();
    const n = this.transmit(from, at, length, flags, message);
    network.settle();
    return n;
  }
  /** Hands bytes to the stack. */
  protected abstract transmit(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    message: OutgoingMessage | null,
  ): number;

  override localAddress(into: SocketAddress): number {
    const { callAddress } = this;
    const result = this.endpoint.localAddress(callAddress);
    if (result === 0) writeSocketAddress(callAddress, this.isV4, into);
    return result;
  }

  override peerAddress(into: SocketAddress): number {
    const { callAddress } = this;
    const result = this.endpoint.peerAddress(callAddress);
    if (result === 0) writeSocketAddress(callAddress, this.isV4, into);
    return result;
  }

  override shutdown(how: number): number {
    this.network.touch();
    const reads = how === SHUT_RD || how === SHUT_RDWR ? SHUTDOWN_READ : 0;
    const writes = how === SHUT_WR || how === SHUT_RDWR ? SHUTDOWN_WRITE : 0;
    const result = this.endpoint.shutdown(reads | writes);
    this.network.settle();
    return result;
  }

  override readiness(): number {
    return this.endpoint.readiness();
  }
  override takeError(): number {
    return this.endpoint.takeError();
  }
  override noteError(errno: number): void {
    this.endpoint.error = errno;
  }

  protected override onFilterChange(): void {
    const { filter } = this;
    this.endpoint.filter = filter === null
      ? null
      : (bytes, at, length, networkAt, hasLink, packet) =>
        filter.run(bytes, at, length, networkAt, hasLink, packet);
  }

  override get hasOwnControl(): boolean {
    return true;
  }

  override onOption(name: number, value: number): number {
    switch (name) {
      case SO_PEEK_OFF:
        this.endpoint.peekOffset = value;
        return 0;
      case SO_PRIORITY:
        // The stack's queues do not sort by it.
        return 0;
      case SO_LINGER:
        put32(scratch, 0, value < 0 ? 0 : 1);
        put32(scratch, 4, Math.max(0, value));
        break;
      case SO_SNDBUF:
      case SO_SNDBUFFORCE:
      case SO_RCVBUF:
      case SO_RCVBUFFORCE:
        put32(scratch, 0, Math.min(value >>> 0, INT_MAX));
        break;
      default:
        put32(scratch, 0, value);
    }
    const result = this.endpoint.setOption(SOL_SOCKET, name, scratch, 0, 8);
    // What the stack does not know of is kept by options.ts alone.
    return result === -ENOPROTOOPT ? 0 : result;
  }

  override optionValue(name: number, stored: number): number {
    if (name === SO_PEEK_OFF) return this.endpoint.peekOffset;
    if (name !== SO_SNDBUF && name !== SO_RCVBUF) return stored;
    return this.endpoint.getOption(SOL_SOCKET, name, scratch, 0, 4) < 0 ? stored : i32(scratch, 0);
  }

  override setOption(
    task: Task,
    level: number,
    name: number,
    from: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level === SOL_SOCKET && name !== SO_BINDTODEVICE && name !== SO_BINDTOIFINDEX) return -ENOPROTOOPT;
    const isTransparent = (level === SOL_IP && name === IP_TRANSPARENT) ||
      (level === SOL_IPV6 && name === IPV6_TRANSPARENT);
    if (isTransparent && !mayPretend(task)) return -EPERM;
    this.network.touch();
    const result = this.endpoint.setOption(level, name, from, at, length);
    this.network.settle();
    return result;
  }

  override getOption(
    _task: Task,
    level: number,
    name: number,
    into: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level !== SOL_SOCKET) {
      const result = this.endpoint.getOption(level, name, into, at, length);
      // do_ip_getsockopt(): a level that is neither IPv4's nor its protocol's.
      const isForeign = result === -ENOPROTOOPT && this.isV4 && level !== SOL_IP && level !== this.ownLevel;
      return isForeign ? -EOPNOTSUPP : result;
    }
    if (name === SO_BINDTODEVICE || name === SO_BINDTOIFINDEX) {
      return this.endpoint.getOption(level, name, into, at, length);
    }
    if (name !== SO_PEERCRED) return -ENOPROTOOPT;
    // Nobody known: cred_to_ucred() without credentials.
    put32(into, at, 0);
    put32(into, at + 4, -1);
    put32(into, at + 8, -1);
    return 12;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    switch (request) {
      case FIONREAD:
        return this.isListening ? -EINVAL : putIntResult(task, argument, this.endpoint.readableBytes);
      case SIOCOUTQ:
        return this.isListening ? -EINVAL : putIntResult(task, argument, this.endpoint.unsentBytes);
      default:
        return super.ioctl(task, request, argument);
    }
  }
  protected override networkFor(_task: Task): Network {
    return this.network;
  }

  override release(): void {
    const { network } = this;
    network.touch();
    // Linux: close(2) itself waits for SO_LINGER; here what is left goes out behind it.
    if (!this.endpoint.close()) (this.endpoint as TcpEndpoint).stopLingering();
    network.settle();
    this.inode.fs.vfs.memory.heap.give(ENDPOINT_COST);
    super.release();
    network.namespace.drop();
  }
}

/** IP_TRANSPARENT: addresses of others. */
function mayPretend(task: Task): boolean {
  return hasCapability(task.credentials, CAP_NET_ADMIN) || hasCapability(task.credentials, CAP_NET_RAW);
}
