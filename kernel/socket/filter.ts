// Filters of sockets: classic BPF over what a socket is about to receive; the program's answer is how many bytes of it are kept,
// 0 = it is lost. Linux: sk_attach_filter(), sk_filter_trim_cap(), bpf_check_classic() of net/core/filter.c;
// Documentation/networking/filter.rst. The language itself is in kernel/task/bpf.ts.

import { EFAULT, EINVAL, ENOENT, ENOMEM, EPERM } from "../abi/errno.ts";
import { u16, u64 } from "../abi/struct.ts";
import { type BpfProgram, type BpfSource, interpret, PROGRAM_MAX, readProgram } from "../task/bpf.ts";
import type { Task } from "../task/task.ts";
import type { Socket } from "./socket.ts";

/** struct sock_fprog, struct sock_filter. */
const FPROG_BYTES = 16;
const INSTRUCTION_BYTES = 8;

// What an instruction loads: BPF_SIZE and BPF_MODE of linux/bpf_common.h, with the classes LD and LDX.
const LDX = 1;
const HALF = 0x08, BYTE = 0x10, SIZE_MASK = 0x18;
const ABS = 0x20, IND = 0x40, LEN = 0x80, MSH = 0xa0;
const MODE_MASK = 0xe0;

/** Offsets from here on are no offsets (SKF_AD_OFF), from the network header, from the link header. */
const ANCILLARY_FROM = 0xffff_f000;
const NETWORK_FROM = -0x10_0000;
const LINK_FROM = -0x20_0000;

/** SKF_AD_*: what a program may ask besides bytes. Linux: SKF_AD_NLATTR, NLATTR_NEST and PAY_OFFSET are refused here. */
const enum Ancillary {
  Protocol = 0,
  PacketType = 4,
  InterfaceIndex = 8,
  Mark = 20,
  Queue = 24,
  HardwareType = 28,
  Hash = 32,
  Cpu = 36,
  XorX = 40,
  VlanTag = 44,
  VlanTagPresent = 48,
  Random = 56,
  VlanProtocol = 60,
}
const ANCILLARIES = new Set<number>([0, 4, 8, 20, 24, 28, 32, 36, 40, 44, 48, 56, 60]);

/** What is known of a message besides its bytes: what the stack notes in a packet. */
export interface FilteredPacket {
  readonly etherType: number;
  readonly packetType: number;
  readonly nicId: number;
  readonly mark: number;
}
const NO_PACKET: FilteredPacket = { etherType: 0, packetType: 0, nicId: 0, mark: 0 };

/** A message that a filter looks at; the fields as the arguments of SocketFilter.run(). */
class Message implements BpfSource {
  bytes: Uint8Array = new Uint8Array();
  at = 0;
  length = 0;
  networkAt = -1;
  hasLink = false;
  packet = NO_PACKET;

  load(code: number, k: number, a: number, x: number): number {
    switch (code & MODE_MASK) {
      case ABS:
        return k >= ANCILLARY_FROM
          ? ancillary(k - ANCILLARY_FROM, a, x, this.packet)
          : this.#number(code, k | 0);
      case IND:
        return this.#number(code, x + k | 0);
      case MSH: {
        const value = this.#number(BYTE, k | 0);
        return value < 0 ? -1 : (value & 15) << 2;
      }
      default:
        return this.length;
    }
  }

  /** A number in network order, -1 = it is not there. */
  #number(code: number, offset: number): number {
    const { bytes, at, networkAt } = this;
    const width = (code & SIZE_MASK) === BYTE ? 1 : (code & SIZE_MASK) === HALF ? 2 : 4;
    const end = at + this.length;
    let place: number;
    if (offset >= 0) place = at + offset;
    else if (offset >= NETWORK_FROM) place = networkAt < 0 ? -1 : networkAt + (offset - NETWORK_FROM);
    else if (offset >= LINK_FROM && this.hasLink) place = at + (offset - LINK_FROM);
    else place = -1;
    if (place < 0 || place + width > end) return -1;
    if (width === 1) return bytes[place];
    if (width === 2) return bytes[place] << 8 | bytes[place + 1];
    return (bytes[place] << 24 | bytes[place + 1] << 16 | bytes[place + 2] << 8 | bytes[place + 3]) >>> 0;
  }
}
const message = new Message();

/** A socket's filter, counted as the kernel's memory until release(). */
export class SocketFilter {
  readonly #program: BpfProgram;
  readonly #give: (bytes: number) => void;
  /** The program as it was given: SO_GET_FILTER shows it. */
  readonly code: Uint8Array;
  #holders = 1;

  private constructor(program: BpfProgram, code: Uint8Array, give: (bytes: number) => void) {
    this.#program = program;
    this.code = code;
    this.#give = give;
  }

  /** The program of struct sock_fprog at `at`; -ERRNO. */
  static read(task: Task, from: Uint8Array, at: number, length: number): SocketFilter | number {
    if (length !== FPROG_BYTES) return -EINVAL;
    const count = u16(from, at), address = u64(from, at + 8);
    if (count === 0 || count > PROGRAM_MAX || address === 0) return -EINVAL;
    const code = new Uint8Array(count * INSTRUCTION_BYTES);
    if (task.memory.copyIn(address, code, 0, code.length) < 0) return -EFAULT;
    const program = readProgram(code, count, isLoad, true);
    if (program === null) return -EINVAL;
    const { heap } = task.kernel.account;
    if (!heap.take(code.length * 2)) return -ENOMEM;
    return new SocketFilter(program, code, (bytes) => heap.give(bytes));
  }

  /** An accepted connection has its listener's. */
  hold(): this {
    this.#holders++;
    return this;
  }
  release(): void {
    if (--this.#holders === 0) this.#give(this.code.length * 2);
  }

  /**
   * Bytes to keep of the `length` at `at`, -1 = it is lost. `networkAt` is where its network header begins, -1 = it has none in
   * `bytes`; `hasLink`: it begins with a link header.
   */
  run(
    bytes: Uint8Array,
    at: number,
    length: number,
    networkAt = -1,
    hasLink = false,
    packet: FilteredPacket = NO_PACKET,
  ): number {
    message.bytes = bytes;
    message.at = at;
    message.length = length;
    message.networkAt = networkAt;
    message.hasLink = hasLink;
    message.packet = packet;
    const kept = interpret(this.#program, message);
    return kept === 0 ? -1 : Math.min(kept, length);
  }
}

/** chk_code_allowed(): loads that a socket's program may have. */
function isLoad(code: number, k: number): boolean {
  if ((code & 7) === LDX) return code === (LDX | LEN) || code === (LDX | BYTE | MSH);
  const mode = code & MODE_MASK, size = code & SIZE_MASK;
  if (code > 0xff || size > BYTE) return false;
  if (mode === LEN) return size === 0;
  if (mode === IND) return true;
  return mode === ABS && (k < ANCILLARY_FROM || ANCILLARIES.has(k - ANCILLARY_FROM));
}

function ancillary(which: Ancillary, a: number, x: number, packet: FilteredPacket): number {
  switch (which) {
    case Ancillary.Protocol:
      return packet.etherType;
    case Ancillary.PacketType:
      return packet.packetType;
    case Ancillary.InterfaceIndex:
      return packet.nicId;
    case Ancillary.Mark:
      return packet.mark >>> 0;
    case Ancillary.HardwareType:
      return 1;
    case Ancillary.XorX:
      return (a ^ x) >>> 0;
    case Ancillary.Random:
      return Math.floor(Math.random() * 0x1_0000_0000);
    case Ancillary.Queue:
    case Ancillary.Hash:
    case Ancillary.Cpu:
    case Ancillary.VlanTag:
    case Ancillary.VlanTagPresent:
    case Ancillary.VlanProtocol:
      return 0;
    default:
      which satisfies never;
      return 0;
  }
}

/** SO_ATTACH_FILTER: another takes the place of the one before. */
export function attachFilter(
  task: Task,
  socket: Socket,
  from: Uint8Array,
  at: number,
  length: number,
): number {
  if (socket.isFilterLocked) return -EPERM;
  const filter = SocketFilter.read(task, from, at, length);
  if (typeof filter === "number") return filter;
  socket.setFilter(filter);
  return 0;
}

/** SO_DETACH_FILTER. */
export function detachFilter(socket: Socket): number {
  if (socket.isFilterLocked) return -EPERM;
  if (socket.filter === null) return -ENOENT;
  socket.setFilter(null);
  return 0;
}

/** SO_GET_FILTER: copies its instructions to `address` where there is room for `room` of them; how many there are. */
export function showFilter(task: Task, socket: Socket, address: number, room: number): number {
  const { filter } = socket;
  if (filter === null) return 0;
  const { code } = filter, count = code.length / INSTRUCTION_BYTES;
  if (room === 0) return count;
  if (room < count) return -EINVAL;
  return task.memory.copyOut(address, code, 0, code.length) < 0 ? -EFAULT : count;
}
