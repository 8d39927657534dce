// mount(2) of type overlay: resolves the layers in the options on behalf of the mounting task.

import { EINVAL, ENOTDIR, EROFS } from "../../abi/errno.ts";
import { AT_FDCWD } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import type { Filesystem, FilesystemType } from "../../vfs/filesystem.ts";
import type { Inode } from "../../vfs/inode.ts";
import { DIRECTORY, FOLLOW, resolve } from "../../vfs/path_walk.ts";
import { LOWER_LAYERS_MAX, OverlayFilesystem } from "./overlay.ts";

export const OVERLAY_TYPE: FilesystemType = {
  name: "overlay",
  hasNoDevice: true,
  isUserMountable: true,
  mount,
};

function mount(task: Task, _source: string, options: string): Filesystem | number {
  let upper = "", lower = "", work = "";
  for (const option of splitUnescaped(options, ",")) {
    const equals = option.indexOf("=");
    const key = equals < 0 ? option : option.slice(0, equals);
    const value = equals < 0 ? "" : option.slice(equals + 1);
    switch (key) {
      case "lowerdir":
        lower = value;
        break;
      case "upperdir":
        upper = value;
        break;
      case "workdir":
        work = value;
        break;
      // These options ask for what this file system always does, or have no effect in one sandbox.
      case "":
      case "index":
      case "xino":
      case "metacopy":
      case "redirect_dir":
      case "volatile":
      case "userxattr":
      case "nfs_export":
      case "uuid":
        break;
      default:
        return -EINVAL;
    }
  }
  if (lower === "" || (upper !== "" && work === "")) return -EINVAL;
  const lowers: Inode[] = [];
  for (const name of splitUnescaped(lower, ":")) {
    const inode = directoryAt(task, name, false);
    if (typeof inode === "number") return inode;
    lowers.push(inode);
  }
  if (lowers.length > LOWER_LAYERS_MAX) return -EINVAL;
  const upperInode = upper === "" ? null : directoryAt(task, unescape(upper), true);
  if (typeof upperInode === "number") return upperInode;
  const shown = upper === "" ? `lowerdir=${lower}` : `lowerdir=${lower},upperdir=${upper},workdir=${work}`;
  const fs = new OverlayFilesystem(upperInode, lowers, shown);
  fs.task = task;
  return fs;
}

function directoryAt(task: Task, name: string, isWritten: boolean): Inode | number {
  const path = resolve(task, AT_FDCWD, unescape(name), FOLLOW | DIRECTORY);
  if (typeof path === "number") return path === -ENOTDIR ? -EINVAL : path;
  return isWritten && path.mount.isReadOnly ? -EROFS : path.inode;
}

/** Splits a list whose separator may be escaped with a backslash; escapes remain for unescape(). */
function splitUnescaped(text: string, separator: string): string[] {
  const parts: string[] = [];
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === "\\") i++;
    else if (text[i] === separator) {
      parts.push(text.slice(from, i));
      from = i + 1;
    }
  }
  parts.push(text.slice(from));
  return parts;
}

function unescape(text: string): string {
  return text.replace(/\\(.)/g, "$1");
}
