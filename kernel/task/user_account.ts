// What is counted per real user id: tasks (RLIMIT_NPROC), queued signals (RLIMIT_SIGPENDING), POSIX message queues
// (RLIMIT_MSGQUEUE), pages of pipes, watches of epoll and inotify. Linux: struct ucounts, struct user_struct.

import type { DescriptorUsers } from "../host/descriptor_quota.ts";
import type { Kernel } from "../kernel.ts";
import { noNamespaces } from "../util/parameters.ts";

export class UserAccount {
  readonly uid: number;
  /** Tasks that have not been reaped. */
  tasks = 0;
  /** Queued siginfos addressed to tasks of this user, and POSIX timers, each of which has one ready. */
  pendingSignals = 0;
  /** What its POSIX message queues may come to hold. */
  messageQueueBytes = 0;
  /** Pages its pipes may hold. */
  pipePages = 0;
  epollItems = 0;
  inotifyInstances = 0;
  inotifyWatches = 0;
  /** Namespaces that it has made and that live. */
  readonly namespaces = noNamespaces();

  constructor(uid: number) {
    this.uid = uid;
  }
}

/** The users of `kernel`, for what is counted by them elsewhere. */
export function descriptorUsers(kernel: Kernel): DescriptorUsers {
  return {
    current: () => kernel.currentTask?.credentials.uid ?? -1,
    tasksOf: (uid) => kernel.users.get(uid)?.tasks ?? 0,
    get tasks() {
      return kernel.tasks.size;
    },
  };
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
