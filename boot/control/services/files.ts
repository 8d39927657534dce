// Fs.Read: a piece of a file of a container, by its path there.

import { errnoName } from "../../../kernel/abi/errno.ts";
import { AT_FDCWD, O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG } from "../../../kernel/abi/file.ts";
import { utf8ToByteString } from "../../../kernel/util/bytes.ts";
import { openByName } from "../../../kernel/vfs/open.ts";
import { Refusal, type Service, type Services } from "./query.ts";

/** Of one answer: as base64 it has to fit into a document. */
const BYTES_MAX = 4 * 1024 * 1024;

/** Bytes as Go has them, in base64. */
const read: Service = ({ kernel }, query) => {
  const id = query.string("container_id"), path = query.string("path");
  const container = kernel.containers.get(id);
  if (container === undefined) return new Refusal(`container "${id}" not found`);
  const init = container.initTask;
  if (init === null || init.hasExited) return new Refusal(`container "${id}" does not run`);
  if (!path.startsWith("/")) return new Refusal("path must be absolute");
  const offset = query.number("offset"), size = query.number("size");
  if (offset < 0) return new Refusal(`offset (${offset}) cannot be negative`);
  if (size < 0 || size > BYTES_MAX) return new Refusal(`size (${size}) must be between 0 and ${BYTES_MAX}`);
  const file = openByName(init, AT_FDCWD, utf8ToByteString(path), O_RDONLY | O_NONBLOCK, 0);
  if (typeof file === "number") return new Refusal(`opening ${path}: ${errnoName(-file)}`);
  try {
    if ((file.inode.mode & S_IFMT) !== S_IFREG) return new Refusal(`${path} is not a regular file`);
    const bytes = new Uint8Array(size === 0 ? BYTES_MAX : size);
    let length = 0;
    while (length < bytes.length) {
      const n = file.read(init, bytes, length, bytes.length - length, offset + length);
      if (n < 0) return new Refusal(`reading ${path}: ${errnoName(-n)}`);
      if (n === 0) break;
      length += n;
    }
    return { data: bytes.subarray(0, length).toBase64() };
  } finally {
    file.drop();
  }
};

export const FILES: Services = { "Fs.Read": read };
