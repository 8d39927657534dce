// A pseudo-terminal: a line discipline between the master's side (a terminal emulator, or the caller's terminal outside
// the sandbox) and the slave's side (the program). Linux: drivers/tty/pty.c, struct tty_struct. Files on the two sides
// are in master_file.ts and slave_file.ts, sessions in job_control.ts.

import type { Budget } from "../util/kernel_memory.ts";
import { EAGAIN, EIO } from "../abi/errno.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT, POLLPRI, POLLRDNORM, POLLWRNORM } from "../abi/file.ts";
import { SIGWINCH } from "../abi/signal.ts";
import {
  CREAD,
  CS8,
  CSIZE,
  EXTPROC,
  IXON,
  PARENB,
  TIOCPKT_DATA,
  TIOCPKT_DOSTOP,
  TIOCPKT_IOCTL,
  TIOCPKT_NOSTOP,
  UNIX98_PTY_SLAVE_MAJOR,
  VSTART,
  VSTOP,
} from "../abi/tty.ts";
import { ByteRing } from "../ipc/byte_ring.ts";
import { sendProcessGroupSignal } from "../signal/send.ts";
import type { ProcessGroup, Session, SessionTerminal } from "../task/process_group.ts";
import { WaitQueue } from "../util/wait_queue.ts";
import { LineDiscipline, type LinePort } from "./line_discipline.ts";
import type { Termios } from "./termios.ts";

/** Bytes written to the master that the line discipline has no room for yet. */
const PENDING_BYTES_MAX = 60 * 1024;

const READABLE = POLLIN | POLLRDNORM;
const WRITABLE = POLLOUT | POLLWRNORM;
const START = 0x11;
const STOP = 0x13;

const passage = new Uint8Array(4096);

class WindowSize {
  rows = 0;
  columns = 0;
  widthPixels = 0;
  heightPixels = 0;
}

/** What the owner of the name /dev/pts/N hears. */
export interface TerminalOwner {
  /** The master has closed: the name goes. */
  onMasterClose(): void;
}

export class Terminal implements LinePort, SessionTerminal {
  /** N of /dev/pts/N. */
  readonly index: number;
  readonly line: LineDiscipline;
  readonly windowSize = new WindowSize();
  /** Readers, writers and pollers of each side. */
  readonly masterQueue = new WaitQueue();
  readonly slaveQueue = new WaitQueue();
  /** Keys that the line has not taken yet. */
  readonly #pending: ByteRing;

  /** The session whose controlling terminal it is; set and cleared with Session.terminal (job_control.ts). */
  session: Session | null = null;
  foreground: ProcessGroup | null = null;

  /** TIOCSPTLCK: the slave cannot be opened. */
  isLocked = true;
  /** TIOCEXCL: no further opens. */
  isExclusive = false;
  isMasterOpen = true;
  /** Open files of the slave. */
  slaveCount = 0;
  /** The slave has been open: without one the master hears of a hang-up from then on. */
  hasBeenOpen = false;
  /** How often it has been hung up: files opened before are dead. */
  hangUps = 0;
  /** TIOCPKT, and the bits the master has not read yet. */
  isPacketMode = false;
  packetStatus = 0;
  readonly #owner: TerminalOwner;

  /** What waits in it counts in `heap`. */
  constructor(heap: Budget, index: number, owner: TerminalOwner) {
    this.#pending = new ByteRing(heap, PENDING_BYTES_MAX);
    this.index = index;
    this.#owner = owner;
    this.line = new LineDiscipline(heap, this);
  }

  /** As /proc/PID/stat shows it: new_encode_dev(). */
  get deviceNumber(): number {
    return this.index & 0xff | UNIX98_PTY_SLAVE_MAJOR << 8 | (this.index & ~0xff) << 12;
  }
  get name(): string {
    return `pts/${this.index}`;
  }

  // --- the master's side ------------------------------------------------------------------------------------------------

  get #hasNoSlave(): boolean {
    return this.hasBeenOpen && this.slaveCount === 0;
  }

  /** Output of the programs. -EIO when nobody can write any more. */
  readMaster(into: Uint8Array, at: number, length: number): number {
    if (length === 0) return 0;
    if (this.isPacketMode && this.packetStatus !== 0) {
      into[at] = this.packetStatus;
      this.packetStatus = 0;
      return 1;
    }
    if (this.line.output.used === 0) return this.#hasNoSlave ? -EIO : -EAGAIN;
    const hadRoom = this.line.output.hasRoom;
    let prefix = 0;
    if (this.isPacketMode) {
      into[at] = TIOCPKT_DATA;
      prefix = 1;
    }
    const n = this.line.fetch(into, at + prefix, length - prefix);
    if (!hadRoom && this.line.output.hasRoom) this.slaveQueue.notify(WRITABLE);
    return n + prefix;
  }

  /** Keys: bytes taken, -EAGAIN when the programs do not read. */
  writeMaster(from: Uint8Array, at: number, length: number): number {
    let done = this.#pending.used === 0 ? this.line.receive(from, at, length) : 0;
    done += this.#pending.push(from, at + done, length - done);
    return done === 0 && length > 0 ? -EAGAIN : done;
  }

  /** Keys that would be taken now. */
  get masterRoom(): number {
    return this.#pending.free;
  }
  get hasMasterRoom(): boolean {
    return this.#pending.free > 0;
  }

  get masterReadiness(): number {
    let events = this.hasMasterRoom ? WRITABLE : 0;
    if (this.line.output.used > 0) events |= READABLE;
    if (this.isPacketMode && this.packetStatus !== 0) events |= READABLE | POLLPRI;
    if (this.#hasNoSlave) events |= POLLHUP;
    return events;
  }

  /** The line has room again: what waits goes on to it. */
  #passOn(): void {
    const pending = this.#pending;
    while (pending.used > 0) {
      const n = pending.peek(passage, 0, passage.length, 0);
      const taken = this.line.receive(passage, 0, n);
      // A flush by one of these very keys may have emptied it.
      pending.skip(Math.min(taken, pending.used));
      if (taken < n) break;
    }
    if (pending.free > 0) this.masterQueue.notify(WRITABLE);
  }

  // --- the slave's side -------------------------------------------------------------------------------------------------

  /** What has been typed, as far as a read may have it. */
  readSlave(into: Uint8Array, at: number, length: number): number {
    const n = this.line.read(into, at, length);
    this.#passOn();
    return n;
  }

  writeSlave(from: Uint8Array, at: number, length: number): number {
    if (!this.isMasterOpen) return -EIO;
    let n = this.line.write(from, at, length);
    // The reader may have made room while it was notified; it would not notify us again.
    if (n === 0 && this.line.output.hasRoom) n = this.line.write(from, at, length);
    return n === 0 && length > 0 ? -EAGAIN : n;
  }

  get slaveReadiness(): number {
    let events = this.line.isReadable ? READABLE : 0;
    if (this.line.output.hasRoom) events |= WRITABLE;
    if (!this.isMasterOpen) events |= POLLHUP;
    return events;
  }

  openSlave(): void {
    this.slaveCount++;
    this.hasBeenOpen = true;
  }

  closeSlave(): void {
    if (--this.slaveCount > 0) return;
    this.isPacketMode = false;
    this.masterQueue.notify(READABLE | WRITABLE | POLLHUP);
  }

  // --- settings ---------------------------------------------------------------------------------------------------------

  /** pty_set_termios(): eight bits without parity whatever is asked for; the master in packet mode hears of flow control. */
  setTermios(next: Termios): void {
    const old = this.line.termios;
    next.cflag = (next.cflag & ~(CSIZE | PARENB) | CS8 | CREAD) >>> 0;
    this.line.setTermios(next);
    this.#passOn();
    const hadFlow = hasFlowControl(old), hasFlow = hasFlowControl(next);
    if (hadFlow !== hasFlow) {
      this.onPacketStatus(TIOCPKT_DOSTOP | TIOCPKT_NOSTOP, hasFlow ? TIOCPKT_DOSTOP : TIOCPKT_NOSTOP);
    }
    if (((old.lflag | next.lflag) & EXTPROC) !== 0) this.onPacketStatus(0, TIOCPKT_IOCTL);
  }

  /** TIOCSWINSZ; who is in the foreground hears of a change. */
  setWindowSize(rows: number, columns: number, widthPixels: number, heightPixels: number): void {
    const size = this.windowSize;
    if (
      size.rows === rows && size.columns === columns && size.widthPixels === widthPixels &&
      size.heightPixels === heightPixels
    ) {
      return;
    }
    size.rows = rows;
    size.columns = columns;
    size.widthPixels = widthPixels;
    size.heightPixels = heightPixels;
    this.signalForeground(SIGWINCH);
  }

  /** TCIFLUSH: what was typed and not read. */
  flushInput(): void {
    this.#pending.clear();
    this.line.flushInput();
    this.masterQueue.notify(WRITABLE);
  }

  /** TCOFLUSH on the master: keys that the line has not taken. */
  dropPending(): void {
    this.#pending.clear();
    this.masterQueue.notify(WRITABLE);
  }

  // --- LinePort ---------------------------------------------------------------------------------------------------------

  signalForeground(signal: number): void {
    if (this.foreground !== null) sendProcessGroupSignal(this.foreground, signal);
  }
  onInput(): void {
    this.slaveQueue.notify(READABLE);
  }
  onOutput(): void {
    this.masterQueue.notify(READABLE);
  }
  onRoom(): void {
    this.slaveQueue.notify(WRITABLE);
  }
  onPacketStatus(clear: number, set: number): void {
    if (!this.isPacketMode) return;
    this.packetStatus = this.packetStatus & ~clear | set;
    this.masterQueue.notify(READABLE | POLLPRI);
  }

  // --- the end ----------------------------------------------------------------------------------------------------------

  /** It is no longer the terminal of a session. */
  onSessionEnd(): void {
    this.session = null;
    this.foreground = null;
  }

  /** The master is closed for good: the name goes; job_control's hangUp() has told the session. */
  closeMaster(): void {
    this.isMasterOpen = false;
    this.#pending.clear();
    this.markHungUp();
    this.#owner.onMasterClose();
  }

  /** Files that are open on the slave are dead from now on: __tty_hangup(). */
  markHungUp(): void {
    this.hangUps++;
    this.slaveQueue.notify(READABLE | WRITABLE | POLLHUP | POLLERR);
  }
}

function hasFlowControl(termios: Termios): boolean {
  return (termios.iflag & IXON) !== 0 && termios.cc[VSTART] === START && termios.cc[VSTOP] === STOP;
}
