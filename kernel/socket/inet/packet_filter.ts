// iptables' options of sockets: whoever may administer a network reads and replaces the tables of its packet filter through any
// socket of the family. Linux: nf_setsockopt(), nf_getsockopt() of net/netfilter/nf_sockopt.c. The tables are the stack's
// (netstack/firewall/iptables); here are permissions, and the caller's memory.

import type { LegacyTables } from "../../../netstack/mod.ts";
import { EAGAIN, EFAULT, EINVAL, ENOMEM, EPERM } from "../../abi/errno.ts";
import { SOL_IP, SOL_IPV6 } from "../../abi/inet.ts";
import { put32, u32, u64 } from "../../abi/struct.ts";
import { CAP_NET_ADMIN } from "../../abi/task.ts";
import type { Budget } from "../../util/kernel_memory.ts";
import { hasCapability } from "../../task/credentials.ts";
import type { Task } from "../../task/task.ts";
import { giveTurnKillable, mayKeep } from "../../task/wait_engine.ts";
import type { InetSocket } from "./inet_socket.ts";
import type { Network } from "./network.ts";

/** IPT_BASE_CTL and what is behind it, IP6T_* too; IPv6 has its revisions elsewhere, as 66 and 67 are its TCLASS. */
const SET_REPLACE = 64;
const SET_ADD_COUNTERS = 65;
const GET_INFO = 64;
const GET_ENTRIES = 65;
const REVISION_MATCH_V4 = 66;
const REVISION_MATCH_V6 = 68;

const INFO_BYTES = 84;
const HEADER_BYTES = 40;
/** Where ipt_replace has its size, and the address that old counters go to. */
const REPLACE_BYTES = 96;
const SIZE_AT = 40;
const COUNTERS_AT = 88;
/** Of one table. */
const TABLE_BYTES_MAX = 8 * 1024 * 1024;
/** A table is kept as it was written, and as rules. */
const COST_PER_BYTE = 4;

/** The tables of one network, made when they are first asked for. */
export class PacketFilterRoom {
  #v4: LegacyTables | null = null;
  #v6: LegacyTables | null = null;
  /** What each table counts in the kernel's account, by family and name. */
  readonly #charged = new Map<string, number>();

  of(network: Network, isV4: boolean): LegacyTables {
    const { netstack } = network.shared;
    if (isV4) return this.#v4 ??= new netstack.LegacyTables(network.stack, true);
    return this.#v6 ??= new netstack.LegacyTables(network.stack, false);
  }

  /** A table now counts `bytes`, which were taken from `heap`. */
  charge(heap: Budget, table: string, bytes: number): void {
    heap.give(this.#charged.get(table) ?? 0);
    this.#charged.set(table, bytes);
  }
  release(heap: Budget): void {
    for (const bytes of this.#charged.values()) heap.give(bytes);
    this.#charged.clear();
  }
  /** /proc/net/ip_tables_names, ip6_tables_names. */
  names(isV4: boolean): string {
    const tables = isV4 ? this.#v4 : this.#v6;
    return tables === null ? "" : tables.names.map((name) => `${name}\n`).join("");
  }
}

/** Whether an option of `socket` that is set is the packet filter's. */
export function setsPacketFilter(socket: InetSocket, level: number, name: number): boolean {
  return level === (socket.isV4 ? SOL_IP : SOL_IPV6) && (name === SET_REPLACE || name === SET_ADD_COUNTERS);
}

/** The same of one that is read. */
export function getsPacketFilter(socket: InetSocket, level: number, name: number): boolean {
  if (level !== (socket.isV4 ? SOL_IP : SOL_IPV6)) return false;
  const revisions = socket.isV4 ? REVISION_MATCH_V4 : REVISION_MATCH_V6;
  return name === GET_INFO || name === GET_ENTRIES || name === revisions || name === revisions + 1;
}

export function setPacketFilter(
  task: Task,
  socket: InetSocket,
  name: number,
  address: number,
  length: number,
): number {
  if (!hasCapability(task.credentials, CAP_NET_ADMIN)) return -EPERM;
  if (length < HEADER_BYTES) return -EINVAL;
  if (length > TABLE_BYTES_MAX) return -ENOMEM;
  if (name === SET_REPLACE) return replaceTable(task, socket, address, length);
  const bytes = new Uint8Array(length);
  if (task.memory.copyIn(address, bytes, 0, length) < 0) return -EFAULT;
  const { network } = socket;
  network.touch();
  return network.packetFilter.of(network, socket.isV4).addCounters(bytes);
}

/** A table on its way into the packet filter: what was written, and the work on it. */
class Replacing {
  readonly bytes: Uint8Array;
  readonly work: ReturnType<LegacyTables["replace"]>;

  constructor(bytes: Uint8Array, tables: LegacyTables) {
    this.bytes = bytes;
    // What lies behind the entries is not looked at.
    const whole = bytes.length < REPLACE_BYTES ? bytes.length : REPLACE_BYTES + u32(bytes, SIZE_AT);
    this.work = tables.replace(bytes.subarray(0, whole));
  }
}

/** Others have their turns while a large table is checked; what it counts is taken in each, and kept with the last. */
function replaceTable(task: Task, socket: InetSocket, address: number, length: number): number {
  const { network } = socket, { call } = task, { heap } = task.kernel.account;
  if (!mayKeep(task)) return -EAGAIN;
  const cost = length * COST_PER_BYTE;
  if (!heap.take(cost)) return -ENOMEM;
  let replacing = call.kept as Replacing | null;
  if (replacing === null) {
    const bytes = new Uint8Array(length);
    if (task.memory.copyIn(address, bytes, 0, length) < 0) {
      heap.give(cost);
      return -EFAULT;
    }
    replacing = new Replacing(bytes, network.packetFilter.of(network, socket.isV4));
  }
  network.touch();
  const { done, value: old } = replacing.work.next();
  if (done !== true) {
    heap.give(cost);
    call.keep(replacing);
    return giveTurnKillable(task);
  }
  if (typeof old === "number") {
    heap.give(cost);
    return old;
  }
  const { bytes } = replacing;
  network.packetFilter.charge(heap, tableKey(bytes, socket.isV4), cost);
  // do_replace(): the new table is in place, whatever becomes of the old counters.
  task.memory.copyOut(u64(bytes, COUNTERS_AT), old, 0, old.length);
  return 0;
}

function tableKey(bytes: Uint8Array, isV4: boolean): string {
  return `${isV4 ? 4 : 6}/${String.fromCharCode(...bytes.subarray(0, bytes.indexOf(0)))}`;
}

/** Writes what is asked for to `address` and its size to `lengthAddress`. */
export function getPacketFilter(
  task: Task,
  socket: InetSocket,
  name: number,
  address: number,
  lengthAddress: number,
  length: number,
): number {
  const { memory, credentials } = task;
  if (!hasCapability(credentials, CAP_NET_ADMIN)) return -EPERM;
  const { network } = socket, tables = network.packetFilter.of(network, socket.isV4);
  const bytes = new Uint8Array(INFO_BYTES);
  if (memory.copyIn(address, bytes, 0, Math.min(length, INFO_BYTES)) < 0) return -EFAULT;
  switch (name) {
    case GET_INFO: {
      const size = tables.info(bytes, length);
      if (size < 0) return size;
      return memory.copyOut(address, bytes, 0, size) < 0 ? -EFAULT : putLength(task, lengthAddress, size);
    }
    case GET_ENTRIES: {
      const entries = tables.entries(bytes, length);
      if (typeof entries === "number") return entries;
      const failed = memory.copyOut(address + HEADER_BYTES, entries, 0, entries.length) < 0;
      return failed ? -EFAULT : putLength(task, lengthAddress, length);
    }
    default:
      return tables.revision(bytes, length, name !== REVISION_MATCH_V4 && name !== REVISION_MATCH_V6);
  }
}

function putLength(task: Task, address: number, length: number): number {
  const word = new Uint8Array(4);
  put32(word, 0, length);
  return task.memory.copyOut(address, word, 0, 4);
}
