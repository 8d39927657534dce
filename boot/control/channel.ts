// Frames on sockets and in memfds.

import { errnoName } from "../../kernel/abi/errno.ts";
import type { Host } from "../../platform/platform.ts";
import type { NativeHost } from "../../native/host.ts";
import {
  decode,
  encode,
  type Frame,
  FRAME_BYTES_MAX,
  FRAME_FDS_MAX,
  type Message,
  type MessageFrom,
  type Sender,
} from "./protocol.ts";

const NO_FDS = new Int32Array(0);

/** Sends one message, of which the descriptors stay the caller's. False when the other end is gone, or does not listen. */
export function send(
  host: Host,
  socket: number,
  message: Message,
  { request = 0, isReply = false, fds = NO_FDS } = {},
): boolean {
  const bytes = encode(message, request, isReply);
  return host.sendMessage(socket, bytes, 0, bytes.length, fds, fds.length) === bytes.length;
}

/** What has come over a socket: a frame with its descriptors, the end of it, or something that is no frame. */
export type Received<S extends Sender> =
  | { readonly frame: Frame<MessageFrom<S>>; readonly fds: number[] }
  | { readonly frame: null; readonly reason: string }
  | null;

/** One message of `sender`, waiting `millis` at most (-1 = for ever). null at the end of the connection. */
export function receive<S extends Sender>(
  host: NativeHost,
  socket: number,
  sender: S,
  millis: number,
): Received<S> {
  // One byte more than fits: a packet that is longer is cut, and would look whole.
  const bytes = new Uint8Array(FRAME_BYTES_MAX + 1);
  const fds = new Int32Array(FRAME_FDS_MAX + 1);
  const length = host.receiveMessage(socket, bytes, 0, bytes.length, fds, millis);
  if (length === 0) return null;
  if (length < 0) return { frame: null, reason: errnoName(-length) };
  const own = [...fds.subarray(0, host.receivedFds)];
  const frame = decode(bytes, length, sender, own.length);
  if (typeof frame !== "string") return { frame, fds: own };
  for (const fd of own) host.close(fd);
  return { frame: null, reason: frame };
}

/** A memfd with a message for the program that this process becomes. */
export function handOver(host: Host, message: MessageFrom<"self">): number {
  const fd = host.memfdCreate("tsvisor-handover", 0);
  if (fd < 0) throw new Error(`Cannot make a memfd: ${errnoName(-fd)}`);
  const bytes = encode(message);
  const n = host.pwrite(fd, bytes, 0, bytes.length, 0);
  if (n !== bytes.length) throw new Error(`Cannot write a memfd: ${errnoName(-n)}`);
  return fd;
}

/** What has been handed over in descriptor `fd`, which stays open. Throws where that is not what it has. */
export function takeOver<K extends MessageFrom<"self">["kind"]>(
  fd: number,
  kind: K,
): Extract<MessageFrom<"self">, { kind: K }> {
  const bytes = Deno.readFileSync(`/proc/self/fd/${fd}`);
  const frame = decode(bytes, bytes.length, "self");
  if (typeof frame === "string") throw new Error(`Cannot read what descriptor ${fd} hands over: ${frame}`);
  if (frame.message.kind !== kind) {
    throw new Error(`Descriptor ${fd} hands over ${frame.message.kind}, not ${kind}`);
  }
  return frame.message as Extract<MessageFrom<"self">, { kind: K }>;
}
