// Where a sandbox with --network=user may go: rules in order, of which the first that fits decides, and what holds where none
// does. The net process alone asks it, so that a sentry that has been taken over gets no further than it says.
//
//   --egress=allow:api.example.com:443,allow:*.mirror.example:443,deny:10.0.0.0/8,allow:[2001:db8::/32]:8000-8080
//
// With a rule that allows, all else is denied; without one, all is allowed but what is guarded (address_class.ts): the host's
// loopback, link-local and metadata addresses, groups. Those are opened by a rule for their addresses alone.

import { type Address, parsePrefix, prefixBits } from "../../../netstack/mod.ts";
import { AddressClass, classOf } from "./address_class.ts";

/** Rules of one policy, and characters of its text. */
const RULES_MAX = 1024;
const PORT_MAX = 65_535;
/** Addresses of names that are remembered; the oldest goes first. */
const BOUND_MAX = 8192;
/** Names of one address. */
const NAMES_OF_ADDRESS_MAX = 64;
/** A connection is made some time after its name was asked for, and programs keep addresses longer than they should. */
const LIFETIME_SECONDS_MIN = 60;
const LIFETIME_SECONDS_MAX = 24 * 3600;
/** As RFC 1035 section 2.3.4. */
const NAME_CHARACTERS_MAX = 253;

interface Rule {
  readonly isAllowed: boolean;
  /** null = any port, and what has none (ping). */
  readonly ports: { readonly first: number; readonly last: number } | null;
  /** Either of these is set; neither: it fits any address that is not guarded. */
  readonly network: { readonly address: Address; readonly bits: number } | null;
  /** In lower case without the last dot; "*.example.com" = all below it. */
  readonly name: string | null;
}

/** A policy that cannot be read: one line that says why. */
export class PolicyError extends Error {}

export class EgressPolicy {
  readonly #rules: readonly Rule[];
  readonly #isClosed: boolean;
  readonly #hasNames: boolean;
  /** By address: when each of its names is over, nanoseconds. In the order of entry. */
  readonly #bound = new Map<string, Map<string, number>>();

  private constructor(rules: readonly Rule[]) {
    this.#rules = rules;
    this.#isClosed = rules.some((rule) => rule.isAllowed);
    this.#hasNames = rules.some((rule) => rule.name !== null);
  }

  /** Reads rules that are separated by commas. Throws PolicyError. */
  static parse(text: string): EgressPolicy {
    const words = text.split(",").map((word) => word.trim()).filter((word) => word !== "");
    if (words.length > RULES_MAX) {
      throw new PolicyError(`there are ${words.length} rules, at most ${RULES_MAX}`);
    }
    return new EgressPolicy(words.map(ruleOf));
  }

  /** The sandbox may send to `port` of `address` (0 = it has no ports). `now` as in bind(). */
  allows(address: Address, port: number, now: number): boolean {
    const kind = classOf(address);
    const names = this.#hasNames ? this.#namesOf(address, now) : [];
    for (const rule of this.#rules) {
      if (fits(rule, address, kind, port, names)) return rule.isAllowed;
    }
    return !this.#isClosed && kind !== AddressClass.Guarded;
  }

  /**
   * The sandbox may ask what `name` is. Where all else is denied nothing is asked that no rule is about: questions carry data
   * to whoever answers for a name.
   */
  mayAsk(name: string): boolean {
    for (const rule of this.#rules) {
      if (rule.name === null) {
        if (rule.network === null) return rule.isAllowed;
      } else if (isNamed(rule.name, name)) return rule.isAllowed;
    }
    return !this.#isClosed;
  }

  /** A name server that we have asked says that `name` is at `address`, for `seconds`. `now` in nanoseconds. */
  bind(name: string, address: Address, seconds: number, now: number): void {
    if (!this.#rules.some((rule) => rule.name !== null && isNamed(rule.name, name))) return;
    const key = address.toString();
    const names = this.#bound.get(key) ?? new Map<string, number>();
    const lifetime = Math.min(Math.max(seconds, LIFETIME_SECONDS_MIN), LIFETIME_SECONDS_MAX);
    // Behind the others, which are older.
    names.delete(name);
    names.set(name, now + lifetime * 1e9);
    if (names.size > NAMES_OF_ADDRESS_MAX) names.delete(names.keys().next().value!);
    this.#bound.delete(key);
    this.#bound.set(key, names);
    if (this.#bound.size > BOUND_MAX) this.#bound.delete(this.#bound.keys().next().value!);
  }

  #namesOf(address: Address, now: number): readonly string[] {
    const names = this.#bound.get(address.toString());
    return names === undefined ? [] : [...names].filter(([, until]) => now < until).map(([name]) => name);
  }
}

function fits(
  rule: Rule,
  address: Address,
  kind: AddressClass,
  port: number,
  names: readonly string[],
): boolean {
  const { ports, network, name } = rule;
  if (ports !== null && (port < ports.first || port > ports.last)) return false;
  if (network !== null) return address.isWithin(network.address, network.bits);
  // Only by a rule for addresses is anything opened that is not everybody's.
  if (name !== null) {
    return (!rule.isAllowed || kind === AddressClass.Public) && names.some((one) => isNamed(name, one));
  }
  return !rule.isAllowed || kind !== AddressClass.Guarded;
}

/** `name` is the one that `pattern` says, or one of those. */
function isNamed(pattern: string, name: string): boolean {
  return pattern.startsWith("*.") ? name.endsWith(pattern.slice(1)) : name === pattern;
}

function ruleOf(word: string): Rule {
  const refuse = (reason: string) => new PolicyError(`"${word}" ${reason}`);
  const match = /^(allow|deny):(.+)$/.exec(word);
  if (match === null) throw refuse("does not begin with allow: or deny:");
  const isAllowed = match[1] === "allow";
  const [target, portText] = split(match[2]);
  const ports = portText === null || portText === "*" ? null : portsOf(portText);
  if (ports === undefined) throw refuse(`has "${portText}" for a port`);
  if (target === "*") return { isAllowed, ports, network: null, name: null };
  const prefix = parsePrefix(target);
  if (prefix !== null) {
    const { address, length } = prefix;
    const bits = prefixBits(length, address.isV4);
    return { isAllowed, ports, network: { address: address.mask(bits), bits }, name: null };
  }
  const name = target.toLowerCase().replace(/\.$/, "");
  // A last label of digits alone is an address that is written wrongly.
  const isName = /^(\*\.)?([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/.test(name) && !/(^|\.)\d+$/.test(name);
  if (!isName || name.length > NAME_CHARACTERS_MAX) {
    throw refuse(`has "${target}", which is no name or address`);
  }
  return { isAllowed, ports, network: null, name };
}

/** Target and port of "NAME:PORT", "ADDRESS", "[V6]:PORT", "V6". */
function split(text: string): readonly [string, string | null] {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  if (bracketed !== null) return [bracketed[1], bracketed[2] ?? null];
  const colon = text.indexOf(":");
  if (colon < 0 || parsePrefix(text) !== null) return [text, null];
  return [text.slice(0, colon), text.slice(colon + 1)];
}

/** "PORT" or "FIRST-LAST"; undefined where it is neither. */
function portsOf(text: string): { readonly first: number; readonly last: number } | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  if (match === null) return undefined;
  const first = Number(match[1]), last = Number(match[2] ?? match[1]);
  return first >= 1 && first <= last && last <= PORT_MAX ? { first, last } : undefined;
}
