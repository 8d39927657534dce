// What UDP, ping and raw endpoints have in common: addresses, the receive queue, the error queue, multicast membership,
// options, and the message of read(). Each brings its own write() and its table.

import { Address } from "./address.ts";
import { DatagramQueue, type DatagramRecord, tellRecord } from "./datagram_queue.ts";
import {
  Endpoint,
  type EndpointAddress,
  type IncomingControl,
  MSG_CONFIRM,
  MSG_DONTROUTE,
  MSG_ERRQUEUE,
  MSG_PEEK,
  MSG_TRUNC,
  type OutgoingControl,
  type ReceiveFilter,
} from "./endpoint.ts";
import {
  EACCES,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EDESTADDRREQ,
  EINVAL,
  EMSGSIZE,
  ENETUNREACH,
  ENODEV,
  ENOTCONN,
  EPIPE,
} from "./errno.ts";
import { Fragmentation, NetworkError } from "./ip/ip.ts";
import {
  IP_PMTUDISC_DO,
  IP_PMTUDISC_DONT,
  IP_PMTUDISC_INTERFACE,
  IP_PMTUDISC_PROBE,
  IP_PMTUDISC_WANT,
} from "./ip/options.ts";
import { SocketGroups } from "./ip/socket_groups.ts";
import { OPT } from "./datagram_options.ts";
import { OPTIONS } from "./options.ts";
import type { Packet } from "./packet.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "./readiness.ts";
import { Route } from "./route.ts";
import type { Stack } from "./stack.ts";
import { SHUTDOWN_READ, SHUTDOWN_WRITE } from "./numbers.ts";

/** Least receive buffer (SOCK_MIN_RCVBUF). */
const BUFFER_BYTES_MIN = 2304;
/** What IPV6_UNICAST_HOPS says before a way is known. */
const HOP_LIMIT_DEFAULT = 64;
/** The error queue of one endpoint, and what is kept of a datagram that an error is about. */
const ERROR_QUEUE_BYTES = 64 * 1024;
const ERROR_BYTES_MAX = 1280;
const ORIGIN_LOCAL = 1;

export abstract class DatagramEndpoint extends Endpoint {
  /** Own address and port; unspecified and 0 before bind. */
  readonly local = new Address();
  localPort = 0;
  /** `local` is what packets are sent from; else an address is chosen. */
  hasSource = false;
  /** The peer; port 0 and isConnected false = none. */
  readonly remote = new Address();
  remotePort = 0;
  isConnected = false;
  /** Interface it is bound to, 0 = any. */
  nicId = 0;
  protected readonly incoming: DatagramQueue;
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
    this.incoming = new DatagramQueue(stack.ipSettings.get("rmem_default"), stack.rings);
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
    if (this.stack.nicOf(address) !== null || this.#isBroadcast(address)) return 0;
    return this.#bindsForeign(address.isV4) ? 0 : -EADDRNOTAVAIL;
  }
  #isBroadcast(address: Address): boolean {
    for (const nic of this.stack.nics) if (nic !== undefined && nic.isBroadcast(address)) return true;
    return false;
  }

  /** Takes over an address that checkBind() has allowed. */
  protected setLocal(address: Address): void {
    this.local.copy(address);
    // Group and broadcast addresses say what is heard, not what is sent from.
    this.hasSource = !address.isUnspecified && !address.isMulticast && !this.#isBroadcast(address);
  }

  /** Finds the way to `to` into `route`; 0 or -ERRNO (-EACCES for a broadcast without SO_BROADCAST). */
  protected routeTo(to: EndpointAddress, route: Route, control: OutgoingControl | null, flags = 0): number {
    const { address } = to;
    const isV4 = address.isV4;
    if (this.isV4 && !isV4) return -EAFNOSUPPORT;
    if (!this.isV4 && isV4 && this.isV6Only) return -ENETUNREACH;
    source.setUnspecified(isV4);
    if (this.hasSource && this.local.isV4 === isV4) source.copy(this.local);
    let nicId = this.nicId;
    if (address.isLinkLocal && !isV4) {
      if (to.scope !== 0) nicId = to.scope;
      // Which link it is on nobody can guess (RFC 4007 section 6).
      if (nicId === 0 && (control === null || control.nicId === 0)) return -EINVAL;
    }
    if (address.isMulticast) {
      if (nicId === 0) nicId = isV4 ? this.#multicastNic : this.options.value(OPT.V6_MULTICAST_IF);
      if (source.isUnspecified && isV4 && !this.#multicastSource.isUnspecified) {
        source.copy(this.#multicastSource);
      }
      if (nicId === 0 && to.scope !== 0) nicId = to.scope;
    }
    if (control !== null) {
      if (control.nicId !== 0) nicId = control.nicId;
      if (!control.source.isUnspecified && control.source.isV4 === isV4) {
        if (this.stack.nicOf(control.source) === null && !this.#bindsForeign(isV4)) return -EINVAL;
        source.copy(control.source);
      }
    }
    const mark = control === null || control.mark < 0 ? this.mark : control.mark;
    const found = this.stack.routes.findAgain(address, source, nicId, route, mark);
    if (found < 0) return found;
    if (route.isBroadcast && this.options.value(OPT.BROADCAST) === 0) return -EACCES;
    const isDirect = (flags & MSG_DONTROUTE) !== 0 || this.options.value(OPT.DONTROUTE) !== 0;
    if (isDirect && !route.nextHop.equals(route.destination)) return -ENETUNREACH;
    // The caller says that the neighbour answers (send(2), MSG_CONFIRM).
    if ((flags & MSG_CONFIRM) !== 0) route.neighbour?.confirm();
    return 0;
  }
  /** IP_FREEBIND, IP_TRANSPARENT. */
  #bindsForeign(isV4: boolean): boolean {
    const { options } = this;
    if (options.value(OPT.FREEBIND) !== 0 || options.value(OPT.TRANSPARENT) !== 0) return true;
    return !isV4 && (options.value(OPT.V6_FREEBIND) !== 0 || options.value(OPT.V6_TRANSPARENT) !== 0);
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
    packet.ttl = ttl >= 0
      ? ttl
      : route.isMulticast
      ? 1
      : isV4
      ? this.stack.ipSettings.get("default_ttl")
      : route.nic!.hopLimit;
    const tos = control === null || control.tos < 0
      ? options.value(isV4 ? OPT.TOS : OPT.V6_TCLASS)
      : control.tos;
    packet.tos = Math.max(0, tos);
    packet.loopsBack = options.value(isV4 ? OPT.MULTICAST_LOOP : OPT.V6_MULTICAST_LOOP) !== 0;
    packet.mark = control === null || control.mark < 0 ? this.mark : control.mark;
    packet.ownerUid = this.uid;
    packet.ownerGid = this.gid;
  }

  /** How a packet of `bytes` with its IP header goes: IP_MTU_DISCOVER, IPV6_MTU_DISCOVER, IPV6_DONTFRAG. */
  protected fragmentation(route: Route, bytes: number): Fragmentation {
    const isV4 = route.destination.isV4;
    if (!isV4 && this.options.value(OPT.V6_DONTFRAG) !== 0) return Fragmentation.Forbidden;
    switch (this.options.value(isV4 ? OPT.MTU_DISCOVER : OPT.V6_MTU_DISCOVER)) {
      case IP_PMTUDISC_WANT:
        // Don't Fragment where it fits, so that errors report the path's MTU; else cut here to what is known of it.
        return bytes <= route.mtu ? Fragmentation.Forbidden : Fragmentation.Allowed;
      case IP_PMTUDISC_DO:
        return Fragmentation.Forbidden;
      case IP_PMTUDISC_PROBE:
        return Fragmentation.Probe;
      default:
        return Fragmentation.Allowed;
    }
  }

  /** A packet of `bytes` that must not be cut does not fit its way. */
  protected isTooLong(route: Route, bytes: number): boolean {
    const isV4 = route.destination.isV4;
    if (bytes <= route.mtu) return false;
    if (!isV4 && this.options.value(OPT.V6_DONTFRAG) !== 0) return true;
    const discover = this.options.value(isV4 ? OPT.MTU_DISCOVER : OPT.V6_MTU_DISCOVER);
    if (discover === IP_PMTUDISC_DO) return true;
    return (discover === IP_PMTUDISC_PROBE || discover === IP_PMTUDISC_INTERFACE) && bytes > route.nic!.mtu;
  }

  /** Whether one may write now: 0, or -ERRNO. */
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
    if (this.filter !== null) {
      length = this.kept(this.filter, packet, at, length);
      if (length < 0) {
        this.drops++;
        return null;
      }
    }
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

  /** Bytes that `filter` leaves of a message, -1 = it is lost. */
  protected kept(filter: ReceiveFilter, packet: Packet, at: number, length: number): number {
    return filter(packet.bytes, at, length, packet.networkAt, false, packet);
  }

  /**
   * An ICMP error about a datagram of ours, whose payload begins `skipped` bytes into the quotation: to the error queue where
   * that is wanted, else as SO_ERROR where it is hard and there is a peer. Linux: __udp4_lib_err(), ping_err(), raw_err().
   */
  hearError(error: NetworkError, destinationPort: number, skipped: number): void {
    const isV4 = error.destination.isV4;
    const discover = this.options.value(isV4 ? OPT.MTU_DISCOVER : OPT.V6_MTU_DISCOVER);
    const isTooBig = error.errno === EMSGSIZE && error.info > 0;
    if (isTooBig && discover < IP_PMTUDISC_INTERFACE) this.stack.learnPathMtu(error.destination, error.info);
    const isHard = error.isHard || isTooBig && discover !== IP_PMTUDISC_DONT;
    if (this.#wantsErrors(isV4)) {
      if (this.#queueError(error, destinationPort, skipped)) this.error = error.errno;
      this.queue.notify(POLLERR);
      return;
    }
    // Endpoints without a peer hear nothing without IP_RECVERR.
    if (!this.isConnected || !isHard) return;
    this.error = error.errno;
    this.queue.notify(POLLERR | POLLIN | POLLOUT);
  }
  #wantsErrors(isV4: boolean): boolean {
    return this.options.value(isV4 ? OPT.RECVERR : OPT.V6_RECVERR) !== 0;
  }
  #queueError(error: NetworkError, destinationPort: number, skipped: number): boolean {
    this.#errors ??= new DatagramQueue(ERROR_QUEUE_BYTES, this.stack.rings);
    const from = Math.min(skipped, error.length);
    const record = this.#errors.push(
      error.bytes,
      error.at + from,
      Math.min(error.length - from, ERROR_BYTES_MAX),
    );
    if (record === null) return false;
    record.from.copy(error.destination);
    record.fromPort = destinationPort;
    record.to.copy(error.source);
    record.toPort = 0;
    record.nicId = error.nicId;
    record.ttl = record.tos = -1;
    record.timestamp = this.stack.now;
    record.segmentBytes = 0;
    record.errorNumber = error.errno;
    record.errorOrigin = error.origin;
    record.errorType = error.type;
    record.errorCode = error.code;
    record.errorInfo = error.info;
    record.offender.copy(error.offender);
    return true;
  }

  /** A write was too long for its way: -EMSGSIZE, and an entry of the error queue that says the MTU (ip(7), IP_RECVERR). */
  protected refuseSize(route: Route, port: number, from: Uint8Array, at: number, length: number): number {
    const { destination } = route;
    if (!this.#wantsErrors(destination.isV4)) return -EMSGSIZE;
    localError.errno = EMSGSIZE;
    localError.origin = ORIGIN_LOCAL;
    localError.type = localError.code = 0;
    localError.info = route.mtu;
    localError.offender.setUnspecified(destination.isV4);
    localError.source.copy(route.source);
    localError.destination.copy(destination);
    localError.bytes = from;
    localError.at = at;
    localError.length = length;
    localError.nicId = 0;
    this.#queueError(localError, port, 0);
    return -EMSGSIZE;
  }

  read(into: Uint8Array, at: number, length: number, flags: number, control: IncomingControl | null): number {
    if ((flags & MSG_ERRQUEUE) !== 0) {
      if (this.#errors === null || this.#errors.isEmpty) return -EAGAIN;
      const n = this.#take(this.#errors, into, at, length, flags, control);
      if (control !== null) control.flags |= MSG_ERRQUEUE;
      // The pending error is that of the next entry, as sock_dequeue_err_skb() has it.
      if ((flags & MSG_PEEK) === 0) this.error = this.#errors.isEmpty ? 0 : this.#errors.first.errorNumber;
      return n;
    }
    const pending = this.takeError();
    if (pending < 0) return pending;
    if (this.incoming.isEmpty) return this.#isReadShut ? 0 : -EAGAIN;
    return this.peekOffset < 0
      ? this.#take(this.incoming, into, at, length, flags, control)
      : this.#takeByOffset(into, at, length, flags, control);
  }

  /** SO_PEEK_OFF is at work: each look moves it on by what it shows, each message that is received moves it back. */
  #takeByOffset(
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: IncomingControl | null,
  ): number {
    const { incoming } = this;
    if ((flags & MSG_PEEK) === 0) {
      const n = this.#take(incoming, into, at, length, flags, control);
      this.peekOffset = Math.max(0, this.peekOffset - n);
      return n;
    }
    const record = incoming.peekFrom(this.peekOffset, into, at, length);
    if (record === null) return -EAGAIN;
    const whole = record.length - incoming.peekedSkip, n = Math.min(length, whole);
    this.peekOffset += n;
    if (control !== null) tellRecord(record, n < whole, whole, control);
    return (flags & MSG_TRUNC) !== 0 ? record.length : n;
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
    if (control !== null) tellRecord(record, n < whole, whole, control);
    if ((flags & MSG_PEEK) === 0) queue.shift();
    return (flags & MSG_TRUNC) !== 0 ? whole : n;
  }

  override shutdown(how: number): number {
    if ((how & SHUTDOWN_READ) !== 0) this.#isReadShut = true;
    if ((how & SHUTDOWN_WRITE) !== 0) this.#isWriteShut = true;
    this.queue.notify(this.readiness());
    // Linux: an endpoint without a peer is shut down, and answers ENOTCONN.
    return this.isConnected ? 0 : -ENOTCONN;
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
  /** Of all datagrams that wait: the rx_queue of /proc/net/udp. */
  get queuedBytes(): number {
    return this.incoming.usedBytes;
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
    this.#errors?.clear();
    this.#errors = null;
    this.#groups?.close();
    this.#groups = null;
  }

  override onOption(option: number, value: number): number {
    switch (option) {
      case OPT.RCVBUF:
        this.incoming.bytesMax = Math.max(
          BUFFER_BYTES_MIN,
          Math.min(value, this.stack.ipSettings.get("rmem_max")) * 2,
        );
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
        return stored === 0
          ? this.stack.ipSettings.get("wmem_default")
          : Math.max(2 * 2304, Math.min(stored, this.stack.ipSettings.get("wmem_max")) * 2);
      case OPT.TTL:
        return stored < 0 ? this.stack.ipSettings.get("default_ttl") : stored;
      case OPT.V6_HOPS:
        return stored < 0 ? HOP_LIMIT_DEFAULT : stored;
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
const localError = new NetworkError();
