// Decides when files of a directory are read ahead: their attributes, or those and the contents of small ones. Programs
// that walk a tree (find, grep -r, tar, cp -r) look at or open one file after the other; reading ahead answers the next
// look-ups.

/** Look-ups in one directory before its files are read ahead: the initial count, and its upper bound. */
const ASKED_FIRST = 8;
const ASKED_MAX = 64;
/** At least USED_MIN of PARTS of the files in a frame must be used to justify that the host was asked for all. */
const USED_MIN = 2;
const PARTS = 5;
/** Bytes of frames that are kept; the oldest are dropped first. */
const FRAMES_BYTES_MAX = 4 * 1024 * 1024;

/** The directory that owns a kept frame. */
export interface FrameHolder {
  dropFrames(): void;
}

/** How soon a mount's files are read ahead: sooner after frames that were of use, later after others. */
export class AheadThreshold {
  askedFirst = ASKED_FIRST;
  readonly #askedMin: number;
  /** The number of files in the last frame, and of those used since. */
  #files = 0;
  uses = 0;

  constructor(askedMin: number) {
    this.#askedMin = askedMin;
  }

  /** Judges the last frame, as another one has come, with so many files. */
  noteFrame(files: number): void {
    if (this.#files > 0) {
      const wasOfUse = this.uses * PARTS >= this.#files * USED_MIN;
      this.askedFirst = wasOfUse
        ? Math.max(this.#askedMin, this.askedFirst >> 1)
        : Math.min(ASKED_MAX, this.askedFirst * 2);
    }
    this.#files = files;
    this.uses = 0;
  }
}

/** Frames with contents of one mount. */
export class ContentsAhead {
  readonly threshold = new AheadThreshold(1);
  /** Holders of frames with their bytes, oldest first. */
  readonly #frames = new Map<FrameHolder, number>();
  #bytes = 0;

  /** Records a frame that came with so many contents and bytes. */
  noteFrame(holder: FrameHolder, contents: number, bytes: number): void {
    this.threshold.noteFrame(contents);
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
