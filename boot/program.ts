// The program of a process that boot starts: found along PATH, given its HOME, loaded.

import { EACCES, ENODEV, ENOENT, ENOTDIR, errnoName, ESTALE, ETIMEDOUT } from "../kernel/abi/errno.ts";
import { AT_FDCWD, O_RDONLY, S_IFREG } from "../kernel/abi/file.ts";
import { executeFirst } from "../kernel/task/exec.ts";
import type { Task } from "../kernel/task/task.ts";
import { bytesToLatin1, utf8ToByteString } from "../kernel/util/bytes.ts";
import { openPath } from "../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import { StartError } from "./start_error.ts";
import type { ProcessConfig } from "./sentry_config.ts";

const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * Loads the program of `process` into its task, which runs once it is in kernel.ready. `home` is HOME, should its environment have none; "" = it stays
 * without. Throws StartError with the exit code a shell would give.
 */
export function loadProgram(task: Task, process: ProcessConfig, home: string): void {
  const argv = process.args.map(utf8ToByteString);
  const envp = process.env.map(utf8ToByteString);
  if (home !== "" && !envp.some((entry) => entry.startsWith("HOME="))) envp.push(`HOME=${home}`);
  const name = findProgram(task, argv[0], envp);
  const failure = executeFirst(task, name, argv, envp);
  if (failure !== null) throw new StartError(failure.reason, failure.errno === ENOENT ? 127 : 126);
  if (task.hasExited) throw new StartError(`Cannot run ${process.args[0]}: its image does not load`, 126);
}

/** Errors after which execvp(3) looks on. */
const NOT_THERE = new Set([ENOENT, ENOTDIR, ESTALE, ENODEV, ETIMEDOUT]);

/** Looks argv[0] up along PATH, as execvp(3). */
function findProgram(task: Task, name: string, envp: readonly string[]): string {
  if (name === "") throw new StartError("Cannot run the program: its name is empty", 127);
  const variable = envp.find((entry) => entry.startsWith("PATH="))?.slice(5) ?? DEFAULT_PATH;
  const candidates = name.includes("/")
    ? [name]
    : variable.split(":").map((part) => `${part === "" ? "." : part}/${name}`);
  let refusal = -ENOENT;
  for (const candidate of candidates) {
    const path = resolve(task, AT_FDCWD, candidate, FOLLOW);
    if (typeof path === "number") {
      if (path === -EACCES) refusal = path;
      else if (!NOT_THERE.has(-path)) throw new StartError(`Cannot run ${name}: ${errnoName(-path)}`, 126);
      continue;
    }
    if (path.inode.isDirectory || (path.inode.mode & 0o111) === 0) {
      refusal = -EACCES;
      continue;
    }
    return candidate;
  }
  if (refusal === -ENOENT) {
    throw new StartError(`Cannot run ${name}: executable file not found in $PATH`, 127);
  }
  throw new StartError(`Cannot run ${name}: permission denied`, 126);
}

/** Bytes of the container's /etc/passwd that are looked at. */
const PASSWD_BYTES_MAX = 1024 * 1024;

/** Home directory of `uid` by the container's /etc/passwd, "/" where it says nothing. */
export function homeOf(task: Task, uid: number): string {
  const path = resolve(task, AT_FDCWD, "/etc/passwd", FOLLOW);
  // A FIFO or a device of that name would have us wait.
  if (typeof path === "number" || path.inode.type !== S_IFREG) return "/";
  const file = openPath(task, path, O_RDONLY);
  if (typeof file === "number") return "/";
  const bytes = new Uint8Array(PASSWD_BYTES_MAX);
  let length = 0;
  while (length < bytes.length) {
    const n = file.read(task, bytes, length, bytes.length - length, length);
    if (n <= 0) break;
    length += n;
  }
  file.drop();
  for (const line of bytesToLatin1(bytes, 0, length).split("\n")) {
    const fields = line.split(":");
    if (fields.length >= 6 && fields[2] === String(uid)) return fields[5] === "" ? "/" : fields[5];
  }
  return "/";
}
