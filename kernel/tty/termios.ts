// The settings of a terminal and their forms in guest memory. termios(3), ioctl_tty(2); Linux: tty_std_termios,
// asm-generic/termbits.h.

import { put16, put32, u16, u32 } from "../abi/struct.ts";
import {
  B38400,
  BOTHER,
  CBAUD,
  CREAD,
  CS8,
  ECHO,
  ECHOCTL,
  ECHOE,
  ECHOK,
  ECHOKE,
  IBSHIFT,
  ICANON,
  ICRNL,
  IEXTEN,
  ISIG,
  IXON,
  ONLCR,
  OPOST,
  VDISCARD,
  VEOF,
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
  VWERASE,
} from "../abi/tty.ts";

/** NCCS of the kernel's struct; that of libc is longer. */
const CC_BYTES = 19;
const OLD_CC_BYTES = 8;
/** struct termios of TCGETS. */
export const TERMIOS_BYTES = 36;
/** struct termios2 of TCGETS2: with the speeds as numbers. */
export const TERMIOS2_BYTES = 44;
/** struct termio of TCGETA. */
export const TERMIO_BYTES = 18;

export class Termios {
  iflag = ICRNL | IXON;
  oflag = OPOST | ONLCR;
  cflag = B38400 | CS8 | CREAD;
  lflag = ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN;
  /** Number of the line discipline; stored, shown. */
  line = 0;
  readonly cc = new Uint8Array(CC_BYTES);
  /** Baud; only for show. */
  inputSpeed = 38400;
  outputSpeed = 38400;

  /** What a new pseudo-terminal has: INIT_C_CC of Linux. */
  constructor() {
    const { cc } = this;
    cc[VINTR] = 0x03;
    cc[VQUIT] = 0x1c;
    cc[VERASE] = 0x7f;
    cc[VKILL] = 0x15;
    cc[VEOF] = 0x04;
    cc[VMIN] = 1;
    cc[VSTART] = 0x11;
    cc[VSTOP] = 0x13;
    cc[VSUSP] = 0x1a;
    cc[VREPRINT] = 0x12;
    cc[VDISCARD] = 0x0f;
    cc[VWERASE] = 0x17;
    cc[VLNEXT] = 0x16;
  }

  clone(): Termios {
    const copy = new Termios();
    copy.iflag = this.iflag;
    copy.oflag = this.oflag;
    copy.cflag = this.cflag;
    copy.lflag = this.lflag;
    copy.line = this.line;
    copy.cc.set(this.cc);
    copy.inputSpeed = this.inputSpeed;
    copy.outputSpeed = this.outputSpeed;
    return copy;
  }
}

/** struct termios, and with `hasSpeeds` struct termios2. */
export function putTermios(b: Uint8Array, at: number, termios: Termios): void {
  put32(b, at, termios.iflag);
  put32(b, at + 4, termios.oflag);
  put32(b, at + 8, termios.cflag);
  put32(b, at + 12, termios.lflag);
  b[at + 16] = termios.line;
  b.set(termios.cc, at + 17);
}

export function putTermios2(b: Uint8Array, at: number, termios: Termios): void {
  putTermios(b, at, termios);
  put32(b, at + TERMIOS_BYTES, termios.inputSpeed);
  put32(b, at + TERMIOS_BYTES + 4, termios.outputSpeed);
}

export function putTermio(b: Uint8Array, at: number, termios: Termios): void {
  put16(b, at, termios.iflag);
  put16(b, at + 2, termios.oflag);
  put16(b, at + 4, termios.cflag);
  put16(b, at + 6, termios.lflag);
  b[at + 8] = termios.line;
  b.set(termios.cc.subarray(0, OLD_CC_BYTES), at + 9);
  b[at + TERMIO_BYTES - 1] = 0;
}

/** Settings of struct termios; the speeds follow from its flags. */
export function termiosOf(b: Uint8Array, at: number): Termios {
  const termios = new Termios();
  readFlags(b, at, termios);
  setSpeeds(termios);
  return termios;
}

export function termios2Of(b: Uint8Array, at: number): Termios {
  const termios = new Termios();
  readFlags(b, at, termios);
  termios.inputSpeed = u32(b, at + TERMIOS_BYTES);
  termios.outputSpeed = u32(b, at + TERMIOS_BYTES + 4);
  setSpeeds(termios);
  return termios;
}

/** struct termio has the low halves of the flags; the rest stays as in `old`. */
export function termioOf(b: Uint8Array, at: number, old: Termios): Termios {
  const termios = old.clone();
  const low = (flags: number, half: number) => (flags & ~0xffff | half) >>> 0;
  termios.iflag = low(old.iflag, u16(b, at));
  termios.oflag = low(old.oflag, u16(b, at + 2));
  termios.cflag = low(old.cflag, u16(b, at + 4));
  termios.lflag = low(old.lflag, u16(b, at + 6));
  termios.line = b[at + 8];
  termios.cc.set(b.subarray(at + 9, at + 9 + OLD_CC_BYTES));
  setSpeeds(termios);
  return termios;
}

function readFlags(b: Uint8Array, at: number, into: Termios): void {
  into.iflag = u32(b, at);
  into.oflag = u32(b, at + 4);
  into.cflag = u32(b, at + 8);
  into.lflag = u32(b, at + 12);
  into.line = b[at + 16];
  into.cc.set(b.subarray(at + 17, at + 17 + CC_BYTES));
}

/** Bauds by the code in c_cflag: B0 to B38400, then from B57600 with bit CBAUDEX. */
const BAUDS = [0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400];
// deno-fmt-ignore
const FAST_BAUDS = [
  57600, 115200, 230400, 460800, 500000, 576000, 921600, 1000000, 1152000, 1500000, 2000000, 2500000, 3000000, 3500000,
  4000000,
];
const CBAUD_LOW = 0o17;

function setSpeeds(termios: Termios): void {
  const output = baud(termios.cflag & CBAUD);
  if (output >= 0) termios.outputSpeed = output;
  const code = termios.cflag >>> IBSHIFT & CBAUD;
  const input = code === 0 ? termios.outputSpeed : baud(code);
  if (input >= 0) termios.inputSpeed = input;
}

/** -1: BOTHER, the speed is in c_ispeed and c_ospeed. */
function baud(code: number): number {
  if ((code & BOTHER) === 0) return BAUDS[code & CBAUD_LOW];
  return (code & CBAUD_LOW) === 0 ? -1 : FAST_BAUDS[(code & CBAUD_LOW) - 1];
}
