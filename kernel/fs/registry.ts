// The lists of file system types and of openers of special nodes and devices.

import { ENXIO } from "../abi/errno.ts";
import { S_IFCHR, S_IFIFO } from "../abi/file.ts";
import { TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR } from "../abi/tty.ts";
import { openFifo } from "../ipc/fifo.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { FilesystemType } from "../vfs/filesystem.ts";
import type { Inode } from "../vfs/inode.ts";
import type { FileRegistry, SpecialOpener } from "../vfs/vfs.ts";
import { DEVTMPFS_TYPE, openMemoryDevice } from "./dev.ts";
import { DEVPTS_TYPE, openStraySlave, openTtyDevice } from "./devpts.ts";
import { MQUEUE_TYPE } from "./mqueue.ts";
import { OVERLAY_TYPE } from "./overlay/type.ts";
import { PROC_TYPE } from "./proc/proc.ts";
import { SYSFS_TYPE } from "./sysfs.ts";
import { TMPFS_TYPE } from "./tmpfs.ts";

/** MEM_MAJOR of include/uapi/linux/major.h. */
const MEM_MAJOR = 1;

const TYPES: readonly FilesystemType[] = [
  TMPFS_TYPE,
  PROC_TYPE,
  SYSFS_TYPE,
  DEVTMPFS_TYPE,
  OVERLAY_TYPE,
  MQUEUE_TYPE,
  DEVPTS_TYPE,
];

/** Character devices by major number. There are no block devices. */
const DEVICES: Readonly<Record<number, SpecialOpener>> = {
  [MEM_MAJOR]: openMemoryDevice,
  [TTYAUX_MAJOR]: openTtyDevice,
  [UNIX98_PTY_SLAVE_MAJOR]: openStraySlave,
};

function openCharacterDevice(task: Task, inode: Inode, flags: number): File | number {
  const opener = DEVICES[inode.rdevMajor];
  return opener === undefined ? -ENXIO : opener(task, inode, flags);
}

export const FILE_REGISTRY: FileRegistry = {
  filesystems: new Map(TYPES.map((type) => [type.name, type])),
  openers: new Map<number, SpecialOpener>([[S_IFIFO, openFifo], [S_IFCHR, openCharacterDevice]]),
};
