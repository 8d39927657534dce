// memfd_create(2). fs/anonymous/memfd.ts has the file and its seals.

import { EINVAL, ENAMETOOLONG, ENODEV } from "../abi/errno.ts";
import { F_SEAL_SEAL } from "../abi/file.ts";
import { MFD_ALLOW_SEALING, MFD_CLOEXEC, MFD_HUGETLB } from "../abi/memory.ts";
import { F_SEAL_EXEC, MFD_EXEC, MFD_NOEXEC_SEAL, newMemfd } from "../fs/anonymous/memfd.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { install } from "./event.ts";
import { partial, type SyscallFamily } from "./table.ts";

/** MFD_NAME_MAX_LEN with the NUL: NAME_MAX minus "memfd:". */
const NAME_BYTES_MAX = 250;
const MFD_FLAGS = { MFD_CLOEXEC, MFD_ALLOW_SEALING, MFD_HUGETLB, MFD_NOEXEC_SEAL, MFD_EXEC };

const MFD_KNOWN = MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB | MFD_NOEXEC_SEAL | MFD_EXEC;
/** Flags from that bit on: the binary logarithm of the size of huge pages. */
const HUGE_SIZE_SHIFT = 26;
const HUGE_SIZE_MASK = 0x3f;

export const MEMFD_CALLS: SyscallFamily = {
  memfd_create: {
    nr: { x64: 319, arm64: 279 },
    args: { name: "string", flags: { flags: MFD_FLAGS } },
    returns: "fd",
    support: partial("MFD_HUGETLB: there are no huge pages to map"),
    run: memfdCreate,
  },
};

function memfdCreate(task: Task, args: Args): number {
  const flags = args.u32(1);
  const isHuge = (flags & MFD_HUGETLB) !== 0;
  if ((flags & ~(MFD_KNOWN | (isHuge ? HUGE_SIZE_MASK << HUGE_SIZE_SHIFT : 0))) !== 0) return -EINVAL;
  if ((flags & MFD_EXEC) !== 0 && (flags & MFD_NOEXEC_SEAL) !== 0) return -EINVAL;
  const name = task.memory.readString(args.word(0), NAME_BYTES_MAX);
  if (typeof name === "number") return name === -ENAMETOOLONG ? -EINVAL : name;
  const isNoExec = (flags & MFD_NOEXEC_SEAL) !== 0;
  let seals = (flags & MFD_ALLOW_SEALING) !== 0 || isNoExec ? 0 : F_SEAL_SEAL;
  if (isNoExec) seals |= F_SEAL_EXEC;
  const hugeBytes = isHuge ? hugePageBytes(flags >>> HUGE_SIZE_SHIFT & HUGE_SIZE_MASK) : 0;
  if (hugeBytes < 0) return hugeBytes;
  const file = newMemfd(task, name, isNoExec ? 0o666 : 0o777, seals, hugeBytes);
  return install(task, file, (flags & MFD_CLOEXEC) !== 0);
}

/** Huge pages of 2^`order` bytes, 0 = those of the default size: x86-64 has two sizes. */
function hugePageBytes(order: number): number {
  if (order === 0 || order === 21) return 2 ** 21;
  return order === 30 ? 2 ** 30 : -ENODEV;
}
