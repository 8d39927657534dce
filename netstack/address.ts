// IP addresses of both families as four 32-bit words in network order. An IPv4 address is kept in its IPv4-mapped form
// (RFC 4291 section 2.5.5.2), so that everything above the wire has one path for both. Words are int32 (not u32), which
// V8 keeps without a heap number.

const MAPPED = 0xffff;

export class Address {
  /** Words 0 to 3 of the 128 bits, signed. */
  a = 0;
  b = 0;
  c = 0;
  d = 0;

  /** An IPv4 address (mapped); "0.0.0.0" is one, "::" is not. */
  get isV4(): boolean {
    return this.c === MAPPED && this.a === 0 && this.b === 0;
  }
  /** 0.0.0.0 or "::". */
  get isUnspecified(): boolean {
    return this.d === 0 && this.a === 0 && this.b === 0 && (this.c === 0 || this.c === MAPPED);
  }
  /** 127.0.0.0/8 or ::1. */
  get isLoopback(): boolean {
    return this.isV4 ? this.d >>> 24 === 127 : this.d === 1 && this.c === 0 && this.b === 0 && this.a === 0;
  }
  /** 224.0.0.0/4 or ff00::/8. */
  get isMulticast(): boolean {
    return this.isV4 ? this.d >>> 28 === 14 : this.a >>> 24 === 0xff;
  }
  /** 255.255.255.255. A subnet's broadcast address depends on the interface: Nic.isBroadcast. */
  get isLimitedBroadcast(): boolean {
    return this.d === -1 && this.isV4;
  }
  /** 169.254.0.0/16 or fe80::/10. */
  get isLinkLocal(): boolean {
    return this.isV4 ? this.d >>> 16 === 0xa9fe : this.a >>> 22 === 0x3fa;
  }

  copy(from: Address): this {
    this.a = from.a;
    this.b = from.b;
    this.c = from.c;
    this.d = from.d;
    return this;
  }
  clone(): Address {
    return new Address().copy(this);
  }
  setWords(a: number, b: number, c: number, d: number): this {
    this.a = a | 0;
    this.b = b | 0;
    this.c = c | 0;
    this.d = d | 0;
    return this;
  }
  /** From the 32 bits of an IPv4 address. */
  setV4(word: number): this {
    return this.setWords(0, 0, MAPPED, word);
  }
  /** "::" or 0.0.0.0. */
  setUnspecified(isV4: boolean): this {
    return this.setWords(0, 0, isV4 ? MAPPED : 0, 0);
  }
  equals(other: Address): boolean {
    return this.d === other.d && this.c === other.c && this.b === other.b && this.a === other.a;
  }

  /** Reads the four bytes of an IPv4 address. */
  read4(bytes: Uint8Array, at: number): this {
    return this.setWords(0, 0, MAPPED, word(bytes, at));
  }
  /** Reads the sixteen bytes of an IPv6 address. Mapped ones must be refused on the wire (RFC 4942 section 2.2). */
  read6(bytes: Uint8Array, at: number): this {
    return this.setWords(word(bytes, at), word(bytes, at + 4), word(bytes, at + 8), word(bytes, at + 12));
  }
  write4(bytes: Uint8Array, at: number): void {
    putWord(bytes, at, this.d);
  }
  write6(bytes: Uint8Array, at: number): void {
    putWord(bytes, at, this.a);
    putWord(bytes, at + 4, this.b);
    putWord(bytes, at + 8, this.c);
    putWord(bytes, at + 12, this.d);
  }

  /** The first `bits` bits equal those of `prefix`. For IPv4 `bits` counts from 96: see prefixBits(). */
  isWithin(prefix: Address, bits: number): boolean {
    return sameBits(this.a, prefix.a, bits) && sameBits(this.b, prefix.b, bits - 32) &&
      sameBits(this.c, prefix.c, bits - 64) && sameBits(this.d, prefix.d, bits - 96);
  }
  /** Clears all but the first `bits` bits. */
  mask(bits: number): this {
    return this.setWords(
      this.a & wordMask(bits),
      this.b & wordMask(bits - 32),
      this.c & wordMask(bits - 64),
      this.d & wordMask(bits - 96),
    );
  }
  /** Number of leading bits shared with `other`, 0 to 128. */
  commonBits(other: Address): number {
    let bits = Math.clz32(this.a ^ other.a);
    if (bits === 32) bits += Math.clz32(this.b ^ other.b);
    if (bits === 64) bits += Math.clz32(this.c ^ other.c);
    if (bits === 96) bits += Math.clz32(this.d ^ other.d);
    return bits;
  }

  /** A hash for tables that `seed` keeps an attacker from aiming at; int32. */
  hash(seed: number): number {
    return mix(mix(mix(mix(seed, this.a), this.b), this.c), this.d);
  }

  toString(): string {
    return formatAddress(this);
  }
}

/** One step of a 32-bit hash (the finisher of MurmurHash3 over the running value and a word). */
export function mix(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e2d51);
  k = k << 15 | k >>> 17;
  hash ^= Math.imul(k, 0x1b873593);
  hash = hash << 13 | hash >>> 19;
  hash = Math.imul(hash, 5) + 0xe6546b64 | 0;
  return hash ^ hash >>> 16;
}

/** Prefix length of the unified form: an IPv4 /24 is 120 bits. */
export function prefixBits(length: number, isV4: boolean): number {
  return isV4 ? length + 96 : length;
}

/** Parses "192.0.2.1" or "2001:db8::1" (RFC 4291 section 2.2, without a zone); null when it is neither. */
export function parseAddress(text: string): Address | null {
  const address = new Address();
  if (!text.includes(":")) {
    const v4 = parseV4(text);
    return v4 === null ? null : address.setV4(v4);
  }
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groups(halves[0], halves.length === 1);
  const tail = halves.length === 2 ? groups(halves[1], true) : [];
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return null;
  const all = [...head, ...new Array<number>(missing).fill(0), ...tail];
  return address.setWords(
    all[0] << 16 | all[1],
    all[2] << 16 | all[3],
    all[4] << 16 | all[5],
    all[6] << 16 | all[7],
  );
}

/** Address and prefix length of "10.0.0.1/24"; without "/N" the whole address. null when it is none. */
export function parsePrefix(text: string): { address: Address; length: number } | null {
  const [left, right, more] = text.split("/");
  const address = parseAddress(left);
  if (address === null || more !== undefined) return null;
  const most = address.isV4 ? 32 : 128;
  if (right === undefined) return { address, length: most };
  if (!/^\d{1,3}$/.test(right) || Number(right) > most) return null;
  return { address, length: Number(right) };
}

/** RFC 5952 for IPv6, dotted quad for IPv4. */
export function formatAddress(address: Address): string {
  if (address.isV4) return formatV4(address.d);
  const words = [address.a, address.b, address.c, address.d];
  const groups = words.flatMap((word) => [word >>> 16, word & 0xffff]);
  let best = -1, bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let n = 0;
    while (i + n < 8 && groups[i + n] === 0) n++;
    if (n > bestLength) [best, bestLength] = [i, n];
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (best < 0) return hex(groups);
  return `${hex(groups.slice(0, best))}::${hex(groups.slice(best + bestLength))}`;
}

function formatV4(word: number): string {
  return `${word >>> 24}.${word >>> 16 & 255}.${word >>> 8 & 255}.${word & 255}`;
}

function parseV4(text: string): number | null {
  const parts = text.split(".");
  if (parts.length !== 4) return null;
  let word = 0;
  for (const part of parts) {
    if (!/^(0|[1-9]\d{0,2})$/.test(part) || Number(part) > 255) return null;
    word = word << 8 | Number(part);
  }
  return word | 0;
}

/** The 16-bit groups of one side of "::"; the last may be a dotted quad where `mayEndV4`. null = malformed. */
function groups(text: string, mayEndV4: boolean): number[] | null {
  if (text === "") return [];
  const out: number[] = [];
  const parts = text.split(":");
  for (const [i, part] of parts.entries()) {
    if (mayEndV4 && i === parts.length - 1 && part.includes(".")) {
      const v4 = parseV4(part);
      if (v4 === null) return null;
      out.push(v4 >>> 16, v4 & 0xffff);
    } else if (/^[0-9a-fA-F]{1,4}$/.test(part)) {
      out.push(parseInt(part, 16));
    } else {
      return null;
    }
  }
  return out.length <= 8 ? out : null;
}

function word(bytes: Uint8Array, at: number): number {
  return bytes[at] << 24 | bytes[at + 1] << 16 | bytes[at + 2] << 8 | bytes[at + 3];
}
function putWord(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
function wordMask(bits: number): number {
  return bits <= 0 ? 0 : bits >= 32 ? -1 : -1 << (32 - bits);
}
function sameBits(x: number, y: number, bits: number): boolean {
  return ((x ^ y) & wordMask(bits)) === 0;
}
