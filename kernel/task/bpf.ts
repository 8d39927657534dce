// Classic BPF: programs are checked once, and interpreted: seccomp(2)'s over struct seccomp_data, those of sockets over what
// kernel/socket/filter.ts has. Linux: bpf_check_classic() of net/core/filter.c, seccomp_check_filter(); Documentation/networking/filter.rst.

/** Most instructions of one program (BPF_MAXINSNS). */
export const PROGRAM_MAX = 4096;
/** Words of struct seccomp_data: number, architecture, instruction pointer, six arguments. */
export const DATA_WORDS = 16;
const DATA_BYTES = DATA_WORDS * 4;
const MEMORY_WORDS = 16;

// Instruction classes, and what else a code is made of.
const LD = 0, LDX = 1, ST = 2, STX = 3, ALU = 4, JMP = 5, RET = 6, MISC = 7;
const W_ABS = 0x20, W_LEN = 0x80, IMM = 0x00, MEM = 0x60;
const ADD = 0x00, SUB = 0x10, MUL = 0x20, DIV = 0x30, OR = 0x40, AND = 0x50, LSH = 0x60, RSH = 0x70;
const NEG = 0x80, MOD = 0x90, XOR = 0xa0;
const JA = 0x00, JEQ = 0x10, JGT = 0x20, JGE = 0x30, JSET = 0x40;
/** The operand is X. */
const X = 0x08;
const RET_A = 0x10;
const TXA = 0x80;

/** A checked program: per instruction code, jt, jf and k. */
export interface BpfProgram {
  readonly length: number;
  readonly codes: Uint16Array;
  /** jt in the low byte, jf above. */
  readonly jumps: Uint16Array;
  readonly operands: Uint32Array;
}

const memory = new Uint32Array(MEMORY_WORDS);

/** Whether a program may have a load of this code and operand; those of constants and of its own memory it always may. */
export type LoadCheck = (code: number, k: number) => boolean;

/** The program of `count` struct sock_filter in `bytes`, or null where Linux answers EINVAL. */
export function readProgram(
  bytes: Uint8Array,
  count: number,
  isLoad: LoadCheck = isSeccompLoad,
  hasModulo = false,
): BpfProgram | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, count * 8);
  const codes = new Uint16Array(count), jumps = new Uint16Array(count), operands = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    codes[i] = view.getUint16(i * 8, true);
    jumps[i] = view.getUint16(i * 8 + 2, true);
    operands[i] = view.getUint32(i * 8 + 4, true);
  }
  const program = { length: count, codes, jumps, operands };
  return isValid(program, isLoad, hasModulo) ? program : null;
}

function isSeccompLoad(code: number, k: number): boolean {
  if (code === (LD | W_ABS)) return k % 4 === 0 && k < DATA_BYTES;
  return (code & ~7) === W_LEN;
}

/** Every instruction is one of those allowed, jumps go forward and stay inside, memory is written before it is read. */
function isValid(program: BpfProgram, isLoad: LoadCheck, hasModulo: boolean): boolean {
  const { length, codes, jumps, operands } = program;
  // Which words of memory have been written on every way to an instruction.
  const written = new Uint16Array(length).fill(0xffff);
  let mask = 0;
  for (let at = 0; at < length; at++) {
    mask &= written[at];
    const code = codes[at], k = operands[at];
    switch (code & 7) {
      case LD:
      case LDX:
        if (!isPlainLoad(code, k, mask) && !isLoad(code, k)) return false;
        break;
      case ST:
      case STX:
        if ((code !== ST && code !== STX) || k >= MEMORY_WORDS) return false;
        mask |= 1 << k;
        break;
      case ALU:
        if (!isArithmetic(code, k, hasModulo)) return false;
        break;
      case JMP: {
        const left = length - at - 1;
        if (code === (JMP | JA)) {
          if (k >= left) return false;
          written[at + 1 + k] &= mask;
        } else {
          const jt = jumps[at] & 0xff, jf = jumps[at] >> 8;
          if (!isComparison(code) || jt >= left || jf >= left) return false;
          written[at + 1 + jt] &= mask;
          written[at + 1 + jf] &= mask;
        }
        mask = 0xffff;
        break;
      }
      case RET:
        if (code !== RET && code !== (RET | RET_A)) return false;
        break;
      default:
        if (code !== MISC && code !== (MISC | TXA)) return false;
    }
  }
  return length > 0 && (codes[length - 1] & 7) === RET;
}

function isPlainLoad(code: number, k: number, mask: number): boolean {
  const mode = code & ~7;
  if (mode === MEM) return k < MEMORY_WORDS && (mask & 1 << k) !== 0;
  return mode === IMM;
}

function isArithmetic(code: number, k: number, hasModulo: boolean): boolean {
  const operation = code & 0xf0, hasX = (code & X) !== 0;
  switch (operation) {
    case ADD:
    case SUB:
    case MUL:
    case OR:
    case AND:
    case XOR:
      return code < 0x100;
    case MOD:
      return hasModulo && (hasX || k !== 0);
    case DIV:
      return hasX || k !== 0;
    case LSH:
    case RSH:
      return hasX || k < 32;
    case NEG:
      return !hasX;
    default:
      return false;
  }
}

function isComparison(code: number): boolean {
  const operation = code & 0xf0;
  return code < 0x100 && (operation === JEQ || operation === JGT || operation === JGE || operation === JSET);
}

/** What a program is about: it answers the loads that LoadCheck lets it have. */
export interface BpfSource {
  /** The word that instruction `code` with operand `k` loads, as u32, or -1 = it is not there; `a` and `x` are the registers. */
  load(code: number, k: number, a: number, x: number): number;
}

/** struct seccomp_data as 32-bit words. */
class SeccompData implements BpfSource {
  words: Uint32Array = new Uint32Array(DATA_WORDS);

  load(code: number, k: number): number {
    return (code & ~7) === W_ABS ? this.words[k >> 2] : DATA_BYTES;
  }
}
const seccompData = new SeccompData();

/** Runs a checked program of seccomp(2) over `data`; its answer as u32. */
export function runProgram(program: BpfProgram, data: Uint32Array): number {
  seccompData.words = data;
  return interpret(program, seccompData);
}

/** Runs a checked program; its answer as u32. As Linux has it, 0 where it divides by zero or loads what is not there. */
export function interpret(program: BpfProgram, source: BpfSource): number {
  const { codes, jumps, operands } = program;
  let a = 0, x = 0;
  // Every jump goes forward, and the last instruction returns.
  for (let at = 0;; at++) {
    const code = codes[at], k = operands[at];
    switch (code & 7) {
      case LD:
      case LDX: {
        const mode = code & ~7;
        const value = mode === IMM ? k : mode === MEM ? memory[k] : source.load(code, k, a, x);
        if (value < 0) return 0;
        if ((code & 7) === LD) a = value;
        else x = value;
        break;
      }
      case ST:
        memory[k] = a;
        break;
      case STX:
        memory[k] = x;
        break;
      case ALU: {
        const operand = (code & X) !== 0 ? x : k, operation = code & 0xf0;
        if (operand === 0 && (operation === DIV || operation === MOD)) return 0;
        a = compute(operation, a, operand);
        break;
      }
      case JMP:
        if (code === (JMP | JA)) at += k;
        else at += compare(code & 0xf0, a, (code & X) !== 0 ? x : k) ? jumps[at] & 0xff : jumps[at] >> 8;
        break;
      case RET:
        return (code & RET_A) !== 0 ? a : k;
      default:
        if ((code & TXA) !== 0) a = x;
        else x = a;
    }
  }
}

/**
 * What a checked program answers to call `number` of architecture `architecture`, should it ask for nothing else (no argument,
 * no address): a u32. null = it does. Linux: seccomp_is_const_allow() of kernel/seccomp.c.
 */
export function constantAnswer(program: BpfProgram, number: number, architecture: number): number | null {
  const { codes, jumps, operands } = program;
  let a = 0;
  for (let at = 0;; at++) {
    const code = codes[at], k = operands[at];
    if (code === RET) return k;
    if (code === (LD | W_ABS)) {
      if (k > 4) return null;
      a = k === 0 ? number : architecture;
    } else if (code === (ALU | AND)) a = (a & k) >>> 0;
    else if (code === (JMP | JA)) at += k;
    else if ((code & 7) === JMP && (code & X) === 0) {
      at += compare(code & 0xf0, a, k) ? jumps[at] & 0xff : jumps[at] >> 8;
    } else return null;
  }
}

function compute(operation: number, a: number, b: number): number {
  switch (operation) {
    case ADD:
      return (a + b) >>> 0;
    case SUB:
      return (a - b) >>> 0;
    case MUL:
      return Math.imul(a, b) >>> 0;
    case DIV:
      return Math.floor(a / b);
    case MOD:
      return a % b;
    case OR:
      return (a | b) >>> 0;
    case AND:
      return (a & b) >>> 0;
    case XOR:
      return (a ^ b) >>> 0;
    case LSH:
      return (a << (b & 31)) >>> 0;
    case RSH:
      return a >>> (b & 31);
    default:
      return -a >>> 0;
  }
}

function compare(operation: number, a: number, b: number): boolean {
  switch (operation) {
    case JEQ:
      return a === b;
    case JGT:
      return a > b;
    case JGE:
      return a >= b;
    default:
      return (a & b) !== 0;
  }
}
