// Who may have how many descriptors of a process of ours, sentry or gofer: each stands for an open file, or a process, of a
// guest's. Linux bounds open files by memory alone; a process of the host's has some 20,000 to a million descriptors, and one
// guest user who took all of them would leave nobody able to fork, to execute or to open.

/** Part of what others leave that one user may have. So there is always some left for one more. */
const SHARE = 7 / 8;

/** The users of a kernel, as far as descriptors are counted. */
export interface DescriptorUsers {
  /** Real user id of the task whose call is served; -1 = the kernel is at work for nobody. */
  current(): number;
  /** Tasks of a user, and all. */
  tasksOf(uid: number): number;
  readonly tasks: number;
}

export class DescriptorQuota {
  /** The most there are for guests. */
  readonly max: number;
  /** Descriptors that a task may cost. */
  readonly #perTask: number;
  readonly #users: DescriptorUsers;
  /** Those of files: all, and by user. */
  #used = 0;
  readonly #ofUser = new Map<number, number>();

  constructor(max: number, perTask: number, users: DescriptorUsers) {
    this.max = max;
    this.#perTask = perTask;
    this.#users = users;
  }

  /** The user whose call is served may have one more. */
  get hasRoom(): boolean {
    const uid = this.#users.current();
    if (uid < 0) return true;
    const own = (this.#ofUser.get(uid) ?? 0) + this.#perTask * this.#users.tasksOf(uid);
    const others = this.#used + this.#perTask * this.#users.tasks - own;
    return own < (this.max - others) * SHARE;
  }

  /** Counts one for the user whose call is served: who it is, for give(). */
  take(): number {
    const uid = this.#users.current();
    this.#used++;
    this.#ofUser.set(uid, (this.#ofUser.get(uid) ?? 0) + 1);
    return uid;
  }

  give(uid: number): void {
    this.#used--;
    const left = this.#ofUser.get(uid)! - 1;
    if (left === 0) this.#ofUser.delete(uid);
    else this.#ofUser.set(uid, left);
  }
}
