// System V shared memory: segments that are memory files, mapped by shmat(2). Linux: ipc/shm.c. Each mapping holds
// the segment's file, so attachments are counted where mappings begin and end: munmap, fork, execve, exit.

import { EINVAL, ENOMEM, ENOSPC } from "../../abi/errno.ts";
import { O_RDONLY, O_RDWR, S_IFREG } from "../../abi/file.ts";
import { SHM_DEST } from "../../abi/ipc.ts";
import { PAGE_SIZE, pageUp } from "../../abi/memory.ts";
import { put32, put64, zero } from "../../abi/struct.ts";
import { SHMID_BYTES } from "../../abi/ipc.ts";
import { internalMount } from "../../fs/anonymous/memfd.ts";
import type { Tmpfs, TmpfsInode } from "../../fs/tmpfs.ts";
import { TmpfsRegularFile } from "../../fs/tmpfs_files.ts";
import type { Pid } from "../../task/pid.ts";
import type { Task } from "../../task/task.ts";
import { Dentry } from "../../vfs/dentry.ts";
import { Path } from "../../vfs/path.ts";
import { type IpcIds, IpcObject } from "./ids.ts";

/** SHMMIN, and the most that one can be whatever kernel.shmmax says. */
export const SEGMENT_BYTES_MIN = 1;
export const SEGMENT_BYTES_MAX = 2 ** 46;
/** The high and low words of what IPC_INFO says of shmmax and shmall: SHMMAX, SHMALL of Linux, ULONG_MAX - 2^24. */
export const SHOWN_MAX_HIGH = 0xffff_ffff;
export const SHOWN_MAX_LOW = 0xfeff_ffff;
/** Fields of struct shmid64_ds. */
const SHMID = { bytes: 48, attach: 56, detach: 64, change: 72, creator: 80, last: 84, attached: 88 } as const;

export class SharedSegment extends IpcObject {
  readonly bytes: number;
  readonly #ids: IpcIds<SharedSegment>;
  readonly #creator: Pid;
  #lastPid: Pid | null = null;
  #attachSeconds = 0;
  #detachSeconds = 0;
  /** The files for ordinary and for SHM_RDONLY mappings; the segment holds each once. */
  readonly #writable: SegmentFile;
  readonly #readable: SegmentFile;

  constructor(task: Task, ids: IpcIds<SharedSegment>, key: number, bytes: number, flags: number) {
    super(task, key, flags);
    this.bytes = bytes;
    this.#ids = ids;
    this.#creator = task.threadGroup.pid;
    const mount = internalMount(task.kernel);
    const inode = (mount.fs as Tmpfs).newInode(S_IFREG | this.mode, this.uid, this.gid) as TmpfsInode;
    inode.nlink = 0;
    const name = `SYSV${(key >>> 0).toString(16).padStart(8, "0")}`;
    const dentry = new Dentry(name, mount.root, inode);
    dentry.isUnlinked = true;
    const path = new Path(mount, dentry);
    this.#writable = new SegmentFile(this, inode, O_RDWR, path);
    this.#readable = new SegmentFile(this, inode, O_RDONLY, path);
  }

  /** Allocates its memory. 0 or -ENOMEM. */
  allocate(): number {
    return this.#writable.truncate(pageUp(this.bytes)) < 0 ? -ENOMEM : 0;
  }

  /** The file that shmat(2) maps; the caller holds it. */
  file(isReadOnly: boolean): TmpfsRegularFile {
    return isReadOnly ? this.#readable : this.#writable;
  }

  /** The number of its mappings: shm_nattch. */
  get attached(): number {
    return this.#writable.references + this.#readable.references - 2;
  }

  onAttach(task: Task): void {
    this.#attachSeconds = task.kernel.clock.realtime();
    this.#lastPid = task.threadGroup.pid;
  }
  onDetach(task: Task): void {
    this.#detachSeconds = task.kernel.clock.realtime();
    this.#lastPid = task.threadGroup.pid;
  }

  /** IPC_RMID: frees the segment once it has no mapping. */
  destroy(): void {
    this.mode |= SHM_DEST;
    this.#ids.forgetKey(this);
    this.onMappingGone();
  }

  /** One of its mappings was removed. */
  onMappingGone(): void {
    if ((this.mode & SHM_DEST) === 0 || this.isRemoved || this.attached > 0) return;
    this.#ids.remove(this);
    this.#writable.drop();
    this.#readable.drop();
  }

  /** Writes struct shmid64_ds with ids as `task` sees them. */
  putStatus(task: Task, into: Uint8Array, at: number): void {
    zero(into, at, SHMID_BYTES);
    this.putPermissions(into, at);
    const namespace = task.pid.namespace;
    put64(into, at + SHMID.bytes, this.bytes);
    put64(into, at + SHMID.attach, this.#attachSeconds);
    put64(into, at + SHMID.detach, this.#detachSeconds);
    put64(into, at + SHMID.change, this.changeSeconds);
    put32(into, at + SHMID.creator, this.#creator.in(namespace));
    put32(into, at + SHMID.last, this.#lastPid === null ? 0 : this.#lastPid.in(namespace));
    put64(into, at + SHMID.attached, this.attached);
  }
}

/** An open segment; its mappings hold it. */
export class SegmentFile extends TmpfsRegularFile {
  readonly segment: SharedSegment;

  constructor(segment: SharedSegment, inode: TmpfsInode, flags: number, path: Path) {
    super(inode, flags);
    this.segment = segment;
    this.path = path;
    path.hold();
  }

  override drop(): void {
    super.drop();
    if (this.references === 1) this.segment.onMappingGone();
  }
}

/** shmget(2): makes a segment of `bytes`, or returns -ERRNO. */
export function newSegment(
  task: Task,
  ids: IpcIds<SharedSegment>,
  key: number,
  bytes: number,
  flags: number,
): SharedSegment | number {
  const { segmentBytesMax, segmentPagesMax } = task.namespaces.ipc.parameters;
  if (bytes < SEGMENT_BYTES_MIN || bytes > Math.min(segmentBytesMax, SEGMENT_BYTES_MAX)) return -EINVAL;
  if (segmentPagesMax !== Infinity && pagesOf(ids) + pageUp(bytes) / PAGE_SIZE > segmentPagesMax) {
    return -ENOSPC;
  }
  const segment = new SharedSegment(task, ids, key, bytes, flags);
  const allocated = segment.allocate();
  return allocated < 0 ? allocated : segment;
}

/** Pages of all segments, for SHM_INFO. */
export function pagesOf(ids: IpcIds<SharedSegment>): number {
  return ids.sum((segment) => pageUp(segment.bytes) / PAGE_SIZE);
}
