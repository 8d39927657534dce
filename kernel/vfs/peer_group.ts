// Peer groups of mounts: what is mounted on one member is mounted on all of them, and on the slaves of the group, which
// send nothing back. Linux: fs/pnode.c, "Shared subtrees" of mount_namespaces(7).

import type { Mount } from "./mount.ts";

export class PeerGroup {
  /** As mountinfo shows it. */
  readonly id: number;
  /** Mounts whose `peers` it is. */
  readonly members = new Set<Mount>();
  /** Mounts whose `master` it is; some are members of groups of their own. */
  readonly slaves = new Set<Mount>();

  constructor(id: number) {
    this.id = id;
  }
}
