// IPv6 addresses of our own making in a /64: stable ones, the same each time on one network and telling nothing on another
// (RFC 7217), and temporary ones that change (RFC 8981). When somebody has an address already, another is made.

import { Address } from "../address.ts";
import { HalfSipHash } from "../half_siphash.ts";
import type { InterfaceAddress, Nic } from "../nic.ts";
import type { Stack } from "../stack.ts";
import { get16, get32 } from "../wire/bytes.ts";

/** Addresses tried after one was somebody's: IDGEN_RETRIES and TEMP_IDGEN_RETRIES. */
const RETRIES_MAX = 3;

/** An address that we have made, and those that come in its place. */
export class SelfAddress {
  readonly nic: Nic;
  readonly prefix: Address;
  readonly isTemporary: boolean;
  /** The one in use or under test; null = all were somebody's. */
  entry: InterfaceAddress | null = null;
  preferredUntil = Infinity;
  validUntil = Infinity;
  #duplicates = 0;

  constructor(nic: Nic, prefix: Address, isTemporary: boolean) {
    this.nic = nic;
    this.prefix = prefix.clone().mask(64);
    this.isTemporary = isTemporary;
  }

  /** Makes the next address and enters it; false when there is none to be had. */
  make(): boolean {
    const { nic, prefix } = this;
    const { stack } = nic;
    const address = new Address();
    for (;;) {
      if (this.#duplicates > RETRIES_MAX) return false;
      if (this.isTemporary) address.setWords(prefix.a, prefix.b, stack.random.word(), stack.random.word());
      else stack.selfAddresses.fill(nic, prefix, this.#duplicates, address);
      if (!isReserved(address) && nic.find(address) === null) break;
      this.#duplicates++;
    }
    if (stack.addAddress(nic, address, 64) < 0) return false;
    const entry = nic.find(address)!;
    this.entry = entry;
    entry.isTemporary = this.isTemporary;
    entry.onDuplicate = () => {
      this.#duplicates++;
      stack.removeAddress(nic, entry.address);
      this.entry = null;
      this.make();
    };
    this.setLifetimes(this.preferredUntil, this.validUntil);
    return true;
  }

  setLifetimes(preferredUntil: number, validUntil: number): void {
    this.preferredUntil = preferredUntil;
    this.validUntil = validUntil;
    if (this.entry !== null) this.nic.lifetimes.set(this.entry, preferredUntil, validUntil);
  }

  remove(): void {
    if (this.entry !== null) this.nic.stack.removeAddress(this.nic, this.entry.address);
    this.entry = null;
  }
}

/** The secret that stable addresses come from. */
export class SelfAddresses {
  readonly #hash: HalfSipHash;
  readonly #words = new Int32Array(6);

  constructor(stack: Stack) {
    this.#hash = new HalfSipHash(stack.random);
  }

  /** RFC 7217 section 5: a hash of prefix, interface and count of duplicates. */
  fill(nic: Nic, prefix: Address, duplicates: number, into: Address): void {
    const words = this.#words;
    const { address } = nic.link;
    words[0] = prefix.a;
    words[1] = prefix.b;
    words[2] = address.length < 6 ? nic.id : get16(address, 0);
    words[3] = address.length < 6 ? 0 : get32(address, 2);
    words[4] = duplicates;
    words[5] = 0;
    const high = this.#hash.hash(words, 6);
    words[5] = 1;
    into.setWords(prefix.a, prefix.b, high, this.#hash.hash(words, 6));
  }
}

/** Interface identifiers with a meaning of their own: subnet routers, anycast (RFC 5453). */
function isReserved(address: Address): boolean {
  if (address.c === 0 && address.d === 0) return true;
  return address.c === (0xfdffffff | 0) && (address.d & 0xffffff80) === (0xffffff80 | 0);
}
