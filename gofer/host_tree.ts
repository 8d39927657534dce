// The gofer's side of a mount: nodes by number, each an O_PATH descriptor of a host object. A node keeps its descriptor,
// as its name may mean something else later; the number of nodes is bounded instead.

import { EBADF, EINVAL, ENFILE, EROFS } from "../kernel/abi/errno.ts";
import {
  AT_REMOVEDIR,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_PATH,
  O_RDONLY,
  S_IFLNK,
  S_IFMT,
} from "../kernel/abi/file.ts";
import { u32 } from "../kernel/abi/struct.ts";
import type { GoferCalls } from "../native/gofer_host.ts";
import { NAME_BYTES_MAX, NODES_MAX, STAT_BYTES } from "./protocol.ts";

const O_CLOEXEC = 0o2000000;

/** Closes a descriptor; handed in, so that the tree needs only file calls of its own. */
export type CloseFd = (fd: number) => void;

export class HostTree {
  readonly calls: GoferCalls;
  readonly isReadOnly: boolean;
  readonly stat = new Uint8Array(STAT_BYTES);
  /** /proc/self/fd, for operations that need more than an O_PATH descriptor. */
  readonly #proc: number;
  readonly #close: CloseFd;
  /** Descriptor by node number; -1 = free. Node 0 is the root. */
  readonly #nodes: number[] = [];
  readonly #free: number[] = [];
  /** Open directory streams by node, for READ_DIRECTORY. */
  readonly #streams = new Map<number, number>();

  constructor(calls: GoferCalls, close: CloseFd, proc: number, rootFd: number, isReadOnly: boolean) {
    this.calls = calls;
    this.#close = close;
    this.#proc = proc;
    this.isReadOnly = isReadOnly;
    this.#nodes.push(rootFd);
  }

  get nodeCount(): number {
    return this.#nodes.length - this.#free.length;
  }

  /** Descriptor of `node`, or -1. */
  fd(node: number): number {
    return node < this.#nodes.length ? this.#nodes[node] : -1;
  }

  /** Stat of the node itself into `stat`. */
  refresh(node: number): number {
    const fd = this.fd(node);
    return fd < 0 ? -EBADF : this.calls.tsv_gofer_stat(fd, EMPTY_NAME, this.stat, 0);
  }

  /** A node for the existing object `name` in `directory`, its stat in `stat`. */
  walk(directory: number, name: string): number {
    const fd = this.fd(directory);
    if (fd < 0) return -EBADF;
    if (!isName(name)) return -EINVAL;
    if (this.#free.length === 0 && this.#nodes.length >= NODES_MAX) return -ENFILE;
    const opened = this.calls.tsv_gofer_open(fd, nameBytes(name), O_PATH | O_NOFOLLOW | O_CLOEXEC, 0);
    if (opened < 0) return opened;
    const result = this.calls.tsv_gofer_stat(opened, EMPTY_NAME, this.stat, 0);
    if (result < 0) {
      this.#close(opened);
      return result;
    }
    const node = this.#free.pop() ?? this.#nodes.length;
    this.#nodes[node] = opened;
    return node;
  }

  close(node: number): void {
    const fd = this.fd(node);
    if (node === 0 || fd < 0) return;
    this.#endStream(node);
    this.#close(fd);
    this.#nodes[node] = -1;
    this.#free.push(node);
  }

  /** A descriptor for reading or writing the object of `node`; it is the caller's. */
  open(node: number, flags: number): number {
    const fd = this.fd(node);
    if (fd < 0) return -EBADF;
    if (this.isReadOnly && (flags & 3) !== O_RDONLY) return -EROFS;
    const refreshed = this.refresh(node);
    if (refreshed < 0) return refreshed;
    if ((u32(this.stat, 24) & S_IFMT) === S_IFLNK) return -EINVAL;
    return this.calls.tsv_gofer_reopen(this.#proc, numberName(fd), flags);
  }

  /** The stream of a directory, opened or rewound; a descriptor that stays the tree's. */
  stream(node: number, isRestart: boolean): number {
    const fd = this.fd(node);
    if (fd < 0) return -EBADF;
    let stream = this.#streams.get(node);
    if (stream === undefined) {
      stream = this.calls.tsv_gofer_open(fd, DOT_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
      if (stream < 0) return stream;
      this.#streams.set(node, stream);
    } else if (isRestart) {
      this.calls.tsv_gofer_rewind(stream);
    }
    return stream;
  }

  endStream(node: number): void {
    this.#endStream(node);
  }

  #endStream(node: number): void {
    const stream = this.#streams.get(node);
    if (stream === undefined) return;
    this.#close(stream);
    this.#streams.delete(node);
  }

  /** Checks that `node` may be changed and `name` is one; its descriptor, or -ERRNO. */
  forChange(node: number, name: string): number {
    if (this.isReadOnly) return -EROFS;
    if (!isName(name)) return -EINVAL;
    const fd = this.fd(node);
    return fd < 0 ? -EBADF : fd;
  }

  remove(directory: number, name: string, flags: number): number {
    if ((flags & ~AT_REMOVEDIR) !== 0) return -EINVAL;
    const fd = this.forChange(directory, name);
    return fd < 0 ? fd : this.calls.tsv_gofer_unlink(fd, nameBytes(name), flags);
  }

  /** chmod, truncate: through /proc/self/fd. */
  changeMode(node: number, mode: number): number {
    return this.calls.tsv_gofer_chmod(this.#proc, numberName(this.fd(node)), mode & 0o7777);
  }
  truncate(node: number, size: number): number {
    return this.calls.tsv_gofer_truncate(
      this.#proc,
      numberName(this.fd(node)),
      size % 2 ** 32,
      Math.floor(size / 2 ** 32),
    );
  }

  release(): void {
    for (const node of [...this.#streams.keys()]) this.#endStream(node);
    for (let node = 0; node < this.#nodes.length; node++) {
      if (this.#nodes[node] >= 0) this.#close(this.#nodes[node]);
    }
    this.#nodes.length = 0;
  }
}

/** A single component that can be looked up: no slash, no NUL, not empty, "." or "..". */
export function isName(name: string): boolean {
  return name.length > 0 && name.length <= NAME_BYTES_MAX && name !== "." && name !== ".." &&
    !name.includes("/") && !name.includes("\0");
}

const EMPTY_NAME = new Uint8Array([0]);
const DOT_NAME = new Uint8Array([0x2e, 0]);

/** A byte string as NUL-terminated bytes. */
export function nameBytes(name: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(name.length + 1);
  for (let i = 0; i < name.length; i++) bytes[i] = name.charCodeAt(i);
  return bytes;
}

function numberName(fd: number): Uint8Array<ArrayBuffer> {
  return nameBytes(String(fd));
}
