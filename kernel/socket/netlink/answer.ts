// What the answers of all netlink protocols have in common: messages for the one who asked, dumps, notifications.

import type { Stack } from "../../../netstack/mod.ts";
import { NLM_F_MULTI, NLMSG_DONE, NLMSG_HEADER_BYTES } from "../../abi/netlink.ts";
import type { Netstack } from "../inet/room.ts";
import type { NetlinkWriter } from "./message.ts";
import { ANSWERED, type NetlinkRequest } from "./netlink_socket.ts";

export function stackOf(request: NetlinkRequest): Stack {
  return request.socket.network.stack;
}
export function netstackOf(request: NetlinkRequest): Netstack {
  return request.socket.network.shared.netstack;
}
export function writerOf(request: NetlinkRequest): NetlinkWriter {
  return request.socket.network.netlink.writer;
}

/** Where the fixed part of a request stands; the message may be too short for it. */
export function fixedPart(request: NetlinkRequest, bytes: number): number {
  const at = request.at + NLMSG_HEADER_BYTES;
  return request.end - at < bytes ? -1 : at;
}

/** Begins a message to the one who asked; where its fixed part stands. */
export function beginAnswer(
  request: NetlinkRequest,
  type: number,
  flags: number,
  fixedBytes: number,
): number {
  return writerOf(request).begin(type, flags, request.sequence, request.socket.port, fixedBytes);
}

/** Ends a message of a dump; what has come together is sent where it is enough. */
export function endOfDump(request: NetlinkRequest): void {
  const writer = writerOf(request);
  writer.end();
  if (writer.isFull) request.socket.deliverAll(writer);
}

/** A dump is complete. */
export function finishDump(request: NetlinkRequest): number {
  const writer = writerOf(request);
  request.socket.deliverAll(writer);
  beginAnswer(request, NLMSG_DONE, NLM_F_MULTI, 4);
  writer.end();
  request.socket.deliverAll(writer);
  return ANSWERED;
}

/** One message is the whole answer. */
export function finishAnswer(request: NetlinkRequest): number {
  const writer = writerOf(request);
  writer.end();
  request.socket.deliverAll(writer);
  return ANSWERED;
}
