// A ptrace thread and its address space over a library that only notes what it is asked: registers, the FPU area, how host
// calls are injected and what of their answers is believed.

import { deepEqual, equal } from "node:assert/strict";
import { EAGAIN, EFAULT, EINVAL, EIO, ENOMEM } from "../../kernel/abi/errno.ts";
import {
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_PRIVATE,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
} from "../../kernel/abi/memory.ts";
import { put32, u32 } from "../../kernel/abi/struct.ts";
import { EVENT, REG } from "../platform.ts";
import { PtraceAddressSpace } from "./address_space.ts";
import type { PtracePlatform } from "./platform.ts";
import { PtraceThread } from "./thread.ts";
import { GUEST_END } from "../stub/layout.ts";

const FPU_BYTES = 832;
const SYS = { close: 3, mmap: 9, mprotect: 10, munmap: 11, mremap: 25, madvise: 28, clone: 56 };
const TWO_32 = 2 ** 32;

class Library {
  /** Injected calls, their number first. */
  readonly injected: number[][] = [];
  /** What the next ones answer; 0 when there is none. */
  readonly answers: number[] = [];
  /** The injection itself fails: the thread is gone. */
  isGone = false;
  readonly notes: string[] = [];
  readonly fpu = new Uint8Array(FPU_BYTES);
  readonly threadsByTid = new Map<number, PtraceThread>();
  runningCount = 0;
  readonly vdsoAddress = 0;
  readonly socket = 5;

  readonly calls = {
    tsv_ptrace_inject: (
      _tid: number,
      _registers: unknown,
      _instruction: unknown,
      call: Uint32Array,
    ): number => {
      if (this.isGone) return -3;
      const values: number[] = [];
      for (let n = 0; n < 7; n++) values.push(call[2 * n] + (call[2 * n + 1] | 0) * TWO_32);
      this.injected.push(values);
      const answer = this.answers.shift() ?? 0;
      call[0] = answer >>> 0;
      call[1] = Math.floor(answer / TWO_32);
      return 0;
    },
    tsv_ptrace_fpu: (_tid: number, direction: number, area: Uint8Array, size: number): number => {
      if (direction === 0) area.set(this.fpu);
      else if (size !== FPU_BYTES) return -EINVAL;
      else this.fpu.set(area.subarray(0, size));
      return direction === 0 ? FPU_BYTES : 0;
    },
    tsv_ptrace_registers: (tid: number, direction: number) => {
      this.notes.push(`registers ${tid} ${direction}`);
      return 0;
    },
    tsv_ptrace_resume: (tid: number) => {
      this.notes.push(`resume ${tid}`);
      return 0;
    },
    tsv_ptrace_end: (tid: number) => {
      this.notes.push(`end ${tid}`);
      return 0;
    },
  };
  readonly commandTime = { isCounted: false };
  readonly stubs = {
    threadFlags: 0x111,
    forkFlags: 0x222,
    copy: () => -EFAULT,
    calls: {
      tsv_stub_cpu_nanos: () => 0,
      tsv_stub_interrupt: (pid: number, tid: number) => {
        this.notes.push(`interrupt ${pid} ${tid}`);
        return 0;
      },
    },
  };
}

function newThread(): { library: Library; thread: PtraceThread; space: PtraceAddressSpace } {
  const library = new Library();
  const platform = library as unknown as PtracePlatform;
  const space = new PtraceAddressSpace(platform, 77);
  const thread = new PtraceThread(platform, space, 78);
  space.threads.add(thread);
  library.threadsByTid.set(78, thread);
  return { library, thread, space };
}

Deno.test("registers are 64-bit words: signed in, unsigned out", () => {
  const { thread } = newThread();
  thread.set(REG.RAX, -2);
  deepEqual([thread.low(REG.RAX), thread.high(REG.RAX)], [0xffff_fffe, 0xffff_ffff]);
  thread.set(REG.RBX, 0x1234_5678_9abc);
  equal(thread.get(REG.RBX), 0x1234_5678_9abc);
  thread.setWords(REG.RCX, 1, 0x8000_0000);
  equal(thread.get(REG.RCX), 2 ** 63 + 1);
});

Deno.test("takeCall() reads the six arguments in the order of the ABI, whole", () => {
  const { thread } = newThread();
  const registers = [REG.RDI, REG.RSI, REG.RDX, REG.R10, REG.R8, REG.R9];
  registers.forEach((register, n) => thread.setWords(register, n + 1, n + 0x100));
  thread.set(REG.ORIG_RAX, 257);
  const into = new Uint32Array(12);
  equal(thread.takeCall(into), 257);
  deepEqual([...into], [1, 0x100, 2, 0x101, 3, 0x102, 4, 0x103, 5, 0x104, 6, 0x105]);
});

Deno.test("resume() writes the registers back, out of any call, and counts the thread as running", () => {
  const { library, thread } = newThread();
  thread.set(REG.ORIG_RAX, 1);
  thread.interrupt();
  deepEqual(library.notes, [], "a stopped thread is not interrupted");
  thread.resume();
  deepEqual(library.notes, ["registers 78 1", "resume 78"]);
  deepEqual([thread.low(REG.ORIG_RAX), thread.high(REG.ORIG_RAX)], [0xffff_ffff, 0xffff_ffff]);
  deepEqual([thread.isRunning, library.runningCount], [true, 1]);
  thread.interrupt();
  equal(library.notes[2], "interrupt 77 78");
});

Deno.test("FPU state: the host's size, its own bytes kept, what does not fit refused", () => {
  const { library, thread } = newThread();
  put32(library.fpu, 464, 7);
  library.fpu[160] = 42;
  deepEqual([thread.fpuBytes, thread.fpuFeatures], [FPU_BYTES, 7]);
  const saved = new Uint8Array(4096);
  equal(thread.saveFpu(saved, 0), FPU_BYTES);
  equal(saved[160], 42);
  saved[160] = 43;
  put32(saved, 464, 0xffff);
  equal(thread.loadFpu(saved, 0, 4096), 0);
  deepEqual([library.fpu[160], u32(library.fpu, 464)], [43, 7], "XCR0 is not the guest's to set");
  equal(thread.loadFpu(saved, 0, 575), -EINVAL);
  equal(thread.loadFpu(saved, 0, 4097), -EINVAL);
  library.fpu[700] = 9;
  saved[160] = 44;
  equal(thread.loadFpu(saved, 0, 576), 0);
  deepEqual([library.fpu[160], library.fpu[700]], [44, 9], "what a shorter area lacks stays");
});

Deno.test("mapping commands are host calls at fixed places, with flags that were asked for only", () => {
  const { library, thread, space } = newThread();
  equal(space.map(thread, 0x5000_0000, 8192, 3, MAP_PRIVATE | 0x100_0000, -1, 0), 0);
  equal(space.unmap(thread, 0x5000_0000, 4096), 0);
  equal(space.protect(thread, 0x5000_1000, 4096, 1), 0);
  equal(space.remap(thread, 0x5000_1000, 4096, 8192, 0x5000_1000), 0);
  equal(space.remap(thread, 0x5000_1000, 4096, 8192, 0x6000_0000), 0);
  equal(space.advise(thread, 0x6000_0000, 4096, 4), 0);
  const flags = MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS;
  deepEqual(library.injected, [
    [SYS.mmap, 0x5000_0000, 8192, 3, flags, -1, 0],
    [SYS.munmap, 0x5000_0000, 4096, 0, 0, 0, 0],
    [SYS.mprotect, 0x5000_1000, 4096, 1, 0, 0, 0],
    [SYS.mremap, 0x5000_1000, 4096, 8192, 0, 0x5000_1000, 0],
    [SYS.mremap, 0x5000_1000, 4096, 8192, MREMAP_MAYMOVE | MREMAP_FIXED, 0x6000_0000, 0],
    [SYS.madvise, 0x6000_0000, 4096, 4, 0, 0, 0],
  ]);
});

Deno.test("a host call's answer is an address, an errno, or EIO from a thread that is gone", () => {
  const { library, thread, space } = newThread();
  library.answers.push(0x7f00_0000_1000);
  equal(space.inject(thread, SYS.mmap), 0x7f00_0000_1000);
  library.answers.push(-ENOMEM);
  equal(space.map(thread, 0, 4096, 3, MAP_PRIVATE, -1, 0), -ENOMEM);
  library.isGone = true;
  equal(space.unmap(thread, 0, 4096), -EIO);
  equal(space.map(thread, 0, 4096, 3, MAP_PRIVATE, -1, 0), -EIO);
  library.isGone = false;
  space.isDead = true;
  equal(space.unmap(thread, 0, 4096), -EIO);
});

Deno.test("memory beyond a guest's addresses or the caller's array is not asked for", () => {
  const { space } = newThread();
  const bytes = new Uint8Array(16);
  for (const [address, at, length] of [[-8, 0, 8], [GUEST_END - 4, 0, 8], [0x1000, 10, 8]]) {
    equal(space.read(address, bytes, at, length), -EFAULT);
    equal(space.write(address, bytes, at, length), -EFAULT);
  }
});

Deno.test("new threads and forks: a copy of the registers, known by their id; EAGAIN where the host makes none", () => {
  const { library, thread, space } = newThread();
  thread.set(REG.RBX, 99);
  library.answers.push(80);
  const sibling = thread.cloneThread() as PtraceThread;
  deepEqual([sibling.tid, sibling.addressSpace === space, sibling.get(REG.RBX)], [80, true, 99]);
  deepEqual([sibling.event, sibling.isRunning], [EVENT.NONE, false]);
  library.answers.push(81);
  const child = thread.fork() as PtraceThread;
  deepEqual([child.tid, child.addressSpace.pid, child.addressSpace === space], [81, 81, false]);
  deepEqual([...library.threadsByTid.keys()], [78, 80, 81]);
  deepEqual(library.injected.map(([number, flags]) => [number, flags]).slice(0, 2), [
    [SYS.clone, library.stubs.threadFlags],
    [SYS.clone, library.stubs.forkFlags],
  ]);
  library.answers.push(-EAGAIN);
  equal(thread.cloneThread(), -EAGAIN);
  library.isGone = true;
  equal(thread.fork(), -EAGAIN);
  sibling.exit();
  deepEqual([library.notes, library.threadsByTid.has(80), space.threads.size], [["end 80"], false, 1]);
});
