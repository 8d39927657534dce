// memfd_create(2): a file of tmpfs without a name, and seals that take away what may be done with it. Linux: mm/memfd.c.

import { EBUSY, EINVAL, EPERM } from "../../abi/errno.ts";
import {
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_FUTURE_WRITE,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  F_SEAL_WRITE,
  FALLOC_FL_KEEP_SIZE,
  FALLOC_FL_PUNCH_HOLE,
  O_RDWR,
  S_IFREG,
} from "../../abi/file.ts";
import { MAP_SHARED, PROT_WRITE } from "../../abi/memory.ts";
import type { Kernel } from "../../kernel.ts";
import type { MemoryMap } from "../../mm/address_space.ts";
import type { Task } from "../../task/task.ts";
import { Dentry } from "../../vfs/dentry.ts";
import type { File, Mappable } from "../../vfs/file.ts";
import { ATTR_MODE, ATTR_SIZE, type AttributeChange } from "../../vfs/inode.ts";
import { Mount } from "../../vfs/mount.ts";
import { Path } from "../../vfs/path.ts";
import { Tmpfs, TmpfsInode } from "../tmpfs.ts";
import { TmpfsRegularFile } from "../tmpfs_files.ts";

/** No x bit may be added or taken; of Linux 6.3, like the two flags below. */
export const F_SEAL_EXEC = 0x20;
export const MFD_NOEXEC_SEAL = 0x8;
export const MFD_EXEC = 0x10;

const SEALS_KNOWN = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE |
  F_SEAL_EXEC;
const SEALS_WRITE = F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;

/** The kernel's own mount of the file system that memfds live in, per kernel. */
const mounts = new WeakMap<Kernel, Mount>();

function mountOf(kernel: Kernel): Mount {
  let mount = mounts.get(kernel);
  if (mount === undefined) {
    const options = { mode: 0o1777, uid: 0, gid: 0, sizeBytes: Infinity, inodes: Infinity };
    const fs = new Tmpfs(kernel.host, kernel.clock, options, "");
    mount = new Mount(fs, new Dentry("", null, fs.root), "tmpfs", 0);
    mount.isInternal = true;
    mounts.set(kernel, mount);
  }
  return mount;
}

let nextInode = 2;

/** Makes a memfd called `name` (a byte string). */
export function newMemfd(task: Task, name: string, mode: number, seals: number): File {
  const mount = mountOf(task.kernel);
  const fs = mount.fs as Tmpfs;
  const who = task.credentials;
  const inode = new MemfdInode(fs, nextInode++, S_IFREG | mode, who.fsuid, who.fsgid);
  inode.nlink = 0;
  inode.seals = seals;
  fs.inodesUsed++;
  const dentry = new Dentry(`memfd:${name}`, mount.root, inode);
  dentry.isUnlinked = true;
  const file = new MemfdFile(inode, O_RDWR);
  file.path = new Path(mount, dentry);
  file.path.hold();
  return file;
}

class MemfdInode extends TmpfsInode {
  seals = 0;

  override open(_task: Task, flags: number): File | number {
    return new MemfdFile(this, flags);
  }

  override setattr(change: AttributeChange): number {
    if ((change.mask & ATTR_SIZE) !== 0 && !this.mayResize(change.size)) return -EPERM;
    const changesExec = (change.mask & ATTR_MODE) !== 0 && ((change.mode ^ this.mode) & 0o111) !== 0;
    if (changesExec && (this.seals & F_SEAL_EXEC) !== 0) return -EPERM;
    return super.setattr(change);
  }

  mayResize(size: number): boolean {
    if (size < this.size) return (this.seals & F_SEAL_SHRINK) === 0;
    return size === this.size || (this.seals & F_SEAL_GROW) === 0;
  }
}

class MemfdFile extends TmpfsRegularFile {
  declare readonly inode: MemfdInode;

  override write(task: Task, from: Uint8Array, at: number, length: number, offset: number): number {
    const inode = this.inode;
    if ((inode.seals & SEALS_WRITE) !== 0) return -EPERM;
    if ((inode.seals & F_SEAL_GROW) !== 0 && offset + length > inode.size) return -EPERM;
    return super.write(task, from, at, length, offset);
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

  override control(task: Task, command: number, argument: number): number {
    const inode = this.inode;
    switch (command) {
      case F_GET_SEALS:
        return inode.seals;
      case F_ADD_SEALS:
        return this.#addSeals(task, argument);
      default:
        return super.control(task, command, argument);
    }
  }

  #addSeals(task: Task, seals: number): number {
    const inode = this.inode;
    if (!this.isWritable) return -EPERM;
    if (seals > SEALS_KNOWN || (seals & ~SEALS_KNOWN) !== 0) return -EINVAL;
    if ((inode.seals & F_SEAL_SEAL) !== 0) return -EPERM;
    const adds = seals & ~inode.seals;
    if ((adds & F_SEAL_WRITE) !== 0 && isMappedWritable(task.kernel, inode)) return -EBUSY;
    // What cannot be executed need not be sealed against writing; what can be must (mm/memfd.c).
    if ((seals & F_SEAL_EXEC) !== 0 && (inode.mode & 0o111) !== 0) {
      seals |= F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_FUTURE_WRITE;
    }
    inode.seals |= seals;
    return 0;
  }
}

/** Some process has a shared mapping of `inode` that it may write. */
function isMappedWritable(kernel: Kernel, inode: MemfdInode): boolean {
  const seen = new Set<MemoryMap>();
  for (const task of kernel.tasks.values()) {
    if (task.hasExited || seen.has(task.mm)) continue;
    seen.add(task.mm);
    const areas = task.mm.areas;
    for (let i = 0; i < areas.count; i++) {
      const area = areas.at(i);
      if (area.backing?.file?.inode !== inode) continue;
      if ((area.flags & MAP_SHARED) !== 0 && (area.protMax & PROT_WRITE) !== 0) return true;
    }
  }
  return false;
}
