// /proc/locks and the lock lines of fdinfo. Linux: fs/locks.c locks_show(), proc_locks(5). Locks belong to inodes,
// which are found through the open files.

import { F_WRLCK, LOCK_EX } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import { LOCK_END } from "../../vfs/file_locks.ts";
import type { Inode } from "../../vfs/inode.ts";
import type { ProcFilesystem } from "./proc.ts";

export function locksText(fs: ProcFilesystem): string {
  const seen = new Set<Inode>();
  let text = "";
  let number = 1;
  for (const task of fs.kernel.tasks.values()) {
    if (task.hasExited) continue;
    task.files.forEach((_fd, file) => {
      if (file.inode.locks === null || seen.has(file.inode)) return;
      seen.add(file.inode);
      for (const line of inodeLines(fs, file.inode, null, null)) text += `${number++}: ${line}\n`;
    });
  }
  return text;
}

/** The numbered lines of the locks that `file` of `task` holds. */
export function fileLockLines(fs: ProcFilesystem, task: Task, file: File): string[] {
  if (file.inode.locks === null) return [];
  return inodeLines(fs, file.inode, file, task).map((line, i) => `${i + 1}: ${line}`);
}

/** With `file`: only its own locks and the POSIX locks of `task`'s descriptor table. */
function inodeLines(fs: ProcFilesystem, inode: Inode, file: File | null, task: Task | null): string[] {
  const locks = inode.locks!;
  const lines: string[] = [];
  const where = `00:${inode.fs.device.toString(16).padStart(2, "0")}:${inode.ino}`;
  for (const lock of locks.records) {
    if (file !== null && lock.owner !== file && lock.owner !== task!.files) continue;
    const isOfTable = lock.holder !== null;
    const pid = lock.holder === null ? -1 : lock.holder.threadGroup.pid.in(fs.pids);
    const end = lock.end === LOCK_END ? "EOF" : String(lock.end);
    lines.push(
      `${isOfTable ? "POSIX " : "OFDLCK"} ADVISORY  ${
        kind(lock.type === F_WRLCK)
      } ${pid} ${where} ${lock.start} ${end}`,
    );
  }
  for (const lock of locks.flocks) {
    if (file !== null && lock.file !== file) continue;
    lines.push(`FLOCK  ADVISORY  ${kind(lock.type === LOCK_EX)} ${holderOf(fs, lock.file)} ${where} 0 EOF`);
  }
  return lines;
}

function kind(isWrite: boolean): string {
  return isWrite ? "WRITE" : "READ";
}

/** A process that has the file open. Linux: shows the process that took the lock, even after its end. */
function holderOf(fs: ProcFilesystem, wanted: File): number {
  for (const task of fs.kernel.tasks.values()) {
    if (task.hasExited) continue;
    let has = false;
    task.files.forEach((_fd, file) => has = has || file === wanted);
    if (has) return task.threadGroup.pid.in(fs.pids);
  }
  return 0;
}
