// Configuration of a gofer. The command line opens what it serves where it may: root's gofer is in a user namespace of its own, in
// which mounts that hide others must stay together, so that it could not leave out those below a source.

import { loadGoferCalls } from "../native/gofer_host.ts";
import type { NativeHost } from "../native/host.ts";
import type { GoferConfig } from "./sentry_config.ts";
import { DESCRIPTORS_MAX, sendSetup } from "./setup.ts";

/** Descriptors that a gofer gets beside trees: configuration, log, its end of the socket to the sentry. */
const OTHER_FDS = 3;

/** A gofer's configuration as it travels: mount n is the descriptor `trees[n]` of those that come with it, -1 = a path. */
export interface GoferSetup extends GoferConfig {
  readonly trees: readonly number[];
}

/** Sends it. `fds` (log and socket) stay the caller's. */
export function sendGoferSetup(
  host: NativeHost,
  socket: number,
  config: GoferConfig,
  fds: readonly [log: number, server: number],
): void {
  const trees = openTrees(config);
  const opened = trees.filter((tree) => tree >= 0);
  let next: number = fds.length;
  const setup: GoferSetup = { ...config, trees: trees.map((tree) => tree < 0 ? -1 : next++) };
  try {
    sendSetup(host, socket, setup, [...fds, ...opened]);
  } finally {
    for (const tree of opened) host.close(tree);
  }
}

/** A descriptor of each mount; -1 from the first on that the caller may not open, or that is not there: the gofer says so. */
function openTrees(config: GoferConfig): number[] {
  const calls = loadGoferCalls();
  const most = DESCRIPTORS_MAX - OTHER_FDS;
  let isAllowed = true;
  return config.mounts.map(({ path, isRecursive, isReadOnly }, n) => {
    if (!isAllowed || n >= most) return -1;
    const bytes = new TextEncoder().encode(`${path}\0`);
    const tree = calls.tsv_gofer_tree(bytes, isRecursive ? 1 : 0, isReadOnly ? 1 : 0);
    isAllowed = tree >= 0;
    return tree;
  });
}
