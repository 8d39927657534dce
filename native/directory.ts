// Bindings of native/src/directory.rs: files of a directory by its descriptor, processes by theirs. Results are descriptors,
// 0, or -errno.

import { openLibrary } from "./library.ts";

const symbols = {
  tsv_open_at: { parameters: ["i32", "buffer", "u32", "u32"], result: "i32" },
  tsv_rename_at: { parameters: ["i32", "buffer", "buffer"], result: "i32" },
  tsv_unlink_at: { parameters: ["i32", "buffer"], result: "i32" },
  tsv_lock: { parameters: ["i32"], result: "i32" },
  tsv_process_open: { parameters: ["i32"], result: "i32" },
  tsv_process_signal: { parameters: ["i32", "i32"], result: "i32" },
  tsv_process_borrow: { parameters: ["i32", "i32"], result: "i32" },
} as const;

const native = openLibrary(symbols);

function terminated(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(`${text}\0`);
}

/** openat(2) that follows no link at the end; `directory` -1 = `name` is a whole path. */
export function openAt(directory: number, name: string, flags: number, mode = 0): number {
  return native.tsv_open_at(directory, terminated(name), flags, mode);
}

export function renameAt(directory: number, from: string, to: string): number {
  return native.tsv_rename_at(directory, terminated(from), terminated(to));
}

export function unlinkAt(directory: number, name: string): number {
  return native.tsv_unlink_at(directory, terminated(name));
}

/** Waits for the lock on what `fd` is, and has it until `fd` closes. */
export function lock(fd: number): number {
  return native.tsv_lock(fd);
}

/** A descriptor that names the process `pid` of now, whoever has the number later. */
export function openProcess(pid: number): number {
  return native.tsv_process_open(pid);
}

export function signalProcess(process: number, signal: number): number {
  return native.tsv_process_signal(process, signal);
}

/** A copy of descriptor `fd` of the process. */
export function borrowDescriptor(process: number, fd: number): number {
  return native.tsv_process_borrow(process, fd);
}
