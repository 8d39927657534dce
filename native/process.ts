// Bindings of native/src/spawn.rs, confine.rs and capabilities.rs: starting the roles' processes and what they give up.

import { nativeLibraryPath, openLibrary } from "./library.ts";

const symbols = {
  tsv_spawn: {
    parameters: ["buffer", "u32", "buffer", "u32", "buffer", "u32", "u32", "u32", "buffer", "u32"],
    result: "i32",
  },
  tsv_wait: { parameters: ["i32", "i32"], result: "i32" },
  tsv_kill: { parameters: ["i32", "i32"], result: "i32" },
  tsv_borrow: { parameters: ["i32", "i32"], result: "i32" },
  tsv_socketpair: { parameters: ["buffer"], result: "i32" },
  tsv_die_with_parent: { parameters: [], result: "i32" },
  tsv_confine_files: { parameters: ["i32"], result: "i32" },
  tsv_confine_dumps: { parameters: [], result: "i32" },
  tsv_confine_processes: { parameters: ["u32"], result: "i32" },
  tsv_confine_root: { parameters: ["u32"], result: "i32" },
  tsv_confine_ids: { parameters: ["u32", "u32"], result: "i32" },
  tsv_confine_capabilities: { parameters: ["u32", "u32"], result: "i32" },
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

export const CLONE_NEWNS = 0x20000;
export const CLONE_NEWUTS = 0x4000000;
export const CLONE_NEWIPC = 0x8000000;
export const CLONE_NEWUSER = 0x10000000;
export const CLONE_NEWPID = 0x20000000;
export const CLONE_NEWNET = 0x40000000;

/** FLAG_ values of spawn.rs. */
export const SPAWN_NEW_SESSION = 1;
export const SPAWN_DIE_WITH_PARENT = 2;
export const SPAWN_BLOCK_USR1 = 4;
export const SPAWN_PRIVATE_MOUNTS = 8;
export const SPAWN_NO_NEW_PRIVS = 16;
export const SPAWN_TERMINAL = 32;
export const SPAWN_AMBIENT = 64;

export interface SpawnOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Descriptor i of the child is fds[i] of ours; nothing else is inherited. */
  readonly fds: readonly number[];
  /** CLONE_NEW* bits. */
  readonly namespaces: number;
  /** SPAWN_ bits. */
  readonly flags: number;
  /** Lines of uid_map and gid_map, with CLONE_NEWUSER. */
  readonly ids: string;
}

/** Starts a process; its pid, or -errno. An exec that fails ends it with 127. */
export function spawnProcess(options: SpawnOptions): number {
  const encoder = new TextEncoder();
  const argv = encoder.encode(options.argv.map((text) => `${text}\0`).join(""));
  const envp = encoder.encode(
    Object.entries(options.env).map(([name, value]) => `${name}=${value}\0`).join(""),
  );
  const fds = Int32Array.from(options.fds);
  const ids = encoder.encode(options.ids);
  return native.tsv_spawn(
    argv,
    argv.length,
    envp,
    envp.length,
    fds,
    fds.length,
    options.namespaces,
    options.flags,
    ids,
    ids.length,
  );
}

/** Status of an ended child, -EAGAIN (11) while it lives when `mayWait` is false, -errno. */
export function waitProcess(pid: number, mayWait: boolean): number {
  return native.tsv_wait(pid, mayWait ? 0 : 1);
}

export function killProcess(pid: number, signal: number): number {
  return native.tsv_kill(pid, signal);
}

/** A copy of descriptor `fd` of process `pid`, or -errno: the caller must be allowed to trace it. */
export function borrowDescriptor(pid: number, fd: number): number {
  return native.tsv_borrow(pid, fd);
}

/** A connected pair of SOCK_SEQPACKET sockets. Throws where the host has no descriptors left. */
export function socketPair(): [number, number] {
  const pair = new Int32Array(2);
  const result = native.tsv_socketpair(pair);
  if (result < 0) throw new Error(`Cannot make a socket pair: errno ${-result}`);
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
  check("empty root directory", native.tsv_confine_root(keepsProc ? 1 : 0));
}
export function confineIds(uid: number, gid: number): void {
  check("user ids", native.tsv_confine_ids(uid, gid));
}
export function confineCapabilities(low: number, high: number): void {
  check("capabilities", native.tsv_confine_capabilities(low, high));
}
/** `rules`: see tsv_confine_calls. */
export function confineCalls(rules: Uint32Array<ArrayBuffer>, isLenient: boolean): void {
  check("system calls", native.tsv_confine_calls(rules, rules.length / 4, isLenient ? 1 : 0));
}

function check(what: string, result: number): void {
  if (result < 0) throw new Error(`Cannot confine ${what}: errno ${-result}`);
}

/** Receives one message on a thread of its own, so that the event loop goes on: bytes, 0 at the end, -errno. */
export async function receiveLater(fd: number, into: Uint8Array<ArrayBuffer>): Promise<number> {
  const fds = new Int32Array(65);
  const library = waitLibrary ??= Deno.dlopen(nativeLibraryPath(), waitSymbols).symbols;
  return await library.tsv_host_receive(fd, into, 0, into.length, fds, -1, 0);
}
let waitLibrary: Deno.DynamicLibrary<typeof waitSymbols>["symbols"] | null = null;
