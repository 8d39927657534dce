// Memory of the host that nobody needs any more: it goes back in pieces, a piece a turn of the loop, since the host takes some
// 0.4 s for a gigabyte and nobody is served meanwhile. Linux: fput() of a file in memory does it in the process that closes
// it, while others run.

import type { Host } from "../../platform/platform.ts";
import { FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE } from "../abi/file.ts";
import { u64 } from "../abi/struct.ts";
import { STAT, STAT_BYTES } from "../arch/layouts.ts";
import type { Budget } from "../util/kernel_memory.ts";
import type { LoopService } from "./loop_service.ts";

/** What goes at once: about a millisecond of the host's time. */
const PIECE_BYTES = 4 * 1024 * 1024;
/**
 * Longest piece of a file with holes. Nobody says where they are: to SEEK_DATA, pages that were allocated but not written are
 * none. So pieces grow while little comes of them.
 */
const PIECE_BYTES_MAX = 32 * PIECE_BYTES;
/** Pieces in one turn, where they are holes. */
const PIECES_MAX = 200;

const status = new Uint8Array(STAT_BYTES);

/** What is to go of one file: everything from `start` on. */
class Release {
  readonly fd: number;
  readonly start: number;
  /** Nobody has the file open: its descriptor goes with its memory. */
  readonly isLast: boolean;
  /** Where the memory is counted, and how much of it still is. */
  readonly budget: Budget | null;
  charged: number;
  position: number;
  pieceBytes = PIECE_BYTES;
  isDone = false;

  constructor(fd: number, start: number, isLast: boolean, budget: Budget | null, charged: number) {
    this.fd = fd;
    this.start = start;
    this.position = start;
    this.isLast = isLast;
    this.budget = budget;
    this.charged = charged;
  }
}

/** An end of a file that is being cut off. */
export interface Shrinking {
  readonly isDone: boolean;
}

export class MemoryReleases implements LoopService {
  readonly name = "release of memory";
  readonly #host: Host;
  readonly #waiting: Release[] = [];

  constructor(host: Host) {
    this.#host = host;
  }

  /** Takes over the descriptor `fd` of memory that nobody uses, of which `charged` bytes are counted in `budget`. */
  close(fd: number, budget: Budget | null, charged: number): void {
    this.#waiting.push(new Release(fd, 0, true, budget, charged));
    if (this.#memoryOf(fd) <= 2 * PIECE_BYTES) this.#finish(this.#waiting.length - 1);
  }

  /** Cuts the file off at `size`; null when that is done. The owner of `fd` must keep it until then. */
  shrink(fd: number, size: number): Shrinking | null {
    const memoryBytes = this.#memoryOf(fd);
    const release = new Release(fd, size, false, null, 0);
    this.#waiting.push(release);
    if (memoryBytes > 2 * PIECE_BYTES && u64(status, STAT.size) - size > 2 * PIECE_BYTES) return release;
    this.#finish(this.#waiting.length - 1);
    return null;
  }

  /** The owner of `shrinking` closes the file: `charged` as in close(). */
  closeShrinking(shrinking: Shrinking, budget: Budget | null, charged: number): void {
    const index = this.#waiting.indexOf(shrinking as Release);
    const { fd } = this.#waiting[index];
    this.#waiting[index] = new Release(fd, 0, true, budget, charged);
  }

  /** `bytes` are wanted now: gives back as much at once, if there is so much, whoever waits. */
  hurry(bytes: number): void {
    for (let freed = 0; freed < bytes && this.#waiting.length > 0; freed += PIECE_BYTES) this.poll();
  }

  pollAt(): number {
    return this.#waiting.length > 0 ? 0 : Infinity;
  }

  poll(): void {
    const release = this.#waiting[0], { fd } = release;
    let before = this.#memoryOf(fd), gone = 0;
    const end = u64(status, STAT.size);
    for (let pieces = 0; pieces < PIECES_MAX && gone < PIECE_BYTES; pieces++) {
      if (release.position >= end || before === 0) {
        this.#finish(0);
        return;
      }
      this.#host.fallocate(fd, PUNCH, release.position, release.pieceBytes);
      release.position += release.pieceBytes;
      const left = this.#memoryOf(fd), given = Math.max(0, before - left);
      if (given > release.pieceBytes / 2) release.pieceBytes = PIECE_BYTES;
      else if (given < PIECE_BYTES / 2) {
        release.pieceBytes = Math.min(PIECE_BYTES_MAX, 2 * release.pieceBytes);
      }
      before = left;
      gone += given;
    }
    const given = Math.min(release.charged, gone);
    release.charged -= given;
    release.budget?.give(given);
  }

  #finish(index: number): void {
    const [release] = this.#waiting.splice(index, 1);
    release.isDone = true;
    release.budget?.give(release.charged);
    if (release.isLast) this.#host.close(release.fd);
    else this.#host.ftruncate(release.fd, release.start);
  }

  /** Bytes of memory that the file has; afterwards `status` tells its size. */
  #memoryOf(fd: number): number {
    return this.#host.fstat(fd, status, 0) < 0 ? 0 : u64(status, STAT.blocks) * 512;
  }
}

const PUNCH = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
