// Who a task is: user and group ids, capability sets, securebits. Linux: struct cred, kernel/capability.c. Credentials
// never change; a task whose ids change gets another object, so that holders of the old one keep what they saw (struct cred).
// The transitions of setuid(2) and the like are in credential_changes.ts.

import { CAP_LAST_CAP } from "../abi/task.ts";

/** A set of capabilities as two words. Immutable. */
export class CapabilitySet {
  readonly low: number;
  readonly high: number;

  constructor(low: number, high: number) {
    this.low = low >>> 0;
    this.high = high >>> 0;
  }

  /** The set of the given capability numbers. */
  static of(capabilities: readonly number[]): CapabilitySet {
    let low = 0;
    let high = 0;
    for (const capability of capabilities) {
      if (capability < 32) low |= 1 << capability;
      else high |= 1 << (capability - 32);
    }
    return new CapabilitySet(low, high);
  }

  has(capability: number): boolean {
    return capability < 32
      ? (this.low >>> capability & 1) !== 0
      : capability < 64 && (this.high >>> (capability - 32) & 1) !== 0;
  }
  get isEmpty(): boolean {
    return this.low === 0 && this.high === 0;
  }
  equals(other: CapabilitySet): boolean {
    return this.low === other.low && this.high === other.high;
  }
  /** Every capability of this set is in `other`. */
  isSubsetOf(other: CapabilitySet): boolean {
    return (this.low & ~other.low) === 0 && (this.high & ~other.high) === 0;
  }
  and(other: CapabilitySet): CapabilitySet {
    return new CapabilitySet(this.low & other.low, this.high & other.high);
  }
  or(other: CapabilitySet): CapabilitySet {
    return new CapabilitySet(this.low | other.low, this.high | other.high);
  }
  without(other: CapabilitySet): CapabilitySet {
    return new CapabilitySet(this.low & ~other.low, this.high & ~other.high);
  }
}

export const NO_CAPABILITIES = new CapabilitySet(0, 0);
/** Every capability that Linux knows: CAP_0 .. CAP_LAST_CAP. */
export const ALL_CAPABILITIES = new CapabilitySet(0xffff_ffff, 2 ** (CAP_LAST_CAP - 31) - 1);

/** setgroups(2): most supplementary groups. */
export const NGROUPS_MAX = 65536;

/** What a Credentials is made of. */
export interface CredentialFields {
  /** Real, effective, saved ids and those of file system access (setfsuid(2)). */
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly suid: number;
  readonly sgid: number;
  readonly fsuid: number;
  readonly fsgid: number;
  /** Supplementary groups, ascending. */
  readonly groups: readonly number[];
  readonly permitted: CapabilitySet;
  readonly effective: CapabilitySet;
  readonly inheritable: CapabilitySet;
  readonly bounding: CapabilitySet;
  readonly ambient: CapabilitySet;
  /** SECBIT_ bits of capabilities(7). */
  readonly securebits: number;
  /** prctl(PR_SET_NO_NEW_PRIVS): execve grants nothing. Never goes back to false. */
  readonly noNewPrivs: boolean;
}

export class Credentials implements CredentialFields {
  readonly uid: number;
  readonly gid: number;
  readonly euid: number;
  readonly egid: number;
  readonly suid: number;
  readonly sgid: number;
  readonly fsuid: number;
  readonly fsgid: number;
  readonly groups: readonly number[];
  readonly permitted: CapabilitySet;
  readonly effective: CapabilitySet;
  readonly inheritable: CapabilitySet;
  readonly bounding: CapabilitySet;
  readonly ambient: CapabilitySet;
  readonly securebits: number;
  readonly noNewPrivs: boolean;

  constructor(fields: CredentialFields) {
    this.uid = fields.uid;
    this.gid = fields.gid;
    this.euid = fields.euid;
    this.egid = fields.egid;
    this.suid = fields.suid;
    this.sgid = fields.sgid;
    this.fsuid = fields.fsuid;
    this.fsgid = fields.fsgid;
    this.groups = fields.groups;
    this.permitted = fields.permitted;
    this.effective = fields.effective;
    this.inheritable = fields.inheritable;
    this.bounding = fields.bounding;
    this.ambient = fields.ambient;
    this.securebits = fields.securebits;
    this.noNewPrivs = fields.noNewPrivs;
  }

  /** The same but for `changes`. */
  with(changes: Partial<CredentialFields>): Credentials {
    return new Credentials({ ...(this as CredentialFields), ...changes });
  }

  /** Whether `capability` is in the effective set. */
  has(capability: number): boolean {
    return this.effective.has(capability);
  }

  /** Is `gid` the file system group or a supplementary one (permission checks of files). */
  isInGroup(gid: number): boolean {
    return gid === this.fsgid || hasGroup(this.groups, gid);
  }
  /** As isInGroup with the effective group (ids that a call names). */
  isInEffectiveGroup(gid: number): boolean {
    return gid === this.egid || hasGroup(this.groups, gid);
  }
}

/** Credentials of a user by id with the given capabilities in every set but ambient; for boot and tests. */
export function newCredentials(
  uid: number,
  gid: number,
  groups: readonly number[],
  capabilities: CapabilitySet,
): Credentials {
  return new Credentials({
    uid,
    gid,
    euid: uid,
    egid: gid,
    suid: uid,
    sgid: gid,
    fsuid: uid,
    fsgid: gid,
    groups: [...groups].sort((a, b) => a - b),
    permitted: capabilities,
    effective: capabilities,
    inheritable: NO_CAPABILITIES,
    bounding: capabilities,
    ambient: NO_CAPABILITIES,
    securebits: 0,
    noNewPrivs: false,
  });
}

/** Whether `credentials` has `capability` in its effective set. */
export function hasCapability(credentials: Credentials, capability: number): boolean {
  return credentials.effective.has(capability);
}

/** Whether `gid` is among sorted `groups`. */
function hasGroup(groups: readonly number[], gid: number): boolean {
  let from = 0;
  let to = groups.length;
  while (from < to) {
    const middle = (from + to) >> 1;
    if (groups[middle] < gid) from = middle + 1;
    else to = middle;
  }
  return from < groups.length && groups[from] === gid;
}
