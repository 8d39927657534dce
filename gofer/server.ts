// The gofer's server: answers one connection a mount, trusting nobody. Synchronous: receive a frame, do it, answer.

import {
  EBADF,
  EEXIST,
  EINVAL,
  EIO,
  ENOENT,
  EOPNOTSUPP,
  EPROTO,
  EROFS,
  ETIMEDOUT,
} from "../kernel/abi/errno.ts";
import {
  O_ACCMODE,
  O_CREAT,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  RENAME_EXCHANGE,
  RENAME_NOREPLACE,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../kernel/abi/file.ts";
import { u16, u32 } from "../kernel/abi/struct.ts";
import type { GoferCalls } from "../native/gofer_host.ts";
import type { NativeHost } from "../native/host.ts";
import { HostTree, isName, nameBytes } from "./host_tree.ts";
import {
  CLOSE_COUNT_MAX,
  FRAME_BYTES_MAX,
  FrameReader,
  FrameWriter,
  LINK_BYTES_MAX,
  NAME_BYTES_MAX,
  REQUEST,
  SET_ATIME,
  SET_GID,
  SET_MODE,
  SET_MTIME,
  SET_SIZE,
  SET_UID,
  STAT_BYTES,
  STATFS_BYTES,
} from "./protocol.ts";

const O_CLOEXEC = 0o2000000;
/** The start is over when nobody has asked for this long. */
const START_MILLIS = 300;
const UTIME_OMIT = 0x3ffffffe;

/** One mount to serve: the sentry's connection and the host directory (or file) it may see. */
export interface GoferMount {
  readonly socket: number;
  /** An O_PATH descriptor of the root. */
  readonly rootFd: number;
  readonly isReadOnly: boolean;
}

/** A mount that is being served. */
export class Connection {
  readonly socket: number;
  readonly tree: HostTree;
  isOpen = true;
  constructor(socket: number, tree: HostTree) {
    this.socket = socket;
    this.tree = tree;
  }
}

/** Serves `mounts` until every connection is closed. `procFd` is a descriptor of /proc/self/fd. */
export function serveGofer(
  host: NativeHost,
  calls: GoferCalls,
  mounts: readonly GoferMount[],
  procFd: number,
): void {
  const server = new GoferServer(host, calls);
  const connections = mounts.map((mount) => {
    const tree = new HostTree(calls, (fd) => host.close(fd), procFd, mount.rootFd, mount.isReadOnly);
    return new Connection(mount.socket, tree);
  });
  const sockets = Int32Array.from(connections, (connection) => connection.socket);
  let open = connections.length;
  let isStarting = true;
  for (let last = 0; open > 0;) {
    // With one connection the receive itself waits.
    const isAlone = connections.length === 1 && !isStarting;
    const ready = isAlone ? 0 : host.pollMany(sockets, last, isStarting ? START_MILLIS : -1);
    if (ready === -ETIMEDOUT) {
      isStarting = false;
      host.releaseMemory();
    }
    if (ready < 0) continue;
    last = ready;
    if (server.serveOne(connections[ready], isAlone ? -1 : 0)) continue;
    sockets[ready] = -1;
    open--;
  }
}

/** Handles frames; public for tests. */
export class GoferServer {
  readonly #host: NativeHost;
  readonly #calls: GoferCalls;
  readonly #in = new Uint8Array(FRAME_BYTES_MAX);
  readonly #reader = new FrameReader(this.#in);
  readonly #answer = new FrameWriter();
  readonly #fds = new Int32Array(4);
  readonly #entries = new Uint8Array(32 * 1024);
  readonly #value = new Uint8Array(FRAME_BYTES_MAX);
  /** Descriptor that goes with the answer, -1 = none. */
  #donated = -1;

  constructor(host: NativeHost, calls: GoferCalls) {
    this.#host = host;
    this.#calls = calls;
  }

  /** Receives and answers one frame; false when the connection is over. */
  serveOne(connection: Connection, millis: number): boolean {
    const n = this.#host.receiveMessage(connection.socket, this.#in, 0, FRAME_BYTES_MAX, this.#fds, millis);
    for (let i = 0; i < this.#host.receivedFds; i++) this.#host.close(this.#fds[i]); // nobody has a reason to send any
    if (n <= 0) {
      connection.isOpen = false;
      connection.tree.release();
      this.#host.close(connection.socket);
      return false;
    }
    this.#reader.start(n);
    const answer = this.#answer;
    answer.at = 4;
    this.#donated = -1;
    let result = -EPROTO;
    const id = this.#reader.u16();
    this.#reader.u16();
    if (n >= 4) result = this.#handle(connection.tree, id);
    if (result < 0) answer.at = 4;
    const length = answer.at;
    answer.at = 0;
    answer.u32(result < 0 ? result : 0);
    if (this.#donated >= 0) this.#fds[0] = this.#donated;
    this.#host.sendMessage(connection.socket, answer.bytes, 0, length, this.#fds, this.#donated >= 0 ? 1 : 0);
    if (this.#donated >= 0) this.#host.close(this.#donated);
    return true;
  }

  #handle(tree: HostTree, id: number): number {
    const r = this.#reader;
    switch (id) {
      case REQUEST.MOUNT: {
        // On the CPU of who waits for the answer, a request costs two switches there and wakes no other CPU.
        const cpu = r.u32();
        if (cpu > 0) this.#host.pinToCpu(cpu - 1);
        const result = tree.refresh(0);
        return result < 0 ? result : this.#putNode(tree, 0);
      }
      case REQUEST.WALK: {
        const directory = r.u32(), name = r.name(NAME_BYTES_MAX);
        return r.isBad ? -EPROTO : this.#walk(tree, directory, name);
      }
      case REQUEST.READ_ATTRIBUTES:
        return this.#readAttributes(tree, r.u32(), r.u8() !== 0);
      case REQUEST.READ_DIRECTORY: {
        const directory = r.u32(), isRestart = r.u8() !== 0, name = r.name(NAME_BYTES_MAX);
        return r.isBad ? -EPROTO : this.#readDirectory(tree, directory, isRestart, name);
      }
      case REQUEST.OPEN:
        return this.#open(tree, r.u32(), r.u32());
      case REQUEST.CREATE:
      case REQUEST.MKDIR:
      case REQUEST.MKNOD:
      case REQUEST.SYMLINK:
        return this.#make(tree, id);
      case REQUEST.LINK:
        return this.#link(tree);
      case REQUEST.UNLINK: {
        const directory = r.u32(), flags = r.u32(), name = r.name(NAME_BYTES_MAX);
        if (r.isBad) return -EPROTO;
        const result = tree.remove(directory, name, flags);
        return result < 0 ? result : this.#putStat(tree, directory);
      }
      case REQUEST.RENAME:
        return this.#rename(tree);
      case REQUEST.SET_ATTRIBUTES:
        return this.#setAttributes(tree);
      case REQUEST.READLINK:
        return this.#readlink(tree, r.u32());
      case REQUEST.STAT:
        return this.#putStat(tree, r.u32());
      case REQUEST.STATFS:
        return this.#statfs(tree, r.u32());
      case REQUEST.CLOSE: {
        const count = r.u16();
        if (count > CLOSE_COUNT_MAX) return -EINVAL;
        for (let i = 0; i < count && !r.isBad; i++) tree.close(r.u32());
        return 0;
      }
      case REQUEST.XATTR:
        return this.#xattr(tree);
      default:
        return -EOPNOTSUPP;
    }
  }

  #putNode(tree: HostTree, node: number): number {
    this.#answer.u32(node);
    this.#answer.raw(tree.stat, 0, STAT_BYTES);
    return 0;
  }

  #putStat(tree: HostTree, node: number): number {
    const result = tree.refresh(node);
    if (result === 0) this.#answer.raw(tree.stat, 0, STAT_BYTES);
    return result;
  }

  #walk(tree: HostTree, directory: number, name: string): number {
    const node = tree.walk(directory, name);
    return node < 0 ? node : this.#putNode(tree, node);
  }

  /** Entries as many as fit a frame, with the attributes of directories. Reading goes on where the last answer ended. */
  #readDirectory(tree: HostTree, directory: number, isRestart: boolean, name: string): number {
    let node = directory;
    if (name !== "") {
      node = tree.walk(directory, name);
      if (node < 0) return node;
      this.#putNode(tree, node);
    }
    const stream = tree.stream(node, isRestart);
    if (stream < 0) {
      if (name !== "") tree.close(node);
      return stream;
    }
    const answer = this.#answer;
    const doneAt = answer.at, entriesAt = doneAt + 5;
    let at = entriesAt, directoriesBytes = 0, isDone = false;
    while (!isDone && at + directoriesBytes + DIRENTS_ANSWER_BYTES <= FRAME_BYTES_MAX) {
      const n = this.#calls.tsv_gofer_getdents(stream, answer.bytes, at, DIRENTS_BYTES);
      if (n < 0) return n;
      isDone = n === 0;
      for (const end = at + n; at < end; at += u16(answer.bytes, at + 16)) {
        if (answer.bytes[at + 18] === DT_DIR) directoriesBytes += STAT_BYTES;
      }
    }
    answer.u8(isDone ? 1 : 0);
    answer.u32(at - entriesAt);
    answer.at = at;
    this.#putDirectories(tree.fd(node), entriesAt, at);
    if (isDone) tree.endStream(node);
    return 0;
  }

  /** Attributes of the directories among the entries in the answer, for whoever goes into them next. */
  #putDirectories(directory: number, at: number, end: number): void {
    const { bytes } = this.#answer;
    let to = end;
    for (; at < end; at += u16(bytes, at + 16)) {
      if (bytes[at + 18] !== DT_DIR || isDotName(bytes, at + 19)) continue;
      bytes.fill(0, to, to + STAT_BYTES);
      this.#calls.tsv_gofer_stat_at(directory, bytes, at + 19, to);
      to += STAT_BYTES;
    }
    this.#answer.at = to;
  }

  /** Entries with their attributes, as many as fit a frame. Reading goes on where the last answer ended. */
  #readAttributes(tree: HostTree, node: number, isRestart: boolean): number {
    if (this.#reader.isBad) return -EPROTO;
    const stream = tree.stream(node, isRestart);
    if (stream < 0) return stream;
    const answer = this.#answer;
    const countAt = answer.at;
    answer.u16(0);
    answer.u8(0);
    let count = 0, isDone = false;
    while (!isDone && answer.at + DIRENTS_ANSWER_BYTES <= FRAME_BYTES_MAX) {
      const n = this.#calls.tsv_gofer_getdents(stream, this.#entries, 0, DIRENTS_BYTES);
      if (n < 0) return n;
      isDone = n === 0;
      count += this.#putEntries(tree, tree.fd(node), n);
    }
    answer.bytes[countAt + 2] = isDone ? 1 : 0;
    answer.bytes[countAt] = count;
    answer.bytes[countAt + 1] = count >>> 8;
    if (isDone) tree.endStream(node);
    return 0;
  }

  /** The `n` bytes of host entries that were read, with their attributes, into the answer: how many. */
  #putEntries(tree: HostTree, directory: number, n: number): number {
    let count = 0;
    for (let at = 0; at < n; at += u16(this.#entries, at + 16)) {
      let end = at + 19;
      while (this.#entries[end] !== 0) end++;
      let name = "";
      for (let i = at + 19; i < end; i++) name += String.fromCharCode(this.#entries[i]);
      if (name === "." || name === "..") continue;
      // Gone meanwhile, or a name we would not serve.
      if (!isName(name) || this.#calls.tsv_gofer_stat(directory, nameBytes(name), tree.stat, 0) < 0) continue;
      this.#answer.raw(tree.stat, 0, STAT_BYTES);
      this.#answer.name(name);
      count++;
    }
    return count;
  }

  #open(tree: HostTree, node: number, flags: number): number {
    if (this.#reader.isBad || (flags & ~O_ACCMODE) !== 0) return -EINVAL;
    const refused = refuseSpecial(tree, node);
    if (refused < 0) return refused;
    const fd = tree.open(node, flags | O_NONBLOCK);
    if (fd < 0) return fd;
    this.#donated = fd;
    return 0;
  }

  #make(tree: HostTree, id: number): number {
    const r = this.#reader;
    const directory = r.u32();
    const flags = id === REQUEST.CREATE ? r.u32() : 0;
    const mode = id === REQUEST.SYMLINK ? 0o777 : r.u32();
    const uid = r.u32(), gid = r.u32();
    const major = id === REQUEST.MKNOD ? r.u32() : 0, minor = id === REQUEST.MKNOD ? r.u32() : 0;
    const name = r.name(NAME_BYTES_MAX);
    const target = id === REQUEST.SYMLINK ? r.name(LINK_BYTES_MAX) : "";
    if (r.isBad) return -EPROTO;
    const fd = tree.forChange(directory, name);
    if (fd < 0) return fd;
    const bytes = nameBytes(name);
    let result: number;
    if (id === REQUEST.CREATE) {
      if ((flags & ~O_ACCMODE) !== 0) return -EINVAL;
      result = this.#calls.tsv_gofer_open(
        fd,
        bytes,
        flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
        mode & 0o7777,
      );
    } else if (id === REQUEST.MKDIR) {
      result = this.#calls.tsv_gofer_mkdir(fd, bytes, mode & 0o7777);
    } else if (id === REQUEST.MKNOD) {
      const type = mode & S_IFMT;
      // Devices of the host are not for guests to make.
      if (
        type !== S_IFREG && type !== S_IFIFO && type !== S_IFSOCK &&
        !(type === S_IFCHR && major === 0 && minor === 0)
      ) {
        return -EINVAL;
      }
      result = this.#calls.tsv_gofer_mknod(fd, bytes, mode, major, minor);
    } else {
      result = this.#calls.tsv_gofer_symlink(nameBytes(target), fd, bytes);
    }
    // Whoever wants to open a file or else make it has asked once.
    if (result === -EEXIST && id === REQUEST.CREATE) return this.#walk(tree, directory, name);
    if (result < 0) return result;
    if (id === REQUEST.CREATE) this.#donated = result;
    result = this.#own(tree, directory, name, uid, gid, id === REQUEST.SYMLINK ? -1 : mode);
    return result < 0 ? result : this.#putStat(tree, directory);
  }

  /** Gives a new object to its owner and answers with its node. On failure it is removed again. */
  #own(tree: HostTree, directory: number, name: string, uid: number, gid: number, mode: number): number {
    const node = tree.walk(directory, name);
    if (node < 0) return node;
    let result = 0;
    if (u32(tree.stat, 28) !== uid || u32(tree.stat, 32) !== gid) {
      result = this.#calls.tsv_gofer_chown(tree.fd(node), uid, gid);
      if (result === 0) result = tree.refresh(node);
    }
    // chown clears setuid and setgid; the umask of this process is 0, so that the mode is what was asked for.
    if (
      result === 0 && mode >= 0 && (mode & 0o6000) !== 0 && ((u32(tree.stat, 24) ^ mode) & 0o7777) !== 0
    ) {
      result = tree.changeMode(node, mode);
      if (result === 0) result = tree.refresh(node);
    }
    if (result === 0) return this.#putNode(tree, node);
    const isDirectory = (u32(tree.stat, 24) & S_IFMT) === 0o040000;
    tree.close(node);
    tree.remove(directory, name, isDirectory ? 0x200 : 0);
    return result;
  }

  #link(tree: HostTree): number {
    const r = this.#reader;
    const node = r.u32(), directory = r.u32(), name = r.name(NAME_BYTES_MAX);
    if (r.isBad) return -EPROTO;
    const fd = tree.forChange(directory, name);
    if (fd < 0) return fd;
    const source = tree.fd(node);
    if (source < 0) return -EBADF;
    const result = this.#calls.tsv_gofer_link(source, fd, nameBytes(name));
    if (result < 0) return result;
    const put = this.#putStat(tree, node);
    return put < 0 ? put : this.#putStat(tree, directory);
  }

  #rename(tree: HostTree): number {
    const r = this.#reader;
    const from = r.u32(),
      to = r.u32(),
      flags = r.u32(),
      name = r.name(NAME_BYTES_MAX),
      newName = r.name(NAME_BYTES_MAX);
    if (r.isBad) return -EPROTO;
    if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE)) !== 0) return -EINVAL;
    const fromFd = tree.forChange(from, name), toFd = tree.forChange(to, newName);
    if (fromFd < 0) return fromFd;
    if (toFd < 0) return toFd;
    const result = this.#calls.tsv_gofer_rename(fromFd, nameBytes(name), toFd, nameBytes(newName), flags);
    if (result < 0) return result;
    const put = this.#putStat(tree, from);
    return put < 0 ? put : this.#putStat(tree, to);
  }

  #setAttributes(tree: HostTree): number {
    const r = this.#reader;
    const node = r.u32(), mask = r.u32(), mode = r.u32(), uid = r.u32(), gid = r.u32(), size = r.u64();
    const timesAt = r.raw(32);
    if (r.isBad) return -EPROTO;
    if (tree.isReadOnly) return -EROFS;
    const fd = tree.fd(node);
    if (fd < 0) return -EBADF;
    if ((mask & SET_SIZE) !== 0) {
      const result = refuseSpecial(tree, node) || tree.truncate(node, size);
      if (result < 0) return result;
    }
    if ((mask & (SET_UID | SET_GID)) !== 0) {
      const none = 0xffff_ffff;
      const result = this.#calls.tsv_gofer_chown(
        fd,
        (mask & SET_UID) !== 0 ? uid : none,
        (mask & SET_GID) !== 0 ? gid : none,
      );
      if (result < 0) return result;
    }
    if ((mask & SET_MODE) !== 0) {
      const result = tree.changeMode(node, mode);
      if (result < 0) return result;
    }
    if ((mask & (SET_ATIME | SET_MTIME)) !== 0) {
      const times = this.#in.slice(timesAt, timesAt + 32);
      const view = new DataView(times.buffer);
      if ((mask & SET_ATIME) === 0) view.setUint32(8, UTIME_OMIT, true);
      if ((mask & SET_MTIME) === 0) view.setUint32(24, UTIME_OMIT, true);
      const result = this.#calls.tsv_gofer_times(fd, times);
      if (result < 0) return result;
    }
    return this.#putStat(tree, node);
  }

  #readlink(tree: HostTree, node: number): number {
    const fd = tree.fd(node);
    if (fd < 0) return -EBADF;
    const n = this.#calls.tsv_gofer_readlink(fd, this.#value, 0, LINK_BYTES_MAX);
    if (n < 0) return n === -ENOENT ? -EINVAL : n;
    this.#answer.raw(this.#value, 0, n);
    return 0;
  }

  #statfs(tree: HostTree, node: number): number {
    const fd = tree.fd(node);
    if (fd < 0) return -EBADF;
    const result = this.#calls.tsv_gofer_statfs(fd, this.#value);
    if (result === 0) this.#answer.raw(this.#value, 0, STATFS_BYTES);
    return result;
  }

  #xattr(tree: HostTree): number {
    const r = this.#reader;
    const operation = r.u8(), flags = r.u8(), node = r.u32(), name = r.name(NAME_BYTES_MAX);
    const fd = tree.fd(node);
    if (r.isBad || operation > 3) return -EPROTO;
    if (fd < 0) return -EBADF;
    if (name.includes("\0")) return -EINVAL;
    const isChange = operation === 1 || operation === 3;
    if (isChange && tree.isReadOnly) return -EROFS;
    const length = operation === 1 ? r.left : FRAME_BYTES_MAX - 64;
    if (operation === 1) this.#value.set(this.#in.subarray(r.at, r.end));
    const path = nameBytes(`/proc/self/fd/${fd}`);
    const n = this.#calls.tsv_gofer_xattr(operation, path, nameBytes(name), this.#value, length, flags);
    if (n < 0) return n === -EIO ? -EOPNOTSUPP : n;
    if (!isChange) this.#answer.raw(this.#value, 0, n);
    return 0;
  }
}

/** A FIFO or device of the host is not opened: the kernel has its own, and an open could block us. */
function refuseSpecial(tree: HostTree, node: number): number {
  const refreshed = tree.refresh(node);
  if (refreshed < 0) return refreshed;
  const type = u32(tree.stat, 24) & S_IFMT;
  return type === S_IFIFO || type === S_IFCHR || type === S_IFBLK || type === S_IFSOCK ? -EINVAL : 0;
}

/** Bytes of host entries read at once. */
const DIRENTS_BYTES = 4 * 1024;
/** What those may become in an answer: 24 bytes are one entry at least, and it adds its attributes. */
const DIRENTS_ANSWER_BYTES = DIRENTS_BYTES / 24 * (STAT_BYTES + 8) + DIRENTS_BYTES;
const DT_DIR = 4;

/** The NUL-terminated name at `at` is "." or "..". */
function isDotName(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0x2e && (bytes[at + 1] === 0 || (bytes[at + 1] === 0x2e && bytes[at + 2] === 0));
}
