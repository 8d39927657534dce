// Opening of what is not content: FIFOs and device nodes. What they lead to belongs to rooms further to the right (ipc,
// fs/dev, tty), which the kernel's registry names.

import { ENXIO } from "../abi/errno.ts";
import { S_IFMT } from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import type { File } from "./file.ts";
import type { Inode } from "./inode.ts";

/** Opens a FIFO or device node. May answer MUST_WAIT. */
export function openSpecial(task: Task, inode: Inode, flags: number): File | number {
  const opener = task.kernel.vfs.registry.openers.get(inode.mode & S_IFMT);
  return opener === undefined ? -ENXIO : opener(task, inode, flags);
}
