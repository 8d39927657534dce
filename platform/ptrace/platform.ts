// Platform ptrace: PTRACE_SYSEMU on the same stub processes as systrap's, without slots and patches. For hosts where a
// seccomp TRAP is not allowed, and to tell platform bugs from kernel bugs.

import { PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { startSystrap, type SystrapMemory } from "../../native/systrap.ts";
import { loadPtrace, type PtraceCalls } from "../../native/ptrace.ts";
import { EVENT, type Platform, type PlatformEvents, REG } from "../platform.ts";
import { COMMON_BYTES, SLOT_BYTES, SLOT_VDSO } from "../slot.ts";
import { C_HOST_LIST, C_WORDS, START_MILLIS_MAX } from "../systrap/platform.ts";
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
  readonly memory: SystrapMemory;
  readonly calls: PtraceCalls;
  readonly forkFlags: number;
  readonly threadFlags: number;
  readonly threadsByTid = new Map<number, PtraceThread>();
  /** Our end of the socket that descriptors go to stubs by; all stubs share the other, as only we can make them read. */
  readonly socket: number;
  vdsoAddress = 0;
  runningCount = 0;
  onStubDeath: (reason: string) => void = () => {};
  readonly #zygote: PtraceThread;
  readonly #stop = new Int32Array(8);
  readonly #events: PlatformEvents = {
    threads: [],
    threadCount: 0,
    hostFdCookies: [],
    hostFdEvents: [],
    hostFdCount: 0,
  };

  /** `preference`: by how much the sentry's nice value is below that of guests. */
  constructor(preference: number) {
    this.memory = startSystrap(SLOT_BYTES, C_WORDS, COMMON_BYTES, false, preference);
    this.calls = loadPtrace();
    const native = this.memory.calls;
    this.forkFlags = native.tsv_systrap_fork_flags();
    this.threadFlags = native.tsv_systrap_thread_flags();
    const pair = new Int32Array(2);
    if (native.tsv_systrap_socketpair(pair, 0) < 0) {
      throw new Error("Cannot make a socket pair for the first stub");
    }
    this.socket = pair[0];
    const pid = native.tsv_systrap_zygote(pair[1]);
    native.tsv_systrap_close(pair[1]);
    if (pid < 0) throw new Error(`Cannot start the first stub: errno ${-pid}`);
    if (native.tsv_systrap_await(0, this.socket, 0, START_MILLIS_MAX) < 0) {
      throw new Error("The first stub ended or hung");
    }
    const words = new Uint32Array(this.memory.slot(0), 0, 1024);
    this.vdsoAddress = words[SLOT_VDSO >> 2] + words[(SLOT_VDSO >> 2) + 1] * 4294967296;
    const seized = this.calls.tsv_ptrace_start(pid);
    if (seized < 0) throw new Error(`Cannot trace the first stub: errno ${-seized}`);
    this.#zygote = new PtraceThread(this, new PtraceAddressSpace(this, pid), pid);
    this.calls.tsv_ptrace_registers(pid, 0, this.#zygote.registers);
    if (this.#zygote.addressSpace.mapScratch(this.#zygote) < 0) {
      throw new Error("The first stub has no memory");
    }
  }

  setMarshalling(_table: Uint32Array): void {}

  createAddressSpace(): PtraceThread | number {
    return this.#zygote.fork();
  }

  wait(deadline: number): PlatformEvents {
    const events = this.#events;
    events.threadCount = 0;
    events.hostFdCount = 0;
    this.#collect();
    const isIdle = events.threadCount === 0 && deadline !== 0;
    this.#hostEvents(this.calls.tsv_ptrace_sleep(isIdle ? deadline : 0));
    if (isIdle) this.#collect();
    return events;
  }

  #hostEvents(count: number): void {
    const control = this.memory.control;
    const events = this.#events;
    for (let i = 0; i < count; i++) {
      const at = C_HOST_LIST + i * 3;
      if (control[at + 1] !== 0) continue; // the stubs' shared socket
      events.hostFdCookies[events.hostFdCount] = control[at];
      events.hostFdEvents[events.hostFdCount++] = control[at + 2];
    }
  }

  #collect(): void {
    const events = this.#events;
    while (this.calls.tsv_ptrace_next(this.#stop) === 1) {
      const thread = this.threadsByTid.get(this.#stop[0]);
      if (thread === undefined) continue; // a thread we have ended, or its process
      thread.isRunning = false;
      this.runningCount--;
      if (this.#take(thread)) events.threads[events.threadCount++] = thread;
    }
  }

  /** Turns a stop into an event; false when the thread was let go on. */
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
    fault.trap = signal === 11 ? 14 : 0;
    fault.error = signal === 11 ? pageFaultError(thread, fault.code, fault.address) : 0;
    thread.event = EVENT.FAULT;
    return true;
  }

  watch(hostFd: number, events: number, cookie: number): number {
    return this.memory.calls.tsv_systrap_watch(hostFd, events, cookie);
  }

  shutdown(): void {
    for (const thread of this.threadsByTid.values()) {
      this.memory.calls.tsv_systrap_kill(thread.addressSpace.pid);
    }
    this.memory.calls.tsv_systrap_kill(this.#zygote.tid);
    this.calls.tsv_ptrace_stop();
    for (let tries = 0; tries < 1000 && this.memory.calls.tsv_systrap_reap(this.#zygote.tid) === 0; tries++);
  }
}

/** Bits of a page fault's error code: protection, write, user, instruction fetch. */
const FAULT_PROTECTION = 1;
const FAULT_WRITE = 2;
const FAULT_USER = 4;
const FAULT_FETCH = 16;
const SEGV_ACCERR = 2;

/**
 * The error code of a page fault, as far as it follows from what stands there: ptrace does not tell. Linux: a write to
 * what is not mapped at all shows as a read.
 */
function pageFaultError(thread: PtraceThread, code: number, address: number): number {
  const isProtection = code === SEGV_ACCERR ? FAULT_PROTECTION : 0;
  if (thread.get(REG.RIP) === address) return FAULT_USER | FAULT_FETCH | isProtection;
  const prot = thread.addressSpace.protectionOf?.(address) ?? -1;
  const isWrite = prot >= 0 && (prot & PROT_READ) !== 0 && (prot & PROT_WRITE) === 0;
  return FAULT_USER | isProtection | (isWrite ? FAULT_WRITE : 0);
}
