// Options of SOL_SOCKET that the stack acts on, socket(7). Those about descriptors and credentials (SO_PASSCRED,
// SO_RCVTIMEO, SO_TYPE ...) are the embedder's.

import { ENDPOINT_PACKET, ENDPOINT_PING, ENDPOINT_RAW, ENDPOINT_TCP, ENDPOINT_UDP } from "./endpoint_kind.ts";
import { OptionKind, type OptionSpec } from "./option_spec.ts";

export const SOL_SOCKET = 1;
export const SO_REUSEADDR = 2;
export const SO_ERROR = 4;
export const SO_DONTROUTE = 5;
export const SO_BROADCAST = 6;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_KEEPALIVE = 9;
export const SO_OOBINLINE = 10;
export const SO_NO_CHECK = 11;
export const SO_PRIORITY = 12;
export const SO_LINGER = 13;
export const SO_REUSEPORT = 15;
export const SO_RCVLOWAT = 18;
export const SO_BINDTODEVICE = 25;
export const SO_TIMESTAMP = 29;
export const SO_ACCEPTCONN = 30;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_MARK = 36;
export const SO_TIMESTAMPNS = 35;
export const SO_BINDTOIFINDEX = 62;

const IP = ENDPOINT_TCP | ENDPOINT_UDP | ENDPOINT_PING | ENDPOINT_RAW;
const ALL = IP | ENDPOINT_PACKET;
const INT_MAX = 0x7fff_ffff;

function row(
  name: number,
  label: string,
  kind: OptionKind,
  endpoints: number,
  range: readonly [number, number],
  preset: number,
  support = "full",
  access: OptionSpec["access"] = "rw",
): OptionSpec {
  return {
    level: SOL_SOCKET,
    name,
    label,
    kind,
    endpoints,
    min: range[0],
    max: range[1],
    default: preset,
    access,
    support,
  };
}

export const SOCKET_OPTIONS: readonly OptionSpec[] = [
  row(SO_REUSEADDR, "SO_REUSEADDR", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_ERROR, "SO_ERROR", OptionKind.Int, ALL, [0, INT_MAX], 0, "full", "ro"),
  row(SO_DONTROUTE, "SO_DONTROUTE", OptionKind.Flag, IP, [0, 1], 0),
  row(SO_BROADCAST, "SO_BROADCAST", OptionKind.Flag, ALL, [0, 1], 0),
  // The endpoint doubles what is set and keeps it within the stack's limits, as Linux does; 0 = the protocol's default.
  row(SO_SNDBUF, "SO_SNDBUF", OptionKind.Int, ALL, [-INT_MAX, INT_MAX], 0),
  row(SO_RCVBUF, "SO_RCVBUF", OptionKind.Int, ALL, [-INT_MAX, INT_MAX], 0),
  row(SO_SNDBUFFORCE, "SO_SNDBUFFORCE", OptionKind.Int, ALL, [-INT_MAX, INT_MAX], 0, "full", "wo"),
  row(SO_RCVBUFFORCE, "SO_RCVBUFFORCE", OptionKind.Int, ALL, [-INT_MAX, INT_MAX], 0, "full", "wo"),
  row(SO_KEEPALIVE, "SO_KEEPALIVE", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_OOBINLINE, "SO_OOBINLINE", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_NO_CHECK, "SO_NO_CHECK", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_PRIORITY, "SO_PRIORITY", OptionKind.Int, ALL, [0, 6], 0, "stored; the queues do not sort by it"),
  row(SO_LINGER, "SO_LINGER", OptionKind.Linger, ALL, [-1, INT_MAX / 1000 | 0], -1),
  row(SO_REUSEPORT, "SO_REUSEPORT", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_RCVLOWAT, "SO_RCVLOWAT", OptionKind.Int, ALL, [0, INT_MAX], 1),
  row(SO_BINDTODEVICE, "SO_BINDTODEVICE", OptionKind.Other, IP, [0, 0], 0),
  row(SO_BINDTOIFINDEX, "SO_BINDTOIFINDEX", OptionKind.Int, IP, [0, INT_MAX], 0),
  row(SO_ACCEPTCONN, "SO_ACCEPTCONN", OptionKind.Flag, ALL, [0, 1], 0, "full", "ro"),
  row(SO_TIMESTAMP, "SO_TIMESTAMP", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_TIMESTAMPNS, "SO_TIMESTAMPNS", OptionKind.Flag, ALL, [0, 1], 0),
  row(SO_MARK, "SO_MARK", OptionKind.Int, ALL, [-INT_MAX - 1, INT_MAX], 0),
];
