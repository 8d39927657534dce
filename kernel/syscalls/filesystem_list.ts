// ustat(2) and sysfs(2): file systems by device number, and types of file systems by number and name.

import { EFAULT, EINVAL } from "../abi/errno.ts";
import { PATH_MAX } from "../abi/file.ts";
import { put32, put64 } from "../abi/struct.ts";
import { latin1ToBytes } from "../util/bytes.ts";
import { FilesystemStat } from "../vfs/filesystem.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { encodeDevice } from "./stat.ts";
import { FULL, type SyscallFamily } from "./table.ts";

/** struct ustat: free blocks, free inodes, two names of 6 bytes that are empty. */
const USTAT_BYTES = 32;
const INDEX_OF_NAME = 1, NAME_OF_INDEX = 2, COUNT = 3;

export const FILESYSTEM_CALLS: SyscallFamily = {
  ustat: {
    nr: { x64: 136 },
    args: { dev: "uint", ubuf: { out: USTAT_BYTES } },
    returns: "int",
    support: FULL,
    run: ustat,
  },
  sysfs: {
    nr: { x64: 139 },
    args: { option: { values: { INDEX_OF_NAME, NAME_OF_INDEX, COUNT } }, arg1: "word", arg2: "word" },
    returns: "int",
    support: FULL,
    run: sysfs,
  },
};

function ustat(task: Task, args: Args): number {
  const device = args.u32(0);
  for (const { fs } of task.namespaces.mount.mounts()) {
    if (encodeDevice(0, fs.device) !== device) continue;
    const stat = new FilesystemStat();
    const result = fs.statfs(stat);
    if (result < 0) return result;
    const bytes = new Uint8Array(USTAT_BYTES);
    put32(bytes, 0, stat.blocksFree);
    put64(bytes, 8, stat.filesFree);
    return task.memory.copyOut(args.word(1), bytes, 0, USTAT_BYTES) < 0 ? -EFAULT : 0;
  }
  return -EINVAL;
}

function sysfs(task: Task, args: Args): number {
  const names = [...task.kernel.vfs.registry.filesystems.keys()];
  switch (args.i32(0)) {
    case INDEX_OF_NAME: {
      const name = task.memory.readString(args.word(1), PATH_MAX);
      if (typeof name === "number") return name;
      const index = names.indexOf(name);
      return index < 0 ? -EINVAL : index;
    }
    case NAME_OF_INDEX: {
      const index = args.u32(1);
      if (index >= names.length) return -EINVAL;
      const bytes = latin1ToBytes(`${names[index]}\0`);
      return task.memory.copyOut(args.word(2), bytes, 0, bytes.length) < 0 ? -EFAULT : 0;
    }
    case COUNT:
      return names.length;
    default:
      return -EINVAL;
  }
}
