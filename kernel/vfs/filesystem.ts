// A mounted file system instance, and what names its type. Linux: struct super_block, struct file_system_type.

import { EINVAL } from "../abi/errno.ts";
import type { Dentry } from "./dentry.ts";
import type { Inode } from "./inode.ts";
import type { Mount } from "./mount.ts";
import type { Task } from "../task/task.ts";
import type { Vfs } from "./vfs.ts";

/** Numbers of statfs(2). Blocks are of `blockSize` bytes. */
export class FilesystemStat {
  type = 0;
  blockSize = 4096;
  blocks = 0;
  blocksFree = 0;
  blocksAvailable = 0;
  files = 0;
  filesFree = 0;
  nameMax = 255;
  flags = 0;
}

export abstract class Filesystem {
  readonly vfs: Vfs;
  /** As in /proc/filesystems and mountinfo: "tmpfs", "proc". */
  readonly type: string;
  /** Minor of st_dev; the major is 0 as for Linux' anonymous devices. */
  readonly device: number;
  /** Mounts of it, and file systems that use it as a layer. */
  #references = 0;
  /** Of the root; made at the first mount. */
  rootDentry: Dentry | null = null;
  /** The place of its files without a name; made and used by nameless.ts. */
  namelessMount: Mount | null = null;

  constructor(vfs: Vfs, type: string) {
    this.vfs = vfs;
    this.type = type;
    this.device = vfs.devices.next();
  }

  abstract get root(): Inode;

  statfs(into: FilesystemStat): number {
    into.type = 0;
    return 0;
  }

  /** Its files take up memory and nothing else. */
  get isMemory(): boolean {
    return false;
  }

  /** Options as /proc/PID/mounts shows them after ro/rw: "size=64k,mode=1777", or "". */
  get options(): string {
    return "";
  }

  /** mount(MS_REMOUNT) with other options. */
  reconfigure(_task: Task, options: string): number {
    return options === "" ? 0 : -EINVAL;
  }

  /** Everything written goes to stable storage (sync(2), syncfs(2)). */
  sync(): number {
    return 0;
  }

  hold(): void {
    this.#references++;
  }
  drop(): void {
    if (--this.#references === 0) this.release();
  }
  /** After the last unmount and last open file. */
  release(): void {}
}

/** A type that mount(2) or the OCI mounts can name. */
export interface FilesystemType {
  readonly name: string;
  /** Shown as "nodev" in /proc/filesystems. */
  readonly hasNoDevice: boolean;
  /** May be mounted by a guest with CAP_SYS_ADMIN in its mount namespace. */
  readonly isUserMountable: boolean;
  /** `options` is the data string of mount(2), comma separated. Filesystem, or -ERRNO. */
  mount(task: Task, source: string, options: string): Filesystem | number;
}
