// rtnetlink(7) as a client of the host's kernel: dumps, and requests that are acknowledged, over a socket of a network
// namespace that need not be ours. The answers are the host kernel's, which is trusted; still nothing is read past its end.

import { EIO, errnoName } from "../../kernel/abi/errno.ts";
import {
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER_BYTES,
} from "../../kernel/abi/netlink.ts";
import { i32, u16, u32 } from "../../kernel/abi/struct.ts";
import { align, NetlinkWriter } from "../../kernel/socket/netlink/message.ts";
import type { NativeHost } from "../../native/host.ts";

/** The kernel fills at most so much in one datagram of a dump (NLMSG_GOODSIZE, and what iproute2 reads with). */
const DATAGRAM_BYTES = 64 * 1024;
/** Datagrams of one answer. */
const DATAGRAMS_MAX = 4096;

/** One message of a dump: its fixed part begins at `at`, its attributes behind that, up to `end`. */
export interface NetlinkMessage {
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
}

export class RouteSocket {
  readonly #host: NativeHost;
  readonly #fd: number;
  readonly #writer = new NetlinkWriter();
  readonly #buffer = new Uint8Array(DATAGRAM_BYTES);
  #sequence = 0;

  /** `fd` is ours from now on. */
  constructor(host: NativeHost, fd: number) {
    this.#host = host;
    this.#fd = fd;
  }

  /** All that a request of `type` lists of `family`; `fixedBytes` is the size of the struct that the family begins. */
  dump(type: number, family: number, fixedBytes: number): NetlinkMessage[] {
    const found: NetlinkMessage[] = [];
    const fixed = this.begin(type, NLM_F_DUMP, fixedBytes);
    this.#writer.bytes[fixed] = family;
    const result = this.#exchange(found);
    if (result < 0) throw new Error(`Cannot list the network (request ${type}): ${errnoName(-result)}`);
    return found;
  }

  /** Begins a request; where its fixed part is in `writer.bytes`. */
  begin(type: number, flags: number, fixedBytes: number): number {
    const writer = this.#writer;
    writer.clear();
    return writer.begin(type, NLM_F_REQUEST | flags, ++this.#sequence, 0, fixedBytes);
  }
  get writer(): NetlinkWriter {
    return this.#writer;
  }

  /** Sends what was begun with NLM_F_ACK: 0 or -ERRNO. */
  finish(): number {
    return this.#exchange(null);
  }

  /** As begin(), of a request that finish() wants. */
  beginChange(type: number, fixedBytes: number): number {
    return this.begin(type, NLM_F_ACK, fixedBytes);
  }

  close(): void {
    this.#host.close(this.#fd);
  }

  /** Sends the request and reads until it is answered to the end; copies of the messages go to `found`. */
  #exchange(found: NetlinkMessage[] | null): number {
    const writer = this.#writer;
    writer.end();
    const sent = this.#host.write(this.#fd, writer.bytes, 0, writer.length);
    if (sent < 0) return sent;
    for (let datagram = 0; datagram < DATAGRAMS_MAX; datagram++) {
      const length = this.#host.read(this.#fd, this.#buffer, 0, this.#buffer.length);
      if (length < 0) return length;
      const bytes = this.#buffer.slice(0, length);
      for (let at = 0; at + NLMSG_HEADER_BYTES <= length;) {
        const size = u32(bytes, at);
        if (size < NLMSG_HEADER_BYTES || at + size > length) return -EIO;
        const type = u16(bytes, at + 4), data = at + NLMSG_HEADER_BYTES;
        // Of a request before this one that was answered twice.
        const isOurs = u32(bytes, at + 8) === this.#sequence;
        if (isOurs && type === NLMSG_DONE) return 0;
        if (isOurs && type === NLMSG_ERROR) return size < NLMSG_HEADER_BYTES + 4 ? -EIO : i32(bytes, data);
        if (isOurs && found !== null) found.push({ type, bytes, at: data, end: at + size });
        at += align(size);
      }
    }
    return -EIO;
  }
}
