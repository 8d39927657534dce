// ioctl(2) on terminals: settings, window size, job control, flow. ioctl_tty(2); Linux: tty_io.c tty_ioctl(), tty_ioctl.c.
// Requests of the master alone are in master_file.ts.

import { EFAULT, EINVAL, EIO, ENOTTY, EPERM } from "../abi/errno.ts";
import { i32, put16, put32, u16 } from "../abi/struct.ts";
import { SIGTTOU } from "../abi/signal.ts";
import { CAP_SYS_ADMIN } from "../abi/task.ts";
import {
  N_TTY,
  TCFLSH,
  TCGETA,
  TCGETS,
  TCGETS2,
  TCIFLUSH,
  TCIOFF,
  TCIOFLUSH,
  TCION,
  TCOFLUSH,
  TCOOFF,
  TCOON,
  TCSBRK,
  TCSBRKP,
  TCSETA,
  TCSETAF,
  TCSETAW,
  TCSETS,
  TCSETS2,
  TCSETSF,
  TCSETSF2,
  TCSETSW,
  TCSETSW2,
  TCXONC,
  TIOCCBRK,
  TIOCEXCL,
  TIOCGDEV,
  TIOCGETD,
  TIOCGEXCL,
  TIOCGPGRP,
  TIOCGSID,
  TIOCGSOFTCAR,
  TIOCGWINSZ,
  TIOCINQ,
  TIOCNOTTY,
  TIOCNXCL,
  TIOCOUTQ,
  TIOCSBRK,
  TIOCSCTTY,
  TIOCSETD,
  TIOCSPGRP,
  TIOCSSOFTCAR,
  TIOCSTI,
  TIOCSWINSZ,
  TIOCVHANGUP,
  VSTART,
  VSTOP,
} from "../abi/tty.ts";
import type { Task } from "../task/task.ts";
import type { File } from "../vfs/file.ts";
import {
  checkForeground,
  checkSetForeground,
  foregroundNumber,
  hangUp,
  leaveTerminal,
  sessionNumber,
  setForeground,
  takeTerminal,
  terminalOf,
} from "./job_control.ts";
import type { Terminal } from "./terminal.ts";
import {
  putTermio,
  putTermios,
  putTermios2,
  TERMIO_BYTES,
  termioOf,
  type Termios,
  TERMIOS2_BYTES,
  termios2Of,
  TERMIOS_BYTES,
  termiosOf,
} from "./termios.ts";

const WINSIZE_BYTES = 8;

const b = new Uint8Array(64);

/** Requests that both sides have. `isMaster`: `file` is the master of `terminal`. */
export function terminalIoctl(
  task: Task,
  file: File,
  terminal: Terminal,
  request: number,
  argument: number,
  isMaster: boolean,
): number {
  switch (request) {
    case TCGETS:
      putTermios(b, 0, terminal.line.termios);
      return task.memory.copyOut(argument, b, 0, TERMIOS_BYTES);
    case TCGETS2:
      putTermios2(b, 0, terminal.line.termios);
      return task.memory.copyOut(argument, b, 0, TERMIOS2_BYTES);
    case TCGETA:
      putTermio(b, 0, terminal.line.termios);
      return task.memory.copyOut(argument, b, 0, TERMIO_BYTES);
    case TCSETS:
    case TCSETSW:
    case TCSETSF:
      return setTermios(task, terminal, argument, TERMIOS_BYTES, request === TCSETSF);
    case TCSETS2:
    case TCSETSW2:
    case TCSETSF2:
      return setTermios(task, terminal, argument, TERMIOS2_BYTES, request === TCSETSF2);
    case TCSETA:
    case TCSETAW:
    case TCSETAF:
      return setTermios(task, terminal, argument, TERMIO_BYTES, request === TCSETAF);
    case TIOCGWINSZ:
      return getWindowSize(task, terminal, argument);
    case TIOCSWINSZ:
      return setWindowSize(task, terminal, argument);
    case TIOCGPGRP:
      return putNumber(task, argument, foregroundNumber(task, terminal, isMaster));
    case TIOCSPGRP:
      return setForegroundCall(task, terminal, argument);
    case TIOCGSID:
      return putNumber(task, argument, sessionNumber(task, terminal, isMaster));
    case TIOCSCTTY:
      return takeTerminal(task, terminal, argument, file.isReadable);
    case TIOCNOTTY:
      return isMaster ? -ENOTTY : leaveTerminal(task, terminal);
    default:
      return lineIoctl(task, terminal, request, argument);
  }
}

/** Flow, queues and the rest. */
function lineIoctl(task: Task, terminal: Terminal, request: number, argument: number): number {
  switch (request) {
    case TCSBRK:
    case TCSBRKP:
    case TIOCSBRK:
    case TIOCCBRK:
      // Nothing waits below a pseudo-terminal, and it has no line that could break.
      return checkForeground(task, terminal, SIGTTOU);
    case TCXONC:
      return flow(task, terminal, argument);
    case TCFLSH:
      return flush(task, terminal, argument);
    case TIOCINQ:
      return putInt(task, argument, terminal.line.available);
    case TIOCOUTQ:
      return putInt(task, argument, 0);
    case TIOCEXCL:
      terminal.isExclusive = true;
      return 0;
    case TIOCNXCL:
      terminal.isExclusive = false;
      return 0;
    case TIOCGEXCL:
      return putInt(task, argument, terminal.isExclusive ? 1 : 0);
    case TIOCGETD:
      return putInt(task, argument, terminal.line.termios.line);
    case TIOCSETD:
      return setDiscipline(task, terminal, argument);
    case TIOCGDEV:
      return putInt(task, argument, terminal.deviceNumber);
    case TIOCGSOFTCAR:
      return putInt(task, argument, 0);
    case TIOCSSOFTCAR:
      return task.memory.copyIn(argument, b, 0, 4) < 0 ? -EFAULT : 0;
    case TIOCSTI:
      return typeInto(task, terminal, argument);
    case TIOCVHANGUP:
      if (!task.credentials.has(CAP_SYS_ADMIN)) return -EPERM;
      hangUp(terminal, false);
      return 0;
    default:
      return -ENOTTY;
  }
}

function setTermios(task: Task, terminal: Terminal, argument: number, bytes: number, drops: boolean): number {
  const refused = checkForeground(task, terminal, SIGTTOU);
  if (refused < 0) return refused;
  if (task.memory.copyIn(argument, b, 0, bytes) < 0) return -EFAULT;
  let next: Termios;
  if (bytes === TERMIOS_BYTES) next = termiosOf(b, 0);
  else if (bytes === TERMIOS2_BYTES) next = termios2Of(b, 0);
  else next = termioOf(b, 0, terminal.line.termios);
  if (drops) terminal.flushInput();
  terminal.setTermios(next);
  return 0;
}

function getWindowSize(task: Task, terminal: Terminal, argument: number): number {
  const size = terminal.windowSize;
  put16(b, 0, size.rows);
  put16(b, 2, size.columns);
  put16(b, 4, size.widthPixels);
  put16(b, 6, size.heightPixels);
  return task.memory.copyOut(argument, b, 0, WINSIZE_BYTES);
}

function setWindowSize(task: Task, terminal: Terminal, argument: number): number {
  if (task.memory.copyIn(argument, b, 0, WINSIZE_BYTES) < 0) return -EFAULT;
  terminal.setWindowSize(u16(b, 0), u16(b, 2), u16(b, 4), u16(b, 6));
  return 0;
}

function setForegroundCall(task: Task, terminal: Terminal, argument: number): number {
  const refused = checkSetForeground(task, terminal);
  if (refused < 0) return refused;
  if (terminalOf(task.threadGroup) !== terminal) return -ENOTTY;
  if (task.memory.copyIn(argument, b, 0, 4) < 0) return -EFAULT;
  return setForeground(task, terminal, i32(b, 0));
}

/** tcflow(3): our output is held, or the other side is asked to hold its. */
function flow(task: Task, terminal: Terminal, action: number): number {
  const refused = checkForeground(task, terminal, SIGTTOU);
  if (refused < 0) return refused;
  const { line } = terminal;
  switch (action) {
    case TCOOFF:
      line.stop();
      line.output.isHeld = true;
      return 0;
    case TCOON:
      line.output.isHeld = false;
      line.start();
      return 0;
    case TCIOFF:
    case TCION: {
      const c = line.termios.cc[action === TCIOFF ? VSTOP : VSTART];
      if (c === 0) return 0;
      b[0] = c;
      line.output.writeRaw(b, 0, 1);
      terminal.onOutput();
      return 0;
    }
    default:
      return -EINVAL;
  }
}

function flush(task: Task, terminal: Terminal, queue: number): number {
  const refused = checkForeground(task, terminal, SIGTTOU);
  if (refused < 0) return refused;
  if (queue !== TCIFLUSH && queue !== TCOFLUSH && queue !== TCIOFLUSH) return -EINVAL;
  if (queue !== TCOFLUSH) terminal.flushInput();
  if (queue !== TCIFLUSH) terminal.line.flushOutput();
  return 0;
}

function setDiscipline(task: Task, terminal: Terminal, argument: number): number {
  if (task.memory.copyIn(argument, b, 0, 4) < 0) return -EFAULT;
  // There is one; others are modules that a container may not load.
  if (i32(b, 0) !== N_TTY) return -EINVAL;
  terminal.line.termios.line = N_TTY;
  return 0;
}

/** TIOCSTI: typing for the user, which only the privileged may (dev.tty.legacy_tiocsti is 0). */
function typeInto(task: Task, terminal: Terminal, argument: number): number {
  if (!task.credentials.has(CAP_SYS_ADMIN)) return -EIO;
  if (task.memory.copyIn(argument, b, 0, 1) < 0) return -EFAULT;
  terminal.line.receive(b, 0, 1);
  return 0;
}

function putInt(task: Task, address: number, value: number): number {
  put32(b, 0, value);
  return task.memory.copyOut(address, b, 0, 4);
}

/** A number for the caller, or the -ERRNO that came in its place. */
function putNumber(task: Task, address: number, number: number): number {
  return number < 0 ? number : putInt(task, address, number);
}
