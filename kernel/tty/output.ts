// The way from a terminal to its screen: output with its line ends and tabs, and the echo of what is typed, which waits
// while output is stopped or full. Linux: do_output_char(), process_echoes() of n_tty.c.

import type { Budget } from "../util/kernel_memory.ts";
import { ByteRing } from "../ipc/byte_ring.ts";
import { IUTF8, OCRNL, OLCUC, ONLCR, ONLRET, ONOCR, OPOST, TABDLY, XTABS } from "../abi/tty.ts";
import { isControl, toUpper } from "./characters.ts";
import type { Termios } from "./termios.ts";

/** Bytes that wait to be fetched; writers wait beyond. */
export const OUTPUT_BYTES_MAX = 16 * 1024;
/** What the master's own buffer holds of it. */
const DELIVERED_BYTES_MAX = 4095;
/** Echoes that wait; the oldest are lost beyond. */
const ECHOES_MAX = 4096;

// Echoes are bytes, or one of these.
/** Or-ed to a control character: shown as ^X. */
export const CONTROL = 0x100;
/** Takes a tab back; bits 0-2 are the columns since what it stood after. */
export const ERASE_TAB = 0x200;
/** Or-ed to ERASE_TAB: it stood after an earlier tab, not after the line's start. */
export const TAB_AFTER_TAB = 0x80;
/** The line that is typed begins in this column. */
export const MARK_COLUMN = 0x400;
/** The cursor did not move: a continuation byte in ECHOPRT. */
export const MOVE_BACK = 0x401;

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const SPACE = 0x20;
const TAB_COLUMNS = 8;
/** Bytes that one character becomes at most: a tab. */
const EXPANDED_BYTES_MAX = 8;

const chunk = new Uint8Array(OUTPUT_BYTES_MAX);

export class Output {
  termios: Termios;
  readonly #ring: ByteRing;
  /** Bytes at the front of the ring that a flush does not reach: Linux moves output to the master's own buffer meanwhile. */
  #delivered = 0;
  #echoes: number[] = [];
  /** IXON or tcflow(3) has stopped it. */
  isStopped = false;
  /** tcflow(TCOOFF) has: only TCOON goes on. */
  isHeld = false;
  /** Column of the cursor, as far as we know. */
  #column = 0;
  /** Where the line that is typed began. */
  #lineColumn = 0;

  constructor(heap: Budget, termios: Termios) {
    this.#ring = new ByteRing(heap, OUTPUT_BYTES_MAX);
    this.termios = termios;
  }

  /** Bytes that can be fetched. */
  get used(): number {
    return this.#ring.used;
  }
  get hasRoom(): boolean {
    return !this.isStopped && this.#ring.free > EXPANDED_BYTES_MAX;
  }

  /** Takes as many of `length` bytes as there is room for; gives back how many. */
  write(from: Uint8Array, at: number, length: number): number {
    if (this.isStopped) return 0;
    if ((this.termios.oflag & OPOST) === 0) return this.#ring.push(from, at, length);
    const hasRuns = (this.termios.oflag & OLCUC) === 0;
    let done = 0;
    while (done < length) {
      const before = done;
      if (hasRuns) done += this.#writeRun(from, at + done, length - done);
      // What is not plain text, up to the next that is.
      const free = Math.min(this.#ring.free, chunk.length);
      let used = 0;
      while (done < length) {
        const c = from[at + done];
        if (hasRuns && isPrintable(c)) break;
        if (used + (isPlain(c) ? 1 : EXPANDED_BYTES_MAX) > free) break;
        used = this.#process(c, chunk, used);
        done++;
      }
      this.#ring.push(chunk, 0, used);
      if (done === before) break;
    }
    return done;
  }

  /** Printable ASCII from the start of `length` bytes goes out as it is; gives back how many bytes went. */
  #writeRun(from: Uint8Array, at: number, length: number): number {
    const most = Math.min(length, this.#ring.free);
    let n = 0;
    while (n < most && isPrintable(from[at + n])) n++;
    this.#ring.push(from, at, n);
    this.#column += n;
    return n;
  }

  /** One character after OPOST into `into` at `used`; gives back where the next goes. */
  #process(c: number, into: Uint8Array, used: number): number {
    const { oflag } = this.termios;
    switch (c) {
      case NEWLINE:
        if ((oflag & ONLRET) !== 0) this.#column = 0;
        if ((oflag & ONLCR) !== 0) {
          this.#column = 0;
          into[used++] = RETURN;
        }
        this.#lineColumn = this.#column;
        break;
      case RETURN:
        if ((oflag & ONOCR) !== 0 && this.#column === 0) return used;
        if ((oflag & OCRNL) !== 0) {
          c = NEWLINE;
          if ((oflag & ONLRET) !== 0) this.#lineColumn = this.#column = 0;
          break;
        }
        this.#lineColumn = this.#column = 0;
        break;
      case 0x09: {
        const spaces = TAB_COLUMNS - this.#column % TAB_COLUMNS;
        this.#column += spaces;
        if ((oflag & TABDLY) === XTABS) {
          for (let i = 0; i < spaces; i++) into[used++] = SPACE;
          return used;
        }
        break;
      }
      case 0x08:
        if (this.#column > 0) this.#column--;
        break;
      default:
        if (isControl(c)) break;
        if ((oflag & OLCUC) !== 0) c = toUpper(c);
        if ((this.termios.iflag & IUTF8) === 0 || (c & 0xc0) !== 0x80) this.#column++;
    }
    into[used++] = c;
    return used;
  }

  /** Bytes that go out as they are, even when output is stopped: flow control for the other side. */
  writeRaw(from: Uint8Array, at: number, length: number): void {
    this.#ring.push(from, at, length);
  }

  fetch(into: Uint8Array, at: number, length: number): number {
    const n = this.#ring.pop(into, at, length);
    this.#delivered = Math.max(0, this.#delivered - n);
    return n;
  }

  /** What there is now the other side has got, as far as its own buffer has room: keys that come next find it so. */
  deliver(): void {
    this.#delivered = Math.min(this.#ring.used, DELIVERED_BYTES_MAX);
  }

  /** Drops what the other side has not got: a flush, or a signal's key. */
  flush(): void {
    const ring = this.#ring;
    const kept = this.#delivered;
    if (ring.used <= kept) return;
    ring.peek(chunk, 0, kept, 0);
    ring.clear();
    ring.push(chunk, 0, kept);
  }

  /** Drops what the other side has got and not read: its flush of input. */
  dropDelivered(): void {
    this.#ring.skip(Math.min(this.#ring.used, DELIVERED_BYTES_MAX));
    this.#delivered = 0;
  }

  /** Drops echoes that have not been shown. */
  dropEchoes(): void {
    this.#echoes.length = 0;
  }

  /** Queues an echo: a byte, or one of the words above. flushEchoes() shows it. */
  echo(what: number): void {
    if (this.#echoes.length >= ECHOES_MAX) this.#echoes.shift();
    this.#echoes.push(what);
  }

  /** Shows the echoes for which there is room. */
  flushEchoes(): void {
    const echoes = this.#echoes;
    if (echoes.length === 0 || this.isStopped) return;
    let done = 0;
    while (done < echoes.length && this.#ring.free >= EXPANDED_BYTES_MAX) {
      this.#ring.push(chunk, 0, this.#show(echoes[done++], chunk));
    }
    if (done === echoes.length) echoes.length = 0;
    else echoes.splice(0, done);
  }

  #show(what: number, into: Uint8Array): number {
    if (what === 0xff) {
      // Linux marks its own words with this byte, and so shows it as it is.
      into[0] = what;
      this.#column++;
      return 1;
    }
    if (what < CONTROL) {
      if ((this.termios.oflag & OPOST) !== 0) return this.#process(what, into, 0);
      into[0] = what;
      return 1;
    }
    if (what === MARK_COLUMN) {
      this.#lineColumn = this.#column;
      return 0;
    }
    if (what === MOVE_BACK) {
      if (this.#column > 0) this.#column--;
      return 0;
    }
    if ((what & ERASE_TAB) !== 0) return this.#eraseTab(what, into);
    into[0] = 0x5e;
    into[1] = what & 0xff ^ 0x40;
    this.#column += 2;
    return 2;
  }

  #eraseTab(what: number, into: Uint8Array): number {
    const before = (what & 7) + ((what & TAB_AFTER_TAB) !== 0 ? 0 : this.#lineColumn);
    const steps = TAB_COLUMNS - before % TAB_COLUMNS;
    into.fill(0x08, 0, steps);
    this.#column = Math.max(0, this.#column - steps);
    return steps;
  }
}

/** Moves the cursor by one, whatever the settings. */
function isPrintable(c: number): boolean {
  return c >= SPACE && c < 0x7f;
}

/** Needs no more room than itself. */
function isPlain(c: number): boolean {
  return c !== NEWLINE && c !== 0x09;
}
