// Stub processes, below systrap and ptrace alike: the memory shared with them, the start of the first one, from which all
// others are forked, their sockets, and what the host does with a process from outside.

import { EFAULT } from "../../kernel/abi/errno.ts";
import { startStubMemory, type StubCalls, type StubMemory } from "../../native/stub.ts";
import { COMMON_BYTES, SLOT_BYTES, SLOT_VDSO } from "../slot.ts";

const TWO_32 = 4294967296;
/** Milliseconds the first stub may take to start. */
const START_MILLIS_MAX = 10_000;

/** Which host calls of a stub ask the sentry: none; those that make processes or take descriptors; those on its own memory too. */
export const ASKS = { NEVER: 0, FOR_MOST: 1, FOR_ALL: 2 } as const;

/** Directions of copy(). */
export const COPY_IN = 0, COPY_OUT = 1;

export class Stubs {
  readonly calls: StubCalls;
  /** The page that all stubs read. */
  readonly common: Uint8Array;
  /** The memory of a slot. */
  readonly slot: (slot: number) => ArrayBuffer;
  /** Memory of the sentry's for what the slot is commanded. */
  readonly orders: (slot: number) => ArrayBuffer;
  /** Flags of the clone(2) that makes a stub, or a thread of one. */
  readonly forkFlags: number;
  readonly threadFlags: number;
  /** The ends of the last socketPair(): ours, and the stub's. */
  ownSocket = -1;
  stubSocket = -1;
  readonly #pair = new Int32Array(2);

  /** `asks`: what stubs may do only where the sentry says so, as far as the host can ask (ASKS). */
  constructor(asks: number) {
    const memory: StubMemory = startStubMemory(SLOT_BYTES, COMMON_BYTES, asks);
    this.calls = memory.calls;
    this.common = memory.common;
    this.slot = memory.slot;
    this.orders = memory.orders;
    this.forkFlags = this.calls.tsv_stub_fork_flags();
    this.threadFlags = this.calls.tsv_stub_thread_flags();
  }

  /** A connection for the stub of arena `arena`, whose hang-up is reported with that number. 0 or -ERRNO. */
  socketPair(arena: number): number {
    const result = this.calls.tsv_stub_socketpair(this.#pair, arena);
    if (result < 0) return result;
    this.ownSocket = this.#pair[0];
    this.stubSocket = this.#pair[1];
    return 0;
  }

  /** Starts the first stub, in arena 0, its nice value `preference` above ours: its pid. Our end of its socket is ownSocket. */
  startFirst(preference: number): number {
    if (this.socketPair(0) < 0) throw new Error("Cannot make a socket pair for the first stub");
    const pid = this.calls.tsv_stub_first(this.stubSocket, preference);
    this.calls.tsv_stub_close(this.stubSocket);
    if (pid < 0) throw new Error(`Cannot start the first stub: errno ${-pid}`);
    return pid;
  }

  /** Waits until the first stub stands: where the host's vDSO is in all stubs. */
  awaitFirst(socket: number, spins: number): number {
    const result = this.calls.tsv_stub_await(0, socket, spins, START_MILLIS_MAX);
    if (result < 0) throw new Error(`Cannot start the first stub: it ended or hung (${result})`);
    const words = new Uint32Array(this.slot(0), 0, 1024);
    return words[SLOT_VDSO >> 2] + words[(SLOT_VDSO >> 2) + 1] * TWO_32;
  }

  /** Copies between `bytes` and memory of process `pid`, as process_vm_readv(2): bytes, or -EFAULT. */
  copy(
    pid: number,
    direction: number,
    address: number,
    bytes: Uint8Array,
    at: number,
    length: number,
  ): number {
    if (at + length > bytes.length) return -EFAULT;
    const n = this.calls.tsv_stub_memory(
      pid,
      direction,
      address % TWO_32,
      Math.floor(address / TWO_32),
      bytes as Uint8Array<ArrayBuffer>,
      at,
      length,
    );
    return n < 0 ? -EFAULT : n;
  }

  /** Ends process `pid` at once. It stays until it is reaped. */
  kill(pid: number): void {
    this.calls.tsv_stub_kill(pid);
  }
  /** Whether process `pid` has ended; its number is free then. */
  reap(pid: number): boolean {
    return this.calls.tsv_stub_reap(pid) !== 0;
  }
}
