import { deepEqual, equal } from "node:assert/strict";
import { EAGAIN, EINVAL } from "../../abi/errno.ts";
import {
  AT_FDCWD,
  IN_ALL_EVENTS,
  IN_CREATE,
  IN_DELETE,
  O_CREAT,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
} from "../../abi/file.ts";
import { u32 } from "../../abi/struct.ts";
import { ATTRIBUTE_CALLS } from "../../syscalls/attribute.ts";
import { INOTIFY_CALLS } from "../../syscalls/inotify.ts";
import { IO_CALLS } from "../../syscalls/io.ts";
import { VfsTask } from "../../../tests/support/vfs_task.ts";
import { makeDirectory } from "../../vfs/create.ts";
import type { File } from "../../vfs/file.ts";
import { openByName } from "../../vfs/open.ts";
import { removeDirectory, removeFile, renamePath } from "../../vfs/remove.ts";

const NAMES: [number, string][] = [
  [0x1, "access"],
  [0x2, "modify"],
  [0x4, "attrib"],
  [0x8, "close_write"],
  [0x10, "close"],
  [0x20, "open"],
  [0x40, "from"],
  [0x80, "to"],
  [0x100, "create"],
  [0x200, "delete"],
  [0x400, "delete_self"],
  [0x800, "move_self"],
  [0x8000, "ignored"],
  [0x4000_0000, "dir"],
];

/** Events that wait, as "create|dir name". */
function events(file: File): string[] {
  const bytes = new Uint8Array(4096);
  const length = file.read(null!, bytes, 0, 4096, -1);
  const found: string[] = [];
  for (let at = 0; at < length; at += 16 + u32(bytes, at + 12)) {
    const mask = u32(bytes, at + 4), size = u32(bytes, at + 12);
    const name = new TextDecoder().decode(bytes.subarray(at + 16, at + 16 + size)).replace(/\0+$/, "");
    const kinds = NAMES.filter(([bit]) => (mask & bit) !== 0).map(([, kind]) => kind).join("|");
    found.push(`${u32(bytes, at)} ${kinds} ${name}`.trim());
  }
  return found;
}

function watched(): { t: VfsTask; file: File; fd: number } {
  const t = new VfsTask();
  makeDirectory(t.task, AT_FDCWD, "/d", 0o755);
  const fd = t.make(INOTIFY_CALLS.inotify_init1.run, O_NONBLOCK);
  equal(t.make(INOTIFY_CALLS.inotify_add_watch.run, fd, "/d", IN_ALL_EVENTS), 1);
  return { t, file: t.files.get(fd)!, fd };
}

Deno.test("inotify tells of what happens in a watched directory", () => {
  const { t, file } = watched();
  const made = openByName(t.task, AT_FDCWD, "/d/f", O_CREAT | O_RDWR, 0o644) as File;
  const fd = t.files.allocate(t.task, made, false);
  t.make(IO_CALLS.write.run, fd, new Uint8Array([1]), 1);
  t.make(ATTRIBUTE_CALLS.fchmod.run, fd, 0o600);
  t.files.close(t.task, fd);
  deepEqual(events(file), ["1 create f", "1 open f", "1 modify f", "1 attrib f", "1 close_write f"]);
  makeDirectory(t.task, AT_FDCWD, "/d/sub", 0o755);
  renamePath(t.task, AT_FDCWD, "/d/f", AT_FDCWD, "/d/g", 0);
  removeFile(t.task, AT_FDCWD, "/d/g");
  deepEqual(events(file), ["1 create|dir sub", "1 from f", "1 to g", "1 delete g"]);
  equal(file.read(t.task, new Uint8Array(16), 0, 16, -1), -EAGAIN);
});

Deno.test("a watch ends with its inode", () => {
  const { t, file, fd } = watched();
  equal(removeDirectory(t.task, AT_FDCWD, "/d"), 0);
  deepEqual(events(file), ["1 delete_self", "1 ignored"]);
  equal(t.make(INOTIFY_CALLS.inotify_rm_watch.run, fd, 1), -EINVAL);
});

Deno.test("a watched file is gone when its last user closes it", () => {
  const { t, file, fd } = watched();
  const open = openByName(t.task, AT_FDCWD, "/f", O_CREAT | O_RDWR, 0o644) as File;
  t.make(INOTIFY_CALLS.inotify_add_watch.run, fd, "/f", IN_ALL_EVENTS);
  removeFile(t.task, AT_FDCWD, "/f");
  deepEqual(events(file), ["2 attrib"]);
  open.drop();
  deepEqual(events(file), ["2 close_write", "2 delete_self", "2 ignored"]);
});

Deno.test("masks select, repeats are merged, a buffer too small for one event is refused", () => {
  const { t, file, fd } = watched();
  equal(t.make(INOTIFY_CALLS.inotify_add_watch.run, fd, "/d", IN_CREATE | IN_DELETE), 1);
  for (let i = 0; i < 3; i++) {
    (openByName(t.task, AT_FDCWD, "/d/f", O_CREAT | O_RDONLY, 0o644) as File).drop();
  }
  equal(file.read(t.task, new Uint8Array(31), 0, 31, -1), -EINVAL);
  deepEqual(events(file), ["1 create f"]);
  equal(t.make(INOTIFY_CALLS.inotify_rm_watch.run, fd, 1), 0);
  deepEqual(events(file), ["1 ignored"]);
});
