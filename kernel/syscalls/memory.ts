// mmap(2) and its kin: arguments to the operations of mm/mapping.ts, and the calls that are small enough to stand here.

import { EACCES, EBADF, EBUSY, EFAULT, EINVAL, EIO, ENOMEM, EPERM, ESRCH } from "../abi/errno.ts";
import {
  isPageAligned,
  MADV_COLD,
  MADV_DODUMP,
  MADV_DOFORK,
  MADV_DONTDUMP,
  MADV_DONTFORK,
  MADV_DONTNEED,
  MADV_FREE,
  MADV_HUGEPAGE,
  MADV_KEEPONFORK,
  MADV_MERGEABLE,
  MADV_NOHUGEPAGE,
  MADV_NORMAL,
  MADV_PAGEOUT,
  MADV_POPULATE_READ,
  MADV_POPULATE_WRITE,
  MADV_RANDOM,
  MADV_REMOVE,
  MADV_SEQUENTIAL,
  MADV_UNMERGEABLE,
  MADV_WILLNEED,
  MADV_WIPEONFORK,
  MAP_ANONYMOUS,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_PRIVATE,
  MAP_SHARED,
  MCL_CURRENT,
  MCL_FUTURE,
  MCL_ONFAULT,
  MLOCK_ONFAULT,
  MREMAP_DONTUNMAP,
  MREMAP_FIXED,
  MREMAP_MAYMOVE,
  pageUp,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { MS_ASYNC, MS_INVALIDATE, MS_SYNC } from "../abi/memory.ts";
import { CAP_IPC_LOCK, CAP_SYS_PTRACE, RLIMIT_MEMLOCK } from "../abi/task.ts";
import { USER_ADDRESS_END } from "../../platform/platform.ts";
import { changeBreak, mapMemory, protectMemory, remapMemory, unmapMemory } from "../mm/mapping.ts";
import type { Vma } from "../mm/vma.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const PROT_FLAGS = { PROT_READ, PROT_WRITE, PROT_EXEC };
const MAP_FLAGS = { MAP_SHARED, MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS, MAP_FIXED_NOREPLACE };

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
    run: (task, args) => unmapMemory(task, args.word(0), args.word(1)),
  },
  brk: {
    nr: { x64: 12, arm64: 214 },
    args: { addr: "word" },
    returns: "word",
    support: FULL,
    run: (task, args) => changeBreak(task, args.word(0)),
  },
  mremap: {
    nr: { x64: 25, arm64: 216 },
    args: {
      old_address: "word",
      old_size: "size",
      new_size: "size",
      flags: { flags: { MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP } },
      new_address: "word",
    },
    returns: "word",
    support: partial("old_size 0 does not duplicate a shared mapping"),
    run: (task, args) =>
      remapMemory(task, args.word(0), args.word(1), args.word(2), args.u32(3), args.word(4)),
  },
  msync: {
    nr: { x64: 26, arm64: 227 },
    args: { addr: "word", length: "size", flags: { flags: { MS_ASYNC, MS_INVALIDATE, MS_SYNC } } },
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
    args: { addr: "word", length: "size", advice: "int" },
    returns: "int",
    support: partial("MERGEABLE, HUGEPAGE, COLD and PAGEOUT are hints without effect"),
    run: madvise,
  },
  mlock: {
    nr: { x64: 149, arm64: 228 },
    args: { addr: "word", length: "size" },
    returns: "int",
    support: partial("accounts against RLIMIT_MEMLOCK; pages are not pinned"),
    run: (task, args) => lock(task, args.word(0), args.word(1), true),
  },
  munlock: {
    nr: { x64: 150, arm64: 229 },
    args: { addr: "word", length: "size" },
    returns: "int",
    support: FULL,
    run: (task, args) => lock(task, args.word(0), args.word(1), false),
  },
  mlockall: {
    nr: { x64: 151, arm64: 230 },
    args: { flags: { flags: { MCL_CURRENT, MCL_FUTURE, MCL_ONFAULT } } },
    returns: "int",
    support: partial("accounts against RLIMIT_MEMLOCK; pages are not pinned"),
    run: mlockall,
  },
  munlockall: {
    nr: { x64: 152, arm64: 231 },
    args: {},
    returns: "int",
    support: FULL,
    run: munlockall,
  },
  mlock2: {
    nr: { x64: 325, arm64: 284 },
    args: { addr: "word", length: "size", flags: "int" },
    returns: "int",
    support: partial("accounts against RLIMIT_MEMLOCK; pages are not pinned"),
    run: (task, args) =>
      (args.u32(2) & ~MLOCK_ONFAULT) !== 0 ? -EINVAL : lock(task, args.word(0), args.word(1), true),
  },
  process_vm_readv: {
    nr: { x64: 310, arm64: 270 },
    args: { pid: "pid", local: "word", liovcnt: "size", remote: "word", riovcnt: "size", flags: "word" },
    returns: "size",
    support: partial("without Yama"),
    run: (task, args) => processMemory(task, args, false),
  },
  process_vm_writev: {
    nr: { x64: 311, arm64: 271 },
    args: { pid: "pid", local: "word", liovcnt: "size", remote: "word", riovcnt: "size", flags: "word" },
    returns: "size",
    support: partial("without Yama"),
    run: (task, args) => processMemory(task, args, true),
  },
};

function mmap(task: Task, args: Args): number {
  const flags = args.u32(3);
  const offset = args.word(5);
  if (!isPageAligned(offset)) return -EINVAL;
  if ((flags & MAP_ANONYMOUS) !== 0) {
    return mapMemory(task, args.word(0), args.word(1), args.u32(2), flags, null, 0);
  }
  const file = task.files.get(args.i32(4));
  if (file === null) return -EBADF;
  return mapMemory(task, args.word(0), args.word(1), args.u32(2), flags, file, offset);
}

/** [address, +length) rounded to pages, or -ERRNO: what msync, mincore and madvise check alike. */
function pageRange(address: number, length: number, errno: number): number {
  if (!isPageAligned(address)) return -EINVAL;
  if (length > USER_ADDRESS_END || address + pageUp(length) > USER_ADDRESS_END) return -errno;
  return pageUp(length);
}

function msync(task: Task, args: Args): number {
  const flags = args.u32(2);
  if ((flags & ~(MS_ASYNC | MS_INVALIDATE | MS_SYNC)) !== 0) return -EINVAL;
  if ((flags & MS_ASYNC) !== 0 && (flags & MS_SYNC) !== 0) return -EINVAL;
  const length = pageRange(args.word(0), args.word(1), ENOMEM);
  if (length <= 0) return length;
  const start = args.word(0), end = start + length;
  const mm = task.mm;
  const isWhole = mm.areas.isCovered(start, end);
  for (let i = mm.areas.indexAfter(start); i < mm.areas.count && mm.areas.at(i).start < end; i++) {
    const area = mm.areas.at(i);
    if (area.isLocked && (flags & MS_INVALIDATE) !== 0) return -EBUSY;
    if ((flags & MS_SYNC) === 0 || !area.isShared || area.backing === null) continue;
    const from = Math.max(start, area.start), to = Math.min(end, area.end);
    if (mm.space.sync(task.thread, from, to - from, MS_SYNC) < 0) return -EIO;
  }
  return isWhole ? 0 : -ENOMEM;
}

function mincore(task: Task, args: Args): number {
  const length = pageRange(args.word(0), args.word(1), ENOMEM);
  if (length < 0) return length;
  const start = args.word(0);
  if (!task.mm.areas.isCovered(start, start + length)) return -ENOMEM;
  const pages = length / 4096;
  const residency = new Uint8Array(Math.min(pages, 65536));
  for (let done = 0; done < pages; done += residency.length) {
    const count = Math.min(residency.length, pages - done);
    const result = task.mm.space.residency(task.thread, start + done * 4096, count * 4096, residency, 0);
    if (result < 0) return result;
    if (task.memory.copyOut(args.word(2) + done, residency, 0, count) < 0) return -EFAULT;
  }
  return 0;
}

function madvise(task: Task, args: Args): number {
  const advice = args.i32(2);
  if (!isKnownAdvice(advice)) return -EINVAL;
  const length = pageRange(args.word(0), args.word(1), EINVAL);
  if (length <= 0) return length;
  const start = args.word(0), end = start + length;
  const areas = task.mm.areas;
  const isWhole = areas.isCovered(start, end);
  for (let at = start; at < end;) {
    const index = areas.indexAfter(at);
    if (index >= areas.count || areas.at(index).start >= end) break;
    const area = areas.at(index);
    const from = Math.max(at, area.start), to = Math.min(end, area.end);
    const result = adviseArea(task, area, from, to, advice);
    if (result < 0) return result;
    at = to;
  }
  return isWhole ? 0 : -ENOMEM;
}

function isKnownAdvice(advice: number): boolean {
  return (advice >= MADV_NORMAL && advice <= MADV_DONTNEED) ||
    (advice >= MADV_FREE && advice <= MADV_POPULATE_WRITE);
}

function adviseArea(task: Task, area: Vma, from: number, to: number, advice: number): number {
  const { areas, space } = task.mm;
  switch (advice) {
    case MADV_DONTNEED:
      if (area.isLocked) return -EINVAL;
      return space.advise(task.thread, from, to - from, MADV_DONTNEED);
    case MADV_FREE:
      if (area.isShared || area.backing !== null) return -EINVAL;
      return space.advise(task.thread, from, to - from, MADV_FREE);
    case MADV_REMOVE:
      if (!area.isShared || area.backing === null || area.isLocked) return -EINVAL;
      if ((area.prot & PROT_WRITE) === 0) return -EACCES;
      return space.advise(task.thread, from, to - from, MADV_REMOVE);
    case MADV_DONTFORK:
    case MADV_DOFORK: {
      const result = space.advise(task.thread, from, to - from, advice);
      if (result < 0) return result;
      areas.update(from, to, (part) => part.isForked = advice === MADV_DOFORK);
      return 0;
    }
    case MADV_WIPEONFORK:
    case MADV_KEEPONFORK: {
      if (advice === MADV_WIPEONFORK && (area.isShared || area.backing !== null)) return -EINVAL;
      const result = space.advise(task.thread, from, to - from, advice);
      if (result < 0) return result;
      areas.update(from, to, (part) => part.isWiped = advice === MADV_WIPEONFORK);
      return 0;
    }
    case MADV_DONTDUMP:
    case MADV_DODUMP:
      areas.update(from, to, (part) => part.isDumped = advice === MADV_DODUMP);
      return 0;
    case MADV_POPULATE_READ:
    case MADV_POPULATE_WRITE:
    case MADV_WILLNEED:
      return space.advise(task.thread, from, to - from, advice);
    case MADV_NORMAL:
    case MADV_RANDOM:
    case MADV_SEQUENTIAL:
    case MADV_MERGEABLE:
    case MADV_UNMERGEABLE:
    case MADV_HUGEPAGE:
    case MADV_NOHUGEPAGE:
    case MADV_COLD:
    case MADV_PAGEOUT:
      return 0;
    default:
      return -EINVAL;
  }
}

function lock(task: Task, address: number, length: number, isLocked: boolean): number {
  const start = address - address % 4096;
  const bytes = pageUp(length + (address - start));
  if (bytes === 0) return 0;
  if (bytes > USER_ADDRESS_END || start + bytes > USER_ADDRESS_END) return isLocked ? -ENOMEM : -EINVAL;
  const mm = task.mm;
  if (isLocked && !task.credentials.has(CAP_IPC_LOCK)) {
    const limit = task.threadGroup.limits.soft(RLIMIT_MEMLOCK);
    if (limit === 0) return -EPERM;
    if (mm.lockedBytes + bytes > limit) return -ENOMEM;
  }
  if (!mm.areas.isCovered(start, start + bytes)) return -ENOMEM;
  mm.areas.update(start, start + bytes, (area) => {
    if (area.isLocked !== isLocked) mm.lockedBytes += isLocked ? area.length : -area.length;
    area.isLocked = isLocked;
  });
  return 0;
}

function mlockall(task: Task, args: Args): number {
  const flags = args.u32(0);
  if (flags === 0 || (flags & ~(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT)) !== 0 || flags === MCL_ONFAULT) {
    return -EINVAL;
  }
  const mm = task.mm;
  if (!task.credentials.has(CAP_IPC_LOCK)) {
    const limit = task.threadGroup.limits.soft(RLIMIT_MEMLOCK);
    if (limit === 0) return -EPERM;
    if ((flags & MCL_CURRENT) !== 0 && mm.areas.totalBytes > limit) return -ENOMEM;
  }
  mm.lockFuture = (flags & MCL_FUTURE) !== 0;
  if ((flags & MCL_CURRENT) !== 0) {
    for (const area of mm.areas) area.isLocked = true;
    mm.lockedBytes = mm.areas.totalBytes;
  }
  return 0;
}

function munlockall(task: Task): number {
  for (const area of task.mm.areas) area.isLocked = false;
  task.mm.lockedBytes = 0;
  task.mm.lockFuture = false;
  return 0;
}

const transfer = new Uint8Array(64 * 1024);

/** process_vm_readv(2), writev: of oneself and of processes one may trace. */
function processMemory(task: Task, args: Args, isWrite: boolean): number {
  if (args.word(5) !== 0) return -EINVAL;
  const local = readIovecs(task, args.word(1), args.word(2));
  if (typeof local === "number") return local;
  const remote = readIovecs(task, args.word(3), args.word(4));
  if (typeof remote === "number") return remote;
  const other = task.pid.namespace.task(args.i32(0));
  if (other === null || other.hasExited) return -ESRCH;
  if (other.mm !== task.mm && !mayAccessMemory(task, other)) return -EPERM;
  let done = 0, l = 0, lAt = 0;
  for (const [base, size] of remote) {
    for (let rAt = 0; rAt < size;) {
      while (l < local.length && lAt === local[l][1]) {
        l++;
        lAt = 0;
      }
      if (l >= local.length) return done;
      const n = Math.min(size - rAt, local[l][1] - lAt, transfer.length);
      const from = isWrite ? task.mm.space : other.mm.space, to = isWrite ? other.mm.space : task.mm.space;
      const fromAt = isWrite ? local[l][0] + lAt : base + rAt,
        toAt = isWrite ? base + rAt : local[l][0] + lAt;
      if (from.read(fromAt, transfer, 0, n) !== n || to.write(toAt, transfer, 0, n) !== n) {
        return done > 0 ? done : -EFAULT;
      }
      done += n;
      rAt += n;
      lAt += n;
    }
  }
  return done;
}

/** ptrace(2) "Ptrace access mode checking", PTRACE_MODE_ATTACH_REALCREDS without Yama. */
function mayAccessMemory(task: Task, other: Task): boolean {
  const mine = task.credentials, theirs = other.credentials;
  if (mine.has(CAP_SYS_PTRACE)) return true;
  return mine.uid === theirs.uid && mine.uid === theirs.euid && mine.uid === theirs.suid &&
    mine.gid === theirs.gid &&
    mine.gid === theirs.egid && mine.gid === theirs.sgid && other.mm.dumpable === 1;
}

function readIovecs(task: Task, address: number, count: number): [number, number][] | number {
  if (count > 1024) return -EINVAL;
  const bytes = new Uint8Array(count * 16);
  if (task.memory.copyIn(address, bytes, 0, count * 16) < 0) return -EFAULT;
  const view = new DataView(bytes.buffer);
  const list: [number, number][] = [];
  for (let i = 0; i < count; i++) {
    list.push([Number(view.getBigUint64(i * 16, true)), Number(view.getBigUint64(i * 16 + 8, true))]);
  }
  return list;
}
