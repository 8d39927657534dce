// Who may look into another process: its memory, environment, descriptors. Linux: ptrace_may_access(), ptrace(2) "Ptrace
// access mode checking".

import { EPERM } from "../abi/errno.ts";
import { CAP_SYS_PTRACE } from "../abi/task.ts";
import type { Credentials } from "./credentials.ts";
import type { Task } from "./task.ts";

/** Modes: what is compared, the file system ids (/proc) or the real ones (ptrace, process_vm_readv, kcmp). */
export const FSCREDS = 1;
export const REALCREDS = 2;

/** 0 when `task` may access `other` in mode FSCREDS or REALCREDS, else -EPERM. */
export function mayTrace(task: Task, other: Task, mode: number): number {
  if (task.threadGroup === other.threadGroup) return 0;
  const mine = task.credentials, theirs = other.credentials;
  if (mine.has(CAP_SYS_PTRACE)) return 0;
  const uid = mode === FSCREDS ? mine.fsuid : mine.uid;
  const gid = mode === FSCREDS ? mine.fsgid : mine.gid;
  if (!isAllOf(theirs, uid, gid) || other.mm.dumpable !== 1) return -EPERM;
  // cap_ptrace_access_check(): who can do more may not be looked into.
  const capabilities = mode === FSCREDS ? mine.effective : mine.permitted;
  return theirs.permitted.isSubsetOf(capabilities) ? 0 : -EPERM;
}

function isAllOf(other: Credentials, uid: number, gid: number): boolean {
  return uid === other.uid && uid === other.euid && uid === other.suid &&
    gid === other.gid && gid === other.egid && gid === other.sgid;
}
