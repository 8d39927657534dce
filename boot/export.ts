// Files of a container that has ended, copied into descriptors of the host's (--out of `do`). The kernel's loop is over by
// then: a request to the gofer waits on the spot, and nobody else has to.

import { EFBIG, EINVAL, EIO, ENXIO } from "../kernel/abi/errno.ts";
import { AT_FDCWD, O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG, SEEK_DATA, SEEK_HOLE } from "../kernel/abi/file.ts";
import type { Container } from "../kernel/container.ts";
import { ALL_CAPABILITIES, newCredentials } from "../kernel/task/credentials.ts";
import type { Task } from "../kernel/task/task.ts";
import { utf8ToByteString } from "../kernel/util/bytes.ts";
import type { File } from "../kernel/vfs/file.ts";
import { FsContext } from "../kernel/vfs/fs_context.ts";
import { openByName } from "../kernel/vfs/open.ts";
import { Path } from "../kernel/vfs/path.ts";
import type { Host } from "../platform/platform.ts";

const CHUNK_BYTES = 1024 * 1024;
/** Of data in one file: a file in /proc has as much as one reads. */
const DATA_BYTES_MAX = 2 ** 40;

export interface Exported {
  /** 0, or why it is not copied. */
  readonly errno: number;
  /** Its permissions. */
  readonly mode: number;
}

/** Copies `path` of `container`, whose init is `task`, to the end of `fd`. */
export function exportFile(container: Container, task: Task, path: string, host: Host, fd: number): Exported {
  // An exited task has no place in the tree any more; what is read is for the caller, who may read all of it.
  const root = container.mounts.root, top = new Path(root, root.root);
  task.fs = new FsContext(top, top, 0);
  task.credentials = newCredentials(0, 0, [], ALL_CAPABILITIES);
  const file = openByName(task, AT_FDCWD, utf8ToByteString(path), O_RDONLY | O_NONBLOCK, 0);
  if (typeof file === "number") return { errno: -file, mode: 0 };
  const { mode } = file.inode;
  const result = (mode & S_IFMT) === S_IFREG ? copy(task, file, host, fd) : -EINVAL;
  file.drop();
  return { errno: -result, mode: mode & 0o777 };
}

/** Holes stay holes: a file of gigabytes may have a few bytes. */
function copy(task: Task, file: File, host: Host, fd: number): number {
  const { heartbeat } = task.kernel;
  const bytes = new Uint8Array(CHUNK_BYTES);
  let at = 0, copied = 0;
  for (;;) {
    heartbeat.turn();
    const data = file.seek(at, SEEK_DATA);
    if (data === -ENXIO) break;
    if (data > at) at = data;
    // A file system without holes answers that all is data.
    const hole = file.seek(at, SEEK_HOLE);
    const length = hole > at ? Math.min(bytes.length, hole - at) : bytes.length;
    const n = file.read(task, bytes, 0, length, at);
    if (n < 0) return n;
    if (n === 0) break;
    copied += n;
    if (copied > DATA_BYTES_MAX) return -EFBIG;
    const failure = writeAt(host, fd, bytes, n, at);
    if (failure < 0) return failure;
    at += n;
  }
  return at < file.inode.size ? host.ftruncate(fd, file.inode.size) : 0;
}

/** The descriptor appends: a hole before `at` is made by the file's size. */
function writeAt(host: Host, fd: number, bytes: Uint8Array, length: number, at: number): number {
  const sized = host.ftruncate(fd, at);
  if (sized < 0) return sized;
  for (let done = 0; done < length;) {
    const n = host.pwrite(fd, bytes, done, length - done, at + done);
    if (n <= 0) return n < 0 ? n : -EIO;
    done += n;
  }
  return 0;
}
