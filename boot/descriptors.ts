// JSON in a memfd: how a configuration goes to a role, and what is asked and answered between them.

import { errnoName } from "../kernel/abi/errno.ts";
import type { Host } from "../platform/platform.ts";

/** Bytes of a document at most. */
const DOCUMENT_BYTES_MAX = 8 * 1024 * 1024;

/** Writes `value` into a new memfd and gives back its descriptor. */
export function jsonDescriptor(
  host: Host,
  value: unknown,
  stringify: (value: unknown) => string = JSON.stringify,
): number {
  const fd = host.memfdCreate("tsvisor-config", 0);
  if (fd < 0) throw new Error(`Cannot make a memfd: ${errnoName(-fd)}`);
  const bytes = new TextEncoder().encode(stringify(value));
  for (let done = 0; done < bytes.length;) {
    const n = host.pwrite(fd, bytes, done, bytes.length - done, done);
    if (n <= 0) throw new Error(`Cannot write the configuration: ${errnoName(-n)}`);
    done += n;
  }
  return fd;
}

/** Reads what jsonDescriptor has written. */
export function readJson(host: Host, fd: number): unknown {
  return JSON.parse(readText(host, fd));
}

/** The whole of a file. Throws where it is too large, or none that can be read at an offset. */
export function readText(host: Host, fd: number): string {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const chunk = new Uint8Array(64 * 1024);
    const n = host.pread(fd, chunk, 0, chunk.length, size);
    if (n < 0) throw new Error(`Cannot read the configuration: ${errnoName(-n)}`);
    if (n === 0) break;
    chunks.push(chunk.subarray(0, n));
    size += n;
    if (size > DOCUMENT_BYTES_MAX) throw new Error("Cannot read the configuration: it is too large");
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return new TextDecoder().decode(all);
}
