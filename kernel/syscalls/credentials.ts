// User and group ids and capabilities: credentials(7), setuid(2) and related calls, getgroups(2), capget(2).
// task/credential_changes.ts has the rules.

import { EFAULT, EINVAL, EPERM, ESRCH } from "../abi/errno.ts";
import { i32, put32, u32 } from "../abi/struct.ts";
import {
  _LINUX_CAPABILITY_VERSION_1,
  _LINUX_CAPABILITY_VERSION_2,
  _LINUX_CAPABILITY_VERSION_3,
  CAP_SETGID,
} from "../abi/task.ts";
import {
  changeCapabilities,
  changeFileGid,
  changeFileUid,
  changeGid,
  changeGids,
  changeRealGid,
  changeRealUid,
  changeUid,
  changeUids,
  commitCredentials,
  UNCHANGED,
} from "../task/credential_changes.ts";
import {
  ALL_CAPABILITIES,
  CapabilitySet,
  type Credentials,
  hasCapability,
  NGROUPS_MAX,
} from "../task/credentials.ts";
import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";
import { FULL, type SyscallFamily } from "./table.ts";

const bytes = new Uint8Array(24);

function getuid(task: Task): number {
  return task.credentials.uid;
}
function getgid(task: Task): number {
  return task.credentials.gid;
}
function geteuid(task: Task): number {
  return task.credentials.euid;
}
function getegid(task: Task): number {
  return task.credentials.egid;
}

function commit(task: Task, next: Credentials | number): number {
  if (typeof next === "number") return next;
  commitCredentials(task, next);
  return 0;
}

function setuid(task: Task, args: Args): number {
  return commit(task, changeUid(task.credentials, args.u32(0)));
}
function setgid(task: Task, args: Args): number {
  return commit(task, changeGid(task.credentials, args.u32(0)));
}
function setreuid(task: Task, args: Args): number {
  return commit(task, changeRealUid(task.credentials, args.u32(0), args.u32(1)));
}
function setregid(task: Task, args: Args): number {
  return commit(task, changeRealGid(task.credentials, args.u32(0), args.u32(1)));
}
function setresuid(task: Task, args: Args): number {
  return commit(task, changeUids(task.credentials, args.u32(0), args.u32(1), args.u32(2)));
}
function setresgid(task: Task, args: Args): number {
  return commit(task, changeGids(task.credentials, args.u32(0), args.u32(1), args.u32(2)));
}

/** setfsuid(2) returns the previous id, whether or not it was changed. */
function setfsuid(task: Task, args: Args): number {
  const old = task.credentials;
  const next = changeFileUid(old, args.u32(0));
  if (next !== old) commitCredentials(task, next);
  return old.fsuid;
}
function setfsgid(task: Task, args: Args): number {
  const old = task.credentials;
  const next = changeFileGid(old, args.u32(0));
  if (next !== old) commitCredentials(task, next);
  return old.fsgid;
}

function getresuid(task: Task, args: Args): number {
  const { uid, euid, suid } = task.credentials;
  return putThree(task, args, uid, euid, suid);
}
function getresgid(task: Task, args: Args): number {
  const { gid, egid, sgid } = task.credentials;
  return putThree(task, args, gid, egid, sgid);
}
function putThree(task: Task, args: Args, real: number, effective: number, saved: number): number {
  put32(bytes, 0, real);
  put32(bytes, 4, effective);
  put32(bytes, 8, saved);
  for (let i = 0; i < 3; i++) {
    if (task.memory.copyOut(args.word(i), bytes, 4 * i, 4) < 0) return -EFAULT;
  }
  return 0;
}

function getgroups(task: Task, args: Args): number {
  const size = args.i32(0);
  const { groups } = task.credentials;
  if (size < 0) return -EINVAL;
  if (size === 0 || groups.length === 0) return groups.length;
  if (groups.length > size) return -EINVAL;
  const at = task.memory.outView(args.word(1), groups.length * 4);
  if (at < 0) return -EFAULT;
  for (let i = 0; i < groups.length; i++) put32(task.memory.view, at + 4 * i, groups[i]);
  return task.memory.outCommit(groups.length * 4) < 0 ? -EFAULT : groups.length;
}

function setgroups(task: Task, args: Args): number {
  if (!hasCapability(task.credentials, CAP_SETGID)) return -EPERM;
  const count = args.u32(0);
  if (count > NGROUPS_MAX) return -EINVAL;
  const at = task.memory.inView(args.word(1), count * 4);
  if (at < 0) return -EFAULT;
  const groups = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    groups[i] = u32(task.memory.view, at + 4 * i);
    if (groups[i] === UNCHANGED) return -EINVAL;
  }
  // An array of integers is sorted in a tenth of the time that a comparing function takes.
  groups.sort();
  commitCredentials(task, task.credentials.with({ groups: Array.from(groups) }));
  return 0;
}

/** Bytes of struct __user_cap_header_struct, and of struct __user_cap_data_struct. */
const CAP_HEADER_BYTES = 8;
const CAP_DATA_BYTES = 12;

/**
 * The number of 32-bit words in a version's data; 0 for an unknown version, with the preferred version stored at
 * `address` (cap_validate_magic()); -EFAULT.
 */
function capabilityWords(task: Task, address: number, version: number): number {
  switch (version) {
    case _LINUX_CAPABILITY_VERSION_1:
      return 1;
    case _LINUX_CAPABILITY_VERSION_2:
    case _LINUX_CAPABILITY_VERSION_3:
      return 2;
  }
  put32(bytes, 0, _LINUX_CAPABILITY_VERSION_3);
  return task.memory.copyOut(address, bytes, 0, 4) < 0 ? -EFAULT : 0;
}

function capget(task: Task, args: Args): number {
  const header = task.memory.inView(args.word(0), CAP_HEADER_BYTES);
  if (header < 0) return -EFAULT;
  const pid = i32(task.memory.view, header + 4);
  const words = capabilityWords(task, args.word(0), u32(task.memory.view, header));
  const address = args.word(1);
  if (words < 0) return words;
  // A null data pointer only asks for the version and succeeds.
  if (words === 0) return address === 0 ? 0 : -EINVAL;
  if (pid < 0) return -EINVAL;
  const target = pid === 0 ? task : task.pid.namespace.task(pid);
  if (target === null) return -ESRCH;
  if (address === 0) return 0;
  const { effective, permitted, inheritable } = target.credentials;
  put32(bytes, 0, effective.low);
  put32(bytes, 4, permitted.low);
  put32(bytes, 8, inheritable.low);
  put32(bytes, 12, effective.high);
  put32(bytes, 16, permitted.high);
  put32(bytes, 20, inheritable.high);
  return task.memory.copyOut(address, bytes, 0, words * CAP_DATA_BYTES) < 0 ? -EFAULT : 0;
}

function capset(task: Task, args: Args): number {
  const header = task.memory.inView(args.word(0), CAP_HEADER_BYTES);
  if (header < 0) return -EFAULT;
  const pid = i32(task.memory.view, header + 4);
  const words = capabilityWords(task, args.word(0), u32(task.memory.view, header));
  if (words < 0) return words;
  if (words === 0) return -EINVAL;
  if (pid !== 0 && pid !== task.pid.own) return -EPERM;
  const at = task.memory.inView(args.word(1), words * CAP_DATA_BYTES);
  if (at < 0) return -EFAULT;
  return commit(
    task,
    changeCapabilities(
      task.credentials,
      readSet(task, at, words),
      readSet(task, at + 4, words),
      readSet(task, at + 8, words),
    ),
  );
}

function readSet(task: Task, at: number, words: number): CapabilitySet {
  const view = task.memory.view;
  const high = words === 1 ? 0 : u32(view, at + CAP_DATA_BYTES);
  return new CapabilitySet(u32(view, at), high).and(ALL_CAPABILITIES);
}

export const CREDENTIAL_CALLS: SyscallFamily = {
  getuid: { nr: { x64: 102, arm64: 174 }, args: {}, returns: "int", support: FULL, run: getuid },
  getgid: { nr: { x64: 104, arm64: 176 }, args: {}, returns: "int", support: FULL, run: getgid },
  setuid: { nr: { x64: 105, arm64: 146 }, args: { uid: "uid" }, returns: "int", support: FULL, run: setuid },
  setgid: { nr: { x64: 106, arm64: 144 }, args: { gid: "gid" }, returns: "int", support: FULL, run: setgid },
  geteuid: { nr: { x64: 107, arm64: 175 }, args: {}, returns: "int", support: FULL, run: geteuid },
  getegid: { nr: { x64: 108, arm64: 177 }, args: {}, returns: "int", support: FULL, run: getegid },
  setreuid: {
    nr: { x64: 113, arm64: 145 },
    args: { ruid: "uid", euid: "uid" },
    returns: "int",
    support: FULL,
    run: setreuid,
  },
  setregid: {
    nr: { x64: 114, arm64: 143 },
    args: { rgid: "gid", egid: "gid" },
    returns: "int",
    support: FULL,
    run: setregid,
  },
  getgroups: {
    nr: { x64: 115, arm64: 158 },
    args: { size: "int", list: "word" },
    returns: "int",
    support: FULL,
    run: getgroups,
  },
  setgroups: {
    nr: { x64: 116, arm64: 159 },
    args: { size: "uint", list: { inBuffer: "size", unit: 4 } },
    returns: "int",
    support: FULL,
    run: setgroups,
  },
  setresuid: {
    nr: { x64: 117, arm64: 147 },
    args: { ruid: "uid", euid: "uid", suid: "uid" },
    returns: "int",
    support: FULL,
    run: setresuid,
  },
  getresuid: {
    nr: { x64: 118, arm64: 148 },
    args: { ruid: { out: 4 }, euid: { out: 4 }, suid: { out: 4 } },
    returns: "int",
    support: FULL,
    run: getresuid,
  },
  setresgid: {
    nr: { x64: 119, arm64: 149 },
    args: { rgid: "gid", egid: "gid", sgid: "gid" },
    returns: "int",
    support: FULL,
    run: setresgid,
  },
  getresgid: {
    nr: { x64: 120, arm64: 150 },
    args: { rgid: { out: 4 }, egid: { out: 4 }, sgid: { out: 4 } },
    returns: "int",
    support: FULL,
    run: getresgid,
  },
  setfsuid: {
    nr: { x64: 122, arm64: 151 },
    args: { fsuid: "uid" },
    returns: "int",
    support: FULL,
    run: setfsuid,
  },
  setfsgid: {
    nr: { x64: 123, arm64: 152 },
    args: { fsgid: "gid" },
    returns: "int",
    support: FULL,
    run: setfsgid,
  },
  capget: {
    nr: { x64: 125, arm64: 90 },
    args: { hdrp: { inOut: CAP_HEADER_BYTES }, datap: { out: 2 * CAP_DATA_BYTES } },
    returns: "int",
    support: FULL,
    run: capget,
  },
  capset: {
    nr: { x64: 126, arm64: 91 },
    args: { hdrp: { inOut: CAP_HEADER_BYTES }, datap: { in: 2 * CAP_DATA_BYTES } },
    returns: "int",
    support: FULL,
    run: capset,
  },
};
