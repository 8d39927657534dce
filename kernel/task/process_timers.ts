// Timers of a process that end in signals: setitimer(2), alarm(2), timer_create(2). Linux: kernel/time/itimer.c,
// posix-timers.c. A periodic POSIX timer whose signal is still pending does not go off again; what it has missed is its
// overrun count when the signal is taken. RLIMIT_CPU is such a timer too.

import { EAGAIN, EINVAL } from "../abi/errno.ts";
import { SI_KERNEL, SI_TIMER, SIGALRM, SIGKILL, SIGPROF, SIGVTALRM, SIGXCPU } from "../abi/signal.ts";
import { RLIMIT_CPU, RLIMIT_SIGPENDING } from "../abi/task.ts";
import { sendGroupSignal, sendSignal } from "../signal/send.ts";
import { SignalInfo, type SignalTakenListener } from "../signal/signal_info.ts";
import type { CpuTimed } from "../time/clocks.ts";
import { Timer, type TimerListener } from "../time/timer.ts";
import type { Task } from "./task.ts";
import type { ProcessTimers, ThreadGroup } from "./thread_group.ts";
import { type UserAccount, userAccount } from "./user_account.ts";

export const ITIMER_REAL = 0;
export const ITIMER_VIRTUAL = 1;
export const ITIMER_PROF = 2;
const ITIMER_SIGNALS = [SIGALRM, SIGVTALRM, SIGPROF];
/** DELAYTIMER_MAX: where overrun counts end. */
const ID_MAX = 0x7fff_ffff;
const OVERRUN_MAX = 0x7fff_ffff;

/** RLIMIT_CPU of `group` has been set or inherited: its time is watched, or no longer. */
export function watchCpuLimit(group: ThreadGroup): void {
  const timers = group.timers as GroupTimers | null;
  if (group.limits.soft(RLIMIT_CPU) !== Infinity) timersOf(group).openCpuLimit().start();
  else timers?.cpuLimit?.timer.stop();
}

/** The timers of `group`, made on first use. */
export function timersOf(group: ThreadGroup): GroupTimers {
  return (group.timers ??= new GroupTimers(group)) as GroupTimers;
}

export class GroupTimers implements ProcessTimers {
  readonly #group: ThreadGroup;
  /** ITIMER_REAL, ITIMER_VIRTUAL, ITIMER_PROF; null until first set. */
  readonly #interval: (IntervalTimer | null)[] = [null, null, null];
  /** RLIMIT_CPU; null until the process has such a limit. */
  cpuLimit: CpuLimit | null = null;
  /** POSIX timers by id. */
  readonly posix = new Map<number, PosixTimer>();
  /** Where the search for a free id begins: posix_timer_add() goes round too. */
  #nextId = 0;

  constructor(group: ThreadGroup) {
    this.#group = group;
  }

  /** Interval timer `which`, or null if it was never set. */
  interval(which: number): Timer | null {
    return this.#interval[which]?.timer ?? null;
  }

  /** As interval(), made on first use. */
  openInterval(which: number): Timer {
    return (this.#interval[which] ??= new IntervalTimer(this.#group, which)).timer;
  }

  openCpuLimit(): CpuLimit {
    return this.cpuLimit ??= new CpuLimit(this.#group);
  }

  /** A new POSIX timer; its id, or -EAGAIN when there are too many. */
  create(settings: PosixTimerSettings): number {
    const account = userAccount(this.#group.kernel, this.#group.leader.credentials.uid);
    if (account.pendingSignals >= this.#group.limits.soft(RLIMIT_SIGPENDING)) return -EAGAIN;
    while (this.posix.has(this.#nextId)) this.#nextId = (this.#nextId + 1) & ID_MAX;
    const id = this.#nextId;
    this.#nextId = (id + 1) & ID_MAX;
    this.posix.set(id, new PosixTimer(this.#group, id, settings, account));
    return id;
  }

  delete(id: number): number {
    const timer = this.posix.get(id);
    if (timer === undefined) return -EINVAL;
    timer.release();
    this.posix.delete(id);
    return 0;
  }

  onExec(): void {
    for (const timer of this.posix.values()) timer.release();
    this.posix.clear();
  }

  release(): void {
    this.onExec();
    for (const interval of this.#interval) interval?.timer.stop();
    this.cpuLimit?.timer.stop();
  }
}

class IntervalTimer implements TimerListener {
  readonly timer: Timer;
  readonly #group: ThreadGroup;
  readonly #signal: number;

  constructor(group: ThreadGroup, which: number) {
    this.#group = group;
    this.#signal = ITIMER_SIGNALS[which];
    // Linux: all CPU time counts as user time here, so VIRTUAL and PROF run alike.
    this.timer = new Timer(group.kernel, this, which === ITIMER_REAL ? null : group);
  }

  taskConcerned(): Task | null {
    return this.#group.liveTask();
  }

  onExpire(timer: Timer): void {
    timer.forward();
    timer.rearm();
    sendGroupSignal(this.#group, this.#signal, SI_KERNEL);
  }
}

/** getrlimit(2): SIGXCPU at the soft limit and each second after it, SIGKILL at the hard one. */
class CpuLimit implements TimerListener {
  readonly timer: Timer;
  readonly #group: ThreadGroup;

  constructor(group: ThreadGroup) {
    this.#group = group;
    this.timer = new Timer(group.kernel, this, group);
  }

  /** A limit of 0 is one of a second, as in update_rlimit_cpu(). */
  start(): void {
    this.timer.set(Math.max(1, this.#group.limits.soft(RLIMIT_CPU)) * 1e9, 1e9);
  }

  taskConcerned(): Task | null {
    return this.#group.liveTask();
  }

  onExpire(timer: Timer): void {
    if (timer.now() >= this.#group.limits.hard(RLIMIT_CPU) * 1e9) {
      timer.stop();
      sendGroupSignal(this.#group, SIGKILL, SI_KERNEL);
      return;
    }
    timer.forward();
    timer.rearm();
    sendGroupSignal(this.#group, SIGXCPU, SI_KERNEL);
  }
}

/** The sigevent of timer_create(2). */
export interface PosixTimerSettings {
  readonly clock: number;
  readonly cpu: CpuTimed | null;
  /** Signal to send, 0 = none (SIGEV_NONE). */
  readonly signal: number;
  /** The task it goes to (SIGEV_THREAD_ID), or null for the process. */
  readonly target: Task | null;
  /** sigev_value; null = the timer's id. */
  readonly value: { readonly low: number; readonly high: number } | null;
}

/** A signal that nobody takes is not sent more often: a tick of Linux at HZ=250, posix_timer_fn(). */
const IGNORED_NANOS_MIN = 4e6;

export class PosixTimer implements TimerListener, SignalTakenListener {
  readonly settings: PosixTimerSettings;
  readonly timer: Timer;
  readonly #group: ThreadGroup;
  readonly #info: SignalInfo | null;
  /** Where it is counted. */
  readonly #account: UserAccount;
  /** It was set anew while its signal was pending: taking that one must not start the next period. */
  #isStale = false;
  /** Expirations beyond the first since the last signal was taken. */
  #missed = 0;
  /** What timer_getoverrun(2) answers. */
  overrun = 0;

  constructor(group: ThreadGroup, id: number, settings: PosixTimerSettings, account: UserAccount) {
    this.#group = group;
    this.#account = account;
    account.pendingSignals++;
    this.settings = settings;
    this.timer = new Timer(group.kernel, this, settings.cpu);
    this.#info = settings.signal === 0 ? null : new SignalInfo(settings.signal, SI_TIMER);
    if (this.#info !== null) {
      this.#info.timerId = id;
      this.#info.valueLow = settings.value === null ? id : settings.value.low;
      this.#info.valueHigh = settings.value === null ? 0 : settings.value.high;
      this.#info.onTaken = this;
    }
  }

  set(target: number, interval: number): void {
    this.#isStale = this.#isPending();
    this.#missed = 0;
    this.overrun = 0;
    if (this.#info !== null) this.timer.set(target, interval);
    else this.timer.setSilent(target, interval);
  }

  taskConcerned(): Task | null {
    return this.#group.liveTask();
  }

  onExpire(timer: Timer): void {
    const count = timer.forward();
    this.#missed += count - 1;
    this.#isStale = false;
    const info = this.#info!;
    // The next period begins when the signal is taken.
    if (this.#isPending()) return;
    const { target } = this.settings;
    if (target === null || !target.hasExited) sendSignal(target ?? this.#group, info);
    if (this.#isPending()) return;
    // Nobody takes it (ignored, or one of its kind is pending already): the next period begins by itself.
    this.#missed++;
    timer.rearm(IGNORED_NANOS_MIN);
  }

  /** Its signal is queued: expirations until it is taken count as overruns (timer_getoverrun(2)). */
  #isPending(): boolean {
    return this.#info !== null && this.#info.account !== null;
  }

  onSignalTaken(info: SignalInfo): void {
    if (this.#isStale) {
      info.overrun = 0;
      return;
    }
    const count = this.timer.forward();
    this.overrun = Math.min(this.#missed + count, OVERRUN_MAX);
    this.#missed = 0;
    info.overrun = this.overrun;
    this.timer.rearm();
  }

  release(): void {
    this.timer.stop();
    this.#account.pendingSignals--;
    if (this.#info !== null) this.#info.onTaken = null;
  }
}
