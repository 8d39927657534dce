// NUMA memory policies: mbind(2), set_mempolicy(2), get_mempolicy(2), migrate_pages(2), move_pages(2). The sandbox
// has one memory node, number 0, so policies are checked and stored without effect. Linux: mm/mempolicy.c.

import { EFAULT, EINVAL, ENODEV, ENOENT, EPERM, ESRCH } from "../abi/errno.ts";
import * as M from "../abi/memory.ts";
import { isPageAligned, PAGE_SIZE, pageDown, pageUp } from "../abi/memory.ts";
import { i32, put32, u64, zero } from "../abi/struct.ts";
import { CAP_SYS_NICE } from "../abi/task.ts";
import { mayTrace, REALCREDS } from "../task/trace_access.ts";
import type { Task } from "../task/task.ts";
import { giveTurnKillable } from "../task/wait_engine.ts";
import type { Args } from "./args.ts";
import { FULL, partial, type SyscallFamily } from "./table.ts";

/** The most bits of a node mask: those of a page (get_nodes()). */
const NODE_BITS_MAX = PAGE_SIZE * 8;
/** Pages that move_pages(2) handles per turn. */
const MOVED_PAGES_MAX = 256;

const MODES = {
  MPOL_DEFAULT: M.MPOL_DEFAULT,
  MPOL_PREFERRED: M.MPOL_PREFERRED,
  MPOL_BIND: M.MPOL_BIND,
  MPOL_INTERLEAVE: M.MPOL_INTERLEAVE,
  MPOL_LOCAL: M.MPOL_LOCAL,
};
const GET_FLAGS = {
  MPOL_F_NODE: M.MPOL_F_NODE,
  MPOL_F_ADDR: M.MPOL_F_ADDR,
  MPOL_F_MEMS_ALLOWED: M.MPOL_F_MEMS_ALLOWED,
};
const MOVE_FLAGS = {
  MPOL_MF_STRICT: M.MPOL_MF_STRICT,
  MPOL_MF_MOVE: M.MPOL_MF_MOVE,
  MPOL_MF_MOVE_ALL: M.MPOL_MF_MOVE_ALL,
};
const MOVE_FLAGS_KNOWN = M.MPOL_MF_STRICT | M.MPOL_MF_MOVE | M.MPOL_MF_MOVE_ALL;

export const MEMORY_POLICY_CALLS: SyscallFamily = {
  mbind: {
    nr: { x64: 237, arm64: 235 },
    args: {
      addr: "word",
      len: "size",
      mode: { values: MODES },
      nodemask: "word",
      maxnode: "size",
      flags: { flags: MOVE_FLAGS },
    },
    returns: "int",
    support: FULL,
    run: mbind,
  },
  set_mempolicy: {
    nr: { x64: 238, arm64: 237 },
    args: { mode: { values: MODES }, nodemask: "word", maxnode: "size" },
    returns: "int",
    support: FULL,
    run: setMemoryPolicy,
  },
  get_mempolicy: {
    nr: { x64: 239, arm64: 236 },
    args: { mode: { out: 4 }, nodemask: "word", maxnode: "size", addr: "word", flags: { flags: GET_FLAGS } },
    returns: "int",
    support: FULL,
    run: getMemoryPolicy,
  },
  migrate_pages: {
    nr: { x64: 256, arm64: 238 },
    args: { pid: "pid", maxnode: "size", old_nodes: "word", new_nodes: "word" },
    returns: "int",
    support: FULL,
    run: migratePages,
  },
  move_pages: {
    nr: { x64: 279, arm64: 239 },
    args: { pid: "pid", count: "size", pages: "word", nodes: "word", status: "word", flags: "int" },
    returns: "int",
    support: partial("a page that is mapped counts as present"),
    run: movePages,
  },
};

/** Node masks as readNodes() returns them. */
const NODE_0 = 1;
const NODE_OTHER = 2;

const word = new Uint8Array(8);

/** The nodes in a guest's mask: NODE_0, and NODE_OTHER for any that does not exist. -ERRNO. */
function readNodes(task: Task, address: number, maxNode: number): number {
  // maxnode is one more than the number of bits: get_nodes().
  const bits = maxNode - 1;
  if (address === 0 || bits <= 0) return 0;
  if (bits > NODE_BITS_MAX) return -EINVAL;
  let nodes = 0;
  for (let at = 0; at < bits; at += 64) {
    if (task.memory.copyIn(address + at / 8, word, 0, 8) < 0) return -EFAULT;
    const left = Math.min(64, bits - at);
    let value = u64(word, 0);
    if (left < 64) value %= 2 ** left;
    if (at === 0 && (word[0] & 1) !== 0) {
      nodes |= NODE_0;
      value--;
    }
    if (value > 0) nodes |= NODE_OTHER;
  }
  return nodes;
}

/** The policy of `mode` (with flags) on `nodes`, or -EINVAL: sanitize_mpol_flags(), mpol_new(). */
function policyOf(mode: number, nodes: number): number {
  const flags = mode & M.MPOL_MODE_FLAGS;
  const kind = (mode & ~M.MPOL_MODE_FLAGS) >>> 0;
  if (kind > M.MPOL_WEIGHTED_INTERLEAVE) return -EINVAL;
  const isRelative = (flags & M.MPOL_F_RELATIVE_NODES) !== 0;
  if (isRelative && (flags & M.MPOL_F_STATIC_NODES) !== 0) return -EINVAL;
  if ((flags & M.MPOL_F_NUMA_BALANCING) !== 0 && kind !== M.MPOL_BIND && kind !== M.MPOL_PREFERRED_MANY) {
    return -EINVAL;
  }
  if (kind === M.MPOL_DEFAULT) return nodes === 0 ? M.MPOL_DEFAULT : -EINVAL;
  if (kind === M.MPOL_LOCAL || (kind === M.MPOL_PREFERRED && nodes === 0)) {
    return nodes !== 0 || flags !== 0 ? -EINVAL : M.MPOL_LOCAL;
  }
  // Relative node numbers are taken modulo the number of nodes.
  const hasNode = isRelative ? nodes !== 0 : (nodes & NODE_0) !== 0;
  return hasNode ? kind | flags : -EINVAL;
}

function setMemoryPolicy(task: Task, args: Args): number {
  const nodes = readNodes(task, args.word(1), args.word(2));
  if (nodes < 0) return nodes;
  const policy = policyOf(args.i32(0), nodes);
  if (policy < 0) return policy;
  task.scheduling.memoryPolicy = policy;
  return 0;
}

function mbind(task: Task, args: Args): number {
  const start = args.word(0), flags = args.u32(5);
  const nodes = readNodes(task, args.word(3), args.word(4));
  if (nodes < 0) return nodes;
  if ((flags & ~MOVE_FLAGS_KNOWN) !== 0) return -EINVAL;
  if ((flags & M.MPOL_MF_MOVE_ALL) !== 0 && !task.credentials.has(CAP_SYS_NICE)) return -EPERM;
  if (!isPageAligned(start) || args.word(1) > task.mm.layout.end) return -EINVAL;
  const end = start + pageUp(args.word(1));
  if (end === start) return 0;
  const policy = policyOf(args.i32(2), nodes);
  if (policy < 0) return policy;
  const { areas } = task.mm;
  if (!areas.isCovered(start, end)) return -EFAULT;
  const kept = policy === M.MPOL_DEFAULT ? -1 : policy;
  areas.update(start, end, (area) => area.memoryPolicy = kept);
  return 0;
}

function getMemoryPolicy(task: Task, args: Args): number {
  const modeAt = args.word(0), maskAt = args.word(1), maxNode = args.word(2);
  const address = args.word(3), flags = args.u32(4);
  const known = M.MPOL_F_NODE | M.MPOL_F_ADDR | M.MPOL_F_MEMS_ALLOWED;
  if ((flags & ~known) !== 0 || (maskAt !== 0 && maxNode < 1)) return -EINVAL;
  const byAddress = (flags & M.MPOL_F_ADDR) !== 0, wantsNode = (flags & M.MPOL_F_NODE) !== 0;
  let mode: number = M.MPOL_DEFAULT, hasNodes = true;
  if ((flags & M.MPOL_F_MEMS_ALLOWED) !== 0) {
    if (byAddress || wantsNode) return -EINVAL;
  } else {
    if (!byAddress && address !== 0) return -EINVAL;
    const area = byAddress ? task.mm.areas.find(address) : null;
    if (byAddress && area === null) return -EFAULT;
    mode = area === null || area.memoryPolicy < 0 ? task.scheduling.memoryPolicy : area.memoryPolicy;
    const kind = mode & ~M.MPOL_MODE_FLAGS;
    // Each page, and the next one of an interleave, is on node 0.
    if (wantsNode && !byAddress && kind !== M.MPOL_INTERLEAVE && kind !== M.MPOL_WEIGHTED_INTERLEAVE) {
      return -EINVAL;
    }
    hasNodes = kind !== M.MPOL_DEFAULT && kind !== M.MPOL_LOCAL;
    if (wantsNode) mode = 0;
  }
  put32(word, 0, mode);
  if (modeAt !== 0 && task.memory.copyOut(modeAt, word, 0, 4) < 0) return -EFAULT;
  return maskAt === 0 ? 0 : writeNodes(task, maskAt, maxNode, hasNodes);
}

/** Writes a mask with or without node 0, as wide as the caller requests: copy_nodes_to_user(). */
function writeNodes(task: Task, address: number, maxNode: number, hasNode: boolean): number {
  if (maxNode > NODE_BITS_MAX) return -EINVAL;
  const bytes = Math.max(8, Math.ceil((maxNode - 1) / 64) * 8);
  for (let at = 0; at < bytes; at += 8) {
    zero(word, 0, 8);
    if (at === 0 && hasNode) word[0] = 1;
    if (task.memory.copyOut(address + at, word, 0, 8) < 0) return -EFAULT;
  }
  return 0;
}

/** The task that `pid` names (0: the caller) if it may be inspected; -ERRNO. */
function targetOf(task: Task, pid: number): Task | number {
  const other = pid === 0 ? task : task.pid.namespace.task(pid);
  if (other === null || other.hasExited) return -ESRCH;
  const access = mayTrace(task, other, REALCREDS);
  return access < 0 ? access : other;
}

function migratePages(task: Task, args: Args): number {
  const from = readNodes(task, args.word(2), args.word(1));
  if (from < 0) return from;
  const to = readNodes(task, args.word(3), args.word(1));
  if (to < 0) return to;
  const other = targetOf(task, args.i32(0));
  if (typeof other === "number") return other;
  return (to & NODE_0) === 0 ? -EINVAL : 0;
}

function movePages(task: Task, args: Args): number {
  const count = args.word(1), flags = args.u32(5);
  if ((flags & ~(M.MPOL_MF_MOVE | M.MPOL_MF_MOVE_ALL)) !== 0) return -EINVAL;
  if ((flags & M.MPOL_MF_MOVE_ALL) !== 0 && !task.credentials.has(CAP_SYS_NICE)) return -EPERM;
  const other = targetOf(task, args.i32(0));
  if (typeof other === "number") return other;
  const end = Math.min(count, task.call.done + MOVED_PAGES_MAX);
  for (let i = task.call.done; i < end; i++) {
    if (task.memory.copyIn(args.word(2) + i * 8, word, 0, 8) < 0) return -EFAULT;
    const page = pageDown(u64(word, 0));
    if (args.word(3) !== 0) {
      if (task.memory.copyIn(args.word(3) + i * 4, word, 0, 4) < 0) return -EFAULT;
      if (i32(word, 0) !== 0) return -ENODEV;
    }
    put32(word, 0, statusOf(other, page));
    if (args.word(4) !== 0 && task.memory.copyOut(args.word(4) + i * 4, word, 0, 4) < 0) return -EFAULT;
  }
  if (end === count) return 0;
  task.call.setDone(end);
  return giveTurnKillable(task);
}

/** The node of a page; -EFAULT where nothing is mapped, -ENOENT where no page can be. */
function statusOf(task: Task, page: number): number {
  const area = task.mm.areas.find(page);
  if (area === null) return -EFAULT;
  return area.prot === 0 ? -ENOENT : 0;
}
