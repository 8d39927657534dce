// The sentry's and gofer's Host over native/src/host.rs. Offsets go as two u32 halves: numbers given as u64 are slow.

import { errnoName } from "../kernel/abi/errno.ts";
import type { Host } from "../platform/platform.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_host_pread: { parameters: ["i32", "buffer", "u32", "u32", "u32", "u32"], result: "i32" },
  tsv_host_pread_now: { parameters: ["i32", "buffer", "u32", "u32", "u32", "u32"], result: "i32" },
  tsv_host_pwrite: { parameters: ["i32", "buffer", "u32", "u32", "u32", "u32"], result: "i32" },
  tsv_host_read: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_host_write: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_host_close: { parameters: ["i32"], result: "i32" },
  tsv_host_descriptors_max: { parameters: [], result: "u32" },
  tsv_host_reopen: { parameters: ["i32"], result: "i32" },
  tsv_host_dup: { parameters: ["i32"], result: "i32" },
  tsv_host_ftruncate: { parameters: ["i32", "u32", "u32"], result: "i32" },
  tsv_host_fallocate: { parameters: ["i32", "i32", "u32", "u32", "u32", "u32"], result: "i32" },
  tsv_host_fsync: { parameters: ["i32", "u32"], result: "i32" },
  tsv_host_lseek: { parameters: ["i32", "u32", "u32", "i32"], result: "f64" },
  tsv_host_attributes: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  tsv_host_fstat: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  tsv_host_memfd: { parameters: ["buffer", "u32"], result: "i32" },
  tsv_host_poll: { parameters: ["i32", "u32", "i32"], result: "i32" },
  tsv_host_open_append: { parameters: ["buffer"], result: "i32" },
  tsv_host_poll_many: { parameters: ["buffer", "u32", "u32", "i32"], result: "i32" },
  tsv_release_memory: { parameters: [], result: "void" },
  tsv_host_pin: { parameters: ["u32"], result: "i32" },
  tsv_host_ioctl: { parameters: ["i32", "u32", "buffer", "u32"], result: "i32" },
  tsv_host_fcntl: { parameters: ["i32", "i32", "i32"], result: "i32" },
  tsv_host_clock: { parameters: ["i32"], result: "f64" },
  tsv_host_sleeps: { parameters: [], result: "f64" },
  tsv_host_clock_split: { parameters: ["i32", "buffer"], result: "void" },
  tsv_host_random: { parameters: ["buffer", "u32", "u32"], result: "i32" },
  tsv_host_send: { parameters: ["i32", "buffer", "u32", "u32", "buffer", "u32"], result: "i32" },
  tsv_host_receive: { parameters: ["i32", "buffer", "u32", "u32", "buffer", "i32", "u32"], result: "i32" },
} as const;

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];
type Bytes = Uint8Array<ArrayBuffer>;

const TWO_32 = 4294967296;
const EFAULT = 14;
/** As in gofer/protocol.ts. */
const ATTRIBUTES_BYTES = 96;
const F_GETFL = 3;
const F_SETFL = 4;
const O_NONBLOCK = 0o4000;
/** As FDS_MAX in host.rs. */
const FDS_MAX = 136;
/** Polls of a message before the wait sleeps. */
const RECEIVE_SPINS = 0;

/** What sentry and gofer call all the time. */
const HOT = [
  "tsv_host_pread",
  "tsv_host_pread_now",
  "tsv_host_pwrite",
  "tsv_host_read",
  "tsv_host_write",
  "tsv_host_close",
  "tsv_host_clock",
  "tsv_host_clock_split",
  "tsv_host_send",
  "tsv_host_receive",
] as const;

/** The command line's, one for all of it: it calls few functions, and each seldom, so that none is bound before, or twice. */
export function commandLineHost(): NativeHost {
  return commandLine ??= new NativeHost(openLibrary(symbols));
}
let commandLine: NativeHost | null = null;

export class NativeHost implements Host {
  clockFraction = 0;
  receivedFds = 0;
  readonly #calls: Calls;
  readonly #split = new Float64Array(2);
  readonly #fds = new Int32Array(FDS_MAX + 1);

  constructor(calls: Calls = openLibrary(symbols, HOT)) {
    this.#calls = calls;
  }

  pread(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    if (at + length > into.length) return -EFAULT;
    return this.#calls.tsv_host_pread(
      fd,
      into as Bytes,
      at,
      length,
      offset >>> 0,
      highWord(offset),
    );
  }
  preadNow(fd: number, into: Uint8Array, at: number, length: number, offset: number): number {
    if (at + length > into.length) return -EFAULT;
    const high = highWord(offset);
    return this.#calls.tsv_host_pread_now(fd, into as Bytes, at, length, offset >>> 0, high);
  }
  pwrite(fd: number, from: Uint8Array, at: number, length: number, offset: number): number {
    if (at + length > from.length) return -EFAULT;
    return this.#calls.tsv_host_pwrite(
      fd,
      from as Bytes,
      at,
      length,
      offset >>> 0,
      highWord(offset),
    );
  }
  sleeps(): number {
    return this.#calls.tsv_host_sleeps();
  }
  read(fd: number, into: Uint8Array, at: number, length: number): number {
    if (at + length > into.length) return -EFAULT;
    return this.#calls.tsv_host_read(fd, into as Bytes, at, length);
  }
  write(fd: number, from: Uint8Array, at: number, length: number): number {
    if (at + length > from.length) return -EFAULT;
    return this.#calls.tsv_host_write(fd, from as Bytes, at, length);
  }
  close(fd: number): number {
    return this.#calls.tsv_host_close(fd);
  }
  descriptorsMax(): number {
    return this.#calls.tsv_host_descriptors_max();
  }
  reopen(fd: number): number {
    return this.#calls.tsv_host_reopen(fd);
  }
  dup(fd: number): number {
    return this.#calls.tsv_host_dup(fd);
  }
  ftruncate(fd: number, size: number): number {
    return this.#calls.tsv_host_ftruncate(fd, size >>> 0, highWord(size));
  }
  fallocate(fd: number, mode: number, offset: number, length: number): number {
    const high = highWord(offset);
    return this.#calls.tsv_host_fallocate(
      fd,
      mode,
      offset >>> 0,
      high,
      length >>> 0,
      highWord(length),
    );
  }
  fsync(fd: number): number {
    return this.#calls.tsv_host_fsync(fd, 0);
  }
  fdatasync(fd: number): number {
    return this.#calls.tsv_host_fsync(fd, 1);
  }
  lseek(fd: number, offset: number, whence: number): number {
    return this.#calls.tsv_host_lseek(fd, offset >>> 0, highWord(offset), whence);
  }
  attributes(fd: number, into: Uint8Array, at: number): number {
    return at + ATTRIBUTES_BYTES > into.length
      ? -EFAULT
      : this.#calls.tsv_host_attributes(fd, into as Bytes, at);
  }
  fstat(fd: number, into: Uint8Array, at: number): number {
    return at + 144 > into.length ? -EFAULT : this.#calls.tsv_host_fstat(fd, into as Bytes, at);
  }
  memfdCreate(name: string, flags: number): number {
    return this.#calls.tsv_host_memfd(new TextEncoder().encode(`${name}\0`), flags);
  }
  poll(fd: number, events: number): number {
    return this.#calls.tsv_host_poll(fd, events, 0);
  }
  /** Opens a host path for reading and appending, made if missing: logs, /dev/null. For the CLI. */
  openForAppend(path: string): number {
    return this.#calls.tsv_host_open_append(new TextEncoder().encode(`${path}\0`));
  }
  /**
   * Sleeps until one of `fds` (-1 = none) has input or hangs up: its index, the first from `from` on, around; or -ERRNO,
   * -ETIMEDOUT after `millis` (-1 = never).
   */
  pollMany(fds: Int32Array<ArrayBuffer>, from: number, millis: number): number {
    return this.#calls.tsv_host_poll_many(fds, fds.length, from, millis);
  }
  /** Gives memory back to the host that only the start of this process has needed. */
  releaseMemory(): void {
    this.#calls.tsv_release_memory();
  }
  /** Keeps this thread on one CPU. */
  pinToCpu(cpu: number): number {
    return this.#calls.tsv_host_pin(cpu);
  }
  ioctl(fd: number, request: number, buffer: Uint8Array, at: number): number {
    // Every request the kernel makes takes at most a termios2 or a winsize.
    if (at + 64 > buffer.length) return -EFAULT;
    return this.#calls.tsv_host_ioctl(fd, request, buffer as Bytes, at);
  }
  setNonblocking(fd: number): number {
    const flags = this.#calls.tsv_host_fcntl(fd, F_GETFL, 0);
    return flags < 0 ? flags : this.#calls.tsv_host_fcntl(fd, F_SETFL, flags | O_NONBLOCK);
  }
  clockNanos(clock: number): number {
    return this.#calls.tsv_host_clock(clock);
  }
  clockSeconds(clock: number): number {
    this.#calls.tsv_host_clock_split(clock, this.#split);
    this.clockFraction = this.#split[1];
    return this.#split[0];
  }
  random(into: Uint8Array, at: number, length: number): void {
    if (at + length > into.length) throw new RangeError("random() beyond its array");
    for (let done = 0; done < length;) {
      const n = this.#calls.tsv_host_random(into as Bytes, at + done, length - done);
      if (n <= 0) throw new Error(`Cannot get random bytes: ${errnoName(-n)}`);
      done += n;
    }
  }
  sendMessage(
    fd: number,
    from: Uint8Array,
    at: number,
    length: number,
    fds: Int32Array,
    fdCount: number,
  ): number {
    if (at + length > from.length || fdCount > fds.length) return -EFAULT;
    return this.#calls.tsv_host_send(fd, from as Bytes, at, length, fds as Int32Array<ArrayBuffer>, fdCount);
  }
  receiveMessage(
    fd: number,
    into: Uint8Array,
    at: number,
    length: number,
    fds: Int32Array,
    timeoutMillis: number,
  ): number {
    if (at + length > into.length) return -EFAULT;
    const n = this.#calls.tsv_host_receive(
      fd,
      into as Bytes,
      at,
      length,
      this.#fds,
      timeoutMillis,
      RECEIVE_SPINS,
    );
    this.#takeFds(n, fds);
    return n;
  }

  /** Descriptors of a message of `n` bytes, as many as `fds` holds; the others are closed. */
  #takeFds(n: number, fds: Int32Array): void {
    const count = this.#fds[FDS_MAX];
    this.receivedFds = n < 0 ? 0 : Math.min(count, fds.length);
    for (let i = 0; i < this.receivedFds; i++) fds[i] = this.#fds[i];
    for (let i = this.receivedFds; i < count; i++) this.close(this.#fds[i]);
  }
}

/** The upper half of a 64-bit number, also of a negative one; the lower half is `n >>> 0`. */
function highWord(n: number): number {
  return Math.floor(n / TWO_32) >>> 0;
}
