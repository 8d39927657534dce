// What the options of a TCP endpoint mean: values that others ask for, and what setting them changes. tcp(7), socket(7).

import { Address } from "../address.ts";
import { Endpoint } from "../endpoint.ts";
import { ENDPOINT_TCP } from "../endpoint_kind.ts";
import { EINVAL, ENODEV, ENOENT, ENOPROTOOPT, ENOTCONN, EOPNOTSUPP } from "../errno.ts";
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
import { CONGESTION_CONTROLS } from "./congestion/congestion.ts";
import type { Connection } from "./connection.ts";
import { writeInfo } from "./info.ts";
import { armKeepAlive } from "./keepalive.ts";
import type { Listener } from "./listener.ts";
import {
  SOL_TCP,
  TCP_CC_INFO,
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
  TCP_NOTSENT_LOWAT,
  TCP_QUICKACK,
  TCP_SYNCNT,
  TCP_USER_TIMEOUT,
  TCP_WINDOW_CLAMP,
} from "./options.ts";
import { canSend, type TcpState } from "./state.ts";

export const OPT = {
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
  CC_INFO: optionNumber(SOL_TCP, TCP_CC_INFO),
  NOTSENT_LOWAT: optionNumber(SOL_TCP, TCP_NOTSENT_LOWAT),
};

/** rmem_max and wmem_max of net.core: what SO_RCVBUF and SO_SNDBUF may ask for. */
const CORE_BYTES_MAX = 212_992;
/** Least of SO_SNDBUF and of SO_RCVBUF: SOCK_MIN_SNDBUF, SOCK_MIN_RCVBUF. */
const SEND_BYTES_MIN = 4608;
const RECEIVE_BYTES_MIN = 2304;
const TTL_DEFAULT = 64;
/** No limit. */
const WINDOW_CLAMP_NONE = 0x7fff_ffff;
const NOT_SENT_NONE = 0x7fff_ffff;

export abstract class ConfiguredEndpoint extends Endpoint {
  connection: Connection | null = null;
  listener: Listener | null = null;
  readonly local = new Address();
  localPort = 0;
  nicId = 0;
  /** Buffers and congestion control as asked before there is a connection; 0 and "" = not asked. */
  protected sendBytes = 0;
  protected receiveBytes = 0;
  protected congestionName = "";

  constructor(stack: Stack, isV4: boolean) {
    super(stack, ENDPOINT_TCP, isV4);
    this.local.setUnspecified(isV4);
  }

  /** It has a port by bind(). */
  protected abstract get isBound(): boolean;
  abstract get state(): TcpState;

  /** Of packets of one family: an AF_INET6 endpoint may speak both. */
  ttlOf(isV4: boolean): number {
    const value = this.options.value(isV4 ? OPT.TTL : OPT.HOPS);
    return value < 0 ? TTL_DEFAULT : value;
  }
  tosOf(isV4: boolean): number {
    return Math.max(0, this.options.value(isV4 ? OPT.TOS : OPT.TCLASS));
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
    return this.receiveBytes || this.stack.tcp.settings.get("rmem_default");
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
    connection.reusesAddress = options.value(OPT.REUSEADDR) !== 0;
    connection.reusesPort = options.value(OPT.REUSEPORT) !== 0;
    connection.windowClamp = options.value(OPT.WINDOW_CLAMP) || WINDOW_CLAMP_NONE;
    connection.notSentMax = notSentMax(options.value(OPT.NOTSENT_LOWAT));
    connection.userTimeoutNanos = options.value(OPT.USER_TIMEOUT) * 1e6;
    connection.synRetries = this.synCount(this.stack.tcp.settings.get("syn_retries"));
    if (this.sendBytes > 0) {
      connection.sendBytesMax = this.sendBytes;
      connection.isSendFixed = true;
    }
    if (this.receiveBytes > 0) {
      connection.receiveBytesMax = this.receiveBytes;
      connection.isReceiveFixed = true;
    }
    if (this.congestionName !== "") connection.congestion = CONGESTION_CONTROLS[this.congestionName]();
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
        this.receiveBytes = bufferBytes(value, RECEIVE_BYTES_MIN, option === OPT.RCVBUFFORCE);
        if (connection !== null) {
          connection.receiveBytesMax = this.receiveBytes;
          connection.isReceiveFixed = true;
        }
        return 0;
      case OPT.SNDBUF:
      case OPT.SNDBUFFORCE:
        this.sendBytes = bufferBytes(value, SEND_BYTES_MIN, option === OPT.SNDBUFFORCE);
        if (connection !== null) {
          connection.sendBytesMax = this.sendBytes;
          connection.isSendFixed = true;
        }
        return 0;
      case OPT.MAXSEG:
        if (value !== 0 && value < 88) return -EINVAL;
        if (connection !== null) connection.userMss = value;
        return 0;
      case OPT.WINDOW_CLAMP:
        // Linux: not below half of the least receive buffer.
        if (value !== 0 && value < RECEIVE_BYTES_MIN / 2) return -EINVAL;
        if (connection !== null) connection.windowClamp = value || WINDOW_CLAMP_NONE;
        return 0;
      case OPT.NOTSENT_LOWAT:
        if (connection !== null) connection.notSentMax = notSentMax(value);
        return 0;
      case OPT.USER_TIMEOUT:
        if (connection !== null) connection.userTimeoutNanos = value * 1e6;
        return 0;
      case OPT.DEFER_ACCEPT:
        if (this.listener !== null) this.listener.deferRetries = deferRetriesOf(value);
        return 0;
      case OPT.QUICKACK:
        if (connection === null) return 0;
        connection.isInteractive = value === 0;
        if (value === 0) return 0;
        connection.quickAcks = Math.max(connection.quickAcks, 1);
        // What is owed goes now.
        if (connection.unackedBytes > 0) {
          connection.mustAck = true;
          connection.wantOutput();
        }
        return 0;
      case OPT.BINDTOIFINDEX:
        if (value !== 0 && this.stack.nics[value] === undefined) return -ENODEV;
        this.nicId = value;
        return 0;
      case OPT.V6ONLY:
        return this.isBound ? -EINVAL : 0;
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
        return this.sendBytes || this.stack.tcp.settings.get("wmem_default");
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
      this.congestionName = text;
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
    if (option === OPT.CC_INFO) return 0;
    let text: string;
    if (option === OPT.CONGESTION) {
      text = this.connection?.congestion.name ?? (this.congestionName || this.stack.tcp.defaultCongestion);
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

/** TCP_NOTSENT_LOWAT: 0 and negative numbers are no limit. */
function notSentMax(value: number): number {
  return value > 0 ? value : NOT_SENT_NONE;
}

/** What is asked for is doubled and kept in bounds, socket(7). */
function bufferBytes(value: number, least: number, isForced: boolean): number {
  const asked = isForced ? Math.max(value, 0) : Math.min(Math.max(value, 0), CORE_BYTES_MAX);
  return Math.max(least, Math.min(asked * 2, 0x3fff_ffff));
}

/** TCP_DEFER_ACCEPT's seconds as a number of SYN-ACKs, each after twice the time (Linux: secs_to_retrans()). */
export function deferRetriesOf(seconds: number): number {
  let retries = 0;
  for (let covered = 0, wait = 1; covered < seconds && retries < 255; wait = Math.min(wait * 2, 120)) {
    covered += wait;
    retries++;
  }
  return retries;
}
