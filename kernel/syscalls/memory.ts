// mmap(2) and related calls: their arguments for the operations of mm/mapping.ts, and the calls small enough to be
// here.

import { EBADF, EBUSY, EFAULT, EINVAL, EIO, ENOMEM, ENOSPC } from "../abi/errno.ts";
import { O_PATH } from "../abi/file.ts";
import * as M from "../abi/memory.ts";
import { isPageAligned, MAP_ANONYMOUS, MAP_HUGETLB, PAGE_SIZE, pageUp } from "../abi/memory.ts";
import { lockAllMemory, lockMemory, unlockAllMemory, unlockMemory } from "../mm/locking.ts";
import { protectMemory } from "../mm/mapping.ts";
import { sealMemory } from "../mm/sealing.ts";
import type { Task } from "../task/task.ts";
import { giveTurnKillable } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { advise, map, populateAll, populateLocked, remap, remapPages, setBreak, unmap } from "./paging.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const PROT_FLAGS = {
  PROT_READ: M.PROT_READ,
  PROT_WRITE: M.PROT_WRITE,
  PROT_EXEC: M.PROT_EXEC,
  PROT_GROWSDOWN: M.PROT_GROWSDOWN,
  PROT_GROWSUP: M.PROT_GROWSUP,
};
const MAP_FLAGS = {
  MAP_SHARED: M.MAP_SHARED,
  MAP_PRIVATE: M.MAP_PRIVATE,
  MAP_FIXED: M.MAP_FIXED,
  MAP_ANONYMOUS,
  MAP_32BIT: M.MAP_32BIT,
  MAP_GROWSDOWN: M.MAP_GROWSDOWN,
  MAP_DENYWRITE: M.MAP_DENYWRITE,
  MAP_EXECUTABLE: M.MAP_EXECUTABLE,
  MAP_LOCKED: M.MAP_LOCKED,
  MAP_NORESERVE: M.MAP_NORESERVE,
  MAP_POPULATE: M.MAP_POPULATE,
  MAP_NONBLOCK: M.MAP_NONBLOCK,
  MAP_STACK: M.MAP_STACK,
  MAP_HUGETLB,
  MAP_SYNC: M.MAP_SYNC,
  MAP_FIXED_NOREPLACE: M.MAP_FIXED_NOREPLACE,
};
const MREMAP_FLAGS = {
  MREMAP_MAYMOVE: M.MREMAP_MAYMOVE,
  MREMAP_FIXED: M.MREMAP_FIXED,
  MREMAP_DONTUNMAP: M.MREMAP_DONTUNMAP,
};
const MSYNC_FLAGS = { MS_ASYNC: M.MS_ASYNC, MS_INVALIDATE: M.MS_INVALIDATE, MS_SYNC: M.MS_SYNC };
const MLOCKALL_FLAGS = {
  MCL_CURRENT: M.MCL_CURRENT,
  MCL_FUTURE: M.MCL_FUTURE,
  MCL_ONFAULT: M.MCL_ONFAULT,
};
const ADVICE = {
  MADV_NORMAL: M.MADV_NORMAL,
  MADV_RANDOM: M.MADV_RANDOM,
  MADV_SEQUENTIAL: M.MADV_SEQUENTIAL,
  MADV_WILLNEED: M.MADV_WILLNEED,
  MADV_DONTNEED: M.MADV_DONTNEED,
  MADV_FREE: M.MADV_FREE,
  MADV_REMOVE: M.MADV_REMOVE,
  MADV_DONTFORK: M.MADV_DONTFORK,
  MADV_DOFORK: M.MADV_DOFORK,
  MADV_MERGEABLE: M.MADV_MERGEABLE,
  MADV_UNMERGEABLE: M.MADV_UNMERGEABLE,
  MADV_HUGEPAGE: M.MADV_HUGEPAGE,
  MADV_NOHUGEPAGE: M.MADV_NOHUGEPAGE,
  MADV_DONTDUMP: M.MADV_DONTDUMP,
  MADV_DODUMP: M.MADV_DODUMP,
  MADV_WIPEONFORK: M.MADV_WIPEONFORK,
  MADV_KEEPONFORK: M.MADV_KEEPONFORK,
  MADV_COLD: M.MADV_COLD,
  MADV_PAGEOUT: M.MADV_PAGEOUT,
  MADV_POPULATE_READ: M.MADV_POPULATE_READ,
  MADV_POPULATE_WRITE: M.MADV_POPULATE_WRITE,
  MADV_DONTNEED_LOCKED: M.MADV_DONTNEED_LOCKED,
};
/** Pages that mincore(2) queries at once. */
const RESIDENCY_PAGES_MAX = 4096;
/** Pages that mincore(2) queries per turn. */
const RESIDENCY_SLICE_PAGES = 4 * RESIDENCY_PAGES_MAX;
/** Locked memory is counted, not pinned. */
const LOCKING = partial("counts against RLIMIT_MEMLOCK and brings pages in; they are not pinned");

export const MEMORY_CALLS: SyscallFamily = {
  mmap: {
    nr: { x64: 9, arm64: 222 },
    args: {
      addr: "word",
      length: "size",
      prot: { flags: PROT_FLAGS },
      flags: { flags: MAP_FLAGS },
      fd: "fd",
      offset: "offset",
    },
    returns: "word",
    support: FULL,
    run: mmap,
  },
  mprotect: {
    nr: { x64: 10, arm64: 226 },
    args: { addr: "word", length: "size", prot: { flags: PROT_FLAGS } },
    returns: "int",
    support: FULL,
    run: (task, args) => protectMemory(task, args.word(0), args.word(1), args.u32(2)),
  },
  munmap: {
    nr: { x64: 11, arm64: 215 },
    args: { addr: "word", length: "size" },
    returns: "int",
    support: FULL,
    run: (task, args) => unmap(task, args.word(0), args.word(1)),
  },
  brk: {
    nr: { x64: 12, arm64: 214 },
    args: { addr: "word" },
    returns: "word",
    support: FULL,
    run: (task, args) => setBreak(task, args.word(0)),
  },
  mremap: {
    nr: { x64: 25, arm64: 216 },
    args: {
      old_address: "word",
      old_size: "size",
      new_size: "size",
      flags: { flags: MREMAP_FLAGS },
      new_address: "word",
    },
    returns: "word",
    support: FULL,
    run: (task, args) => remap(task, args.word(0), args.word(1), args.word(2), args.u32(3), args.word(4)),
  },
  msync: {
    nr: { x64: 26, arm64: 227 },
    args: { addr: "word", length: "size", flags: { flags: MSYNC_FLAGS } },
    returns: "int",
    support: FULL,
    run: msync,
  },
  mincore: {
    nr: { x64: 27, arm64: 232 },
    args: { addr: "word", length: "size", vec: "word" },
    returns: "int",
    support: FULL,
    run: mincore,
  },
  madvise: {
    nr: { x64: 28, arm64: 233 },
    args: { addr: "word", length: "size", advice: { values: ADVICE } },
    returns: "int",
    support: partial("MERGEABLE has no effect; no COLLAPSE, HWPOISON, GUARD_INSTALL"),
    run: (task, args) => advise(task, args.word(0), args.word(1), args.i32(2)),
  },
  mlock: {
    nr: { x64: 149, arm64: 228 },
    args: { addr: "word", length: "size" },
    returns: "int",
    support: LOCKING,
    run: (task, args) => lock(task, args.word(0), args.word(1), false),
  },
  munlock: {
    nr: { x64: 150, arm64: 229 },
    args: { addr: "word", length: "size" },
    returns: "int",
    support: FULL,
    run: (task, args) => unlockMemory(task, args.word(0), args.word(1)),
  },
  mlockall: {
    nr: { x64: 151, arm64: 230 },
    args: { flags: { flags: MLOCKALL_FLAGS } },
    returns: "int",
    support: LOCKING,
    run: mlockall,
  },
  munlockall: {
    nr: { x64: 152, arm64: 231 },
    args: {},
    returns: "int",
    support: FULL,
    run: unlockAllMemory,
  },
  mlock2: {
    nr: { x64: 325, arm64: 284 },
    args: { addr: "word", length: "size", flags: { flags: { MLOCK_ONFAULT: M.MLOCK_ONFAULT } } },
    returns: "int",
    support: LOCKING,
    run: mlock2,
  },
  remap_file_pages: {
    nr: { x64: 216, arm64: 234 },
    args: { addr: "word", size: "size", prot: "int", pgoff: "size", flags: "int" },
    returns: "int",
    support: FULL,
    run: (task, args) => remapPages(task, args.word(0), args.word(1), args.i32(2), args.word(3)),
  },
  mseal: {
    nr: { x64: 462, arm64: 462 },
    args: { addr: "word", length: "size", flags: "word" },
    returns: "int",
    support: FULL,
    run: (task, args) => sealMemory(task, args.word(0), args.word(1), args.word(2)),
  },
  pkey_mprotect: {
    nr: { x64: 329, arm64: 288 },
    args: { addr: "word", length: "size", prot: { flags: PROT_FLAGS }, pkey: "int" },
    returns: "int",
    support: partial("without protection keys, as on a CPU that lacks them: pkey has to be -1"),
    run: (task, args) =>
      args.i32(3) === -1 ? protectMemory(task, args.word(0), args.word(1), args.u32(2)) : -EINVAL,
  },
  pkey_alloc: {
    nr: { x64: 330, arm64: 289 },
    args: { flags: "uint", access_rights: "uint" },
    returns: "int",
    support: partial("answers ENOSPC, as on a CPU without protection keys"),
    run: (_task, args) => args.word(0) !== 0 || args.word(1) > PKEY_RIGHTS_MAX ? -EINVAL : -ENOSPC,
  },
  pkey_free: {
    nr: { x64: 331, arm64: 290 },
    args: { pkey: "int" },
    returns: "int",
    support: partial("there is no key to free"),
    run: () => -EINVAL,
  },
};

/** PKEY_DISABLE_ACCESS | PKEY_DISABLE_WRITE. */
const PKEY_RIGHTS_MAX = 3;

function mmap(task: Task, args: Args): number {
  const flags = args.u32(3);
  const offset = args.word(5);
  if (!isPageAligned(offset)) return -EINVAL;
  if ((flags & MAP_ANONYMOUS) !== 0) {
    // No huge pages are reserved: hugetlb_acct_memory() fails.
    if ((flags & MAP_HUGETLB) !== 0) return -ENOMEM;
    return map(task, args.word(0), args.word(1), args.u32(2), flags, null, 0);
  }
  const file = task.files.get(args.i32(4));
  if (file === null || (file.flags & O_PATH) !== 0) return -EBADF;
  if ((flags & MAP_HUGETLB) !== 0) return -EINVAL;
  return map(task, args.word(0), args.word(1), args.u32(2), flags, file, offset);
}

function mlockall(task: Task, args: Args): number {
  const flags = args.i32(0), result = lockAllMemory(task, flags);
  return (flags & (M.MCL_CURRENT | M.MCL_ONFAULT)) === M.MCL_CURRENT ? populateAll(task, result) : result;
}

function mlock2(task: Task, args: Args): number {
  const flags = args.i32(2);
  if ((flags & ~M.MLOCK_ONFAULT) !== 0) return -EINVAL;
  return lock(task, args.word(0), args.word(1), flags !== 0);
}

function lock(task: Task, address: number, length: number, isOnFault: boolean): number {
  const result = lockMemory(task, address, length, isOnFault);
  return isOnFault ? result : populateLocked(task, address, length, result);
}

function msync(task: Task, args: Args): number {
  const flags = args.u32(2);
  const start = args.word(0);
  if ((flags & ~(M.MS_ASYNC | M.MS_INVALIDATE | M.MS_SYNC)) !== 0 || !isPageAligned(start)) return -EINVAL;
  if ((flags & M.MS_ASYNC) !== 0 && (flags & M.MS_SYNC) !== 0) return -EINVAL;
  if (args.word(1) > task.mm.layout.end) return -ENOMEM;
  const end = start + pageUp(args.word(1));
  const { areas, space } = task.mm;
  for (let i = areas.indexAfter(start); i < areas.count && areas.at(i).start < end; i++) {
    const area = areas.at(i);
    if (area.isLocked && (flags & M.MS_INVALIDATE) !== 0) return -EBUSY;
    if ((flags & M.MS_SYNC) === 0 || !area.isShared || area.backing === null) continue;
    const from = Math.max(start, area.start), to = Math.min(end, area.end);
    if (space.sync(task.thread, from, to - from, M.MS_SYNC) < 0) return -EIO;
  }
  return areas.isCovered(start, end) ? 0 : -ENOMEM;
}

const residency = new Uint8Array(RESIDENCY_PAGES_MAX);

function mincore(task: Task, args: Args): number {
  const start = args.word(0), into = args.word(2);
  if (!isPageAligned(start)) return -EINVAL;
  if (start > task.mm.layout.end || args.word(1) > task.mm.layout.end - start) return -ENOMEM;
  const pages = pageUp(args.word(1)) / PAGE_SIZE;
  if (into + pages > task.mm.layout.end) return -EFAULT;
  const { areas, space } = task.mm;
  const sliceEnd = Math.min(pages, task.call.done + RESIDENCY_SLICE_PAGES);
  for (let { done } = task.call; done < sliceEnd;) {
    const count = Math.min(RESIDENCY_PAGES_MAX, sliceEnd - done);
    const from = start + done * PAGE_SIZE;
    if (!areas.isCovered(from, from + count * PAGE_SIZE)) return -ENOMEM;
    const result = space.residency(task.thread, from, count * PAGE_SIZE, residency, 0);
    if (result < 0) return result;
    if (task.memory.copyOut(into + done, residency, 0, count) < 0) return -EFAULT;
    done += count;
  }
  if (sliceEnd === pages) return 0;
  task.call.setDone(sliceEnd);
  return giveTurnKillable(task);
}
