// For the tests of UDP endpoints: short words for what sockets do.

import { address, type Bench, bytesOf, describe, ipv4, ipv6, isSound, udp } from "../test_support.ts";
import { EndpointAddress, IncomingControl, OutgoingControl } from "../endpoint.ts";
import type { UdpEndpoint } from "./endpoint.ts";

export const SOL_SOCKET = 1, SOL_IP = 0, SOL_IPV6 = 41, SOL_UDP = 17;
export const EAGAIN = -11, EACCES = -13, EINVAL = -22, EPIPE = -32, EDESTADDRREQ = -89, EMSGSIZE = -90;
export const EOPNOTSUPP = -95, EAFNOSUPPORT = -97, EADDRINUSE = -98, EADDRNOTAVAIL = -99, ENETUNREACH = -101;
export const ENOTCONN = -107, ECONNREFUSED = -111;

export function at(text: string, port: number, scope = 0): EndpointAddress {
  const to = new EndpointAddress();
  to.address.copy(address(text));
  to.port = port;
  to.scope = scope;
  return to;
}
export function open(bench: Bench, local?: string, port = 0, isV4 = !local?.includes(":")): UdpEndpoint {
  const endpoint = bench.stack.newUdpEndpoint(isV4);
  const result = local === undefined ? 0 : endpoint.bind(at(local, port));
  if (result < 0) throw new Error(`bind(${local}:${port}): ${result}`);
  return endpoint;
}
export function write(
  endpoint: UdpEndpoint,
  body: string | Uint8Array,
  to?: EndpointAddress,
  flags = 0,
): number {
  const bytes = bytesOf(body);
  if (to === undefined) return endpoint.write(bytes, 0, bytes.length, flags, null);
  const control = new OutgoingControl();
  control.to = to;
  return endpoint.write(bytes, 0, bytes.length, flags, control);
}
export const incoming = new IncomingControl();
export function read(endpoint: UdpEndpoint, flags = 0, room = 2000): string | number {
  const into = new Uint8Array(room);
  incoming.clear();
  const n = endpoint.read(into, 0, room, flags, incoming);
  return n < 0 ? n : String.fromCharCode(...into.slice(0, Math.min(n, room)));
}
export function set(endpoint: UdpEndpoint, level: number, name: number, value: number): number {
  const bytes = bytesOf(value & 255, value >> 8 & 255, value >> 16 & 255, value >>> 24 & 255);
  return endpoint.setOption(level, name, bytes, 0, 4);
}
export function get(endpoint: UdpEndpoint, level: number, name: number): number {
  const bytes = new Uint8Array(4);
  const n = endpoint.getOption(level, name, bytes, 0, 4);
  return n < 0 ? n : new DataView(bytes.buffer).getInt32(0, true);
}
/** A datagram comes in. */
export function come(
  bench: Bench,
  body: string,
  from = "192.0.2.2",
  sourcePort = 9,
  to = "192.0.2.1",
  port = 5000,
): void {
  const payload = udp(sourcePort, port, body, from, to);
  if (to.includes(":")) bench.v6(ipv6({ source: from, destination: to, next: 17, payload }));
  else bench.v4(ipv4({ source: from, destination: to, protocol: 17, payload }));
}
export function sent(bench: Bench): string[] {
  const frames = bench.take();
  for (const frame of frames) if (!isSound(frame)) throw new Error(`Bad checksum: ${describe(frame)}`);
  return frames.map(describe);
}
