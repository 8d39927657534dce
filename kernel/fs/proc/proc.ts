// procfs: the root of /proc. Linux: fs/proc, proc(5). Processes are in proc_task.ts, files about the system in
// proc_system.ts, sysctls in proc_sys.ts.

import { ENOENT } from "../../abi/errno.ts";
import { S_IFDIR } from "../../abi/file.ts";
import type { Kernel } from "../../kernel.ts";
import type { PidNamespace } from "../../task/namespaces.ts";
import type { Task } from "../../task/task.ts";
import type { Filesystem, FilesystemType } from "../../vfs/filesystem.ts";
import type { Inode } from "../../vfs/inode.ts";
import type { File } from "../../vfs/file.ts";
import {
  LateDirectory,
  VirtualDirectoryFile,
  type VirtualEntry,
  VirtualFilesystem,
  VirtualInode,
} from "../virtual.ts";
import { S_IFLNK } from "../../abi/file.ts";
import { addSysctls } from "./proc_sys.ts";
import { addSystemFiles } from "./proc_system.ts";
import { ProcessDirectory } from "./proc_task.ts";

const PROC_MAGIC = 0x9fa0;

export const PROC_TYPE: FilesystemType = {
  name: "proc",
  hasNoDevice: true,
  isUserMountable: true,
  mount: mountProc,
};

function mountProc(task: Task, _source: string, _options: string): Filesystem | number {
  return new ProcFilesystem(task.kernel, task.pid.namespace);
}

/** One mount of procfs: shows the processes of one PID namespace. */
export class ProcFilesystem extends VirtualFilesystem {
  readonly kernel: Kernel;
  readonly pids: PidNamespace;
  override readonly creationError = -ENOENT;

  constructor(kernel: Kernel, pids: PidNamespace) {
    super(kernel, "proc", PROC_MAGIC);
    this.kernel = kernel;
    this.pids = pids;
    this.setRoot(new ProcRoot(this));
  }
}

/** Static files first, then the processes. */
class ProcRoot extends LateDirectory {
  declare readonly fs: ProcFilesystem;
  /** Directories of processes that were looked up, kept while their process exists. */
  readonly #processes = new WeakMap<Task, ProcessDirectory>();

  protected override fill(): void {
    const { fs } = this;
    this.add("self", new SelfLink(fs, false));
    this.add("thread-self", new SelfLink(fs, true));
    addSystemFiles(fs, this);
    addSysctls(fs, this);
  }

  /** Processes begin and end without the dentry cache's notice. */
  override get isCacheable(): boolean {
    return false;
  }

  override lookup(name: string): Inode | number {
    const found = super.lookup(name);
    if (typeof found !== "number") return found;
    if (!/^[1-9]\d{0,8}$/.test(name)) return -ENOENT;
    const task = this.fs.pids.task(Number(name));
    if (task === null) return -ENOENT;
    let directory = this.#processes.get(task);
    if (directory === undefined || !directory.isCurrent) {
      directory = new ProcessDirectory(this.fs, task, false);
      this.#processes.set(task, directory);
    }
    return directory;
  }

  override entries(task: Task): VirtualEntry[] {
    const entries = super.entries(task);
    for (const [number, pid] of this.fs.pids.pids) {
      const leader = pid.task;
      if (leader === null || leader.threadGroup.leader !== leader) continue;
      entries.push({ name: String(number), ino: 1_000_000 + number, type: S_IFDIR });
    }
    return entries;
  }

  override open(_task: Task, flags: number): File | number {
    return new VirtualDirectoryFile(this, flags, (task) => this.entries(task));
  }
}

/** /proc/self and /proc/thread-self: link to the reader. */
class SelfLink extends VirtualInode {
  declare readonly fs: ProcFilesystem;
  readonly #isThread: boolean;

  constructor(fs: ProcFilesystem, isThread: boolean) {
    super(fs, S_IFLNK | 0o777);
    this.#isThread = isThread;
  }

  override readlink(): string | number {
    const task = this.fs.kernel.currentTask;
    const tgid = task === null ? 0 : task.threadGroup.pid.in(this.fs.pids);
    if (task === null || tgid === 0) return -ENOENT;
    return this.#isThread ? `${tgid}/task/${task.pid.in(this.fs.pids)}` : String(tgid);
  }
}
