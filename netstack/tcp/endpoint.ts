// A TCP endpoint: what a socket does with a connection or a listener. tcp(7), RFC 9293 section 3.9.1.

import { Address } from "../address.ts";
import {
  type EndpointAddress,
  type IncomingControl,
  MSG_MORE,
  MSG_OOB,
  MSG_PEEK,
  MSG_TRUNC,
  type OutgoingControl,
} from "../endpoint.ts";
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
  ENOTCONN,
  EPIPE,
} from "../errno.ts";
import { PortBinding } from "../ports.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDHUP, POLLRDNORM, POLLWRNORM } from "../readiness.ts";
import { noteRead } from "./auto_tuning.ts";
import { Connection } from "./connection.ts";
import { ConfiguredEndpoint, deferRetriesOf, OPT } from "./endpoint_options.ts";
import { armFinWait, armKeepAlive } from "./keepalive.ts";
import { Listener } from "./listener.ts";
import { afterLocalRead, writeLocal } from "./local.ts";
import { afterRead, sendSyn } from "./output.ts";
import { RTO_INITIAL_NANOS } from "./rtt.ts";
import { canSend, TcpState } from "./state.ts";
import { SHUTDOWN_READ, SHUTDOWN_WRITE } from "../numbers.ts";
import { RetransmitMode } from "./retransmit_mode.ts";

/** net.core.somaxconn. */
const BACKLOG_MAX = 4096;
const LINGER2_SECONDS_MAX = 120;

export class TcpEndpoint extends ConfiguredEndpoint {
  #binding: PortBinding | null = null;
  /** connect() has answered -EINPROGRESS and its result was not returned yet. */
  #isConnecting = false;
  /** close() waits for what is left to be acknowledged. */
  #isLingering = false;

  protected get isBound(): boolean {
    return this.#binding !== null;
  }

  /** A connection of this listener gets an endpoint of its own, with the same options. */
  adopt(connection: Connection): void {
    const endpoint = new TcpEndpoint(this.stack, connection.isV4 && this.isV4);
    endpoint.options.inherit(this.options);
    endpoint.sendBytes = this.sendBytes;
    endpoint.receiveBytes = this.receiveBytes;
    endpoint.congestionName = this.congestionName;
    endpoint.uid = this.uid;
    endpoint.gid = this.gid;
    endpoint.connection = connection;
    endpoint.local.copy(connection.local);
    endpoint.localPort = connection.localPort;
    endpoint.nicId = this.nicId;
    connection.endpoint = connection.owner = endpoint;
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

  /** Listens without an address: no SYN finds it by itself, those that a forwarder accepts come here (forwarder.ts). */
  listenDetached(backlog: number): number {
    if (this.connection !== null || this.listener !== null || this.isBound) return -EINVAL;
    this.listener = new Listener(this, Math.min(Math.max(backlog, 0), BACKLOG_MAX));
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
      if (pending < 0) {
        // The attempt is over and its result was returned: the endpoint is as new (tcp_disconnect()).
        if (this.#isConnecting) this.#forgetConnection();
        return pending;
      }
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
    connection.endpoint = connection.owner = this;
    this.connection = connection;
    this.local.copy(connection.local);
    this.localPort = port;
    this.#isConnecting = true;
    this.error = 0;
    const { tcp, now } = stack;
    connection.timestampOffset = tcp.timestampOffset(connection.local, connection.remote);
    connection.initialSend = tcp.initialSequence(connection, now);
    connection.initialStamp = connection.timestamp(now);
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
    const { connection } = this;
    const isCut = connection !== null && connection.state !== TcpState.Closed;
    connection?.abort(ECONNRESET);
    if (this.listener !== null) this.#stopListening();
    this.#forgetConnection();
    // tcp_disconnect(): who still waits on the connection hears that it is gone.
    this.error = isCut ? ECONNRESET : 0;
    return 0;
  }
  #forgetConnection(): void {
    this.connection?.receiveBuffer.clear();
    this.connection = null;
    this.#isConnecting = false;
    if (this.#binding === null) {
      this.localPort = 0;
      this.local.setUnspecified(this.isV4);
    } else this.local.copy(this.#binding.address);
  }

  override onOption(option: number, value: number): number {
    const verdict = super.onOption(option, value);
    if (verdict < 0 || this.#binding === null) return verdict;
    // Of who is bound, what it says now counts (inet_csk_bind_conflict()).
    if (option === OPT.REUSEADDR) this.#binding.reuseAddress = value !== 0;
    else if (option === OPT.REUSEPORT) this.#binding.reusePort = value !== 0;
    return verdict;
  }

  read(into: Uint8Array, at: number, length: number, flags: number, control: IncomingControl | null): number {
    const { connection } = this;
    if (connection === null) return this.listener !== null ? -ENOTCONN : this.takeError() || -ENOTCONN;
    if ((flags & MSG_OOB) !== 0) return this.#readUrgent(connection, into, at, length, flags, control);
    const { receiveBuffer } = connection;
    if (this.peekOffset >= 0 && (flags & MSG_PEEK) !== 0) {
      // tcp_recvmsg_locked(): urgent bytes are looked at as others are.
      const n = Math.min(length, receiveBuffer.readable - this.peekOffset);
      if (n > 0) {
        receiveBuffer.peek(this.peekOffset, into, at, n);
        this.peekOffset += n;
        return n;
      }
      if (receiveBuffer.readable > 0) return length === 0 ? 0 : -EAGAIN;
    }
    const n = this.#readable(connection, length, flags);
    if (n > 0) {
      // MSG_TRUNC: the bytes are thrown away (tcp(7)).
      if ((flags & MSG_TRUNC) === 0) receiveBuffer.peek(0, into, at, n);
      if ((flags & MSG_PEEK) === 0) {
        receiveBuffer.skip(n);
        if (this.peekOffset > 0) this.peekOffset = Math.max(0, this.peekOffset - n);
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

  /** Our FIN has arrived: nothing is left that close() would wait for (SO_LINGER). */
  onFinAcknowledged(): void {
    if (!this.#isLingering) return;
    this.stopLingering();
    this.queue.notify(POLLHUP);
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
  /** Bytes that a write would take now. */
  get writableBytes(): number {
    const { connection } = this;
    if (connection === null || connection.isFinQueued || !canSend(connection.state)) return 0;
    return connection.sendRoom;
  }
  /** Of those, the ones that were never sent: SIOCOUTQNSD. */
  get notSentBytes(): number {
    return this.connection === null ? 0 : this.connection.unsentBytes;
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
}

const anyV4 = new Address().setUnspecified(true);
const anyV6 = new Address();

function unspecified(isV4: boolean): Address {
  return isV4 ? anyV4 : anyV6;
}
