// System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).

import { EACCES, EEXIST, EFAULT, EINVAL, EPERM } from "../abi/errno.ts";
import {
  IPC_CREAT,
  IPC_EXCL,
  IPC_INFO,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  SHM_EXEC,
  SHM_HUGETLB,
  SHM_INFO,
  SHM_LOCK,
  SHM_LOCKED,
  SHM_NORESERVE,
  SHM_RDONLY,
  SHM_REMAP,
  SHM_RND,
  SHM_STAT,
  SHM_STAT_ANY,
  SHM_UNLOCK,
  SHMID_BYTES,
} from "../abi/ipc.ts";
import {
  isPageAligned,
  MAP_FIXED,
  MAP_FIXED_NOREPLACE,
  MAP_SHARED,
  pageDown,
  PROT_EXEC,
  PROT_READ,
  PROT_WRITE,
} from "../abi/memory.ts";
import { put32, put64 } from "../abi/struct.ts";
import { CAP_IPC_LOCK } from "../abi/task.ts";
import { MAY_READ_OBJECT, MAY_WRITE_OBJECT } from "../ipc/system_v/ids.ts";
import {
  newSegment,
  pagesOf,
  SEGMENT_BYTES_MAX,
  SEGMENT_BYTES_MIN,
  SegmentFile,
  type SharedSegment,
  SHOWN_MAX_HIGH,
  SHOWN_MAX_LOW,
} from "../ipc/system_v/shared_memory.ts";
import { systemV } from "../ipc/system_v/tables.ts";
import { mapMemory, unmapMemory } from "../mm/mapping.ts";
import type { Task } from "../task/task.ts";
import { giveTurnKillable } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { GIVE_BACK_PIECE_BYTES } from "./paging.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

const SHM_COMMANDS = {
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  IPC_INFO,
  SHM_INFO,
  SHM_STAT,
  SHM_STAT_ANY,
  SHM_LOCK,
  SHM_UNLOCK,
};

export const SHARED_MEMORY_CALLS: SyscallFamily = {
  shmget: {
    nr: { x64: 29, arm64: 194 },
    args: {
      key: "int",
      size: "size",
      shmflg: { flags: { IPC_CREAT, IPC_EXCL, SHM_HUGETLB, SHM_NORESERVE } },
    },
    returns: "int",
    support: partial("no huge pages"),
    run: shmget,
  },
  shmat: {
    nr: { x64: 30, arm64: 196 },
    args: {
      shmid: "int",
      shmaddr: "word",
      shmflg: { flags: { SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC } },
    },
    returns: "word",
    support: FULL,
    run: shmat,
  },
  shmctl: {
    nr: { x64: 31, arm64: 195 },
    args: { shmid: "int", cmd: { values: SHM_COMMANDS }, buf: { inOut: SHMID_BYTES } },
    returns: "int",
    support: partial("SHM_LOCK is noted and locks nothing"),
    run: shmctl,
  },
  shmdt: {
    nr: { x64: 67, arm64: 197 },
    args: { shmaddr: "word" },
    returns: "int",
    support: FULL,
    run: shmdt,
  },
};

const bytes = new Uint8Array(SHMID_BYTES);

function shmget(task: Task, args: Args): number {
  const ids = systemV(task).segments;
  const key = args.i32(0), size = args.word(1), flags = args.u32(2);
  if ((flags & SHM_HUGETLB) !== 0) return task.kernel.coverage.unfinished("shmget SHM_HUGETLB", EINVAL);
  return ids.open(
    task,
    key,
    flags,
    (segment) => size > segment.bytes ? -EINVAL : 0,
    () => newSegment(task, ids, key, size, flags),
  );
}

function shmat(task: Task, args: Args): number {
  const segment = systemV(task).segments.get(args.i32(0));
  let address = args.word(1);
  const flags = args.u32(2);
  let mapFlags = MAP_SHARED;
  if (address !== 0) {
    if (!isPageAligned(address)) {
      if ((flags & SHM_RND) === 0) return -EINVAL;
      address = pageDown(address);
      if (address === 0 && (flags & SHM_REMAP) !== 0) return -EINVAL;
    }
    mapFlags |= (flags & SHM_REMAP) !== 0 ? MAP_FIXED : MAP_FIXED_NOREPLACE;
  } else if ((flags & SHM_REMAP) !== 0) {
    return -EINVAL;
  }
  if (typeof segment === "number") return segment;
  const isReadOnly = (flags & SHM_RDONLY) !== 0;
  const wanted = (isReadOnly ? 0 : MAY_WRITE_OBJECT) | MAY_READ_OBJECT;
  const refused = segment.mayAccess(task, (flags & SHM_EXEC) !== 0 ? wanted | 0o111 : wanted);
  if (refused < 0) return refused;
  const prot = PROT_READ | (isReadOnly ? 0 : PROT_WRITE) | ((flags & SHM_EXEC) !== 0 ? PROT_EXEC : 0);
  const at = mapMemory(task, address, segment.bytes, prot, mapFlags, segment.file(isReadOnly), 0);
  if (at < 0) return at === -EEXIST ? -EINVAL : at;
  segment.onAttach(task);
  return at;
}

/** Detaches every piece of the attachment that began at the address: ksys_shmdt(). */
function shmdt(task: Task, args: Args): number {
  const address = args.word(0);
  if (!isPageAligned(address)) return -EINVAL;
  const areas = task.mm.areas;
  let segment: SharedSegment | null = null;
  for (let i = areas.indexAfter(address); i < areas.count;) {
    const area = areas.at(i);
    if (segment !== null && area.start >= address + segment.bytes) break;
    const file = area.backing?.file;
    const isIts = file instanceof SegmentFile && area.start - area.offset === address &&
      (segment === null || file.segment === segment);
    if (!isIts) {
      if (segment === null && area.start > address + SEGMENT_BYTES_MAX) break;
      i++;
      continue;
    }
    segment = file.segment;
    segment.onDetach(task);
    const bytes = area.length, piece = Math.min(bytes, GIVE_BACK_PIECE_BYTES);
    const result = unmapMemory(task, area.start, piece);
    if (result < 0) return result;
    // The next turn finds the remaining pieces by their offset.
    if (piece < bytes) return giveTurnKillable(task);
  }
  return segment === null ? -EINVAL : 0;
}

function shmctl(task: Task, args: Args): number {
  const id = args.i32(0), command = args.i32(1), buffer = args.word(2);
  if (id < 0 || command < 0) return -EINVAL;
  const ids = systemV(task).segments;
  const { segmentBytesMax, segmentPagesMax, segmentsMax } = task.namespaces.ipc.parameters;
  switch (command) {
    case IPC_INFO:
      bytes.fill(0);
      putLimit(0, segmentBytesMax);
      put64(bytes, 8, SEGMENT_BYTES_MIN);
      put64(bytes, 16, segmentsMax);
      put64(bytes, 24, segmentsMax);
      putLimit(32, segmentPagesMax);
      return putAnswer(task, buffer, 72, Math.max(0, ids.last));
    case SHM_INFO:
      bytes.fill(0);
      put32(bytes, 0, ids.count);
      put64(bytes, 8, pagesOf(ids));
      put64(bytes, 16, pagesOf(ids));
      return putAnswer(task, buffer, 48, Math.max(0, ids.last));
    case SHM_STAT:
    case SHM_STAT_ANY: {
      const segment = ids.at(id);
      if (segment === null) return -EINVAL;
      return putStatus(task, segment, buffer, command !== SHM_STAT_ANY, segment.id);
    }
  }
  const segment = ids.get(id);
  if (typeof segment === "number") return segment;
  switch (command) {
    case IPC_STAT:
      return putStatus(task, segment, buffer, true, 0);
    case IPC_SET: {
      if (task.memory.copyIn(buffer, bytes, 0, SHMID_BYTES) < 0) return -EFAULT;
      const refused = segment.mayControl(task);
      if (refused === 0) segment.setPermissions(task, bytes, 0);
      return refused;
    }
    case IPC_RMID: {
      const refused = segment.mayControl(task);
      if (refused === 0) segment.destroy();
      return refused;
    }
    case SHM_LOCK:
    case SHM_UNLOCK: {
      if (segment.mayControl(task) < 0 && !task.credentials.has(CAP_IPC_LOCK)) return -EPERM;
      segment.mode = command === SHM_LOCK ? segment.mode | SHM_LOCKED : segment.mode & ~SHM_LOCKED;
      return 0;
    }
    default:
      return -EINVAL;
  }
}

/** kernel.shmmax or shmall. */
function putLimit(at: number, limit: number): void {
  if (limit !== Infinity) {
    put64(bytes, at, limit);
    return;
  }
  put32(bytes, at, SHOWN_MAX_LOW);
  put32(bytes, at + 4, SHOWN_MAX_HIGH);
}

function putStatus(
  task: Task,
  segment: SharedSegment,
  buffer: number,
  checks: boolean,
  result: number,
): number {
  if (checks && segment.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
  segment.putStatus(task, bytes, 0);
  return putAnswer(task, buffer, SHMID_BYTES, result);
}

function putAnswer(task: Task, buffer: number, length: number, result: number): number {
  return task.memory.copyOut(buffer, bytes, 0, length) < 0 ? -EFAULT : result;
}
