// The program's side of a terminal: /dev/pts/N, /dev/tty, /dev/console. Linux: n_tty_read(), n_tty_write(), tty_io.c. Once
// the terminal is hung up the file is dead: it reads as ended, writes and settings answer EIO.

import { EAGAIN, EIO, ENOTTY } from "../abi/errno.ts";
import { O_NONBLOCK, POLLERR, POLLHUP, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } from "../abi/file.ts";
import { SIGTTIN, SIGTTOU } from "../abi/signal.ts";
import { TIOCSPGRP, TOSTOP } from "../abi/tty.ts";
import type { Task } from "../task/task.ts";
import { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import { terminalIoctl } from "./ioctl.ts";
import { checkForeground } from "./job_control.ts";
import type { Terminal } from "./terminal.ts";

const TENTH_NANOS = 1e8;
/** hung_up_tty_poll(). */
const DEAD = POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDNORM | POLLWRNORM;

export class SlaveFile extends File {
  readonly terminal: Terminal;
  readonly #hangUpsAtOpen: number;

  constructor(inode: Inode, terminal: Terminal, flags: number) {
    super(inode, flags, terminal.slaveQueue);
    this.terminal = terminal;
    this.#hangUpsAtOpen = terminal.hangUps;
    terminal.openSlave();
  }

  get #isDead(): boolean {
    return this.terminal.hangUps !== this.#hangUpsAtOpen;
  }

  override read(task: Task, into: Uint8Array, at: number, length: number): number {
    // A reader that waited hears of the end as an error, one that comes after it as the end of the file.
    if (this.#isDead) return !task.call.hasWaited || this.terminal.isMasterOpen ? 0 : -EIO;
    const refused = checkForeground(task, this.terminal, SIGTTIN);
    if (refused < 0) return refused;
    if (length === 0) return 0;
    const { line } = this.terminal;
    const wanted = line.wantedBytes(length);
    const isEnough = line.hasInput() && (wanted <= 1 || line.available >= wanted || this.#isNonblocking);
    if (isEnough || this.#isTimeUp(task, wanted)) return this.terminal.readSlave(into, at, length);
    return -EAGAIN;
  }

  get #isNonblocking(): boolean {
    return (this.flags & O_NONBLOCK) !== 0;
  }

  /** VMIN and VTIME: whether a read that would wait is over; else sets how long it may wait. termios(3), noncanonical mode. */
  #isTimeUp(task: Task, wanted: number): boolean {
    const { line } = this.terminal;
    const tenths = line.waitTenths;
    const { available } = line;
    const { call } = task;
    if (wanted === 0 && tenths === 0) return true;
    // Between bytes the time runs from the last one; before the first only when VMIN is 0.
    if (tenths === 0 || (wanted > 0 && available === 0)) {
      if (call.state.kind === "terminal") call.setDeadline(Infinity);
      return false;
    }
    const now = task.kernel.clock.monotonic();
    const isRunning = call.state.kind === "terminal" && call.state.available === available;
    if (isRunning && call.deadline <= now) return true;
    if (!isRunning) {
      call.setState({ kind: "terminal", available });
      call.setDeadline(now + tenths * TENTH_NANOS);
    }
    return false;
  }

  override write(task: Task, from: Uint8Array, at: number, length: number): number {
    if (this.#isDead) return -EIO;
    if ((this.terminal.line.termios.lflag & TOSTOP) !== 0) {
      const refused = checkForeground(task, this.terminal, SIGTTOU);
      if (refused < 0) return refused;
    }
    return this.terminal.writeSlave(from, at, length);
  }

  override readiness(): number {
    return this.#isDead ? DEAD : this.terminal.slaveReadiness;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    if (this.#isDead) return request === TIOCSPGRP ? -ENOTTY : -EIO;
    return terminalIoctl(task, this, this.terminal, request, argument, false);
  }

  override release(): void {
    this.terminal.closeSlave();
    super.release();
  }
}
