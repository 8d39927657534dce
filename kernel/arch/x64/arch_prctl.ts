// arch_prctl(2): base registers of the segments FS and GS, and what of CPUID and AMX a program may ask for.

import { REG } from "../../../platform/platform.ts";
import { EFAULT, EINVAL, ENODEV, EPERM } from "../../abi/errno.ts";
import { put32, put64 } from "../../abi/struct.ts";
import {
  ARCH_GET_CPUID,
  ARCH_GET_FS,
  ARCH_GET_GS,
  ARCH_GET_XCOMP_PERM,
  ARCH_GET_XCOMP_SUPP,
  ARCH_SET_CPUID,
  ARCH_SET_FS,
  ARCH_SET_GS,
} from "../../abi/task.ts";
import type { Args } from "../../syscalls/args.ts";
import type { Task } from "../../task/task.ts";

const bytes = new Uint8Array(8);
/** x87, SSE and AVX: what every x86-64-v3 machine has and nobody has to ask for. */
const XCOMP_FEATURES = 7;

/** arch_prctl(2). */
export function archPrctl(task: Task, args: Args): number {
  const address = args.word(1);
  switch (args.i32(0)) {
    case ARCH_SET_FS:
      if (address >= task.mm.layout.end) return -EPERM;
      task.thread.set(REG.FS_BASE, address);
      return 0;
    case ARCH_SET_GS:
      if (address >= task.mm.layout.end) return -EPERM;
      task.thread.set(REG.GS_BASE, address);
      return 0;
    case ARCH_GET_FS:
      return putRegister(task, address, REG.FS_BASE);
    case ARCH_GET_GS:
      return putRegister(task, address, REG.GS_BASE);
    case ARCH_GET_CPUID:
      return 1;
    case ARCH_SET_CPUID:
      return -ENODEV;
    case ARCH_GET_XCOMP_SUPP:
    case ARCH_GET_XCOMP_PERM:
      put64(bytes, 0, XCOMP_FEATURES);
      return task.memory.copyOut(address, bytes, 0, 8) < 0 ? -EFAULT : 0;
    default:
      return -EINVAL;
  }
}

function putRegister(task: Task, address: number, register: number): number {
  put32(bytes, 0, task.thread.low(register));
  put32(bytes, 4, task.thread.high(register));
  return task.memory.copyOut(address, bytes, 0, 8) < 0 ? -EFAULT : 0;
}
