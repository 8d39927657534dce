// /proc/PID/mounts, mountinfo, mountstats. Linux: fs/proc_namespace.c, proc_pid_mountinfo(5).

import type { Task } from "../../task/task.ts";
import type { Mount } from "../../vfs/mount.ts";
import { Path, pathName } from "../../vfs/path.ts";

/**
 * Writes blanks, tabs, newlines and backslashes as octal escapes, as readers of these files expect (mangle() of
 * fs/proc_namespace.c).
 */
function escape(text: string): string {
  return text.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, "0")}`);
}

/** Mounts that `reader` can reach, with their paths seen from its root. */
function visible(task: Task, reader: Task): [Mount, string][] {
  const list: [Mount, string][] = [];
  if (task.hasExited) return list;
  for (const mount of task.namespaces.mount.mounts()) {
    const name = pathName(new Path(mount, mount.root), reader.fs.root);
    if (!name.startsWith("(unreachable)")) list.push([mount, name]);
  }
  return list;
}

function superOptions(mount: Mount): string {
  const own = mount.fs.options;
  return own === "" ? "rw" : `rw,${own}`;
}

export function mountsText(task: Task, reader: Task): string {
  let text = "";
  for (const [mount, name] of visible(task, reader)) {
    const own = mount.fs.options;
    const options = own === "" ? mount.optionText() : `${mount.optionText()},${own}`;
    text += `${escape(mount.source)} ${escape(name)} ${mount.fs.type} ${escape(options)} 0 0\n`;
  }
  return text;
}

export function mountinfoText(task: Task, reader: Task): string {
  let text = "";
  for (const [mount, name] of visible(task, reader)) {
    const parent = mount.parent?.id ?? mount.id;
    let root = "";
    for (let at = mount.root; at.parent !== null; at = at.parent) root = `/${at.name}${root}`;
    root = mount.root.inode?.namespaceShown?.name ?? root;
    const head = `${mount.id} ${parent} 0:${mount.fs.device} ${escape(root || "/")} ${
      escape(name)
    } ${mount.optionText()}`;
    text += `${head} ${mount.propagationText()}- ${mount.fs.type} ${escape(mount.source)} ${
      escape(superOptions(mount))
    }\n`;
  }
  return text;
}

export function mountstatsText(task: Task, reader: Task): string {
  let text = "";
  for (const [mount, name] of visible(task, reader)) {
    text += `device ${escape(mount.source)} mounted on ${escape(name)} with fstype ${mount.fs.type}\n`;
  }
  return text;
}
