// What UDP, ping and raw endpoints have in common: addresses, the receive queue, the error queue, multicast membership,
// options, and the message of read(). Each brings its own write() and its table.

import { Address } from "./address.ts";
import { DatagramQueue, type DatagramRecord } from "./datagram_queue.ts";
import {
  Endpoint,
  type EndpointAddress,
  type IncomingControl,
  MSG_ERRQUEUE,
  MSG_PEEK,
  MSG_TRUNC,
  type OutgoingControl,
  SHUTDOWN_READ,
  SHUTDOWN_WRITE,
} from "./endpoint.ts";
import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EDESTADDRREQ,
  EINVAL,
  ENODEV,
  ENOTCONN,
  EPIPE,
} from "./errno.ts";
import { Fragmentation, type NetworkError } from "./ip/ip.ts";
import {
  IP_FREEBIND,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_MULTICAST_ALL,
  IP_MULTICAST_IF,
  IP_MULTICAST_LOOP,
  IP_MULTICAST_TTL,
  IP_RECVERR,
  IP_TOS,
  IP_TTL,
  IPV6_DONTFRAG,
  IPV6_MTU,
  IPV6_MTU_DISCOVER,
  IPV6_MULTICAST_ALL,
  IPV6_MULTICAST_HOPS,
  IPV6_MULTICAST_IF,
  IPV6_MULTICAST_LOOP,
  IPV6_PATHMTU,
  IPV6_RECVERR,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  SOL_IP,
  SOL_IPV6,
} from "./ip/options.ts";
import { SocketGroups } from "./ip/socket_groups.ts";
import { optionNumber, OPTIONS } from "./options.ts";
import type { Packet } from "./packet.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "./readiness.ts";
import { Route } from "./route.ts";
import {
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_BROADCAST,
  SO_ERROR,
  SO_MARK,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
} from "./socket_options.ts";
import type { Stack } from "./stack.ts";

/** rmem_default and rmem_max, wmem_max (bytes). */
export const RECEIVE_BYTES_DEFAULT = 212_992;
export const BUFFER_BYTES_MAX = 212_992;
const BUFFER_BYTES_MIN = 2304;
/** Default hop limit (ip_default_ttl). */
const TTL_DEFAULT = 64;
const ERROR_QUEUE_BYTES = 64 * 1024;

const OPT = {
  BROADCAST: optionNumber(SOL_SOCKET, SO_BROADCAST),
  MARK: optionNumber(SOL_SOCKET, SO_MARK),
  ERROR: optionNumber(SOL_SOCKET, SO_ERROR),
  RCVBUF: optionNumber(SOL_SOCKET, SO_RCVBUF),
  RCVBUFFORCE: optionNumber(SOL_SOCKET, SO_RCVBUFFORCE),
  SNDBUF: optionNumber(SOL_SOCKET, SO_SNDBUF),
  SNDBUFFORCE: optionNumber(SOL_SOCKET, SO_SNDBUFFORCE),
  BINDTODEVICE: optionNumber(SOL_SOCKET, SO_BINDTODEVICE),
  BINDTOIFINDEX: optionNumber(SOL_SOCKET, SO_BINDTOIFINDEX),
  TTL: optionNumber(SOL_IP, IP_TTL),
  TOS: optionNumber(SOL_IP, IP_TOS),
  MTU: optionNumber(SOL_IP, IP_MTU),
  FREEBIND: optionNumber(SOL_IP, IP_FREEBIND),
  MTU_DISCOVER: optionNumber(SOL_IP, IP_MTU_DISCOVER),
  RECVERR: optionNumber(SOL_IP, IP_RECVERR),
  MULTICAST_TTL: optionNumber(SOL_IP, IP_MULTICAST_TTL),
  MULTICAST_LOOP: optionNumber(SOL_IP, IP_MULTICAST_LOOP),
  MULTICAST_IF: optionNumber(SOL_IP, IP_MULTICAST_IF),
  MULTICAST_ALL: optionNumber(SOL_IP, IP_MULTICAST_ALL),
  V6_HOPS: optionNumber(SOL_IPV6, IPV6_UNICAST_HOPS),
  V6_TCLASS: optionNumber(SOL_IPV6, IPV6_TCLASS),
  V6_MULTICAST_HOPS: optionNumber(SOL_IPV6, IPV6_MULTICAST_HOPS),
  V6_MULTICAST_ALL: optionNumber(SOL_IPV6, IPV6_MULTICAST_ALL),
  V6_PATHMTU: optionNumber(SOL_IPV6, IPV6_PATHMTU),
  V6_MULTICAST_LOOP: optionNumber(SOL_IPV6, IPV6_MULTICAST_LOOP),
  V6_MULTICAST_IF: optionNumber(SOL_IPV6, IPV6_MULTICAST_IF),
  V6_MTU_DISCOVER: optionNumber(SOL_IPV6, IPV6_MTU_DISCOVER),
  V6_MTU: optionNumber(SOL_IPV6, IPV6_MTU),
  V6_RECVERR: optionNumber(SOL_IPV6, IPV6_RECVERR),
  V6_DONTFRAG: optionNumber(SOL_IPV6, IPV6_DONTFRAG),
  V6ONLY: optionNumber(SOL_IPV6, IPV6_V6ONLY),
};

export abstract class DatagramEndpoint extends Endpoint {
  /** Own address and port; unspecified and 0 before bind. */
  readonly local = new Address();
  localPort = 0;
  /** The peer; port 0 and isConnected false = none. */
  readonly remote = new Address();
  remotePort = 0;
  isConnected = false;
  /** Interface it is bound to, 0 = any. */
  nicId = 0;
  protected readonly incoming = new DatagramQueue(RECEIVE_BYTES_DEFAULT);
  protected readonly route = new Route();
  #errors: DatagramQueue | null = null;
  #isReadShut = false;
  #isWriteShut = false;
  /** Multicast groups it has joined; null = none yet. */
  #groups: SocketGroups | null = null;
  #multicastNic = 0;
  readonly #multicastSource = new Address();
  /** Datagrams lost as the queue was full. */
  drops = 0;

  constructor(stack: Stack, kind: number, isV4: boolean) {
    super(stack, kind, isV4);
    this.local.setUnspecified(isV4);
    this.remote.setUnspecified(isV4);
  }

  get isV6Only(): boolean {
    return this.options.value(OPT.V6ONLY) !== 0;
  }
  get mark(): number {
    return this.options.value(OPT.MARK);
  }
  /** Whether a datagram from `from` to `group` that came by `nicId` is for this endpoint. */
  hearsGroup(group: Address, nicId: number, from: Address): boolean {
    // Groups count for those who have not joined too: IP_MULTICAST_ALL, and IPv6's, which are on by default.
    const others = this.options.value(group.isV4 ? OPT.MULTICAST_ALL : OPT.V6_MULTICAST_ALL) !== 0;
    return this.#groups === null ? others : this.#groups.hears(group, nicId, from, others);
  }

  /** An address one may bind to: 0 or -ERRNO; also sets the interface of a link-local one. */
  protected checkBind(to: EndpointAddress): number {
    const { address } = to;
    if (this.isV4 && !address.isV4) return -EAFNOSUPPORT;
    if (!this.isV4 && address.isV4 && this.isV6Only) return -EINVAL;
    if (address.isUnspecified || address.isMulticast || address.isLimitedBroadcast) return 0;
    if (address.isLinkLocal && !address.isV4) {
      const scope = to.scope || this.nicId;
      if (scope === 0) return -EINVAL;
      const nic = this.stack.nics[scope];
      if (nic === undefined) return -ENODEV;
      if (!nic.hasAddress(address)) return -EADDRNOTAVAIL;
      this.nicId = scope;
      return 0;
    }
    if (this.stack.nicOf(address) !== null) return 0;
    for (const nic of this.stack.nics) if (nic !== undefined && nic.isBroadcast(address)) return 0;
    return this.options.value(OPT.FREEBIND) !== 0 ? 0 : -EADDRNOTAVAIL;
  }

  /** Finds the way to `to` into `route`; 0 or -ERRNO (-EACCES for a broadcast without SO_BROADCAST). */
  protected routeTo(to: EndpointAddress, route: Route, control: OutgoingControl | null): number {
    const { address } = to;
    const isV4 = address.isV4;
    if (this.isV4 && !isV4) return -EAFNOSUPPORT;
    if (!this.isV4 && isV4 && this.isV6Only) return -EAFNOSUPPORT;
    source.setUnspecified(isV4);
    if (!this.local.isUnspecified && this.local.isV4 === isV4 && !this.local.isMulticast) {
      source.copy(this.local);
    }
    let nicId = this.nicId;
    if (address.isLinkLocal && !isV4 && to.scope !== 0) nicId = to.scope;
    if (address.isMulticast) {
      if (nicId === 0) nicId = isV4 ? this.#multicastNic : this.options.value(OPT.V6_MULTICAST_IF);
      if (source.isUnspecified && isV4 && !this.#multicastSource.isUnspecified) {
        source.copy(this.#multicastSource);
      }
      if (nicId === 0 && to.scope !== 0) nicId = to.scope;
    }
    if (control !== null) {
      if (control.nicId !== 0) nicId = control.nicId;
      if (!control.source.isUnspecified && control.source.isV4 === isV4) source.copy(control.source);
    }
    const mark = control === null || control.mark < 0 ? this.mark : control.mark;
    const found = this.stack.routes.find(address, source, nicId, route, mark);
    if (found < 0) return found;
    if (route.isBroadcast && this.options.value(OPT.BROADCAST) === 0) return -EACCES;
    return 0;
  }

  /** Notes in `packet` what the options and the control message say of how it goes out. */
  protected note(packet: Packet, route: Route, control: OutgoingControl | null): void {
    const isV4 = route.destination.isV4;
    const { options } = this;
    packet.source.copy(route.source);
    packet.destination.copy(route.destination);
    let ttl = control === null ? -1 : control.ttl;
    if (ttl < 0) {
      ttl = route.isMulticast
        ? options.value(isV4 ? OPT.MULTICAST_TTL : OPT.V6_MULTICAST_HOPS)
        : options.value(isV4 ? OPT.TTL : OPT.V6_HOPS);
    }
    packet.ttl = ttl >= 0 ? ttl : route.isMulticast ? 1 : isV4 ? TTL_DEFAULT : route.nic!.hopLimit;
    const tos = control === null || control.tos < 0
      ? options.value(isV4 ? OPT.TOS : OPT.V6_TCLASS)
      : control.tos;
    packet.tos = Math.max(0, tos);
    packet.loopsBack = options.value(isV4 ? OPT.MULTICAST_LOOP : OPT.V6_MULTICAST_LOOP) !== 0;
    packet.mark = control === null || control.mark < 0 ? this.mark : control.mark;
    packet.ownerUid = this.uid;
    packet.ownerGid = this.gid;
  }

  protected fragmentation(isV4: boolean): Fragmentation {
    if (!isV4 && this.options.value(OPT.V6_DONTFRAG) !== 0) return Fragmentation.Forbidden;
    switch (this.options.value(isV4 ? OPT.MTU_DISCOVER : OPT.V6_MTU_DISCOVER)) {
      case 2:
        return Fragmentation.Forbidden;
      case 3:
      case 4:
        return Fragmentation.Probe;
      default:
        // "Want": fragmented here to the path's MTU, as IPv6 always is.
        return Fragmentation.Allowed;
    }
  }

  /** Where write() goes; null = -EDESTADDRREQ was the answer (result in `failure`). */
  protected target(control: OutgoingControl | null): number {
    if (this.#isWriteShut) return -EPIPE;
    const pending = this.takeError();
    if (pending < 0) return pending;
    const to = control === null ? null : control.to;
    if (to === null && !this.isConnected) return -EDESTADDRREQ;
    return 0;
  }

  /** Enters a datagram; its record for the caller to fill, or null when it is lost. */
  protected enter(packet: Packet, at: number, length: number): DatagramRecord | null {
    if (this.#isReadShut) return null;
    const record = this.incoming.push(packet.bytes, at, length);
    if (record === null) {
      this.drops++;
      return null;
    }
    record.from.copy(packet.source);
    record.to.copy(packet.destination);
    record.fromPort = record.toPort = 0;
    record.nicId = packet.nicId;
    record.ttl = packet.ttl;
    record.tos = packet.tos;
    record.timestamp = packet.timestamp;
    record.protocol = packet.protocol;
    this.queue.notify(POLLIN | POLLRDNORM);
    return record;
  }

  /** An ICMP error about a datagram of ours: to the error queue where it is wanted, else as SO_ERROR where it is hard. */
  hearError(error: NetworkError, destinationPort: number): void {
    const isV4 = error.destination.isV4;
    if (error.info > 0) this.stack.learnPathMtu(error.destination, error.info);
    const wants = this.options.value(this.isV4 || isV4 ? OPT.RECVERR : OPT.V6_RECVERR) !== 0;
    if (wants) {
      this.#errors ??= new DatagramQueue(ERROR_QUEUE_BYTES);
      const record = this.#errors.push(error.bytes, error.at, Math.min(error.length, 576));
      if (record === null) return;
      record.from.copy(error.destination);
      record.fromPort = destinationPort;
      record.to.copy(error.source);
      record.nicId = error.nicId;
      record.ttl = record.tos = -1;
      record.errorNumber = error.errno;
      record.errorOrigin = error.origin;
      record.errorType = error.type;
      record.errorCode = error.code;
      record.errorInfo = error.info;
      record.offender.copy(error.offender);
      this.error = error.errno;
      this.queue.notify(POLLERR);
      return;
    }
    // Unconnected endpoints hear nothing without IP_RECVERR, as on Linux.
    if (!this.isConnected || !error.isHard) return;
    this.error = error.errno;
    this.queue.notify(POLLERR | POLLIN | POLLOUT);
  }

  read(into: Uint8Array, at: number, length: number, flags: number, control: IncomingControl | null): number {
    if ((flags & MSG_ERRQUEUE) !== 0) {
      if (this.#errors === null || this.#errors.isEmpty) return -EAGAIN;
      const n = this.#take(this.#errors, into, at, length, flags, control);
      if (control !== null) control.flags |= MSG_ERRQUEUE;
      return n;
    }
    const pending = this.takeError();
    if (pending < 0) return pending;
    if (this.incoming.isEmpty) return this.#isReadShut ? 0 : -EAGAIN;
    return this.#take(this.incoming, into, at, length, flags, control);
  }

  #take(
    queue: DatagramQueue,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: IncomingControl | null,
  ): number {
    const record = queue.first;
    const whole = record.length;
    const n = queue.peek(into, at, length);
    if (control !== null) {
      control.from.address.copy(record.from);
      control.from.port = record.fromPort;
      control.from.scope = record.from.isLinkLocal && !record.from.isV4 ? record.nicId : 0;
      control.destination.address.copy(record.to);
      control.destination.port = record.toPort;
      control.nicId = record.nicId;
      control.ttl = record.ttl;
      control.tos = record.tos;
      control.timestamp = record.timestamp;
      control.messageBytes = whole;
      if (n < whole) control.flags |= MSG_TRUNC;
      control.errorNumber = record.errorNumber;
      control.errorOrigin = record.errorOrigin;
      control.errorType = record.errorType;
      control.errorCode = record.errorCode;
      control.errorInfo = record.errorInfo;
      control.offender.copy(record.offender);
      this.fillControl(record, control);
    }
    if ((flags & MSG_PEEK) === 0) queue.shift();
    return (flags & MSG_TRUNC) !== 0 ? whole : n;
  }

  /** What one kind of endpoint adds to a message. */
  protected fillControl(_record: DatagramRecord, _control: IncomingControl): void {}

  override shutdown(how: number): number {
    if (!this.isConnected) return -ENOTCONN;
    if ((how & SHUTDOWN_READ) !== 0) this.#isReadShut = true;
    if ((how & SHUTDOWN_WRITE) !== 0) this.#isWriteShut = true;
    this.queue.notify(this.readiness());
    return 0;
  }

  readiness(): number {
    let events = POLLOUT | POLLWRNORM;
    if (!this.incoming.isEmpty || this.#isReadShut) events |= POLLIN | POLLRDNORM;
    if (this.#isReadShut) events |= POLLRDHUP;
    if (this.#isReadShut && this.#isWriteShut) events |= POLLHUP;
    if (this.error !== 0 || (this.#errors !== null && !this.#errors.isEmpty)) events |= POLLERR;
    return events;
  }
  get readableBytes(): number {
    return this.incoming.isEmpty ? 0 : this.incoming.first.length;
  }
  get unsentBytes(): number {
    return 0;
  }

  localAddress(into: EndpointAddress): number {
    into.address.copy(this.local);
    into.port = this.localPort;
    into.scope = this.local.isLinkLocal && !this.local.isV4 ? this.nicId : 0;
    return 0;
  }
  peerAddress(into: EndpointAddress): number {
    if (!this.isConnected) return -ENOTCONN;
    into.address.copy(this.remote);
    into.port = this.remotePort;
    into.scope = this.remote.isLinkLocal && !this.remote.isV4 ? this.nicId : 0;
    return 0;
  }

  /** Gives back queues and memberships: part of close(). */
  protected releaseQueues(): void {
    this.incoming.clear();
    this.#errors = null;
    this.#groups?.close();
    this.#groups = null;
  }

  override onOption(option: number, value: number): number {
    switch (option) {
      case OPT.RCVBUF:
        this.incoming.bytesMax = Math.max(BUFFER_BYTES_MIN, Math.min(value, BUFFER_BYTES_MAX) * 2);
        return 0;
      case OPT.RCVBUFFORCE:
        this.incoming.bytesMax = Math.max(BUFFER_BYTES_MIN, value * 2);
        return 0;
      case OPT.BINDTOIFINDEX:
        return this.#bindToNic(value);
      case OPT.V6ONLY:
        return this.localPort === 0 ? 0 : -EINVAL;
      default:
        return 0;
    }
  }
  override optionValue(option: number, stored: number): number {
    switch (option) {
      case OPT.ERROR:
        return -this.takeError();
      case OPT.RCVBUF:
        return this.incoming.bytesMax;
      case OPT.SNDBUF:
        return stored === 0 ? BUFFER_BYTES_MAX : Math.max(2 * 2304, Math.min(stored, BUFFER_BYTES_MAX) * 2);
      case OPT.TTL:
      case OPT.V6_HOPS:
        return stored < 0 ? TTL_DEFAULT : stored;
      case OPT.MTU:
      case OPT.V6_MTU:
        return this.isConnected ? this.pathMtu() : -ENOTCONN;
      case OPT.MULTICAST_TTL:
      case OPT.V6_MULTICAST_HOPS:
        return stored < 0 ? 1 : stored;
      case OPT.MULTICAST_LOOP:
        return stored === 0 ? 0 : 1;
      case OPT.BINDTOIFINDEX:
        return this.nicId;
      default:
        return stored;
    }
  }

  #bindToNic(nicId: number): number {
    if (nicId !== 0 && this.stack.nics[nicId] === undefined) return -ENODEV;
    this.nicId = nicId;
    this.route.generation = -1;
    return 0;
  }

  override setOtherOption(option: number, from: Uint8Array, at: number, length: number): number {
    switch (option) {
      case OPT.BINDTODEVICE: {
        let name = "";
        for (let i = 0; i < length && from[at + i] !== 0; i++) name += String.fromCharCode(from[at + i]);
        if (name === "") return this.#bindToNic(0);
        const nic = this.stack.nics.find((candidate) => candidate !== undefined && candidate.name === name);
        return nic === undefined ? -ENODEV : this.#bindToNic(nic.id);
      }
      case OPT.MULTICAST_IF:
        return this.#setMulticastInterface(from, at, length);
      default: {
        const row = OPTIONS[option];
        this.#groups ??= new SocketGroups(this.stack);
        return this.#groups.setOption(row.level, row.name, from, at, length);
      }
    }
  }
  override getOtherOption(option: number, into: Uint8Array, at: number, length: number): number {
    if (option === OPT.MULTICAST_IF) {
      if (length < 4) return -EINVAL;
      this.#multicastSource.write4(into, at);
      return 4;
    }
    if (option === OPT.V6_PATHMTU) return this.#getPathMtu(into, at, length);
    if (option !== OPT.BINDTODEVICE) {
      const row = OPTIONS[option];
      this.#groups ??= new SocketGroups(this.stack);
      return this.#groups.getOption(row.level, row.name, into, at, length);
    }
    const name = this.nicId === 0 ? "" : this.stack.nics[this.nicId]?.name ?? "";
    if (name === "") return 0;
    if (length < name.length + 1) return -EINVAL;
    for (let i = 0; i < name.length; i++) into[at + i] = name.charCodeAt(i);
    into[at + name.length] = 0;
    return name.length + 1;
  }

  /** IPV6_PATHMTU: struct ip6_mtuinfo, a sockaddr_in6 and the MTU (RFC 3542 section 11.4). */
  #getPathMtu(into: Uint8Array, at: number, length: number): number {
    if (length < 32) return -EINVAL;
    if (!this.isConnected) return -ENOTCONN;
    into.fill(0, at, at + 32);
    into[at] = 10;
    this.remote.write6(into, at + 8);
    const mtu = this.pathMtu();
    for (let i = 0; i < 4; i++) into[at + 28 + i] = mtu >>> 8 * i;
    return 32;
  }

  /** MTU of the way to the peer, found anew where routes have changed. */
  protected pathMtu(): number {
    const { route } = this;
    if (route.generation !== this.stack.routes.generation) {
      source.copy(this.local);
      if (this.stack.routes.find(this.remote, source, this.nicId, route, this.mark) < 0) return 0;
    }
    return route.mtu;
  }

  /** IP_MULTICAST_IF: struct in_addr, ip_mreq or ip_mreqn. */
  #setMulticastInterface(from: Uint8Array, at: number, length: number): number {
    if (length < 4) return -EINVAL;
    const address = new Address().read4(from, length >= 8 ? at + 4 : at);
    const index = length >= 12 ? from[at + 8] | from[at + 9] << 8 | from[at + 10] << 16 : 0;
    const nic = index !== 0
      ? this.stack.nics[index] ?? null
      : address.isUnspecified
      ? null
      : this.stack.nicOf(address);
    if (nic === null && (index !== 0 || !address.isUnspecified)) return -EADDRNOTAVAIL;
    this.#multicastNic = nic === null ? 0 : nic.id;
    if (address.isUnspecified) this.#multicastSource.setUnspecified(false);
    else this.#multicastSource.copy(address);
    return 0;
  }
}

const source = new Address();
