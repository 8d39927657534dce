// Bindings of native/src/spawn.rs, confine.rs and capabilities.rs: starting the roles' processes and what they give up.

import { EPERM, errnoName } from "../kernel/abi/errno.ts";
import { nativeLibraryPath, openLibrary } from "./library.ts";

const symbols = {
  tsv_start_roles: {
    parameters: ["buffer", "u32", "buffer", "u32", "buffer", "u32", "u32", "i32", "buffer"],
    result: "i32",
  },
  tsv_start_relay: { parameters: ["buffer", "u32", "buffer", "u32", "i32"], result: "i32" },
  tsv_divert_signals: { parameters: [], result: "i32" },
  tsv_receive_signals: { parameters: [], result: "i32" },
  tsv_become: { parameters: ["buffer", "u32", "buffer", "u32"], result: "i32" },
  tsv_copy_to: { parameters: ["i32", "i32"], result: "i32" },
  tsv_wait: { parameters: ["i32", "i32"], result: "i32" },
  tsv_kill: { parameters: ["i32", "i32"], result: "i32" },
  tsv_socketpair: { parameters: ["buffer"], result: "i32" },
  tsv_die_with_parent: { parameters: [], result: "i32" },
  tsv_confine_files: { parameters: ["i32"], result: "i32" },
  tsv_confine_dumps: { parameters: [], result: "i32" },
  tsv_confine_processes: { parameters: ["u32"], result: "i32" },
  tsv_confine_root: { parameters: ["u32"], result: "i32" },
  tsv_confine_ids: { parameters: ["u32", "u32"], result: "i32" },
  tsv_confine_capabilities: { parameters: ["u32", "u32"], result: "i32" },
  tsv_region_reserve: { parameters: [], result: "i32" },
  tsv_region_start: { parameters: [], result: "pointer" },
  tsv_region_end: { parameters: [], result: "pointer" },
  tsv_confine_calls: { parameters: ["buffer", "u32", "u32"], result: "i32" },
} as const;

const waitSymbols = {
  tsv_host_receive: {
    parameters: ["i32", "buffer", "u32", "u32", "buffer", "i32", "u32"],
    result: "i32",
    nonblocking: true,
  },
} as const;

const native = openLibrary(symbols);

function strings(list: readonly string[]): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(list.map((text) => `${text}\0`).join(""));
}

/** Signals that are passed on to a container go into a pipe from now on: its reading end, or -errno. See attend.rs. */
export function divertSignals(): number {
  return native.tsv_divert_signals();
}

/** Signals that have waited since becomeProgram() come to this process's listeners. */
export function receiveSignals(): void {
  native.tsv_receive_signals();
}

/** This process becomes the program words[0] with the arguments after it, and keeps descriptors `kept`. -errno if it cannot. */
export function becomeProgram(words: readonly string[], kept: readonly number[]): number {
  const bytes = strings(words);
  const fds = Int32Array.from(kept);
  return native.tsv_become(bytes, bytes.length, fds, fds.length);
}

export interface StartOptions {
  /** Arguments of the runtime for each role. */
  readonly sentry: readonly string[];
  readonly gofer: readonly string[];
  /** NAME=VALUE, for both. */
  readonly environment: readonly string[];
  /** How a caller that is not root sees its files inside: as root's, or as its own. */
  readonly isRootInside: boolean;
  /** A terminal of nobody that becomes the sentry's controlling one; -1 = none. */
  readonly terminal: number;
}

/** Sentry and gofer: pids, and our ends of their sockets. */
export interface StartedRoles {
  readonly sentry: number;
  readonly gofer: number;
  readonly control: number;
  readonly goferControl: number;
}

/** Starts both, in namespaces of their own, or none: -errno. A program that cannot be run ends its process with 127. */
export function startRoles(options: StartOptions): StartedRoles | number {
  const sentry = strings(options.sentry), gofer = strings(options.gofer);
  const environment = strings(options.environment);
  const result = new Int32Array(4);
  const failure = native.tsv_start_roles(
    sentry,
    sentry.length,
    gofer,
    gofer.length,
    environment,
    environment.length,
    options.isRootInside ? 1 : 0,
    options.terminal,
    result,
  );
  if (failure < 0) return failure;
  return { sentry: result[0], gofer: result[1], control: result[2], goferControl: result[3] };
}

/**
 * Starts the net process of a sandbox, which hears over `control` what it is to do: its pid, or -errno. It ends with its link to
 * the sentry, not with us.
 */
export function startRelay(argv: readonly string[], environment: readonly string[], control: number): number {
  const words = strings(argv), variables = strings(environment);
  return native.tsv_start_relay(words, words.length, variables, variables.length, control);
}

/** Makes number `to` the same descriptor as `from`, in the place of what is there. */
export function copyDescriptor(from: number, to: number): void {
  const result = native.tsv_copy_to(from, to);
  if (result < 0) throw new Error(`Cannot copy descriptor ${from} to ${to}: ${errnoName(-result)}`);
}

/** Status of an ended child, -EAGAIN (11) while it lives when `mayWait` is false, -errno. */
export function waitProcess(pid: number, mayWait: boolean): number {
  return native.tsv_wait(pid, mayWait ? 0 : 1);
}

export function killProcess(pid: number, signal: number): number {
  return native.tsv_kill(pid, signal);
}

/** A connected pair of SOCK_SEQPACKET sockets. Throws where the host has no descriptors left. */
export function socketPair(): [number, number] {
  const pair = new Int32Array(2);
  const result = native.tsv_socketpair(pair);
  if (result < 0) throw new Error(`Cannot make a socket pair: ${errnoName(-result)}`);
  return [pair[0], pair[1]];
}

export function dieWithParent(): void {
  native.tsv_die_with_parent();
}

/** Steps of confinement; each throws with its name when the host refuses. See boot/confinement.ts for their order. */
export function confineFiles(firstFd: number): void {
  check("the runtime's files", native.tsv_confine_files(firstFd));
}
export function confineDumps(): void {
  check("core dumps", native.tsv_confine_dumps());
}
export function confineProcesses(most: number): void {
  check("the number of processes", native.tsv_confine_processes(most));
}
export function confineRoot(keepsProc: boolean): void {
  const result = native.tsv_confine_root(keepsProc ? 1 : 0);
  if (result === -EPERM) {
    throw new Error(
      "Cannot mount a /proc of its own (EPERM): parts of this container's /proc are masked; " +
        "let it have all of it (Docker: --security-opt systempaths=unconfined)",
    );
  }
  check("empty root directory", result);
}
export function confineIds(uid: number, gid: number): void {
  check("user ids", native.tsv_confine_ids(uid, gid));
}
export function confineCapabilities(low: number, high: number): void {
  check("capabilities", native.tsv_confine_capabilities(low, high));
}
/** The addresses from `from` on, below `end`. */
export interface AddressRange {
  readonly from: number;
  readonly end: number;
}

/** Reserves, once, the addresses where alone this process maps files from now on (native/src/shared_region.rs). */
export function sharedRegion(): AddressRange {
  check("memory", native.tsv_region_reserve());
  // User addresses are below 2^47.
  const at = (pointer: Deno.PointerValue) => Number(Deno.UnsafePointer.value(pointer));
  return { from: at(native.tsv_region_start()), end: at(native.tsv_region_end()) };
}

/** `rules`: see tsv_confine_calls. */
export function confineCalls(rules: Uint32Array<ArrayBuffer>, isLenient: boolean): void {
  check("system calls", native.tsv_confine_calls(rules, rules.length / 6, isLenient ? 1 : 0));
}

function check(what: string, result: number): void {
  if (result < 0) throw new Error(`Cannot confine ${what}: ${errnoName(-result)}`);
}

/** Descriptors that one message brings at most; as FDS_MAX in host.rs. */
const FDS_MAX = 136;

export interface ReceivedLater {
  /** Bytes, 0 at the end, -errno. */
  readonly length: number;
  /** The receiver's to close. */
  readonly fds: number[];
}

/** Receives one message on a thread of its own, so that the event loop goes on. */
export async function receiveLater(fd: number, into: Uint8Array<ArrayBuffer>): Promise<ReceivedLater> {
  const fds = new Int32Array(FDS_MAX + 1);
  const library = waitLibrary ??= Deno.dlopen(nativeLibraryPath(), waitSymbols).symbols;
  const length = await library.tsv_host_receive(fd, into, 0, into.length, fds, -1, 0);
  return { length, fds: [...fds.subarray(0, fds[FDS_MAX])] };
}
let waitLibrary: Deno.DynamicLibrary<typeof waitSymbols>["symbols"] | null = null;
