// What is kept of a host directory besides its inodes: its listing, and answers to single look-ups.

import { u32, u64 } from "../../abi/struct.ts";
import type { GoferFilesystem } from "./filesystem.ts";
import { Freshness } from "./freshness.ts";
import type { GoferInode } from "./inode.ts";

/** A directory's entries, as arrays side by side. */
export class Listing {
  readonly names: string[] = [];
  readonly inos: number[] = [];
  readonly modes: number[] = [];

  add(name: string, ino: number, mode: number): void {
    this.names.push(name);
    this.inos.push(ino);
    this.modes.push(mode);
  }
  /** An entry with struct stat at `at`. */
  addStat(name: string, bytes: Uint8Array, at: number): void {
    this.add(name, u64(bytes, at + 8), u32(bytes, at + 24));
  }
}

/** In a shared mount: what a look-up has answered (null = no such name), and when. */
export class RecentName {
  readonly inode: GoferInode | null;
  readonly freshness = new Freshness();
  constructor(fs: GoferFilesystem, inode: GoferInode | null) {
    this.inode = inode;
    this.freshness.note(fs.host);
  }
}
