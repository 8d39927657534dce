// prctl(2) and arch_prctl(2): small settings of a task or a process, one function per kind of setting.

import { EBADF, EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM } from "../abi/errno.ts";
import { isPageAligned, pageUp } from "../abi/memory.ts";
import { SIGRTMAX } from "../abi/signal.ts";
import { put32, put64 } from "../abi/struct.ts";
import * as T from "../abi/task.ts";
import { archPrctl } from "../arch/arch.ts";
import { commitCredentials } from "../task/credential_changes.ts";
import { CapabilitySet, hasCapability, NO_CAPABILITIES } from "../task/credentials.ts";
import type { Task } from "../task/task.ts";
import { latin1ToBytes } from "../util/bytes.ts";
import type { Args } from "./args.ts";
import { seccompMode, setSeccompMode } from "./seccomp.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

/** Bytes of comm with its NUL (TASK_COMM_LEN). */
const COMM_BYTES = 16;
/** Name of an anonymous mapping with its NUL (ANON_VMA_NAME_MAX_LEN). */
const VMA_NAME_BYTES_MAX = 80;
const PR_GET_AUXV = 0x4155_5856;
const PR_GET_MDWE = 66;
const PR_TSC_ENABLE = 1;

const bytes = new Uint8Array(16);

function prctl(task: Task, args: Args): number {
  const option = args.i32(0);
  const value = args.word(1);
  const group = task.threadGroup;
  switch (option) {
    case T.PR_SET_PDEATHSIG:
      if (value > SIGRTMAX) return -EINVAL;
      task.parentDeathSignal = value;
      return 0;
    case T.PR_GET_PDEATHSIG:
      return putInt(task, value, task.parentDeathSignal);
    case T.PR_GET_DUMPABLE:
      return task.mm.dumpable;
    case T.PR_SET_DUMPABLE:
      if (value > 1) return -EINVAL;
      task.mm.dumpable = value;
      return 0;
    case T.PR_GET_TIMING:
      return T.PR_TIMING_STATISTICAL;
    case T.PR_SET_TIMING:
      return value === T.PR_TIMING_STATISTICAL ? 0 : -EINVAL;
    case T.PR_SET_NAME:
      return setName(task, value);
    case T.PR_GET_NAME:
      bytes.fill(0);
      bytes.set(latin1ToBytes(task.name));
      return task.memory.copyOut(value, bytes, 0, COMM_BYTES) < 0 ? -EFAULT : 0;
    case T.PR_GET_SECCOMP:
      return seccompMode(task);
    case T.PR_SET_SECCOMP:
      return setSeccompMode(task, value, args.word(2));
    case T.PR_GET_TSC:
      return putInt(task, value, PR_TSC_ENABLE);
    case T.PR_SET_TSC:
      return value === PR_TSC_ENABLE ? 0 : task.kernel.coverage.unfinished("prctl PR_SET_TSC", EINVAL);
    case T.PR_SET_TIMERSLACK:
      setTimerSlack(task, args.i53(1));
      return 0;
    case T.PR_GET_TIMERSLACK:
      return task.scheduling.isRealTime ? 0 : Math.min(task.scheduling.timerSlackNanos, 0x7fff_ffff);
    case T.PR_SET_CHILD_SUBREAPER:
      group.isSubreaper = value !== 0;
      return 0;
    case T.PR_GET_CHILD_SUBREAPER:
      return putInt(task, value, group.isSubreaper ? 1 : 0);
    case T.PR_SET_NO_NEW_PRIVS:
      if (value !== 1 || !isZero(args, 2)) return -EINVAL;
      task.credentials = task.credentials.with({ noNewPrivs: true });
      return 0;
    case T.PR_GET_NO_NEW_PRIVS:
      if (!isZero(args, 1)) return -EINVAL;
      return task.credentials.noNewPrivs ? 1 : 0;
    case T.PR_GET_TID_ADDRESS:
      put64(bytes, 0, task.clearChildTid);
      return task.memory.copyOut(value, bytes, 0, 8) < 0 ? -EFAULT : 0;
    case T.PR_SET_THP_DISABLE:
      if (!isZero(args, 2)) return -EINVAL;
      group.isHugePageDisabled = value !== 0;
      return 0;
    case T.PR_GET_THP_DISABLE:
      if (!isZero(args, 1)) return -EINVAL;
      return group.isHugePageDisabled ? 1 : 0;
    case PR_GET_MDWE:
      return isZero(args, 1) ? 0 : -EINVAL;
    case T.PR_GET_KEEPCAPS:
    case T.PR_SET_KEEPCAPS:
    case T.PR_CAPBSET_READ:
    case T.PR_CAPBSET_DROP:
    case T.PR_GET_SECUREBITS:
    case T.PR_SET_SECUREBITS:
    case T.PR_CAP_AMBIENT:
      return capabilityOption(task, option, args);
    case T.PR_SET_VMA:
      return value === T.PR_SET_VMA_ANON_NAME ? nameMapping(task, args) : -EINVAL;
    case T.PR_SET_MM:
      return setMemoryLayout(task, args);
    case PR_GET_AUXV:
      return getAuxv(task, args);
    case T.PR_SET_SYSCALL_USER_DISPATCH:
      return task.kernel.coverage.unfinished("prctl PR_SET_SYSCALL_USER_DISPATCH", EINVAL);
    // Options of other architectures, or of optional parts of Linux.
    default:
      return -EINVAL;
  }
}

function putInt(task: Task, address: number, value: number): number {
  put32(bytes, 0, value);
  return task.memory.copyOut(address, bytes, 0, 4) < 0 ? -EFAULT : 0;
}

/** Whether the arguments from `from` on are 0. */
function isZero(args: Args, from: number): boolean {
  for (let i = from; i < 5; i++) {
    if (args.word(i) !== 0) return false;
  }
  return true;
}

function setName(task: Task, address: number): number {
  let name = "";
  for (let i = 0; i < COMM_BYTES - 1; i++) {
    const at = task.memory.inView(address + i, 1);
    if (at < 0) return -EFAULT;
    const byte = task.memory.view[at];
    if (byte === 0) break;
    name += String.fromCharCode(byte);
  }
  task.name = name;
  return 0;
}

function setTimerSlack(task: Task, nanos: number): void {
  const { scheduling } = task;
  if (scheduling.isRealTime) return;
  scheduling.timerSlackNanos = nanos <= 0 ? scheduling.defaultTimerSlackNanos : nanos;
}

function capabilityOption(task: Task, option: number, args: Args): number {
  const old = task.credentials;
  const value = args.word(1);
  switch (option) {
    case T.PR_GET_KEEPCAPS:
      return (old.securebits & T.SECBIT_KEEP_CAPS) !== 0 ? 1 : 0;
    case T.PR_SET_KEEPCAPS: {
      if (value > 1) return -EINVAL;
      if ((old.securebits & T.SECBIT_KEEP_CAPS_LOCKED) !== 0) return -EPERM;
      const rest = old.securebits & ~T.SECBIT_KEEP_CAPS;
      task.credentials = old.with({ securebits: value === 0 ? rest : rest | T.SECBIT_KEEP_CAPS });
      return 0;
    }
    case T.PR_CAPBSET_READ:
      return value > T.CAP_LAST_CAP ? -EINVAL : Number(old.bounding.has(value));
    case T.PR_CAPBSET_DROP:
      if (!hasCapability(old, T.CAP_SETPCAP)) return -EPERM;
      if (value > T.CAP_LAST_CAP) return -EINVAL;
      task.credentials = old.with({ bounding: old.bounding.without(CapabilitySet.of([value])) });
      return 0;
    case T.PR_GET_SECUREBITS:
      return old.securebits;
    case T.PR_SET_SECUREBITS:
      return setSecurebits(task, value);
    default:
      return changeAmbient(task, args);
  }
}

/** capabilities(7): a locked bit cannot change, and a lock cannot be removed. */
function setSecurebits(task: Task, value: number): number {
  const old = task.credentials.securebits;
  const locked = (old & T.SECURE_ALL_LOCKS) >> 1;
  const isRefused = (locked & (old ^ value)) !== 0 || (old & T.SECURE_ALL_LOCKS & ~value) !== 0 ||
    value > 0xff || (value & ~(T.SECURE_ALL_LOCKS | T.SECURE_ALL_BITS)) !== 0 ||
    !hasCapability(task.credentials, T.CAP_SETPCAP);
  if (isRefused) return -EPERM;
  task.credentials = task.credentials.with({ securebits: value });
  return 0;
}

function changeAmbient(task: Task, args: Args): number {
  const old = task.credentials;
  const command = args.word(1);
  if (command === T.PR_CAP_AMBIENT_CLEAR_ALL) {
    if (!isZero(args, 2)) return -EINVAL;
    task.credentials = old.with({ ambient: NO_CAPABILITIES });
    return 0;
  }
  const capability = args.word(2);
  if (!isZero(args, 3) || capability > T.CAP_LAST_CAP) return -EINVAL;
  if (command === T.PR_CAP_AMBIENT_IS_SET) return Number(old.ambient.has(capability));
  const one = CapabilitySet.of([capability]);
  if (command === T.PR_CAP_AMBIENT_LOWER) {
    task.credentials = old.with({ ambient: old.ambient.without(one) });
    return 0;
  }
  if (command !== T.PR_CAP_AMBIENT_RAISE) return -EINVAL;
  const isAllowed = old.permitted.has(capability) && old.inheritable.has(capability) &&
    (old.securebits & T.SECBIT_NO_CAP_AMBIENT_RAISE) === 0;
  if (!isAllowed) return -EPERM;
  commitCredentials(task, old.with({ ambient: old.ambient.or(one) }));
  return 0;
}

/** PR_SET_VMA_ANON_NAME: the name that /proc/PID/maps shows as [anon:NAME]. */
function nameMapping(task: Task, args: Args): number {
  const start = args.word(2);
  const length = pageUp(args.word(3));
  let name = "";
  if (args.word(4) !== 0) {
    const text = task.memory.readString(args.word(4), VMA_NAME_BYTES_MAX);
    if (typeof text === "number") return text === -EFAULT ? -EFAULT : -EINVAL;
    // deno-lint-ignore no-control-regex
    if (/[\x00-\x1f\x7f-\xff\\`$[\]]/.test(text)) return -EINVAL;
    name = `[anon:${text}]`;
  }
  const end = start + length;
  if (!isPageAligned(start) || end > task.mm.layout.end) return -EINVAL;
  if (length === 0) return 0;
  const { areas } = task.mm;
  if (areas.isFree(start, end)) return -ENOMEM;
  let isForeign = false;
  areas.update(start, end, (area) => {
    if (area.backing !== null) isForeign = true;
    else if (area.name === "" || area.name.startsWith("[anon:")) area.name = name;
  });
  if (isForeign) return -EBADF;
  return areas.isCovered(start, end) ? 0 : -ENOMEM;
}

/** PR_SET_MM: sets the addresses of a process's parts; only /proc shows them. */
function setMemoryLayout(task: Task, args: Args): number {
  if (!hasCapability(task.credentials, T.CAP_SYS_RESOURCE)) return -EPERM;
  const address = args.word(2);
  const { mm } = task;
  const isPointer = address < task.mm.layout.end;
  if (!isPointer || !isZero(args, 3)) {
    return task.kernel.coverage.unfinished(`prctl PR_SET_MM ${args.word(1)}`, EINVAL);
  }
  if (mm.areas.find(address) === null) return -EINVAL;
  switch (args.word(1)) {
    case T.PR_SET_MM_START_CODE:
      mm.codeStart = address;
      return 0;
    case T.PR_SET_MM_END_CODE:
      mm.codeEnd = address;
      return 0;
    case T.PR_SET_MM_START_DATA:
      mm.dataStart = address;
      return 0;
    case T.PR_SET_MM_END_DATA:
      mm.dataEnd = address;
      return 0;
    case T.PR_SET_MM_START_STACK:
      mm.stackStart = address;
      return 0;
    case T.PR_SET_MM_ARG_START:
      mm.argStart = address;
      return 0;
    case T.PR_SET_MM_ARG_END:
      mm.argEnd = address;
      return 0;
    case T.PR_SET_MM_ENV_START:
      mm.envStart = address;
      return 0;
    case T.PR_SET_MM_ENV_END:
      mm.envEnd = address;
      return 0;
    default:
      return task.kernel.coverage.unfinished(`prctl PR_SET_MM ${args.word(1)}`, EINVAL);
  }
}

function getAuxv(task: Task, args: Args): number {
  if (!isZero(args, 3)) return -EINVAL;
  const { auxv } = task.mm;
  const length = Math.min(auxv.length, args.word(2));
  return task.memory.copyOut(args.word(1), auxv, 0, length) < 0 ? -EFAULT : auxv.length;
}

function refuse(): number {
  return -ENOSYS;
}

export const PRCTL_CALLS: SyscallFamily = {
  ptrace: {
    nr: { x64: 101, arm64: 117 },
    args: { op: "int", pid: "pid", addr: "word", data: "word" },
    returns: "word",
    support: { level: "none", note: "guests cannot trace each other" },
    run: refuse,
  },
  prctl: {
    nr: { x64: 157, arm64: 167 },
    args: { option: "int", arg2: "word", arg3: "word", arg4: "word", arg5: "word" },
    returns: "int",
    support: partial("no syscall user dispatch; PR_SET_MM only moves what /proc shows"),
    run: prctl,
  },
  arch_prctl: {
    nr: { x64: 158 },
    args: {
      op: {
        values: {
          ARCH_SET_GS: T.ARCH_SET_GS,
          ARCH_SET_FS: T.ARCH_SET_FS,
          ARCH_GET_FS: T.ARCH_GET_FS,
          ARCH_GET_GS: T.ARCH_GET_GS,
          ARCH_GET_CPUID: T.ARCH_GET_CPUID,
          ARCH_SET_CPUID: T.ARCH_SET_CPUID,
        },
      },
      addr: "word",
    },
    returns: "int",
    support: FULL,
    run: archPrctl,
  },
};
