// /proc/PID/fd and fdinfo: the open files of a process. Linux: fs/proc/fd.c, proc_pid_fd(5), proc_pid_fdinfo(5).

import { EACCES, ENOENT } from "../../abi/errno.ts";
import { O_ACCMODE, O_CLOEXEC, O_RDWR, O_WRONLY, S_IFLNK, S_IFREG } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import type { File } from "../../vfs/file.ts";
import type { Inode } from "../../vfs/inode.ts";
import { placeOf } from "../../vfs/nameless.ts";
import { pathName } from "../../vfs/path.ts";
import { DynamicDirectory, GeneratedFile, type VirtualEntry, VirtualLink } from "../virtual.ts";
import type { ProcFilesystem } from "./proc.ts";
import { mayInspect, ownerOf } from "./proc_access.ts";
import { fileLockLines } from "./proc_locks.ts";

export function fdDirectory(fs: ProcFilesystem, task: Task): Inode {
  const find = (name: string): Inode | number => {
    const file = openFile(task, name);
    if (file === null) return -ENOENT;
    if (!mayInspect(fs.kernel.currentTask!, task)) return -EACCES;
    const target = new VirtualLink(fs, () => nameOf(file, fs.kernel.currentTask!), () => placeOf(file));
    const mode = file.flags & O_ACCMODE;
    target.mode = S_IFLNK | (mode === O_WRONLY ? 0o300 : mode === O_RDWR ? 0o700 : 0o500);
    return target;
  };
  return new DynamicDirectory(fs, 0o500, find, () => descriptors(task, S_IFLNK), ...ownerOf(task));
}

export function fdinfoDirectory(fs: ProcFilesystem, task: Task): Inode {
  const find = (name: string): Inode | number => {
    const file = openFile(task, name);
    if (file === null) return -ENOENT;
    const text = () => infoText(fs, task, file, Number(name));
    const inode = new GeneratedFile(fs, 0o444, text, null, ...ownerOf(task));
    inode.isPollable = false;
    return inode;
  };
  return new DynamicDirectory(fs, 0o500, find, () => descriptors(task, S_IFREG), ...ownerOf(task));
}

/** The text of a descriptor's link: a path, or "pipe:[7]", "anon_inode:[eventfd]". */
function nameOf(file: File, reader: Task): string {
  return file.path !== null ? pathName(file.path, reader.fs.root) : file.linkText;
}

function openFile(task: Task, name: string): File | null {
  if (!/^(0|[1-9]\d{0,6})$/.test(name) || task.hasExited) return null;
  return task.files.get(Number(name));
}

function descriptors(task: Task, type: number): VirtualEntry[] {
  const entries: VirtualEntry[] = [];
  if (task.hasExited) return entries;
  task.files.forEach((fd) => entries.push({ name: String(fd), ino: 2_000_000 + fd, type }));
  return entries;
}

function infoText(fs: ProcFilesystem, task: Task, file: File, fd: number): string {
  const flags = file.flags | (task.files.isCloseOnExec(fd) ? O_CLOEXEC : 0);
  const mount = placeOf(file).mount.id;
  const head = `pos:\t${file.position}\nflags:\t0${(flags >>> 0).toString(8)}\nmnt_id:\t${mount}\n`;
  const locks = fileLockLines(fs, task, file).map((line) => `lock:\t${line}\n`).join("");
  return `${head}ino:\t${file.inode.ino}\n${locks}${file.infoText}`;
}
