// Bindings of native/src/packet_device.rs: an interface of the host, or a TAP, as a device of ethernet frames.

import { nativeLibraryPath, openLibrary } from "./library.ts";

const symbols = {
  tsv_packet_open: { parameters: ["i32", "buffer", "u32", "u32", "buffer"], result: "i32" },
  tsv_packet_tap: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_packet_receive: { parameters: ["i32", "buffer", "buffer", "buffer", "u32", "u32"], result: "i32" },
  tsv_packet_send: { parameters: ["i32", "buffer", "buffer", "buffer", "u32", "u32"], result: "i32" },
  tsv_packet_wait: { parameters: ["i32", "i32", "f64"], result: "i32" },
  tsv_host_close: { parameters: ["i32"], result: "i32" },
} as const;

const waitSymbols = {
  tsv_packet_wait: { parameters: ["i32", "i32", "f64"], result: "i32", nonblocking: true },
} as const;

const native = openLibrary(symbols);
let waits: Deno.DynamicLibrary<typeof waitSymbols>["symbols"] | null = null;

/** Frames a call carries at most. */
const BATCH_MAX = 64;
/** struct virtio_net_hdr as AF_PACKET and TAP have it by default. */
const VIRTIO_HEADER_BYTES = 10;
const FACTS_BYTES = 14;

/** A slot of the arena that frames are received into or sent from. */
export interface Frame {
  readonly bytes: Uint8Array;
  at: number;
  end: number;
}

/** Frames over one descriptor. All frames of one call must stand in one arena. */
export class HostPacketDevice {
  readonly fd: number;
  readonly mtu: number;
  readonly address: Uint8Array;
  readonly virtioHeaderBytes: number;
  readonly #isTap: number;
  readonly #places = new Uint32Array(BATCH_MAX);
  readonly #lengths = new Uint32Array(BATCH_MAX);

  private constructor(fd: number, mtu: number, address: Uint8Array, hasOffload: boolean, isTap: boolean) {
    this.fd = fd;
    this.mtu = mtu;
    this.address = address;
    this.virtioHeaderBytes = hasOffload ? VIRTIO_HEADER_BYTES : 0;
    this.#isTap = isTap ? 1 : 0;
  }

  /**
   * Opens interface `name` by AF_PACKET (needs CAP_NET_RAW). -errno when it cannot. `namespace` is a descriptor of the network
   * namespace that has it, -1 = this process's; `fanout` a number of all that share its frames, 0 = none other does.
   */
  static openInterface(
    name: string,
    options: { hasOffload: boolean; namespace?: number; fanout?: number },
  ): HostPacketDevice | number {
    const facts = new Uint8Array(FACTS_BYTES);
    const { hasOffload, namespace = -1, fanout = 0 } = options;
    const fd = native.tsv_packet_open(namespace, cString(name), hasOffload ? 1 : 0, fanout, facts);
    if (fd < 0) return fd;
    const mtu = new DataView(facts.buffer).getUint32(0, true);
    return new HostPacketDevice(fd, mtu, facts.slice(8, 14), hasOffload, false);
  }

  /** Over packet socket `fd`, which somebody else has opened, and closes instead of close(). */
  static ofSocket(
    fd: number,
    facts: { hasOffload: boolean; mtu: number; address: Uint8Array },
  ): HostPacketDevice {
    return new HostPacketDevice(fd, facts.mtu, facts.address, facts.hasOffload, false);
  }

  /** Opens or makes TAP `name` (needs CAP_NET_ADMIN); its far end is the host's interface of that name. */
  static openTap(
    name: string,
    options: { hasOffload: boolean; mtu: number; address: Uint8Array },
  ): HostPacketDevice | number {
    const fd = native.tsv_packet_tap(cString(name), options.hasOffload ? 1 : 0);
    if (fd < 0) return fd;
    return new HostPacketDevice(fd, options.mtu, options.address, options.hasOffload, true);
  }

  /** Fills frames[0..n): their `at` stays, `end` is set (it says how much room there is before). n, or -errno. */
  receive(frames: Frame[], count: number): number {
    const n = Math.min(count, BATCH_MAX);
    if (n === 0) return 0;
    const arena = frames[0].bytes;
    for (let i = 0; i < n; i++) {
      if (frames[i].bytes !== arena || frames[i].end > arena.length) {
        throw new Error("Frame outside its arena");
      }
      this.#places[i] = frames[i].at;
      this.#lengths[i] = frames[i].end - frames[i].at;
    }
    const got = native.tsv_packet_receive(this.fd, arena, this.#places, this.#lengths, n, this.#isTap);
    for (let i = 0; i < got; i++) frames[i].end = frames[i].at + this.#lengths[i];
    return got;
  }

  /** Sends frames[from..count). Number taken, or -errno. */
  send(frames: Frame[], from: number, count: number): number {
    const arena = frames[from].bytes;
    let n = 0;
    for (; n < BATCH_MAX && from + n < count; n++) {
      const frame = frames[from + n];
      // Frames of another stack's pool go with a call of their own.
      if (frame.bytes !== arena) break;
      this.#places[n] = frame.at;
      this.#lengths[n] = frame.end - frame.at;
    }
    return native.tsv_packet_send(this.fd, arena, this.#places, this.#lengths, n, this.#isTap);
  }

  /** Waits until frames are there or `also` (a descriptor, -1 = none) is readable; `micros` < 0 = as long as it takes. */
  wait(also: number, micros: number): boolean {
    return native.tsv_packet_wait(this.fd, also, micros) !== 0;
  }

  /** As wait(), while the event loop runs: dearer by a thread's hand-over, for waits that may be long. */
  async waitLater(also: number, micros: number): Promise<boolean> {
    waits ??= Deno.dlopen(nativeLibraryPath(), waitSymbols).symbols;
    return await waits.tsv_packet_wait(this.fd, also, micros) !== 0;
  }

  close(): void {
    native.tsv_host_close(this.fd);
  }
}

function cString(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}
