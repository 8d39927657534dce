// Seccomp profiles of containers: from rules that name calls to the filter that a container's processes begin with, in classic
// BPF. What is decided in which order is as libseccomp has it (db.c, gen_bpf.c) and runc asks of it (seccomp_linux.go).

import { ENOSYS } from "../kernel/abi/errno.ts";
import { SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_THREAD } from "../kernel/abi/task.ts";
import { AUDIT_ARCHITECTURE } from "../kernel/arch/arch.ts";
import { type BpfProgram, PROGRAM_MAX, readProgram } from "../kernel/task/bpf.ts";

export const COMPARISONS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"] as const;
export type Comparison = typeof COMPARISONS[number];

/** A number of 64 bits. */
export interface Words {
  readonly low: number;
  readonly high: number;
}

export interface SeccompCondition {
  /** Of the argument, from 0. */
  readonly index: number;
  readonly comparison: Comparison;
  /** What it is compared with; with MASKED_EQ the mask. */
  readonly value: Words;
  /** With MASKED_EQ what is left under the mask. */
  readonly second: Words;
}

export interface SeccompRule {
  readonly names: readonly string[];
  /** A SECCOMP_RET_ with its number. */
  readonly answer: number;
  /** All must hold; but where two are about one argument it is enough that one of them does. */
  readonly conditions: readonly SeccompCondition[];
}

export interface SeccompProfile {
  /** The answer to calls that no rule is about. */
  readonly otherwise: number;
  /** Calls with a number above all that rules name are not there (ENOSYS). */
  readonly isNewerUnknown: boolean;
  /** Calls of x32 are judged as those of x86-64; without it they kill. */
  readonly hasX32: boolean;
  readonly rules: readonly SeccompRule[];
}

// Codes of instructions, and where in struct seccomp_data things are.
const LOAD = 0x20, AND = 0x54, JUMP = 0x05, EQUAL = 0x15, GREATER = 0x25, AT_LEAST = 0x35, RETURN = 0x06;
const NUMBER_AT = 0, ARCHITECTURE_AT = 4, ARGUMENTS_AT = 16;
const INSTRUCTION_BYTES = 8;
/** Farthest that a conditional jump goes. */
const REACH = 0xff;
const X32_BIT = 0x4000_0000;

// Where a comparison leads to besides a number of instructions ahead.
const NEXT = 0, HOLDS = -1, FAILS = -2;

interface Instruction {
  readonly code: number;
  readonly k: number;
  readonly jt: number;
  readonly jf: number;
}

/** The filter of `profile`; null = it would be longer than Linux allows. Calls that `numberOf` does not know are left out. */
export function compileSeccomp(
  profile: SeccompProfile,
  numberOf: (name: string) => number | undefined,
): BpfProgram | null {
  const { otherwise, isNewerUnknown, hasX32 } = profile;
  const { byNumber, last } = rulesByNumber(profile, numberOf);
  const code: Instruction[] = [
    plain(LOAD, ARCHITECTURE_AT),
    { code: EQUAL, k: AUDIT_ARCHITECTURE, jt: 1, jf: 0 },
    plain(RETURN, SECCOMP_RET_KILL_THREAD),
    plain(LOAD, NUMBER_AT),
    { code: AT_LEAST, k: X32_BIT, jt: 0, jf: 1 },
    hasX32 ? plain(AND, ~X32_BIT >>> 0) : plain(RETURN, SECCOMP_RET_KILL_THREAD),
  ];
  for (const [number, rules] of byNumber) {
    const body = rules.flatMap(ruleCode);
    if (rules[rules.length - 1].conditions.length > 0) body.push(plain(RETURN, otherwise));
    if (body.length <= REACH) code.push({ code: EQUAL, k: number, jt: 0, jf: body.length }, ...body);
    else code.push({ code: EQUAL, k: number, jt: 1, jf: 0 }, plain(JUMP, body.length), ...body);
    if (code.length > PROGRAM_MAX) return null;
  }
  if (isNewerUnknown && last >= 0) {
    code.push({ code: GREATER, k: last, jt: 0, jf: 1 }, plain(RETURN, SECCOMP_RET_ERRNO | ENOSYS));
  }
  code.push(plain(RETURN, otherwise));
  return code.length > PROGRAM_MAX ? null : readProgram(encoded(code), code.length);
}

/** A rule of one call: its conditions are alternatives only in rules of their own. */
type CallRule = Pick<SeccompRule, "answer" | "conditions">;

/**
 * What is to be asked for each number, in order. One rule without conditions is all that counts of a call; those that answer
 * what is answered anyway are left out.
 */
function rulesByNumber(
  { rules, otherwise }: SeccompProfile,
  numberOf: (name: string) => number | undefined,
): { byNumber: Map<number, CallRule[]>; last: number } {
  const byNumber = new Map<number, CallRule[]>();
  let last = -1;
  for (const rule of rules) {
    for (const name of rule.names) {
      const number = numberOf(name);
      if (number === undefined) continue;
      last = Math.max(last, number);
      if (rule.answer === otherwise) continue;
      const found = byNumber.get(number) ?? [];
      if (found.length > 0 && found[0].conditions.length === 0) continue;
      byNumber.set(number, rule.conditions.length === 0 ? [rule] : [...found, ...alternatives(rule)]);
    }
  }
  return { byNumber, last };
}

function alternatives(rule: SeccompRule): CallRule[] {
  const { answer, conditions } = rule;
  const isRepeated = new Set(conditions.map(({ index }) => index)).size < conditions.length;
  return isRepeated ? conditions.map((condition) => ({ answer, conditions: [condition] })) : [rule];
}

/** Returns where all conditions hold; goes on behind itself where not. */
function ruleCode({ answer, conditions }: CallRule): Instruction[] {
  const parts = conditions.map(conditionCode);
  const length = parts.reduce((sum, part) => sum + part.length, 0) + 1;
  const code: Instruction[] = [];
  for (const part of parts) {
    const end = code.length + part.length;
    for (const { code: operation, k, jt, jf } of part) {
      const here = code.length + 1;
      const ahead = (to: number) => to === HOLDS ? end - here : to === FAILS ? length - here : to;
      code.push({ code: operation, k, jt: ahead(jt), jf: ahead(jf) });
    }
  }
  return [...code, plain(RETURN, answer)];
}

/** Halves one after the other, as BPF computes with 32 bits. */
function conditionCode({ index, comparison, value, second }: SeccompCondition): Instruction[] {
  const low = plain(LOAD, ARGUMENTS_AT + 8 * index), high = plain(LOAD, ARGUMENTS_AT + 8 * index + 4);
  const when = (code: number, k: number, jt: number, jf: number) => ({ code, k, jt, jf });
  switch (comparison) {
    case "EQ":
      return [high, when(EQUAL, value.high, NEXT, FAILS), low, when(EQUAL, value.low, HOLDS, FAILS)];
    case "NE":
      return [high, when(EQUAL, value.high, NEXT, HOLDS), low, when(EQUAL, value.low, FAILS, HOLDS)];
    case "MASKED_EQ":
      return [
        ...[high, plain(AND, value.high), when(EQUAL, second.high, NEXT, FAILS)],
        ...[low, plain(AND, value.low), when(EQUAL, second.low, HOLDS, FAILS)],
      ];
    case "GE":
    case "GT":
      return [
        ...[high, when(GREATER, value.high, HOLDS, NEXT), when(EQUAL, value.high, NEXT, FAILS)],
        ...[low, when(comparison === "GE" ? AT_LEAST : GREATER, value.low, HOLDS, FAILS)],
      ];
    case "LT":
    case "LE":
      return [
        ...[high, when(GREATER, value.high, FAILS, NEXT), when(EQUAL, value.high, NEXT, HOLDS)],
        ...[low, when(comparison === "LT" ? AT_LEAST : GREATER, value.low, FAILS, HOLDS)],
      ];
  }
}

function plain(code: number, k: number): Instruction {
  return { code, k, jt: NEXT, jf: NEXT };
}

/** As struct sock_filter. */
function encoded(code: readonly Instruction[]): Uint8Array {
  const bytes = new Uint8Array(code.length * INSTRUCTION_BYTES), view = new DataView(bytes.buffer);
  for (const [i, { code: operation, k, jt, jf }] of code.entries()) {
    view.setUint16(i * INSTRUCTION_BYTES, operation, true);
    bytes[i * INSTRUCTION_BYTES + 2] = jt;
    bytes[i * INSTRUCTION_BYTES + 3] = jf;
    view.setUint32(i * INSTRUCTION_BYTES + 4, k, true);
  }
  return bytes;
}
