// Decides when the contents of small files are read ahead, along with the attributes of all files in their directory.
// Programs that read a tree (grep -r, tar, cp -r) open one file after the other; reading ahead answers the next
// opens.

/** Opening look-ups in one directory before contents are read ahead: the initial count, and its bounds. */
const ASKED_FIRST = 8;
const ASKED_MAX = 64;
/** At least USED_MIN of PARTS of the contents in a frame must be read to justify that the host opened all. */
const USED_MIN = 2;
const PARTS = 5;
/** Bytes of frames that are kept; the oldest are dropped first. */
const FRAMES_BYTES_MAX = 4 * 1024 * 1024;

/** The directory that owns a kept frame. */
export interface FrameHolder {
  dropFrames(): void;
}

/** The state of one mount. */
export class ContentsAhead {
  askedFirst = ASKED_FIRST;
  /** The number of contents in the last frame, and of those used since. */
  #contents = 0;
  uses = 0;
  /** Holders of frames with their bytes, oldest first. */
  readonly #frames = new Map<FrameHolder, number>();
  #bytes = 0;

  /** Records a frame that came with so many contents and bytes. */
  noteFrame(holder: FrameHolder, contents: number, bytes: number): void {
    if (this.#contents > 0) {
      const wasOfUse = this.uses * PARTS >= this.#contents * USED_MIN;
      this.askedFirst = wasOfUse
        ? Math.max(1, this.askedFirst >> 1)
        : Math.min(ASKED_MAX, this.askedFirst * 2);
    }
    this.#contents = contents;
    this.uses = 0;
    const before = this.#frames.get(holder) ?? 0;
    this.#frames.delete(holder);
    this.#frames.set(holder, before + bytes);
    this.#bytes += bytes;
    for (const [oldest, size] of this.#frames) {
      if (this.#bytes <= FRAMES_BYTES_MAX || oldest === holder) break;
      this.#frames.delete(oldest);
      this.#bytes -= size;
      oldest.dropFrames();
    }
  }
}
