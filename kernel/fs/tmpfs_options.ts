// Options of a tmpfs: tmpfs(5), shmem_parse_one() of mm/shmem.c.

import { EINVAL } from "../abi/errno.ts";
import { PAGE_SIZE } from "../abi/memory.ts";

export interface TmpfsOptions {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Limit of file content in bytes; Infinity: none. */
  readonly sizeBytes: number;
  readonly inodes: number;
}

/** Parses the options of tmpfs(5); -EINVAL for unknown or malformed ones. */
export function parseTmpfsOptions(
  text: string,
  memoryBytes: number,
  defaultBytes: number,
): TmpfsOptions | number {
  let mode = 0o1777, uid = 0, gid = 0, sizeBytes = defaultBytes, inodes = Math.floor(memoryBytes / 2 / 4096);
  for (const option of text.split(",")) {
    if (option === "") continue;
    const [key, value = ""] = option.split("=");
    let number: number;
    switch (key) {
      case "mode":
        number = /^[0-7]{1,5}$/.test(value) ? parseInt(value, 8) : -1;
        mode = number & 0o7777;
        break;
      case "uid":
        number = uid = parseDecimal(value);
        break;
      case "gid":
        number = gid = parseDecimal(value);
        break;
      case "size":
        number = sizeBytes = parseSize(value, memoryBytes);
        if (number === 0) sizeBytes = Infinity;
        break;
      case "nr_blocks":
        number = sizeBytes = parseSize(value, memoryBytes) * 4096;
        if (number === 0) sizeBytes = Infinity;
        break;
      case "nr_inodes":
        number = inodes = parseSize(value, memoryBytes);
        if (number === 0) inodes = Infinity;
        break;
      case "huge":
      case "mpol":
      case "inode64":
      case "inode32":
      case "noswap":
        number = 0;
        break;
      default:
        return -EINVAL;
    }
    if (number < 0) return -EINVAL;
  }
  // Whole pages: shmem_parse_one().
  return { mode, uid, gid, sizeBytes: Math.ceil(sizeBytes / PAGE_SIZE) * PAGE_SIZE, inodes };
}

function parseDecimal(text: string): number {
  return /^\d{1,10}$/.test(text) ? parseInt(text, 10) : -1;
}

function parseSize(text: string, memoryBytes: number): number {
  const match = /^(\d{1,15})([kKmMgGtT%]?)$/.exec(text);
  if (match === null) return -1;
  const number = parseInt(match[1], 10);
  switch (match[2].toLowerCase()) {
    case "k":
      return number * 1024;
    case "m":
      return number * 1024 ** 2;
    case "g":
      return number * 1024 ** 3;
    case "t":
      return number * 1024 ** 4;
    case "%":
      return Math.floor(memoryBytes * number / 100);
    default:
      return number;
  }
}
