// The written list of file system types, and who opens special nodes.

import { S_IFBLK, S_IFCHR, S_IFIFO } from "../abi/file.ts";
import { TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR } from "../abi/tty.ts";
import { openFifo } from "../ipc/fifo.ts";
import type { FilesystemType } from "../vfs/filesystem.ts";
import { setSpecialOpener } from "../vfs/special.ts";
import { DEVTMPFS_TYPE, openDevice, setDeviceOpener } from "./dev.ts";
import { DEVPTS_TYPE, openStraySlave, openTtyDevice } from "./devpts.ts";
import { MQUEUE_TYPE } from "./mqueue.ts";
import { OVERLAY_TYPE } from "./overlay/type.ts";
import { PROC_TYPE } from "./proc/proc.ts";
import { SYSFS_TYPE } from "./sysfs.ts";
import { TMPFS_TYPE } from "./tmpfs.ts";

setSpecialOpener(S_IFIFO, openFifo);
setSpecialOpener(S_IFCHR, openDevice);
setSpecialOpener(S_IFBLK, openDevice);
setDeviceOpener(TTYAUX_MAJOR, openTtyDevice);
setDeviceOpener(UNIX98_PTY_SLAVE_MAJOR, openStraySlave);

const TYPES: readonly FilesystemType[] = [
  TMPFS_TYPE,
  PROC_TYPE,
  SYSFS_TYPE,
  DEVTMPFS_TYPE,
  OVERLAY_TYPE,
  MQUEUE_TYPE,
  DEVPTS_TYPE,
];

/** By name. */
export const FILESYSTEMS: ReadonlyMap<string, FilesystemType> = new Map(
  TYPES.map((type) => [type.name, type]),
);
