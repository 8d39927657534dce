// How credentials change: the rules of setuid(2), setresuid(2), capset(2) and of what happens to capabilities on the way.
// Linux: kernel/sys.c, security/commoncap.c; capabilities(7) "Effect of user ID changes on capabilities".

import { EINVAL, EPERM } from "../abi/errno.ts";
import {
  CAP_CHOWN,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MAC_OVERRIDE,
  CAP_MKNOD,
  CAP_SETGID,
  CAP_SETPCAP,
  CAP_SETUID,
  SECBIT_KEEP_CAPS,
  SECBIT_NO_SETUID_FIXUP,
} from "../abi/task.ts";
import { CapabilitySet, type Credentials, hasCapability, NO_CAPABILITIES } from "./credentials.ts";
import type { Task } from "./task.ts";
import { userAccount } from "./user_account.ts";

/** uid_t and gid_t -1: "leave it". */
export const UNCHANGED = 0xffff_ffff;

/** Capabilities that go with the file system uid: CAP_FS_SET. */
const FILE_CAPABILITIES = CapabilitySet.of([
  CAP_CHOWN,
  CAP_MKNOD,
  CAP_DAC_OVERRIDE,
  CAP_DAC_READ_SEARCH,
  CAP_FOWNER,
  CAP_FSETID,
  CAP_LINUX_IMMUTABLE,
  CAP_MAC_OVERRIDE,
]);

/** Makes `next` the task's credentials: commit_creds(). Another identity is not to be inspected nor told of its parent's end. */
export function commitCredentials(task: Task, next: Credentials): void {
  const old = task.credentials;
  const isOther = old.euid !== next.euid || old.egid !== next.egid || old.fsuid !== next.fsuid ||
    old.fsgid !== next.fsgid || !next.permitted.isSubsetOf(old.permitted);
  if (isOther) {
    task.mm.dumpable = task.kernel.parameters.dumpableAfterSetid;
    task.parentDeathSignal = 0;
  }
  if (old.uid !== next.uid) {
    userAccount(task.kernel, old.uid).tasks--;
    userAccount(task.kernel, next.uid).tasks++;
  }
  task.credentials = next;
}

/** setuid(2). The new credentials or -ERRNO, as for all that follow. */
export function changeUid(old: Credentials, uid: number): Credentials | number {
  if (uid === UNCHANGED) return -EINVAL;
  if (hasCapability(old, CAP_SETUID)) return fixCapabilities(old, uid, uid, uid);
  if (uid !== old.uid && uid !== old.suid) return -EPERM;
  return fixCapabilities(old, old.uid, uid, old.suid);
}

/** setreuid(2). */
export function changeRealUid(old: Credentials, ruid: number, euid: number): Credentials | number {
  const isFree = hasCapability(old, CAP_SETUID);
  if (ruid !== UNCHANGED && ruid !== old.uid && ruid !== old.euid && !isFree) return -EPERM;
  if (euid !== UNCHANGED && euid !== old.uid && euid !== old.euid && euid !== old.suid && !isFree) {
    return -EPERM;
  }
  const uid = ruid === UNCHANGED ? old.uid : ruid;
  const effective = euid === UNCHANGED ? old.euid : euid;
  const takesSaved = ruid !== UNCHANGED || (euid !== UNCHANGED && euid !== old.uid);
  return fixCapabilities(old, uid, effective, takesSaved ? effective : old.suid);
}

/** setresuid(2). */
export function changeUids(old: Credentials, ruid: number, euid: number, suid: number): Credentials | number {
  if (!hasCapability(old, CAP_SETUID)) {
    if (!isOwnUid(old, ruid) || !isOwnUid(old, euid) || !isOwnUid(old, suid)) return -EPERM;
  }
  return fixCapabilities(
    old,
    ruid === UNCHANGED ? old.uid : ruid,
    euid === UNCHANGED ? old.euid : euid,
    suid === UNCHANGED ? old.suid : suid,
  );
}

function isOwnUid(old: Credentials, uid: number): boolean {
  return uid === UNCHANGED || uid === old.uid || uid === old.euid || uid === old.suid;
}

/** setfsuid(2); the same object when it is not allowed. */
export function changeFileUid(old: Credentials, uid: number): Credentials {
  if (uid === UNCHANGED || uid === old.fsuid) return old;
  if (!isOwnUid(old, uid) && !hasCapability(old, CAP_SETUID)) return old;
  let effective = old.effective;
  if ((old.securebits & SECBIT_NO_SETUID_FIXUP) === 0) {
    if (old.fsuid === 0) effective = effective.without(FILE_CAPABILITIES);
    else if (uid === 0) effective = effective.or(old.permitted.and(FILE_CAPABILITIES));
  }
  return old.with({ fsuid: uid, effective });
}

/** New uids, with the capabilities that root's leaving takes and becoming root effectively gives: cap_emulate_setxuid(). */
function fixCapabilities(old: Credentials, uid: number, euid: number, suid: number): Credentials {
  let { permitted, effective, ambient } = old;
  if ((old.securebits & SECBIT_NO_SETUID_FIXUP) === 0) {
    const wasRoot = old.uid === 0 || old.euid === 0 || old.suid === 0;
    if (wasRoot && uid !== 0 && euid !== 0 && suid !== 0) {
      if ((old.securebits & SECBIT_KEEP_CAPS) === 0) {
        permitted = NO_CAPABILITIES;
        effective = NO_CAPABILITIES;
      }
      ambient = NO_CAPABILITIES;
    }
    if (old.euid === 0 && euid !== 0) effective = NO_CAPABILITIES;
    if (old.euid !== 0 && euid === 0) effective = permitted;
  }
  return old.with({ uid, euid, suid, fsuid: euid, permitted, effective, ambient });
}

/** setgid(2). */
export function changeGid(old: Credentials, gid: number): Credentials | number {
  if (gid === UNCHANGED) return -EINVAL;
  if (hasCapability(old, CAP_SETGID)) return old.with({ gid, egid: gid, sgid: gid, fsgid: gid });
  if (gid !== old.gid && gid !== old.sgid) return -EPERM;
  return old.with({ egid: gid, fsgid: gid });
}

/** setregid(2). */
export function changeRealGid(old: Credentials, rgid: number, egid: number): Credentials | number {
  const isFree = hasCapability(old, CAP_SETGID);
  if (rgid !== UNCHANGED && rgid !== old.gid && rgid !== old.egid && !isFree) return -EPERM;
  if (egid !== UNCHANGED && egid !== old.gid && egid !== old.egid && egid !== old.sgid && !isFree) {
    return -EPERM;
  }
  const effective = egid === UNCHANGED ? old.egid : egid;
  const takesSaved = rgid !== UNCHANGED || (egid !== UNCHANGED && egid !== old.gid);
  return old.with({
    gid: rgid === UNCHANGED ? old.gid : rgid,
    egid: effective,
    sgid: takesSaved ? effective : old.sgid,
    fsgid: effective,
  });
}

/** setresgid(2). */
export function changeGids(old: Credentials, rgid: number, egid: number, sgid: number): Credentials | number {
  if (!hasCapability(old, CAP_SETGID)) {
    if (!isOwnGid(old, rgid) || !isOwnGid(old, egid) || !isOwnGid(old, sgid)) return -EPERM;
  }
  const effective = egid === UNCHANGED ? old.egid : egid;
  return old.with({
    gid: rgid === UNCHANGED ? old.gid : rgid,
    egid: effective,
    sgid: sgid === UNCHANGED ? old.sgid : sgid,
    fsgid: effective,
  });
}

function isOwnGid(old: Credentials, gid: number): boolean {
  return gid === UNCHANGED || gid === old.gid || gid === old.egid || gid === old.sgid;
}

/** setfsgid(2); the same object when it is not allowed. */
export function changeFileGid(old: Credentials, gid: number): Credentials {
  if (gid === UNCHANGED || gid === old.fsgid) return old;
  if (!isOwnGid(old, gid) && !hasCapability(old, CAP_SETGID)) return old;
  return old.with({ fsgid: gid });
}

/** capset(2): cap_capset(). */
export function changeCapabilities(
  old: Credentials,
  effective: CapabilitySet,
  permitted: CapabilitySet,
  inheritable: CapabilitySet,
): Credentials | number {
  const mayInherit = hasCapability(old, CAP_SETPCAP);
  if (!mayInherit && !inheritable.isSubsetOf(old.inheritable.or(old.permitted))) return -EPERM;
  if (!inheritable.isSubsetOf(old.inheritable.or(old.bounding))) return -EPERM;
  if (!permitted.isSubsetOf(old.permitted)) return -EPERM;
  if (!effective.isSubsetOf(permitted)) return -EPERM;
  const ambient = old.ambient.and(permitted.and(inheritable));
  return old.with({ effective, permitted, inheritable, ambient });
}
