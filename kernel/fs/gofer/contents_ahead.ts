// When the contents of small files are read ahead, with the attributes of all that is in their directory. Who reads a tree
// (grep -r, tar, cp -r) opens one file after the other; whoever opens this one and that pays for the others' contents.

/** Files of a directory that are asked for, to be opened, before contents are read ahead; at first, and within bounds. */
const ASKED_FIRST = 8;
const ASKED_MAX = 64;
/** Of the contents that came with a frame, so many parts of PARTS must be read to be worth the host's opening all. */
const USED_MIN = 2;
const PARTS = 5;
/** Frames that are kept, in bytes: what was not read soon is old. */
const FRAMES_BYTES_MAX = 4 * 1024 * 1024;

/** Whose frames they are. */
export interface FrameHolder {
  dropFrames(): void;
}

/** Of one mount. */
export class ContentsAhead {
  askedFirst = ASKED_FIRST;
  /** Contents of the last frame, and how many were taken since. */
  #contents = 0;
  uses = 0;
  /** Holders of frames, oldest first, with their bytes. */
  readonly #frames = new Map<FrameHolder, number>();
  #bytes = 0;

  /** A frame with so many contents and bytes has come. */
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
