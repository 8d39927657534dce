// mqueue: the file system of POSIX message queues, one per IPC namespace. Linux: ipc/mqueue.c, mq_overview(7). A flat
// directory; each file is a queue, and reading it gives one line of status.

import { EINVAL, EMFILE, ENOSPC, EPERM } from "../abi/errno.ts";
import { S_IFDIR, S_IFMT, S_IFREG, S_ISVTX } from "../abi/file.ts";
import { CAP_SYS_RESOURCE, RLIMIT_MSGQUEUE } from "../abi/task.ts";
import { MessageQueue } from "../ipc/mqueue.ts";
import type { IpcNamespace } from "../task/namespaces.ts";
import type { Task } from "../task/task.ts";
import { type UserAccount, userAccount } from "../task/user_account.ts";
import { latin1ToBytes } from "../util/bytes.ts";
import type { IpcParameters } from "../util/parameters.ts";
import { INODE_COST } from "../util/kernel_memory.ts";
import { File, seekWithin } from "../vfs/file.ts";
import type { FilesystemStat, FilesystemType } from "../vfs/filesystem.ts";
import type { NewNode } from "../vfs/inode.ts";
import { Tmpfs, TmpfsInode } from "./tmpfs.ts";

const MQUEUE_MAGIC = 0x1980_0202;
/** Bytes that RLIMIT_MSGQUEUE counts for a message beside its data: struct msg_msg and struct posix_msg_tree_node. */
const MESSAGE_COST = 48 + 48;
/** FILENT_SIZE: the size that each file shows. */
const TEXT_BYTES = 80;

/** The file system of the IPC namespace of `task`. */
export function mqueueFilesystem(task: Task): MqueueFilesystem {
  const namespace: IpcNamespace = task.namespaces.ipc;
  if (namespace.mqueues !== null) return namespace.mqueues;
  const fs = new MqueueFilesystem(task);
  // The namespace holds it, so it exists without being mounted.
  fs.hold();
  namespace.held.push({ release: () => fs.drop() });
  namespace.mqueues = fs;
  return fs;
}

export class MqueueFilesystem extends Tmpfs {
  readonly parameters: IpcParameters;
  /** Queues, those that are removed but open too. */
  queues = 0;

  constructor(task: Task) {
    const options = { mode: S_ISVTX | 0o777, uid: 0, gid: 0, sizeBytes: Infinity, inodes: Infinity };
    super(task.kernel, options, "", "mqueue");
    this.parameters = task.namespaces.ipc.parameters;
  }

  override newInode(mode: number, uid: number, gid: number): TmpfsInode | number {
    this.inodesUsed++;
    // Not refused here: RLIMIT_MSGQUEUE limits queues.
    this.account.force(INODE_COST);
    const ino = this.vfs.inodeNumbers.next();
    return (mode & S_IFMT) === S_IFDIR
      ? new MqueueDirectory(this, ino, mode, uid, gid)
      : new MqueueInode(this, ino, mode, uid, gid);
  }

  /** Makes a queue with the given sizes as `name`, which must be free. */
  makeQueue(
    task: Task,
    name: string,
    node: NewNode,
    messagesMax: number,
    bytesMax: number,
  ): MqueueInode | number {
    if (this.queues >= this.parameters.mqueuesMax && !task.credentials.has(CAP_SYS_RESOURCE)) return -ENOSPC;
    const account = userAccount(task.kernel, task.credentials.uid);
    const bytes = messagesMax * (bytesMax + MESSAGE_COST);
    if (account.messageQueueBytes + bytes > task.threadGroup.limits.soft(RLIMIT_MSGQUEUE)) return -EMFILE;
    const made = this.root.create(name, node) as MqueueInode | number;
    if (typeof made === "number") return made;
    made.messages = new MessageQueue(messagesMax, bytesMax);
    made.count(account, bytes);
    return made;
  }

  override release(): void {
    for (const { inode } of this.root.entries!.values()) inode.onFree();
    super.release();
  }

  override statfs(into: FilesystemStat): number {
    super.statfs(into);
    into.type = MQUEUE_MAGIC;
    return 0;
  }
}

/** The directory: queues can be made and removed, nothing else. */
class MqueueDirectory extends TmpfsInode {
  override mkdir(): number {
    return -EPERM;
  }
  override mknod(): number {
    return -EPERM;
  }
  override symlink(): number {
    return -EPERM;
  }
  override link(): number {
    return -EPERM;
  }
  override rename(): number {
    return -EPERM;
  }
  override createUnnamed(): number {
    return -EPERM;
  }
  /** mq_open(2) and mq_unlink(2) change it behind the dentry cache. */
  override get isCacheable(): boolean {
    return false;
  }
}

export class MqueueInode extends TmpfsInode {
  /** A queue made by creat(2) has the default sizes. */
  messages: MessageQueue;
  /** The account that counts the queue, and the bytes counted. */
  #account: UserAccount | null = null;
  #counted = 0;

  constructor(fs: MqueueFilesystem, ino: number, mode: number, uid: number, gid: number) {
    super(fs, ino, mode, uid, gid);
    this.messages = new MessageQueue(defaultMessages(fs.parameters), defaultBytes(fs.parameters));
    this.size = TEXT_BYTES;
    fs.queues++;
  }

  count(account: UserAccount, bytes: number): void {
    account.messageQueueBytes += bytes;
    this.#account = account;
    this.#counted = bytes;
  }

  override onFree(): void {
    (this.fs as MqueueFilesystem).queues--;
    if (this.#account !== null) this.#account.messageQueueBytes -= this.#counted;
    this.#account = null;
  }

  override open(_task: Task, flags: number): File | number {
    return new MqueueFile(this, flags);
  }
}

export class MqueueFile extends File {
  declare readonly inode: MqueueInode;

  constructor(inode: MqueueInode, flags: number) {
    super(inode, flags, inode.messages.queue);
    inode.hold();
  }

  get messages(): MessageQueue {
    return this.inode.messages;
  }
  override get isPollable(): boolean {
    return true;
  }
  override get isSeekable(): boolean {
    return true;
  }
  override seek(offset: number, whence: number): number {
    return seekWithin(this, offset, whence, TEXT_BYTES);
  }
  override read(_task: Task, into: Uint8Array, at: number, length: number, offset: number): number {
    const text = latin1ToBytes(this.messages.text);
    const n = Math.max(0, Math.min(length, text.length - offset));
    into.set(text.subarray(offset, offset + n), at);
    return n;
  }
  override readiness(): number {
    return this.messages.readiness();
  }
  /** close(2) removes the registration of the process (mq_notify(3)). */
  override flush(task: Task): number {
    this.messages.unregister(task.threadGroup);
    return 0;
  }
  override release(): void {
    super.release();
    this.inode.drop();
  }
}

export const MQUEUE_TYPE: FilesystemType = {
  name: "mqueue",
  hasNoDevice: true,
  isUserMountable: true,
  mount: (task, _source, options) => options === "" ? mqueueFilesystem(task) : -EINVAL,
};

/** The size of a queue made without attributes: mqueue_get_inode(). */
export function defaultMessages({ mqueueMessagesDefault, mqueueMessagesMax }: IpcParameters): number {
  return Math.min(mqueueMessagesDefault, mqueueMessagesMax);
}
export function defaultBytes({ mqueueBytesDefault, mqueueBytesMax }: IpcParameters): number {
  return Math.min(mqueueBytesDefault, mqueueBytesMax);
}

/** Type and permissions of a queue made by mq_open(2). */
export function queueMode(mode: number): number {
  return S_IFREG | (mode & 0o777);
}
