// kernel.pseudo: the file systems that exist from a kernel's start and cannot be mounted. Linux: the callers of
// kern_mount().

import type { Clock } from "../time/clock.ts";
import { Sequence } from "../util/sequence.ts";
import type { Mount } from "../vfs/mount.ts";
import type { Vfs } from "../vfs/vfs.ts";
import { AnonymousFilesystem } from "./anonymous/filesystem.ts";
import { Nsfs } from "./nsfs.ts";

const PIPEFS_MAGIC = 0x5049_5045;
const SOCKFS_MAGIC = 0x534f_434b;
const ANON_INODE_FS_MAGIC = 0x0904_1934;
const HOST_MAGIC = 0x5449_4f48;

export class PseudoFilesystems {
  readonly pipefs: AnonymousFilesystem;
  readonly sockfs: AnonymousFilesystem;
  /** Its root is the one inode of eventfds, epolls and similar files. */
  readonly anonInodefs: AnonymousFilesystem;
  /** The file system of host descriptors donated as a container's stdio. */
  readonly hostfs: AnonymousFilesystem;
  readonly nsfs: Nsfs;
  /** The mount of memfds and System V segments; anonymous/memfd.ts makes it at the first use. */
  internalMount: Mount | null = null;
  /** Ids of eventfds, shown by fdinfo. */
  readonly eventIds = new Sequence(0);

  constructor(vfs: Vfs, clock: Clock) {
    this.pipefs = new AnonymousFilesystem(vfs, "pipefs", PIPEFS_MAGIC);
    this.sockfs = new AnonymousFilesystem(vfs, "sockfs", SOCKFS_MAGIC);
    this.anonInodefs = new AnonymousFilesystem(vfs, "anon_inodefs", ANON_INODE_FS_MAGIC);
    this.hostfs = new AnonymousFilesystem(vfs, "hostfs", HOST_MAGIC);
    this.nsfs = new Nsfs(vfs, clock);
  }
}
