// What a cgroup is made of, as the host shows it: directories and small files. Behind an interface, so that tests stand in for
// hosts that this one is not.

/** Calls throw errors of Deno's. */
export interface CgroupFiles {
  read(path: string): string;
  /** The file is there: the host makes it with its directory. */
  write(path: string, text: string): void;
  makeDirectory(path: string): void;
  removeDirectory(path: string): void;
  /** Inode of a directory, 0 = there is none. */
  inode(path: string): number;
}

export const HOST_FILES: CgroupFiles = {
  read: (path) => Deno.readTextFileSync(path),
  write: (path, text) => Deno.writeTextFileSync(path, text, { create: false }),
  makeDirectory: (path) => Deno.mkdirSync(path, { mode: 0o755 }),
  removeDirectory: (path) => Deno.removeSync(path),
  inode: (path) => {
    try {
      return Deno.lstatSync(path).ino ?? 0;
    } catch {
      return 0;
    }
  },
};

/** Text of a file without its last newline, null where it cannot be read. */
export function readOrNull(files: CgroupFiles, path: string): string | null {
  try {
    return files.read(path).trimEnd();
  } catch {
    return null;
  }
}

/** The host does not let the caller have this: no right, or file systems that are read-only. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Deno.errors.PermissionDenied ||
    /\(os error (1|13|30)\)/.test(error instanceof Error ? error.message : "");
}

/** What a process's first thread has made: proc_pid_task(5). */
export function childrenOf(pid: number, files: CgroupFiles = HOST_FILES): number[] {
  const text = readOrNull(files, `/proc/${pid}/task/${pid}/children`) ?? "";
  return text.split(" ").filter((word) => word !== "").map(Number);
}
