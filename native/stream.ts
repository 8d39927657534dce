// Bindings of native/src/stream.rs: the stream sockets of the control API. Nothing here waits but pollStreams().

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_stream_accept: { parameters: ["i32"], result: "i32" },
  tsv_stream_receive: { parameters: ["i32", "buffer", "u32", "u32", "buffer"], result: "i32" },
  tsv_stream_send: { parameters: ["i32", "buffer", "u32", "u32", "buffer", "u32"], result: "i32" },
  tsv_stream_poll: { parameters: ["buffer", "u32", "i32"], result: "i32" },
} as const;

/** Of the command line, which makes what others use. */
const openingSymbols = {
  tsv_stream_listen: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_stream_listen_local: { parameters: ["u32"], result: "i32" },
  tsv_stream_port: { parameters: ["i32"], result: "i32" },
  tsv_stream_connect: { parameters: ["buffer", "u32", "i32"], result: "i32" },
} as const;

/** What a process needs once its calls are limited is bound before. */
const HOT = ["tsv_stream_accept", "tsv_stream_receive", "tsv_stream_send", "tsv_stream_poll"] as const;

const EFAULT = 14;
/** As FDS_MAX in stream.rs. */
export const STREAM_FDS_MAX = 128;

/** A socket that listens at `path`, for its owner alone; -errno. */
export function listenAtPath(path: string): number {
  const bytes = new TextEncoder().encode(path);
  return openLibrary(openingSymbols).tsv_stream_listen(bytes, bytes.length);
}

/** A socket that listens on TCP port `port` of 127.0.0.1, 0 = any; -errno. */
export function listenLocally(port: number): number {
  return openLibrary(openingSymbols).tsv_stream_listen_local(port);
}

/** The port of what listenLocally() has made. */
export function portOf(fd: number): number {
  return openLibrary(openingSymbols).tsv_stream_port(fd);
}

export const SOCK_STREAM = 1;
export const SOCK_SEQPACKET = 5;

/** A socket connected with the Unix socket at `path`; -errno. */
export function connectToPath(path: string, kind: typeof SOCK_STREAM | typeof SOCK_SEQPACKET): number {
  const bytes = new TextEncoder().encode(path);
  return openLibrary(openingSymbols).tsv_stream_connect(bytes, bytes.length, kind);
}

export class NativeStreams {
  /** Descriptors of the last receive(); -1 = more than STREAM_FDS_MAX have come, and all are closed. */
  receivedFds = 0;
  readonly #calls = openLibrary(symbols, HOT);
  readonly #fds = new Int32Array(STREAM_FDS_MAX + 1);

  /** A connection, -EAGAIN where there is none, -errno. */
  accept(fd: number): number {
    return this.#calls.tsv_stream_accept(fd);
  }

  /** Bytes that have come, 0 at the end, -EAGAIN, -errno. Descriptors are in `fds`, `receivedFds` of them. */
  receive(fd: number, into: Uint8Array<ArrayBuffer>, at: number, length: number, fds: Int32Array): number {
    if (at + length > into.length || fds.length < STREAM_FDS_MAX) return -EFAULT;
    const n = this.#calls.tsv_stream_receive(fd, into, at, length, this.#fds);
    this.receivedFds = n < 0 ? 0 : this.#fds[STREAM_FDS_MAX];
    for (let i = 0; i < this.receivedFds; i++) fds[i] = this.#fds[i];
    return n;
  }

  /** Bytes that the other end had room for, -EAGAIN, -errno. The descriptors stay the caller's. */
  send(
    fd: number,
    from: Uint8Array<ArrayBuffer>,
    at: number,
    length: number,
    fds: Int32Array<ArrayBuffer>,
  ): number {
    if (at + length > from.length) return -EFAULT;
    return this.#calls.tsv_stream_send(fd, from, at, length, fds, fds.length);
  }

  /** Sleeps until a descriptor is ready, `millis` at most (-1 = for ever). `entries` is made by setPollEntry() and read by pollEvents(). */
  poll(entries: Int32Array<ArrayBuffer>, count: number, millis: number): number {
    if (2 * count > entries.length) return -EFAULT;
    return this.#calls.tsv_stream_poll(entries, count, millis);
  }
}

/** Writes entry `index`, which waits for poll `events` of `fd`. */
export function setPollEntry(entries: Int32Array, index: number, fd: number, events: number): void {
  entries[2 * index] = fd;
  entries[2 * index + 1] = events;
}

/** The events that hold of entry `index`. */
export function pollEvents(entries: Int32Array, index: number): number {
  return entries[2 * index + 1] >> 16 & 0xffff;
}
