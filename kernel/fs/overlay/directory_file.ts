// Reading directories of an overlay: the layers are merged at the first read, and the open directory shows that list
// until it is rewound. Linux: fs/overlayfs/readdir.c.

import { O_RDONLY, S_IFCHR, S_IFDIR } from "../../abi/file.ts";
import type { Task } from "../../task/task.ts";
import { File, seekWithin } from "../../vfs/file.ts";
import type { DirectoryFile, DirectorySink } from "../../vfs/file_kinds.ts";
import type { Inode } from "../../vfs/inode.ts";
import type { OverlayInode } from "./inode.ts";
import { isWhiteout } from "./layer_marks.ts";

export interface OverlayEntry {
  readonly name: string;
  readonly ino: number;
  readonly type: number;
}

const CHARACTER_DEVICE = S_IFCHR >> 12;

/** All entries of `directory` except "." and "..", each name once. -ERRNO. */
export function mergedEntries(directory: OverlayInode): OverlayEntry[] | number {
  const entries: OverlayEntry[] = [];
  const seen = new Set<string>();
  const { upper, lowers } = directory;
  if (upper !== null) {
    const result = addLayer(directory, upper, lowers.length > 0, seen, entries);
    if (result < 0) return result;
  }
  for (let i = 0; i < lowers.length; i++) {
    const result = addLayer(directory, lowers[i], i + 1 < lowers.length, seen, entries);
    if (result < 0) return result;
  }
  return entries;
}

/** Adds those entries of one layer that no upper layer has named; whiteouts count as named. */
function addLayer(
  directory: OverlayInode,
  layer: Inode,
  hasMoreBelow: boolean,
  seen: Set<string>,
  entries: OverlayEntry[],
): number {
  const fs = directory.fs, task = fs.task!;
  const file = layer.open(task, O_RDONLY);
  if (typeof file === "number") return file;
  const isUpper = layer === directory.upper;
  const devices: OverlayEntry[] = [];
  const copies: number[] = [];
  const result = file.asDirectory()!.readDirectory(task, {
    emit(name, ino, type) {
      if (name === "." || name === ".." || seen.has(name)) return true;
      if (hasMoreBelow) seen.add(name);
      const entry = { name, ino: fs.numberIn(layer.fs, ino), type };
      if (type === CHARACTER_DEVICE) devices.push(entry);
      else {
        if (isUpper) copies.push(entries.length);
        entries.push(entry);
      }
      return true;
    },
  });
  file.drop();
  if (result < 0) return result;
  for (const entry of devices) {
    const found = layer.lookup(entry.name);
    if (typeof found !== "number" && !isWhiteout(found)) entries.push(entry);
  }
  // A copied-up object keeps the inode number of its lower one.
  for (const index of copies) {
    const { name, type } = entries[index];
    const found = layer.lookup(name);
    if (typeof found !== "number") entries[index] = { name, ino: fs.numberOf(found), type };
  }
  return 0;
}

export class OverlayDirectoryFile extends File implements DirectoryFile {
  declare readonly inode: OverlayInode;
  /** The merged list, made at the first read. */
  #entries: OverlayEntry[] | null = null;

  constructor(inode: OverlayInode, flags: number) {
    super(inode, flags);
    inode.hold();
  }

  override get isSeekable(): boolean {
    return true;
  }

  override seek(offset: number, whence: number): number {
    const position = seekWithin(this, offset, whence, -1);
    if (position === 0) this.#entries = null;
    return position;
  }

  override asDirectory(): DirectoryFile {
    return this;
  }

  readDirectory(task: Task, sink: DirectorySink): number {
    const directory = this.inode;
    directory.fs.task = task;
    if (this.#entries === null) {
      const entries = mergedEntries(directory);
      if (typeof entries === "number") return entries;
      this.#entries = entries;
    }
    const entries = this.#entries;
    if (this.position === 0) {
      if (!sink.emit(".", directory.ino, S_IFDIR >> 12, 1)) return 0;
      this.position = 1;
    }
    if (this.position === 1) {
      if (!sink.emit("..", (directory.parent ?? directory).ino, S_IFDIR >> 12, 2)) return 0;
      this.position = 2;
    }
    while (this.position - 2 < entries.length) {
      const { name, ino, type } = entries[this.position - 2];
      if (!sink.emit(name, ino, type, this.position + 1)) return 0;
      this.position++;
    }
    return 0;
  }

  override sync(_isDataOnly: boolean): number {
    return 0;
  }

  override release(): void {
    super.release();
    this.inode.drop();
  }
}
