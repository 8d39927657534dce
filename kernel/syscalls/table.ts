// The table of system calls. Each family's file declares its calls as specs; families.ts lists the families.
// Dispatch, the stub's marshalling, strace text, `tsvisor help syscalls` and docs/SYSCALLS.md are generated from it.

import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";

/** How one argument is read and shown. Sizes are in bytes; `length` names the argument with the count. */
export type ArgKind =
  | "int"
  | "uint"
  | "long"
  | "word" // an address that is only shown
  | "size"
  | "offset"
  | "fd"
  | "dirfd"
  | "pid"
  | "uid"
  | "gid"
  | "mode"
  | "signal"
  | "clock"
  | "path" // pointer to a NUL-terminated path, copied in by the stub
  | "string" // pointer to a NUL-terminated string, copied in by the stub
  | "strings" // pointer to an array of such pointers that ends with a null one
  | { readonly flags: Readonly<Record<string, number>> } // bits by name
  | { readonly values: Readonly<Record<string, number>> } // one of several by name
  | { readonly in: number } // pointer to `in` bytes, copied in by the stub
  | { readonly ahead: number } // address of `ahead` bytes, copied in by the stub for a first look; shown as an address
  | { readonly inBuffer: string; readonly unit?: number } // pointer; argument `inBuffer` counts units of `unit` bytes (1)
  | { readonly inIovec: string } // pointer to iovecs that are read from; argument `inIovec` counts them
  | { readonly message: "in" | "out" } // struct msghdr: what it points to is sent ("in") or filled ("out")
  | { readonly out: number } // pointer to at most `out` bytes that the kernel writes
  | { readonly outBuffer: string } // pointer; argument `outBuffer` is its size
  | { readonly inOut: number }; // read, then written

/** How far a call is supported, and what is missing in one sentence. */
export interface Support {
  readonly level: "full" | "partial" | "none";
  readonly note: string;
}

export const FULL: Support = { level: "full", note: "" };

/** Supported except for what `note` says. */
export function partial(note: string): Support {
  return { level: "partial", note };
}

/** A handler: reads its arguments, returns a result >= 0, -ERRNO, or the value of suspend() (task/wait_engine.ts). */
export type SyscallHandler = (task: Task, args: Args) => number;

export interface SyscallSpec {
  readonly nr: { readonly x64: number; readonly arm64?: number };
  /** In the man page's order. */
  readonly args: Readonly<Record<string, ArgKind>>;
  /** The call reads so many bytes of a frame at the stack pointer, besides the FPU's. */
  readonly frameBytes?: number;
  readonly returns: "int" | "fd" | "size" | "word" | "pid" | "none";
  readonly support: Support;
  readonly run: SyscallHandler;
}

/** One family of calls: name to spec. */
export type SyscallFamily = Readonly<Record<string, SyscallSpec>>;

/** The highest x86-64 number plus one. Higher numbers answer ENOSYS. */
export const SYSCALLS_MAX = 512;
