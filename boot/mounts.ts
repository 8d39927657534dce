// The mounts of a container as the sentry makes them: file systems with their options, places made where they are missing,
// paths hidden or made read-only. Linux peers: runc's rootfs_linux.go, mount(8).

import { ENOENT, errnoName } from "../kernel/abi/errno.ts";
import {
  AT_FDCWD,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_RDONLY,
  MS_RELATIME,
  MS_STRICTATIME,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
} from "../kernel/abi/file.ts";
import { OverlayFilesystem } from "../kernel/fs/overlay/overlay.ts";
import { Tmpfs } from "../kernel/fs/tmpfs.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Task } from "../kernel/task/task.ts";
import { latin1ToBytes, utf8ToByteString } from "../kernel/util/bytes.ts";
import type { Filesystem } from "../kernel/vfs/filesystem.ts";
import type { Inode } from "../kernel/vfs/inode.ts";
import { type MountNamespace, newMount } from "../kernel/vfs/mount.ts";
import { bind, mountFlags } from "../kernel/vfs/mounting.ts";
import { openByName } from "../kernel/vfs/open.ts";
import { acrossMounts, Path } from "../kernel/vfs/path.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import { StartError } from "./start_error.ts";
import type { ContainerConfig, DeviceConfig, FileConfig, MountConfig } from "./sentry_config.ts";

/** Options that set flags, and those that take them back: of "ro" and "rw" the later one holds. */
const SETS: Readonly<Record<string, number>> = {
  ro: MS_RDONLY,
  nosuid: MS_NOSUID,
  nodev: MS_NODEV,
  noexec: MS_NOEXEC,
  noatime: MS_NOATIME,
  nodiratime: MS_NODIRATIME,
  relatime: MS_RELATIME,
  strictatime: MS_STRICTATIME,
  nosymfollow: MS_NOSYMFOLLOW,
};
const CLEARS: Readonly<Record<string, number>> = {
  rw: MS_RDONLY,
  suid: MS_NOSUID,
  dev: MS_NODEV,
  exec: MS_NOEXEC,
  atime: MS_NOATIME,
  diratime: MS_NODIRATIME,
  norelatime: MS_RELATIME,
  nostrictatime: MS_STRICTATIME,
  symfollow: MS_NOSYMFOLLOW,
};
/** runc's: a tmpfs that begins with what the directory has below it. */
const COPY_UP = "tmpcopyup";
/** Options that mean the host's mount tree, or when its disks are written. */
const WITHOUT_EFFECT = new Set(
  "bind rbind private rprivate slave rslave unbindable runbindable sync async dirsync lazytime nolazytime defaults silent loud newinstance"
    .split(" "),
);

/** Flags of mount(2), and what is left for the file system to read. */
export function parseOptions(options: readonly string[]): { flags: number; data: string } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    if (SETS[option] !== undefined) flags |= SETS[option];
    else if (CLEARS[option] !== undefined) flags &= ~CLEARS[option];
    else if (!WITHOUT_EFFECT.has(option)) data.push(option);
  }
  return { flags: mountFlags(flags), data: data.join(",") };
}

/** All mounts of `config` in their order, then what is hidden and read-only, then kernel parameters. */
export function addMounts(
  task: Task,
  namespace: MountNamespace,
  config: ContainerConfig,
  served: readonly Filesystem[],
): void {
  for (const mount of config.mounts) addMount(task, namespace, mount, served, config.overlayBytesMax);
  for (const file of config.files ?? []) addFile(task, namespace, file);
  for (const device of config.devices) addDevice(task, namespace, device);
  for (const [name, value] of Object.entries(config.sysctl)) setParameter(task, name, value);
  for (const path of config.readonlyPaths) makeReadonly(task, namespace, path);
  for (const path of config.maskedPaths) mask(task, namespace, path);
}

function addMount(
  task: Task,
  namespace: MountNamespace,
  mount: MountConfig,
  served: readonly Filesystem[],
  overlayBytesMax: number | null,
): void {
  const copiesUp = mount.type === "tmpfs" && mount.options.includes(COPY_UP);
  const { flags, data } = parseOptions(mount.options.filter((option) => option !== COPY_UP || !copiesUp));
  let fs = filesystemOf(task, mount, data, served, overlayBytesMax);
  const at = mountPoint(task, namespace, mount.destination, fs.root.isDirectory);
  // Nothing is copied before it is written to; programs see an overlay where runc has a tmpfs.
  if (copiesUp && at.inode.isDirectory) {
    fs = new OverlayFilesystem(fs.root, [at.inode], `lowerdir=${mount.destination},upperdir=tmpfs`);
  }
  if (at.inode.isDirectory !== fs.root.isDirectory) {
    const [there, new_] = at.inode.isDirectory ? ["a directory", "a file"] : ["a file", "a directory"];
    throw new StartError(
      `Cannot mount ${mount.destination}: it is ${there}, ${mount.source} is ${new_}`,
      128,
    );
  }
  namespace.attach(newMount(fs, utf8ToByteString(mount.source || mount.type), flags), at);
}

function filesystemOf(
  task: Task,
  mount: MountConfig,
  data: string,
  served: readonly Filesystem[],
  bytesMax: number | null,
): Filesystem {
  if (mount.gofer >= 0) {
    return mount.hasOverlay ? overlaid(task.kernel, served[mount.gofer], bytesMax) : served[mount.gofer];
  }
  const shared = mount.sharedAs === undefined ? undefined : task.kernel.sharedFilesystems.get(mount.sharedAs);
  if (shared !== undefined) return shared;
  const type = task.kernel.vfs.registry.filesystems.get(mount.type);
  if (type === undefined) {
    throw new StartError(`Cannot mount ${mount.destination}: type "${mount.type}" is unknown`, 128);
  }
  const fs = type.mount(task, utf8ToByteString(mount.source), utf8ToByteString(data));
  if (typeof fs === "number") {
    throw new StartError(`Cannot mount ${mount.destination}: ${errnoName(-fs)} for options "${data}"`, 128);
  }
  if (mount.sharedAs !== undefined) {
    fs.hold();
    task.kernel.sharedFilesystems.set(mount.sharedAs, fs);
  }
  return fs;
}

/** Host files whose changes stay in memory; of a single file they do not. */
export function overlaid(kernel: Kernel, fs: Filesystem, bytesMax: number | null): Filesystem {
  if (!fs.root.isDirectory) return fs;
  // As a tmpfs of its own: what is written to it must not take all memory of the host.
  const sizeBytes = bytesMax ?? Math.floor(kernel.limits.memoryBytesMax / 2);
  const upper = new Tmpfs(kernel, { mode: 0o755, uid: 0, gid: 0, sizeBytes, inodes: Infinity }, "");
  return new OverlayFilesystem(upper.root, [fs.root], "lowerdir=host,upperdir=memory");
}

/** The place to mount at, made where it is missing. */
export function mountPoint(
  task: Task,
  namespace: MountNamespace,
  destination: string,
  isDirectory: boolean,
): Path {
  let at = acrossMounts(namespace, task.fs.root);
  const parts = utf8ToByteString(destination).split("/").filter((part) => part !== "" && part !== ".");
  for (let i = 0; i < parts.length; i++) {
    const name = parts.slice(0, i + 1).join("/");
    const found = resolve(task, AT_FDCWD, `/${name}`, FOLLOW);
    if (typeof found !== "number") {
      at = found;
      continue;
    }
    if (found !== -ENOENT) {
      throw new StartError(`Cannot mount ${destination}: ${errnoName(-found)} at /${name}`, 128);
    }
    at = makePoint(at, parts[i], destination, isDirectory || i < parts.length - 1);
  }
  return at;
}

function makePoint(directory: Path, name: string, destination: string, isDirectory: boolean): Path {
  const node = { uid: 0, gid: 0 };
  const made: Inode | number = isDirectory
    ? directory.inode.mkdir(name, { ...node, mode: 0o40755 })
    : directory.inode.create(name, { ...node, mode: 0o100644 });
  if (typeof made === "number") throw new StartError(`Cannot mount ${destination}: ${errnoName(-made)}`, 128);
  return new Path(directory.mount, directory.dentry.add(name, made));
}

/** Bytes and inodes of a file system for one file of ours. */
const FILE_BYTES_MAX = 64 * 1024;
const FILE_INODES = 4;

/** A file in memory, over what is there. A root that has no place for it goes without. */
function addFile(task: Task, namespace: MountNamespace, { path, text }: FileConfig): void {
  let at: Path;
  try {
    at = mountPoint(task, namespace, path, false);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return task.kernel.notice(error.message);
  }
  if (at.inode.isDirectory) return task.kernel.notice(`Cannot mount ${path}: it is a directory`);
  const owner = { mode: 0o755, uid: 0, gid: 0 };
  const fs = new Tmpfs(task.kernel, { ...owner, sizeBytes: FILE_BYTES_MAX, inodes: FILE_INODES }, "");
  const made = fs.root.create("file", { mode: 0o100644, uid: 0, gid: 0 });
  if (typeof made === "number") throw new StartError(`Cannot make ${path}: ${errnoName(-made)}`, 128);
  const mount = newMount(fs, "tmpfs", 0);
  namespace.attach(mount.copy(mount.root.add("file", made)), at);
  mount.onDetached();
  const file = openByName(task, AT_FDCWD, utf8ToByteString(path), O_WRONLY, 0);
  if (typeof file === "number") throw new StartError(`Cannot write ${path}: ${errnoName(-file)}`, 128);
  const bytes = new TextEncoder().encode(text);
  file.write(task, bytes, 0, bytes.length, 0);
  file.drop();
}

const DEVICE_TYPES = { c: S_IFCHR, u: S_IFCHR, b: S_IFBLK, p: S_IFIFO } as const;

/** A node of linux.devices; directories on the way are made. One that is there is kept where it is the same device. */
function addDevice(task: Task, namespace: MountNamespace, device: DeviceConfig): void {
  const { path, major, minor, uid, gid } = device;
  const refuse = (reason: string) => new StartError(`Cannot make the device ${path}: ${reason}`, 128);
  const type = DEVICE_TYPES[device.type];
  const found = resolve(task, AT_FDCWD, utf8ToByteString(path), FOLLOW);
  if (typeof found !== "number") {
    const { inode } = found;
    const isSame = (inode.mode & S_IFMT) === type &&
      (type === S_IFIFO || inode.rdevMajor === major && inode.rdevMinor === minor);
    if (isSame) return;
    throw refuse("something else is there");
  }
  const slash = path.lastIndexOf("/"), name = utf8ToByteString(path.slice(slash + 1));
  if (name === "" || name === "." || name === "..") throw refuse("it has no name");
  const directory = mountPoint(task, namespace, path.slice(0, slash), true);
  const made = directory.inode.mknod(name, { mode: type | device.mode, uid, gid }, major, minor);
  if (typeof made === "number") throw refuse(errnoName(-made));
  directory.dentry.add(name, made);
}

/** A path of maskedPaths shows nothing: /dev/null in place of a file, an empty directory of a directory. */
function mask(task: Task, namespace: MountNamespace, path: string): void {
  const at = resolve(task, AT_FDCWD, utf8ToByteString(path), FOLLOW);
  if (typeof at === "number") return;
  if (at.inode.isDirectory) {
    const empty = task.kernel.vfs.registry.filesystems.get("tmpfs")!.mount(task, "tmpfs", "mode=555");
    if (typeof empty === "number") throw new StartError(`Cannot mask ${path}: ${errnoName(-empty)}`, 128);
    namespace.attach(newMount(empty, "tmpfs", mountFlags(MS_RDONLY)), at);
    return;
  }
  const nothing = resolve(task, AT_FDCWD, "/dev/null", FOLLOW);
  const result = typeof nothing === "number" ? nothing : bind(namespace, nothing, at, false);
  if (result < 0) throw new StartError(`Cannot mask ${path}: ${errnoName(-result)}`, 128);
}

function makeReadonly(task: Task, namespace: MountNamespace, path: string): void {
  const at = resolve(task, AT_FDCWD, utf8ToByteString(path), FOLLOW);
  if (typeof at === "number") return;
  const result = bind(namespace, at, at, true);
  if (result < 0) throw new StartError(`Cannot make ${path} read-only: ${errnoName(-result)}`, 128);
  acrossMounts(namespace, at).mount.flags |= MS_RDONLY;
}

/**
 * A kernel parameter by its name with dots (or slashes, as sysctl(8) takes them).
 * Linux: one that is not there or cannot be changed is an error for runc; engines set some by default (ping_group_range)
 * that mean nothing here, so the user hears of it and the container runs.
 */
function setParameter(task: Task, name: string, value: string): void {
  const path = `/proc/sys/${utf8ToByteString(name.includes("/") ? name : name.replaceAll(".", "/"))}`;
  const file = openByName(task, AT_FDCWD, path, O_WRONLY, 0);
  let result = -ENOENT;
  if (typeof file !== "number") {
    const bytes = latin1ToBytes(utf8ToByteString(value));
    result = file.write(task, bytes, 0, bytes.length, 0);
    file.drop();
  } else result = file;
  if (result >= 0) return;
  task.kernel.notice(`linux.sysctl: ${name} is not set to ${JSON.stringify(value)}: ${errnoName(-result)}`);
}
