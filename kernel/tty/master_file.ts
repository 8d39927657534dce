// The emulator's side of a terminal: what open("/dev/ptmx") gives. Linux: ptmx_open(), pty.c; pts(4), ioctl_tty(2). Its
// last close hangs the terminal up.

import { EFAULT, EINVAL } from "../abi/errno.ts";
import { SIGINT, SIGQUIT, SIGTSTP } from "../abi/signal.ts";
import { i32, put32 } from "../abi/struct.ts";
import {
  TCFLSH,
  TCIFLUSH,
  TCIOFLUSH,
  TCOFLUSH,
  TIOCGPKT,
  TIOCGPTLCK,
  TIOCGPTN,
  TIOCGPTPEER,
  TIOCINQ,
  TIOCPKT,
  TIOCSIG,
  TIOCSPTLCK,
} from "../abi/tty.ts";
import type { Task } from "../task/task.ts";
import { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import { terminalIoctl } from "./ioctl.ts";
import { hangUp } from "./job_control.ts";
import type { Terminal } from "./terminal.ts";

const word = new Uint8Array(4);

/** TIOCGPTPEER: opens the slave of `master` whatever its name is; a descriptor or -ERRNO. Set by fs/devpts. */
export type PeerOpener = (task: Task, master: MasterFile, flags: number) => number;

export class MasterFile extends File {
  readonly terminal: Terminal;
  readonly #openPeer: PeerOpener;

  constructor(inode: Inode, terminal: Terminal, flags: number, openPeer: PeerOpener) {
    super(inode, flags, terminal.masterQueue);
    this.terminal = terminal;
    this.#openPeer = openPeer;
  }

  override read(_task: Task, into: Uint8Array, at: number, length: number): number {
    return this.terminal.readMaster(into, at, length);
  }

  override write(_task: Task, from: Uint8Array, at: number, length: number): number {
    return this.terminal.writeMaster(from, at, length);
  }

  override readiness(): number {
    return this.terminal.masterReadiness;
  }

  override ioctl(task: Task, request: number, argument: number): number {
    const { terminal } = this;
    switch (request) {
      case TIOCGPTN:
        return putInt(task, argument, terminal.index);
      case TIOCSPTLCK:
        if (task.memory.copyIn(argument, word, 0, 4) < 0) return -EFAULT;
        terminal.isLocked = i32(word, 0) !== 0;
        return 0;
      case TIOCGPTLCK:
        return putInt(task, argument, terminal.isLocked ? 1 : 0);
      case TIOCPKT:
        if (task.memory.copyIn(argument, word, 0, 4) < 0) return -EFAULT;
        setPacketMode(terminal, i32(word, 0) !== 0);
        return 0;
      case TIOCGPKT:
        return putInt(task, argument, terminal.isPacketMode ? 1 : 0);
      case TIOCGPTPEER:
        return this.#openPeer(task, this, argument % 2 ** 32);
      case TIOCSIG:
        if (argument !== SIGINT && argument !== SIGQUIT && argument !== SIGTSTP) return -EINVAL;
        terminal.signalForeground(argument);
        return 0;
      case TIOCINQ:
        return putInt(task, argument, terminal.line.output.used);
      case TCFLSH:
        return flush(terminal, argument);
      default:
        return terminalIoctl(task, this, terminal, request, argument, true);
    }
  }

  override release(): void {
    hangUp(this.terminal, true);
    super.release();
  }
}

function setPacketMode(terminal: Terminal, isOn: boolean): void {
  if (isOn && !terminal.isPacketMode) terminal.packetStatus = 0;
  terminal.isPacketMode = isOn;
}

/** The master's input is the programs' output, and the other way round. */
function flush(terminal: Terminal, queue: number): number {
  if (queue !== TCIFLUSH && queue !== TCOFLUSH && queue !== TCIOFLUSH) return -EINVAL;
  if (queue !== TCOFLUSH) {
    terminal.line.output.dropDelivered();
    terminal.onRoom();
  }
  if (queue !== TCIFLUSH) terminal.dropPending();
  return 0;
}

function putInt(task: Task, address: number, value: number): number {
  put32(word, 0, value);
  return task.memory.copyOut(address, word, 0, 4);
}
