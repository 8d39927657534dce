// Password hashes of the host's users, which a program in a sandbox over the host's root has no business with: in their place
// it finds files of the same kind with every user locked, so that login tools go on working. They are in the root's memory
// overlay, as if the program had written them; it may replace them as any other file.

import { ENOENT, errnoName } from "../kernel/abi/errno.ts";
import { AT_FDCWD, O_NOFOLLOW, O_RDONLY, O_TRUNC, O_WRONLY, S_IFMT, S_IFREG } from "../kernel/abi/file.ts";
import type { Task } from "../kernel/task/task.ts";
import { bytesToLatin1, latin1ToBytes } from "../kernel/util/bytes.ts";
import { openByName } from "../kernel/vfs/open.ts";
import { StartError } from "./start_error.ts";

/** Each with the file whose names it has, and what a line says after the name. */
const FILES: readonly (readonly [string, string, string])[] = [
  ["/etc/shadow", "/etc/passwd", ":*:1:0:99999:7:::"],
  ["/etc/gshadow", "/etc/group", ":*::"],
  ["/etc/shadow-", "", ""],
  ["/etc/gshadow-", "", ""],
  ["/etc/security/opasswd", "", ""],
];
const NAMES_BYTES_MAX = 1024 * 1024;

/** For a task that is root and whose root is a memory overlay. Throws StartError: what cannot be hidden is not shown. */
export function hidePasswords(task: Task): void {
  for (const [path, names, rest] of FILES) {
    const file = openByName(task, AT_FDCWD, path, O_WRONLY | O_TRUNC | O_NOFOLLOW, 0);
    if (file === -ENOENT) continue;
    if (typeof file === "number") throw new StartError(`Cannot hide ${path}: ${errnoName(-file)}`, 128);
    const text = names === "" ? "" : namesIn(task, names).map((name) => `${name}${rest}\n`).join("");
    const bytes = latin1ToBytes(text);
    if (bytes.length > 0) file.write(task, bytes, 0, bytes.length, 0);
    file.drop();
  }
}

/** First fields of the lines of a file; none where there is no such file. */
function namesIn(task: Task, path: string): string[] {
  const file = openByName(task, AT_FDCWD, path, O_RDONLY, 0);
  if (typeof file === "number") return [];
  const bytes = new Uint8Array(NAMES_BYTES_MAX);
  let length = 0;
  while ((file.inode.mode & S_IFMT) === S_IFREG && length < bytes.length) {
    const n = file.read(task, bytes, length, bytes.length - length, length);
    if (n <= 0) break;
    length += n;
  }
  file.drop();
  return bytesToLatin1(bytes, 0, length).split("\n").map((line) => line.split(":")[0]).filter((name) =>
    name !== ""
  );
}
