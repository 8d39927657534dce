// The common part of the three kinds of System V objects: ids, keys, owners and permissions. Linux: ipc/util.c,
// sysvipc(7).

import { EACCES, EEXIST, EIDRM, EINVAL, ENOENT, ENOSPC, EPERM } from "../../abi/errno.ts";
import { IPC_CREAT, IPC_EXCL, IPC_PRIVATE } from "../../abi/ipc.ts";
import { put16, put32, u32, zero } from "../../abi/struct.ts";
import { CAP_IPC_OWNER, CAP_SYS_ADMIN } from "../../abi/task.ts";
import type { Task } from "../../task/task.ts";

/** An id is sequence * SLOTS + slot, so that the id of a removed object is not soon reused (IPCMNI). */
const SLOTS = 32_768;
const SEQUENCE_MAX = 65_535;
const MODE_BITS = 0o777;
/** Offsets in struct ipc64_perm. */
const PERM = { uid: 4, gid: 8, cuid: 12, cgid: 16, mode: 20, sequence: 24, bytes: 48 } as const;

/** Read permission for owner, group and others, the `flags` of mayAccess(). */
export const MAY_READ_OBJECT = 0o444;
export const MAY_WRITE_OBJECT = 0o222;

export abstract class IpcObject {
  /** Assigned by IpcIds. */
  id = -1;
  key: number;
  uid: number;
  gid: number;
  readonly cuid: number;
  readonly cgid: number;
  /** Permission bits; of shared memory also SHM_DEST and SHM_LOCKED. */
  mode: number;
  /** The object was removed and its id is invalid. */
  isRemoved = false;
  /** Time of the last IPC_SET or of the creation, in seconds. */
  changeSeconds: number;

  constructor(task: Task, key: number, flags: number) {
    this.key = key;
    this.uid = this.cuid = task.credentials.euid;
    this.gid = this.cgid = task.credentials.egid;
    this.mode = flags & MODE_BITS;
    this.changeSeconds = task.kernel.clock.realtime();
  }

  /** ipcperms(): 0 if `task` has the permissions in the bits of `flags`, else -EACCES. */
  mayAccess(task: Task, flags: number): number {
    const who = task.credentials;
    const wanted = (flags >> 6 | flags >> 3 | flags) & 7;
    let granted = this.mode;
    if (who.euid === this.cuid || who.euid === this.uid) granted >>= 6;
    else if (who.isInEffectiveGroup(this.cgid) || who.isInEffectiveGroup(this.gid)) granted >>= 3;
    return (wanted & ~granted & 7) === 0 || who.has(CAP_IPC_OWNER) ? 0 : -EACCES;
  }

  /** 0 if `task` may remove or change it, else -EPERM. */
  mayControl(task: Task): number {
    const who = task.credentials;
    return who.euid === this.cuid || who.euid === this.uid || who.has(CAP_SYS_ADMIN) ? 0 : -EPERM;
  }

  /** Called on removal (IPC_RMID and others): frees what it holds. */
  onRemove(): void {}

  /** Writes struct ipc64_perm. */
  putPermissions(into: Uint8Array, at: number): void {
    zero(into, at, PERM.bytes);
    put32(into, at, this.key);
    put32(into, at + PERM.uid, this.uid);
    put32(into, at + PERM.gid, this.gid);
    put32(into, at + PERM.cuid, this.cuid);
    put32(into, at + PERM.cgid, this.cgid);
    put32(into, at + PERM.mode, this.mode);
    put16(into, at + PERM.sequence, Math.floor(this.id / SLOTS));
  }

  /** IPC_SET: owner and mode from a struct ipc64_perm. */
  setPermissions(task: Task, from: Uint8Array, at: number): void {
    this.uid = u32(from, at + PERM.uid);
    this.gid = u32(from, at + PERM.gid);
    this.mode = (this.mode & ~MODE_BITS) | (u32(from, at + PERM.mode) & MODE_BITS);
    this.changeSeconds = task.kernel.clock.realtime();
  }
}

/** The objects of one kind in an IPC namespace. */
export class IpcIds<T extends IpcObject> {
  readonly #limit: () => number;
  readonly #slots: (T | null)[] = [];
  readonly #byKey = new Map<number, T>();
  #sequence = 0;
  count = 0;

  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** The object with `id`; -EIDRM if it was removed, -EINVAL if the id never existed. */
  get(id: number): T | number {
    if (id < 0) return -EINVAL;
    const object = this.at(id % SLOTS);
    if (object === null) return -EINVAL;
    return object.id === id ? object : -EIDRM;
  }

  /** The object in slot `index`, or null. An id is accepted too: only its slot bits count (ipcid_to_idx()). */
  at(index: number): T | null {
    return index < 0 ? null : this.#slots[index % SLOTS] ?? null;
  }

  /** The sum of `of` over all objects. */
  sum(of: (object: T) => number): number {
    let sum = 0;
    for (const object of this.#slots) if (object !== null) sum += of(object);
    return sum;
  }

  /** Highest slot in use, or -1. */
  get last(): number {
    for (let i = this.#slots.length - 1; i >= 0; i--) if (this.#slots[i] !== null) return i;
    return -1;
  }

  /**
   * semget(2), msgget(2), shmget(2): an existing object of `key` that `fits`, or a new one from `make`. The id or
   * -ERRNO.
   */
  open(
    task: Task,
    key: number,
    flags: number,
    fits: (object: T) => number,
    make: () => T | number,
  ): number {
    const found = key === IPC_PRIVATE ? undefined : this.#byKey.get(key);
    if (found !== undefined) {
      if ((flags & IPC_CREAT) !== 0 && (flags & IPC_EXCL) !== 0) return -EEXIST;
      const fitting = fits(found);
      if (fitting < 0) return fitting;
      const refused = found.mayAccess(task, flags);
      return refused < 0 ? refused : found.id;
    }
    if (key !== IPC_PRIVATE && (flags & IPC_CREAT) === 0) return -ENOENT;
    if (this.count >= this.#limit()) return -ENOSPC;
    const made = make();
    return typeof made === "number" ? made : this.#enter(made);
  }

  #enter(object: T): number {
    let slot = this.#slots.indexOf(null);
    if (slot < 0) slot = this.#slots.push(null) - 1;
    this.#slots[slot] = object;
    object.id = this.#sequence * SLOTS + slot;
    this.#sequence = (this.#sequence + 1) % SEQUENCE_MAX;
    if (object.key !== IPC_PRIVATE) this.#byKey.set(object.key, object);
    this.count++;
    return object.id;
  }

  /** Frees its key for another object; its id stays valid. */
  forgetKey(object: T): void {
    if (this.#byKey.get(object.key) === object) this.#byKey.delete(object.key);
    object.key = IPC_PRIVATE;
  }

  /** Removes all objects: the namespace ends. */
  removeAll(): void {
    for (const object of this.#slots) if (object !== null) this.remove(object);
  }

  /** IPC_RMID. */
  remove(object: T): void {
    if (object.isRemoved) return;
    this.forgetKey(object);
    object.isRemoved = true;
    object.onRemove();
    this.#slots[object.id % SLOTS] = null;
    this.count--;
  }
}
