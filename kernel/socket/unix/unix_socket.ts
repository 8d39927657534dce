// What all Unix sockets have: names, a peer, credentials. Linux: net/unix/af_unix.c, unix(7). Names are paths, abstract
// (they begin with NUL and belong to a network namespace) or none.

import { EADDRINUSE, ECONNREFUSED, EEXIST, EINVAL, ENOTCONN, EPROTOTYPE } from "../../abi/errno.ts";
import { AT_FDCWD, FIONREAD, POLLERR, POLLHUP, POLLIN, POLLOUT, S_IFSOCK } from "../../abi/file.ts";
import { AF_UNIX, SIOCOUTQ, SO_PEERCRED, SOL_SOCKET } from "../../abi/socket.ts";
import { put16, put32 } from "../../abi/struct.ts";
import { putIntResult } from "../../fs/anonymous/filesystem.ts";
import type { NetNamespace } from "../../task/namespaces.ts";
import type { Task } from "../../task/task.ts";
import { bytesToLatin1, putLatin1 } from "../../util/bytes.ts";
import { makeNode } from "../../vfs/create.ts";
import type { File } from "../../vfs/file.ts";
import type { Path } from "../../vfs/path.ts";
import { FOLLOW, resolve } from "../../vfs/path_walk.ts";
import { MAY_WRITE, mayAccess } from "../../vfs/permission.ts";
import { NO_CREDENTIALS, type SocketAddress, type SocketCredentials } from "../message.ts";
import { Socket } from "../socket.ts";
import type { UnixRoom } from "./room.ts";

/** offsetof(struct sockaddr_un, sun_path). */
const PATH_OFFSET = 2;
/** sizeof(struct sockaddr_un). */
const ADDRESS_BYTES = 110;
/** A user or group that is none. */
const NO_ID = 0xffff_ffff;
/** Names that autobind tries: 5 hexadecimal digits. */
const AUTOBIND_NAMES = 0x10_0000;

export abstract class UnixSocket extends Socket {
  readonly unix: UnixRoom;
  /** sun_path as it was bound: a path, or a name that begins with NUL; "" = none. */
  name = "";
  /** Path of its node in the file system; held. */
  #path: Path | null = null;
  /** Where it was made: its abstract name is there, and those that it finds. Linux: sock_net(). */
  readonly #namespace: NetNamespace;
  /** The socket it is connected to; may have been released meanwhile. */
  peer: UnixSocket | null = null;
  /** Who made the other end, as it was when they connected. */
  peerCredentials: SocketCredentials = NO_CREDENTIALS;
  /** shutdown(2), by this side or in effect by the other. */
  isReadShut = false;
  isWriteShut = false;
  /** Closed for good. */
  isReleased = false;
  /** How many messages carry it at this moment (rights.ts). */
  flights = 0;

  constructor(task: Task, type: number, flags: number) {
    super(task, AF_UNIX, type, 0, flags);
    this.unix = task.kernel.unix;
    this.#namespace = task.namespaces.net;
  }

  /** Visits every file that waits in its queues as SCM_RIGHTS. */
  abstract forEachQueuedFile(visit: (file: File) => void): void;
  /** Drops them. */
  abstract dropQueuedFiles(): void;
  /** SIOCINQ, and SIOCOUTQ. */
  abstract get bytesToRead(): number;
  abstract get bytesOnTheWay(): number;

  override bind(task: Task, address: SocketAddress): number {
    if (address.family === AF_UNIX && address.length === PATH_OFFSET) return this.autobind();
    const name = unixName(address);
    if (typeof name === "number") return name;
    if (this.name !== "") return this.#refuseSecondName(task, name);
    return name.charCodeAt(0) === 0 ? this.#bindAbstract(name) : this.#bindPath(task, name);
  }

  /** Linux makes the node before it sees that there is a name already: one that exists is what it complains of. */
  #refuseSecondName(task: Task, name: string): number {
    if (name.charCodeAt(0) === 0) return -EINVAL;
    return typeof resolve(task, AT_FDCWD, name, 0) === "number" ? -EINVAL : -EADDRINUSE;
  }

  /** Gives it a free abstract name, unless it has one. */
  autobind(): number {
    if (this.name !== "") return 0;
    const { unix } = this;
    for (let tries = 0; tries < AUTOBIND_NAMES; tries++) {
      unix.lastAutobind = (unix.lastAutobind + 1) % AUTOBIND_NAMES;
      const name = `\0${unix.lastAutobind.toString(16).padStart(5, "0")}`;
      if (this.#bindAbstract(name) === 0) return 0;
    }
    return -EADDRINUSE;
  }

  #bindAbstract(name: string): number {
    const names = this.#namespace.abstractNames;
    const key = abstractKey(this.socketType, name);
    if (names.has(key)) return -EADDRINUSE;
    names.set(key, this);
    this.name = name;
    return 0;
  }

  #bindPath(task: Task, name: string): number {
    const path = makeNode(task, AT_FDCWD, name, S_IFSOCK | (this.inode.mode & 0o777), 0, 0);
    if (typeof path === "number") return path === -EEXIST ? -EADDRINUSE : path;
    path.hold();
    path.inode.socket = this;
    this.#path = path;
    this.name = name;
    return 0;
  }

  /** The bound socket of its type that `address` names, or -ERRNO. */
  protected find(task: Task, address: SocketAddress): UnixSocket | number {
    const name = unixName(address), type = this.socketType;
    if (typeof name === "number") return name;
    if (name.charCodeAt(0) === 0) {
      return this.#namespace.abstractNames.get(abstractKey(type, name)) ?? -ECONNREFUSED;
    }
    const path = resolve(task, AT_FDCWD, name, FOLLOW);
    if (typeof path === "number") return path;
    const refused = mayAccess(task.credentials, path.inode, MAY_WRITE);
    if (refused < 0) return refused;
    const { socket } = path.inode;
    if (path.inode.type !== S_IFSOCK || socket === null) return -ECONNREFUSED;
    return socket.socketType === type ? socket : -EPROTOTYPE;
  }

  override localAddress(into: SocketAddress): number {
    putUnixName(into, this.name);
    return 0;
  }

  override peerAddress(into: SocketAddress): number {
    if (this.peer === null) return -ENOTCONN;
    putUnixName(into, this.peer.name);
    return 0;
  }

  /** The protocol has one option of its own at SOL_SOCKET: SO_PEERCRED. */
  override get hasErrorQueue(): boolean {
    return false;
  }
  override getOption(
    task: Task,
    level: number,
    name: number,
    into: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (level !== SOL_SOCKET || name !== SO_PEERCRED) {
      return super.getOption(task, level, name, into, at, length);
    }
    const who = this.peerCredentials;
    // Nobody has no ids either: cred_to_ucred().
    const isNobody = who === NO_CREDENTIALS;
    put32(into, at, who.pid === null ? 0 : who.pid.in(task.pid.namespace));
    put32(into, at + 4, isNobody ? NO_ID : who.uid);
    put32(into, at + 8, isNobody ? NO_ID : who.gid);
    return 12;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    switch (request) {
      case FIONREAD:
        return this.isListening ? -EINVAL : putIntResult(task, argument, this.bytesToRead);
      case SIOCOUTQ:
        return this.isListening ? -EINVAL : putIntResult(task, argument, this.bytesOnTheWay);
      default:
        return super.ioctl(task, request, argument);
    }
  }

  /** The other end has closed. `isReset`: with something of ours unread, or before it was accepted. */
  abstract onPeerRelease(isReset: boolean): void;

  /** Tells everybody who waits that the state has changed. */
  notifyChange(): void {
    this.queue.notify(POLLIN | POLLOUT | POLLERR | POLLHUP);
  }

  override get hasPeekOffset(): boolean {
    return true;
  }

  override release(): void {
    this.isReleased = true;
    this.isReadShut = true;
    this.isWriteShut = true;
    const { abstractNames } = this.#namespace, key = abstractKey(this.socketType, this.name);
    if (abstractNames.get(key) === this) abstractNames.delete(key);
    if (this.#path !== null) {
      if (this.#path.inode.socket === this) this.#path.inode.socket = null;
      this.#path.drop();
    }
    this.dropQueuedFiles();
    super.release();
    this.unix.rights.collectRings();
  }
}

/** sun_path of an address: up to the NUL for a path, everything for an abstract name. -EINVAL for anything else. */
function unixName(address: SocketAddress): string | number {
  const { bytes, length } = address;
  if (address.family !== AF_UNIX || length <= PATH_OFFSET || length > ADDRESS_BYTES) return -EINVAL;
  if (bytes[PATH_OFFSET] === 0) return bytesToLatin1(bytes, PATH_OFFSET, length - PATH_OFFSET);
  let end = PATH_OFFSET;
  while (end < length && bytes[end] !== 0) end++;
  return bytesToLatin1(bytes, PATH_OFFSET, end - PATH_OFFSET);
}

/** Writes struct sockaddr_un for a name: a path with its NUL, an abstract name without, no name as the family alone. */
export function putUnixName(into: SocketAddress, name: string): void {
  put16(into.bytes, 0, AF_UNIX);
  into.length = PATH_OFFSET + putLatin1(into.bytes, PATH_OFFSET, name);
  if (name !== "" && name.charCodeAt(0) !== 0) into.bytes[into.length++] = 0;
}

/** Abstract names are apart for every type. */
function abstractKey(type: number, name: string): string {
  return `${type}${name}`;
}
