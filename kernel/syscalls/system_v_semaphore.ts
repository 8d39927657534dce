// System V semaphores: semget(2), semop(2), semtimedop(2), semctl(2).

import { E2BIG, EACCES, EAGAIN, EFAULT, EIDRM, EINTR, EINVAL, ENOMEM, ENOSPC, ERANGE } from "../abi/errno.ts";
import { POLLIN } from "../abi/file.ts";
import {
  GETALL,
  GETNCNT,
  GETPID,
  GETVAL,
  GETZCNT,
  IPC_CREAT,
  IPC_EXCL,
  IPC_INFO,
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  SEM_INFO,
  SEM_STAT,
  SEM_STAT_ANY,
  SEMBUF_BYTES,
  SETALL,
  SETVAL,
} from "../abi/ipc.ts";
import { put16, put32, u16 } from "../abi/struct.ts";
import { SEMID_BYTES } from "../arch/layouts.ts";
import { MAY_READ_OBJECT, MAY_WRITE_OBJECT } from "../ipc/system_v/ids.ts";
import { SemaphoreSet, VALUE_MAX, WOULD_WAIT } from "../ipc/system_v/semaphores.ts";
import { systemV } from "../ipc/system_v/tables.ts";
import { BLOCKED } from "../task/call_in_flight.ts";
import type { Task } from "../task/task.ts";
import { suspend } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";
import { isDeadlineOver, setTimespecDeadline } from "./wait_time.ts";

const SEM_COMMANDS = {
  IPC_RMID,
  IPC_SET,
  IPC_STAT,
  IPC_INFO,
  GETPID,
  GETVAL,
  GETALL,
  GETNCNT,
  GETZCNT,
  SETVAL,
  SETALL,
  SEM_STAT,
  SEM_INFO,
  SEM_STAT_ANY,
};
const SEMINFO_BYTES = 40;

export const SEMAPHORE_CALLS: SyscallFamily = {
  semget: {
    nr: { x64: 64, arm64: 190 },
    args: { key: "int", nsems: "int", semflg: { flags: { IPC_CREAT, IPC_EXCL } } },
    returns: "int",
    support: FULL,
    run: semget,
  },
  semop: {
    nr: { x64: 65, arm64: 193 },
    args: { semid: "int", sops: { inBuffer: "nsops", unit: SEMBUF_BYTES }, nsops: "size" },
    returns: "int",
    support: FULL,
    run: semop,
  },
  semctl: {
    nr: { x64: 66, arm64: 191 },
    args: { semid: "int", semnum: "int", cmd: { values: SEM_COMMANDS }, arg: "word" },
    returns: "int",
    support: FULL,
    run: semctl,
  },
  semtimedop: {
    nr: { x64: 220, arm64: 192 },
    args: {
      semid: "int",
      sops: { inBuffer: "nsops", unit: SEMBUF_BYTES },
      nsops: "size",
      timeout: { in: 16 },
    },
    returns: "int",
    support: FULL,
    run: semtimedop,
  },
};

/** Operations of one call whatever kernel.sem says: what sembuf's index can tell apart. */
const OPERATIONS_MAX = 65_536;
const bytes = new Uint8Array(OPERATIONS_MAX * SEMBUF_BYTES);

function semget(task: Task, args: Args): number {
  const key = args.i32(0), count = args.i32(1), flags = args.u32(2);
  const { parameters } = task.namespaces.ipc;
  if (count < 0 || count > parameters.semaphoresPerSetMax) return -EINVAL;
  const ids = systemV(task).semaphores;
  return ids.open(
    task,
    key,
    flags,
    (set) => count > set.count ? -EINVAL : 0,
    () =>
      count === 0
        ? -EINVAL
        : ids.sum((set) => set.count) + count > parameters.semaphoresMax
        ? -ENOSPC
        : !SemaphoreSet.takeMemory(task.kernel.account.heap, count)
        ? -ENOMEM
        : new SemaphoreSet(task, key, count, flags),
  );
}

function semop(task: Task, args: Args): number {
  return operate(task, args);
}

function semtimedop(task: Task, args: Args): number {
  const timed = setTimespecDeadline(task, args.word(3));
  return timed < 0 ? timed : operate(task, args);
}

/** Tries the operations now and after each change of the set, until call.deadline. */
function operate(task: Task, args: Args): number {
  const count = args.word(2);
  if (count < 1) return -EINVAL;
  if (count > Math.min(task.namespaces.ipc.parameters.operationsMax, OPERATIONS_MAX)) return -E2BIG;
  if (task.memory.copyIn(args.word(1), bytes, 0, count * SEMBUF_BYTES) < 0) return -EFAULT;
  const { call } = task;
  const set = systemV(task).semaphores.get(args.i32(0));
  // The set that the call waited for was removed, even if its id is in use again.
  if (typeof set === "number") return call.hasWaited ? -EIDRM : set;
  let alters = false;
  for (let i = 0; i < count; i++) alters = alters || u16(bytes, i * SEMBUF_BYTES + 2) !== 0;
  const refused = set.mayAccess(task, alters ? MAY_WRITE_OBJECT : MAY_READ_OBJECT);
  if (refused < 0) return refused;
  const result = set.apply(task, bytes, 0, count);
  if (result !== WOULD_WAIT) return result;
  if (isDeadlineOver(task)) {
    set.leave(task);
    return -EAGAIN;
  }
  call.waitOn(set.queue, POLLIN);
  const waited = suspend(task, { kind: "system v", id: set.id }, -EINTR);
  if (waited !== BLOCKED) set.leave(task);
  return waited;
}

function semctl(task: Task, args: Args): number {
  const id = args.i32(0), number = args.i32(1), command = args.i32(2), argument = args.word(3);
  if (id < 0) return -EINVAL;
  const ids = systemV(task).semaphores;
  switch (command) {
    case IPC_INFO:
    case SEM_INFO: {
      const { setsMax, semaphoresMax, semaphoresPerSetMax, operationsMax } = task.namespaces.ipc.parameters;
      const info = [setsMax, setsMax, semaphoresMax, semaphoresMax, semaphoresPerSetMax];
      info.push(operationsMax, operationsMax, 20, VALUE_MAX, VALUE_MAX);
      info.forEach((value, i) => put32(bytes, 4 * i, value));
      if (command === SEM_INFO) {
        put32(bytes, 28, ids.count);
        put32(bytes, 36, ids.sum((set) => set.count));
      }
      return putAnswer(task, argument, SEMINFO_BYTES, Math.max(0, ids.last));
    }
    case SEM_STAT:
    case SEM_STAT_ANY: {
      const set = ids.at(id);
      if (set === null) return -EINVAL;
      if (command === SEM_STAT && set.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
      set.putStatus(task, bytes, 0);
      return putAnswer(task, argument, SEMID_BYTES, set.id);
    }
  }
  const set = ids.get(id);
  return typeof set === "number" ? set : control(task, set, number, command, argument);
}

function control(task: Task, set: SemaphoreSet, number: number, command: number, argument: number): number {
  switch (command) {
    case IPC_STAT:
      if (set.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
      set.putStatus(task, bytes, 0);
      return putAnswer(task, argument, SEMID_BYTES, 0);
    case IPC_SET: {
      if (task.memory.copyIn(argument, bytes, 0, SEMID_BYTES) < 0) return -EFAULT;
      const refused = set.mayControl(task);
      if (refused === 0) set.setPermissions(task, bytes, 0);
      return refused;
    }
    case IPC_RMID: {
      const refused = set.mayControl(task);
      if (refused < 0) return refused;
      systemV(task).semaphores.remove(set);
      set.queue.notify(POLLIN);
      return 0;
    }
    case GETALL:
    case SETALL:
      return command === GETALL ? getAll(task, set, argument) : setAll(task, set, argument);
    case GETVAL:
    case GETPID:
    case GETNCNT:
    case GETZCNT:
      if (number < 0 || number >= set.count) return -EINVAL;
      return set.mayAccess(task, MAY_READ_OBJECT) < 0 ? -EACCES : look(task, set, number, command);
    case SETVAL: {
      // semctl(2) takes an int: the upper half of the union is undefined.
      const value = task.args.i32(3);
      if (value < 0 || value > VALUE_MAX) return -ERANGE;
      if (number < 0 || number >= set.count) return -EINVAL;
      if (set.mayAccess(task, MAY_WRITE_OBJECT) < 0) return -EACCES;
      set.setValue(task, number, value);
      return 0;
    }
    default:
      return -EINVAL;
  }
}

function look(task: Task, set: SemaphoreSet, number: number, command: number): number {
  switch (command) {
    case GETVAL:
      return set.values[number];
    case GETPID:
      return set.lastPid(number)?.in(task.pid.namespace) ?? 0;
    default:
      return set.waiters(number, command === GETZCNT);
  }
}

function getAll(task: Task, set: SemaphoreSet, address: number): number {
  if (set.mayAccess(task, MAY_READ_OBJECT) < 0) return -EACCES;
  const values = new Uint8Array(2 * set.count);
  for (let i = 0; i < set.count; i++) put16(values, 2 * i, set.values[i]);
  return task.memory.copyOut(address, values, 0, values.length) < 0 ? -EFAULT : 0;
}

function setAll(task: Task, set: SemaphoreSet, address: number): number {
  if (set.mayAccess(task, MAY_WRITE_OBJECT) < 0) return -EACCES;
  const bytes = new Uint8Array(2 * set.count);
  if (task.memory.copyIn(address, bytes, 0, bytes.length) < 0) return -EFAULT;
  const values = new Int32Array(set.count);
  for (let i = 0; i < set.count; i++) {
    values[i] = u16(bytes, 2 * i);
    if (values[i] > VALUE_MAX) return -ERANGE;
  }
  set.setAll(task, values);
  return 0;
}

function putAnswer(task: Task, address: number, length: number, result: number): number {
  return task.memory.copyOut(address, bytes, 0, length) < 0 ? -EFAULT : result;
}
