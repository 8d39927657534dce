// Socket options: one table with type, range, default and support, and the values of an endpoint. The rows of a protocol
// stand in its own room; the written list is here. socket(7), ip(7), ipv6(7), tcp(7), udp(7), packet(7).

import { EINVAL, ENOPROTOOPT } from "./errno.ts";
import type { Endpoint } from "./endpoint.ts";
import { OptionKind, type OptionSpec } from "./option_spec.ts";
import { ENDPOINT_RAW } from "./endpoint_kind.ts";
import { IP_OPTIONS, SOL_IP, SOL_IPV6 } from "./ip/options.ts";
import { RAW_OPTIONS } from "./raw/options.ts";
import { SOCKET_OPTIONS } from "./socket_options.ts";
import { TCP_OPTIONS } from "./tcp/options.ts";
import { UDP_OPTIONS } from "./udp/options.ts";

export { OptionKind, type OptionSpec };

/** All rows; an option's number (as onOption has it) is its place here. */
export const OPTIONS: readonly OptionSpec[] = [
  ...SOCKET_OPTIONS,
  ...IP_OPTIONS,
  ...TCP_OPTIONS,
  ...UDP_OPTIONS,
  ...RAW_OPTIONS,
];

const byKey = new Map<number, number>();
for (const [i, row] of OPTIONS.entries()) {
  const key = row.level * 4096 + row.name;
  if (byKey.has(key)) throw new Error(`Option ${row.label} stands twice in the table`);
  byKey.set(key, i);
}
const DEFAULTS = Int32Array.from(OPTIONS, (row) => row.default);

/** The number of an option by level and name, for onOption and value(); a bug when it is missing. */
export function optionNumber(level: number, name: number): number {
  const found = byKey.get(level * 4096 + name);
  if (found === undefined) throw new Error(`Option ${level}/${name} is not in the table`);
  return found;
}

export class OptionValues {
  readonly #endpoint: Endpoint;
  /** Values of all rows once one was set: an idle endpoint carries none. */
  #values: Int32Array | null = null;

  constructor(endpoint: Endpoint) {
    this.#endpoint = endpoint;
  }

  /** Stored value by number: what was set, or the default. */
  value(option: number): number {
    return (this.#values ?? DEFAULTS)[option];
  }
  /** Sets without asking: inheritance and the stack's own changes. */
  store(option: number, value: number): void {
    this.#values ??= DEFAULTS.slice();
    this.#values[option] = value;
  }
  /** Takes over what a listener's options say. */
  inherit(from: OptionValues): void {
    this.#values = from.#values === null ? null : from.#values.slice();
  }

  set(level: number, name: number, from: Uint8Array, at: number, length: number): number {
    const option = byKey.get(level * 4096 + name);
    if (option === undefined) return -ENOPROTOOPT;
    const row = OPTIONS[option];
    if (!this.#has(row)) return -ENOPROTOOPT;
    if (row.access === "ro") return -ENOPROTOOPT;
    if (row.kind === OptionKind.Other) return this.#endpoint.setOtherOption(option, from, at, length);
    let value: number;
    if (takesByte(row) && length >= 1 && length < 4) value = from[at];
    else if (length < 4) return -EINVAL;
    else value = int(from, at);
    if (row.kind === OptionKind.Flag) value = value === 0 ? 0 : 1;
    if (row.kind === OptionKind.Linger) {
      if (length < 8) return -EINVAL;
      value = value === 0 ? -1 : Math.min(Math.max(int(from, at + 4), 0), row.max);
    }
    if (row.isClamped === true) value = Math.min(Math.max(value, row.min), row.max);
    if (value < row.min || value > row.max || value === row.gap) return -EINVAL;
    const verdict = this.#endpoint.onOption(option, value);
    if (verdict < 0) return verdict;
    this.store(option, value);
    return 0;
  }

  /** IPv6's options are those of AF_INET6 endpoints, which have IPv4's too unless they are raw. */
  #has(row: OptionSpec): boolean {
    const { kind, isV4 } = this.#endpoint;
    if ((row.endpoints & kind) === 0 || row.support === "none") return false;
    if (row.level === SOL_IPV6) return !isV4;
    return row.level !== SOL_IP || isV4 || kind !== ENDPOINT_RAW;
  }

  get(level: number, name: number, into: Uint8Array, at: number, length: number): number {
    const option = byKey.get(level * 4096 + name);
    if (option === undefined) return -ENOPROTOOPT;
    const row = OPTIONS[option];
    if (!this.#has(row) || row.access === "wo") return -ENOPROTOOPT;
    if (row.kind === OptionKind.Other) return this.#endpoint.getOtherOption(option, into, at, length);
    const value = this.#endpoint.optionValue(option, this.value(option));
    if (row.kind === OptionKind.Linger) {
      if (length < 8) return -EINVAL;
      putInt(into, at, value < 0 ? 0 : 1);
      putInt(into, at + 4, value < 0 ? 0 : value);
      return 8;
    }
    if (takesByte(row) && length >= 1 && length < 4 && value >= 0 && value <= 255) {
      into[at] = value;
      return 1;
    }
    for (let i = 0; i < length && i < 4; i++) into[at + i] = value >> 8 * i;
    return Math.min(length, 4);
  }
}

/** do_ip_setsockopt(): a number of IPv4's level may be one byte too. */
function takesByte(row: OptionSpec): boolean {
  return row.kind === OptionKind.Byte || row.level === SOL_IP && row.kind !== OptionKind.Linger;
}

function int(bytes: Uint8Array, at: number): number {
  return bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24;
}
function putInt(bytes: Uint8Array, at: number, value: number): void {
  for (let i = 0; i < 4; i++) bytes[at + i] = value >> 8 * i;
}
