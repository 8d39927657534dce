// Sessions on terminals, over processes without guest code: who may read, who is stopped, what a hang-up does.

import { equal } from "node:assert/strict";
import { EAGAIN, EIO, ENOTTY, ENXIO, EPERM } from "../abi/errno.ts";
import { O_NONBLOCK, O_RDWR, POLLHUP, POLLIN, S_IFCHR } from "../abi/file.ts";
import { SIGCONT, SIGHUP, SIGINT, SIGTTIN, SIGTTOU, SIGWINCH } from "../abi/signal.ts";
import {
  ICANON,
  TIOCGPGRP,
  TIOCNOTTY,
  TIOCPKT_DATA,
  TIOCPKT_FLUSHWRITE,
  TIOCPKT_STOP,
  TIOCSCTTY,
  TIOCSPGRP,
  TIOCSWINSZ,
  TOSTOP,
  TTY_MINOR,
  TTYAUX_MAJOR,
  VMIN,
  VTIME,
} from "../abi/tty.ts";
import { AnonymousFilesystem } from "../fs/anonymous/filesystem.ts";
import { openTtyDevice } from "../fs/devpts.ts";
import { DESCRIPTOR_CALLS } from "../syscalls/descriptor.ts";
import { IO_CALLS } from "../syscalls/io.ts";
import { PROCESS_CALLS } from "../syscalls/process.ts";
import { SIGNAL_CALLS } from "../syscalls/signal.ts";
import type { Task } from "../task/task.ts";
import { latin1ToBytes } from "../util/bytes.ts";
import { Waiter } from "../util/wait_queue.ts";
import type { Inode } from "../vfs/inode.ts";
import { BASE, Processes, WAITS } from "../../tests/support/processes.ts";
import { MasterFile } from "./master_file.ts";
import { OUTPUT_BYTES_MAX } from "./output.ts";
import { SlaveFile } from "./slave_file.ts";
import { Terminal } from "./terminal.ts";

const SYS = {
  read: 0,
  write: 1,
  close: 3,
  rt_sigaction: 13,
  ioctl: 16,
  exit_group: 231,
  setpgid: 109,
  setsid: 112,
};
const A = BASE + 0x1000;
const TENTH = 1e8;

/** A session whose leader has a terminal as descriptor 1 and its master as 0. */
class Desk {
  readonly p = new Processes([DESCRIPTOR_CALLS, IO_CALLS, PROCESS_CALLS, SIGNAL_CALLS]);
  readonly leader: Task;
  readonly inode: Inode;
  readonly terminal: Terminal;
  readonly slave: SlaveFile;
  readonly master: MasterFile;
  isNameGone = false;

  constructor() {
    const fs = new AnonymousFilesystem(this.p.kernel.vfs, "devpts", 0x1cd1);
    this.leader = this.p.fork(this.p.init);
    equal(this.p.syscall(this.leader, SYS.setsid), this.leader.tid);
    this.inode = fs.newInode(this.p.kernel.clock, S_IFCHR | 0o620, 0, 0);
    this.terminal = new Terminal(this.p.kernel.account.heap, 0, {
      onMasterClose: () => this.isNameGone = true,
    });
    this.terminal.isLocked = false;
    this.master = new MasterFile(this.inode, this.terminal, O_RDWR, () => -ENXIO);
    this.slave = new SlaveFile(this.inode, this.terminal, O_RDWR);
    equal(this.leader.files.allocate(this.leader, this.master, false), 0);
    equal(this.leader.files.allocate(this.leader, this.slave, false), 1);
    equal(this.p.syscall(this.leader, SYS.ioctl, 1, TIOCSCTTY, 0), 0);
  }
  type(keys: string): void {
    this.terminal.writeMaster(latin1ToBytes(keys), 0, keys.length);
    this.p.run();
  }
  screen(): Uint8Array {
    const bytes = new Uint8Array(4096);
    const n = this.terminal.readMaster(bytes, 0, bytes.length);
    return bytes.subarray(0, Math.max(0, n));
  }
  /** A child in a process group of its own. */
  job(): Task {
    const child = this.p.fork(this.leader);
    equal(this.p.syscall(child, SYS.setpgid, 0, 0), 0);
    return child;
  }
  read(task: Task): number | typeof WAITS {
    return this.p.syscall(task, SYS.read, 1, A, 100);
  }
  foreground(task: Task, number: number): number | typeof WAITS {
    this.p.memory(task).setInt32(A - BASE, number, true);
    return this.p.syscall(task, SYS.ioctl, 1, TIOCSPGRP, A);
  }
  /** The process keeps these signals pending, to be looked at. */
  block(task: Task, ...signals: number[]): void {
    task.signals.setMask(signals.reduce((mask, signal) => mask | 1 << (signal - 1), 0), 0);
  }
  has(task: Task, signal: number): boolean {
    return task.threadGroup.pending.has(signal);
  }
}

Deno.test("a reader waits for a line, and a key interrupts the foreground group alone", () => {
  const d = new Desk();
  const job = d.job();
  d.block(job, SIGINT);
  d.block(d.leader, SIGINT);
  equal(d.foreground(d.leader, job.tid), 0);
  equal(d.read(job), WAITS);
  d.type("hi");
  equal(d.p.answer(job), WAITS);
  d.type("\n");
  equal(d.p.answer(job), 3);
  d.type("\x03");
  equal(d.has(job, SIGINT), true);
  equal(d.has(d.leader, SIGINT), false);
});

Deno.test("a background reader is stopped, and reads on when it is brought to the foreground", () => {
  const d = new Desk();
  const job = d.job();
  equal(d.read(job), WAITS);
  equal(job.threadGroup.isStopped, true);
  equal(job.threadGroup.stopSignal, SIGTTIN);
  equal(d.foreground(d.leader, job.tid), 0);
  const kill = 62;
  equal(d.p.syscall(d.leader, kill, job.tid, SIGCONT), 0);
  equal(job.threadGroup.isStopped, false);
  equal(d.p.answer(d.leader), 0);
});

Deno.test("a background reader that blocks SIGTTIN, or is an orphan, gets EIO", () => {
  const d = new Desk();
  const job = d.job();
  d.block(job, SIGTTIN);
  equal(d.read(job), -EIO);
  const orphan = d.p.fork(job);
  d.p.syscall(job, SYS.exit_group, 0);
  equal(orphan.threadGroup.processGroup.isOrphaned(), true);
  orphan.signals.setMask(0, 0);
  equal(d.read(orphan), -EIO);
});

Deno.test("background writes pass without TOSTOP, and settings stop", () => {
  const d = new Desk();
  const job = d.job();
  equal(d.p.syscall(job, SYS.write, 1, A, 1), 1);
  const termios = d.terminal.line.termios.clone();
  termios.lflag |= TOSTOP;
  d.terminal.setTermios(termios);
  equal(d.p.syscall(job, SYS.write, 1, A, 1), WAITS);
  equal(job.threadGroup.stopSignal, SIGTTOU);
  const other = d.job();
  equal(d.foreground(other, other.tid), WAITS);
  equal(other.threadGroup.stopSignal, SIGTTOU);
});

Deno.test("only the session of a terminal has it, and only its leader may take one", () => {
  const d = new Desk();
  const other = d.p.fork(d.leader);
  equal(d.p.syscall(other, SYS.ioctl, 1, TIOCGPGRP, A), 0);
  equal(d.p.syscall(other, SYS.setsid), other.tid);
  equal(d.p.syscall(other, SYS.ioctl, 1, TIOCGPGRP, A), -ENOTTY);
  equal(d.p.syscall(other, SYS.ioctl, 1, TIOCSCTTY, 0), -EPERM);
  const tty = { fs: d.inode.fs, rdevMajor: TTYAUX_MAJOR, rdevMinor: TTY_MINOR } as Inode;
  equal(openTtyDevice(other, tty, O_RDWR), -ENXIO);
  equal(typeof openTtyDevice(d.leader, tty, O_RDWR), "object");
  // With CAP_SYS_ADMIN it can be stolen.
  equal(d.p.syscall(other, SYS.ioctl, 1, TIOCSCTTY, 1), 0);
  equal(d.leader.threadGroup.session.terminal, null);
});

Deno.test("TIOCNOTTY of a member leaves the session its terminal, of the leader it hangs up", () => {
  const d = new Desk();
  const child = d.p.fork(d.leader);
  equal(d.p.syscall(child, SYS.ioctl, 1, TIOCNOTTY), 0);
  equal(d.p.syscall(child, SYS.ioctl, 1, TIOCGPGRP, A), -ENOTTY);
  equal(d.p.syscall(d.leader, SYS.ioctl, 1, TIOCGPGRP, A), 0);
  d.block(d.leader, SIGHUP, SIGCONT);
  equal(d.p.syscall(d.leader, SYS.ioctl, 1, TIOCNOTTY), 0);
  equal(d.has(d.leader, SIGHUP) && d.has(d.leader, SIGCONT), true);
  equal(d.terminal.session, null);
});

Deno.test("the master's close tells the leader, and ends the terminal for who has it open", () => {
  const d = new Desk();
  d.block(d.leader, SIGHUP, SIGCONT);
  const job = d.job();
  equal(d.foreground(d.leader, job.tid), 0);
  equal(d.read(job), WAITS);
  for (const task of [job, d.leader]) if (task.files.get(0) !== null) task.files.close(task, 0);
  d.p.run();
  equal(d.isNameGone, true);
  equal(d.has(d.leader, SIGHUP), true);
  equal(d.p.answer(job), -EIO, "a reader that waited");
  equal(d.read(job), 0, "one that comes later");
  equal(d.p.syscall(job, SYS.write, 1, A, 1), -EIO);
  equal(d.p.syscall(job, SYS.ioctl, 1, TIOCGPGRP, A), -EIO);
  equal((d.slave.readiness() & (POLLIN | POLLHUP)) === (POLLIN | POLLHUP), true);
  // Who stood in the foreground hears of it when the leader goes.
  d.block(job, SIGHUP);
  d.p.syscall(d.leader, SYS.exit_group, 0);
  equal(d.has(job, SIGHUP), true);
});

Deno.test("the leader's end tells the foreground; the terminal is free for another session", () => {
  const d = new Desk();
  const job = d.job();
  equal(d.foreground(d.leader, job.tid), 0);
  d.block(job, SIGHUP, SIGCONT);
  d.p.syscall(d.leader, SYS.exit_group, 0);
  equal(d.has(job, SIGHUP), true);
  equal(d.has(job, SIGCONT), false);
  equal(d.terminal.session, null);
  d.type("x\n");
  equal(d.read(job), 2, "it can be read by who has it open");
});

Deno.test("a change of size is told once", () => {
  const d = new Desk();
  d.block(d.leader, SIGWINCH);
  const memory = d.p.memory(d.leader);
  memory.setUint16(A - BASE, 30, true);
  memory.setUint16(A - BASE + 2, 100, true);
  equal(d.p.syscall(d.leader, SYS.ioctl, 0, TIOCSWINSZ, A), 0);
  equal(d.has(d.leader, SIGWINCH), true);
  d.leader.threadGroup.pending.discard(0xffff_ffff, 0);
  equal(d.p.syscall(d.leader, SYS.ioctl, 1, TIOCSWINSZ, A), 0);
  equal(d.has(d.leader, SIGWINCH), false);
});

/** Without lines, VMIN and VTIME as given. */
function rawDesk(min: number, tenths: number): Desk {
  const d = new Desk();
  const termios = d.terminal.line.termios.clone();
  termios.lflag &= ~ICANON;
  termios.cc[VMIN] = min;
  termios.cc[VTIME] = tenths;
  d.terminal.setTermios(termios);
  return d;
}

Deno.test("VMIN 0: a read ends after VTIME, with whatever there is", () => {
  equal(rawDesk(0, 0).read(rawDesk(0, 0).leader) === 0, true);
  const d = rawDesk(0, 5);
  equal(d.read(d.leader), WAITS);
  d.p.pass(4 * TENTH);
  equal(d.p.answer(d.leader), WAITS);
  d.p.pass(2 * TENTH);
  equal(d.p.answer(d.leader), 0);
  equal(d.read(d.leader), WAITS);
  d.type("x");
  equal(d.p.answer(d.leader), 1);
});

Deno.test("VMIN 3 with VTIME: the time begins with the first byte and again with each", () => {
  const d = rawDesk(3, 5);
  equal(d.read(d.leader), WAITS);
  d.p.pass(50 * TENTH);
  equal(d.p.answer(d.leader), WAITS);
  d.type("a");
  d.p.pass(4 * TENTH);
  d.type("b");
  d.p.pass(4 * TENTH);
  equal(d.p.answer(d.leader), WAITS);
  d.p.pass(2 * TENTH);
  equal(d.p.answer(d.leader), 2);
  d.type("abcd");
  equal(d.read(d.leader), 4);
});

Deno.test("VMIN counts no more than the buffer, and nothing for a nonblocking read", () => {
  const d = rawDesk(5, 0);
  d.type("ab");
  equal(d.p.syscall(d.leader, SYS.read, 1, A, 2), 2);
  d.slave.flags |= O_NONBLOCK;
  equal(d.read(d.leader), -EAGAIN);
  d.type("c");
  equal(d.read(d.leader), 1);
});

Deno.test("a writer goes on when its output is taken at the very moment it is told", () => {
  const d = new Desk();
  const bytes = new Uint8Array(4096);
  let taken = 0, isSlow = true;
  const taker = new Waiter({
    onReady: () => {
      for (let n = 1; n > 0 && !isSlow;) {
        taken += n = Math.max(0, d.terminal.readMaster(bytes, 0, bytes.length));
      }
    },
  });
  d.terminal.masterQueue.add(taker, POLLIN);
  const page = 4096;
  for (let i = 0; i < OUTPUT_BYTES_MAX / page; i++) {
    equal(d.p.syscall(d.leader, SYS.write, 1, A, page), page);
  }
  isSlow = false;
  equal(d.p.syscall(d.leader, SYS.write, 1, A, page), page);
  equal(taken, OUTPUT_BYTES_MAX + page);
});

Deno.test("in packet mode the master hears of flow control and flushes", () => {
  const d = new Desk();
  d.terminal.isPacketMode = true;
  equal(d.p.syscall(d.leader, SYS.write, 1, A, 2), 2);
  equal(d.screen()[0], TIOCPKT_DATA);
  d.type("\x13");
  equal(d.screen()[0], TIOCPKT_STOP);
  d.terminal.line.flushOutput();
  equal(d.screen()[0], TIOCPKT_FLUSHWRITE);
  equal(d.screen().length, 0);
});
