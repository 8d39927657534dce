// Frames that a hostile station sends: real ones with bytes changed, cut, stretched and mixed, and forged ones of every
// protocol with contradicting lengths. All from a seed.

import type { Address } from "../address.ts";
import type { SeededRandom } from "../random.ts";
import { put16, put32 } from "../wire/bytes.ts";
import { checksumOf, putChecksum, sumBytes, sumPseudoHeader } from "../wire/checksum.ts";
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from "../wire/numbers.ts";

const FRAME_BYTES_MAX = 1600;
const SAMPLES_MAX = 64;

/** One frame: EtherType, and the bytes from the network header on. */
export class HostileFrame {
  etherType = 0;
  readonly bytes = new Uint8Array(FRAME_BYTES_MAX);
  length = 0;
}

/** Offsets, lengths and counts that parsers trip over. */
const EDGES = [
  0,
  1,
  2,
  3,
  4,
  7,
  8,
  15,
  16,
  20,
  40,
  60,
  127,
  128,
  255,
  256,
  1279,
  1280,
  1500,
  32_767,
  32_768,
  65_535,
];
const PROTOCOLS = [0, 1, 2, 4, 6, 17, 41, 43, 44, 50, 51, 58, 59, 60, 132, 255];

export class Hostile {
  readonly #random: SeededRandom;
  readonly #victim: readonly [Address, Address];
  readonly #self: readonly [Address, Address];
  /** Real frames overheard, to change. */
  readonly #samples: HostileFrame[] = [];
  #next = 0;
  readonly frame = new HostileFrame();

  /** Addresses (IPv4, IPv6) of the victim and of the station itself. */
  constructor(random: SeededRandom, victim: readonly [Address, Address], self: readonly [Address, Address]) {
    this.#random = random;
    this.#victim = victim;
    this.#self = self;
  }

  /** Remembers a real frame. */
  overhear(etherType: number, bytes: Uint8Array, at: number, length: number): void {
    if (length > FRAME_BYTES_MAX) return;
    const sample = this.#samples[this.#next] ?? new HostileFrame();
    this.#samples[this.#next] = sample;
    this.#next = (this.#next + 1) % SAMPLES_MAX;
    sample.etherType = etherType;
    sample.bytes.set(bytes.subarray(at, at + length));
    sample.length = length;
    this.#forget(sample);
  }

  /** It stands beside the path, not on it: who knows both numbers of a connection may well end it (RFC 5961 section 1). */
  #forget(sample: HostileFrame): void {
    const { bytes } = sample;
    const isV4 = sample.etherType === ETHERTYPE_IPV4;
    const at = isV4 ? (bytes[0] & 15) * 4 : 40;
    if ((isV4 ? bytes[9] : bytes[6]) !== 6 || at + 12 > sample.length) return;
    put32(bytes, at + 4, this.#random.word());
    put32(bytes, at + 8, this.#random.word());
  }

  /** Makes the next frame in `frame`. */
  make(): HostileFrame {
    const random = this.#random;
    switch (random.below(8)) {
      case 0:
        this.#garbage();
        break;
      case 1:
        this.#tcp();
        break;
      case 2:
        this.#udpOrOther();
        break;
      case 3:
        this.#fragment();
        break;
      case 4:
        this.#icmp();
        break;
      case 5:
        this.#arp();
        break;
      default:
        if (this.#samples.length > 0) this.#mutate();
        else this.#tcp();
    }
    if (random.below(4) === 0) this.#cut();
    return this.frame;
  }

  #edge(): number {
    return EDGES[this.#random.below(EDGES.length)];
  }

  #garbage(): void {
    const { frame } = this;
    const random = this.#random;
    frame.etherType = [ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_ARP, random.below(65_536)][random.below(4)];
    frame.length = random.below(200);
    for (let i = 0; i < frame.length; i++) frame.bytes[i] = random.below(256);
    if (frame.length > 0 && random.below(2) === 0) {
      frame.bytes[0] = frame.etherType === ETHERTYPE_IPV6 ? 0x60 : 0x45;
    }
  }

  /** A real frame with some of it changed; its checksums are made right again half of the time. */
  #mutate(): void {
    const { frame } = this;
    const random = this.#random;
    const sample = this.#samples[random.below(this.#samples.length)];
    frame.etherType = sample.etherType;
    frame.length = sample.length;
    frame.bytes.set(sample.bytes);
    for (let i = 0, n = 1 + random.below(6); i < n && frame.length > 0; i++) {
      const at = random.below(Math.min(frame.length, random.below(2) === 0 ? 80 : frame.length));
      switch (random.below(4)) {
        case 0:
          frame.bytes[at] ^= 1 << random.below(8);
          break;
        case 1:
          frame.bytes[at] = random.below(256);
          break;
        case 2:
          put16(frame.bytes, at, this.#edge());
          break;
        default:
          put32(frame.bytes, at, random.word());
      }
    }
    if (random.below(2) === 0) this.#seal();
  }

  /** A network header for `payload` bytes of `protocol` that follow; the place of the payload. */
  #network(protocol: number, payload: number): number {
    const { frame } = this;
    const { bytes } = frame;
    const random = this.#random;
    const isV4 = random.below(2) === 0;
    const family = isV4 ? 0 : 1;
    frame.etherType = isV4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6;
    const from = random.below(8) === 0 ? this.#victim[family] : this.#self[family];
    if (isV4) {
      bytes[0] = 0x45;
      bytes[1] = random.below(256);
      put16(bytes, 2, 20 + payload);
      put16(bytes, 4, random.below(65_536));
      put16(bytes, 6, 0);
      bytes[8] = random.below(256);
      bytes[9] = protocol;
      from.write4(bytes, 12);
      this.#victim[0].write4(bytes, 16);
      frame.length = 20 + payload;
      return 20;
    }
    put32(bytes, 0, 0x6000_0000 | random.below(1 << 28));
    put16(bytes, 4, payload);
    bytes[6] = protocol;
    bytes[7] = random.below(4) === 0 ? 255 : random.below(256);
    from.write6(bytes, 8);
    this.#victim[1].write6(bytes, 24);
    frame.length = 40 + payload;
    return 40;
  }

  /** Segments of every kind at the ports in use: floods of SYN, blind resets, windows, wild options. */
  #tcp(): void {
    const random = this.#random;
    const { bytes } = this.frame;
    const optionBytes = 4 * random.below(11);
    const data = random.below(3) === 0 ? random.below(1000) : 0;
    const at = this.#network(6, 20 + optionBytes + data);
    put16(bytes, at, random.below(4) === 0 ? random.below(65_536) : 40_000 + random.below(4));
    put16(bytes, at + 2, random.below(4) === 0 ? random.below(65_536) : 7);
    put32(bytes, at + 4, random.word());
    put32(bytes, at + 8, random.word());
    bytes[at + 12] = (random.below(8) === 0 ? random.below(16) : 5 + optionBytes / 4) << 4;
    bytes[at + 13] = random.below(3) === 0 ? 2 : random.below(256);
    put16(bytes, at + 14, this.#edge());
    put16(bytes, at + 18, this.#edge());
    for (let i = 0; i < optionBytes; i++) {
      bytes[at + 20 + i] = random.below(3) === 0 ? random.below(12) : random.below(256);
    }
    this.#seal();
  }

  #udpOrOther(): void {
    const random = this.#random;
    const { bytes } = this.frame;
    const protocol = random.below(2) === 0 ? 17 : PROTOCOLS[random.below(PROTOCOLS.length)];
    const payload = random.below(300);
    const at = this.#network(protocol, payload);
    for (let i = 0; i < payload; i++) bytes[at + i] = random.below(256);
    if (protocol === 17 && payload >= 8) {
      put16(bytes, at + 2, random.below(2) === 0 ? 7 : random.below(65_536));
      put16(bytes, at + 4, random.below(2) === 0 ? payload : this.#edge());
    }
    this.#seal();
  }

  /** Pieces that overlap, contradict each other and never complete. */
  #fragment(): void {
    const random = this.#random;
    const { bytes } = this.frame;
    const payload = 8 * random.below(20) + (random.below(4) === 0 ? random.below(8) : 0);
    const offset = random.below(3) === 0 ? this.#edge() & ~7 : 8 * random.below(30);
    const hasMore = random.below(3) > 0;
    const at = this.#network(17, payload + 8);
    if (this.frame.etherType === ETHERTYPE_IPV4) {
      put16(bytes, 4, random.below(8));
      put16(bytes, 6, offset >> 3 | (hasMore ? 0x2000 : 0));
    } else {
      bytes[6] = 44;
      bytes[at] = random.below(4) === 0 ? 44 : 17;
      bytes[at + 1] = 0;
      put16(bytes, at + 2, offset | (hasMore ? 1 : 0));
      put32(bytes, at + 4, random.below(8));
    }
    this.#seal();
  }

  /** Errors about packets that were never sent, router and neighbour messages, group queries. */
  #icmp(): void {
    const random = this.#random;
    const { bytes } = this.frame;
    const payload = 8 + random.below(120);
    const at = this.#network(random.below(2) === 0 ? 1 : 58, payload);
    for (let i = 0; i < payload; i++) bytes[at + i] = random.below(256);
    const types = this.frame.etherType === ETHERTYPE_IPV4
      ? [0, 3, 3, 5, 8, 11, 12, 13, random.below(256)]
      : [1, 2, 3, 4, 128, 129, 130, 131, 132, 133, 134, 135, 136, 137, 143, random.below(256)];
    bytes[at] = types[random.below(types.length)];
    bytes[at + 1] = random.below(3) === 0 ? 0 : random.below(16);
    if (this.frame.etherType === ETHERTYPE_IPV6 && random.below(2) === 0) bytes[7] = 255;
    if (this.#samples.length > 0 && random.below(2) === 0) {
      // A quotation of something that really went by.
      const sample = this.#samples[random.below(this.#samples.length)];
      const n = Math.min(sample.length, payload - 8);
      bytes.set(sample.bytes.subarray(0, n), at + 8);
    }
    this.#seal();
  }

  #arp(): void {
    const { frame } = this;
    const { bytes } = frame;
    const random = this.#random;
    frame.etherType = ETHERTYPE_ARP;
    frame.length = 28;
    put16(bytes, 0, 1);
    put16(bytes, 2, ETHERTYPE_IPV4);
    bytes[4] = random.below(8) === 0 ? random.below(256) : 6;
    bytes[5] = random.below(8) === 0 ? random.below(256) : 4;
    put16(bytes, 6, 1 + random.below(2));
    for (let i = 8; i < 28; i++) bytes[i] = random.below(256);
    // Stations of the subnet that are nobody, and the victim itself.
    put32(bytes, 14, this.#victim[0].d & ~0xff | random.below(256));
    if (random.below(2) === 0) this.#victim[0].write4(bytes, 24);
  }

  #cut(): void {
    const { frame } = this;
    const random = this.#random;
    if (random.below(2) === 0) frame.length = random.below(frame.length + 1);
    else frame.length = Math.min(FRAME_BYTES_MAX, frame.length + random.below(40));
  }

  /** Makes the checksums right where the frame is whole enough to have any. */
  #seal(): void {
    const { bytes, length, etherType } = this.frame;
    let at: number, protocol: number, end: number;
    if (etherType === ETHERTYPE_IPV4) {
      at = (bytes[0] & 15) * 4;
      if (at < 20 || at > length) return;
      bytes[10] = bytes[11] = 0;
      putChecksum(bytes, 10, checksumOf(sumBytes(0, bytes, 0, at)));
      protocol = bytes[9];
      end = Math.min(length, bytes[2] << 8 | bytes[3]);
    } else if (etherType === ETHERTYPE_IPV6) {
      at = 40;
      protocol = bytes[6];
      end = Math.min(length, 40 + (bytes[4] << 8 | bytes[5]));
    } else {
      return;
    }
    const offset = protocol === 6
      ? 16
      : protocol === 17
      ? 6
      : protocol === 1 || protocol === 2 || protocol === 58
      ? 2
      : -1;
    if (offset < 0 || at + offset + 2 > end) return;
    bytes[at + offset] = bytes[at + offset + 1] = 0;
    const isV4 = etherType === ETHERTYPE_IPV4;
    const [source, destination] = addresses(bytes, isV4, this.#self[0].clone(), this.#self[0].clone());
    const hasPseudo = protocol === 6 || protocol === 17 || protocol === 58 && !isV4;
    const start = hasPseudo ? sumPseudoHeader(source, destination, protocol, end - at) : 0;
    putChecksum(bytes, at + offset, checksumOf(sumBytes(start, bytes, at, end - at)));
  }
}

function addresses(
  bytes: Uint8Array,
  isV4: boolean,
  source: Address,
  destination: Address,
): [Address, Address] {
  if (isV4) return [source.read4(bytes, 12), destination.read4(bytes, 16)];
  return [source.read6(bytes, 8), destination.read6(bytes, 24)];
}
