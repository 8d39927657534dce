// Signals, what comes with them and how tasks end, as strace(1) writes them.

import * as SIGNAL from "../abi/signal.ts";
import type { SignalInfo } from "../signal/signal_info.ts";

const NAMES = new Map(
  Object.entries(SIGNAL).filter(([name]) => /^SIG[A-Z0-9]+$/.test(name) && !name.startsWith("SIGSTKSZ"))
    .map(([name, number]) => [number as number, name] as const),
);
const REALTIME_MIN = 32;

/** "SIGSEGV", "SIGRT_3"; a number where it is none. */
export function signalName(signal: number): string {
  if (signal > REALTIME_MIN && signal <= 64) return `SIGRT_${signal - REALTIME_MIN}`;
  return NAMES.get(signal) ?? String(signal);
}

const GENERAL_CODES: Readonly<Record<number, string>> = {
  [SIGNAL.SI_USER]: "SI_USER",
  [SIGNAL.SI_KERNEL]: "SI_KERNEL",
  [SIGNAL.SI_QUEUE]: "SI_QUEUE",
  [SIGNAL.SI_TIMER]: "SI_TIMER",
  [SIGNAL.SI_MESGQ]: "SI_MESGQ",
  [SIGNAL.SI_SIGIO]: "SI_SIGIO",
  [SIGNAL.SI_TKILL]: "SI_TKILL",
};
/** From 1 on, by signal: <asm-generic/siginfo.h>. */
const CODES: Readonly<Record<number, readonly string[]>> = {
  [SIGNAL.SIGSEGV]: ["SEGV_MAPERR", "SEGV_ACCERR", "SEGV_BNDERR", "SEGV_PKUERR"],
  [SIGNAL.SIGBUS]: ["BUS_ADRALN", "BUS_ADRERR", "BUS_OBJERR", "BUS_MCEERR_AR", "BUS_MCEERR_AO"],
  [SIGNAL.SIGILL]: [
    ...["ILL_ILLOPC", "ILL_ILLOPN", "ILL_ILLADR", "ILL_ILLTRP"],
    ...["ILL_PRVOPC", "ILL_PRVREG", "ILL_COPROC", "ILL_BADSTK"],
  ],
  [SIGNAL.SIGFPE]: [
    ...["FPE_INTDIV", "FPE_INTOVF", "FPE_FLTDIV", "FPE_FLTOVF"],
    ...["FPE_FLTUND", "FPE_FLTRES", "FPE_FLTINV", "FPE_FLTSUB"],
  ],
  [SIGNAL.SIGTRAP]: ["TRAP_BRKPT", "TRAP_TRACE"],
  [SIGNAL.SIGCHLD]: [
    ...["CLD_EXITED", "CLD_KILLED", "CLD_DUMPED", "CLD_TRAPPED", "CLD_STOPPED", "CLD_CONTINUED"],
  ],
  [SIGNAL.SIGSYS]: ["SYS_SECCOMP"],
};
const FAULTS: readonly number[] = [
  SIGNAL.SIGSEGV,
  SIGNAL.SIGBUS,
  SIGNAL.SIGILL,
  SIGNAL.SIGFPE,
  SIGNAL.SIGTRAP,
];

function codeName(signal: number, code: number): string {
  return CODES[signal]?.[code - 1] ?? GENERAL_CODES[code] ?? String(code);
}

/** "SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x10}". */
export function signalText(info: SignalInfo): string {
  const { signal, code } = info, name = signalName(signal);
  const fields = [`si_signo=${name}`, `si_code=${codeName(signal, code)}`];
  if (code > 0 && FAULTS.includes(signal) && code !== SIGNAL.SI_KERNEL) {
    fields.push(`si_addr=${info.address === 0 ? "NULL" : `0x${info.address.toString(16)}`}`);
  } else if (code > 0 && signal === SIGNAL.SIGCHLD) {
    const isExit = code === SIGNAL.CLD_EXITED;
    fields.push(`si_pid=${info.pid}`, `si_uid=${info.uid}`);
    fields.push(`si_status=${isExit ? info.status : signalName(info.status)}`);
    fields.push(`si_utime=${info.userTicks}`, `si_stime=${info.systemTicks}`);
  } else if (code === SIGNAL.SI_TIMER) {
    fields.push(`si_timerid=${info.timerId}`, `si_overrun=${info.overrun}`);
  } else if (code <= 0 && code !== SIGNAL.SI_SIGIO) {
    fields.push(`si_pid=${info.pid}`, `si_uid=${info.uid}`);
  }
  return `${name} {${fields.join(", ")}}`;
}

/** "exited with 3", "killed by SIGKILL" for a wait(2) status. */
export function endText(status: number): string {
  const signal = status & 0x7f;
  return signal === 0 ? `exited with ${status >> 8}` : `killed by ${signalName(signal)}`;
}
