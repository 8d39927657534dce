// The arguments of a call as strace(1) writes them: names for numbers, and what pointers lead to. What the kernel fills is
// read when the call has ended; of a call that has failed its address is written.

import * as FILE from "../abi/file.ts";
import * as TTY from "../abi/tty.ts";
import { u64 } from "../abi/struct.ts";
import type { NamedSpec } from "../syscalls/dispatch.ts";
import type { ArgKind } from "../syscalls/table.ts";
import type { Task } from "../task/task.ts";
import { signalName } from "./signal_text.ts";
import { countedDecoderOf, decoderOf } from "./structs.ts";
import { flagsText, pointer, quoted, quotedString, valueText } from "./text.ts";

/** Longest path that is read, and bytes of a counted structure. */
const PATH_BYTES_MAX = 4096;
const COUNTED_BYTES_MAX = 512;
/** Entries of an array that are written. */
const ENTRIES_MAX = 32;
const CLONE_STOP_SIGNALS = 0xff;

const scratch = new Uint8Array(PATH_BYTES_MAX);

function named(module: Readonly<Record<string, unknown>>, pattern: RegExp): Record<string, number> {
  return Object.fromEntries(
    Object.entries(module).filter(([name, value]) => pattern.test(name) && typeof value === "number"),
  ) as Record<string, number>;
}

const ACCESS_MODES = { R_OK: 4, W_OK: 2, X_OK: 1 };
/** Arguments that the table of calls has as plain numbers: what they are called. */
const VALUES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  "fcntl cmd": named(
    FILE,
    /^F_(DUPFD|GETFD|SETFD|GETFL|SETFL|GETLK|SETLK|OFD_|[GS]ETOWN|[GS]ETSIG|[GS]ETPIPE|ADD_SEALS|GET_SEALS)/,
  ),
  "ioctl request": { ...named(TTY, /^(TC|TIOC)/), ...named(FILE, /^FIO/) },
};

/** Whether argument `kind` is filled by the kernel: it is written when the call has ended. */
export function isFilled(kind: ArgKind): boolean {
  return typeof kind === "object" &&
    ("out" in kind || "outBuffer" in kind || "message" in kind && kind.message === "out");
}

/** Text of argument `n` of a call in service. `result` is the call's where it has ended, null before. */
export function argumentText(
  task: Task,
  call: NamedSpec,
  n: number,
  textMax: number,
  result: number | null,
): string | null {
  const names = Object.keys(call.spec.args), name = names[n], kind = call.spec.args[name];
  const { args } = task;
  const place = `${call.name} ${name}`;
  if (VALUES[place] !== undefined) return valueOr(args.u32(n), VALUES[place]);
  if (name === "mode" && /^f?access/.test(call.name)) return flagsText(args.u32(n), ACCESS_MODES, "F_OK");
  if (typeof kind !== "object") return plainText(task, call, kind, n, textMax);
  if ("flags" in kind) return namedFlags(call.name, name, args.u32(n), kind.flags);
  if ("values" in kind) return valueText(args.i32(n), kind.values);
  const address = args.word(n);
  if (address === 0) return "NULL";
  // A task that has ended has no memory, and a call that has failed has filled nothing.
  if (result !== null && (result < 0 || task.hasExited)) return pointer(address);
  if ("in" in kind || "out" in kind || "inOut" in kind) {
    const size = "in" in kind ? kind.in : "out" in kind ? kind.out : kind.inOut;
    const decode = decoderOf(call.name, name, size);
    if (decode === null || !read(task, address, size, result)) return pointer(address);
    return decode(scratch, size);
  }
  if ("inBuffer" in kind) {
    const count = countOf(task, names, kind.inBuffer) * (kind.unit ?? 1);
    const decode = countedDecoderOf(name, kind.inBuffer);
    if (decode === null) {
      return kind.unit === undefined ? buffer(task, address, count, textMax, null) : pointer(address);
    }
    const length = Math.min(count, COUNTED_BYTES_MAX);
    return length < 0 || !read(task, address, length, null) ? pointer(address) : decode(scratch, length);
  }
  if ("outBuffer" in kind) {
    // What it answers is how much there is; of structures the address says as much.
    const isText = /^p?read|^recvfrom$|^getrandom$|^readlink|^getcwd$|xattr$/.test(call.name);
    return isText && result !== null ? buffer(task, address, result, textMax, result) : pointer(address);
  }
  if ("inIovec" in kind) return vectors(task, address, countOf(task, names, kind.inIovec), textMax);
  return pointer(address);
}

function plainText(task: Task, call: NamedSpec, kind: ArgKind, n: number, textMax: number): string | null {
  const { args } = task;
  switch (kind) {
    case "path":
    case "string": {
      const address = args.word(n);
      if (address === 0) return "NULL";
      const text = task.memory.readString(address, PATH_BYTES_MAX);
      return typeof text === "number" ? pointer(address) : quotedString(text);
    }
    case "strings": {
      const isEnvironment = Object.keys(call.spec.args)[n] === "envp";
      return strings(task, args.word(n), isEnvironment, textMax);
    }
    case "dirfd":
      return args.i32(n) === FILE.AT_FDCWD ? "AT_FDCWD" : String(args.i32(n));
    case "signal":
      return args.i32(n) === 0 ? "0" : signalName(args.i32(n));
    case "mode":
      // open(2) reads it where it makes a file alone.
      if (
        /^open(at)?$/.test(call.name) &&
        (args.u32(n - 1) & (FILE.O_CREAT | FILE.O_TMPFILE & ~FILE.O_DIRECTORY)) === 0
      ) {
        return null;
      }
      return `0${args.u32(n).toString(8)}`.padStart(3, "0");
    case "word":
      return pointer(args.word(n));
    case "size":
      return String(args.word(n));
    case "offset":
    case "long":
      return String(args.i53(n));
    case "uint":
      return String(args.u32(n));
    case "uid":
    case "gid":
      return String(args.i32(n) === -1 ? -1 : args.u32(n));
    default:
      return String(args.i32(n));
  }
}

function valueOr(value: number, values: Readonly<Record<string, number>>): string {
  const text = valueText(value, values);
  return text === String(value) && value > 0xff ? `0x${value.toString(16)}` : text;
}

/** Flags whose zero has a name, and clone's, whose low byte is a signal. */
function namedFlags(
  call: string,
  name: string,
  value: number,
  flags: Readonly<Record<string, number>>,
): string {
  if ("O_RDWR" in flags && name !== "operation") {
    if ((value & FILE.O_PATH) !== 0 || !("O_WRONLY" in flags)) return flagsText(value, flags);
    const access = ["O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"][value & 3];
    const rest = flagsText(value & ~3, flags, "");
    return rest === "" ? access : `${access}|${rest}`;
  }
  if (name === "prot") return flagsText(value, flags, "PROT_NONE");
  if (call === "clone" && (value & CLONE_STOP_SIGNALS) !== 0) {
    const rest = flagsText(value & ~CLONE_STOP_SIGNALS, flags, "");
    return `${rest === "" ? "" : `${rest}|`}${signalName(value & CLONE_STOP_SIGNALS)}`;
  }
  return flagsText(value, flags);
}

function countOf(task: Task, names: readonly string[], count: string): number {
  return task.args.i32(names.indexOf(count));
}

/** Reads into `scratch`: what the call was given, or after its end what it leaves. */
function read(task: Task, address: number, length: number, result: number | null): boolean {
  if (length > scratch.length) return false;
  const { memory } = task;
  const failure = result === null
    ? memory.copyIn(address, scratch, 0, length)
    : memory.readBack(address, scratch, 0, length);
  return failure === 0;
}

function buffer(task: Task, address: number, length: number, textMax: number, result: number | null): string {
  if (length < 0) return pointer(address);
  const shown = Math.min(length, textMax, scratch.length);
  if (shown > 0 && !read(task, address, shown, result)) return pointer(address);
  return `${quoted(scratch, shown)}${shown < length ? "..." : ""}`;
}

function vectors(task: Task, address: number, count: number, textMax: number): string {
  if (count < 0) return pointer(address);
  const list: string[] = [];
  for (let i = 0; i < Math.min(count, ENTRIES_MAX); i++) {
    if (!read(task, address + 16 * i, 16, null)) return pointer(address);
    const base = u64(scratch, 0), length = u64(scratch, 8);
    list.push(`{iov_base=${buffer(task, base, length, textMax, null)}, iov_len=${length}}`);
  }
  return `[${list.join(", ")}${count > ENTRIES_MAX ? ", ..." : ""}]`;
}

/** argv in full; of an environment, which may hold what is nobody's business, the number of its variables. */
function strings(task: Task, address: number, isEnvironment: boolean, textMax: number): string {
  if (address === 0) return "NULL";
  const list: string[] = [];
  let count = 0;
  for (;; count++) {
    if (!read(task, address + 8 * count, 8, null)) return pointer(address);
    const at = u64(scratch, 0);
    if (at === 0 || count === PATH_BYTES_MAX) break;
    if (isEnvironment || count > ENTRIES_MAX) continue;
    if (count === ENTRIES_MAX) {
      list.push("...");
      continue;
    }
    const text = task.memory.readString(at, PATH_BYTES_MAX);
    if (typeof text === "number") list.push(pointer(at));
    else list.push(`${quotedString(text.slice(0, textMax))}${text.length > textMax ? "..." : ""}`);
  }
  if (isEnvironment) return `${pointer(address)} /* ${count} var${count === 1 ? "" : "s"} */`;
  return `[${list.join(", ")}]`;
}
