// The one table of system calls. A family's file declares its calls as specs; the list of families is written out in
// families.ts. Dispatch, the stub's marshalling, strace text, `tsvisor help syscalls` and the docs are all made from it.

import type { Task } from "../task/task.ts";
import type { Args } from "./args.ts";

/** How one argument is read and shown. `size` is in bytes; `length` names the argument that holds a count. */
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
  | { readonly inBuffer: string; readonly unit?: number } // pointer; argument `inBuffer` counts units of `unit` bytes (1)
  | { readonly inIovec: string } // pointer to iovecs that are read from; argument `inIovec` counts them
  | { readonly message: "in" | "out" } // struct msghdr: what it points to is sent ("in") or filled ("out")
  | { readonly out: number } // pointer to at most `out` bytes that the kernel writes
  | { readonly outBuffer: string } // pointer; argument `outBuffer` is its size
  | { readonly inOut: number }; // read, then written

/** How far a call is supported, with what is missing in one sentence. */
export interface Support {
  readonly level: "full" | "partial" | "none";
  readonly note: string;
}

export const FULL: Support = { level: "full", note: "" };

/** Works except for what `note` says. */
export function partial(note: string): Support {
  return { level: "partial", note };
}

/** A handler: reads its arguments, returns a result >= 0, -ERRNO, or what suspend() of task/wait_engine.ts returned. */
export type SyscallHandler = (task: Task, args: Args) => number;

export interface SyscallSpec {
  readonly nr: { readonly x64: number; readonly arm64?: number };
  /** In the order of the man page. */
  readonly args: Readonly<Record<string, ArgKind>>;
  readonly returns: "int" | "fd" | "size" | "word" | "pid" | "none";
  readonly support: Support;
  readonly run: SyscallHandler;
}

/** One family of calls: name to spec. */
export type SyscallFamily = Readonly<Record<string, SyscallSpec>>;

/** Highest x86-64 number we look at, plus one. Numbers outside answer ENOSYS. */
export const SYSCALLS_MAX = 512;
