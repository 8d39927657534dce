// Process groups and sessions: job control's units. Linux: PIDTYPE_PGID, PIDTYPE_SID; setpgid(2), setsid(2), credentials(7).

import type { Pid } from "./pid.ts";
import type { ThreadGroup } from "./thread_group.ts";

/** What job control needs of a terminal; the tty room implements it. */
export interface SessionTerminal {
  /** Who may read and gets the signals of the keyboard. */
  foreground: ProcessGroup | null;
  /** Major and minor as tty_nr of /proc/PID/stat has them. */
  readonly deviceNumber: number;
  /** Below /dev: "pts/0". */
  readonly name: string;
  /** The session has let go of it: it is nobody's. */
  onSessionEnd(): void;
}

export class Session {
  readonly pid: Pid;
  /** null once the leader has exited. */
  leader: ThreadGroup | null;
  readonly groups = new Set<ProcessGroup>();
  /** Controlling terminal, or null. */
  terminal: SessionTerminal | null = null;
  /** Who stood in the foreground of a terminal that was hung up: told when the leader exits (tty_old_pgrp). */
  lostForeground: ProcessGroup | null = null;
  /** Nice value of its autogroup: stored and shown. */
  nice = 0;

  constructor(pid: Pid, leader: ThreadGroup) {
    this.pid = pid;
    this.leader = leader;
    pid.session = this;
  }
}

export class ProcessGroup {
  readonly pid: Pid;
  readonly session: Session;
  readonly members = new Set<ThreadGroup>();

  constructor(pid: Pid, session: Session) {
    this.pid = pid;
    this.session = session;
    pid.group = this;
    session.groups.add(this);
  }

  /**
   * No member has a parent in the same session but another group: nobody could continue it after a stop. `ignored` is a
   * process that is about to leave and counts neither as member nor as parent. Linux: will_become_orphaned_pgrp().
   */
  isOrphaned(ignored: ThreadGroup | null = null): boolean {
    for (const member of this.members) {
      if (member === ignored || member.liveCount === 0) continue;
      const parent = member.parent;
      if (parent === null) continue;
      if (parent.processGroup !== this && parent.processGroup.session === this.session) return false;
    }
    return true;
  }

  /** A member is stopped by job control. */
  get hasStoppedMember(): boolean {
    for (const member of this.members) {
      if (member.isStopped) return true;
    }
    return false;
  }
}

/** Moves `member` into `group`, and lets its old group and session go when they are empty. */
export function joinProcessGroup(member: ThreadGroup, group: ProcessGroup): void {
  const old = member.processGroup;
  if (old === group) return;
  member.processGroup = group;
  group.members.add(member);
  leave(member, old);
}

/** `member` is reaped: it leaves its group for good. */
export function leaveProcessGroup(member: ThreadGroup): void {
  leave(member, member.processGroup);
}

function leave(member: ThreadGroup, group: ProcessGroup): void {
  group.members.delete(member);
  if (group.members.size > 0) return;
  group.pid.group = null;
  group.pid.dropIfUnused();
  const session = group.session;
  session.groups.delete(group);
  if (session.groups.size > 0) return;
  session.pid.session = null;
  session.pid.dropIfUnused();
}
