// overlay: one tree made of a writable upper layer over read-only lower ones. Linux: fs/overlayfs,
// Documentation/filesystems/overlayfs.rst. What is written is copied up first (copy_up.ts); what is removed is hidden
// by a whiteout, a character device 0/0 in the upper layer; a directory that hides lower ones is opaque, which an
// extended attribute marks.
//
// Linux: rename(2) of a lower layer's directory works here: its content is copied up. Linux answers EXDEV without
// redirect_dir, and programs then copy and delete.

import { OVERLAYFS_SUPER_MAGIC } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import { Filesystem, type FilesystemStat } from "../../vfs/filesystem.ts";
import type { Inode } from "../../vfs/inode.ts";
import { StagedCopies } from "./content_copy.ts";
import { OverlayInode } from "./inode.ts";

/** Lower layers of one overlay (OVL_MAX_STACK). */
export const LOWER_LAYERS_MAX = 500;
/** Inode numbers of a layer keep their low 48 bits; the layer's index is in the bits above. */
const LAYER_INODES = 2 ** 48;

export class OverlayFilesystem extends Filesystem {
  readonly upperRoot: Inode | null;
  readonly lowerRoots: readonly Inode[];
  /** File systems of the layers, upper first; the index is part of inode numbers. */
  readonly #layers: Filesystem[] = [];
  readonly #options: string;
  readonly #root: OverlayInode;
  /**
   * Inodes by their upper inode, so that hard links and bound sockets are one object. Directories are not included.
   */
  readonly byUpper = new WeakMap<Inode, OverlayInode>();
  /** The inode number that a copied-up object had in its lower layer, which it keeps. */
  readonly #numbers = new WeakMap<Inode, number>();
  /** Files of lower layers whose content is being copied to the upper one. */
  readonly copies = new StagedCopies();
  /** The last task that called: copy-up needs a task to read files. */
  task: Task | null = null;

  /** `lowerRoots`: directories, topmost first. Without an upper layer the overlay is read-only (EROFS). */
  constructor(upperRoot: Inode | null, lowerRoots: readonly Inode[], options: string) {
    super(lowerRoots[0].fs.vfs, "overlay");
    this.upperRoot = upperRoot;
    this.lowerRoots = lowerRoots;
    this.#options = options;
    for (const root of upperRoot === null ? lowerRoots : [upperRoot, ...lowerRoots]) {
      root.hold();
      root.fs.hold();
      if (!this.#layers.includes(root.fs)) this.#layers.push(root.fs);
    }
    this.#root = new OverlayInode(this, null, "", upperRoot, lowerRoots);
    this.#root.hold();
  }

  override get root(): OverlayInode {
    return this.#root;
  }
  override get options(): string {
    return this.#options;
  }

  override statfs(into: FilesystemStat): number {
    const layer = (this.upperRoot ?? this.lowerRoots[0]).fs;
    const result = layer.statfs(into);
    into.type = OVERLAYFS_SUPER_MAGIC;
    return result;
  }

  override sync(): number {
    return this.upperRoot === null ? 0 : this.upperRoot.fs.sync();
  }

  override release(): void {
    this.copies.release();
    this.#root.drop();
    for (const root of this.upperRoot === null ? this.lowerRoots : [this.upperRoot, ...this.lowerRoots]) {
      root.drop();
      root.fs.drop();
    }
  }

  /** The inode number to show for `real`, an inode of a layer. */
  numberOf(real: Inode): number {
    return this.#numbers.get(real) ?? this.numberIn(real.fs, real.ino);
  }
  /** As numberOf(), for number `ino` of a layer's file system. */
  numberIn(fs: Filesystem, ino: number): number {
    return this.#layers.indexOf(fs) * LAYER_INODES + ino % LAYER_INODES;
  }
  /** Records that `upper` is a copy of an object with number `ino`. */
  keepNumber(upper: Inode, ino: number): void {
    this.#numbers.set(upper, ino);
  }
}
