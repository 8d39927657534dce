// What the launcher, which waits for a container that runs attached, removes of its cgroup at the end: lines "INODE PATH", the
// deepest hierarchy's like the others (native/src/attend.rs reads them).

import type { CgroupRecord } from "./cgroup.ts";

/** "" = nothing is to be removed. */
export function removalOf(record: CgroupRecord | undefined): string {
  const own = (record?.places ?? []).filter(({ isForeign, inode }) => !isForeign && inode !== 0);
  return own.map(({ inode, path }) => `${inode} ${path}`).join("\n");
}

/** The record of what removalOf() has written. */
export function removalFrom(text: string): CgroupRecord {
  const lines = text.split("\n").filter((line) => line !== "");
  return {
    version: 1,
    places: lines.map((line) => {
      const at = line.indexOf(" ");
      return {
        controllers: [],
        path: line.slice(at + 1),
        inode: Number(line.slice(0, at)),
        isForeign: false,
      };
    }),
  };
}
