// Platform ptrace: PTRACE_SYSEMU on the same stub processes as systrap's, without slots and patches. For hosts where a
// seccomp TRAP is not allowed, and to tell platform bugs from kernel bugs.

import { loadPtrace, type PtraceCalls } from "../../native/ptrace.ts";
import { EVENT, type Platform, type PlatformEvents, REG } from "../platform.ts";
import { HostLoop } from "../host/host_loop.ts";
import { CommandTime } from "../stub/command_time.ts";
import { ASKS, Stubs } from "../stub/stubs.ts";
import { PtraceAddressSpace } from "./address_space.ts";
import { PtraceThread } from "./thread.ts";

// What tsv_ptrace_next reports.
const KIND_SYSCALL = 1;
const KIND_SIGNAL = 2;
const SIGSYS = 31;
const SIGURG = 23;
const SYS_SECCOMP = 1;
/** Faults the CPU raises; anything else that stops a stub was sent by somebody on the host and is not the guest's. */
const FAULTS = new Set([4, 5, 7, 8, 11]);

export class PtracePlatform implements Platform {
  readonly name = "ptrace";
  readonly ownCpu = -1;
  mayPatch = false;
  readonly stubs = new Stubs(ASKS.NEVER);
  readonly calls: PtraceCalls;
  readonly commandTime = new CommandTime(this.stubs.calls);
  readonly threadsByTid = new Map<number, PtraceThread>();
  /** Our end of the socket that descriptors go to stubs by; all stubs share the other, as only we can make them read. */
  readonly socket: number;
  vdsoAddress = 0;
  runningCount = 0;
  onStubDeath: (reason: string) => void = () => {};
  /** Hang-ups are ignored: all stubs share the socket, and waitpid(2) reports the end of each. */
  readonly #hostLoop = new HostLoop(() => {});
  readonly #zygote: PtraceThread;
  readonly #stop = new Int32Array(9);
  readonly #events: PlatformEvents = {
    threads: [],
    threadCount: 0,
    hostFdCookies: [],
    hostFdEvents: [],
    hostFdCount: 0,
  };

  /** `preference`: by how much the sentry's nice value is below that of guests. */
  constructor(preference: number) {
    this.calls = loadPtrace();
    const pid = this.stubs.startFirst(preference);
    this.socket = this.stubs.ownSocket;
    this.vdsoAddress = this.stubs.awaitFirst(this.socket, 0);
    const seized = this.calls.tsv_ptrace_start(pid);
    if (seized < 0) throw new Error(`Cannot trace the first stub: errno ${-seized}`);
    this.#zygote = new PtraceThread(this, new PtraceAddressSpace(this, pid), pid);
    this.calls.tsv_ptrace_registers(pid, 0, this.#zygote.registers);
    if (this.#zygote.addressSpace.mapScratch(this.#zygote) < 0) {
      throw new Error("The first stub has no memory");
    }
  }

  /** Nothing to hold: a stub makes no call but ours. */
  limitProcesses(): void {}

  setMarshalling(_table: Uint32Array): void {}

  createAddressSpace(): PtraceThread | number {
    return this.#zygote.fork();
  }

  wait(deadline: number): PlatformEvents {
    const events = this.#events;
    events.threadCount = 0;
    this.#collect();
    const isIdle = events.threadCount === 0 && deadline !== 0;
    this.#hostLoop.take(this.#hostLoop.sleep(isIdle ? deadline : 0), events);
    if (isIdle) this.#collect();
    return events;
  }

  #collect(): void {
    const events = this.#events;
    while (this.calls.tsv_ptrace_next(this.#stop) === 1) {
      const thread = this.threadsByTid.get(this.#stop[0]);
      if (thread === undefined) {
        // A thread we have ended, or its process. Without the first stub no program can be started.
        if (this.#stop[0] === this.#zygote.tid) throw new Error("The first stub has ended");
        continue;
      }
      thread.isRunning = false;
      this.runningCount--;
      if (this.#take(thread)) events.threads[events.threadCount++] = thread;
    }
  }

  /** Turns a stop into an event; false when the thread was resumed instead. */
  #take(thread: PtraceThread): boolean {
    const stop = this.#stop;
    if (stop[1] !== KIND_SYSCALL && stop[1] !== KIND_SIGNAL) {
      thread.addressSpace.die();
      this.onStubDeath(`Stub thread ${thread.tid} is gone`);
      return true;
    }
    this.calls.tsv_ptrace_registers(thread.tid, 0, thread.registers);
    if (stop[1] === KIND_SYSCALL) {
      // By the 32-bit gate come numbers of another table: they match no call.
      if (stop[6] !== 0) thread.set(REG.ORIG_RAX, 0xffff_ffff);
      thread.event = EVENT.SYSCALL;
      return true;
    }
    const signal = stop[2];
    if (signal === SIGURG) {
      thread.event = EVENT.INTERRUPTED;
      return true;
    }
    if (signal === SIGSYS && stop[3] === SYS_SECCOMP) {
      // vsyscall pages are emulated by the host without a system call stop.
      thread.set(REG.ORIG_RAX, stop[6]);
      thread.event = EVENT.SYSCALL;
      return true;
    }
    if (!FAULTS.has(signal)) {
      thread.resume();
      return false;
    }
    const fault = thread.fault;
    fault.signal = signal;
    fault.code = stop[3];
    fault.address = (stop[4] >>> 0) + (stop[5] >>> 0) * 4294967296;
    fault.trap = stop[7];
    fault.error = stop[8];
    thread.event = EVENT.FAULT;
    return true;
  }

  watch(hostFd: number, events: number, cookie: number): number {
    return this.#hostLoop.watch(hostFd, events, cookie);
  }

  busyNanos(): number {
    return this.commandTime.total();
  }

  shutdown(): void {
    for (const thread of this.threadsByTid.values()) {
      this.stubs.kill(thread.addressSpace.pid);
    }
    this.stubs.kill(this.#zygote.tid);
    this.calls.tsv_ptrace_stop();
    for (let tries = 0; tries < 1000 && !this.stubs.reap(this.#zygote.tid); tries++);
  }
}
