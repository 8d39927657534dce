// Platform systrap: guests run in stub processes; their calls come through shared-memory slots. This file holds the
// whole: arenas and their processes, the wait for events.

import { EAGAIN } from "../../kernel/abi/errno.ts";
import { u32 } from "../../kernel/abi/struct.ts";
import { startSystrap, type SystrapCalls } from "../../native/systrap.ts";
import { HostLoop } from "../host/host_loop.ts";
import type { StubCalls } from "../names.ts";
import { EVENT, type Platform, type PlatformEvents } from "../platform.ts";
import {
  ARENA_SLOTS,
  ARENAS_MAX,
  COMMON_ASKS,
  COMMON_BYTES,
  COMMON_CAN_PATCH,
  COMMON_FLAGS,
  COMMON_TABLE,
  COMMON_XSAVE_BYTES,
  COMMON_XSAVE_MASK,
  SLOT_RESULT,
  STACK_END,
  STAGING_IN,
} from "../slot.ts";
import { Reports } from "../stub/reports.ts";
import { ASKS, Stubs } from "../stub/stubs.ts";
import { isHostId, SystrapAddressSpace } from "./address_space.ts";
import { Images } from "./images.ts";
import { PLACE, Placement } from "./placement.ts";
import { SystrapThread } from "./thread.ts";

const SYS_close = 3;
const SIGSEGV = 11;
/** How long a process that has hung up may take to be gone. */
const END_MILLIS_MAX = 5;

/** log2(ARENA_SLOTS) */
const ARENA_SHIFT = 12;
// Control block words, as in native/src/systrap.rs.
const EVENTS_MAX = 1024;
const C_HOST_EVENTS = 1;
const C_WAITED = 2;
const C_RUNNING = 3;
/** As a Float64Array over the same words. */
const C_NOW_F64 = 2;
/** C_WAITED when another ran on the sentry's CPU while it spun. */
const WAITED_WITH_GAP = 2;
/** C_WAITED when nothing came for #sleepNanos while guests may have run. */
const WAITED_IN_VAIN = 3;
/** How long the sentry keeps a CPU from guests that ask nothing of it. */
const APART_SLEEP_NANOS = 10e6;
/** CPU sets of tsv_systrap_place. */
const CPUS_ALL = 0, CPUS_SENTRY = 1, CPUS_GUESTS = 2;
const C_RESUME = 16;
const C_EVENT_LIST = C_RESUME + EVENTS_MAX;
const C_WORDS = C_EVENT_LIST + EVENTS_MAX;

/** How long the sentry spins for the next event where it has a CPU of its own. */
const SENTRY_SPIN_NANOS = 100_000;
/** As deadline of tsv_systrap_wait: spin, and do not sleep. */
const SPIN_ONLY = -1;
/** Guests that have not called for this long are likely to compute for longer: time for a chore. */
const CHORE_AFTER_NANOS = 40_000;
/** Turns after which a chore does not wait for such a moment any more. */
const CHORE_DELAY_TURNS_MAX = 64;
/** Pages of a slot that every thread touches: registers, stack, signal stack, what the stub copies in. */
const SLOT_PAGES_USED = [0, STACK_END - 4096, STAGING_IN - 8192, STAGING_IN - 4096, STAGING_IN];

/** Pauses (some 50 ns each) a stub spins for its answer: with the sentry on another CPU, and with it anywhere. */
const STUB_SPINS_APART = 2000, STUB_SPINS_TOGETHER = 100;
/** Pauses the sentry spins for commands it needs the result of. */
const COMMAND_SPINS_APART = 20_000, COMMAND_SPINS_TOGETHER = 50;

export class SystrapPlatform implements Platform {
  readonly name = "systrap";
  readonly ownCpu: number;
  readonly stubs: Stubs;
  readonly reports: Reports;
  readonly #hostLoop = new HostLoop((arena) => this.#hangUp(arena));
  readonly #calls: SystrapCalls;
  readonly #control: Uint32Array;
  readonly images: Images;
  /** Size of the XSAVE area for the features we carry. */
  readonly fpuBytes: number;
  /** Its components, as bits of XCR0. */
  readonly fpuFeatures: number;
  vdsoAddress = 0;
  /** The host has registered an rseq(2) area. */
  hasRseq = false;
  /** Call sites may be patched. */
  mayPatch: boolean;
  /** Spin lengths in force: zero on one CPU. */
  sentrySpinNanos = 0;
  stubSpins = 0;
  /** Longest sleep while guests may run, before the placement is thought over. */
  #sleepNanos = Infinity;
  readonly #placement: Placement;
  readonly #controlF64: Float64Array;
  /** The stub's end of the socket pair of the address space that is being made. */
  childSocket = -1;

  /** By arena, then by place in it: an array by slot would have gaps, and V8 keeps such ones as hash tables. */
  readonly #threads: SystrapThread[][] = [];
  readonly #spaces: (SystrapAddressSpace | null)[] = [];
  /** Host processes of address spaces, until they are reaped. */
  readonly #pids = new Set<number>();
  /** Arenas whose process is reaped, to be used again. */
  readonly #freeArenas: number[] = [];
  /** Given up, all threads stopped: to be killed when there is time. */
  readonly #condemned: SystrapAddressSpace[] = [];
  /** Killed and not yet reaped. */
  readonly #dying: SystrapAddressSpace[] = [];
  /** An arena and its socket pair for the next address space, made ahead; -1 = none. */
  #spareArena = -1;
  #spareSocket = -1;
  #spareChildSocket = -1;
  /** The last one has been used. False where the host refused to make one ahead. */
  #wantsSpare = true;
  /** Turns since the oldest chore came up. */
  #choreTurns = 0;
  #arenasMade = 1;
  #resumes = 0;
  readonly #parks: SystrapThread[] = [];
  readonly #deadSpaces: SystrapAddressSpace[] = [];
  readonly #events: PlatformEvents = {
    threads: [],
    threadCount: 0,
    hostFdCookies: [],
    hostFdEvents: [],
    hostFdCount: 0,
  };
  #zygote: SystrapThread;
  /** Called when a stub dies unasked or breaks the protocol, for the log. */
  onStubDeath: (reason: string) => void = () => {};

  /** `preference`: by how much the sentry's nice value is below that of guests. */
  constructor(preference: number, stubCalls: StubCalls) {
    this.stubs = new Stubs(stubCalls === "own" ? ASKS.FOR_MOST : ASKS.FOR_ALL);
    this.reports = new Reports(this.stubs.calls, (reason) => this.onStubDeath(reason));
    const { calls, words } = startSystrap(C_WORDS);
    this.#calls = calls;
    this.#control = words;
    this.#controlF64 = new Float64Array(this.#control.buffer, 0, C_RESUME / 2);
    const { common } = this.stubs;
    this.images = new Images((fd) => this.stubs.calls.tsv_stub_close(fd));
    this.fpuBytes = fpuBytes(common);
    this.fpuFeatures = u32(common, COMMON_XSAVE_MASK);
    this.mayPatch = (u32(common, COMMON_FLAGS) & COMMON_CAN_PATCH) !== 0;
    this.#placement = new Placement(calls.tsv_systrap_cpus());
    this.ownCpu = this.#placement.cpuCount > 1 ? calls.tsv_systrap_own_cpu() : -1;
    this.#zygote = this.#startZygote(preference);
    this.#place();
  }

  /** Carries out what #placement says: CPUs of the sentry and of every guest thread, spin lengths. */
  #place(): void {
    const { isApart, cpuCount } = this.#placement;
    if (cpuCount < 2) return;
    this.sentrySpinNanos = isApart ? SENTRY_SPIN_NANOS : 0;
    this.#sleepNanos = isApart ? APART_SLEEP_NANOS : Infinity;
    this.stubSpins = isApart ? STUB_SPINS_APART : STUB_SPINS_TOGETHER;
    this.reports.spins = isApart ? COMMAND_SPINS_APART : COMMAND_SPINS_TOGETHER;
    const calls = this.#calls;
    calls.tsv_systrap_place(0, isApart ? CPUS_SENTRY : CPUS_ALL);
    this.#placeNotary();
    const guests = isApart ? CPUS_GUESTS : CPUS_ALL;
    // New threads and processes inherit it. A thread that has just ended is no matter.
    for (const space of this.#spaces) {
      if (space === null) continue;
      for (const thread of space.hostThreads) if (thread.tid > 1) calls.tsv_systrap_place(thread.tid, guests);
    }
  }

  /** The thread that answers what stubs ask runs where they do: it changes places with them. */
  #placeNotary(): void {
    const notary = this.stubs.calls.tsv_stub_notary();
    if (notary > 0) this.#calls.tsv_systrap_place(notary, this.#placement.isApart ? CPUS_GUESTS : CPUS_ALL);
  }

  #startZygote(preference: number): SystrapThread {
    const pid = this.stubs.startFirst(preference);
    const space = new SystrapAddressSpace(this, 0, 0, this.stubs.ownSocket, null);
    this.#spaces[0] = space;
    const thread = space.takeSlot()!;
    space.pid = this.reports.firstPid = pid;
    this.#pids.add(pid);
    thread.hostThread(pid);
    return thread;
  }

  /** Waits until the first stub is ready. The constructor does not wait: the stub starts while the kernel is built. */
  #awaitZygote(): void {
    this.vdsoAddress = this.stubs.awaitFirst(this.#zygote.addressSpace.socket, this.reports.spins);
    if ((u32(this.stubs.common, COMMON_FLAGS) & COMMON_ASKS) !== 0) this.#takeListener();
  }

  /** From now on a stub makes the calls that its filter asks for only where they were commanded. */
  #takeListener(): void {
    const { addressSpace, words } = this.#zygote;
    const fd = words[SLOT_RESULT >> 2];
    const result = this.stubs.calls.tsv_stub_listen(addressSpace.pid, fd);
    if (result < 0) throw new Error(`Cannot take the first stub's listener: errno ${-result}`);
    this.#placeNotary();
    this.#zygote.callNow(SYS_close, fd);
  }

  limitProcesses(most: number): void {
    for (const pid of this.#pids) this.stubs.calls.tsv_stub_limit(pid, most);
  }

  setMarshalling(table: Uint32Array): void {
    const bytes = new Uint8Array(table.buffer, table.byteOffset, table.byteLength);
    this.stubs.common.set(bytes.subarray(0, COMMON_BYTES - COMMON_TABLE), COMMON_TABLE);
  }

  createAddressSpace(): SystrapThread | number {
    if (this.vdsoAddress === 0) this.#awaitZygote();
    return this.#zygote.fork();
  }

  /** A new arena with its socket pair; the stub's end is left in childSocket. -ERRNO when limits are reached. */
  newAddressSpace(position: number, parent: SystrapAddressSpace["patches"]): SystrapAddressSpace | number {
    if (this.#spareArena < 0) {
      const made = this.#makeSpare();
      if (made < 0) return made;
    }
    const space = new SystrapAddressSpace(this, this.#spareArena, position, this.#spareSocket, parent);
    this.#spaces[space.arena] = space;
    this.childSocket = this.#spareChildSocket;
    this.#spareArena = -1;
    this.#wantsSpare = true;
    return space;
  }

  #makeSpare(): number {
    const { calls } = this.stubs;
    if (this.#freeArenas.length === 0) this.#reap();
    let arena = this.#freeArenas.pop();
    if (arena === undefined) {
      const made = this.#arenasMade >= ARENAS_MAX ? -EAGAIN : calls.tsv_stub_arena(this.#arenasMade);
      if (made < 0) return -EAGAIN;
      arena = this.#arenasMade++;
    }
    if (this.stubs.socketPair(arena) < 0) {
      this.#freeArenas.push(arena);
      return -EAGAIN;
    }
    this.#spareArena = arena;
    this.#spareSocket = this.stubs.ownSocket;
    this.#spareChildSocket = this.stubs.stubSocket;
    // The first write to each makes the host find and zero a page: done now, not while a guest forks.
    const thread = this.#threads[arena]?.[0];
    if (thread !== undefined) { for (const at of SLOT_PAGES_USED) thread.bytes[at] = 0; }
    return 0;
  }

  /**
   * Takes over host process `pid`, which a stub says it has forked. Its word may be a guest's that writes into the slot:
   * only a living child of ours that nobody has is one. Any other's memory would be read and written for the guest.
   */
  adopt(space: SystrapAddressSpace, pid: number): boolean {
    if (!isHostId(pid) || this.#pids.has(pid)) return false;
    if (this.stubs.reap(pid)) return false;
    this.#pids.add(pid);
    space.pid = pid;
    return true;
  }

  /** The thread object of a slot of its arena; objects and their views are reused with the slot. */
  threadOf(space: SystrapAddressSpace, index: number): SystrapThread {
    const threads = this.#threads[space.arena] ??= [];
    const thread = threads[index] ??= new SystrapThread(
      this,
      space,
      space.arena * ARENA_SLOTS + index,
      index,
    );
    thread.addressSpace = space;
    return thread;
  }

  /** Ends an address space's process (if it has one) and takes its arena back once it is reaped. */
  discard(space: SystrapAddressSpace): void {
    space.isDead = true;
    this.#spaces[space.arena] = null;
    this.#condemned.push(space);
  }

  /** As discard, at once: it has threads that run. */
  destroy(space: SystrapAddressSpace): void {
    space.isDead = true;
    this.#spaces[space.arena] = null;
    this.#kill(space);
  }

  #kill(space: SystrapAddressSpace): void {
    this.stubs.calls.tsv_stub_close(space.socket);
    if (space.pid > 0) this.stubs.kill(space.pid);
    this.#dying.push(space);
  }

  forget(thread: SystrapThread): void {
    this.#calls.tsv_systrap_forget(thread.slot);
    thread.isRunning = false;
  }

  reportDead(space: SystrapAddressSpace, reason: string): void {
    this.onStubDeath(`Stub process ${space.pid} is gone: ${reason}`);
    this.#deadSpaces.push(space);
  }

  /** Takes back what has ended. False when nothing has. */
  #reap(): boolean {
    const before = this.#dying.length;
    for (let i = this.#dying.length - 1; i >= 0; i--) {
      const space = this.#dying[i];
      if (space.pid > 0 && !this.stubs.reap(space.pid)) continue;
      this.#dying[i] = this.#dying[this.#dying.length - 1];
      this.#dying.pop();
      this.#pids.delete(space.pid);
      if (this.stubs.calls.tsv_stub_arena_renew(space.arena) === 0) this.#freeArenas.push(space.arena);
    }
    return this.#dying.length < before;
  }

  queueResume(thread: SystrapThread): void {
    if (this.#resumes >= EVENTS_MAX) this.#flushResumes();
    this.#control[C_RESUME + this.#resumes++] = thread.slot;
  }

  /** `thread` sleeps after the resumes of this turn: an idle CPU would have to be woken for them. */
  queuePark(thread: SystrapThread): void {
    this.#parks.push(thread);
  }

  #flushParks(): void {
    if (this.#resumes > 0) this.#flushResumes();
    for (let i = 0; i < this.#parks.length; i++) this.#parks[i].park();
    this.#parks.length = 0;
  }

  /** Hands resumes over without waiting; events that have come stay for the next wait. */
  #flushResumes(): void {
    this.#calls.tsv_systrap_resume(this.#resumes);
    this.#resumes = 0;
  }

  wait(deadline: number): PlatformEvents {
    const events = this.#events;
    const control = this.#control;
    if (this.#parks.length > 0) this.#flushParks();
    const until = this.#deadSpaces.length > 0 ? 0 : deadline;
    const count = until !== 0 && this.#hasChores
      ? this.#waitBetweenChores(until)
      : this.#calls.tsv_systrap_wait(this.#resumes, until, this.sentrySpinNanos, this.#sleepNanos);
    this.#resumes = 0;
    this.#placement.count(count);
    if (control[C_WAITED] !== 0) this.#afterWait();
    events.threadCount = 0;
    for (let i = 0; i < count; i++) {
      const slot = control[C_EVENT_LIST + i];
      const thread = this.#threads[slot >>> ARENA_SHIFT]?.[slot & ARENA_SLOTS - 1];
      if (thread === undefined || !thread.isRunning) continue;
      thread.takeEvent();
      if (thread.event === EVENT.NONE) {
        thread.resume();
        continue;
      }
      events.threads[events.threadCount++] = thread;
    }
    this.#hostLoop.take(control[C_HOST_EVENTS], events);
    while (this.#deadSpaces.length > 0) this.#buryDead(this.#deadSpaces.pop()!);
    return events;
  }

  /** The process of an arena has closed its socket: it has ended, or does not want to hear from us. */
  #hangUp(arena: number): void {
    if (arena === this.#zygote.addressSpace.arena) throw new Error("The first stub has ended");
    this.#spaces[arena]?.fail("hang-up");
  }

  get #hasChores(): boolean {
    return this.#wantsSpare || this.#condemned.length > 0 || this.#dying.length > 0;
  }

  /** What nobody waits for is done while guests run: ended processes are killed and reaped, a spare arena is made. */
  #waitBetweenChores(until: number): number {
    const calls = this.#calls;
    const spins = Math.min(CHORE_AFTER_NANOS, this.sentrySpinNanos);
    let count = calls.tsv_systrap_wait(this.#resumes, SPIN_ONLY, spins, 0);
    if (count > 0 && ++this.#choreTurns > CHORE_DELAY_TURNS_MAX) this.#doChore();
    while (count === 0 && this.#doChore()) count = calls.tsv_systrap_wait(0, SPIN_ONLY, spins, 0);
    return count > 0 ? count : calls.tsv_systrap_wait(0, until, this.sentrySpinNanos, this.#sleepNanos);
  }

  /** Does one. False when there was none that could be done. */
  #doChore(): boolean {
    this.#choreTurns = 0;
    const condemned = this.#condemned.pop();
    if (condemned !== undefined) {
      this.#kill(condemned);
      return true;
    }
    if (this.#wantsSpare) {
      this.#wantsSpare = false;
      return this.#spareArena >= 0 || this.#makeSpare() === 0;
    }
    return this.#reap();
  }

  #afterWait(): void {
    const control = this.#control;
    if (control[C_WAITED] === WAITED_IN_VAIN) {
      this.#placement.rest(this.#controlF64[C_NOW_F64]);
      this.#place();
      return;
    }
    const hasGap = control[C_WAITED] === WAITED_WITH_GAP;
    const decision = this.#placement.decide(this.#controlF64[C_NOW_F64], control[C_RUNNING], hasGap);
    if (decision !== PLACE.STAY) this.#place();
  }

  /**
   * Every thread of a dead process that was thought to run has a DEAD event; or a fault, where the host has ended it for one
   * that no stub hears of: it could not write to the guest's memory (rseq(2), a signal's frame).
   */
  #buryDead(space: SystrapAddressSpace): void {
    const events = this.#events;
    const hasFaulted = this.stubs.calls.tsv_stub_end_signal(space.pid, END_MILLIS_MAX) === SIGSEGV;
    for (const thread of space.threads) {
      thread.event = hasFaulted ? EVENT.FAULT : EVENT.DEAD;
      if (hasFaulted) thread.fault.setByHost(SIGSEGV);
      this.forget(thread);
      if (!events.threads.slice(0, events.threadCount).includes(thread)) {
        events.threads[events.threadCount++] = thread;
      }
    }
  }

  watch(hostFd: number, events: number, cookie: number): number {
    return this.#hostLoop.watch(hostFd, events, cookie);
  }

  busyNanos(): number {
    return this.reports.commandTime.total();
  }

  shutdown(): void {
    this.#calls.tsv_systrap_place(0, CPUS_ALL);
    for (const space of this.#condemned) this.#kill(space);
    for (const space of this.#spaces) {
      if (space !== null && space.pid > 0) this.stubs.kill(space.pid);
    }
    for (const space of this.#spaces) {
      if (space !== null && space.pid > 0) {
        while (!this.stubs.reap(space.pid));
      }
    }
  }
}

/** XSAVE size for the components we carry, from the common page. */
export function fpuBytes(common: Uint8Array): number {
  return u32(common, COMMON_XSAVE_BYTES);
}

export const SLOTS_PER_ARENA = ARENA_SLOTS;
