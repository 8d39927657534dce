// The gofer's protocol: what the sentry asks of host files. Modelled on lisafs: nodes are known by number, names are single
// components, symlinks are never followed by the server. A frame is {kind u16, mount u16, body}, an answer {errno i32, body}.
// Frames travel through memory that both share (native/src/gofer/channel.rs): a request is named by its slot and its number
// there, several are under way at once, and answers come in any order. Beside it a socket carries descriptors. Server:
// native/src/gofer/requests.rs.

import { bytesToLatin1 } from "../kernel/util/bytes.ts";

/** Both ends must say the same when they connect. As in native/src/gofer/channel.rs. */
export const PROTOCOL_VERSION = 3;

/** Requests. Bodies are little-endian; `name` = u16 length and bytes; `attributes` as at ATTRIBUTE below. */
export const REQUEST = {
  /** -> node u32, attributes: the root of the mount. */
  ROOT: 1,
  /**
   * dir u32, wants u8 (WANTS), count u8, known u32 of each name, names -> walked u8, errno i32 (of the component after
   * those, 0 = none), for each walked one: node u32, attributes. The walk ends at what is no directory. `known` is the node
   * the name had, or NO_NODE: it is answered again where it is still what stands there. Where something was wanted, and all
   * names lead to a regular file: has u8 (HAS), and for HAS.CONTENT length u32, bytes.
   */
  WALK: 2,
  /**
   * dir u32, how u8 (READ_ bits) -> count u16, done u8, entries {attributes, name}. With READ_AHEAD, and as READ_CONTENTS,
   * refused with EOPNOTSUPP where HAS.SERVED would be answered: one file might hold up whoever asks for another.
   */
  READ_ATTRIBUTES: 3,
  /** node u32, flags u32 (access mode, OPEN_ bits) -> has u8 (HAS), and for HAS.CONTENT length u32, bytes */
  OPEN: 4,
  /**
   * dir u32, flags u32, mode u32, uid u32, gid u32, name -> node u32, attributes, dir's attributes, has u8 as OPEN has it;
   * or, of what stands there already, node u32, attributes.
   */
  CREATE: 5,
  /** dir u32, mode u32, uid u32, gid u32, name -> node u32, attributes, dir's attributes */
  MKDIR: 6,
  /** dir u32, mode u32, uid u32, gid u32, major u32, minor u32, name -> node u32, attributes, dir's attributes */
  MKNOD: 7,
  /** dir u32, uid u32, gid u32, name, target -> node u32, attributes, dir's attributes */
  SYMLINK: 8,
  /** node u32, dir u32, name -> attributes, dir's attributes */
  LINK: 9,
  /** dir u32, flags u32, name -> dir's attributes */
  UNLINK: 10,
  /** from u32, to u32, flags u32, name, new name -> attributes of both directories */
  RENAME: 11,
  /** node u32, mask u32, mode u32, uid u32, gid u32, size u64, atime {s i64, ns i64}, mtime -> attributes */
  SET_ATTRIBUTES: 12,
  /** node u32 -> bytes */
  READLINK: 13,
  /** node u32 -> attributes */
  STAT: 14,
  /** node u32 -> u64 of each: type, block size, blocks, free, available, files, free files, longest name */
  STATFS: 15,
  /** count u16, nodes u32... -> () */
  CLOSE: 16,
  /** operation u8 (0 get, 1 set, 2 list, 3 remove), flags u8, node u32, name, value bytes -> bytes */
  XATTR: 17,
  /**
   * dir u32, restart u8, name (empty, or of the directory to read in dir) -> node u32 and attributes where there was a name;
   * done u8, bytes u32, entries {struct linux_dirent64}, attributes of those that are directories (mode 0 = gone meanwhile)
   */
  READ_DIRECTORY: 18,
  /** dir u32, mode u32, uid u32, gid u32 -> node u32, attributes, has u8: a file without a name (O_TMPFILE) */
  CREATE_UNNAMED: 19,
  /** node u32, data only u8 -> (): fsync(2) or fdatasync(2) */
  SYNC: 20,
  /** node u32, offset u64, length u32 -> bytes, fewer at the end of the file */
  READ: 21,
  /** node u32, offset u64, length u64 -> (): those bytes are in the host's memory, as far as there are some */
  FETCH: 22,
  /** node u32, flags u8 (WRITE_ bits), offset u64, bytes -> count u32, attributes */
  WRITE: 23,
  /** node u32, mode u32, offset u64, length u64 -> attributes: fallocate(2) */
  ALLOCATE: 24,
  /** node u32 -> (): what OPEN has kept open is closed */
  RELEASE: 25,
  /**
   * dir u32, restart u8 -> count u16, done u8, entries {attributes, name, length u16, bytes}: as READ_ATTRIBUTES, with the
   * content of small files that the host has in memory (a length of NO_CONTENT: it does not come along)
   */
  READ_CONTENTS: 26,
} as const;

/** What WALK may bring along of a regular file. */
export const WANTS = { NOTHING: 0, DESCRIPTOR: 1, CONTENT: 2 } as const;
/**
 * How a regular file is read and written: by a descriptor that came along; by its content, which came along; or by READ and
 * WRITE, since a call on a descriptor of it might take as long as somebody else likes (FUSE, network file systems).
 */
export const HAS = { NOTHING: 0, DESCRIPTOR: 1, CONTENT: 2, SERVED: 3 } as const;
export const READ_RESTART = 1;
export const READ_AHEAD = 2;
export const NO_CONTENT = 0xffff;
/** A bit of OPEN's flags: the descriptor is to be mapped, and is wanted whatever its file system. */
export const OPEN_TO_MAP = 0x8000_0000;
/** For reading: a small file's content will do. */
export const OPEN_CONTENT = 0x4000_0000;
export const WRITE_APPENDS = 1;
export const WRITE_DATA_SYNC = 2;
export const WRITE_SYNC = 4;
/** Largest file whose content comes along, and most bytes of one READ or WRITE, and of one FETCH. */
export const CONTENT_BYTES_MAX = 16 * 1024;
export const TRANSFER_BYTES_MAX = 60 * 1024;
export const FETCH_BYTES_MAX = 4 * 1024 * 1024;

/** Where attributes have what, in bytes: u32 up to rdev and for nanoseconds, else u64 (times signed). */
export const ATTRIBUTE = {
  DEVICE_MAJOR: 0,
  DEVICE_MINOR: 4,
  INO: 8,
  MODE: 16,
  NLINK: 20,
  UID: 24,
  GID: 28,
  RDEV_MAJOR: 32,
  RDEV_MINOR: 36,
  SIZE: 40,
  BLOCKS: 48,
  ATIME: 56,
  MTIME: 64,
  CTIME: 72,
  ATIME_NSEC: 80,
  MTIME_NSEC: 84,
  CTIME_NSEC: 88,
} as const;
export const ATTRIBUTES_BYTES = 96;
export const STATFS_BYTES = 64;

/** Bytes of one frame, either way. */
export const FRAME_BYTES_MAX = 64 * 1024;
export const NAME_BYTES_MAX = 255;
/** Nodes closed by one CLOSE. */
export const CLOSE_COUNT_MAX = 256;
/** Names of one WALK. */
export const WALK_COUNT_MAX = 16;
export const NO_NODE = 0xffff_ffff;

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
  readonly #mount: number;
  at = 0;

  /** Requests to mount number `mount`. */
  constructor(mount: number) {
    this.#mount = mount;
  }

  start(kind: number): void {
    this.#view.setUint16(0, kind, true);
    this.#view.setUint16(2, this.#mount, true);
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
