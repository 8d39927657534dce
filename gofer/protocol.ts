// The gofer's protocol: what the sentry asks of host files. Modelled on lisafs: nodes are known by number, names are
// single components, symlinks are never followed by the server. One message of a SOCK_SEQPACKET socket is one frame:
// {id u16, pad u16, body}; an answer is {errno i32, body}, with a descriptor beside it where one is donated.

import { bytesToLatin1 } from "../kernel/util/bytes.ts";

/** Requests. Bodies are little-endian; `name` = u16 length and bytes; `stat` = struct stat of x86-64. */
export const REQUEST = {
  /** cpu u32 (plus 1; 0 = any: where the sentry waits) -> node u32, stat: the root of the connection. */
  MOUNT: 1,
  /** dir u32, name -> node u32, stat */
  WALK: 2,
  /** dir u32, restart u8 -> count u16, done u8, entries {stat, name} */
  READ_ATTRIBUTES: 3,
  /** node u32, flags u32 (access mode) -> descriptor */
  OPEN: 4,
  /**
   * dir u32, flags u32, mode u32, uid u32, gid u32, name -> node u32, stat, dir's stat, descriptor; or, of what stands there
   * already, node u32, stat.
   */
  CREATE: 5,
  /** dir u32, mode u32, uid u32, gid u32, name -> node u32, stat, dir's stat */
  MKDIR: 6,
  /** dir u32, mode u32, uid u32, gid u32, major u32, minor u32, name -> node u32, stat, dir's stat */
  MKNOD: 7,
  /** dir u32, uid u32, gid u32, name, target -> node u32, stat, dir's stat */
  SYMLINK: 8,
  /** node u32, dir u32, name -> stat, dir's stat */
  LINK: 9,
  /** dir u32, flags u32, name -> dir's stat */
  UNLINK: 10,
  /** from u32, to u32, flags u32, name, new name -> stats of both directories */
  RENAME: 11,
  /** node u32, mask u32, mode u32, uid u32, gid u32, size u64, atime {s i64, ns i64}, mtime -> stat */
  SET_ATTRIBUTES: 12,
  /** node u32 -> bytes */
  READLINK: 13,
  /** node u32 -> stat */
  STAT: 14,
  /** node u32 -> struct statfs */
  STATFS: 15,
  /** count u16, nodes u32... -> () */
  CLOSE: 16,
  /** operation u8 (0 get, 1 set, 2 list, 3 remove), flags u8, node u32, name, value bytes -> bytes */
  XATTR: 17,
  /**
   * dir u32, restart u8, name (empty, or of the directory to read in dir) -> node u32 and stat where there was a name; done
   * u8, bytes u32, entries {struct linux_dirent64}, stats of those that are directories (type 0 = gone meanwhile)
   */
  READ_DIRECTORY: 18,
} as const;

/** Bytes of one frame, either way. */
export const FRAME_BYTES_MAX = 64 * 1024;
export const STAT_BYTES = 144;
export const STATFS_BYTES = 120;
export const NAME_BYTES_MAX = 255;
export const LINK_BYTES_MAX = 4095;
/** Nodes one connection may hold open on the server. */
export const NODES_MAX = 200_000;
/** Nodes closed by one CLOSE. */
export const CLOSE_COUNT_MAX = 256;

// Bits of SET_ATTRIBUTES' mask; the same as kernel/vfs/inode.ts ATTR_.
export const SET_MODE = 1;
export const SET_UID = 2;
export const SET_GID = 4;
export const SET_SIZE = 8;
export const SET_ATIME = 16;
export const SET_MTIME = 32;

/** Writes frames: a cursor over one reused buffer. */
export class FrameWriter {
  readonly bytes = new Uint8Array(FRAME_BYTES_MAX);
  readonly #view = new DataView(this.bytes.buffer);
  at = 0;

  start(id: number): void {
    this.#view.setUint32(0, id, true);
    this.at = 4;
  }
  u8(value: number): void {
    this.bytes[this.at++] = value;
  }
  u16(value: number): void {
    this.#view.setUint16(this.at, value, true);
    this.at += 2;
  }
  u32(value: number): void {
    this.#view.setUint32(this.at, value, true);
    this.at += 4;
  }
  u64(value: number): void {
    this.u32(value % 4294967296);
    this.u32(Math.floor(value / 4294967296));
  }
  /** A byte string with its length before it. */
  name(text: string): void {
    const { bytes } = this, length = text.length;
    this.u16(length);
    const at = this.at;
    for (let i = 0; i < length; i++) bytes[at + i] = text.charCodeAt(i);
    this.at = at + length;
  }
  raw(from: Uint8Array, at: number, length: number): void {
    this.bytes.set(from.subarray(at, at + length), this.at);
    this.at += length;
  }
}

/** Reads frames; running past the end sets `isBad` and gives zeros, so that a handler checks once. */
export class FrameReader {
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  at = 0;
  end = 0;
  isBad = false;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  start(length: number): void {
    this.at = 0;
    this.end = length;
    this.isBad = false;
  }
  #take(count: number): number {
    const at = this.at;
    if (at + count > this.end) {
      this.isBad = true;
      return -1;
    }
    this.at = at + count;
    return at;
  }
  u8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.bytes[at];
  }
  u16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at, true);
  }
  u32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at, true);
  }
  i32(): number {
    return this.u32() | 0;
  }
  u64(): number {
    const low = this.u32();
    return low + this.u32() * 4294967296;
  }
  /** A byte string of at most `max` bytes. */
  name(max: number): string {
    const length = this.u16();
    if (length > max) this.isBad = true;
    const at = this.#take(length);
    return at < 0 || this.isBad ? "" : bytesToLatin1(this.bytes, at, length);
  }
  /** Place of the next `count` bytes, or -1. */
  raw(count: number): number {
    return this.#take(count);
  }
  get left(): number {
    return this.end - this.at;
  }
}
