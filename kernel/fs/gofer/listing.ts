// The result of reading a host directory, kept until it is read again; getdents64(2) emits it.

import { ATTRIBUTE } from "../../../gofer/protocol.ts";
import { u16, u32, u64 } from "../../abi/struct.ts";
import { bytesToLatin1 } from "../../util/bytes.ts";
import type { DirectorySink } from "../../vfs/file_kinds.ts";
import { directoryType } from "../tmpfs_files.ts";

/** A directory's entries without "." and "..", as of the time it was read. */
export interface Listing {
  /**
   * Emits entry `from` (counted from 0) and those after it, with d_off = their number plus `base`; returns the next
   * to emit.
   */
  emitFrom(sink: DirectorySink, from: number, base: number): number;
}

/** Entries with known attributes, as parallel arrays. */
export class AttributeListing implements Listing {
  readonly #names: string[] = [];
  readonly #inos: number[] = [];
  readonly #modes: number[] = [];

  add(name: string, ino: number, mode: number): void {
    this.#names.push(name);
    this.#inos.push(ino);
    this.#modes.push(mode);
  }
  /** Adds an entry with its attributes at `at`. */
  addAttributes(name: string, bytes: Uint8Array, at: number): void {
    this.add(name, u64(bytes, at + ATTRIBUTE.INO), u32(bytes, at + ATTRIBUTE.MODE));
  }

  emitFrom(sink: DirectorySink, from: number, base: number): number {
    for (; from < this.#names.length; from++) {
      const type = directoryType(this.#modes[from]);
      if (!sink.emit(this.#names[from], this.#inos[from], type, base + from + 1)) break;
    }
    return from;
  }
}

/** Offset of d_name in struct linux_dirent64, and the size of the smallest record. */
const NAME_AT = 19;
const RECORD_BYTES_MIN = 24;
const DT_DIR = 4;
const SLASH = 0x2f;
const DOT = 0x2e;

/**
 * Entries in the form of the host's getdents64(2): listing one creates no object and no string. Their d_off, which
 * getdents64 here assigns itself, holds the length of the name; 0 marks "." and "..", which are not listed.
 */
export class RecordListing implements Listing {
  readonly #frames: Uint8Array[] = [];
  /** The position of entry #index. */
  #frame = 0;
  #at = 0;
  #index = 0;

  /**
   * Adds `length` bytes of records at `at`, and the names of directories among them to `directories`. Returns false
   * for malformed records.
   */
  add(bytes: Uint8Array, at: number, length: number, directories: string[]): boolean {
    const frame = bytes.slice(at, at + length);
    for (let here = 0; here < length;) {
      if (here + RECORD_BYTES_MIN > length) return false;
      const size = u16(frame, here + 16);
      if (size < RECORD_BYTES_MIN || here + size > length) return false;
      const nameLength = lengthOfName(frame, here + NAME_AT, here + size);
      if (nameLength <= 0) return false;
      const isDots = frame[here + NAME_AT] === DOT &&
        (nameLength === 1 || (nameLength === 2 && frame[here + NAME_AT + 1] === DOT));
      frame[here + 8] = isDots ? 0 : nameLength;
      if (frame[here + 18] === DT_DIR && !isDots) {
        directories.push(bytesToLatin1(frame, here + NAME_AT, nameLength));
      }
      here += size;
    }
    if (length > 0) this.#frames.push(frame);
    return true;
  }

  emitFrom(sink: DirectorySink, from: number, base: number): number {
    if (from < this.#index) this.#frame = this.#at = this.#index = 0;
    for (; this.#frame < this.#frames.length; this.#frame++, this.#at = 0) {
      const frame = this.#frames[this.#frame];
      for (; this.#at < frame.length; this.#at += u16(frame, this.#at + 16)) {
        const nameLength = frame[this.#at + 8];
        if (nameLength === 0) continue;
        if (this.#index >= from) {
          if (!emitRecord(sink, frame, this.#at, nameLength, base + this.#index + 1)) return this.#index;
        }
        this.#index++;
      }
    }
    return Math.max(from, this.#index);
  }
}

/** Bytes of the NUL-terminated name at `at` that ends before `end`; -1 for no such name, or one with a slash. */
function lengthOfName(bytes: Uint8Array, at: number, end: number): number {
  for (let i = at; i < end && i - at <= 255; i++) {
    if (bytes[i] === 0) return i - at;
    if (bytes[i] === SLASH) return -1;
  }
  return -1;
}

function emitRecord(
  sink: DirectorySink,
  bytes: Uint8Array,
  at: number,
  nameLength: number,
  nextOffset: number,
): boolean {
  if (sink.emitRecord !== undefined) return sink.emitRecord(bytes, at, nameLength, nextOffset);
  return sink.emit(
    bytesToLatin1(bytes, at + NAME_AT, nameLength),
    u64(bytes, at),
    bytes[at + 18],
    nextOffset,
  );
}
