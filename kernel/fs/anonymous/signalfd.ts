// signalfd: reads pending signals from a descriptor. Linux: fs/signalfd.c, signalfd(2). It reads the queues of the
// calling task: a child that inherited the descriptor gets its own signals.

import { EAGAIN, EINVAL } from "../../abi/errno.ts";
import { POLLIN } from "../../abi/file.ts";
import { SIGCHLD, SIGSYS } from "../../abi/signal.ts";
import { put32, put64, zero } from "../../abi/struct.ts";
import { dequeueSignal } from "../../signal/send.ts";
import type { SignalInfo } from "../../signal/signal_info.ts";
import { UNBLOCKABLE_LOW } from "../../signal/task_signals.ts";
import type { Task } from "../../task/task.ts";
import { Waiter, type WaitListener } from "../../util/wait_queue.ts";
import { AnonymousFile } from "./filesystem.ts";

const SIGNALFD_SIGINFO_BYTES = 128;

/** Fields of struct signalfd_siginfo. */
const FIELD = {
  errno: 4,
  code: 8,
  pid: 12,
  uid: 16,
  fd: 20,
  tid: 24,
  band: 28,
  overrun: 32,
  status: 40,
  int: 44,
  pointer: 48,
  userTime: 56,
  systemTime: 64,
  address: 72,
  syscall: 84,
  callAddress: 88,
  arch: 96,
} as const;

export class SignalFile extends AnonymousFile implements WaitListener {
  /** The task that used the file last; the file listens to the signal queues of its process. */
  #task: Task;
  readonly #waiter = new Waiter(this);
  #low = 0;
  #high = 0;

  constructor(task: Task, flags: number) {
    super(task.kernel, "[signalfd]", flags);
    this.#task = task;
    task.threadGroup.signalQueue.add(this.#waiter, POLLIN);
  }

  /** Sets which signals it accepts; SIGKILL and SIGSTOP are dropped from the mask. */
  setMask(low: number, high: number): void {
    this.#low = (low & ~UNBLOCKABLE_LOW) >>> 0;
    this.#high = high >>> 0;
    this.queue.notify(POLLIN);
  }

  onReady(): void {
    this.queue.notify(POLLIN);
  }

  /** Listens to the signals of `task` and its process from here on. */
  #follow(task: Task): void {
    if (task.threadGroup !== this.#task.threadGroup) {
      this.#waiter.queue?.remove(this.#waiter);
      task.threadGroup.signalQueue.add(this.#waiter, POLLIN);
    }
    this.#task = task;
  }

  override read(task: Task, into: Uint8Array, at: number, length: number): number {
    if (length < SIGNALFD_SIGINFO_BYTES) return -EINVAL;
    this.#follow(task);
    let done = 0;
    while (done + SIGNALFD_SIGINFO_BYTES <= length) {
      const info = dequeueSignal(task, ~this.#low >>> 0, ~this.#high >>> 0);
      if (info === null) break;
      putInfo(into, at + done, info);
      done += SIGNALFD_SIGINFO_BYTES;
    }
    if (done === 0) return -EAGAIN;
    task.signals.recalculate();
    return done;
  }

  override readiness(task: Task = this.#task): number {
    this.#follow(task);
    const own = task.signals.pending, shared = task.threadGroup.pending;
    const isReady = ((own.low | shared.low) & this.#low) !== 0 ||
      ((own.high | shared.high) & this.#high) !== 0;
    return isReady ? POLLIN : 0;
  }

  override get infoText(): string {
    const mask = (BigInt(this.#high) << 32n | BigInt(this.#low)).toString(16).padStart(16, "0");
    return `sigmask:\t${mask}\n`;
  }

  override release(): void {
    this.#waiter.queue?.remove(this.#waiter);
    super.release();
  }
}

/** Writes a struct signalfd_siginfo; fields that the kind of signal does not have are zero, as on Linux. */
function putInfo(bytes: Uint8Array, at: number, info: SignalInfo): void {
  zero(bytes, at, SIGNALFD_SIGINFO_BYTES);
  put32(bytes, at, info.signal);
  put32(bytes, at + FIELD.errno, info.errno);
  put32(bytes, at + FIELD.code, info.code);
  put32(bytes, at + FIELD.pid, info.pid);
  put32(bytes, at + FIELD.uid, info.uid);
  put32(bytes, at + FIELD.fd, info.fd < 0 ? 0 : info.fd);
  put32(bytes, at + FIELD.tid, info.timerId);
  put32(bytes, at + FIELD.band, info.band);
  put32(bytes, at + FIELD.overrun, info.overrun);
  put32(bytes, at + FIELD.int, info.valueLow | 0);
  put32(bytes, at + FIELD.pointer, info.valueLow);
  put32(bytes, at + FIELD.pointer + 4, info.valueHigh);
  // rt_sigqueueinfo(2) passes no address, although its bytes cover the field (signalfd_copyinfo()).
  if (info.raw === null) put64(bytes, at + FIELD.address, info.address);
  if (info.signal === SIGCHLD) {
    put32(bytes, at + FIELD.status, info.status);
    put64(bytes, at + FIELD.userTime, info.userTicks);
    put64(bytes, at + FIELD.systemTime, info.systemTicks);
  }
  if (info.signal === SIGSYS) {
    put64(bytes, at + FIELD.address, 0);
    put32(bytes, at + FIELD.syscall, info.syscall);
    put64(bytes, at + FIELD.callAddress, info.address);
    put32(bytes, at + FIELD.arch, info.arch);
  }
}
