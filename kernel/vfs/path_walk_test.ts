import { equal } from "node:assert/strict";
import { EACCES, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EXDEV } from "../abi/errno.ts";
import {
  AT_FDCWD,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_TMPFILE,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
} from "../abi/file.ts";
import { EEXIST } from "../abi/errno.ts";
import { VfsTask } from "../../tests/support/vfs_task.ts";
import { changeMode } from "./attributes.ts";
import { makeDirectory, makeLink, makeSymlink } from "./create.ts";
import type { File } from "./file.ts";
import { newMount } from "./mount.ts";
import { attach } from "./mounting.ts";
import { openByName } from "./open.ts";
import { type Path, pathName } from "./path.ts";
import { EMPTY, FOLLOW, resolve, resolveParent, SYMLINKS_MAX } from "./path_walk.ts";
import { removeFile } from "./remove.ts";

/** /a/b, /a/file, /a/link -> b, /abs -> /a/b, /dangling -> a/new, /loop -> loop, a tmpfs mounted at /a/b. */
function tree(): VfsTask {
  const t = new VfsTask();
  makeDirectory(t.task, AT_FDCWD, "/a", 0o755);
  makeDirectory(t.task, AT_FDCWD, "/a/b", 0o755);
  open(t, "/a/file", O_CREAT | O_WRONLY).drop();
  makeSymlink(t.task, "b", AT_FDCWD, "/a/link");
  makeSymlink(t.task, "/a/b", AT_FDCWD, "/abs");
  makeSymlink(t.task, "a/new", AT_FDCWD, "/dangling");
  makeSymlink(t.task, "loop", AT_FDCWD, "/loop");
  return t;
}

function open(t: VfsTask, name: string, flags: number, mode = 0o644, dirfd = AT_FDCWD): File {
  const file = openByName(t.task, dirfd, name, flags, mode);
  if (typeof file === "number") throw new Error(`Cannot open ${name}: ${file}`);
  return file;
}

function nameOf(t: VfsTask, path: Path | number): string | number {
  return typeof path === "number" ? path : pathName(path, t.fs.root);
}
function walk(t: VfsTask, name: string, flags = FOLLOW, how = 0, dirfd = AT_FDCWD): string | number {
  return nameOf(t, resolve(t.task, dirfd, name, flags, how));
}

Deno.test("resolve() walks dots, slashes and symlinks", () => {
  const t = tree();
  equal(walk(t, "/"), "/");
  equal(walk(t, "//a/./b/.."), "/a");
  equal(walk(t, "/../../a"), "/a");
  equal(walk(t, "/abs"), "/a/b");
  equal(walk(t, "/abs", 0), "/abs");
  equal(walk(t, "/abs/", 0), "/a/b");
  equal(walk(t, "a/link/../file"), "/a/file");
  equal(walk(t, ""), -ENOENT);
  equal(walk(t, "/a/file/"), -ENOTDIR);
  equal(walk(t, "/a/file/x"), -ENOTDIR);
  equal(walk(t, "/none/x"), -ENOENT);
  equal(walk(t, "/dangling"), -ENOENT);
  equal(walk(t, "/loop"), -ELOOP);
});

Deno.test("resolve() bounds names, paths and the number of symlinks", () => {
  const t = tree();
  equal(walk(t, `/${"x".repeat(255)}`), -ENOENT);
  equal(walk(t, `/${"x".repeat(256)}`), -ENAMETOOLONG);
  equal(walk(t, "/".repeat(4096)), -ENAMETOOLONG);
  equal(walk(t, "/".repeat(4095)), "/");
  makeSymlink(t.task, "/", AT_FDCWD, "/l0");
  for (let i = 1; i <= SYMLINKS_MAX; i++) makeSymlink(t.task, `l${i - 1}`, AT_FDCWD, `/l${i}`);
  equal(walk(t, `/l${SYMLINKS_MAX - 1}`), "/");
  equal(walk(t, `/l${SYMLINKS_MAX}`), -ELOOP);
});

Deno.test("resolve() goes through mounts and back", () => {
  const t = tree();
  const at = resolve(t.task, AT_FDCWD, "/a/b", FOLLOW) as Path;
  const mount = newMount(t.newTmpfs(), "none", 0);
  equal(attach(t.namespaces.mount, mount, at), 0);
  equal((resolve(t.task, AT_FDCWD, "/a/b", FOLLOW) as Path).mount, mount);
  makeDirectory(t.task, AT_FDCWD, "/a/b/c", 0o755);
  equal(walk(t, "/abs/c/../../file"), "/a/file");
  equal(walk(t, "/a/b", FOLLOW, RESOLVE_NO_XDEV), -EXDEV);
  const inside = open(t, "/a/b/c", O_PATH);
  const fd = t.files.allocate(t.task, inside, false);
  equal(walk(t, "../..", FOLLOW, RESOLVE_NO_XDEV, fd), -EXDEV);
  equal(walk(t, "", EMPTY, 0, fd), "/a/b/c");
});

Deno.test("openat2() keeps a resolution beneath or inside its directory", () => {
  const t = tree();
  const fd = t.files.allocate(t.task, open(t, "/a", O_PATH), false);
  equal(walk(t, "link", FOLLOW, RESOLVE_BENEATH, fd), "/a/b");
  equal(walk(t, "b/../file", FOLLOW, RESOLVE_BENEATH, fd), "/a/file");
  equal(walk(t, "../a", FOLLOW, RESOLVE_BENEATH, fd), -EXDEV);
  equal(walk(t, "/a", FOLLOW, RESOLVE_BENEATH, fd), -EXDEV);
  equal(walk(t, "/file", FOLLOW, RESOLVE_IN_ROOT, fd), "/a/file");
  equal(walk(t, "../../file", FOLLOW, RESOLVE_IN_ROOT, fd), "/a/file");
  equal(walk(t, "link", FOLLOW, RESOLVE_NO_SYMLINKS, fd), -ELOOP);
});

Deno.test("resolve() needs x on every directory, and root does not", () => {
  const t = tree();
  changeMode(t.task, resolve(t.task, AT_FDCWD, "/a", 0) as Path, 0o600);
  equal(walk(t, "/a/file"), "/a/file");
  t.dropTo(1000);
  equal(walk(t, "/a/file"), -EACCES);
  equal(walk(t, "/a/none"), -EACCES);
  equal(walk(t, "/a"), "/a");
});

Deno.test("another user's symlink in a sticky directory is not followed", () => {
  const t = tree();
  changeMode(t.task, resolve(t.task, AT_FDCWD, "/a", 0) as Path, 0o1777);
  const other = new VfsTask(t);
  other.dropTo(1001);
  makeSymlink(other.task, "/a/file", AT_FDCWD, "/a/trap");
  const victim = new VfsTask(t);
  victim.dropTo(1000);
  equal(walk(victim, "/a/trap"), -EACCES);
  equal(walk(victim, "/a/link"), "/a/b"); // the directory's owner made it
  equal(walk(other, "/a/trap"), "/a/file");
});

Deno.test("resolveParent() leaves the last component alone", () => {
  const t = tree();
  const parent = resolveParent(t.task, AT_FDCWD, "/abs/x//");
  equal(typeof parent, "object");
  if (typeof parent === "number") return;
  equal(pathName(parent.path, t.fs.root), "/a/b");
  equal(parent.name, "x");
  equal(parent.hasSlash, true);
  equal((resolveParent(t.task, AT_FDCWD, "/") as { name: string }).name, "/");
  equal((resolveParent(t.task, AT_FDCWD, "/a/..") as { name: string }).name, "..");
});

Deno.test("open() with O_CREAT makes what a dangling symlink leads to", () => {
  const t = tree();
  equal(openByName(t.task, AT_FDCWD, "/dangling", O_CREAT | O_EXCL | O_WRONLY, 0o644), -EEXIST);
  equal(openByName(t.task, AT_FDCWD, "/dangling", O_CREAT | O_NOFOLLOW | O_WRONLY, 0o644), -ELOOP);
  open(t, "/dangling", O_CREAT | O_WRONLY).drop();
  equal(walk(t, "/a/new"), "/a/new");
});

Deno.test("open() refuses what cannot be opened so", () => {
  const t = tree();
  const refused = (name: string, flags: number) => openByName(t.task, AT_FDCWD, name, flags, 0o644);
  equal(refused("/a", O_WRONLY), -EISDIR);
  equal(refused("/a", O_CREAT), -EISDIR);
  equal(refused("/a/x/", O_CREAT), -EISDIR);
  equal(refused("/a/file", O_DIRECTORY), -ENOTDIR);
  equal(refused("/abs", O_NOFOLLOW), -ELOOP);
  equal(refused("/none", O_RDONLY), -ENOENT);
  t.dropTo(1000);
  equal(refused("/a/file", O_RDWR), -EACCES);
  equal(refused("/a/mine", O_CREAT | O_RDWR), -EACCES);
  open(t, "/a/file", O_RDONLY).drop();
});

Deno.test("a new file opens whatever mode it gets, and the umask counts", () => {
  const t = tree();
  t.fs.umask = 0o027;
  const file = open(t, "/a/secret", O_CREAT | O_RDWR, 0o000);
  equal(file.isWritable, true);
  equal(file.inode.mode & 0o777, 0);
  equal(open(t, "/a/other", O_CREAT | O_RDWR, 0o666).inode.mode & 0o777, 0o640);
});

Deno.test("an O_TMPFILE file has no name until it is linked", () => {
  const t = tree();
  const file = open(t, "/a", O_TMPFILE | O_RDWR, 0o600);
  equal(file.inode.nlink, 0);
  equal(nameOf(t, file.path!), `/a/#${file.inode.ino} (deleted)`);
  equal(makeLink(t.task, file.path!, AT_FDCWD, "/a/named"), 0);
  equal(file.inode.nlink, 1);
  equal((resolve(t.task, AT_FDCWD, "/a/named", 0) as Path).inode, file.inode);
});

Deno.test("a removed file stays readable while it is open, and shows as deleted", () => {
  const t = tree();
  const file = open(t, "/a/file", O_RDWR);
  file.write(t.task, new Uint8Array([1, 2, 3]), 0, 3, 0);
  equal(removeFile(t.task, AT_FDCWD, "/a/file"), 0);
  equal(walk(t, "/a/file"), -ENOENT);
  equal(nameOf(t, file.path!), "/a/file (deleted)");
  equal(file.read(t.task, new Uint8Array(8), 0, 8, 0), 3);
  file.drop();
});
