// What travels with the bytes of a socket call: addresses, descriptors, credentials. One object of each kind serves all
// calls, as the kernel runs one at a time; a socket copies what it keeps. Linux: struct msghdr, struct scm_cookie.

import type { Pid } from "../task/pid.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import type { File } from "../vfs/file.ts";

/** sizeof(struct sockaddr_storage): the longest address a call may give. */
export const ADDRESS_BYTES_MAX = 128;
/** SCM_MAX_FD: descriptors of one message. */
export const RIGHTS_MAX = 253;
/** What a user id is to somebody who cannot see it (overflowuid). */
export const UNKNOWN_ID = 65534;

/** A socket address: family, then what the family says. */
export class SocketAddress {
  readonly bytes = new Uint8Array(ADDRESS_BYTES_MAX);
  /** Bytes in use; 0 = no address. */
  length = 0;

  get family(): number {
    return this.length < 2 ? 0 : this.bytes[0] | this.bytes[1] << 8;
  }
}

/** Ids of the sender of a message, or of the peer: SCM_CREDENTIALS, SO_PEERCRED. Immutable. */
export class SocketCredentials {
  readonly pid: Pid | null;
  readonly uid: number;
  readonly gid: number;
  /** Whose pid it is, for a pidfd: it can be had of a process that is long gone. */
  readonly group: ThreadGroup | null;
  /** Supplementary groups: SO_PEERGROUPS. */
  readonly groups: readonly number[];

  constructor(pid: Pid | null, uid: number, gid: number, groups: readonly number[] = []) {
    this.pid = pid;
    this.uid = uid;
    this.gid = gid;
    this.group = pid?.task?.threadGroup ?? null;
    this.groups = groups;
  }

  equals(other: SocketCredentials | null): boolean {
    return other !== null && this.pid === other.pid && this.uid === other.uid && this.gid === other.gid;
  }
}

export const NO_CREDENTIALS = new SocketCredentials(null, UNKNOWN_ID, UNKNOWN_ID);

/** What a message of `task` says of its sender: real ids. */
export function messageCredentials(task: Task): SocketCredentials {
  return new SocketCredentials(task.threadGroup.pid, task.credentials.uid, task.credentials.gid);
}

/** What SO_PEERCRED says of `task`: effective ids. */
export function peerCredentials(task: Task): SocketCredentials {
  const { euid, egid, groups } = task.credentials;
  return new SocketCredentials(task.threadGroup.pid, euid, egid, groups);
}

/** Besides the bytes of sendto(2) or sendmsg(2). */
export class OutgoingMessage {
  readonly address = new SocketAddress();
  /** SCM_RIGHTS: held once each; the receiver that takes them over sets this to null. */
  files: File[] | null = null;
  /** SCM_CREDENTIALS, checked. */
  credentials: SocketCredentials | null = null;
  /** The socket has taken control messages of its own (Socket.takeControl). */
  hasControl = false;

  clear(): void {
    this.address.length = 0;
    this.dropFiles();
    this.credentials = null;
    this.hasControl = false;
  }

  /** Gives back files that nobody has taken. */
  dropFiles(): void {
    const files = this.files;
    this.files = null;
    if (files !== null) { for (const file of files) file.drop(); }
  }
}

/** Besides the bytes of recvfrom(2) or recvmsg(2). */
export class IncomingMessage {
  /** Where it came from. */
  readonly address = new SocketAddress();
  /** MSG_TRUNC, MSG_CTRUNC, MSG_EOR. */
  flags = 0;
  /** SCM_RIGHTS: held once each for the caller. */
  files: File[] | null = null;
  /** The sender's where the socket passes them, as SCM_CREDENTIALS, as SCM_PIDFD, or as both. */
  credentials: SocketCredentials | null = null;
  wantsCredentials = false;
  wantsPidfd = false;
  /** The socket has control messages of its own to tell (Socket.putControl). */
  hasControl = false;

  clear(): void {
    this.address.length = 0;
    this.flags = 0;
    this.hasControl = false;
    this.wantsCredentials = false;
    this.wantsPidfd = false;
    this.dropFiles();
    this.credentials = null;
  }

  dropFiles(): void {
    const files = this.files;
    this.files = null;
    if (files !== null) { for (const file of files) file.drop(); }
  }
}
