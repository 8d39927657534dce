// overlay: one tree made of a writable upper layer over read-only lower ones. Linux: fs/overlayfs, its documentation in
// filesystems/overlayfs.rst. What is written is copied up first (copy_up.ts); what is removed below is covered by a
// whiteout, a character device 0/0 in the upper layer; a directory that hides what stands below is opaque, an extended
// attribute says so.
//
// Linux: directories of a lower layer can be renamed here: their content is copied up. Linux answers EXDEV without
// redirect_dir, and programs copy and delete then.

import { OVERLAYFS_SUPER_MAGIC } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import { Filesystem, type FilesystemStat } from "../../vfs/filesystem.ts";
import type { Inode } from "../../vfs/inode.ts";
import { OverlayInode } from "./inode.ts";

/** Lower layers of one overlay (OVL_MAX_STACK). */
export const LOWER_LAYERS_MAX = 500;
/** Inode numbers of a layer keep their low 48 bits; the layer's index stands above. */
const LAYER_INODES = 2 ** 48;

export class OverlayFilesystem extends Filesystem {
  readonly upperRoot: Inode | null;
  readonly lowerRoots: readonly Inode[];
  /** File systems of the layers, upper first; the index is part of inode numbers. */
  readonly #layers: Filesystem[] = [];
  readonly #options: string;
  readonly #root: OverlayInode;
  /** Inodes of upper files by their upper inode, so that hard links and bound sockets are one object. Directories are not here. */
  readonly byUpper = new WeakMap<Inode, OverlayInode>();
  /** Number that a copied-up object had below; it keeps it. */
  readonly #numbers = new WeakMap<Inode, number>();
  /** Any task that has called lately: copying needs one to read files with. */
  task: Task | null = null;

  /** `lowerRoots` from top to bottom, directories. Without an upper one nothing can be written (EROFS). */
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
    this.#root.drop();
    for (const root of this.upperRoot === null ? this.lowerRoots : [this.upperRoot, ...this.lowerRoots]) {
      root.drop();
      root.fs.drop();
    }
  }

  /** Inode number to show for `real`, an inode of a layer. */
  numberOf(real: Inode): number {
    return this.#numbers.get(real) ?? this.numberIn(real.fs, real.ino);
  }
  /** As numberOf, for number `ino` of a layer's file system. */
  numberIn(fs: Filesystem, ino: number): number {
    return this.#layers.indexOf(fs) * LAYER_INODES + ino % LAYER_INODES;
  }
  /** `upper` was copied from something with number `ino`. */
  keepNumber(upper: Inode, ino: number): void {
    this.#numbers.set(upper, ino);
  }
}
