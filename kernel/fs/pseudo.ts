// The file systems that a kernel has from its start and nobody mounts: kernel.pseudo. Linux: the callers of kern_mount().

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
  /** Its root is the one inode of eventfds, epolls and their like. */
  readonly anonInodefs: AnonymousFilesystem;
  /** Descriptors of the host that became the container's stdio. */
  readonly hostfs: AnonymousFilesystem;
  readonly nsfs: Nsfs;
  /** Of memfds and System V segments; made on first use by anonymous/memfd.ts. */
  internalMount: Mount | null = null;
  /** Ids of eventfds, as fdinfo shows them. */
  readonly eventIds = new Sequence(0);

  constructor(vfs: Vfs, clock: Clock) {
    this.pipefs = new AnonymousFilesystem(vfs, "pipefs", PIPEFS_MAGIC);
    this.sockfs = new AnonymousFilesystem(vfs, "sockfs", SOCKFS_MAGIC);
    this.anonInodefs = new AnonymousFilesystem(vfs, "anon_inodefs", ANON_INODE_FS_MAGIC);
    this.hostfs = new AnonymousFilesystem(vfs, "hostfs", HOST_MAGIC);
    this.nsfs = new Nsfs(vfs, clock);
  }
}
