// A guest thread on systrap: one host thread in a stub process and its slot. While the guest runs the slot is its; while
// it is stopped the slot is ours: registers, commands, outbox. All of it is untrusted memory.

import { EINVAL, EIO } from "../../kernel/abi/errno.ts";
import {
  EVENT,
  Fault,
  FPU_STATE_MAX,
  type GuestThread,
  type HostUsage,
  REG,
  REGS_COUNT,
} from "../platform.ts";
import {
  CALL_BACK,
  CALL_ENTRY_SHIFT,
  CALL_EVENT_MASK,
  CALL_EVENT_SHIFT,
  CALL_IN_SHIFT,
  CALL_NUMBER,
  COMMANDS_COUNT,
  COMMANDS_MAX,
  COMMON,
  COMMON_FPU,
  ENTRY_CALL,
  ENTRY_TRAP,
  EVENT_COMMANDS_DONE,
  EVENT_FAULT,
  EVENT_INTERRUPTED,
  EVENT_SYSCALL,
  FLAG_FS_DIRTY,
  FLAG_GS,
  FPU_BYTES,
  HOST_FUTEX,
  LEAVE_RIP,
  OP_COPY,
  OP_SYSCALL,
  OP_XRSTOR,
  OP_XSAVE,
  OUT_COUNT,
  SLOT_BYTES,
  SLOT_CALL,
  SLOT_ENTRY,
  SLOT_FAILED,
  SLOT_FLAGS,
  SLOT_FPU,
  SLOT_PENDING,
  SLOT_READY,
  SLOT_SPIN,
  SLOT_STATE,
  SLOT_TID,
  SLOT_WAITING,
  STATE_EVENT,
  STATE_EVENT_ASLEEP,
  STATE_PARK,
  THEN_REPORT,
  THEN_RESUME,
} from "../slot.ts";
import type { SystrapAddressSpace } from "./address_space.ts";
import {
  copyCommands,
  putArgument,
  putCommand,
  putNumber,
  resultOf,
  started,
  takeFault,
} from "./commands.ts";
import { CpuTime } from "./cpu_time.ts";
import { clearFpu, frameFpuAt } from "./fpu_frame.ts";
import { callFutex, enterFutexWait } from "./host_futex.ts";
import { Orders } from "./orders.ts";
import type { SystrapPlatform } from "./platform.ts";
import { ARGUMENTS_WORD, NUMBER_WORD, REGISTER_WORDS, REGS_WORD, RESULT_WORD } from "./registers.ts";
import { Rseq } from "./rseq.ts";
import { readUsage } from "../stub/usage.ts";
import { SystrapWindow } from "./window.ts";

const TWO_32 = 4294967296;
const SYS_membarrier = 324;
const CALL_WORD = SLOT_CALL >> 2;
/** Words of the slot's first line that hold registers, and the end of them. */
const LINE_END_WORD = RESULT_WORD + 2;

export class SystrapThread implements GuestThread {
  readonly platform: SystrapPlatform;
  addressSpace: SystrapAddressSpace;
  owner: unknown = null;
  event: number = EVENT.NONE;
  readonly fault = new Fault();
  isRunning = false;
  /** Code of its address space has been written since it was resumed (Patches). */
  mayFaultFalsely = false;
  /** Slot number in the region, and its index within the arena. */
  readonly slot: number;
  readonly index: number;
  readonly words: Uint32Array;
  readonly bytes: Uint8Array;
  readonly window: SystrapWindow;
  /** The slot's words for Atomics; STATE stands first. */
  readonly #state: Int32Array;
  /** Host tid, from the clone that made it. */
  tid = 0;
  readonly #orders: Orders;
  /** Commands entered for the next run, and where they are, laid out as a slot. */
  #commands = 0;
  #commandWords: Uint32Array;
  /** start() has set commands going that nobody has waited for. */
  #isStarted = false;
  /** The stub came here by a trap, so that the host's signal frame holds its FPU. Taken from the slot once. */
  isTrapped = false;
  /** Number of the call as CALL had it: commands overwrite the word. */
  #number = 0;
  /** What stands in SPIN. */
  #spins = -1;
  mayUseHostFutex = false;
  /** What stands in HOST_FUTEX. */
  #usesHostFutex = false;
  isHostFutexBack = false;
  readonly #cpuTime = new CpuTime();
  readonly #rseq = new Rseq();

  constructor(platform: SystrapPlatform, space: SystrapAddressSpace, slot: number, index: number) {
    this.platform = platform;
    this.addressSpace = space;
    this.slot = slot;
    this.index = index;
    const memory = platform.stubs.slot(slot);
    this.words = new Uint32Array(memory, 0, 1024);
    this.#orders = new Orders(platform.stubs.orders(slot));
    this.#commandWords = this.#orders.words;
    this.bytes = new Uint8Array(memory);
    this.#state = new Int32Array(memory, 0, 1024);
    this.window = new SystrapWindow(space, this.bytes, this.words);
  }

  /** Where this slot stands in the stub's address space. */
  get address(): number {
    return this.addressSpace.base + this.index * SLOT_BYTES;
  }

  /** Its host thread is `tid`, whose calls are looked up among the orders of this slot. */
  hostThread(tid: number): void {
    this.tid = tid;
    this.platform.stubs.calls.tsv_stub_enroll(tid, this.slot);
  }

  low(index: number): number {
    return this.words[REGISTER_WORDS[index]];
  }
  high(index: number): number {
    return this.words[REGISTER_WORDS[index] + 1];
  }
  get(index: number): number {
    const at = REGISTER_WORDS[index];
    return this.words[at] + this.words[at + 1] * TWO_32;
  }
  set(index: number, value: number): void {
    this.setWords(index, value | 0, Math.floor(value / TWO_32));
  }
  setWords(index: number, low: number, high: number): void {
    const at = REGISTER_WORDS[index];
    this.words[at] = low;
    this.words[at + 1] = high;
    // The stub takes arguments back from its own registers alone.
    this.words[REGS_WORD + 2 * index] = low;
    this.words[REGS_WORD + 2 * index + 1] = high;
    if (index === REG.RIP) {
      putNumber(this.words, LEAVE_RIP >> 2, this.addressSpace.patches.translate(this.get(REG.RIP)));
    } else if (index === REG.FS_BASE) this.words[SLOT_FLAGS >> 2] |= FLAG_FS_DIRTY;
    else if (index === REG.GS_BASE) this.#setGs((low | high) !== 0);
  }

  takeCall(into: Uint32Array): number {
    const words = this.words;
    for (let n = 0; n < 12; n++) into[n] = words[ARGUMENTS_WORD + n];
    // Linux takes EAX: the upper half of RAX does not count.
    return this.#number === CALL_NUMBER ? words[NUMBER_WORD] : this.#number;
  }

  setResult(value: number): void {
    const low = value | 0;
    this.words[RESULT_WORD] = low;
    this.words[RESULT_WORD + 1] = low === value ? low >> 31 : Math.floor(value / TWO_32);
  }

  /** From now on no call site may come by way of GS. */
  #setGs(isUsed: boolean): void {
    if (!isUsed && (this.words[SLOT_FLAGS >> 2] & FLAG_GS) === 0) return;
    this.words[SLOT_FLAGS >> 2] |= FLAG_GS;
    this.addressSpace.patches.turnOff(this);
  }

  /** Where the stub lets the guest go on: at RIP, or in the piece of a patched call site. */
  get continueAt(): number {
    const at = LEAVE_RIP >> 2;
    return this.words[at] + this.words[at + 1] * TWO_32;
  }

  /** Takes over the event the stub has posted. It is NONE where the thread is just to go on. */
  takeEvent(): void {
    this.isRunning = false;
    this.#orders.withdraw();
    const word = this.words[CALL_WORD];
    const kind = word >> CALL_EVENT_SHIFT & CALL_EVENT_MASK;
    this.#number = word & CALL_NUMBER;
    this.isHostFutexBack = (word & CALL_BACK) !== 0;
    this.isTrapped = (word >> CALL_ENTRY_SHIFT & 1) === ENTRY_TRAP;
    this.window.open(word >>> CALL_IN_SHIFT);
    if (kind === EVENT_SYSCALL) {
      this.event = EVENT.SYSCALL;
      if (this.isTrapped) this.#takeTrap();
    } else if (kind === EVENT_FAULT) {
      this.#takeFault();
    } else if (kind === EVENT_INTERRUPTED) {
      this.event = EVENT.INTERRUPTED;
      if (this.isTrapped) this.addressSpace.patches.leavePiece(this);
    } else {
      // A failed command on the way out, or garbage: the process is not what we think it is.
      this.addressSpace.fail(`event ${kind}, failed command ${this.words[SLOT_FAILED >> 2]}`);
      this.event = EVENT.DEAD;
    }
    this.mayFaultFalsely = false;
  }

  #takeTrap(): void {
    const patches = this.addressSpace.patches;
    // A call made by a piece's own `syscall` is one of the site.
    if (patches.leavePiece(this)) this.setWords(REG.RCX, this.low(REG.RIP), this.high(REG.RIP));
    // The guest may have loaded GS by an instruction of its own.
    if ((this.words[SLOT_FLAGS >> 2] & FLAG_GS) !== 0) patches.turnOff(this);
    else patches.consider(this);
  }

  #takeFault(): void {
    takeFault(this.words, this.fault);
    const patches = this.addressSpace.patches;
    this.event = patches.isFalseFault(this, this.fault) ? EVENT.NONE : EVENT.FAULT;
    if (this.event === EVENT.FAULT) patches.leavePiece(this);
  }

  resume(): void {
    this.isRunning = true;
    // Written only where there is something to say: each line that both sides touch costs a transfer between CPUs.
    if (this.#isStarted) this.#settle();
    if (this.#commands !== 0) this.#handOver(THEN_RESUME);
    if (this.#spins !== this.platform.stubSpins) this.#setSpins();
    if (this.#usesHostFutex !== this.mayUseHostFutex) this.#setHostFutex(this.mayUseHostFutex);
    this.window.reset();
    this.platform.queueResume(this);
  }

  /** Hands the entered commands to the stub; gives back how many they are. */
  #handOver(then: number): number {
    const count = this.#commands;
    this.#commands = 0;
    this.#orders.handOver(count, this.words, then);
    return count;
  }

  #setHostFutex(isUsed: boolean): void {
    this.#usesHostFutex = isUsed;
    this.words[HOST_FUTEX >> 2] = isUsed ? 1 : 0;
  }

  #setSpins(): void {
    this.#spins = this.platform.stubSpins;
    this.words[SLOT_SPIN >> 2] = this.#spins;
  }

  interrupt(): void {
    if (!this.isRunning) return;
    // A forked process has no signal stack of its own at first; a signal would kill it. It looks at PENDING before it leaves.
    const word = this.#state;
    if (Atomics.load(word, SLOT_READY >> 2) === 0) {
      Atomics.store(word, SLOT_PENDING >> 2, 1);
      if (Atomics.load(word, SLOT_READY >> 2) === 0) return;
    }
    this.platform.stubs.calls.tsv_stub_interrupt(this.addressSpace.pid, this.tid);
  }

  /** The call it is in will take long: a spinning stub sleeps now. */
  park(): void {
    Atomics.compareExchange(this.#state, 0, STATE_EVENT, STATE_PARK);
  }

  parkLater(): void {
    this.platform.queuePark(this);
  }

  get isInHostFutex(): boolean {
    return this.isRunning && this.words[SLOT_WAITING >> 2] !== 0;
  }

  waitHostFutex(address: number, value: number, bitset: number, deadline: number): void {
    enterFutexWait(this, address, value, bitset, deadline);
  }

  hostFutex(args: Uint32Array): number {
    return callFutex(this, args);
  }

  rseq(address: number, length: number, flags: number, signature: number): number {
    return this.#rseq.call(this, address, length, flags, signature);
  }
  registerLater(address: number, length: number, signature: number): boolean {
    return this.#rseq.registerLater(this, address, length, signature);
  }
  leaveMemory(area: number, length: number, signature: number, robustHead: number, word: number): number {
    return this.#rseq.leaveMemory(this, area, length, signature, robustHead, word);
  }

  memoryBarrier(command: number, flags: number, cpu: number): number {
    return this.callNow(SYS_membarrier, command, flags, cpu);
  }

  // --- commands -------------------------------------------------------------------------------------------------------

  /** Enters a command for the next run; arguments are whole numbers within +-2^53. Gives back its index. */
  command(
    op: number,
    mustSucceed: boolean,
    result: number,
    a = 0,
    b = 0,
    c = 0,
    d = 0,
    e = 0,
    f = 0,
  ): number {
    if (this.#commands >= COMMANDS_MAX) throw new Error("Too many commands for one run");
    const index = this.#commands++;
    putCommand(this.#commandWords, index, op, mustSucceed, result, a, b, c, d, e, f);
    return index;
  }

  /** Commands entered for the next run. */
  get commandCount(): number {
    return this.#commands;
  }

  /** Overwrites argument `n` of an entered command with a 64-bit value given as words. */
  putCommandWords(index: number, n: number, low: number, high: number): void {
    putArgument(this.#commandWords, index, n, low, high);
  }

  /** Lets the host thread run its last commands; nobody waits for it. */
  resumeToEnd(): void {
    if (this.#isStarted) this.#settle();
    this.#handOver(THEN_REPORT);
    this.platform.stubs.calls.tsv_stub_let_go(this.slot);
  }

  /** Enters a host call for the next run. */
  call(number: number, mustSucceed: boolean, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
    return this.command(OP_SYSCALL, mustSucceed, number, a, b, c, d, e, f);
  }

  /**
   * Sets going what was entered, and has to succeed, while we go on: what is entered meanwhile stands elsewhere until the
   * next run() or resume(), which waits first. Registers may be set; nothing else of the slot is ours until then.
   */
  start(): void {
    this.resumeToEnd();
    this.#isStarted = true;
    this.#commandWords = started;
  }

  /** Waits for what start() has set going. A failure ends the process, as it would have to be undone. */
  #settle(): void {
    this.#isStarted = false;
    this.#commandWords = this.#orders.words;
    const result = this.platform.reports.wait(this, COMMANDS_MAX, true);
    if (this.#reported(COMMANDS_MAX, result) < 0) this.addressSpace.fail("started commands");
    copyCommands(started, this.#orders.words, this.#commands);
  }

  /** Runs what was entered and waits. 0, the error of the command that had to succeed, or -EIO when the process died. */
  run(): number {
    return this.#carryOut(false);
  }

  /** As run(), where one of the commands is clone(2). */
  runClone(): number {
    return this.#carryOut(true);
  }

  #carryOut(clones: boolean): number {
    if (this.#isStarted) this.#settle();
    // The outbox is for the guest's return, not for this run; the stub looks at it only when it leaves.
    const count = this.#handOver(THEN_REPORT);
    if (this.#spins !== this.platform.stubSpins) this.#setSpins();
    if (this.addressSpace.isDead) return -EIO;
    const { reports, stubs } = this.platform;
    stubs.calls.tsv_stub_let_go(this.slot);
    return this.#reported(
      count,
      clones ? reports.waitForClone(this, count) : reports.wait(this, count, false),
    );
  }

  #reported(count: number, result: number): number {
    this.#orders.withdraw();
    if (result < 0) {
      this.addressSpace.fail(`commands: ${result}`);
      return -EIO;
    }
    const failed = this.words[SLOT_FAILED >> 2];
    return failed < count ? resultOf(this.words, failed) : 0;
  }

  /** Result of command `index` of the last run: a signed number. */
  result(index: number): number {
    return resultOf(this.words, index);
  }

  /** One host call, now. */
  callNow(number: number, a = 0, b = 0, c = 0, d = 0, e = 0, f = 0): number {
    const index = this.call(number, false, a, b, c, d, e, f);
    const result = this.run();
    return result < 0 ? result : this.result(index);
  }

  // --- FPU ------------------------------------------------------------------------------------------------------------

  saveFpu(into: Uint8Array, at: number): number {
    const size = this.platform.fpuBytes;
    let from = SLOT_FPU;
    if (this.isTrapped) {
      from = frameFpuAt(this.bytes, this.address, size);
      if (from < 0) return 0;
    } else {
      this.command(OP_XSAVE, false, 0);
      if (this.run() < 0) return 0;
    }
    into.set(this.bytes.subarray(from, from + size), at);
    return size;
  }

  get fpuBytes(): number {
    return this.platform.fpuBytes;
  }
  get fpuFeatures(): number {
    return this.platform.fpuFeatures;
  }

  /** On the patched way the stub does it when it resumes, which saves a round trip. */
  pushFpu(address: number): number {
    const size = this.platform.fpuBytes;
    if (this.isTrapped) {
      const from = frameFpuAt(this.bytes, this.address, size);
      if (from < 0) return -EINVAL;
      this.bytes[from + 512] |= 3;
      const copied = this.window.copyOut(address, this.bytes, from, size);
      if (copied < 0) return copied;
      clearFpu(this.bytes, from);
      return 0;
    }
    if (this.#commands > COMMANDS_MAX - 8 && this.run() < 0) return -EIO;
    this.command(OP_XSAVE, false, 0);
    this.command(OP_COPY, false, 0, address, this.address + SLOT_FPU, size);
    this.command(OP_XRSTOR, false, 0, COMMON + COMMON_FPU);
    return 0;
  }

  loadFpu(from: Uint8Array, at: number, length: number): number {
    if (length > FPU_BYTES || length > FPU_STATE_MAX || length < 576) return -EINVAL;
    const size = Math.min(length, this.platform.fpuBytes);
    if (this.isTrapped) {
      const to = frameFpuAt(this.bytes, this.address, size);
      if (to < 0) return -EINVAL;
      // Bytes 464..511 of the frame are the host's own marks of how large the area is: they stay.
      this.bytes.set(from.subarray(at, at + 464), to);
      this.bytes.set(from.subarray(at + 512, at + size), to + 512);
      return 0;
    }
    // Commands that still use the slot's area come first.
    if (this.#commands > 0 && this.run() < 0) return -EIO;
    this.bytes.set(from.subarray(at, at + size), SLOT_FPU);
    this.command(OP_XRSTOR, false, 0, this.address + SLOT_FPU);
    return 0;
  }

  /** Nothing to do: a new address space is forked from a stub whose FPU nobody has used, or forgetCall() has done it. */
  resetFpu(): void {}

  /** What the current call has left undone is not to happen; the FPU goes back to its initial state. For execve in place. */
  forgetCall(): void {
    const words = this.words;
    this.#commands = 0;
    this.window.reset();
    words[OUT_COUNT >> 2] = 0;
    if (!this.isTrapped) {
      this.command(OP_XRSTOR, false, 0, COMMON + COMMON_FPU);
      return;
    }
    const frame = frameFpuAt(this.bytes, this.address, this.platform.fpuBytes);
    if (frame >= 0) clearFpu(this.bytes, frame);
  }

  // --- making and ending ----------------------------------------------------------------------------------------------

  cloneThread(): SystrapThread | number {
    return this.addressSpace.newThread(this);
  }

  fork(): SystrapThread | number {
    return this.addressSpace.fork(this);
  }

  exit(): void {
    this.addressSpace.endThread(this);
  }

  cpuNanos(): number {
    return this.#cpuTime.read(this);
  }

  usage(into: HostUsage): boolean {
    return readUsage(this.platform.stubs.calls, this.addressSpace.pid, this.tid, into);
  }

  /** Fills a fresh slot as if its thread had reported with the registers of `parent`. */
  inherit(parent: SystrapThread): void {
    const words = this.words;
    words.fill(0, 0, REGS_WORD);
    for (const at of [SLOT_READY, SLOT_WAITING]) words[at >> 2] = 0;
    this.#cpuTime.begin(this);
    words[CALL_WORD] = EVENT_COMMANDS_DONE << CALL_EVENT_SHIFT;
    words[SLOT_STATE >> 2] = STATE_EVENT;
    words[SLOT_ENTRY >> 2] = ENTRY_CALL;
    this.isTrapped = false;
    this.#rseq.forget();
    this.#takeOver(parent);
    words[SLOT_FLAGS >> 2] = parent.words[SLOT_FLAGS >> 2] & FLAG_GS;
  }

  /**
   * The same for an idle host thread: the FPU is not cloned with it, and FS is another's. It goes on the way it came: out of
   * its trap, where it was in one.
   */
  adopt(parent: SystrapThread): void {
    this.#takeOver(parent);
    this.words[SLOT_FLAGS >> 2] = FLAG_FS_DIRTY;
    // The stub has saved its FPU before it asked for a clone.
    const size = this.platform.fpuBytes;
    const from = parent.isTrapped ? frameFpuAt(parent.bytes, parent.address, size) : SLOT_FPU;
    if (from >= 0) this.loadFpu(parent.bytes, from, size);
    this.#cpuTime.beginOnUsed(this);
  }

  /** What the thread begins with, whichever host thread it is. */
  #takeOver(parent: SystrapThread): void {
    const words = this.words;
    for (let i = ARGUMENTS_WORD; i < LINE_END_WORD; i++) words[i] = parent.words[i];
    for (let i = NUMBER_WORD; i < REGS_WORD + 2 * REGS_COUNT; i++) words[i] = parent.words[i];
    for (const at of [LEAVE_RIP, LEAVE_RIP + 4]) words[at >> 2] = parent.words[at >> 2];
    for (const at of [SLOT_PENDING, OUT_COUNT, COMMANDS_COUNT]) words[at >> 2] = 0;
    this.#setHostFutex(false);
    this.#setSpins();
    this.window.attach(this.addressSpace);
    this.event = EVENT.NONE;
    this.isRunning = this.mayUseHostFutex = false;
    this.#isStarted = false;
    this.owner = null;
    this.#commandWords = this.#orders.words;
    this.#commands = 0;
    this.#orders.withdraw();
  }

  /** The guest has a GS base of its own: no host thread goes from or to it. */
  get hasGs(): boolean {
    return (this.words[SLOT_FLAGS >> 2] & FLAG_GS) !== 0;
  }

  /** The guest thread is over. The host thread waits in the stub for the next one. */
  idle(): void {
    if (this.#isStarted) this.#settle();
    this.#commands = 0;
    if (!this.#rseq.isRegistered) {
      this.parkLater();
      return;
    }
    this.#rseq.unregisterLater(this);
    this.#spins = 0;
    this.words[SLOT_SPIN >> 2] = 0;
    this.resumeToEnd();
  }

  /** An idle host thread has come to rest. */
  get isAtRest(): boolean {
    const state = Atomics.load(this.#state, SLOT_STATE >> 2);
    return state === STATE_EVENT || state === STATE_EVENT_ASLEEP || state === STATE_PARK;
  }

  /** The host thread of this slot has ended: the host zeroes the word. */
  get hasEnded(): boolean {
    return this.words[SLOT_TID >> 2] === 0;
  }
}
