// Bindings of native/src/host_sockets.rs: sockets of the host's internet families. Nothing here waits. Contract: buffers have
// what is asked for, which is checked here; an address is a block of ADDRESS_BYTES.

import { errnoName } from "../kernel/abi/errno.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_socket_connect: { parameters: ["u32", "buffer"], result: "i32" },
  tsv_socket_listen: { parameters: ["u32", "buffer"], result: "i32" },
  tsv_socket_accept: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_socket_name: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_socket_receive: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_socket_receive_from: { parameters: ["i32", "buffer", "u32", "u32", "buffer"], result: "i32" },
  tsv_socket_send: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_socket_send_to: { parameters: ["i32", "buffer", "u32", "u32", "buffer"], result: "i32" },
  tsv_socket_error: { parameters: ["i32"], result: "i32" },
  tsv_socket_shut: { parameters: ["i32"], result: "i32" },
  tsv_socket_reset: { parameters: ["i32"], result: "i32" },
  tsv_link_pair: { parameters: ["buffer"], result: "i32" },
  tsv_host_close: { parameters: ["i32"], result: "i32" },
} as const;

/** 16 of an IPv6 address (an IPv4 one is mapped), and the port in network order. */
export const ADDRESS_BYTES = 18;
const EFAULT = 14;

/** Kinds of sockets, as in host_sockets.rs. */
export const enum SocketKind {
  Stream,
  Datagram,
  Ping,
}

type Bytes = Uint8Array<ArrayBuffer>;

/** Results are >= 0 or -errno; a descriptor is non-blocking and close-on-exec. */
export class NativeSockets {
  readonly #calls: Deno.DynamicLibrary<typeof symbols>["symbols"];

  /** `isHot`: all are bound at once, as a confined role wants them. */
  constructor(isHot: boolean) {
    const names = Object.keys(symbols) as (keyof typeof symbols)[];
    this.#calls = openLibrary(symbols, isHot ? names : []);
  }

  /** A socket that is connected with `address`; a stream begins to be, which onHostEvents() tells. */
  connect(kind: SocketKind, address: Uint8Array): number {
    return address.length < ADDRESS_BYTES ? -EFAULT : this.#calls.tsv_socket_connect(kind, address as Bytes);
  }
  /** A socket that is bound to `address`, and listens when it is a stream's. */
  listen(kind: SocketKind, address: Uint8Array): number {
    return address.length < ADDRESS_BYTES ? -EFAULT : this.#calls.tsv_socket_listen(kind, address as Bytes);
  }
  /** The next connection to `fd`; its peer's address goes into `peer`. */
  accept(fd: number, peer: Uint8Array): number {
    return peer.length < ADDRESS_BYTES ? -EFAULT : this.#calls.tsv_socket_accept(fd, peer as Bytes);
  }
  /** Own address of `fd`, into `address`. */
  name(fd: number, address: Uint8Array): number {
    return address.length < ADDRESS_BYTES ? -EFAULT : this.#calls.tsv_socket_name(fd, address as Bytes);
  }
  receive(fd: number, into: Uint8Array, at: number, length: number): number {
    if (at + length > into.length) return -EFAULT;
    return this.#calls.tsv_socket_receive(fd, into as Bytes, at, length);
  }
  receiveFrom(fd: number, into: Uint8Array, at: number, length: number, address: Uint8Array): number {
    if (at + length > into.length || address.length < ADDRESS_BYTES) return -EFAULT;
    return this.#calls.tsv_socket_receive_from(fd, into as Bytes, at, length, address as Bytes);
  }
  send(fd: number, from: Uint8Array, at: number, length: number): number {
    if (at + length > from.length) return -EFAULT;
    return this.#calls.tsv_socket_send(fd, from as Bytes, at, length);
  }
  sendTo(fd: number, from: Uint8Array, at: number, length: number, address: Uint8Array): number {
    if (at + length > from.length || address.length < ADDRESS_BYTES) return -EFAULT;
    return this.#calls.tsv_socket_send_to(fd, from as Bytes, at, length, address as Bytes);
  }
  /** What has come to pass, once: 0 or a positive errno. */
  error(fd: number): number {
    return this.#calls.tsv_socket_error(fd);
  }
  /** Our direction of a stream ends. */
  shut(fd: number): number {
    return this.#calls.tsv_socket_shut(fd);
  }
  /** Closes a stream so that the peer hears a reset. */
  reset(fd: number): void {
    this.#calls.tsv_socket_reset(fd);
  }
  close(fd: number): void {
    this.#calls.tsv_host_close(fd);
  }
}

/** The two ends of a link between sentry and net process. Throws where the host has no descriptors left. */
export function linkPair(): [number, number] {
  const pair = new Int32Array(2);
  const result = openLibrary(symbols).tsv_link_pair(pair);
  if (result < 0) throw new Error(`Cannot make a socket pair: ${errnoName(-result)}`);
  return [pair[0], pair[1]];
}
