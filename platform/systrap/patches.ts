// Patched call sites of one address space. A guest's `mov $nr,%eax; syscall` (7 bytes) or `syscall; cmp $imm,%rax` (8)
// becomes an indirect jump through the patch table to a trampoline of the process, so that later calls take no signal.
// A site that cannot be patched safely goes on through SIGSYS.

import { PROT_WRITE } from "../../kernel/abi/memory.ts";
import { REG } from "../platform.ts";
import {
  OP_COPY,
  OP_PATCH,
  PATCH_TABLE,
  SLOT_SITE,
  STAGING_IN,
  STUB_IMAGE_TRAP,
  STUB_TEXT,
  TRAMPOLINE_BYTES,
  TRAMPOLINE_TAIL,
  TRAMPOLINES,
  TRAMPOLINES_MAX,
} from "../slot.ts";
import type { SystrapAddressSpace } from "./address_space.ts";
import type { Image, ImageSite } from "./images.ts";
import type { SystrapThread } from "./thread.ts";

const TWO_32 = 4294967296;
const SYS_mprotect = 10;
const PAGE = 4096;

/** A site is patched at this trap: most sites of a short program run a few times, and a patch costs as much as six traps. */
const PATCH_AT_HIT = 8;
/** Sites counted per address space; a program that traps at more keeps working through SIGSYS. */
const COUNTED_SITES_MAX = 16384;

/** `mov $nr,%eax; syscall`: site at the mov, return at +7. */
const KIND_MOV = 1;
/** `syscall; cmp $imm32,%rax`: site at the syscall, return at +2, continue at +8. */
const KIND_CMP = 2;

/** Places in a trampoline where the call is made by a trap; behind TRAP_CMP the tail follows at once. */
const TRAP_MOV = 32;
const TRAP_CMP = TRAMPOLINE_TAIL - 2;

interface Site {
  readonly index: number;
  readonly start: number;
  readonly kind: number;
  /** The code that stood there. */
  readonly before: Uint8Array;
}

/** Code that was mapped patched (images.ts), and those of its sites that are in place. */
interface MappedImage {
  readonly start: number;
  readonly end: number;
  readonly sites: readonly ImageSite[];
}

/** Offset of `mov $0, %gs:SITE` and friends within a trampoline being written; reused. */
const code = new Uint8Array(TRAMPOLINE_BYTES);
const line = new Uint8Array(16);
/** Code around a site that is searched for branches into it. */
const BRANCH_BYTES = 2048;
const nearby = new Uint8Array(2 * BRANCH_BYTES);

export class Patches {
  readonly #space: SystrapAddressSpace;
  /** By the address a thread returns to from the call. Shared with the parent after fork until one of them changes it. */
  #sites: Map<number, Site>;
  #isShared = false;
  #next: number;
  readonly #hits = new Map<number, number>();
  /** Return addresses of the sites by index: where the call of a trampoline has come from. */
  readonly #returns: number[];
  /** A thread has a GS base of its own: trampolines trap, as they cannot find the slot by GS. */
  isTrapping: boolean;
  readonly #images: MappedImage[];
  /** Bounds of all sites, to see cheaply that a mapping change touches none. */
  #lowest = Infinity;
  #highest = 0;

  constructor(space: SystrapAddressSpace, parent: Patches | null) {
    this.#space = space;
    // An empty map is not shared: nobody would know when it fills.
    this.#sites = parent === null || parent.#sites.size === 0 ? new Map() : parent.#sites;
    this.#next = parent === null ? 1 : parent.#next;
    this.#returns = parent === null ? [] : parent.#returns.slice();
    this.#images = parent === null ? [] : parent.#images.slice();
    this.isTrapping = parent !== null && parent.isTrapping;
    if (parent !== null) {
      this.#isShared = parent.#isShared = true;
      this.#lowest = parent.#lowest;
      this.#highest = parent.#highest;
    }
  }

  get count(): number {
    return this.#sites.size;
  }

  /** `thread` has trapped at a call: patches its site when that is safe and pays. */
  consider(thread: SystrapThread): void {
    const rip = thread.get(REG.RIP);
    if (rip >= STUB_TEXT) return;
    const hits = (this.#hits.get(rip) ?? 0) + 1;
    if (hits > PATCH_AT_HIT) return;
    if (hits === 1 && this.#hits.size >= COUNTED_SITES_MAX) return;
    this.#hits.set(rip, hits);
    if (hits === PATCH_AT_HIT) this.#patch(thread, rip);
  }

  #patch(thread: SystrapThread, rip: number): void {
    const kind = siteKind(thread);
    if (kind === 0 || this.#imageAt(rip) !== null && this.#isImageSite(rip)) return;
    const start = kind === KIND_MOV ? rip - 7 : rip - 2;
    const length = kind === KIND_MOV ? 7 : 8;
    const prot = this.#space.protectionOf === null ? 5 : this.#space.protectionOf(start);
    // Writable code is a JIT's: it may change under us. Shared code is a file's, or another process's too.
    if (prot < 0 || (prot & PROT_WRITE) !== 0 || !this.#space.isOwnCode(start, start + length)) return;
    if (kind === KIND_CMP && this.#isBranchTarget(rip)) return;
    const within = start % 16 + length <= 16;
    if (!within && this.#space.threadCount > 1) return;
    const known = this.#sites.get(rip);
    const index = known?.index ?? this.#next;
    if (index >= TRAMPOLINES_MAX) return;
    if (known === undefined) this.#next++;

    const at = STAGING_IN + 64 * 1024; // past what the stub copied in for this call
    writeTrampoline(index, kind, thread, rip);
    thread.bytes.set(code, at);
    putAddress(thread.bytes, at + 64, TRAMPOLINES + index * TRAMPOLINE_BYTES);
    const jump = at + 72;
    const before = thread.codeBefore(start - rip, length);
    putJump(thread.bytes, jump, PATCH_TABLE + index * 8, length);

    const page = start - start % PAGE;
    const pages = Math.ceil((start + length - page) / PAGE) * PAGE;
    const here = thread.address;
    thread.command(OP_COPY, true, 0, TRAMPOLINES + index * TRAMPOLINE_BYTES, here + at, TRAMPOLINE_BYTES);
    thread.command(OP_COPY, true, 0, PATCH_TABLE + index * 8, here + at + 64, 8);
    thread.call(SYS_mprotect, true, page, pages, 7);
    let exchange = -1;
    if (within) exchange = this.#exchange(thread, start, thread.bytes, jump, length);
    else thread.command(OP_COPY, true, 0, start, here + jump, length);
    thread.call(SYS_mprotect, true, page, pages, prot);
    if (thread.run() < 0) return;
    if (exchange >= 0 && thread.result(exchange) !== 1) return;
    this.#enter({ index, start, kind, before }, rip);
    // Threads that are stopped at this very site would return into the middle of the jump.
    if (kind === KIND_CMP) {
      for (const other of this.#space.threads) {
        if (!other.isRunning && other.get(REG.RIP) === rip && other.words[SLOT_SITE >> 2] === 0) {
          other.setOverride(this.translate(rip));
        }
      }
    }
  }

  /** Enters the command that replaces code within one line of 16 bytes at once. Gives back its index. */
  #exchange(thread: SystrapThread, start: number, from: Uint8Array, at: number, length: number): number {
    const lineAt = start - start % 16;
    if (this.#space.read(lineAt, line, 0, 16) !== 16) line.fill(0);
    const oldLow = word53(line, 0), oldHigh = word53(line, 8);
    const index = thread.command(OP_PATCH, false, 0, lineAt);
    thread.putCommandWords(index, 1, oldLow[0], oldLow[1]);
    thread.putCommandWords(index, 2, oldHigh[0], oldHigh[1]);
    for (let i = 0; i < length; i++) line[start % 16 + i] = from[at + i];
    const newLow = word53(line, 0), newHigh = word53(line, 8);
    thread.putCommandWords(index, 3, newLow[0], newLow[1]);
    thread.putCommandWords(index, 4, newHigh[0], newHigh[1]);
    return index;
  }

  /**
   * A branch nearby leads to `rip`, into the middle of what a patch would replace: two ways through the code share the
   * comparison. Bytes that only look like such a branch cost a patch, no more.
   */
  #isBranchTarget(rip: number): boolean {
    const from = Math.max(0, rip - BRANCH_BYTES);
    let n = this.#space.read(from, nearby, 0, 2 * BRANCH_BYTES);
    // The code may end before the window does: to the end of the page at least.
    if (n < 0) n = this.#space.read(from, nearby, 0, rip - from + PAGE - rip % PAGE);
    if (n < 0) return true;
    for (let i = 0; i + 2 <= n; i++) {
      const code = nearby[i];
      if (code === 0xeb || (code & 0xf0) === 0x70) {
        if (from + i + 2 + (nearby[i + 1] << 24 >> 24) === rip) return true;
      } else if (code === 0xe9 || (code === 0x0f && (nearby[i + 1] & 0xf0) === 0x80)) {
        const at = code === 0xe9 ? i + 1 : i + 2;
        if (at + 4 > n) continue;
        const distance = nearby[at] | nearby[at + 1] << 8 | nearby[at + 2] << 16 | nearby[at + 3] << 24;
        if (from + at + 4 + distance === rip) return true;
      }
    }
    return false;
  }

  #enter(site: Site, rip: number): void {
    if (this.#isShared) {
      this.#sites = new Map(this.#sites);
      this.#isShared = false;
    }
    this.#sites.set(rip, site);
    this.#lowest = Math.min(this.#lowest, site.start);
    this.#highest = Math.max(this.#highest, site.start + 8);
    this.#returns[site.index] = rip;
  }

  /** `image` has been mapped at `start`. */
  enterImage(image: Image, start: number, length: number): void {
    this.#forgetImages(start, length);
    this.#images.push({ start, end: start + length, sites: image.sites });
  }

  #imageAt(address: number): MappedImage | null {
    for (const image of this.#images) if (address >= image.start && address < image.end) return image;
    return null;
  }

  /** Whether the call that returns to `rip` was made at a patched site of an image after all, by its own `syscall`. */
  #isImageSite(rip: number): boolean {
    const image = this.#imageAt(rip)!;
    return image.sites.some(({ at }) => image.start + at + 7 === rip);
  }

  /** A thread that was interrupted within its site's piece of an image is at the site, where its instruction is made again. */
  leaveImage(thread: SystrapThread): void {
    const rip = thread.get(REG.RIP);
    const image = this.#imageAt(rip);
    if (image === null) return;
    const offset = rip - image.start;
    const site = image.sites.find(({ piece, pieceEnd }) => offset >= piece && offset < pieceEnd);
    if (site !== undefined) thread.set(REG.RIP, image.start + site.at);
  }

  /** Makes every trampoline trap; carried out by `thread`. Pointers change in their last byte alone: none is seen torn. */
  trapAll(thread: SystrapThread): void {
    if (this.isTrapping) return;
    this.isTrapping = true;
    const at = STAGING_IN + 32 * 1024;
    thread.bytes.fill(0, at, at + this.#next * 8);
    putAddress(thread.bytes, at, STUB_TEXT + STUB_IMAGE_TRAP);
    for (const { index, kind } of this.#sites.values()) {
      const entry = TRAMPOLINES + index * TRAMPOLINE_BYTES + (kind === KIND_MOV ? TRAP_MOV : TRAP_CMP);
      putAddress(thread.bytes, at + index * 8, entry);
    }
    thread.command(OP_COPY, false, 0, PATCH_TABLE, thread.address + at, this.#next * 8);
    thread.run();
  }

  /** A trap in a trampoline is the call of its site. */
  leaveTrampoline(thread: SystrapThread): void {
    const offset = thread.get(REG.RIP) - TRAMPOLINES;
    if (offset < 0 || offset >= TRAMPOLINES_MAX * TRAMPOLINE_BYTES) return;
    const index = Math.floor(offset / TRAMPOLINE_BYTES);
    const rip = this.#returns[index];
    if (rip === undefined) return;
    thread.setOrigin(rip, offset % TRAMPOLINE_BYTES === TRAP_CMP + 2 ? index : 0);
  }

  /** Where to continue for a RIP that lies inside a patched site, 0 when RIP itself is right. */
  translate(rip: number): number {
    if (rip < this.#lowest || rip > this.#highest) return 0;
    const site = this.#sites.get(rip);
    if (site !== undefined && site.kind === KIND_CMP) {
      return TRAMPOLINES + site.index * TRAMPOLINE_BYTES + TRAMPOLINE_TAIL;
    }
    // Two bytes back from a return address: the call is to be made again with the number in RAX.
    const again = this.#sites.get(rip + 2);
    if (again !== undefined && again.kind === KIND_MOV) {
      return TRAMPOLINES + again.index * TRAMPOLINE_BYTES + (this.isTrapping ? TRAP_MOV : 0) + 5;
    }
    return 0;
  }

  /** Whether `rip` is where a KIND_MOV site had its `syscall`. */
  isDisplacedCall(rip: number): boolean {
    return this.#sites.get(rip + 2)?.kind === KIND_MOV;
  }

  /** Puts the code back that stood at the sites in [address, address + length), and forgets them. */
  restore(thread: SystrapThread, address: number, length: number): void {
    for (const image of this.#images.slice()) {
      if (image.end <= address || image.start >= address + length) continue;
      for (const { at, before } of image.sites) {
        const start = image.start + at;
        if (start + before.length <= address || start >= address + length) continue;
        if (!this.#putBack(thread, start, before)) return;
      }
    }
    this.#forgetImages(address, length);
    if (address > this.#highest || address + length <= this.#lowest) return;
    for (const { start, before } of this.#sites.values()) {
      if (start + 8 <= address || start >= address + length) continue;
      if (!this.#putBack(thread, start, before)) return;
    }
    this.forget(address, length);
  }

  /** False when the process cannot do it. */
  #putBack(thread: SystrapThread, start: number, before: Uint8Array): boolean {
    const prot = this.#space.protectionOf === null ? 5 : this.#space.protectionOf(start);
    if (prot < 0) return true;
    const page = start - start % PAGE;
    const pages = Math.ceil((start + before.length - page) / PAGE) * PAGE;
    const at = STAGING_IN + 64 * 1024;
    thread.bytes.set(before, at);
    thread.call(SYS_mprotect, true, page, pages, 7);
    // Whoever runs into it meanwhile finds either code whole, where it fits a line.
    if (start % 16 + before.length <= 16) this.#exchange(thread, start, before, 0, before.length);
    else thread.command(OP_COPY, true, 0, start, thread.address + at, before.length);
    thread.call(SYS_mprotect, true, page, pages, prot);
    return thread.run() >= 0;
  }

  /**
   * [address, address + length) is about to be unmapped, mapped anew or no longer executable: an image that loses its
   * pieces, but not all of itself, has the code put back that jumps to them.
   */
  detach(thread: SystrapThread, address: number, length: number): void {
    for (const image of this.#images.slice()) {
      if (image.end <= address || image.start >= address + length) continue;
      if (image.start >= address && image.end <= address + length) continue;
      const losesPieces = image.sites.some(({ piece, pieceEnd }) =>
        image.start + piece < address + length && image.start + pieceEnd > address
      );
      if (losesPieces) this.restore(thread, image.start, image.end - image.start);
    }
  }

  /** What lies in [address, address + length) is not the image's any more. */
  #forgetImages(address: number, length: number): void {
    for (let i = this.#images.length - 1; i >= 0; i--) {
      const { start, end, sites } = this.#images[i];
      if (end <= address || start >= address + length) continue;
      const left = sites.filter(({ at }) => start + at + 7 <= address || start + at >= address + length);
      this.#images.splice(i, 1);
      if (left.length > 0) this.#images.push({ start, end, sites: left });
    }
  }

  /** The memory at `address` is mapped anew or gone: its sites are no longer patched. */
  forget(address: number, length: number): void {
    if (this.#images.length > 0) this.#forgetImages(address, length);
    if (address > this.#highest || address + length <= this.#lowest) return;
    for (const [rip, site] of this.#sites) {
      if (site.start + 8 <= address || site.start >= address + length) continue;
      if (this.#isShared) {
        this.#sites = new Map(this.#sites);
        this.#isShared = false;
      }
      this.#sites.delete(rip);
      this.#hits.delete(rip);
    }
  }
}

/** What stands around the trapped call. Code bytes are the guest's word; a wrong one harms only itself. */
function siteKind(thread: SystrapThread): number {
  if (thread.codeByte(-2) !== 0x0f || thread.codeByte(-1) !== 0x05) return 0;
  const prefix = thread.codeByte(-8);
  if (thread.codeByte(-7) === 0xb8 && (prefix & 0xf0) !== 0x40) {
    const number = thread.codeByte(-6) | thread.codeByte(-5) << 8 | thread.codeByte(-4) << 16 |
      thread.codeByte(-3) << 24;
    if (number === thread.low(REG.ORIG_RAX)) return KIND_MOV;
  }
  if (thread.codeByte(0) === 0x48 && thread.codeByte(1) === 0x3d) return KIND_CMP;
  return 0;
}

/** Writes the trampoline of a site into `code`. Both kinds leave RCX = return address and SITE = index of the tail or 0. */
function writeTrampoline(index: number, kind: number, thread: SystrapThread, rip: number): void {
  const at = TRAMPOLINES + index * TRAMPOLINE_BYTES;
  code.fill(0xcc);
  let n = 0;
  if (kind === KIND_MOV) {
    code[n++] = 0xb8; // mov $nr, %eax
    for (let i = -6; i <= -3; i++) code[n++] = thread.codeByte(i);
  }
  code[n++] = 0x48; // movabs $rip, %rcx
  code[n++] = 0xb9;
  putAddress(code, n, rip);
  n += 8;
  code[n++] = 0x65; // movl $tail, %gs:SITE
  code[n++] = 0xc7;
  code[n++] = 0x04;
  code[n++] = 0x25;
  put32(code, n, SLOT_SITE);
  put32(code, n + 4, kind === KIND_CMP ? index : 0);
  n += 8;
  code[n++] = 0xe9; // jmp stub_trampoline
  put32(code, n, thread.platform.trampolineEntry - (at + n + 4));
  if (kind === KIND_MOV) {
    n = TRAP_MOV;
    for (let i = -7; i <= -1; i++) code[n++] = thread.codeByte(i); // mov $nr, %eax; syscall
    putFarJump(n, rip);
    return;
  }
  code[TRAP_CMP] = 0x0f; // syscall
  code[TRAP_CMP + 1] = 0x05;
  n = TRAMPOLINE_TAIL;
  for (let i = 0; i < 6; i++) code[n++] = thread.codeByte(i); // cmp $imm32, %rax
  putFarJump(n, rip + 6);
}

/** `jmp *0(%rip)` and where to. */
function putFarJump(at: number, to: number): void {
  code[at] = 0xff;
  code[at + 1] = 0x25;
  put32(code, at + 2, 0);
  putAddress(code, at + 6, to);
}

/** `jmp *[table]` with the table's address below 2 GiB, filled up with nop. */
function putJump(bytes: Uint8Array, at: number, table: number, length: number): void {
  bytes[at] = 0xff;
  bytes[at + 1] = 0x24;
  bytes[at + 2] = 0x25;
  put32(bytes, at + 3, table);
  for (let i = 7; i < length; i++) bytes[at + i] = 0x90;
}

function put32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

function putAddress(bytes: Uint8Array, at: number, value: number): void {
  put32(bytes, at, value % TWO_32);
  put32(bytes, at + 4, Math.floor(value / TWO_32));
}

function word53(bytes: Uint8Array, at: number): [number, number] {
  const low = (bytes[at] | bytes[at + 1] << 8 | bytes[at + 2] << 16 | bytes[at + 3] << 24) >>> 0;
  const high = (bytes[at + 4] | bytes[at + 5] << 8 | bytes[at + 6] << 16 | bytes[at + 7] << 24) >>> 0;
  return [low, high];
}
