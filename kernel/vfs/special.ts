// Opening of what is not content: FIFOs and device nodes. Any file system may hold such nodes; what they lead to is
// registered by the rooms above (ipc for FIFOs, fs/dev for devices), as they may not be imported from here.

import { ENXIO } from "../abi/errno.ts";
import { S_IFBLK, S_IFCHR, S_IFIFO, S_IFMT } from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import type { File } from "./file.ts";
import type { Inode } from "./inode.ts";

export type SpecialOpener = (task: Task, inode: Inode, flags: number) => File | number;

/** Openers by type; set once, by kernel/fs/registry.ts. */
const openers = new Map<number, SpecialOpener>();

/** Names who opens nodes of type S_IFIFO, S_IFCHR or S_IFBLK. */
export function setSpecialOpener(type: number, opener: SpecialOpener): void {
  openers.set(type, opener);
}

/** Opens a FIFO or device node. May answer what task.block() returned. */
export function openSpecial(task: Task, inode: Inode, flags: number): File | number {
  const opener = openers.get(inode.mode & S_IFMT);
  return opener === undefined ? -ENXIO : opener(task, inode, flags);
}

export const SPECIAL_TYPES = [S_IFIFO, S_IFCHR, S_IFBLK];
