// The file system of host files that the gofer process serves; a kind of network file system. Inodes are in inode.ts,
// open files in files.ts.

import { EINVAL } from "../../abi/errno.ts";
import { u32, u64 } from "../../abi/struct.ts";
import type { GoferClient, LateAnswers } from "../../../gofer/client.ts";
import {
  ATTRIBUTE,
  ATTRIBUTES_BYTES,
  CLOSE_COUNT_MAX,
  REQUEST,
  STATFS_BYTES,
  WANTS,
} from "../../../gofer/protocol.ts";
import type { Host } from "../../../platform/platform.ts";
import type { Kernel } from "../../kernel.ts";
import {
  HOST_MAP,
  HOST_READ,
  HOST_WRITE,
  type HostDescriptor,
  type HostDescriptors,
} from "../../host/host_descriptor.ts";
import { Filesystem, type FilesystemStat } from "../../vfs/filesystem.ts";
import { AheadThreshold, ContentsAhead } from "./contents_ahead.ts";
import { Freshness } from "./freshness.ts";
import type { FileKey, HostFiles, SharedFiles } from "./host_files.ts";
import { GoferInode } from "./inode.ts";

/** Donated descriptors kept although no guest has the file open, as libraries are opened again and again. */
const IDLE_MAX = 256;
/** Inodes without a holder that may exist before they are checked and dropped. */
const UNHELD_MAX = 64;
/** Bytes of small files' content kept for open files and for the next open. */
const CONTENT_BYTES_KEPT_MAX = 8 * 1024 * 1024;

export class GoferFilesystem extends Filesystem implements SharedFiles {
  readonly hostFiles: HostFiles;
  readonly client: GoferClient;
  readonly host: Host;
  readonly #descriptors: HostDescriptors;
  readonly isReadOnly: boolean;
  /** Only this kernel changes the files, so cached attributes and names stay valid. */
  readonly isExclusive: boolean;
  readonly #root: GoferInode;
  /** Inodes by host device and number, so that hard links share one inode. */
  readonly inodes = new Map<FileKey, GoferInode>();
  readonly #toClose: number[] = [];
  readonly #unheld: GoferInode[] = [];
  /** Inodes with a cached descriptor and no open file, oldest first. */
  readonly #idle = new Set<GoferInode>();
  /**
   * The last statfs of the root's file system, its age, and HostFiles.changes at that time: programs call statfs(2)
   * once a directory.
   */
  readonly #status = new Uint8Array(STATFS_BYTES);
  readonly #statusAt = new Freshness();
  #statusChanges = 0;
  /** Bytes of small files' content kept now (content.ts). */
  contentBytes = 0;
  readonly contentsAhead = new ContentsAhead();
  /** One name of a directory is looked up to get to something below it. */
  readonly attributesAhead = new AheadThreshold(2);
  /** Until this time the gofer carries out writes, because one of the sentry's took long. */
  writesAsideUntil = 0;
  /** Until then Host.sleeps() is asked before each of ours. */
  writesWatchedUntil = 0;
  /** What it said last, and when; -1 = it was not asked. */
  sleeps = -1;
  sleepsAskedAt = -Infinity;

  /** Connects and requests the root. Throws an error with a clear text when the gofer refuses; boot/ reports it. */
  constructor(
    kernel: Kernel,
    client: GoferClient,
    descriptors: HostDescriptors,
    isReadOnly: boolean,
    isExclusive: boolean,
  ) {
    super(kernel.vfs, "9p");
    this.hostFiles = kernel.hostFiles;
    this.client = client;
    this.host = descriptors.host;
    this.#descriptors = descriptors;
    this.isReadOnly = isReadOnly;
    this.isExclusive = isExclusive;
    if (!isExclusive) this.hostFiles.share(this);
    client.onUnwanted = (node) => this.closeNode(node);
    client.request.start(REQUEST.ROOT);
    const result = client.callNow();
    if (result < 0) throw new Error(`Cannot mount host files: errno ${-result}`);
    const node = client.answer.u32();
    this.#root = this.take(node)!;
    this.#root.hold();
  }

  get late(): LateAnswers | null {
    return this.client.connection.late;
  }

  get hasRoomForContent(): boolean {
    return this.contentBytes < CONTENT_BYTES_KEPT_MAX;
  }
  /** What to request along with a look-up whose file is opened next; `known` is the inode that the name had last. */
  wantsOf(known: GoferInode | null): number {
    const wants = known === null ? WANTS.CONTENT : known.wants;
    return wants === WANTS.CONTENT && !this.hasRoomForContent ? WANTS.DESCRIPTOR : wants;
  }

  /**
   * The descriptor that came with the last answer; null when none came or the user has too many. The caller owns it.
   * It is marked mappable whatever the gofer says, as a stub may map it.
   */
  takeDescriptor(isForWriting: boolean): HostDescriptor | null {
    const fd = this.client.takeDonated();
    if (fd < 0) return null;
    if (!this.#descriptors.quota.hasRoom) this.#dropIdle();
    if (!this.#descriptors.quota.hasRoom) {
      this.host.close(fd);
      return null;
    }
    const rights = HOST_READ | HOST_MAP | (isForWriting ? HOST_WRITE : 0);
    return this.#descriptors.own(fd, "gofer", rights, "a host file");
  }

  /** No file is open any more: closes what was kept for the next open. */
  override release(): void {
    this.#dropIdle();
  }

  #dropIdle(): void {
    for (const inode of [...this.#idle]) inode.dropDescriptors();
  }

  override get root(): GoferInode {
    return this.#root;
  }

  override get options(): string {
    return this.isExclusive ? "cache=exclusive" : "cache=shared";
  }

  /** The inode of `node` with the attributes that come next in the answer; null when the answer is too short. */
  take(node: number): GoferInode | null {
    const answer = this.client.answer;
    const at = answer.raw(ATTRIBUTES_BYTES);
    if (at < 0) return null;
    return this.#inodeOf(answer.bytes, at, node, null, "");
  }

  /** As take(), for a directory entry just read that has no node on the server yet. */
  takeEntry(bytes: Uint8Array, at: number, parent: GoferInode, name: string, then: Freshness): GoferInode {
    const known = this.inodes.get(this.hostFiles.keyOf(bytes, at));
    // What the kernel caches of the inode may be younger than the answer.
    if (known !== undefined && !this.isExclusive && known.isRecent) return known;
    const inode = this.#inodeOf(bytes, at, -1, parent, name);
    inode.noteRead(then);
    return inode;
  }

  #inodeOf(bytes: Uint8Array, at: number, node: number, parent: GoferInode | null, name: string): GoferInode {
    const number = u64(bytes, at + ATTRIBUTE.INO);
    const key = this.hostFiles.keyOf(bytes, at);
    const known = this.inodes.get(key);
    if (known !== undefined) {
      known.adopt(node, parent, name);
      known.load(bytes, at);
      return known;
    }
    const inode = new GoferInode(this, key, number, u32(bytes, at + ATTRIBUTE.MODE));
    inode.adopt(node, parent, name);
    inode.load(bytes, at);
    this.inodes.set(key, inode);
    return inode;
  }

  /**
   * Requests `name` in `directory`; `known` is the node it had, or NO_NODE. After 0 the answer continues with its
   * node and attributes, and what `wants` (WANTS) requested.
   */
  walk(directory: number, name: string, known: number, wants: number): number {
    this.closeNodes();
    const { request, answer } = this.client;
    request.start(REQUEST.WALK);
    request.u32(directory);
    request.u8(wants);
    request.u8(1);
    request.u32(known);
    request.name(name);
    const result = this.client.call();
    if (result < 0) return result;
    const walked = answer.u8();
    answer.u32();
    return walked === 1 ? 0 : -EINVAL;
  }

  /** `inode` came along with another look-up and has no holder yet: it is dropped if it gets none. */
  noteUnheld(inode: GoferInode): void {
    this.#unheld.push(inode);
  }

  /** Queues `node` for closing, together with others: at this point an answer may be in use. */
  closeNode(node: number): void {
    this.#toClose.push(node);
  }

  /** Between requests: closes the nodes that closeNode() has queued, once there are enough. */
  closeNodes(): void {
    if (this.#unheld.length >= UNHELD_MAX) {
      for (const inode of this.#unheld.splice(0)) inode.giveUpUnheld();
    }
    if (this.#toClose.length >= this.hostFiles.closesAt) this.closeNodesNow();
  }

  /** Closes the queued nodes now: the host frees a deleted file's blocks only then. */
  closeNodesNow(): void {
    const request = this.client.request;
    while (this.#toClose.length > 0) {
      const closing = this.#toClose.splice(0, CLOSE_COUNT_MAX);
      request.start(REQUEST.CLOSE);
      request.u16(closing.length);
      for (const node of closing) request.u32(node);
      this.client.send();
    }
  }

  /** `inode` has a cached descriptor and no open file; closes the oldest such beyond IDLE_MAX. */
  noteIdle(inode: GoferInode): void {
    this.#idle.delete(inode);
    this.#idle.add(inode);
    if (this.#idle.size <= IDLE_MAX) return;
    for (const oldest of this.#idle) {
      this.#idle.delete(oldest);
      oldest.dropDescriptors();
      return;
    }
  }
  noteUsed(inode: GoferInode): void {
    this.#idle.delete(inode);
  }

  forget(key: FileKey): void {
    this.inodes.get(key)?.forget();
  }

  override statfs(into: FilesystemStat): number {
    if (!this.#statusAt.isRecent(this.host, this.late) || this.#statusChanges !== this.hostFiles.changes) {
      const result = this.#readStatus();
      if (result < 0) return result;
    }
    const bytes = this.#status;
    into.type = u64(bytes, 0);
    into.blockSize = u64(bytes, 8);
    into.blocks = u64(bytes, 16);
    into.blocksFree = u64(bytes, 24);
    into.blocksAvailable = u64(bytes, 32);
    into.files = u64(bytes, 40);
    into.filesFree = u64(bytes, 48);
    into.nameMax = u64(bytes, 56);
    return 0;
  }

  #readStatus(): number {
    this.client.request.start(REQUEST.STATFS);
    this.client.request.u32(this.#root.node());
    const result = this.client.call();
    if (result < 0) return result;
    const at = this.client.answer.raw(STATFS_BYTES);
    if (at < 0) return -EINVAL;
    this.#status.set(this.client.answer.bytes.subarray(at, at + STATFS_BYTES));
    this.#statusAt.note(this.client.answeredAtNanos);
    this.#statusChanges = this.hostFiles.changes;
    return 0;
  }
}
