// devpts: the file system of pseudo-terminals. Linux: fs/devpts/inode.c, pts(4); Documentation/filesystems/devpts.
// Each mount is an instance with its own numbers. Opening its ptmx makes a terminal with the name N; closing that
// master removes the name. This file also opens /dev/tty, /dev/console and ptmx nodes outside a devpts.

import { EACCES, EBUSY, EINVAL, EIO, ENODEV, ENOENT, ENOSPC, ENXIO } from "../abi/errno.ts";
import {
  O_ACCMODE,
  O_CLOEXEC,
  O_LARGEFILE,
  O_NOCTTY,
  O_NONBLOCK,
  O_RDWR,
  S_IFCHR,
  S_IFDIR,
} from "../abi/file.ts";
import { CAP_SYS_ADMIN } from "../abi/task.ts";
import { CONSOLE_MINOR, PTMX_MINOR, TTY_MINOR, TTYAUX_MAJOR, UNIX98_PTY_SLAVE_MAJOR } from "../abi/tty.ts";
import type { Task } from "../task/task.ts";
import { MasterFile } from "../tty/master_file.ts";
import { SlaveFile } from "../tty/slave_file.ts";
import { takeOnOpen, terminalOf } from "../tty/job_control.ts";
import { Terminal, type TerminalOwner } from "../tty/terminal.ts";
import type { Dentry } from "../vfs/dentry.ts";
import type { File } from "../vfs/file.ts";
import type { Filesystem, FilesystemType } from "../vfs/filesystem.ts";
import {
  ATTR_ATIME,
  ATTR_CTIME,
  ATTR_GID,
  ATTR_MODE,
  ATTR_MTIME,
  ATTR_UID,
  type AttributeChange,
  Inode,
} from "../vfs/inode.ts";
import type { Mount } from "../vfs/mount.ts";
import { Path } from "../vfs/path.ts";
import { VirtualDirectoryFile, type VirtualEntry, VirtualFilesystem } from "./virtual.ts";

const DEVPTS_MAGIC = 0x1cd1;
/** kernel.pty.max: terminals of one instance. */
export const TERMINALS_MAX = 4096;
const ROOT_NUMBER = 1;
const PTMX_NUMBER = 2;
const FIRST_NUMBER = 3;

interface DevptsOptions {
  /** Owner of new slaves; -1: the user who opens the master. */
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly ptmxMode: number;
  readonly max: number;
}

const DEFAULTS: DevptsOptions = { uid: -1, gid: -1, mode: 0o600, ptmxMode: 0, max: TERMINALS_MAX };

export class DevptsFilesystem extends VirtualFilesystem {
  #options: DevptsOptions;
  /** Slaves by index. */
  readonly #slaves = new Map<number, SlaveInode>();
  readonly #ptmx: PtmxInode;
  readonly #directory: DevptsDirectory;

  constructor(task: Task, options: DevptsOptions) {
    super(task.kernel, "devpts", DEVPTS_MAGIC);
    this.#options = options;
    this.#directory = new DevptsDirectory(this);
    this.#ptmx = new PtmxInode(this, options.ptmxMode);
    this.setRoot(this.#directory);
  }

  override get options(): string {
    const { uid, gid, mode, ptmxMode, max } = this.#options;
    const parts: string[] = [];
    if (uid >= 0) parts.push(`uid=${uid}`);
    if (gid >= 0) parts.push(`gid=${gid}`);
    parts.push(`mode=${octal(mode)}`, `ptmxmode=${octal(ptmxMode)}`);
    if (max < TERMINALS_MAX) parts.push(`max=${max}`);
    return parts.join(",");
  }

  override reconfigure(_task: Task, options: string): number {
    const parsed = parseOptions(options, this.#options);
    if (typeof parsed === "number") return parsed;
    this.#options = parsed;
    this.#ptmx.mode = S_IFCHR | parsed.ptmxMode;
    return 0;
  }

  find(name: string): Inode | number {
    if (name === "ptmx") return this.#ptmx;
    if (!/^(0|[1-9]\d{0,8})$/.test(name)) return -ENOENT;
    return this.#slaves.get(Number(name)) ?? -ENOENT;
  }

  entries(): VirtualEntry[] {
    const list = [{ name: "ptmx", ino: PTMX_NUMBER, type: S_IFCHR }];
    for (const [index, { ino }] of this.#slaves) list.push({ name: String(index), ino, type: S_IFCHR });
    return list;
  }

  /** The number of terminals: kernel.pty.nr. */
  get count(): number {
    return this.#slaves.size;
  }

  /**
   * Makes a terminal and its name, owned by `uid` and `gid` unless the mount's options name others; -ENOSPC when
   * there are TERMINALS_MAX.
   */
  newTerminal(uid: number, gid: number): Terminal | number {
    const options = this.#options;
    if (this.#slaves.size >= options.max) return -ENOSPC;
    let index = 0;
    while (this.#slaves.has(index)) index++;
    const owner: TerminalOwner = { onMasterClose: () => this.#remove(index) };
    const terminal = new Terminal(this.vfs.memory.heap, index, owner);
    const inode = new SlaveInode(this, terminal, options.mode);
    inode.uid = options.uid >= 0 ? options.uid : uid;
    inode.gid = options.gid >= 0 ? options.gid : gid;
    this.#slaves.set(index, inode);
    return terminal;
  }

  #remove(index: number): void {
    this.#slaves.delete(index);
    const dentry = this.rootDentry?.child(String(index)) ?? null;
    if (dentry !== null) this.rootDentry!.remove(dentry);
  }

  slaveInode(terminal: Terminal): SlaveInode | null {
    return this.#slaves.get(terminal.index) ?? null;
  }

  openMaster(task: Task, inode: Inode, flags: number): File | number {
    const { fsuid, fsgid } = task.credentials;
    const terminal = this.newTerminal(fsuid, fsgid);
    return typeof terminal === "number" ? terminal : new MasterFile(inode, terminal, flags, openPeer);
  }
}

/** Base of devpts inodes, whose owner, mode and times can be changed. */
abstract class DevptsInode extends Inode {
  declare readonly fs: DevptsFilesystem;

  constructor(fs: DevptsFilesystem, number: number, mode: number) {
    super(fs, number, mode, 0, 0);
    this.atimeSec = this.mtimeSec = this.ctimeSec = fs.clock.realtime();
    this.atimeNsec = this.mtimeNsec = this.ctimeNsec = fs.clock.nanoseconds;
  }

  override setattr(change: AttributeChange): number {
    const { mask } = change;
    if ((mask & ATTR_MODE) !== 0) this.mode = this.type | change.mode & 0o7777;
    if ((mask & ATTR_UID) !== 0) this.uid = change.uid;
    if ((mask & ATTR_GID) !== 0) this.gid = change.gid;
    if ((mask & ATTR_ATIME) !== 0) [this.atimeSec, this.atimeNsec] = [change.atimeSec, change.atimeNsec];
    if ((mask & ATTR_MTIME) !== 0) [this.mtimeSec, this.mtimeNsec] = [change.mtimeSec, change.mtimeNsec];
    if ((mask & ATTR_CTIME) !== 0) [this.ctimeSec, this.ctimeNsec] = [change.ctimeSec, change.ctimeNsec];
    return 0;
  }
}

class DevptsDirectory extends DevptsInode {
  constructor(fs: DevptsFilesystem) {
    super(fs, ROOT_NUMBER, S_IFDIR | 0o755);
    this.nlink = 2;
  }
  /** Names appear and disappear with masters, so look-ups are not cached. */
  override get isCacheable(): boolean {
    return false;
  }
  override lookup(name: string): Inode | number {
    return this.fs.find(name);
  }
  override create(): number {
    return -EACCES;
  }
  override open(_task: Task, flags: number): File | number {
    return new VirtualDirectoryFile(this, flags, () => this.fs.entries());
  }
}

class PtmxInode extends DevptsInode {
  constructor(fs: DevptsFilesystem, mode: number) {
    super(fs, PTMX_NUMBER, S_IFCHR | mode);
    this.rdevMajor = TTYAUX_MAJOR;
    this.rdevMinor = PTMX_MINOR;
  }
  override open(task: Task, flags: number): File | number {
    return this.fs.openMaster(task, this, flags);
  }
}

class SlaveInode extends DevptsInode {
  readonly terminal: Terminal;

  constructor(fs: DevptsFilesystem, terminal: Terminal, mode: number) {
    super(fs, FIRST_NUMBER + terminal.index, S_IFCHR | mode);
    this.terminal = terminal;
    this.rdevMajor = UNIX98_PTY_SLAVE_MAJOR;
    this.rdevMinor = terminal.index;
  }
  override open(task: Task, flags: number): File | number {
    if (this.terminal.isLocked) return -EIO;
    return openSlave(task, this, this.terminal, flags);
  }
}

/** Opens the slave of `terminal`; without O_NOCTTY it may become the controlling terminal. */
function openSlave(task: Task, inode: Inode, terminal: Terminal, flags: number): File | number {
  if (!terminal.isMasterOpen) return -EIO;
  if (terminal.isExclusive && terminal.slaveCount > 0 && !task.credentials.has(CAP_SYS_ADMIN)) return -EBUSY;
  const file = new SlaveFile(inode, terminal, flags);
  if (file.isReadable && (flags & O_NOCTTY) === 0) takeOnOpen(task, terminal);
  return file;
}

/** ioctl TIOCGPTPEER: opens the slave of `master`. */
function openPeer(task: Task, master: MasterFile, flags: number): number {
  const { terminal, path } = master;
  const fs = master.inode.fs;
  if (!(fs instanceof DevptsFilesystem) || path === null) return -EIO;
  const inode = fs.slaveInode(terminal);
  if (inode === null) return -EIO;
  if ((flags & ~(O_ACCMODE | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)) !== 0) return -EINVAL;
  const mount = path.mount.fs === fs ? path.mount : mountOf(task, fs);
  if (mount === null) return -ENODEV;
  const file = new SlaveFile(inode, terminal, flags & (O_ACCMODE | O_NONBLOCK));
  file.path = slavePath(mount, inode);
  if ((flags & O_NOCTTY) === 0 && file.isReadable) takeOnOpen(task, terminal);
  const fd = task.files.allocate(task, file, (flags & O_CLOEXEC) !== 0);
  if (fd < 0) file.drop();
  return fd;
}

/** The path of a slave that still has its name, in a mount of its file system; the caller holds it. */
function slavePath(mount: Mount, inode: SlaveInode): Path {
  const dentry = mount.root.lookup(String(inode.terminal.index)) as Dentry;
  const path = new Path(mount, dentry);
  path.hold();
  return path;
}

function mountOf(task: Task, fs: DevptsFilesystem): Mount | null {
  for (const mount of task.namespaces.mount.mounts()) if (mount.fs === fs) return mount;
  return null;
}

/**
 * Opens a file on a container's own terminal: the slave of `terminal`, with its path where the file system is
 * mounted.
 */
export function openTerminal(task: Task, fs: DevptsFilesystem, terminal: Terminal): File {
  const inode = fs.slaveInode(terminal)!;
  const file = new SlaveFile(inode, terminal, O_RDWR | O_LARGEFILE);
  const mount = mountOf(task, fs);
  if (mount !== null) file.path = slavePath(mount, inode);
  return file;
}

/** Opens devices of major 5, and slave nodes outside a devpts. */
export function openTtyDevice(task: Task, inode: Inode, flags: number): File | number {
  switch (inode.rdevMinor) {
    case TTY_MINOR: {
      const terminal = terminalOf(task.threadGroup);
      return terminal === null ? -ENXIO : new SlaveFile(inode, terminal, flags);
    }
    case CONSOLE_MINOR: {
      const { terminal } = task.threadGroup.container;
      return terminal === null || !terminal.isMasterOpen ? -ENODEV : new SlaveFile(inode, terminal, flags);
    }
    case PTMX_MINOR: {
      // Linux: takes the devpts mounted at "pts" beside the node; here the first devpts mount is taken.
      for (const mount of task.namespaces.mount.mounts()) {
        if (mount.fs instanceof DevptsFilesystem) return mount.fs.openMaster(task, inode, flags);
      }
      return -ENODEV;
    }
    default:
      return -ENXIO;
  }
}

export function openStraySlave(): number {
  return -EIO;
}

export const DEVPTS_TYPE: FilesystemType = {
  name: "devpts",
  hasNoDevice: true,
  isUserMountable: true,
  mount(task: Task, _source: string, options: string): Filesystem | number {
    const parsed = parseOptions(options, DEFAULTS);
    return typeof parsed === "number" ? parsed : new DevptsFilesystem(task, parsed);
  },
};

/** Options uid, gid, mode, ptmxmode, max; newinstance has no effect, as every mount is a new instance. */
function parseOptions(text: string, defaults: DevptsOptions): DevptsOptions | number {
  const options: { -readonly [K in keyof DevptsOptions]: DevptsOptions[K] } = { ...defaults };
  for (const option of text.split(",")) {
    if (option === "" || option === "newinstance") continue;
    const [name, value = ""] = option.split("=");
    const isOctal = name === "mode" || name === "ptmxmode";
    if (!(isOctal ? /^[0-7]{1,11}$/ : /^\d{1,10}$/).test(value)) return -EINVAL;
    const number = parseInt(value, isOctal ? 8 : 10);
    if (name === "uid") options.uid = number;
    else if (name === "gid") options.gid = number;
    else if (name === "mode") options.mode = number & 0o7777;
    else if (name === "ptmxmode") options.ptmxMode = number & 0o7777;
    else if (name === "max" && number <= 1 << 20) options.max = Math.min(number, TERMINALS_MAX);
    else return -EINVAL;
  }
  return options;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(3, "0");
}
