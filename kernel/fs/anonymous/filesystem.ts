// File systems whose inodes belong to files without a name; they cannot be mounted. Linux: fs/anon_inodes.c,
// fs/pipe.c (pipefs), net/socket.c (sockfs). fs/pseudo.ts lists those of a kernel.

import { ENXIO } from "../../abi/errno.ts";
import { S_IFIFO, S_IFSOCK } from "../../abi/file.ts";
import { put32 } from "../../abi/struct.ts";
import type { Kernel } from "../../kernel.ts";
import type { Clock } from "../../time/clock.ts";
import type { Task } from "../../task/task.ts";
import type { WaitQueue } from "../../util/wait_queue.ts";
import { File } from "../../vfs/file.ts";
import { Filesystem, type FilesystemStat } from "../../vfs/filesystem.ts";
import {
  ATTR_ATIME,
  ATTR_CTIME,
  ATTR_GID,
  ATTR_MODE,
  ATTR_MTIME,
  ATTR_UID,
  type AttributeChange,
  Inode,
} from "../../vfs/inode.ts";
import { openSpecial } from "../../vfs/special.ts";
import type { Vfs } from "../../vfs/vfs.ts";

/** An inode that is reached through open files only. */
class AnonymousInode extends Inode {
  /** Reopening through /proc/PID/fd/N: a pipe opens as a FIFO does; sockets and anonymous files answer ENXIO. */
  override open(task: Task, flags: number): File | number {
    return this.type === S_IFIFO ? openSpecial(task, this, flags) : -ENXIO;
  }

  /** fchmod(2) and fchown(2) work on pipes and sockets; the other changes have no meaning for them. */
  override setattr(change: AttributeChange): number {
    if ((change.mask & ATTR_MODE) !== 0) this.mode = (this.mode & ~0o7777) | (change.mode & 0o7777);
    if ((change.mask & ATTR_UID) !== 0) this.uid = change.uid;
    if ((change.mask & ATTR_GID) !== 0) this.gid = change.gid;
    if ((change.mask & ATTR_ATIME) !== 0) {
      this.atimeSec = change.atimeSec;
      this.atimeNsec = change.atimeNsec;
    }
    if ((change.mask & ATTR_MTIME) !== 0) {
      this.mtimeSec = change.mtimeSec;
      this.mtimeNsec = change.mtimeNsec;
    }
    if ((change.mask & ATTR_CTIME) !== 0) {
      this.ctimeSec = change.ctimeSec;
      this.ctimeNsec = change.ctimeNsec;
    }
    return 0;
  }
}

export class AnonymousFilesystem extends Filesystem {
  readonly #magic: number;
  #nextInode = 1;
  readonly #root: AnonymousInode;

  constructor(vfs: Vfs, type: string, magic: number) {
    super(vfs, type);
    this.#magic = magic;
    this.#root = new AnonymousInode(this, this.#nextInode++, 0o600, 0, 0);
  }

  /**
   * The root of anon_inodefs is the one inode of all its files. Pipes and sockets have an inode each and never show
   * the root.
   */
  override get root(): AnonymousInode {
    return this.#root;
  }

  override statfs(into: FilesystemStat): number {
    into.type = this.#magic;
    return 0;
  }

  newInode(clock: Clock, mode: number, uid: number, gid: number): AnonymousInode {
    const inode = new AnonymousInode(this, this.#nextInode++, mode, uid, gid);
    inode.atimeSec =
      inode.mtimeSec =
      inode.ctimeSec =
      inode.birthSec =
        clock.realtime();
    inode.atimeNsec =
      inode.mtimeNsec =
      inode.ctimeNsec =
      inode.birthNsec =
        clock.nanoseconds;
    return inode;
  }
}

/** Makes the inode of a pipe(2) that `task` creates. */
export function newPipeInode(task: Task): AnonymousInode {
  const who = task.credentials;
  return task.kernel.pseudo.pipefs.newInode(task.kernel.clock, S_IFIFO | 0o600, who.fsuid, who.fsgid);
}

/** Makes the inode of a socket that `task` creates. */
export function newSocketInode(task: Task): AnonymousInode {
  const who = task.credentials;
  return task.kernel.pseudo.sockfs.newInode(task.kernel.clock, S_IFSOCK | 0o777, who.fsuid, who.fsgid);
}

/** A file on the one inode of anon_inodefs: eventfd, epoll, timerfd and others. */
export abstract class AnonymousFile extends File {
  /** The text between the brackets of its link: "[eventfd]". */
  readonly #kind: string;

  constructor(kernel: Kernel, kind: string, flags: number, queue?: WaitQueue) {
    super(kernel.pseudo.anonInodefs.root, flags, queue);
    this.#kind = kind;
  }

  override get linkText(): string {
    return `anon_inode:${this.#kind}`;
  }

  override get canSplice(): boolean {
    return false;
  }

  /** noop_llseek(): every lseek(2) returns the position, which never moves. */
  override seek(_offset: number, _whence: number): number {
    return 0;
  }
}

const word = new Uint8Array(4);

/** Stores an ioctl's result, one int, at `address`. */
export function putIntResult(task: Task, address: number, value: number): number {
  put32(word, 0, value);
  return task.memory.copyOut(address, word, 0, 4);
}
