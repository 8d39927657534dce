// The content of a regular file on its way to the upper layer. A lower file may answer MUST_WAIT, then the call sleeps and is
// made again: the copy continues where it is. Until it is complete it has no name, so nobody sees a part of a file.
// Linux: ovl_copy_up_tmpfile() in fs/overlayfs/copy_up.c.

import { EIO, ENXIO } from "../../abi/errno.ts";
import { O_RDONLY, O_WRONLY, SEEK_DATA, SEEK_HOLE } from "../../abi/file.ts";
import { MUST_WAIT } from "../../task/call_in_flight.ts";
import type { Task } from "../../task/task.ts";
import type { ContentFile } from "../../vfs/file_kinds.ts";
import type { Inode } from "../../vfs/inode.ts";

const STEP_BYTES = 256 * 1024;
/** Copies of one overlay that are under way. A call that is killed leaves its copy: the oldest gives way to a new one. */
const STAGED_MAX = 16;

const buffer = new Uint8Array(STEP_BYTES);

/** Copies what `lower` contains to `upper`, which is empty: content and holes. */
export class ContentCopy {
  readonly lower: Inode;
  readonly upper: Inode;
  readonly #from: ContentFile;
  readonly #to: ContentFile;
  readonly #size: number;
  /** All before it is copied. */
  #offset = 0;
  /** End of the data around #offset; up to #offset where nobody has asked yet. */
  #dataEnd = 0;
  /** #offset is where data begins: the next thing to ask for is its end. */
  #isAtData = false;

  private constructor(lower: Inode, upper: Inode, from: ContentFile, to: ContentFile) {
    this.lower = lower;
    this.upper = upper;
    this.#from = from;
    this.#to = to;
    this.#size = lower.size;
    lower.hold();
    upper.hold();
  }

  /** Opens both; MUST_WAIT, -ERRNO. */
  static begin(task: Task, lower: Inode, makeUpper: () => Inode | number): ContentCopy | number {
    // Regular files of all layers read and write without using the task.
    const from = lower.open(task, O_RDONLY);
    if (typeof from === "number") return from;
    const upper = makeUpper();
    const to = typeof upper === "number" ? upper : upper.open(task, O_WRONLY);
    if (typeof to === "number") {
      from.drop();
      return to;
    }
    return new ContentCopy(lower, upper as Inode, from.asContent()!, to.asContent()!);
  }

  /** Closes both files. The upper one ends with it if it has no name and nobody else holds it. */
  end(): void {
    this.#from.drop();
    this.#to.drop();
    this.lower.drop();
    this.upper.drop();
  }

  /** Copies what is left: 0, MUST_WAIT, -ERRNO. */
  proceed(task: Task): number {
    while (this.#offset < this.#size) {
      if (this.#offset >= this.#dataEnd) {
        const found = this.#findData();
        if (found === -ENXIO) break;
        if (found < 0) return found;
      }
      const wanted = Math.min(STEP_BYTES, this.#dataEnd - this.#offset);
      const got = this.#from.read(task, buffer, 0, wanted, this.#offset);
      if (got < 0) return got;
      // It has become shorter.
      if (got === 0) break;
      for (let put = 0; put < got;) {
        const n = this.#to.write(task, buffer, put, got - put, this.#offset + put);
        if (n <= 0) return n === 0 ? -EIO : n;
        put += n;
      }
      this.#offset += got;
    }
    return this.#offset < this.#size ? this.#to.truncate(this.#size) : 0;
  }

  /** Goes on to the next data of the lower file: 0, -ENXIO behind the last, MUST_WAIT. */
  #findData(): number {
    if (!this.#isAtData) {
      const data = this.#from.seek(this.#offset, SEEK_DATA);
      if (data === -ENXIO || data === MUST_WAIT) return data;
      // A layer that cannot say has no holes.
      if (data < 0) this.#dataEnd = this.#size;
      else this.#offset = data;
      if (data < 0) return 0;
      this.#isAtData = true;
    }
    const hole = this.#from.seek(this.#offset, SEEK_HOLE);
    if (hole === MUST_WAIT) return hole;
    this.#isAtData = false;
    this.#dataEnd = hole < 0 ? this.#size : Math.min(hole, this.#size);
    return this.#offset < this.#dataEnd ? 0 : -ENXIO;
  }
}

/** The copies of an overlay that are under way, oldest first. */
export class StagedCopies {
  readonly #copies: ContentCopy[] = [];

  /** The complete copy of `lower`, without a name, which the caller has to end(); MUST_WAIT, -ERRNO. */
  take(task: Task, lower: Inode, makeUpper: () => Inode | number): ContentCopy | number {
    let copy: ContentCopy | number | undefined = this.#copies.find((copy) => copy.lower === lower);
    if (copy === undefined) {
      copy = ContentCopy.begin(task, lower, makeUpper);
      if (typeof copy === "number") return copy;
      if (this.#copies.length === STAGED_MAX) this.#copies.shift()!.end();
      this.#copies.push(copy);
    }
    const result = copy.proceed(task);
    if (result === MUST_WAIT) return result;
    this.#copies.splice(this.#copies.indexOf(copy), 1);
    if (result === 0) return copy;
    copy.end();
    return result;
  }

  release(): void {
    for (const copy of this.#copies.splice(0)) copy.end();
  }
}
