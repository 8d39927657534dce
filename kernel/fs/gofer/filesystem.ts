// Host files, served by the gofer process: the file system. Linux: a network file system in kind. Inodes stand in inode.ts,
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
import { ContentsAhead } from "./contents_ahead.ts";
import { Freshness } from "./freshness.ts";
import type { FileKey, HostFiles, SharedFiles } from "./host_files.ts";
import { GoferInode } from "./inode.ts";

/** Donated descriptors kept open although no guest has the file open: libraries are opened again and again. */
const IDLE_MAX = 256;
/** Inodes that may have no holder, until that is looked into. */
const UNHELD_MAX = 64;
/** Small files' content that is kept for open files and the next open. */
const CONTENT_BYTES_KEPT_MAX = 8 * 1024 * 1024;

export class GoferFilesystem extends Filesystem implements SharedFiles {
  readonly hostFiles: HostFiles;
  readonly client: GoferClient;
  readonly host: Host;
  readonly #descriptors: HostDescriptors;
  readonly isReadOnly: boolean;
  /** Files change only through us: what is known stays true. */
  readonly isExclusive: boolean;
  readonly #root: GoferInode;
  /** Inodes by host device and number, so that hard links are one inode. */
  readonly inodes = new Map<FileKey, GoferInode>();
  readonly #toClose: number[] = [];
  readonly #unheld: GoferInode[] = [];
  /** Inodes with a cached descriptor and no open file, oldest first. */
  readonly #idle = new Set<GoferInode>();
  /** The last status of the root's file system, how old it is, and HostFiles.changes then: programs ask once a directory. */
  readonly #status = new Uint8Array(STATFS_BYTES);
  readonly #statusAt = new Freshness();
  #statusChanges = 0;
  /** Bytes of small files that are kept (content.ts). */
  contentBytes = 0;
  readonly contentsAhead = new ContentsAhead();
  /** Until then writes are the gofer's, as one of ours has taken long. */
  writesAsideUntil = 0;

  /** Connects: asks for the root. Throws with a clear text when the gofer refuses; boot reports it. */
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
  /** What to ask for with a file that is opened next, where `known` is what had its name last. */
  wantsOf(known: GoferInode | null): number {
    const wants = known === null ? WANTS.CONTENT : known.wants;
    return wants === WANTS.CONTENT && !this.hasRoomForContent ? WANTS.DESCRIPTOR : wants;
  }

  /** The descriptor that came with the last answer, or null where none did or the user has too many; the caller owns it. Whatever the gofer says, a stub may map it. */
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

  /** No file is open any more: what was kept for the next open goes. */
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

  /** The inode of `node` with the attributes that come next in the answer; null when the answer is short. */
  take(node: number): GoferInode | null {
    const answer = this.client.answer;
    const at = answer.raw(ATTRIBUTES_BYTES);
    if (at < 0) return null;
    return this.#inodeOf(answer.bytes, at, node, null, "");
  }

  /** As take(), for an entry of a directory that was read then and has no node on the server yet. */
  takeEntry(bytes: Uint8Array, at: number, parent: GoferInode, name: string, then: Freshness): GoferInode {
    const known = this.inodes.get(this.hostFiles.keyOf(bytes, at));
    // What is known of it may be younger than what was read.
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
   * Asks for `name` in `directory`; `known` is the node it had, or NO_NODE. After 0 the answer goes on with its node and
   * attributes, and what was wanted (WANTS).
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

  /** `inode` was asked for along with another, and nobody holds it yet: should nobody begin to, it goes. */
  noteUnheld(inode: GoferInode): void {
    this.#unheld.push(inode);
  }

  /** A node that is not needed any more. It is closed together with others, later: an answer may be being read. */
  closeNode(node: number): void {
    this.#toClose.push(node);
  }

  /** Between requests: closes what closeNode() has collected, once that is enough. */
  closeNodes(): void {
    if (this.#unheld.length >= UNHELD_MAX) {
      for (const inode of this.#unheld.splice(0)) inode.giveUpUnheld();
    }
    if (this.#toClose.length >= CLOSE_COUNT_MAX) this.closeNodesNow();
  }

  /** The host gives back what was deleted only then. */
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

  /** `inode` has a descriptor nobody uses now; the oldest such are closed. */
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
