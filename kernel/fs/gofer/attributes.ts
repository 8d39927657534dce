// Converts between an inode and the attributes of the gofer's protocol.

import type { GoferClient } from "../../../gofer/client.ts";
import { ATTRIBUTE, ATTRIBUTES_BYTES, REQUEST } from "../../../gofer/protocol.ts";
import { put32, u32 } from "../../abi/struct.ts";
import type { AttributeChange, Inode } from "../../vfs/inode.ts";

/** /proc/sys/kernel/overflowuid: the owner shown for ids that a user namespace does not map. */
const OVERFLOW_ID = 65534;
const TWO_32 = 4294967296;

/** Scratch: the attributes being read, copied because frames do not align them. */
const loaded = new Uint8Array(ATTRIBUTES_BYTES);
const words = new Uint32Array(loaded.buffer);
/** Index of the first 32-bit word of `name`. */
const word = (name: keyof typeof ATTRIBUTE) => ATTRIBUTE[name] / 4;
const MODE = word("MODE"), NLINK = word("NLINK"), UID = word("UID"), GID = word("GID");
const RDEV_MAJOR = word("RDEV_MAJOR"), RDEV_MINOR = word("RDEV_MINOR");
const SIZE = word("SIZE"), BLOCKS = word("BLOCKS");
const ATIME = word("ATIME"), MTIME = word("MTIME"), CTIME = word("CTIME");
const ATIME_NSEC = word("ATIME_NSEC"), MTIME_NSEC = word("MTIME_NSEC"), CTIME_NSEC = word("CTIME_NSEC");

/**
 * Loads the attributes at `at` into `inode`. Returns true when the file's content has changed since the last load.
 */
export function loadAttributes(inode: Inode, bytes: Uint8Array, at: number): boolean {
  loaded.set(bytes.subarray(at, at + ATTRIBUTES_BYTES));
  const ctimeSec = words[CTIME] + (words[CTIME + 1] | 0) * TWO_32, ctimeNsec = words[CTIME_NSEC];
  const isChanged = ctimeSec !== inode.ctimeSec || ctimeNsec !== inode.ctimeNsec;
  inode.nlink = words[NLINK];
  inode.mode = words[MODE];
  inode.uid = words[UID];
  inode.gid = words[GID];
  inode.rdevMajor = words[RDEV_MAJOR];
  inode.rdevMinor = words[RDEV_MINOR];
  inode.size = words[SIZE] + words[SIZE + 1] * TWO_32;
  inode.blocks = words[BLOCKS] + words[BLOCKS + 1] * TWO_32;
  inode.atimeSec = words[ATIME] + (words[ATIME + 1] | 0) * TWO_32;
  inode.atimeNsec = words[ATIME_NSEC];
  inode.mtimeSec = words[MTIME] + (words[MTIME + 1] | 0) * TWO_32;
  inode.mtimeNsec = words[MTIME_NSEC];
  inode.ctimeSec = ctimeSec;
  inode.ctimeNsec = ctimeNsec;
  return isChanged;
}

/**
 * Attributes read through a descriptor show owners that the sentry's user namespace does not map as nobody: replaces
 * those by the owner that the gofer reported. Returns false when the owner may have changed since.
 */
export function keepOwner(inode: Inode, bytes: Uint8Array): boolean {
  const uid = u32(bytes, ATTRIBUTE.UID), gid = u32(bytes, ATTRIBUTE.GID);
  if (uid !== OVERFLOW_ID && gid !== OVERFLOW_ID) return true;
  const isChanged = u32(bytes, ATTRIBUTE.CTIME_NSEC) !== inode.ctimeNsec ||
    u32(bytes, ATTRIBUTE.CTIME) !== inode.ctimeSec % TWO_32;
  if (isChanged) return false;
  put32(bytes, ATTRIBUTE.UID, inode.uid);
  put32(bytes, ATTRIBUTE.GID, inode.gid);
  return true;
}

/** Requests the change of those attributes of `node` that `mask` names. */
export function askToChange(
  client: GoferClient,
  node: number,
  mask: number,
  change: AttributeChange,
): number {
  const { request } = client;
  request.start(REQUEST.SET_ATTRIBUTES);
  request.u32(node);
  request.u32(mask);
  request.u32(change.mode);
  request.u32(change.uid);
  request.u32(change.gid);
  request.u64(change.size);
  request.u64(change.atimeSec);
  request.u64(change.atimeNsec);
  request.u64(change.mtimeSec);
  request.u64(change.mtimeNsec);
  return client.call();
}
