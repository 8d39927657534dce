// A TCP endpoint: what a socket does with a connection or a listener. tcp(7), RFC 9293 section 3.9.1.

import { Address } from "../address.ts";
import {
  Endpoint,
  type EndpointAddress,
  type IncomingControl,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  type OutgoingControl,
  SHUTDOWN_READ,
  SHUTDOWN_WRITE,
} from "../endpoint.ts";
import { ENDPOINT_TCP } from "../endpoint_kind.ts";
import {
  EADDRINUSE,
  EADDRNOTAVAIL,
  EAFNOSUPPORT,
  EAGAIN,
  EALREADY,
  ECONNRESET,
  EINPROGRESS,
  EINVAL,
  EISCONN,
  ENETUNREACH,
  ENODEV,
  ENOENT,
  ENOPROTOOPT,
  ENOTCONN,
  EOPNOTSUPP,
  EPIPE,
} from "../errno.ts";
import {
  IP_FREEBIND,
  IP_MTU,
  IP_MTU_DISCOVER,
  IP_RECVERR,
  IP_TOS,
  IP_TTL,
  IPV6_MTU,
  IPV6_TCLASS,
  IPV6_UNICAST_HOPS,
  IPV6_V6ONLY,
  SOL_IP,
  SOL_IPV6,
} from "../ip/options.ts";
import { optionNumber } from "../options.ts";
import { PortBinding } from "../ports.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../readiness.ts";
import {
  SO_ACCEPTCONN,
  SO_BINDTODEVICE,
  SO_BINDTOIFINDEX,
  SO_ERROR,
  SO_KEEPALIVE,
  SO_LINGER,
  SO_MARK,
  SO_OOBINLINE,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_RCVLOWAT,
  SO_REUSEADDR,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOL_SOCKET,
} from "../socket_options.ts";
import type { Stack } from "../stack.ts";
import { noteRead } from "./auto_tuning.ts";
import { CONGESTION_CONTROLS } from "./congestion/congestion.ts";
import { Connection, RetransmitMode } from "./connection.ts";
import { writeInfo } from "./info.ts";
import { armFinWait, armKeepAlive } from "./keepalive.ts";
import { Listener } from "./listener.ts";
import { afterLocalRead, writeLocal } from "./local.ts";
import {
  SOL_TCP,
  TCP_CONGESTION,
  TCP_CORK,
  TCP_DEFER_ACCEPT,
  TCP_INFO,
  TCP_KEEPCNT,
  TCP_KEEPIDLE,
  TCP_KEEPINTVL,
  TCP_LINGER2,
  TCP_MAXSEG,
  TCP_NODELAY,
  TCP_QUICKACK,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
} from "./options.ts";
import { afterRead, sendSyn } from "./output.ts";
import { RTO_INITIAL_NANOS } from "./rtt.ts";
import { canSend, TcpState } from "./state.ts";

const OPT = {
  REUSEADDR: optionNumber(SOL_SOCKET, SO_REUSEADDR),
  REUSEPORT: optionNumber(SOL_SOCKET, SO_REUSEPORT),
  KEEPALIVE: optionNumber(SOL_SOCKET, SO_KEEPALIVE),
  OOBINLINE: optionNumber(SOL_SOCKET, SO_OOBINLINE),
  LINGER: optionNumber(SOL_SOCKET, SO_LINGER),
  RCVBUF: optionNumber(SOL_SOCKET, SO_RCVBUF),
  SNDBUF: optionNumber(SOL_SOCKET, SO_SNDBUF),
  RCVBUFFORCE: optionNumber(SOL_SOCKET, SO_RCVBUFFORCE),
  SNDBUFFORCE: optionNumber(SOL_SOCKET, SO_SNDBUFFORCE),
  RCVLOWAT: optionNumber(SOL_SOCKET, SO_RCVLOWAT),
  MARK: optionNumber(SOL_SOCKET, SO_MARK),
  ERROR: optionNumber(SOL_SOCKET, SO_ERROR),
  ACCEPTCONN: optionNumber(SOL_SOCKET, SO_ACCEPTCONN),
  BINDTODEVICE: optionNumber(SOL_SOCKET, SO_BINDTODEVICE),
  BINDTOIFINDEX: optionNumber(SOL_SOCKET, SO_BINDTOIFINDEX),
  TTL: optionNumber(SOL_IP, IP_TTL),
  TOS: optionNumber(SOL_IP, IP_TOS),
  MTU: optionNumber(SOL_IP, IP_MTU),
  FREEBIND: optionNumber(SOL_IP, IP_FREEBIND),
  MTU_DISCOVER: optionNumber(SOL_IP, IP_MTU_DISCOVER),
  RECVERR: optionNumber(SOL_IP, IP_RECVERR),
  HOPS: optionNumber(SOL_IPV6, IPV6_UNICAST_HOPS),
  TCLASS: optionNumber(SOL_IPV6, IPV6_TCLASS),
  MTU6: optionNumber(SOL_IPV6, IPV6_MTU),
  V6ONLY: optionNumber(SOL_IPV6, IPV6_V6ONLY),
  NODELAY: optionNumber(SOL_TCP, TCP_NODELAY),
  CORK: optionNumber(SOL_TCP, TCP_CORK),
  MAXSEG: optionNumber(SOL_TCP, TCP_MAXSEG),
  KEEPIDLE: optionNumber(SOL_TCP, TCP_KEEPIDLE),
  KEEPINTVL: optionNumber(SOL_TCP, TCP_KEEPINTVL),
  KEEPCNT: optionNumber(SOL_TCP, TCP_KEEPCNT),
  SYNCNT: optionNumber(SOL_TCP, TCP_SYNCNT),
  LINGER2: optionNumber(SOL_TCP, TCP_LINGER2),
  DEFER_ACCEPT: optionNumber(SOL_TCP, TCP_DEFER_ACCEPT),
  WINDOW_CLAMP: optionNumber(SOL_TCP, TCP_WINDOW_CLAMP),
  QUICKACK: optionNumber(SOL_TCP, TCP_QUICKACK),
  USER_TIMEOUT: optionNumber(SOL_TCP, TCP_USER_TIMEOUT),
  INFO: optionNumber(SOL_TCP, TCP_INFO),
  CONGESTION: optionNumber(SOL_TCP, TCP_CONGESTION),
};

/** rmem_max and wmem_max of net.core: what SO_RCVBUF and SO_SNDBUF may ask for. */
const CORE_BYTES_MAX = 212_992;
const BUFFER_BYTES_MIN = 4608;
/** net.core.somaxconn. */
const BACKLOG_MAX = 4096;
const TTL_DEFAULT = 64;
const LINGER2_SECONDS_MAX = 120;

export class TcpEndpoint extends Endpoint {
  connection: Connection | null = null;
  listener: Listener | null = null;
  readonly local = new Address();
  localPort = 0;
  nicId = 0;
  #binding: PortBinding | null = null;
  /** Buffers and congestion control as asked before there is a connection; 0 and "" = not asked. */
  #sendBytes = 0;
  #receiveBytes = 0;
  #congestion = "";
  /** connect() has answered -EINPROGRESS and its end was not told yet. */
  #isConnecting = false;
  /** close() waits for what is left to be acknowledged. */
  #isLingering = false;

  constructor(stack: Stack, isV4: boolean) {
    super(stack, ENDPOINT_TCP, isV4);
    this.local.setUnspecified(isV4);
  }

  get ttl(): number {
    const value = this.options.value(this.isV4 ? OPT.TTL : OPT.HOPS);
    return value < 0 ? TTL_DEFAULT : value;
  }
  get tos(): number {
    return Math.max(0, this.options.value(this.isV4 ? OPT.TOS : OPT.TCLASS));
  }
  get mark(): number {
    return this.options.value(OPT.MARK);
  }
  get isV6Only(): boolean {
    return this.options.value(OPT.V6ONLY) !== 0;
  }
  get isUrgentInline(): boolean {
    return this.options.value(OPT.OOBINLINE) !== 0;
  }
  get isKeepAlive(): boolean {
    return this.options.value(OPT.KEEPALIVE) !== 0;
  }
  get keepIdleSeconds(): number {
    return this.options.value(OPT.KEEPIDLE) || this.stack.tcp.settings.get("keepalive_time");
  }
  get keepIntervalSeconds(): number {
    return this.options.value(OPT.KEEPINTVL) || this.stack.tcp.settings.get("keepalive_intvl");
  }
  get keepCount(): number {
    return this.options.value(OPT.KEEPCNT) || this.stack.tcp.settings.get("keepalive_probes");
  }
  get wantsErrors(): boolean {
    return this.options.value(OPT.RECVERR) !== 0;
  }
  /** Don't Fragment is set, as ever but with IP_PMTUDISC_DONT. */
  get wantsPathMtu(): boolean {
    return this.options.value(OPT.MTU_DISCOVER) !== 0;
  }
  get userMss(): number {
    return this.options.value(OPT.MAXSEG);
  }
  get receiveBytesMax(): number {
    return this.#receiveBytes || this.stack.tcp.settings.get("rmem_default");
  }
  /** The same, less Linux' own half: see Connection.receiveSpace. */
  get receiveSpace(): number {
    return this.receiveBytesMax >> 1;
  }
  synCount(setting: number): number {
    return this.options.value(OPT.SYNCNT) || setting;
  }

  /** Gives a new connection what the options say. */
  applyTo(connection: Connection): void {
    const { options } = this;
    connection.isNoDelay = options.value(OPT.NODELAY) !== 0;
    connection.isCorked = options.value(OPT.CORK) !== 0;
    connection.userMss = options.value(OPT.MAXSEG);
    connection.userTimeoutNanos = options.value(OPT.USER_TIMEOUT) * 1e6;
    connection.synRetries = this.synCount(this.stack.tcp.settings.get("syn_retries"));
    if (this.#sendBytes > 0) {
      connection.sendBytesMax = this.#sendBytes;
      connection.isSendFixed = true;
    }
    if (this.#receiveBytes > 0) {
      connection.receiveBytesMax = this.#receiveBytes;
      connection.isReceiveFixed = true;
    }
    if (this.#congestion !== "") connection.congestion = CONGESTION_CONTROLS[this.#congestion]();
  }

  /** A connection of this listener gets an endpoint of its own, with the same options. */
  adopt(connection: Connection): void {
    const endpoint = new TcpEndpoint(this.stack, connection.isV4 && this.isV4);
    endpoint.options.inherit(this.options);
    endpoint.#sendBytes = this.#sendBytes;
    endpoint.#receiveBytes = this.#receiveBytes;
    endpoint.#congestion = this.#congestion;
    endpoint.uid = this.uid;
    endpoint.gid = this.gid;
    endpoint.connection = connection;
    endpoint.local.copy(connection.local);
    endpoint.localPort = connection.localPort;
    endpoint.nicId = this.nicId;
    connection.endpoint = endpoint;
    armKeepAlive(connection, this.stack.now);
  }

  override bind(to: EndpointAddress): number {
    if (this.#binding !== null || this.connection !== null) return -EINVAL;
    const { address } = to;
    if (this.isV4 && !address.isV4) return -EAFNOSUPPORT;
    if (!this.isV4 && address.isV4 && this.isV6Only) return -EINVAL;
    if (address.isLinkLocal && !address.isV4) {
      const scope = to.scope || this.nicId;
      if (scope === 0) return -EINVAL;
      if (this.stack.nics[scope] === undefined) return -ENODEV;
      this.nicId = scope;
    }
    const isOurs = address.isUnspecified || this.stack.nicOf(address) !== null ||
      this.options.value(OPT.FREEBIND) !== 0;
    if (!isOurs) return -EADDRNOTAVAIL;
    return this.#takePort(address, to.port);
  }

  #takePort(address: Address, port: number): number {
    const { options } = this;
    const binding = this.stack.tcp.ports.bind(
      new PortBinding(
        address,
        port,
        this.nicId,
        this.isV6Only,
        options.value(OPT.REUSEADDR) !== 0,
        options.value(OPT.REUSEPORT) !== 0,
        this.uid,
      ),
    );
    if (typeof binding === "number") return binding;
    this.#binding = binding;
    this.local.copy(address);
    this.localPort = binding.port;
    return 0;
  }

  override listen(backlog: number): number {
    if (this.connection !== null) return -EINVAL;
    const most = Math.min(Math.max(backlog, 0), BACKLOG_MAX);
    if (this.listener !== null) {
      this.listener.backlog = most;
      return 0;
    }
    if (this.#binding === null) {
      const bound = this.#takePort(this.local, 0);
      if (bound < 0) return bound;
    }
    const binding = this.#binding!;
    binding.isListening = true;
    if (this.stack.tcp.ports.conflicts(binding, binding.port)) {
      binding.isListening = false;
      return -EADDRINUSE;
    }
    this.listener = new Listener(this, most);
    this.listener.deferRetries = deferRetriesOf(this.options.value(OPT.DEFER_ACCEPT));
    this.stack.tcp.listen(this);
    return 0;
  }

  override accept(): TcpEndpoint | number {
    if (this.listener === null) return -EINVAL;
    const pending = this.takeError();
    if (pending < 0) return pending;
    const connection = this.listener.shift();
    return connection === null ? -EAGAIN : connection.endpoint!;
  }

  override connect(to: EndpointAddress): number {
    if (this.listener !== null) return -EISCONN;
    const { connection } = this;
    if (connection !== null) {
      if (connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived) {
        return -EALREADY;
      }
      if (connection.state !== TcpState.Closed) {
        if (!this.#isConnecting) return -EISCONN;
        this.#isConnecting = false;
        return 0;
      }
      const pending = this.takeError();
      if (pending < 0) return pending;
      if (!this.#isConnecting) return -EISCONN;
    }
    this.#isConnecting = false;
    return this.#start(to);
  }

  #start(to: EndpointAddress): number {
    const { stack } = this;
    const { address } = to;
    if (this.isV4 && !address.isV4) return -EAFNOSUPPORT;
    if (!this.isV4 && address.isV4 && this.isV6Only) return -ENETUNREACH;
    if (address.isMulticast || address.isLimitedBroadcast) return -ENETUNREACH;
    if (to.port === 0) return -EADDRNOTAVAIL;
    const connection = new Connection(stack.tcp, address.isV4);
    const bound = this.#binding !== null && !this.local.isUnspecified
      ? this.local
      : unspecified(address.isV4);
    connection.nicId = address.isLinkLocal && !address.isV4 ? to.scope || this.nicId : this.nicId;
    const found = stack.routes.find(address, bound, connection.nicId, connection.route);
    if (found < 0) return found;
    if (connection.route.isBroadcast) return -ENETUNREACH;
    connection.local.copy(connection.route.source);
    connection.remote.copy(connection.route.destination);
    connection.remotePort = to.port;
    const port = this.#choosePort(connection);
    if (port < 0) return port;
    connection.localPort = port;
    this.applyTo(connection);
    connection.endpoint = this;
    this.connection = connection;
    this.local.copy(connection.local);
    this.localPort = port;
    this.#isConnecting = true;
    this.error = 0;
    const { tcp, now } = stack;
    connection.timestampOffset = tcp.timestampOffset(connection.local, connection.remote);
    connection.initialSend = tcp.initialSequence(connection, now);
    connection.sendUna = connection.initialSend;
    connection.sendNext = connection.initialSend + 1 | 0;
    connection.receiveScale = tcp.receiveScale();
    connection.move(TcpState.SynSent);
    tcp.add(connection);
    tcp.statistics.ActiveOpens++;
    sendSyn(connection, now);
    connection.setRetransmit(RetransmitMode.Timeout, now + RTO_INITIAL_NANOS);
    return -EINPROGRESS;
  }

  #choosePort(connection: Connection): number {
    const { tcp } = this.stack;
    const { local, remote, remotePort } = connection;
    if (this.localPort !== 0) {
      return tcp.isFree(local, this.localPort, remote, remotePort) ? this.localPort : -EADDRNOTAVAIL;
    }
    const port = tcp.ports.choose(
      local,
      remote,
      remotePort,
      (candidate) => !tcp.ports.isBound(candidate) && tcp.isFree(local, candidate, remote, remotePort),
    );
    return port;
  }

  /** connect(2) with AF_UNSPEC: the connection is reset, the endpoint may connect anew. */
  override disconnect(): number {
    this.connection?.abort(ECONNRESET);
    this.connection = null;
    this.error = 0;
    this.#isConnecting = false;
    if (this.listener !== null) this.#stopListening();
    if (this.#binding === null) this.localPort = 0;
    return 0;
  }

  read(into: Uint8Array, at: number, length: number, flags: number, control: IncomingControl | null): number {
    const { connection } = this;
    if (connection === null) return this.listener !== null ? -ENOTCONN : this.takeError() || -ENOTCONN;
    if ((flags & MSG_OOB) !== 0) return this.#readUrgent(connection, into, at, length, flags, control);
    const { receiveBuffer } = connection;
    const n = this.#readable(connection, length, flags);
    if (n > 0) {
      // MSG_TRUNC: the bytes are thrown away (tcp(7)).
      if ((flags & MSG_TRUNC) === 0) receiveBuffer.peek(0, into, at, n);
      if ((flags & MSG_PEEK) === 0) {
        receiveBuffer.skip(n);
        this.#afterRead(connection, n);
      }
      return n;
    }
    if (length === 0) return 0;
    const pending = this.takeError();
    if (pending < 0) return pending;
    if (connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived) return -EAGAIN;
    const isOver = connection.isReceiveShut || connection.state === TcpState.Closed ||
      connection.state === TcpState.CloseWait || connection.state === TcpState.LastAck ||
      connection.state === TcpState.Closing;
    return isOver ? 0 : -EAGAIN;
  }

  /** Bytes that one read may take: it stops at the urgent byte, and behind it the byte itself is passed over. */
  #readable(connection: Connection, length: number, flags: number): number {
    const { receiveBuffer } = connection;
    const { urgentPlace } = connection;
    if (urgentPlace >= receiveBuffer.start && urgentPlace < receiveBuffer.next) {
      if (urgentPlace > receiveBuffer.start) return Math.min(length, urgentPlace - receiveBuffer.start);
      if (!this.isUrgentInline && (flags & MSG_PEEK) === 0) receiveBuffer.skip(1);
      if (this.isUrgentInline) connection.isUrgentRead = true;
    }
    return Math.min(length, receiveBuffer.readable);
  }

  #afterRead(connection: Connection, length: number): void {
    const { now } = this.stack;
    noteRead(connection, length, now);
    if (connection.peer !== null) afterLocalRead(connection);
    else if (connection.state !== TcpState.Closed) afterRead(connection);
  }

  #readUrgent(
    connection: Connection,
    into: Uint8Array,
    at: number,
    length: number,
    flags: number,
    control: IncomingControl | null,
  ): number {
    if (this.isUrgentInline || connection.urgentPlace < 0 || connection.isUrgentRead) return -EINVAL;
    if (connection.urgentByte < 0) return -EAGAIN;
    if (control !== null) control.flags |= MSG_OOB;
    if ((flags & MSG_PEEK) === 0) connection.isUrgentRead = true;
    if (length === 0) return 0;
    into[at] = connection.urgentByte;
    return 1;
  }

  write(
    from: Uint8Array,
    at: number,
    length: number,
    flags: number,
    _control: OutgoingControl | null,
  ): number {
    const { connection } = this;
    const pending = this.takeError();
    if (pending < 0) return pending;
    if (connection === null) return -EPIPE;
    if (connection.state === TcpState.SynSent || connection.state === TcpState.SynReceived) return -EAGAIN;
    if (connection.isFinQueued || !canSend(connection.state)) return -EPIPE;
    if (length === 0) return 0;
    if ((flags & MSG_OOB) === 0 && connection.peer !== null) {
      const moved = writeLocal(connection, from, at, length);
      if (moved >= 0) return moved === 0 ? -EAGAIN : moved;
    }
    const n = Math.min(length, connection.sendRoom);
    if (n === 0) return -EAGAIN;
    connection.sendBuffer.push(from, at, n);
    if ((flags & MSG_OOB) !== 0) connection.urgentSendEnd = connection.sendBuffer.end;
    connection.hasMore = (flags & MSG_MORE) !== 0 && n === length;
    connection.wantOutput();
    return n;
  }

  override shutdown(how: number): number {
    const { connection } = this;
    if (this.listener !== null) {
      if ((how & SHUTDOWN_READ) !== 0) this.#stopListening();
      return 0;
    }
    if (connection === null || connection.state === TcpState.Closed) return -ENOTCONN;
    if ((how & SHUTDOWN_READ) !== 0) connection.isReceiveShut = true;
    if ((how & SHUTDOWN_WRITE) !== 0) this.#sendFin(connection);
    this.queue.notify(connection.readiness(1));
    return 0;
  }

  /** Our direction ends behind what was written. */
  #sendFin(connection: Connection): void {
    if (connection.isFinQueued) return;
    switch (connection.state) {
      case TcpState.SynSent:
        connection.dispose();
        return;
      case TcpState.SynReceived:
      case TcpState.Established:
        connection.isFinQueued = true;
        connection.move(TcpState.FinWait1);
        break;
      case TcpState.CloseWait:
        connection.isFinQueued = true;
        connection.move(TcpState.LastAck);
        break;
      default:
        return;
    }
    connection.hasMore = connection.isCorked = false;
    connection.wantOutput();
  }

  close(): boolean {
    if (this.listener !== null) this.#stopListening();
    const { connection } = this;
    if (connection === null || connection.state === TcpState.Closed) {
      this.#releasePort();
      connection?.receiveBuffer.clear();
      return true;
    }
    const linger = this.options.value(OPT.LINGER);
    const { statistics } = this.stack.tcp;
    const hasUnread = connection.receiveBuffer.readable > 0 && !connection.isReceiveShut;
    if (hasUnread || linger === 0) {
      // RFC 2525 section 2.17: the peer must hear that its data was lost; SO_LINGER of 0 asks for it.
      if (hasUnread) statistics.TCPAbortOnClose++;
      else statistics.TCPAbortOnLinger++;
      connection.endpoint = null;
      connection.abort(ECONNRESET);
      this.#releasePort();
      return true;
    }
    this.#sendFin(connection);
    if (linger > 0 && connection.state as TcpState !== TcpState.Closed) {
      this.#isLingering = true;
      return false;
    }
    this.#orphan(connection);
    return true;
  }

  /** The wait of SO_LINGER is over (or was interrupted): the connection ends by itself. */
  stopLingering(): void {
    if (!this.#isLingering) return;
    this.#isLingering = false;
    if (this.connection !== null) this.#orphan(this.connection);
  }

  #orphan(connection: Connection): void {
    connection.endpoint = null;
    connection.receiveBuffer.clear();
    const seconds = this.options.value(OPT.LINGER2);
    connection.finWaitSeconds = seconds === 0
      ? this.stack.tcp.settings.get("fin_timeout")
      : Math.min(seconds, LINGER2_SECONDS_MAX);
    this.stack.timers.stop(connection.keepaliveTimer);
    if (connection.state === TcpState.FinWait2) {
      if (seconds < 0) connection.abort(ECONNRESET);
      else armFinWait(connection, this.stack.now);
    }
    this.#releasePort();
  }

  /** The connection has come to its end; the endpoint keeps what can still be read. */
  onConnectionEnd(): void {
    if (!this.#isLingering) return;
    this.#isLingering = false;
    this.#releasePort();
    this.queue.notify(POLLHUP);
  }

  #stopListening(): void {
    this.stack.tcp.unlisten(this);
    this.listener?.close();
    this.listener = null;
    if (this.#binding !== null) this.#binding.isListening = false;
    this.queue.notify(POLLHUP | POLLIN);
  }
  #releasePort(): void {
    if (this.#binding === null) return;
    this.stack.tcp.ports.release(this.#binding);
    this.#binding = null;
  }

  localAddress(into: EndpointAddress): number {
    into.address.copy(this.local);
    into.port = this.localPort;
    into.scope = this.local.isLinkLocal && !this.local.isV4 ? this.nicId : 0;
    return 0;
  }
  peerAddress(into: EndpointAddress): number {
    const { connection } = this;
    if (
      connection === null || connection.state === TcpState.Closed || connection.state === TcpState.SynSent
    ) {
      return -ENOTCONN;
    }
    into.address.copy(connection.remote);
    into.port = connection.remotePort;
    into.scope = connection.remote.isLinkLocal && !connection.isV4 ? connection.nicId : 0;
    return 0;
  }

  readiness(): number {
    const error = this.error !== 0 ? POLLERR : 0;
    if (this.listener !== null) return error | (this.listener.acceptCount > 0 ? POLLIN | POLLRDNORM : 0);
    if (this.connection === null) return error | POLLOUT | POLLWRNORM | POLLHUP;
    if (error !== 0 && this.connection.state === TcpState.Closed) {
      return POLLERR | POLLHUP | POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM | POLLRDHUP;
    }
    return error | this.connection.readiness(this.options.value(OPT.RCVLOWAT));
  }
  get readableBytes(): number {
    return this.connection === null ? 0 : this.connection.readableBytes;
  }
  get unsentBytes(): number {
    return this.connection === null ? 0 : this.connection.sendBuffer.used;
  }
  /** The next byte to read is the urgent one: SIOCATMARK. */
  get isAtMark(): boolean {
    return this.connection !== null && this.connection.urgentPlace === this.connection.receiveBuffer.start;
  }
  /** For TCP_INFO and /proc/net/tcp. */
  get state(): TcpState {
    if (this.listener !== null) return TcpState.Listen;
    return this.connection === null ? TcpState.Closed : this.connection.state;
  }

  override onOption(option: number, value: number): number {
    const { connection } = this;
    switch (option) {
      case OPT.NODELAY:
      case OPT.CORK:
        if (connection === null) return 0;
        if (option === OPT.NODELAY) connection.isNoDelay = value !== 0;
        else connection.isCorked = value !== 0;
        connection.wantOutput();
        return 0;
      case OPT.RCVBUF:
      case OPT.RCVBUFFORCE:
        this.#receiveBytes = bufferBytes(value, option === OPT.RCVBUFFORCE);
        if (connection !== null) {
          connection.receiveBytesMax = this.#receiveBytes;
          connection.isReceiveFixed = true;
        }
        return 0;
      case OPT.SNDBUF:
      case OPT.SNDBUFFORCE:
        this.#sendBytes = bufferBytes(value, option === OPT.SNDBUFFORCE);
        if (connection !== null) {
          connection.sendBytesMax = this.#sendBytes;
          connection.isSendFixed = true;
        }
        return 0;
      case OPT.MAXSEG:
        if (value !== 0 && value < 88) return -EINVAL;
        if (connection !== null) connection.userMss = value;
        return 0;
      case OPT.USER_TIMEOUT:
        if (connection !== null) connection.userTimeoutNanos = value * 1e6;
        return 0;
      case OPT.DEFER_ACCEPT:
        if (this.listener !== null) this.listener.deferRetries = deferRetriesOf(value);
        return 0;
      case OPT.QUICKACK:
        if (connection !== null) connection.quickAcks = value !== 0 ? 16 : 0;
        return 0;
      case OPT.BINDTOIFINDEX:
        if (value !== 0 && this.stack.nics[value] === undefined) return -ENODEV;
        this.nicId = value;
        return 0;
      case OPT.V6ONLY:
        return this.#binding === null ? 0 : -EINVAL;
      case OPT.KEEPALIVE:
      case OPT.KEEPIDLE:
        // The timer looks at the new values when the option is stored: at the end of this turn at the latest.
        if (connection !== null && canSend(connection.state)) this.#rearmKeepAlive(connection, option, value);
        return 0;
      default:
        return 0;
    }
  }

  #rearmKeepAlive(connection: Connection, option: number, value: number): void {
    this.options.store(option, value);
    armKeepAlive(
      connection,
      Math.max(connection.lastReceivedAt, this.stack.now - this.keepIdleSeconds * 1e9),
    );
  }

  override optionValue(option: number, stored: number): number {
    const { connection } = this;
    switch (option) {
      case OPT.ERROR:
        return -this.takeError();
      case OPT.ACCEPTCONN:
        return this.listener === null ? 0 : 1;
      case OPT.RCVBUF:
        return connection === null ? this.receiveBytesMax : connection.receiveBytesMax;
      case OPT.SNDBUF:
        if (connection !== null) return connection.sendBytesMax;
        return this.#sendBytes || this.stack.tcp.settings.get("wmem_default");
      case OPT.TTL:
      case OPT.HOPS:
        return stored < 0 ? TTL_DEFAULT : stored;
      case OPT.MTU:
      case OPT.MTU6:
        return connection === null ? -ENOTCONN : connection.route.mtu;
      case OPT.MAXSEG:
        return connection === null ? stored || 536 : connection.segmentBytes;
      case OPT.KEEPIDLE:
        return this.keepIdleSeconds;
      case OPT.KEEPINTVL:
        return this.keepIntervalSeconds;
      case OPT.KEEPCNT:
        return this.keepCount;
      case OPT.SYNCNT:
        return this.synCount(this.stack.tcp.settings.get("syn_retries"));
      case OPT.LINGER2:
        return stored === 0 ? this.stack.tcp.settings.get("fin_timeout") : stored;
      case OPT.BINDTOIFINDEX:
        return this.nicId;
      default:
        return stored;
    }
  }

  override setOtherOption(option: number, from: Uint8Array, at: number, length: number): number {
    let text = "";
    for (let i = 0; i < length && from[at + i] !== 0; i++) text += String.fromCharCode(from[at + i]);
    if (option === OPT.CONGESTION) {
      if (CONGESTION_CONTROLS[text] === undefined) return -ENOENT;
      this.#congestion = text;
      if (this.connection !== null) this.connection.congestion = CONGESTION_CONTROLS[text]();
      return 0;
    }
    if (option !== OPT.BINDTODEVICE) return -ENOPROTOOPT;
    const nic = text === ""
      ? null
      : this.stack.nics.find((candidate) => candidate !== undefined && candidate.name === text);
    if (nic === undefined) return -ENODEV;
    this.nicId = nic === null ? 0 : nic.id;
    return 0;
  }
  override getOtherOption(option: number, into: Uint8Array, at: number, length: number): number {
    if (option === OPT.INFO) {
      return writeInfo(this, into, at, length);
    }
    let text: string;
    if (option === OPT.CONGESTION) {
      text = this.connection?.congestion.name ?? (this.#congestion || this.stack.tcp.defaultCongestion);
      // Linux answers with the size of its field, sixteen bytes.
      const n = Math.min(length, 16);
      for (let i = 0; i < n; i++) into[at + i] = i < text.length ? text.charCodeAt(i) : 0;
      return n;
    }
    if (option !== OPT.BINDTODEVICE) return -EOPNOTSUPP;
    text = this.nicId === 0 ? "" : this.stack.nics[this.nicId]?.name ?? "";
    if (text === "") return 0;
    if (length < text.length + 1) return -EINVAL;
    for (let i = 0; i <= text.length; i++) into[at + i] = i < text.length ? text.charCodeAt(i) : 0;
    return text.length + 1;
  }
}

const anyV4 = new Address().setUnspecified(true);
const anyV6 = new Address();

function unspecified(isV4: boolean): Address {
  return isV4 ? anyV4 : anyV6;
}

/** What is asked for is doubled and kept in bounds, socket(7). */
function bufferBytes(value: number, isForced: boolean): number {
  const asked = isForced ? Math.max(value, 0) : Math.min(Math.max(value, 0), CORE_BYTES_MAX);
  return Math.max(BUFFER_BYTES_MIN, Math.min(asked * 2, 0x3fff_ffff));
}

/** TCP_DEFER_ACCEPT's seconds as a number of SYN-ACKs, each after twice the time (Linux: secs_to_retrans()). */
function deferRetriesOf(seconds: number): number {
  let retries = 0;
  for (let covered = 0, wait = 1; covered < seconds && retries < 255; wait = Math.min(wait * 2, 120)) {
    covered += wait;
    retries++;
  }
  return retries;
}
