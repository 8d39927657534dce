// N_TTY: the line discipline between a terminal and the program that reads it. Input is edited, echoed and split into
// lines, or passed on as it is; special characters become signals; output gets its line ends. Linux: drivers/tty/n_tty.c;
// termios(3). It knows no files and no processes: those are behind LinePort.

import type { Budget } from "../util/kernel_memory.ts";
import { SIGINT, SIGQUIT, SIGTSTP } from "../abi/signal.ts";
import {
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  ECHONL,
  ECHOPRT,
  EXTPROC,
  ICANON,
  ICRNL,
  IEXTEN,
  IGNCR,
  INLCR,
  ISIG,
  ISTRIP,
  IUCLC,
  IUTF8,
  IXANY,
  IXON,
  NOFLSH,
  PARMRK,
  TIOCPKT_FLUSHREAD,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_START,
  TIOCPKT_STOP,
  VEOF,
  VEOL,
  VEOL2,
  VERASE,
  VINTR,
  VKILL,
  VLNEXT,
  VMIN,
  VQUIT,
  VREPRINT,
  VSTART,
  VSTOP,
  VSUSP,
  VTIME,
  VWERASE,
} from "../abi/tty.ts";
import { isControl, isLetterOrDigit, toLower } from "./characters.ts";
import { CONTROL, ERASE_TAB, MARK_COLUMN, MOVE_BACK, Output, TAB_AFTER_TAB } from "./output.ts";
import { Termios } from "./termios.ts";

/** N_TTY_BUF_SIZE: bytes of input that are kept, a line with its end among them. */
export const INPUT_BYTES_MAX = 4096;

const NEWLINE = 0x0a;
const RETURN = 0x0d;
const TAB = 0x09;
/** What a special character that is switched off is set to; in the buffer it marks end of file. */
const DISABLED = 0;

/** What the discipline tells the terminal it works for. */
export interface LinePort {
  /** To the foreground process group. */
  signalForeground(signal: number): void;
  /** There is input to read, or its conditions have changed. */
  onInput(): void;
  /** There is output to fetch. */
  onOutput(): void;
  /** Writers may go on. */
  onRoom(): void;
  /** TIOCPKT_ bits for the other side in packet mode: `clear` go, `set` come. */
  onPacketStatus(clear: number, set: number): void;
}

const enum Erasure {
  Character,
  Word,
  Line,
}

export class LineDiscipline {
  #termios = new Termios();
  readonly #port: LinePort;
  readonly output: Output;
  /** Input: a ring by absolute positions tail <= canonicalHead <= head; complete lines end before canonicalHead. */
  readonly #bytes = new Uint8Array(INPUT_BYTES_MAX);
  /** 1 where a line ends. */
  readonly #lineEnds = new Uint8Array(INPUT_BYTES_MAX);
  #tail = 0;
  #canonicalHead = 0;
  #head = 0;
  /** The next character is taken as it is (VLNEXT). */
  #isLiteral = false;
  /** Within the "\" and "/" of ECHOPRT. */
  #isErasing = false;

  /** Output that waits counts in `heap`. */
  constructor(heap: Budget, port: LinePort) {
    this.#port = port;
    this.output = new Output(heap, this.#termios);
  }

  get termios(): Termios {
    return this.#termios;
  }

  /** n_tty_set_termios(): input that has come stays, as a line of its own when lines begin to count. */
  setTermios(next: Termios): void {
    const old = this.#termios;
    this.#termios = next;
    this.output.termios = next;
    if (((old.lflag ^ next.lflag) & (ICANON | EXTPROC)) !== 0) {
      this.#lineEnds.fill(0);
      if ((next.lflag & ICANON) === 0 || this.#head === this.#tail) {
        this.#canonicalHead = this.#tail;
      } else {
        this.#lineEnds[(this.#head - 1) % INPUT_BYTES_MAX] = 1;
        this.#canonicalHead = this.#head;
      }
      this.#isErasing = false;
      this.#isLiteral = false;
    }
    if ((next.iflag & IXON) === 0 && (old.iflag & IXON) !== 0 && !this.output.isHeld) this.start();
    this.#port.onRoom();
    this.#port.onInput();
  }

  get #isByLine(): boolean {
    return (this.#termios.lflag & (ICANON | EXTPROC)) === ICANON;
  }

  // --- input ------------------------------------------------------------------------------------------------------------

  /** Takes in keys; gives back how many: fewer when nobody reads. */
  receive(from: Uint8Array, at: number, length: number): number {
    this.output.deliver();
    let done = 0;
    while (done < length) {
      const room = this.#makeRoom();
      if (room === 0) break;
      for (const end = done + Math.min(room, length - done); done < end; done++) {
        this.#receive(from[at + done]);
      }
    }
    this.#flushEchoes();
    if (this.hasInput()) this.#port.onInput();
    return done;
  }

  /**
   * Characters that can be received: one place is kept for the end of a line. A line that is too long loses what comes in
   * its last place, so that its end can still be typed.
   */
  #makeRoom(): number {
    let room = INPUT_BYTES_MAX - (this.#head - this.#tail);
    if ((this.#termios.iflag & PARMRK) !== 0) room = Math.ceil(room / 3);
    if (--room > 0) return room;
    if ((this.#termios.lflag & ICANON) === 0 || this.#canonicalHead !== this.#tail) return 0;
    if (room < 0) this.#head--;
    return 1;
  }

  #receive(c: number): void {
    const { iflag, lflag } = this.#termios;
    if ((iflag & ISTRIP) !== 0) c &= 0x7f;
    if ((iflag & IUCLC) !== 0 && (lflag & IEXTEN) !== 0) c = toLower(c);
    if ((lflag & EXTPROC) !== 0) {
      this.#put(c);
    } else if (this.#isLiteral) {
      this.#isLiteral = false;
      this.#receivePlain(c, false);
    } else if (!this.#isFlowControl(c) && !this.#isSignal(c)) {
      this.#restart();
      this.#receiveInput(c);
    }
  }

  /** IXON: stop and start. */
  #isFlowControl(c: number): boolean {
    const { iflag, cc } = this.#termios;
    if ((iflag & IXON) === 0 || c === DISABLED) return false;
    if (c === cc[VSTART]) {
      this.start();
      this.#flushEchoes();
    } else if (c === cc[VSTOP]) this.stop();
    else return false;
    return true;
  }

  /** IXANY: any character starts output that was stopped. */
  #restart(): void {
    const wanted = IXON | IXANY;
    if (this.output.isStopped && !this.output.isHeld && (this.#termios.iflag & wanted) === wanted) {
      this.start();
    }
  }

  /** ISIG: the keys that send signals. */
  #isSignal(c: number): boolean {
    const { iflag, lflag, cc } = this.#termios;
    if ((lflag & ISIG) === 0 || c === DISABLED) return false;
    const signal = c === cc[VINTR] ? SIGINT : c === cc[VQUIT] ? SIGQUIT : c === cc[VSUSP] ? SIGTSTP : 0;
    if (signal === 0) return false;
    if ((lflag & NOFLSH) === 0) {
      this.output.flush();
      this.output.dropEchoes();
      this.flushInput();
      this.#port.onPacketStatus(0, TIOCPKT_FLUSHWRITE);
      this.#port.onRoom();
    }
    this.#port.signalForeground(signal);
    if ((iflag & IXON) !== 0) this.start();
    if ((lflag & ECHO) !== 0) this.#echo(c);
    return true;
  }

  #receiveInput(c: number): void {
    const { iflag, lflag } = this.#termios;
    let isTranslated = false;
    if (c === RETURN) {
      if ((iflag & IGNCR) !== 0) return;
      isTranslated = (iflag & ICRNL) !== 0;
      if (isTranslated) c = NEWLINE;
    } else if (c === NEWLINE && (iflag & INLCR) !== 0) {
      c = RETURN;
    }
    if ((lflag & ICANON) !== 0 && this.#isEdit(c)) return;
    this.#receivePlain(c, isTranslated);
  }

  /** Canonical mode: keys that edit or end the line. */
  #isEdit(c: number): boolean {
    const { lflag, cc } = this.#termios;
    const isEchoing = (lflag & ECHO) !== 0, isExtended = (lflag & IEXTEN) !== 0;
    if (c === NEWLINE) {
      if ((lflag & (ECHO | ECHONL)) !== 0) this.output.echo(NEWLINE);
      this.#endLine(c);
      return true;
    }
    if (c === DISABLED) return false;
    if (c === cc[VERASE]) this.#erase(Erasure.Character);
    else if (c === cc[VKILL]) this.#erase(Erasure.Line);
    else if (c === cc[VWERASE] && isExtended) this.#erase(Erasure.Word);
    else if (c === cc[VLNEXT] && isExtended) this.#beginLiteral();
    else if (c === cc[VREPRINT] && isExtended && isEchoing) this.#reprint(c);
    else if (c === cc[VEOF]) this.#endLine(DISABLED);
    else if (c === cc[VEOL] || (c === cc[VEOL2] && isExtended)) {
      if (isEchoing) {
        this.#markColumn();
        this.#echo(c);
      }
      this.#doubleMark(c);
      this.#endLine(c);
    } else return false;
    return true;
  }

  /** Without lines a newline is a control character like others (^J), unless it was a return key (`isReturn`). */
  #receivePlain(c: number, isReturn: boolean): void {
    const { lflag } = this.#termios;
    if ((lflag & ECHO) !== 0) {
      this.#finishErasing();
      if (c === NEWLINE && isReturn) {
        this.output.echo(NEWLINE);
      } else {
        this.#markColumn();
        this.#echo(c);
      }
    }
    this.#doubleMark(c);
    this.#put(c);
  }

  /** PARMRK: a real 0xff is doubled, to differ from a mark (termios(3)). */
  #doubleMark(c: number): void {
    if (c === 0xff && (this.#termios.iflag & PARMRK) !== 0) this.#put(c);
  }

  #put(c: number): void {
    const place = this.#head % INPUT_BYTES_MAX;
    this.#bytes[place] = c;
    this.#lineEnds[place] = 0;
    this.#head++;
  }

  #endLine(c: number): void {
    const place = this.#head % INPUT_BYTES_MAX;
    this.#put(c);
    this.#lineEnds[place] = 1;
    this.#canonicalHead = this.#head;
  }

  #beginLiteral(): void {
    this.#isLiteral = true;
    if ((this.#termios.lflag & ECHO) === 0) return;
    this.#finishErasing();
    if ((this.#termios.lflag & ECHOCTL) === 0) return;
    this.output.echo(0x5e);
    this.output.echo(0x08);
  }

  #reprint(c: number): void {
    this.#finishErasing();
    this.#echo(c);
    this.output.echo(NEWLINE);
    for (let at = this.#canonicalHead; at !== this.#head; at++) this.#echo(this.#bytes[at % INPUT_BYTES_MAX]);
  }

  // --- erasing ----------------------------------------------------------------------------------------------------------

  /** eraser() of n_tty.c: takes back a character, a word or the line, on the screen too. */
  #erase(what: Erasure): void {
    const { lflag, cc } = this.#termios;
    if (this.#head === this.#canonicalHead) return;
    const isEchoing = (lflag & ECHO) !== 0;
    if (what === Erasure.Line && !isEchoing) {
      this.#head = this.#canonicalHead;
      return;
    }
    if (what === Erasure.Line && (lflag & (ECHOK | ECHOKE | ECHOE)) !== (ECHOK | ECHOKE | ECHOE)) {
      this.#head = this.#canonicalHead;
      this.#finishErasing();
      this.#echo(cc[VKILL]);
      if ((lflag & ECHOK) !== 0) this.output.echo(NEWLINE);
      return;
    }
    let hasSeenWord = false;
    while (this.#head !== this.#canonicalHead) {
      const first = this.#lastCharacter();
      if (first < 0) break;
      const c = this.#bytes[first % INPUT_BYTES_MAX];
      if (what === Erasure.Word) {
        if (isLetterOrDigit(c)) hasSeenWord = true;
        else if (hasSeenWord) break;
      }
      const end = this.#head;
      this.#head = first;
      if (isEchoing) this.#echoErasure(what, c, first, end);
      if (what === Erasure.Character) break;
    }
    if (this.#head === this.#canonicalHead && isEchoing) this.#finishErasing();
  }

  /** Where the last character begins, its continuation bytes counted in; -1 when it does not begin in this line. */
  #lastCharacter(): number {
    let at = this.#head;
    do at--; while (this.#isContinuation(this.#bytes[at % INPUT_BYTES_MAX]) && at !== this.#canonicalHead);
    return this.#isContinuation(this.#bytes[at % INPUT_BYTES_MAX]) ? -1 : at;
  }

  /** Bytes first..end have been taken back; `c` is the first. */
  #echoErasure(what: Erasure, c: number, first: number, end: number): void {
    const { lflag, cc } = this.#termios;
    const output = this.output;
    const showsControl = (lflag & ECHOCTL) !== 0;
    if ((lflag & ECHOPRT) !== 0) {
      if (!this.#isErasing) output.echo(0x5c);
      this.#isErasing = true;
      this.#echo(c);
      for (let at = first + 1; at < end; at++) {
        output.echo(this.#bytes[at % INPUT_BYTES_MAX]);
        output.echo(MOVE_BACK);
      }
    } else if (what === Erasure.Character && (lflag & ECHOE) === 0) {
      this.#echo(cc[VERASE]);
    } else if (c === TAB) {
      this.#echoTabErasure();
    } else if (!isControl(c)) {
      eraseColumn(output);
    } else if (showsControl) {
      eraseColumn(output);
      eraseColumn(output);
    }
  }

  /** How far a tab reached depends on the columns between it and what it stood after: an earlier tab, or the line's start. */
  #echoTabErasure(): void {
    let columns = 0, flag = 0;
    for (let at = this.#head; at !== this.#canonicalHead;) {
      const c = this.#bytes[--at % INPUT_BYTES_MAX];
      if (c === TAB) {
        flag = TAB_AFTER_TAB;
        break;
      }
      if (isControl(c)) columns += (this.#termios.lflag & ECHOCTL) !== 0 ? 2 : 0;
      else if (!this.#isContinuation(c)) columns++;
    }
    this.output.echo(ERASE_TAB | flag | columns & 7);
  }

  #finishErasing(): void {
    if (!this.#isErasing) return;
    this.output.echo(0x2f);
    this.#isErasing = false;
  }

  #isContinuation(c: number): boolean {
    return (this.#termios.iflag & IUTF8) !== 0 && (c & 0xc0) === 0x80;
  }

  // --- echo -------------------------------------------------------------------------------------------------------------

  /** The column a line begins in: where its tabs count from. */
  #markColumn(): void {
    if (this.#canonicalHead === this.#head) this.output.echo(MARK_COLUMN);
  }

  #echo(c: number): void {
    const isShown = (this.#termios.lflag & ECHOCTL) !== 0 && isControl(c) && c !== TAB;
    this.output.echo(isShown ? CONTROL | c : c);
  }

  #flushEchoes(): void {
    const before = this.output.used;
    this.output.flushEchoes();
    if (this.output.used > before) this.#port.onOutput();
  }

  // --- reading ----------------------------------------------------------------------------------------------------------

  /** Bytes a read could have now: FIONREAD. */
  get available(): number {
    if (!this.#isByLine) return this.#head - this.#tail;
    let count = this.#canonicalHead - this.#tail;
    for (let at = this.#tail; at !== this.#canonicalHead; at++) {
      const place = at % INPUT_BYTES_MAX;
      if (this.#lineEnds[place] === 1 && this.#bytes[place] === DISABLED) count--;
    }
    return count;
  }

  /** A read would not wait: a line, an end of file, or one byte. */
  hasInput(): boolean {
    return this.#isByLine ? this.#canonicalHead !== this.#tail : this.#head !== this.#tail;
  }

  /** poll(2) says so: without lines VMIN counts, unless there is a time limit. */
  get isReadable(): boolean {
    if (this.#isByLine) return this.#canonicalHead !== this.#tail;
    const { cc } = this.#termios;
    return this.#head - this.#tail >= (cc[VTIME] === 0 && cc[VMIN] > 0 ? cc[VMIN] : 1);
  }

  /** Bytes a read of `length` waits for; 0 = it does not wait for any (VMIN 0). Lines wait for themselves. */
  wantedBytes(length: number): number {
    return this.#isByLine ? 1 : Math.min(this.#termios.cc[VMIN], length);
  }

  /** Limit of the wait for the first byte (VMIN 0), or between two bytes, in tenths of a second; 0 = none. */
  get waitTenths(): number {
    return this.#isByLine ? 0 : this.#termios.cc[VTIME];
  }

  /** Takes out a line, or what there is of it up to `length`; without lines whatever there is. 0 at end of file. */
  read(into: Uint8Array, at: number, length: number): number {
    if (this.#isByLine) return this.#readLine(into, at, length);
    const n = Math.min(length, this.#head - this.#tail);
    for (let i = 0; i < n; i++) into[at + i] = this.#bytes[this.#tail++ % INPUT_BYTES_MAX];
    if (this.#canonicalHead < this.#tail) this.#canonicalHead = this.#tail;
    return n;
  }

  #readLine(into: Uint8Array, at: number, length: number): number {
    let n = 0;
    while (this.#tail !== this.#canonicalHead) {
      const place = this.#tail % INPUT_BYTES_MAX;
      const isEnd = this.#lineEnds[place] === 1;
      const isEndOfFile = isEnd && this.#bytes[place] === DISABLED;
      // An end of file right behind what fills the buffer goes with it, or it would end the next read.
      if (n === length && !isEndOfFile) break;
      this.#lineEnds[place] = 0;
      this.#tail++;
      if (!isEndOfFile) into[at + n++] = this.#bytes[place];
      if (isEnd) break;
    }
    return n;
  }

  /** Input is dropped: tcflush(3), signals. */
  flushInput(): void {
    this.#tail = this.#canonicalHead = this.#head = 0;
    this.#lineEnds.fill(0);
    this.#isErasing = false;
    this.#isLiteral = false;
    this.#port.onPacketStatus(0, TIOCPKT_FLUSHREAD);
  }

  // --- writing ----------------------------------------------------------------------------------------------------------

  /** Takes `length` bytes of output, or as many as there is room for. */
  write(from: Uint8Array, at: number, length: number): number {
    this.output.flushEchoes();
    const n = this.output.write(from, at, length);
    if (this.output.used > 0) this.#port.onOutput();
    return n;
  }

  /** Moves output to the other side of the line; echoes that found no room follow. */
  fetch(into: Uint8Array, at: number, length: number): number {
    const n = this.output.fetch(into, at, length);
    this.output.flushEchoes();
    return n;
  }

  /** Output is dropped: tcflush(3). */
  flushOutput(): void {
    this.output.flush();
    this.#port.onPacketStatus(0, TIOCPKT_FLUSHWRITE);
    this.#port.onRoom();
  }

  stop(): void {
    if (this.output.isStopped) return;
    this.output.isStopped = true;
    this.#port.onPacketStatus(TIOCPKT_START, TIOCPKT_STOP);
  }

  /** Goes on with output, unless tcflow(TCOOFF) holds it. */
  start(): void {
    if (!this.output.isStopped || this.output.isHeld) return;
    this.output.isStopped = false;
    this.#port.onPacketStatus(TIOCPKT_STOP, TIOCPKT_START);
    this.#flushEchoes();
    this.#port.onRoom();
  }
}

/** "\b \b": a column is blank again. */
function eraseColumn(output: Output): void {
  output.echo(0x08);
  output.echo(0x20);
  output.echo(0x08);
}
