// What is counted per real user id: tasks (RLIMIT_NPROC) and queued signals (RLIMIT_SIGPENDING). Linux: struct ucounts.

import type { Kernel } from "../kernel.ts";

export class UserAccount {
  readonly uid: number;
  /** Tasks that have not been reaped. */
  tasks = 0;
  /** Queued siginfos addressed to tasks of this user. */
  pendingSignals = 0;

  constructor(uid: number) {
    this.uid = uid;
  }
}

/** The account of a user id, made on first use. Accounts stay: there are as many as user ids in use. */
export function userAccount(kernel: Kernel, uid: number): UserAccount {
  let account = kernel.users.get(uid);
  if (account === undefined) {
    account = new UserAccount(uid);
    kernel.users.set(uid, account);
  }
  return account;
}
