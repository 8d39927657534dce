// A host file that the gofer serves. Attributes are cached: in an exclusive mount until this kernel changes them, in
// a shared one until they are no longer recent (freshness.ts). content.ts reads and writes regular files.

import { EEXIST, EINVAL, EISDIR, ENFILE, ENOENT, ENOTDIR, ENOTEMPTY, ENXIO, EROFS } from "../../abi/errno.ts";
import {
  AT_REMOVEDIR,
  O_ACCMODE,
  O_RDWR,
  O_WRONLY,
  S_IFDIR,
  S_IFMT,
  S_IFREG,
  S_IFSOCK,
} from "../../abi/file.ts";
import {
  ATTRIBUTES_BYTES,
  NO_NODE,
  REQUEST,
  SET_ATIME,
  SET_GID,
  SET_MODE,
  SET_MTIME,
  SET_SIZE,
  SET_UID,
  WANTS,
} from "../../../gofer/protocol.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import type { Task } from "../../task/task.ts";
import { type AttributeChange, Inode, type NewNode } from "../../vfs/inode.ts";
import type { File } from "../../vfs/file.ts";
import { openSpecial } from "../../vfs/special.ts";
import { askToChange, keepOwner, loadAttributes } from "./attributes.ts";
import { GoferContent } from "./content.ts";
import { GoferDirectoryFile, GoferRegularFile } from "./files.ts";
import type { GoferFilesystem } from "./filesystem.ts";
import { Freshness } from "./freshness.ts";
import type { FileKey } from "./host_files.ts";
import type { Listing } from "./listing.ts";
import { KnownNames } from "./names.ts";
import { askForName } from "./walk.ts";
import { getXattr, listXattr, removeXattr, setXattr } from "./xattr.ts";

/** The SET_ATTRIBUTES bits that the protocol has; the host sets ctime itself. */
const SETTABLE = SET_MODE | SET_UID | SET_GID | SET_SIZE | SET_ATIME | SET_MTIME;

/**
 * A deleted file of at least this size is closed on the server at once, so that the host frees its blocks; smaller
 * ones are closed together.
 */
const DELETED_BYTES_MAX = 1 << 20;

/** Bytes of a node and its attributes in an answer. */
const NODE_BYTES = 4 + ATTRIBUTES_BYTES;

/** Scratch: the attributes read through a descriptor. */
const status = new Uint8Array(ATTRIBUTES_BYTES);
const CLOCK_MONOTONIC = 1;

/**
 * Whether a look-up of `name`, to be opened, needs a request: there is no descriptor for it, no content at hand and none
 * read ahead. Asking now rather than in open() lets the contents of its neighbours come along (names.ts).
 */
function isToOpen(known: GoferInode | number, names: KnownNames, name: string): boolean {
  if (typeof known === "number" || !known.wantsOpening) return false;
  if (known.knownNode !== NO_NODE && !names.readsAhead) return false;
  return !names.takeContent(name, known);
}

export class GoferInode extends Inode {
  declare readonly fs: GoferFilesystem;
  /** Its device and inode number on the host; see HostFiles.keyOf(). */
  readonly key: FileKey;
  /** The server's number for it; -1 while only its attributes are known (from reading a directory). */
  #node = -1;
  /** Parent and name under which the server finds it while it has no node. */
  #parent: GoferInode | null = null;
  #name = "";
  #target: string | null = null;
  #holders = 0;
  /** The content of a regular file; made at the first open. */
  #content: GoferContent | null = null;
  #openFiles = 0;
  /** The guest user whose quota counts the open file; -1: none. */
  #openFor = -1;
  /** What is cached of a directory's names; made at the first use. */
  #known: KnownNames | null = null;
  /** The age of the attributes. */
  readonly #freshness = new Freshness();
  /** The file was changed through another mount since the attributes were loaded. */
  isOld = false;

  constructor(fs: GoferFilesystem, key: FileKey, ino: number, mode: number) {
    super(fs, ino, mode, 0, 0);
    this.key = key;
    // The host takes them off with the writes, truncations and changes of owner that it does for us.
    this.mayHaveCapabilities = false;
  }

  /** The cached names of a directory. */
  get names(): KnownNames {
    return this.#known ??= new KnownNames(this.fs, this);
  }

  /** The content of a regular file. */
  get content(): GoferContent {
    return this.#content ??= new GoferContent(this);
  }

  /** Sets the node number, or parent and name to get one by. */
  adopt(node: number, parent: GoferInode | null, name: string): void {
    if (node >= 0) {
      if (this.#node >= 0 && this.#node !== node) this.fs.closeNode(this.#node);
      this.#node = node;
      this.#parent = null;
    } else if (this.#node < 0) {
      this.#parent = parent;
      this.#name = name;
    }
  }

  /**
   * A kept directory listing still refers to this inode, whose last holder went and whose node was closed: sets
   * parent and name to find it again.
   */
  revive(parent: GoferInode, name: string): void {
    if (this.#node >= 0 || this.#parent !== null) return;
    this.#parent = parent;
    this.#name = name;
    this.fs.inodes.set(this.key, this);
  }

  /** The server's number for it if it has one; else -1. */
  get knownNode(): number {
    return this.#node < 0 ? NO_NODE : this.#node;
  }

  /** The server's number for it, requested now if need be; -ERRNO. */
  node(): number {
    if (this.#node >= 0) return this.#node;
    const parent = this.#parent?.node() ?? -ENOENT;
    if (parent < 0) return parent;
    const result = this.fs.walk(parent, this.#name, NO_NODE, WANTS.NOTHING);
    if (result < 0) return result;
    const taken = this.#takeNode(this.fs.client.answer.u32());
    return taken < 0 ? taken : this.#node;
  }

  /** Loads the attributes from an answer that has just come. */
  load(bytes: Uint8Array, at: number): void {
    this.#load(bytes, at, this.fs.client.answeredAtNanos);
  }

  #load(bytes: Uint8Array, at: number, nanos: number): void {
    // The number belongs to a new symlink now: drops the cached target.
    if (loadAttributes(this, bytes, at)) this.#target = null;
    this.#freshness.note(nanos);
    this.isOld = false;
  }

  /** Loads the attributes that come next in the last answer. */
  loadAnswer(): void {
    const at = this.fs.client.answer.raw(ATTRIBUTES_BYTES);
    if (at >= 0) this.load(this.fs.client.answer.bytes, at);
    else this.#freshness.forget();
  }

  override hold(): void {
    this.#holders++;
  }
  override drop(): void {
    this.#holders--;
    this.giveUpUnheld();
  }
  /** Drops an inode that has no holder, or has got none. */
  giveUpUnheld(): void {
    if (this.#holders > 0 || this.#openFiles > 0) return;
    this.dropDescriptors();
    if (this.#node >= 0) this.fs.closeNode(this.#node);
    this.#node = -1;
    if (this.nlink === 0 && this.size >= DELETED_BYTES_MAX) this.fs.closeNodesNow();
    else this.fs.closeNodes();
    this.#known?.forget();
    if (this.fs.inodes.get(this.key) === this) this.fs.inodes.delete(this.key);
  }

  override get isCacheable(): boolean {
    return this.fs.isExclusive;
  }

  override refresh(): number {
    if (this.fs.isExclusive) return 0;
    const isHosts = this.#openFiles > 0 && !this.isDirectory && this.#content?.isAtHand !== true;
    return !isHosts && this.isRecent ? 0 : this.refreshNow();
  }

  /** Whether the attributes of a shared mount's file are recent enough to be shown. */
  get isRecent(): boolean {
    return !this.isOld && this.#freshness.isRecent(this.fs.host, this.fs.late);
  }
  /** The attributes came with its directory, which was read at `then`. */
  noteRead(then: Freshness): void {
    this.#freshness.copy(then);
  }
  /** The file was changed through another mount. */
  forget(): void {
    this.isOld = true;
    this.#content?.forgetBytes();
    this.#known?.forget();
  }
  /** This kernel has changed the file: invalidates the caches of other mounts, and the attributes here. */
  noteChange(): void {
    this.fs.hostFiles.noteChange(this.fs, this.key);
    this.#content?.forgetBytes();
    this.#freshness.forget();
  }

  /** Loads the attributes from the host, through a descriptor if there is one. */
  refreshNow(): number {
    const descriptor = this.#content?.descriptor ?? null;
    if (descriptor !== null) {
      const result = descriptor.attributes(status, 0);
      if (result < 0) return result;
      const isOwner = keepOwner(this, status);
      this.#load(status, 0, this.fs.host.clockNanos(CLOCK_MONOTONIC));
      if (isOwner) return 0;
    }
    const node = this.node();
    // A file read ahead without a node that lost its name while open keeps its last attributes.
    if (node === -ENOENT && this.#openFiles > 0) return 0;
    if (node < 0) return node;
    this.fs.client.request.start(REQUEST.STAT);
    this.fs.client.request.u32(node);
    const result = this.fs.client.call();
    if (result === 0) this.loadAnswer();
    return result;
  }

  override lookup(name: string): Inode | number {
    if (!this.isDirectory) return -ENOTDIR;
    const names = this.names;
    const { opensNext } = this.fs.vfs;
    let known = names.lookup(name);
    // A file to be opened next is requested with its descriptor or content.
    if (known !== null && !(opensNext && isToOpen(known, names, name))) return known;
    const node = this.node();
    if (node < 0) return node;
    // A name within a path is looked up with those behind it, whatever is read ahead here.
    if (this.fs.vfs.aheadAt >= 0) known = null;
    else known = opensNext ? names.readContentsAhead(name) : names.readAhead(name);
    if (known !== null && !(opensNext && isToOpen(known, names, name))) return known;
    return askForName(this, node, name, opensNext);
  }

  /** What a look-up that leads to this inode, to be opened next, should bring along. */
  get wants(): number {
    return this.#content?.wants ?? WANTS.CONTENT;
  }

  /** Whether opening this regular file costs a request: it has no descriptor, and no recent content. */
  get wantsOpening(): boolean {
    return this.type === S_IFREG && this.wants !== WANTS.NOTHING && this.#content?.isAtHand !== true;
  }

  /**
   * Its descriptor is unused but kept for the next open; the file system closes the oldest such when there are too
   * many.
   */
  noteIdle(): void {
    if (this.#openFiles === 0) this.fs.noteIdle(this);
  }

  /** The directory's entries in the host's order; read whole from the server unless cached. -ERRNO. */
  readEntries(): Listing | number {
    return this.names.listing() ??
      (this.fs.isExclusive ? this.names.readAttributes() : this.names.readRecords());
  }

  /** Sends READ_DIRECTORY; for a directory without a node the same request gets one. */
  askRecords(isRestart: boolean): number {
    const isNew = this.#node < 0 && this.#parent !== null;
    const node = isNew ? this.#parent!.node() : this.node();
    if (node < 0) return node;
    const { request, answer } = this.fs.client;
    request.start(REQUEST.READ_DIRECTORY);
    request.u32(node);
    request.u8(isRestart ? 1 : 0);
    request.name(isNew ? this.#name : "");
    // Only the first frame may answer MUST_WAIT: making the call again would repeat the frames before.
    const result = isRestart ? this.fs.client.call() : this.fs.client.callNow();
    return result < 0 || !isNew ? result : this.#takeNode(answer.u32());
  }

  /** Sets the node that the server found at the inode's name, if that is still the same file. 0 or -ENOENT. */
  #takeNode(node: number): number {
    const { answer } = this.fs.client;
    const at = answer.raw(ATTRIBUTES_BYTES);
    if (at < 0 || this.fs.hostFiles.keyOf(answer.bytes, at) !== this.key) {
      this.fs.closeNode(node);
      return -ENOENT;
    }
    this.#node = node;
    this.#parent = null;
    this.load(answer.bytes, at);
    return 0;
  }

  /** Sends a request that makes `name` here, and takes the new inode from the answer. */
  #made(name: string): GoferInode | number {
    const result = this.fs.client.call();
    this.fs.hostFiles.noteChange(this.fs, this.key);
    if (result < 0) return result;
    return this.#takeMade(name);
  }

  #takeMade(name: string): GoferInode | number {
    const node = this.fs.client.answer.u32();
    const inode = this.fs.take(node);
    if (inode === null) return -EINVAL;
    this.names.note(name, inode);
    this.loadAnswer();
    return inode;
  }

  #startMake(request: number, node: NewNode, flags: number): number {
    if (this.fs.isReadOnly) return -EROFS;
    const number = this.node();
    if (number < 0) return number;
    const writer = this.fs.client.request;
    writer.start(request);
    writer.u32(number);
    if (flags >= 0) writer.u32(flags);
    if (request !== REQUEST.SYMLINK) writer.u32(node.mode);
    writer.u32(node.uid);
    writer.u32(node.gid);
    return 0;
  }

  override create(name: string, node: NewNode): Inode | number {
    const started = this.#startMake(REQUEST.CREATE, node, O_RDWR);
    if (started < 0) return started;
    this.fs.client.request.name(name);
    const { client } = this.fs;
    const result = client.call();
    if (result === 0 && client.answer.left === NODE_BYTES) {
      // The answer ends here: the request has found an existing file.
      const found = this.fs.take(client.answer.u32());
      if (found !== null) this.names.note(name, found);
      return -EEXIST;
    }
    this.fs.hostFiles.noteChange(this.fs, this.key);
    if (result < 0) return result;
    const opened = this.fs.takeDescriptor(true);
    const inode = this.#takeMade(name);
    if (typeof inode === "number") opened?.drop();
    else inode.content.takeMade(opened);
    return inode;
  }

  override createUnnamed(node: NewNode): Inode | number {
    const started = this.#startMake(REQUEST.CREATE_UNNAMED, node, -1);
    if (started < 0) return started;
    const result = this.fs.client.call();
    if (result < 0) return result;
    const opened = this.fs.takeDescriptor(true);
    const inode = this.fs.take(this.fs.client.answer.u32());
    if (inode === null) opened?.drop();
    else inode.content.takeMade(opened);
    return inode ?? -EINVAL;
  }

  override presumesMissing(name: string): boolean {
    if (this.fs.isExclusive || this.fs.isReadOnly) return false;
    const known = this.names.lookup(name);
    return typeof known === "number" || known === null;
  }

  override mkdir(name: string, node: NewNode): Inode | number {
    const started = this.#startMake(REQUEST.MKDIR, node, -1);
    if (started < 0) return started;
    this.fs.client.request.name(name);
    const made = this.#made(name);
    if (typeof made !== "number") made.names.noteEmpty();
    return made;
  }

  override mknod(name: string, node: NewNode, rdevMajor: number, rdevMinor: number): Inode | number {
    const started = this.#startMake(REQUEST.MKNOD, node, -1);
    if (started < 0) return started;
    this.fs.client.request.u32(rdevMajor);
    this.fs.client.request.u32(rdevMinor);
    this.fs.client.request.name(name);
    return this.#made(name);
  }

  override symlink(name: string, target: string, node: NewNode): Inode | number {
    const started = this.#startMake(REQUEST.SYMLINK, node, -1);
    if (started < 0) return started;
    this.fs.client.request.name(name);
    this.fs.client.request.name(target);
    return this.#made(name);
  }

  override link(name: string, inode: Inode): number {
    const target = inode as GoferInode;
    const node = target.node(), directory = this.node();
    if (node < 0 || directory < 0) return Math.min(node, directory);
    this.fs.hostFiles.noteChange(this.fs, this.key);
    this.fs.hostFiles.noteChange(this.fs, target.key);
    const request = this.fs.client.request;
    request.start(REQUEST.LINK);
    request.u32(node);
    request.u32(directory);
    request.name(name);
    const result = this.fs.client.call();
    if (result < 0) return result;
    target.loadAnswer();
    this.names.note(name, target);
    this.loadAnswer();
    return 0;
  }

  #remove(name: string, flags: number): number {
    if (this.fs.isReadOnly) return -EROFS;
    const node = this.node();
    if (node < 0) return node;
    this.fs.hostFiles.noteChange(this.fs, this.key);
    const request = this.fs.client.request;
    request.start(REQUEST.UNLINK);
    request.u32(node);
    request.u32(flags);
    request.name(name);
    const result = this.fs.client.call();
    if (result < 0) return result;
    this.names.note(name, null);
    this.loadAnswer();
    return 0;
  }

  override unlink(name: string, inode: Inode): number {
    const target = inode as GoferInode;
    // Get its node first: after unlink the name no longer leads to it.
    if (target.node() === MUST_WAIT) return MUST_WAIT;
    const result = this.#remove(name, 0);
    if (result === 0) {
      target.noteChange();
      if (target.nlink > 0) target.nlink--;
      if (target.nlink === 0) this.fs.inodes.delete(target.key);
    }
    return result;
  }

  override rmdir(name: string, inode: Inode): number {
    if (!inode.isDirectory) return -ENOTDIR;
    const result = this.#remove(name, AT_REMOVEDIR);
    if (result === 0) {
      inode.nlink = 0;
      this.fs.inodes.delete((inode as GoferInode).key);
    }
    return result === -EEXIST ? -ENOTEMPTY : result;
  }

  override rename(
    name: string,
    inode: Inode,
    to: Inode,
    newName: string,
    target: Inode | null,
    flags: number,
  ): number {
    if (this.fs.isReadOnly) return -EROFS;
    const source = inode as GoferInode, directory = to as GoferInode, replaced = target as GoferInode | null;
    if (source.node() === MUST_WAIT || replaced?.node() === MUST_WAIT) return MUST_WAIT;
    const from = this.node(), into = directory.node();
    if (from < 0 || into < 0) return Math.min(from, into);
    this.fs.hostFiles.noteChange(this.fs, this.key);
    this.fs.hostFiles.noteChange(this.fs, directory.key);
    const request = this.fs.client.request;
    request.start(REQUEST.RENAME);
    request.u32(from);
    request.u32(into);
    request.u32(flags);
    request.name(name);
    request.name(newName);
    const result = this.fs.client.call();
    if (result < 0) return result;
    this.loadAnswer();
    directory.loadAnswer();
    this.names.note(name, null);
    directory.names.note(newName, source);
    source.noteChange();
    if (replaced !== null) {
      replaced.noteChange();
      if ((flags & 2) !== 0) this.names.note(name, replaced);
      else if (replaced.nlink > 0) replaced.nlink -= replaced.isDirectory ? replaced.nlink : 1;
    }
    return 0;
  }

  override readlink(): string | number {
    if (!this.isSymlink) return -EINVAL;
    if (
      this.#target !== null && (this.fs.isExclusive || this.#freshness.isRecent(this.fs.host, this.fs.late))
    ) {
      return this.#target;
    }
    const node = this.node();
    if (node < 0) return node;
    this.fs.client.request.start(REQUEST.READLINK);
    this.fs.client.request.u32(node);
    const result = this.fs.client.call();
    if (result < 0) return result;
    const answer = this.fs.client.answer;
    let target = "";
    while (answer.left > 0) target += String.fromCharCode(answer.u8());
    this.#target = target;
    return target;
  }

  override open(task: Task, flags: number): File | number {
    if (this.#openFiles === 0 && !this.fs.hostFiles.quota.hasRoom) return -ENFILE;
    switch (this.mode & S_IFMT) {
      case S_IFREG: {
        const access = flags & O_ACCMODE;
        const opened = this.content.open(access === O_WRONLY || access === O_RDWR);
        return opened < 0 ? opened : new GoferRegularFile(this, flags);
      }
      case S_IFDIR:
        return new GoferDirectoryFile(this, flags);
      case S_IFSOCK:
        return -ENXIO;
      default:
        return openSpecial(task, this, flags);
    }
  }

  noteOpen(): void {
    if (this.#openFiles++ === 0) this.#openFor = this.fs.hostFiles.quota.take();
    this.hold();
    this.fs.noteUsed(this);
  }
  noteClosed(): void {
    this.#openFiles--;
    if (this.writers === 0 && !this.fs.isExclusive) this.#content?.closeWriting();
    if (this.#openFiles === 0) {
      this.fs.hostFiles.quota.give(this.#openFor);
      // Closes what was written on a network file system: the data must be visible to other clients after close(2)
      // (nfs(5), close-to-open).
      if (this.#content?.isServed === true) this.dropDescriptors();
      else if (this.nlink > 0) this.fs.noteIdle(this);
    }
    this.drop();
  }
  dropDescriptors(): void {
    if (this.#openFiles > 0) return;
    this.#content?.drop();
    this.fs.noteUsed(this);
  }

  override setattr(change: AttributeChange): number {
    const mask = change.mask & SETTABLE;
    if (this.fs.isReadOnly) return -EROFS;
    if ((mask & SET_SIZE) !== 0 && this.isDirectory) return -EISDIR;
    const node = this.node();
    if (node < 0) return node;
    this.noteChange();
    const result = askToChange(this.fs.client, node, mask, change);
    if (result === 0) this.loadAnswer();
    return result;
  }

  override getXattr(name: string): Uint8Array | number {
    return getXattr(this, name);
  }
  override setXattr(name: string, value: Uint8Array, flags: number): number {
    return setXattr(this, name, value, flags);
  }
  override removeXattr(name: string): number {
    return removeXattr(this, name);
  }
  override listXattr(): string[] | number {
    return listXattr(this);
  }
}
