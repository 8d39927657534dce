// Who a task is after execve(2): set-user-id files, file capabilities, the ambient set, no_new_privs. Linux:
// bprm_fill_uid(), cap_bprm_creds_from_file(); capabilities(7) "Transformation of capabilities during execve()".

import { EINVAL, ENODATA, EPERM } from "../abi/errno.ts";
import { MS_NOSUID, S_ISGID, S_ISUID, S_IXGRP } from "../abi/file.ts";
import { u32 } from "../abi/struct.ts";
import { CAP_SETUID, SECBIT_KEEP_CAPS, SECBIT_NOROOT } from "../abi/task.ts";
import type { Program } from "../loader/program.ts";
import { CAPABILITY_XATTR } from "../vfs/attributes.ts";
import { CapabilitySet, type Credentials, NO_CAPABILITIES } from "./credentials.ts";
import type { Task } from "./task.ts";

// struct vfs_cap_data: magic_etc, then permitted and inheritable words; version 1 has one pair of them, 2 and 3 two.
const REVISION_MASK = 0xff00_0000;
const REVISION_1 = 0x0100_0000;
const REVISION_2 = 0x0200_0000;
const REVISION_3 = 0x0300_0000;
const FLAG_EFFECTIVE = 1;
const ROOT_ID_AT = 20;

interface FileCapabilities {
  readonly permitted: CapabilitySet;
  readonly inheritable: CapabilitySet;
  readonly isEffective: boolean;
}

/** Credentials after execve, and whether the program runs with more than its caller had: AT_SECURE. */
export interface ExecCredentials {
  readonly credentials: Credentials;
  readonly isSecure: boolean;
}

/** What `task` becomes by running `program`; -EPERM or -EINVAL where its file capabilities cannot be given. */
export function credentialsAfterExec(task: Task, program: Program): ExecCredentials | number {
  const old = task.credentials;
  const { inode } = program.file;
  const maySuid = program.path === null || (program.path.mount.flags & MS_NOSUID) === 0;
  let euid = old.euid, egid = old.egid;
  if (maySuid && !old.noNewPrivs) {
    if ((inode.mode & S_ISUID) !== 0) euid = inode.uid;
    if ((inode.mode & (S_ISGID | S_IXGRP)) === (S_ISGID | S_IXGRP)) egid = inode.gid;
  }
  const honoursRoot = (old.securebits & SECBIT_NOROOT) === 0;
  const given = maySuid ? fileCapabilities(old, program, euid, honoursRoot) : null;
  if (typeof given === "number") return given;

  let permitted = NO_CAPABILITIES, isEffective = false;
  if (given !== null) {
    permitted = given.permitted.and(old.bounding).or(given.inheritable.and(old.inheritable));
    isEffective = given.isEffective;
    // A program that asks for its capabilities this way would not notice that it lacks some.
    if (isEffective && !given.permitted.isSubsetOf(permitted)) return -EPERM;
  }
  const isSetuidRoot = euid === 0 && old.uid !== 0;
  if (honoursRoot && !(given !== null && isSetuidRoot)) {
    if (euid === 0 || old.uid === 0) permitted = old.bounding.or(old.inheritable);
    if (euid === 0) isEffective = true;
  }
  const isSetId = euid !== old.uid || egid !== old.gid;
  const gains = isSetId || !permitted.isSubsetOf(old.permitted);
  if (gains && (old.noNewPrivs || sharesFilesystemContext(task))) {
    // No more than it had, and maybe less.
    if (old.noNewPrivs || !old.has(CAP_SETUID)) {
      euid = old.uid;
      egid = old.gid;
    }
    permitted = permitted.and(old.permitted);
  }
  const ambient = given !== null || isSetId ? NO_CAPABILITIES : old.ambient;
  permitted = permitted.or(ambient);
  const credentials = old.with({
    euid,
    egid,
    suid: euid,
    sgid: egid,
    fsuid: euid,
    fsgid: egid,
    permitted,
    effective: isEffective ? permitted : ambient,
    ambient,
    securebits: old.securebits & ~SECBIT_KEEP_CAPS,
  });
  const isSecure = isSetId || (old.uid !== 0 && (isEffective || !permitted.isSubsetOf(ambient)));
  return { credentials, isSecure };
}

/** LSM_UNSAFE_SHARE: someone outside the process could change its root under a privileged program. */
function sharesFilesystemContext(task: Task): boolean {
  let own = 0;
  for (const other of task.threadGroup.tasks) if (!other.hasExited && other.fs === task.fs) own++;
  return task.fs.references > own;
}

/** The file's capabilities; null without. */
function fileCapabilities(
  old: Credentials,
  program: Program,
  euid: number,
  honoursRoot: boolean,
): FileCapabilities | null | number {
  // They change nothing for root, who gets everything anyway: its programs are spared the look.
  if (honoursRoot && old.uid === 0 && euid === 0 && old.ambient.isEmpty) return null;
  // A slow gofer must not cost the program its capabilities.
  const { inode } = program.file;
  const value = inode.fs.vfs.indivisibly(() => inode.getXattr(CAPABILITY_XATTR));
  if (typeof value === "number" || value.length < 4) return null;
  const capabilities = parseCapabilities(value);
  return capabilities === -ENODATA ? null : capabilities;
}

/** struct vfs_cap_data. -EINVAL where it is none, -ENODATA where it is for another user namespace. */
export function parseCapabilities(value: Uint8Array): FileCapabilities | number {
  const magic = u32(value, 0);
  const revision = (magic & REVISION_MASK) >>> 0;
  const isLong = revision === REVISION_2 || revision === REVISION_3;
  const bytes = revision === REVISION_1
    ? 12
    : revision === REVISION_2
    ? 20
    : revision === REVISION_3
    ? 24
    : 0;
  if (bytes === 0 || value.length !== bytes) return -EINVAL;
  if (revision === REVISION_3 && u32(value, ROOT_ID_AT) !== 0) return -ENODATA;
  return {
    permitted: new CapabilitySet(u32(value, 4), isLong ? u32(value, 12) : 0),
    inheritable: new CapabilitySet(u32(value, 8), isLong ? u32(value, 16) : 0),
    isEffective: (magic & FLAG_EFFECTIVE) !== 0,
  };
}
