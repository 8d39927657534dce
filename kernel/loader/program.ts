// From the file execve names to what is to be loaded: follows #! lines, checks the ELF headers, opens the interpreter.
// Linux: open_exec(), search_binary_handler(), fs/binfmt_script.c, the first half of load_elf_binary().

import { EACCES, ELIBBAD, ELOOP, ENOENT, ENOEXEC } from "../abi/errno.ts";
import { AT_FDCWD, IN_ACCESS, IN_OPEN, MS_NOEXEC, O_RDONLY, S_IFLNK, S_IFMT, S_IFREG } from "../abi/file.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import { notifyPath } from "../vfs/notify.ts";
import type { Path } from "../vfs/path.ts";
import { MAY_EXEC, mayAccess } from "../vfs/permission.ts";
import { FOLLOW, resolve } from "../vfs/path_walk.ts";
import { allowWriteAccess, denyWriteAccess } from "../vfs/write_access.ts";
import { type ElfImage, HEAD_BYTES, isElf, readElf, readFully } from "./elf.ts";
import { isScript, parseScript } from "./script.ts";
import type { StringList } from "./string_list.ts";

/** Scripts that are interpreters of scripts (exec_binprm). */
const SCRIPT_DEPTH_MAX = 5;

/** What execve was asked to run. */
export interface Target {
  readonly inode: Inode;
  /** Its path; null for a file without a name (fexecve of a memfd). */
  readonly path: Path | null;
  /** As the caller named it: AT_EXECFN, and what a script gets as its own name. */
  readonly filename: string;
  /** The name leads through a descriptor that execve closes: a script could not be opened by it. */
  readonly isGoneAfter: boolean;
  /** Name of the file that findProgram() opened last, for error messages: the script, its interpreter or the ELF loader. */
  lastName: string;
}

/** A program ready to be loaded. Its files are open and nobody may write them, until closeProgram(). */
export interface Program {
  readonly file: File;
  readonly path: Path | null;
  readonly image: ElfImage;
  readonly interpreter: { readonly file: File; readonly image: ElfImage } | null;
  /** With what the scripts on the way have put in front. */
  readonly argv: StringList;
}

const head = new Uint8Array(HEAD_BYTES);

/** Finds what running `target` with `argv` means. -ERRNO as execve(2) answers. */
export function findProgram(task: Task, target: Target, argv: StringList): Program | number {
  target.lastName = target.filename;
  let { path } = target;
  let file = openExecutable(task, target.inode, path);
  for (let depth = 0;; depth++) {
    if (typeof file === "number") return file;
    const n = readHead(task, file);
    if (n < 0 || !isScript(head, n)) {
      const program = n < 0 ? n : openProgram(task, target, file, path, argv, n);
      if (typeof program === "number") closeExecutable(file);
      return program;
    }
    closeExecutable(file);
    if (depth >= SCRIPT_DEPTH_MAX) return -ELOOP;
    const script = parseScript(head, n);
    if (typeof script === "number") return script;
    if (target.isGoneAfter) return -ENOENT;
    const argument = script.argument === null ? [] : [script.argument];
    argv = argv.withFirst([script.interpreter, ...argument, target.lastName]);
    target.lastName = script.interpreter;
    const found = resolve(task, AT_FDCWD, script.interpreter, FOLLOW);
    if (typeof found === "number") return found;
    path = found;
    file = openExecutable(task, found.inode, found);
  }
}

function openProgram(
  task: Task,
  target: Target,
  file: File,
  path: Path | null,
  argv: StringList,
  headBytes: number,
): Program | number {
  if (!isElf(head, headBytes)) return -ENOEXEC;
  const image = readElf(task, file, head, headBytes);
  if (typeof image === "number") return image;
  if (image.interpreter === null) return { file, path, image, interpreter: null, argv };
  target.lastName = image.interpreter;
  // open_exec() of no name is the working directory.
  const found = image.interpreter === "" ? -EACCES : resolve(task, AT_FDCWD, image.interpreter, FOLLOW);
  if (typeof found === "number") return found;
  const loader = openExecutable(task, found.inode, found);
  if (typeof loader === "number") return loader;
  const n = readHead(task, loader);
  const interpreter = n < 0 ? n : readElf(task, loader, head, n);
  if (typeof interpreter === "number") {
    closeExecutable(loader);
    return interpreter === -ENOEXEC ? -ELIBBAD : interpreter;
  }
  return { file, path, image, interpreter: { file: loader, image: interpreter }, argv };
}

/** Gives up what findProgram opened. */
export function closeProgram(program: Program): void {
  closeExecutable(program.file);
  if (program.interpreter !== null) closeExecutable(program.interpreter.file);
}

/** Why `target` alone cannot be run, or 0: Linux checks the file before it reads the arguments. */
export function refusalOf(task: Task, target: Target): number {
  const file = openExecutable(task, target.inode, target.path);
  if (typeof file === "number") return file;
  closeExecutable(file);
  return 0;
}

/** Opens a file for execution: regular, x bit, not on a noexec mount, not open for writing. do_open_execat(). */
function openExecutable(task: Task, inode: Inode, path: Path | null): File | number {
  const type = inode.mode & S_IFMT;
  if (type === S_IFLNK) return -ELOOP;
  if (type !== S_IFREG || (path !== null && (path.mount.flags & MS_NOEXEC) !== 0)) return -EACCES;
  const access = mayAccess(task.credentials, inode, MAY_EXEC);
  if (access < 0) return access;
  const busy = denyWriteAccess(inode);
  if (busy < 0) return busy;
  const file = inode.open(task, O_RDONLY);
  if (typeof file === "number") {
    allowWriteAccess(inode);
    return file;
  }
  if (file.path === null && path !== null) {
    path.hold();
    file.path = path;
  }
  notifyPath(file.path, IN_OPEN);
  return file;
}

/** Reads what says how `file` is run, into `head`: bytes, or -ERRNO. */
function readHead(task: Task, file: File): number {
  const n = readFully(task, file, head, 0, HEAD_BYTES, 0);
  if (n > 0) notifyPath(file.path, IN_ACCESS);
  return n;
}

function closeExecutable(file: File): void {
  allowWriteAccess(file.inode);
  file.drop();
}
