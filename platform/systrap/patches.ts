// Patched call sites of one address space: code that traps often is sent into the stub by a jump, so that its later calls take
// no signal. pieces.ts describes a patch, and why a thread cannot notice when it is made; this file decides which
// sites are patched, and removes patches before a guest could see them or lose the memory of their pieces.
//
// Code is written while no thread can run it: its page is made writable and not executable for that moment, and a thread that
// runs into it meanwhile faults, and goes on (isFalseFault). So memory is never writable and executable at once, and no CPU
// sees half of a jump.

import { PROT_EXEC, PROT_READ, PROT_WRITE } from "../../kernel/abi/memory.ts";
import { type Fault, REG } from "../platform.ts";
import { COMMANDS_MAX, OP_COPY, STAGING_IN, STUB_TEXT } from "../slot.ts";
import type { SystrapAddressSpace } from "./address_space.ts";
import { CodePool, pieceStarts, POOL_BYTES } from "./code_pool.ts";
import type { CountedCode } from "./images.ts";
import {
  JUMP_BYTES,
  KIND_MOV,
  pieceBytes,
  placeInPiece,
  placeInProgram,
  putJump,
  putPiece,
  returnOf,
  type Site,
  siteKind,
} from "./pieces.ts";
import type { SystrapThread } from "./thread.ts";

const SYS_mprotect = 10;
const PAGE = 4096;
const PROT_RW = PROT_READ | PROT_WRITE;
const SIGILL = 4, SIGSEGV = 11;
const TRAP_PAGE_FAULT = 14;
const FAULT_FETCH = 16;

/**
 * A site is patched at this trap: most sites of a short program run a few times, and a patch costs as much as six
 * traps.
 */
const PATCH_AT_HIT = 8;
/** Sites counted per address space; calls at further sites continue to trap. */
const COUNTED_SITES_MAX = 16384;
/** Pools of one address space. */
const POOLS_MAX = 32;
/** Commands of one write of code: two mprotect and the copy. */
const WRITE_COMMANDS = 3;
/** Where code is staged: behind what the stub copied in for this call. */
const STAGED = STAGING_IN + 64 * 1024;
/** Bytes read before and after a return address to recognise the code there. */
const BEFORE = 16, BEHIND = 16;

/** Code mapped as a patched copy (images.ts), with its sites. */
interface MappedCopy {
  readonly start: number;
  readonly end: number;
  readonly sites: readonly Site[];
}

/** Code that may be mapped as a copy the next time: records which sites are used. */
interface MappedCode {
  readonly start: number;
  readonly end: number;
  readonly counted: CountedCode;
}

/** Shared by a forked process with its parent until one of the two changes it. */
class Patched {
  /** Sites in place, by the return address of the call. */
  readonly sites = new Map<number, Site>();
  /** All sites whose piece is still in memory, as a thread may be in it. */
  readonly pieces = new Map<number, Site>();
  pools: CodePool[] = [];
  copies: MappedCopy[] = [];
  code: MappedCode[] = [];
  isShared = false;

  get isEmpty(): boolean {
    return this.pools.length === 0 && this.copies.length === 0 && this.code.length === 0;
  }

  clone(): Patched {
    const copy = new Patched();
    for (const [rip, site] of this.sites) copy.sites.set(rip, site);
    for (const [piece, site] of this.pieces) copy.pieces.set(piece, site);
    copy.pools = this.pools.map((pool) => pool.clone());
    copy.copies = this.copies.slice();
    copy.code = this.code.slice();
    return copy;
  }
}

/** Scratch: bytes around a site, and a piece to be written. */
const around = new Uint8Array(BEFORE + BEHIND);
const written = new Uint8Array(64);

export class Patches {
  readonly #space: SystrapAddressSpace;
  #patched: Patched;
  readonly #hits = new Map<number, number>();
  /** Patching is off: a thread has a GS base of its own, by which the stub would find the slot. */
  #isOff: boolean;

  constructor(space: SystrapAddressSpace, parent: Patches | null) {
    this.#space = space;
    this.#isOff = parent !== null && parent.#isOff;
    this.#patched = parent === null || parent.#patched.isEmpty ? new Patched() : parent.#patched;
    // An empty one is not shared, since the fork would not notice when it fills.
    if (!this.#patched.isEmpty) this.#patched.isShared = true;
  }

  get isOn(): boolean {
    return !this.#isOff && this.#space.platform.mayPatch;
  }

  /** The own copy, for a change. */
  #own(): Patched {
    if (this.#patched.isShared) this.#patched = this.#patched.clone();
    return this.#patched;
  }

  // --- making them ------------------------------------------------------------------------------------------------------

  /** `thread` has trapped at a call: patches its site if that is safe and pays. */
  consider(thread: SystrapThread): void {
    const rip = thread.get(REG.RIP);
    if (!this.isOn || rip >= STUB_TEXT) return;
    const hits = (this.#hits.get(rip) ?? 0) + 1;
    if (hits > PATCH_AT_HIT) return;
    if (hits === 1) {
      if (this.#hits.size >= COUNTED_SITES_MAX) return;
      this.#note(rip, thread.low(REG.ORIG_RAX));
    }
    this.#hits.set(rip, hits);
    if (hits === PATCH_AT_HIT) this.#patch(thread, rip);
  }

  /** Records the site for a copy of this code. */
  #note(rip: number, number: number): void {
    for (const { start, end, counted } of this.#patched.code) {
      if (rip >= start && rip < end) counted.note(rip - start, number);
    }
  }

  #patch(thread: SystrapThread, rip: number): void {
    if (this.#patched.sites.has(rip) || this.#isInCopy(rip)) return;
    const at = this.#readAround(rip);
    if (at < 0) return;
    const kind = siteKind(around, at, thread.low(REG.ORIG_RAX));
    if (kind === 0) return;
    const start = kind === KIND_MOV ? rip - 7 : rip - 2;
    const prot = this.#protectionOf(start);
    // Writable code may change (a JIT's). Shared code belongs to a file or another process too.
    const isFixed = prot >= 0 && (prot & (PROT_EXEC | PROT_WRITE)) === PROT_EXEC;
    if (!isFixed || !(this.#space.areas?.isOwnCode(start, start + 8) ?? true)) return;
    const piece = this.#takePlace(thread, kind, start);
    if (piece < 0) return;

    const site: Site = {
      kind,
      start,
      piece,
      before: around.slice(at + start - rip, at + start - rip + JUMP_BYTES),
    };
    putPiece(written, 0, kind, piece, rip, around, at);
    this.#enterWrite(thread, piece, written, pieceBytes(kind), PROT_READ | PROT_EXEC);
    putJump(written, 0, start, piece);
    this.#enterWrite(thread, start, written, JUMP_BYTES, prot);
    const patched = this.#own();
    patched.pieces.set(piece, site);
    if (thread.run() >= 0) patched.sites.set(rip, site);
  }

  /** Reads the code around `rip` into `around`: the index of `rip` there, or -1 if it cannot be read. */
  #readAround(rip: number): number {
    if (this.#space.read(rip - BEFORE, around, 0, BEFORE + BEHIND) === BEFORE + BEHIND) return BEFORE;
    // Code may begin or end at a page's border.
    around.fill(0);
    const first = Math.max(rip - BEFORE, pageOf(rip - 1));
    const last = Math.min(rip + BEHIND, pageOf(rip - 1) + PAGE);
    const at = BEFORE - (rip - first);
    return this.#space.read(first, around, at, last - first) === last - first ? BEFORE : -1;
  }

  /** A place for a piece near `start`, in a new pool if the existing ones are full; -1 for none. */
  #takePlace(thread: SystrapThread, kind: number, start: number): number {
    const patched = this.#own();
    for (const pool of patched.pools) {
      const piece = pool.take(kind, start);
      if (piece >= 0) return piece;
    }
    if (patched.pools.length >= POOLS_MAX) return -1;
    const address = this.#space.areas?.mapNear(thread, start, POOL_BYTES, PROT_READ | PROT_EXEC) ?? -1;
    if (address < 0) return -1;
    const pool = new CodePool(address);
    patched.pools.push(pool);
    return pool.take(kind, start);
  }

  /** Enters the commands that write `length` bytes of code at `address`, whose pages have protection `prot`. */
  #enterWrite(thread: SystrapThread, address: number, from: Uint8Array, length: number, prot: number): void {
    const staged = STAGED + thread.commandCount * written.length;
    thread.bytes.set(from.subarray(0, length), staged);
    const page = pageOf(address), bytes = pageOf(address + length - 1) + PAGE - page;
    thread.call(SYS_mprotect, true, page, bytes, PROT_RW);
    thread.command(OP_COPY, true, 0, address, thread.address + staged, length);
    thread.call(SYS_mprotect, true, page, bytes, prot);
    for (const other of this.#space.threads) if (other.isRunning) other.mayFaultFalsely = true;
  }

  // --- copies of files ----------------------------------------------------------------------------------------------------

  /** Counted code is being mapped at [start, end): as its patched copy if it has one. */
  enterCode(start: number, end: number, counted: CountedCode): void {
    const patched = this.#own();
    patched.code.push({ start, end, counted });
    if (counted.image !== null) patched.copies.push({ start, end, sites: counted.image.sites });
  }

  #copyAt(address: number): MappedCopy | null {
    for (const copy of this.#patched.copies) if (address >= copy.start && address < copy.end) return copy;
    return null;
  }

  /** Whether the call that returns to `rip` was made by the `syscall` of a patched site in a copy. */
  #isInCopy(rip: number): boolean {
    const copy = this.#copyAt(rip);
    return copy !== null && copy.sites.some((site) => returnOf(site) === rip - copy.start);
  }

  // --- threads in pieces --------------------------------------------------------------------------------------------------

  /** The address to resume a thread at that continues at `rip`: in a piece if a patch covers the original code. */
  translate(rip: number): number {
    if (this.#patched.isEmpty) return rip;
    const site = this.#patched.sites.get(rip) ?? this.#patched.sites.get(rip + 2);
    if (site !== undefined) return placeInPiece(site, rip) || rip;
    const copy = this.#copyAt(rip);
    if (copy === null) return rip;
    for (const inCopy of copy.sites) {
      const place = placeInPiece(inCopy, rip - copy.start);
      if (place !== 0) return copy.start + place;
    }
    return rip;
  }

  /** A thread has stopped: moves it from a piece to the place in the program. True if it was in one. */
  leavePiece(thread: SystrapThread): boolean {
    const rip = thread.get(REG.RIP);
    const place = this.#placeOf(rip);
    if (place < 0) return false;
    thread.set(REG.RIP, place);
    return true;
  }

  #placeOf(rip: number): number {
    const patched = this.#patched;
    if (patched.isEmpty) return -1;
    const copy = this.#copyAt(rip);
    if (copy !== null) {
      const offset = rip - copy.start;
      const inCopy = copy.sites.find(({ kind, piece }) =>
        offset >= piece && offset < piece + pieceBytes(kind)
      );
      return inCopy === undefined ? -1 : copy.start + placeInProgram(inCopy, offset);
    }
    if (!patched.pools.some((pool) => pool.holds(rip))) return -1;
    for (const start of pieceStarts(rip)) {
      const site = patched.pieces.get(start);
      if (site !== undefined && rip < start + pieceBytes(site.kind)) return placeInProgram(site, rip);
    }
    return -1;
  }

  /**
   * Whether patching caused a fault, so that the thread can continue: it returned into the middle of a jump, or ran
   * into code that was being written.
   */
  isFalseFault(thread: SystrapThread, fault: Fault): boolean {
    if (this.#patched.isEmpty) return false;
    const rip = thread.get(REG.RIP);
    if (fault.signal === SIGILL) {
      const place = this.translate(rip);
      if (place === rip) return false;
      thread.set(REG.RIP, rip);
      return true;
    }
    const isFetch = fault.signal === SIGSEGV && fault.trap === TRAP_PAGE_FAULT &&
      (fault.error & FAULT_FETCH) !== 0;
    return isFetch && thread.mayFaultFalsely && (this.#protectionOf(fault.address) & PROT_EXEC) !== 0;
  }

  // --- taking them back ---------------------------------------------------------------------------------------------------

  /** A thread has a GS base of its own: removes all patches and makes no more. `thread` carries it out. */
  turnOff(thread: SystrapThread): void {
    if (this.#isOff) return;
    this.#isOff = true;
    if (this.#patched.isEmpty) return;
    const { sites, copies } = this.#own();
    for (const site of sites.values()) this.#putBack(thread, site.start, site.before);
    sites.clear();
    for (const copy of copies) {
      for (const site of copy.sites) this.#putBack(thread, copy.start + site.start, site.before);
    }
    // Threads may still be in the pieces: remember those.
    if (thread.commandCount > 0) thread.run();
  }

  /**
   * Before [address, address + length) is unmapped, mapped anew, discarded or hidden, or, with `keepsCode`, written
   * or moved: restores code that stays to what its file holds, and removes jumps into what vanishes.
   */
  release(thread: SystrapThread, address: number, length: number, keepsCode: boolean): void {
    const { pools, copies, code, sites } = this.#patched;
    const end = address + length;
    const isMet = (range: { readonly start: number; readonly end: number }) =>
      range.start < end && range.end > address;
    if (code.some(isMet)) this.#own().code = code.filter((one) => !isMet(one));
    for (const copy of copies) if (isMet(copy)) this.#releaseCopy(thread, copy, address, end, keepsCode);
    const goes = pools.filter(isMet);
    const isConcerned = pools.some((pool) => pool.mayConcern(address, end));
    for (const [rip, site] of isConcerned ? sites : []) {
      const isTouched = site.start < end && site.start + JUMP_BYTES > address;
      if (!isTouched && !goes.some((pool) => pool.holds(site.piece))) continue;
      if (!isTouched || keepsCode) this.#putBack(thread, site.start, site.before);
      this.#own().sites.delete(rip);
      this.#hits.delete(rip);
    }
    if (goes.length > 0) this.#dropPools(goes);
    if (thread.commandCount === 0) return;
    // The caller that began a batch runs its commands.
    if (!this.#space.isBatching(thread)) thread.run();
    // A thread in a piece continues at its site, whose code is restored.
    for (const other of this.#space.threads) {
      if (!other.isRunning && other.continueAt !== other.get(REG.RIP)) other.set(REG.RIP, other.get(REG.RIP));
    }
  }

  #dropPools(goes: readonly CodePool[]): void {
    const patched = this.#own();
    patched.pools = patched.pools.filter((pool) => !goes.includes(pool));
    for (const piece of patched.pieces.keys()) {
      if (goes.some((pool) => pool.holds(piece))) patched.pieces.delete(piece);
    }
  }

  #releaseCopy(
    thread: SystrapThread,
    copy: MappedCopy,
    address: number,
    end: number,
    keepsCode: boolean,
  ): void {
    const losesPieces = copy.sites.some(({ kind, piece }) =>
      copy.start + piece < end && copy.start + piece + pieceBytes(kind) > address
    );
    const left: Site[] = [];
    for (const site of copy.sites) {
      const start = copy.start + site.start;
      const isTouched = start < end && start + JUMP_BYTES > address;
      if (isTouched ? keepsCode : losesPieces) this.#putBack(thread, start, site.before);
      else if (!isTouched) left.push(site);
    }
    const patched = this.#own();
    patched.copies = patched.copies.filter((other) => other !== copy);
    if (left.length > 0) patched.copies.push({ start: copy.start, end: copy.end, sites: left });
  }

  /** Enters the commands that restore the code of a site. */
  #putBack(thread: SystrapThread, start: number, before: Uint8Array): void {
    const prot = this.#protectionOf(start);
    if (prot < 0) return;
    if (thread.commandCount > COMMANDS_MAX - WRITE_COMMANDS - 4) thread.run();
    this.#enterWrite(thread, start, before, JUMP_BYTES, prot);
  }

  #protectionOf(address: number): number {
    const { areas } = this.#space;
    return areas === null ? PROT_READ | PROT_EXEC : areas.protectionOf(address);
  }
}

function pageOf(address: number): number {
  return address - address % PAGE;
}
