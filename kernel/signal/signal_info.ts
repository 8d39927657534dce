// What comes with a signal: siginfo_t of sigaction(2). The union's layout follows from signal and code, as in Linux'
// siginfo_layout(); this file writes and reads the 128 bytes of the guest's struct.

import { i32, put16, put32, put64, u32, u64, zero } from "../abi/struct.ts";
import {
  BUS_MCEERR_AO,
  BUS_MCEERR_AR,
  SEGV_BNDERR,
  SEGV_PKUERR,
  SI_KERNEL,
  SI_SIGIO,
  SI_TIMER,
  SI_USER,
  SIGBUS,
  SIGCHLD,
  SIGFPE,
  SIGILL,
  SIGIO,
  SIGSEGV,
  SIGSYS,
  SIGTRAP,
} from "../abi/signal.ts";

import type { UserAccount } from "../task/user_account.ts";

export const SIGINFO_BYTES = 128;

export class SignalInfo {
  readonly signal: number;
  readonly code: number;
  errno = 0;
  /** Sender as the receiver sees it: si_pid, si_uid. For SIGCHLD the child. */
  pid = 0;
  uid = 0;
  /** si_value: sigqueue(3), timers. */
  valueLow = 0;
  valueHigh = 0;
  /** si_addr of faults; si_call_addr of SIGSYS. */
  address = 0;
  /** It tells of a child, by whatever signal the child was to end with. */
  isOfChild = false;
  /** si_status of SIGCHLD. */
  status = 0;
  /** si_utime, si_stime of SIGCHLD, clock ticks. */
  userTicks = 0;
  systemTicks = 0;
  /** si_timerid and si_overrun of SI_TIMER. */
  timerId = 0;
  overrun = 0;
  /** si_band and si_fd of SIGIO; si_syscall and si_arch of SIGSYS are in syscall and arch. */
  band = 0;
  fd = -1;
  syscall = 0;
  arch = 0;
  /** As a process gave it to rt_sigqueueinfo(2): the bytes from 16 on, kept as they are. */
  raw: Uint8Array | null = null;
  /** Who keeps a preallocated signal (a POSIX timer): told when it is taken from the queue, so that it can count overruns. */
  onTaken: SignalTakenListener | null = null;
  /** Next in its queue; owned by SignalQueue. */
  next: SignalInfo | null = null;
  /** Whose RLIMIT_SIGPENDING it counts against; owned by send.ts. */
  account: UserAccount | null = null;

  constructor(signal: number, code: number) {
    this.signal = signal;
    this.code = code;
  }
}

/** Told when a signal it has sent is taken off the queue for delivery. It may still change `overrun`. */
export interface SignalTakenListener {
  onSignalTaken(info: SignalInfo): void;
}

const enum Layout {
  Kill,
  Timer,
  Poll,
  Fault,
  Child,
  Queue,
  Sys,
}

function layoutOf(signal: number, code: number): Layout {
  if (code > SI_USER && code < SI_KERNEL) {
    switch (signal) {
      case SIGILL:
      case SIGFPE:
      case SIGSEGV:
      case SIGBUS:
      case SIGTRAP:
        return Layout.Fault;
      case SIGCHLD:
        return Layout.Child;
      case SIGIO:
        return Layout.Poll;
      case SIGSYS:
        return Layout.Sys;
      default:
        return code <= 6 ? Layout.Poll : Layout.Kill;
    }
  }
  if (code === SI_TIMER) return Layout.Timer;
  if (code === SI_SIGIO) return Layout.Poll;
  return code < 0 ? Layout.Queue : Layout.Kill;
}

/** Writes siginfo_t, SIGINFO_BYTES at `at`. */
export function putSignalInfo(bytes: Uint8Array, at: number, info: SignalInfo): void {
  zero(bytes, at, SIGINFO_BYTES);
  put32(bytes, at, info.signal);
  put32(bytes, at + 4, info.errno);
  put32(bytes, at + 8, info.code);
  if (info.raw !== null) {
    bytes.set(info.raw, at + 16);
    return;
  }
  switch (info.isOfChild ? Layout.Child : layoutOf(info.signal, info.code)) {
    case Layout.Kill:
      put32(bytes, at + 16, info.pid);
      put32(bytes, at + 20, info.uid);
      return;
    case Layout.Queue:
      put32(bytes, at + 16, info.pid);
      put32(bytes, at + 20, info.uid);
      put32(bytes, at + 24, info.valueLow);
      put32(bytes, at + 28, info.valueHigh);
      return;
    case Layout.Timer:
      put32(bytes, at + 16, info.timerId);
      put32(bytes, at + 20, info.overrun);
      put32(bytes, at + 24, info.valueLow);
      put32(bytes, at + 28, info.valueHigh);
      return;
    case Layout.Poll:
      put64(bytes, at + 16, info.band);
      put32(bytes, at + 24, info.fd);
      return;
    case Layout.Fault:
      put64(bytes, at + 16, info.address);
      if (info.signal === SIGBUS && (info.code === BUS_MCEERR_AR || info.code === BUS_MCEERR_AO)) {
        put16(bytes, at + 24, 12);
      } else if (info.signal === SIGSEGV && (info.code === SEGV_PKUERR || info.code === SEGV_BNDERR)) {
        put32(bytes, at + 32, info.valueLow);
      }
      return;
    case Layout.Child:
      put32(bytes, at + 16, info.pid);
      put32(bytes, at + 20, info.uid);
      put32(bytes, at + 24, info.status);
      put64(bytes, at + 32, info.userTicks);
      put64(bytes, at + 40, info.systemTicks);
      return;
    case Layout.Sys:
      put64(bytes, at + 16, info.address);
      put32(bytes, at + 24, info.syscall);
      put32(bytes, at + 28, info.arch);
      return;
  }
}

/** Reads the siginfo_t that a process gave to rt_sigqueueinfo(2) and its like; the signal number is the call's own. */
export function readSignalInfo(bytes: Uint8Array, at: number, signal: number): SignalInfo {
  const info = new SignalInfo(signal, i32(bytes, at + 8));
  info.errno = i32(bytes, at + 4);
  info.raw = bytes.slice(at + 16, at + SIGINFO_BYTES);
  // signalfd shows these fields apart.
  info.pid = i32(bytes, at + 16);
  info.uid = u32(bytes, at + 20);
  info.valueLow = u32(bytes, at + 24);
  info.valueHigh = u32(bytes, at + 28);
  info.address = u64(bytes, at + 16);
  return info;
}
