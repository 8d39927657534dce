// A guest thread on ptrace: a traced host thread. While it is stopped its registers are in a copy here, which is
// written back before it runs.

import { EINVAL, ENOSYS } from "../../kernel/abi/errno.ts";
import { put16, put32, u32, zero } from "../../kernel/abi/struct.ts";
import { EVENT, Fault, FPU_STATE_MAX, type GuestThread, type HostUsage, REG } from "../platform.ts";
import { readUsage } from "../stub/usage.ts";
import type { PtraceAddressSpace } from "./address_space.ts";
import type { PtracePlatform } from "./platform.ts";
import { PtraceWindow } from "./window.ts";

const SYS_membarrier = 324;
const SYS_rseq = 334;
const TWO_32 = 4294967296;
/** Registers of a call's arguments. */
const ARGUMENTS = [REG.RDI, REG.RSI, REG.RDX, REG.R10, REG.R8, REG.R9];
/** Words of struct user_regs_struct: our 23 registers and ds, es, fs, gs. */
export const USER_REGS_WORDS = 54;

// Places in an XSAVE area, and the control words of its initial state.
const MXCSR = 24;
const FPU_XCR0 = 464;
const XSTATE_BV = 512;
const FCW_INITIAL = 0x37f;
const MXCSR_INITIAL = 0x1f80;

const fpuArea = new Uint8Array(FPU_STATE_MAX);
/** Size and components of this machine's XSAVE area; 0 until first asked for. */
let fpuBytes = 0;
let fpuFeatures = 0;

export class PtraceThread implements GuestThread {
  readonly platform: PtracePlatform;
  readonly addressSpace: PtraceAddressSpace;
  readonly tid: number;
  owner: unknown = null;
  event: number = EVENT.NONE;
  readonly fault = new Fault();
  isRunning = false;
  /** The most that cpuNanos() has answered. */
  #cpuNanos = 0;
  readonly registers = new Uint32Array(USER_REGS_WORDS);
  readonly window: PtraceWindow;

  constructor(platform: PtracePlatform, space: PtraceAddressSpace, tid: number) {
    this.platform = platform;
    this.addressSpace = space;
    this.tid = tid;
    this.window = new PtraceWindow(space);
  }

  low(index: number): number {
    return this.registers[2 * index];
  }
  high(index: number): number {
    return this.registers[2 * index + 1];
  }
  get(index: number): number {
    return this.registers[2 * index] + this.registers[2 * index + 1] * TWO_32;
  }
  set(index: number, value: number): void {
    this.registers[2 * index] = value | 0;
    this.registers[2 * index + 1] = Math.floor(value / TWO_32);
  }
  setWords(index: number, low: number, high: number): void {
    this.registers[2 * index] = low;
    this.registers[2 * index + 1] = high;
  }

  takeCall(into: Uint32Array): number {
    for (let n = 0; n < 6; n++) {
      into[2 * n] = this.registers[2 * ARGUMENTS[n]];
      into[2 * n + 1] = this.registers[2 * ARGUMENTS[n] + 1];
    }
    return this.registers[2 * REG.ORIG_RAX];
  }
  setResult(value: number): void {
    this.set(REG.RAX, value);
  }

  get fpuBytes(): number {
    this.#measureFpu();
    return fpuBytes;
  }
  get fpuFeatures(): number {
    this.#measureFpu();
    return fpuFeatures;
  }

  /** The host tells the size by what it fills, and XCR0 in the bytes that are its own. */
  #measureFpu(): void {
    if (fpuBytes !== 0) return;
    const size = this.platform.calls.tsv_ptrace_fpu(this.tid, 0, fpuArea, FPU_STATE_MAX);
    if (size < 0) return;
    fpuBytes = size;
    fpuFeatures = u32(fpuArea, FPU_XCR0);
  }

  pushFpu(address: number): number {
    const size = this.platform.calls.tsv_ptrace_fpu(this.tid, 0, fpuArea, FPU_STATE_MAX);
    if (size < 0) return size;
    // x87 and SSE are written even in their initial state: a signal handler may look at them and change them.
    fpuArea[XSTATE_BV] |= 3;
    const copied = this.window.copyOut(address, fpuArea, 0, size);
    if (copied < 0) return copied;
    put16(fpuArea, 0, FCW_INITIAL);
    put32(fpuArea, MXCSR, MXCSR_INITIAL);
    zero(fpuArea, XSTATE_BV, 64);
    const result = this.platform.calls.tsv_ptrace_fpu(this.tid, 1, fpuArea, size);
    return result < 0 ? -EINVAL : 0;
  }

  saveFpu(into: Uint8Array, at: number): number {
    const area = new Uint8Array(FPU_STATE_MAX);
    const size = this.platform.calls.tsv_ptrace_fpu(this.tid, 0, area, FPU_STATE_MAX);
    if (size < 0) return 0;
    into.set(area.subarray(0, size), at);
    return size;
  }

  loadFpu(from: Uint8Array, at: number, length: number): number {
    if (length > FPU_STATE_MAX || length < 576) return -EINVAL;
    // The host takes an area of its own full size only: what the frame lacks stays as it is.
    const area = new Uint8Array(FPU_STATE_MAX);
    const size = this.platform.calls.tsv_ptrace_fpu(this.tid, 0, area, FPU_STATE_MAX);
    if (size < 0) return size;
    const used = Math.min(size, length);
    area.set(from.subarray(at, at + 464), 0);
    area.set(from.subarray(at + 512, at + used), 512);
    const result = this.platform.calls.tsv_ptrace_fpu(this.tid, 1, area, size);
    return result < 0 ? -EINVAL : 0;
  }

  resetFpu(): void {}

  resume(): void {
    this.isRunning = true;
    // Not in a call any more: the host must not restart anything.
    this.registers[2 * REG.ORIG_RAX] = 0xffff_ffff;
    this.registers[2 * REG.ORIG_RAX + 1] = 0xffff_ffff;
    const calls = this.platform.calls;
    // A failure here means that the thread is dying: its exit is reported by the wait.
    calls.tsv_ptrace_registers(this.tid, 1, this.registers);
    calls.tsv_ptrace_resume(this.tid);
    this.platform.runningCount++;
  }

  interrupt(): void {
    if (this.isRunning) this.platform.stubs.calls.tsv_stub_interrupt(this.addressSpace.pid, this.tid);
  }

  parkLater(): void {}
  park(): void {}

  cpuNanos(): number {
    const { platform, addressSpace: { pid } } = this;
    this.#cpuNanos = Math.max(this.#cpuNanos, platform.stubs.calls.tsv_usage_thread_nanos(pid, this.tid));
    return this.#cpuNanos;
  }
  usage(into: HostUsage): boolean {
    return readUsage(this.platform.stubs.calls, this.addressSpace.pid, this.tid, into);
  }

  // The kernel keeps all futexes itself.
  mayUseHostFutex = false;
  readonly isHostFutexBack = false;
  readonly isInHostFutex = false;
  waitHostFutex(): void {}
  hostFutex(): number {
    return -ENOSYS;
  }

  rseq(address: number, length: number, flags: number, signature: number): number {
    return this.addressSpace.inject(this, SYS_rseq, address, length, flags, signature);
  }
  registerLater(): boolean {
    return false;
  }
  leaveMemory(): number {
    return -ENOSYS;
  }
  memoryBarrier(command: number, flags: number, cpu: number): number {
    return this.addressSpace.inject(this, SYS_membarrier, command, flags, cpu);
  }

  cloneThread(): PtraceThread | number {
    return this.addressSpace.newThread(this);
  }
  fork(): PtraceThread | number {
    return this.addressSpace.fork(this);
  }
  exit(): void {
    this.addressSpace.endThread(this);
  }
}
