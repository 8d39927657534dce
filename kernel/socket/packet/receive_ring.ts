// PACKET_RX_RING of packet(7): memory that a program maps, in which received frames lie, each in a slot with a header of
// TPACKET_V1 or V2. Whose a slot is stands in its first word: the kernel's (0) or the program's. Linux: packet_set_ring(),
// tpacket_rcv(), Documentation/networking/packet_mmap.rst.
//
// Linux writes into the mapped pages; here the ring is a memory file that the program's process maps, written and read by
// offset. What is read of it is the word alone, once for each look: the program may write anything there.

import type { IncomingControl } from "../../../netstack/mod.ts";
import { EINVAL, ENOMEM } from "../../abi/errno.ts";
import {
  SOCKADDR_LL_BYTES,
  TP_STATUS_COPY,
  TP_STATUS_KERNEL,
  TP_STATUS_LOSING,
  TP_STATUS_USER,
  TPACKET2_HDR_BYTES,
  TPACKET_ALIGNMENT,
  TPACKET_REQ_BYTES,
  TPACKET_V1,
} from "../../abi/packet.ts";
import { put16, put32, put64, u32, zero } from "../../abi/struct.ts";
import type { HostDescriptor } from "../../host/host_descriptor.ts";
import type { Kernel } from "../../kernel.ts";
import type { Mappable, MappableFile } from "../../vfs/file_kinds.ts";
import { putLinkAddress } from "./address.ts";

const PAGE_BYTES = 4096;
/** Bytes of one ring. Linux has no limit but memory; tcpdump asks for 2 MiB, or what -B says. */
const RING_BYTES_MAX = 64 * 1024 * 1024;
/** A frame's link header has at least so much room in front (max(maclen, 16) in tpacket_rcv()). */
const LINK_ROOM = 16;
/** TPACKET_HDRLEN, TPACKET2_HDRLEN: the header, of either version, and the address behind it. */
const HEADER_BYTES = TPACKET2_HDR_BYTES + SOCKADDR_LL_BYTES;
/** A frame of the largest packet. */
const FRAME_BYTES_MAX = 66 * 1024;

/** Gives the next frame: bytes, or -ERRNO, with what is told of it in `control`. */
export type FrameSource = (into: Uint8Array, at: number, length: number, control: IncomingControl) => number;

export class ReceiveRing implements Mappable, MappableFile {
  readonly hostOffset = 0;
  readonly isSharedWritable = true;
  readonly #kernel: Kernel;
  readonly #memory: HostDescriptor;
  readonly #version: number;
  readonly #reserveBytes: number;
  readonly #frameBytes: number;
  readonly #framesInBlock: number;
  readonly #blockBytes: number;
  readonly #count: number;
  readonly bytes: number;
  /** The slot that the next frame goes to. */
  #head = 0;
  /** A slot under construction: header, address and frame. */
  readonly #slot: Uint8Array;
  readonly #word = new Uint8Array(8);

  private constructor(
    kernel: Kernel,
    memory: HostDescriptor,
    version: number,
    reserveBytes: number,
    blockBytes: number,
    blocks: number,
    frameBytes: number,
  ) {
    this.#kernel = kernel;
    this.#memory = memory;
    this.#version = version;
    this.#reserveBytes = reserveBytes;
    this.#blockBytes = blockBytes;
    this.#frameBytes = frameBytes;
    this.#framesInBlock = Math.floor(blockBytes / frameBytes);
    this.#count = this.#framesInBlock * blocks;
    this.bytes = blockBytes * blocks;
    this.#slot = new Uint8Array(Math.min(frameBytes, FRAME_BYTES_MAX));
  }

  /**
   * The ring of struct tpacket_req at `at`; null where it asks for none; -ERRNO. Its memory is counted as the kernel's until
   * release().
   */
  static of(
    kernel: Kernel,
    version: number,
    reserveBytes: number,
    from: Uint8Array,
    at: number,
    length: number,
  ): ReceiveRing | null | number {
    if (length < TPACKET_REQ_BYTES) return -EINVAL;
    const blockBytes = u32(from, at), blocks = u32(from, at + 4);
    const frameBytes = u32(from, at + 8), frames = u32(from, at + 12);
    if (blocks === 0) return frames === 0 ? null : -EINVAL;
    const least = HEADER_BYTES + reserveBytes;
    if (blockBytes === 0 || blockBytes > RING_BYTES_MAX || blockBytes % PAGE_BYTES !== 0) return -EINVAL;
    if (frameBytes < least || frameBytes % TPACKET_ALIGNMENT !== 0 || frameBytes > blockBytes) return -EINVAL;
    if (Math.floor(blockBytes / frameBytes) * blocks !== frames) return -EINVAL;
    const bytes = blockBytes * blocks;
    if (bytes > RING_BYTES_MAX || !kernel.account.heap.take(bytes)) return -ENOMEM;
    const memory = kernel.descriptors.newMemory("packet ring", bytes);
    if (typeof memory !== "number") {
      return new ReceiveRing(kernel, memory, version, reserveBytes, blockBytes, blocks, frameBytes);
    }
    kernel.account.heap.give(bytes);
    return memory;
  }

  mappable(_isShared: boolean, _prot: number): Mappable {
    return this;
  }
  hostFd(): number {
    return this.#memory.fdForMapping(true);
  }

  /** packet_poll(): the slot before the next one has a frame that the program has not given back. */
  get isReadable(): boolean {
    return this.#status((this.#head + this.#count - 1) % this.#count) !== TP_STATUS_KERNEL;
  }

  /** Takes frames from `source` as long as there are some and the program has given slots back. */
  fill(source: FrameSource, control: IncomingControl, isCooked: boolean, hasLost: boolean): void {
    for (let i = 0; i < this.#count; i++) {
      if (this.#status(this.#head) !== TP_STATUS_KERNEL) return;
      if (!this.#fillOne(source, control, isCooked, hasLost)) return;
      this.#head = (this.#head + 1) % this.#count;
    }
  }

  #fillOne(source: FrameSource, control: IncomingControl, isCooked: boolean, hasLost: boolean): boolean {
    const slot = this.#slot;
    const linkBytes = isCooked ? 0 : 14;
    const networkAt = align(HEADER_BYTES + LINK_ROOM) + this.#reserveBytes;
    const frameAt = networkAt - linkBytes;
    control.clear();
    const n = source(slot, frameAt, Math.max(0, slot.length - frameAt), control);
    if (n < 0) return false;
    zero(slot, 0, frameAt);
    const isCut = n < control.messageBytes;
    let status = TP_STATUS_USER | control.auxiliaryStatus;
    if (isCut) status |= TP_STATUS_COPY;
    if (hasLost) status |= TP_STATUS_LOSING;
    this.#putHeader(control, n, frameAt, networkAt);
    putLinkAddress(slot, TPACKET2_HDR_BYTES, control.from, true);
    const at = this.#slotAt(this.#head);
    // The word that gives the slot to the program goes last.
    const wordBytes = this.#version === TPACKET_V1 ? 8 : 4;
    this.#memory.pwrite(slot, wordBytes, frameAt + n - wordBytes, at + wordBytes);
    put64(this.#word, 0, status);
    this.#memory.pwrite(this.#word, 0, wordBytes, at);
    return true;
  }

  /** struct tpacket_hdr or tpacket2_hdr, but for tp_status. */
  #putHeader(control: IncomingControl, kept: number, frameAt: number, networkAt: number): void {
    const slot = this.#slot;
    const { clock } = this.#kernel;
    const age = Math.max(0, clock.monotonic() - control.timestamp);
    const whole = clock.realtime();
    const rest = clock.nanoseconds - age;
    const borrowed = rest < 0 ? Math.ceil(-rest / 1e9) : 0;
    const seconds = whole - borrowed, nanos = rest + borrowed * 1e9;
    const isV1 = this.#version === TPACKET_V1;
    // tp_status is a long in the first version.
    const at = isV1 ? 8 : 4;
    put32(slot, at, control.messageBytes);
    put32(slot, at + 4, kept);
    put16(slot, at + 8, frameAt);
    put16(slot, at + 10, networkAt);
    put32(slot, at + 12, seconds);
    put32(slot, at + 16, isV1 ? Math.floor(nanos / 1000) : nanos);
  }

  #slotAt(index: number): number {
    const block = Math.floor(index / this.#framesInBlock);
    return block * this.#blockBytes + (index % this.#framesInBlock) * this.#frameBytes;
  }
  #status(index: number): number {
    const n = this.#memory.pread(this.#word, 0, 4, this.#slotAt(index));
    return n === 4 ? u32(this.#word, 0) : TP_STATUS_USER;
  }

  release(): void {
    this.#memory.drop();
    this.#kernel.account.heap.give(this.bytes);
  }
}

function align(bytes: number): number {
  return Math.ceil(bytes / TPACKET_ALIGNMENT) * TPACKET_ALIGNMENT;
}
