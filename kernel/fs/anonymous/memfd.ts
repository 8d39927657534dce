// memfd_create(2): a tmpfs file without a name, and seals that forbid operations on it. Linux: mm/memfd.c.

import { EBUSY, EINVAL, ENOMEM, ENOSPC, EPERM } from "../../abi/errno.ts";
import {
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  O_LARGEFILE,
  O_RDWR,
  S_IFREG,
} from "../../abi/file.ts";
import { PROT_WRITE } from "../../abi/memory.ts";
import { NOT_MOVED } from "../../../platform/platform.ts";
import type { Kernel } from "../../kernel.ts";
import type { Task } from "../../task/task.ts";
import { Dentry } from "../../vfs/dentry.ts";
import type { File } from "../../vfs/file.ts";
import type { Mappable, SealableFile } from "../../vfs/file_kinds.ts";
import { ATTR_MODE, ATTR_SIZE, type AttributeChange } from "../../vfs/inode.ts";
import { Mount } from "../../vfs/mount.ts";
import { Path } from "../../vfs/path.ts";
import { INODE_COST } from "../../util/kernel_memory.ts";
import { Tmpfs, TmpfsInode } from "../tmpfs.ts";
import { TmpfsRegularFile } from "../tmpfs_files.ts";

/** Forbids changing the x bits. Since Linux 6.3, like the two flags below. */
export const F_SEAL_EXEC = 0x20;
export const MFD_NOEXEC_SEAL = 0x8;
export const MFD_EXEC = 0x10;

const SEALS_KNOWN = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE |
  F_SEAL_EXEC;
const SEALS_WRITE = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

/** The kernel's own mount of the file system of memfds and shared memory segments (Linux: shm_mnt). */
export function internalMount(kernel: Kernel): Mount {
  const { pseudo } = kernel;
  if (pseudo.internalMount === null) {
    const options = { mode: 0o1777, uid: 0, gid: 0, sizeBytes: Infinity, inodes: Infinity };
    const fs = new InternalFilesystem(kernel, options, "");
    const mount = new Mount(fs, new Dentry("", null, fs.root), "tmpfs", 0);
    mount.isInternal = true;
    pseudo.internalMount = mount;
  }
  return pseudo.internalMount;
}

/** Makes a memfd called `name` (a byte string); `hugeBytes` is the size of its pages where they are huge, else 0. */
export function newMemfd(task: Task, name: string, mode: number, seals: number, hugeBytes = 0): File {
  const mount = internalMount(task.kernel);
  const who = task.credentials;
  const inode = (mount.fs as InternalFilesystem).newInode(S_IFREG | mode, who.fsuid, who.fsgid);
  inode.nlink = 0;
  inode.seals = seals;
  inode.hugeBytes = hugeBytes;
  const dentry = new Dentry(`memfd:${name}`, mount.root, inode);
  dentry.isUnlinked = true;
  const file = inode.openAs(O_RDWR | O_LARGEFILE);
  file.path = new Path(mount, dentry);
  file.path.hold();
  return file;
}

/** A tmpfs whose files have no names and may be sealed. */
class InternalFilesystem extends Tmpfs {
  override newInode(mode: number, uid: number, gid: number): MemfdInode {
    this.inodesUsed++;
    // Not refused here: the caller checks the file's size and the open file's cost.
    this.account.force(INODE_COST);
    return new MemfdInode(this, this.vfs.inodeNumbers.next(), mode, uid, gid);
  }
}

class MemfdInode extends TmpfsInode {
  seals = 0;
  /** Size of its pages where they are huge, else 0. */
  hugeBytes = 0;

  override open(_task: Task, flags: number): File | number {
    return this.openAs(flags);
  }
  openAs(flags: number): MemfdFile {
    return this.hugeBytes > 0 ? new HugeMemfdFile(this, flags) : new MemfdFile(this, flags);
  }

  override setattr(change: AttributeChange): number {
    if ((change.mask & ATTR_SIZE) !== 0 && !this.isWhole(change.size)) return -EINVAL;
    if ((change.mask & ATTR_SIZE) !== 0 && !this.mayResize(change.size)) return -EPERM;
    const changesExec = (change.mask & ATTR_MODE) !== 0 && ((change.mode ^ this.mode) & 0o111) !== 0;
    if (changesExec && (this.seals & F_SEAL_EXEC) !== 0) return -EPERM;
    return super.setattr(change);
  }

  /** `bytes` are whole pages, where pages are huge. */
  isWhole(bytes: number): boolean {
    return this.hugeBytes === 0 || bytes % this.hugeBytes === 0;
  }

  mayResize(size: number): boolean {
    if (size < this.size) return (this.seals & F_SEAL_SHRINK) === 0;
    return size === this.size || (this.seals & F_SEAL_GROW) === 0;
  }
}

class MemfdFile extends TmpfsRegularFile implements SealableFile {
  declare readonly inode: MemfdInode;

  override write(task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    const inode = this.inode;
    if ((inode.seals & SEALS_WRITE) !== 0) return -EPERM;
    if ((inode.seals & F_SEAL_GROW) !== 0 && offset + length > inode.size) return -EPERM;
    return super.write(task, from, at, length, offset);
  }

  /** A file sealed against writing must not be mapped writable, not even for direct transfers. */
  override writeDirectly(): number {
    return NOT_MOVED;
  }

  override truncate(size: number): number {
    return this.inode.mayResize(size) ? super.truncate(size) : -EPERM;
  }

  override allocate(mode: number, offset: number, length: number): number {
    const inode = this.inode;
    if ((mode & FALLOC_FL_PUNCH_HOLE) !== 0 && (inode.seals & SEALS_WRITE) !== 0) return -EPERM;
    const grows = (mode & FALLOC_FL_KEEP_SIZE) === 0 && offset + length > inode.size;
    if (grows && (inode.seals & F_SEAL_GROW) !== 0) return -EPERM;
    return super.allocate(mode, offset, length);
  }

  override get isSharedWritable(): boolean {
    return this.isWritable && (this.inode.seals & SEALS_WRITE) === 0;
  }

  override mappable(isShared: boolean, prot: number): Mappable | number {
    if (isShared && (prot & PROT_WRITE) !== 0 && (this.inode.seals & SEALS_WRITE) !== 0) return -EPERM;
    return super.mappable(isShared, prot);
  }

  override asSealable(): SealableFile {
    return this;
  }
  get seals(): number {
    return this.inode.seals;
  }

  addSeals(seals: number): number {
    const inode = this.inode;
    if (!this.isWritable) return -EPERM;
    if (seals > SEALS_KNOWN || (seals & ~SEALS_KNOWN) !== 0) return -EINVAL;
    if ((inode.seals & F_SEAL_SEAL) !== 0) return -EPERM;
    const adds = seals & ~inode.seals;
    if ((adds & F_SEAL_WRITE) !== 0 && inode.writableMappings > 0) return -EBUSY;
    // F_SEAL_EXEC on an executable file implies the write seals, so that code cannot change (mm/memfd.c,
    // memfd_add_seals()).
    if ((seals & F_SEAL_EXEC) !== 0 && (inode.mode & 0o111) !== 0) {
      seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    }
    inode.seals |= seals;
    return 0;
  }
}

/**
 * MFD_HUGETLB: a file of huge pages, of which there are none (vm.nr_hugepages is 0). Linux: fs/hugetlbfs/inode.c. It has a size
 * and reads as zeros; memory cannot be had.
 */
class HugeMemfdFile extends MemfdFile {
  override write(): number {
    return -EINVAL;
  }
  override truncate(size: number): number {
    return this.inode.isWhole(size) ? super.truncate(size) : -EINVAL;
  }
  override mayAllocate(mode: number): number {
    return (mode & FALLOC_FL_PUNCH_HOLE) !== 0 ? 0 : -ENOSPC;
  }
  override mappable(): number {
    return -ENOMEM;
  }
}
