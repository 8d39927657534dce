// linux.seccomp of a config.json: its schema, and the form in which the sentry gets it. runtime-spec config-linux.md, "Seccomp";
// what the words mean, and what a profile leaves open, is as runc and libseccomp(3) have it.

import { EPERM } from "../../kernel/abi/errno.ts";
import {
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_DATA,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
} from "../../kernel/abi/task.ts";
import * as z from "../schema.ts";
import { COMPARISONS, type SeccompProfile, type Words } from "../seccomp_profile.ts";

/** Without SCMP_ACT_NOTIFY: our kernel gives nobody a call to decide about. */
export const SECCOMP_ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_THREAD: SECCOMP_RET_KILL_THREAD,
  SCMP_ACT_KILL_PROCESS: SECCOMP_RET_KILL_PROCESS,
  SCMP_ACT_TRAP: SECCOMP_RET_TRAP,
  SCMP_ACT_ERRNO: SECCOMP_RET_ERRNO,
  SCMP_ACT_TRACE: SECCOMP_RET_TRACE,
  SCMP_ACT_ALLOW: SECCOMP_RET_ALLOW,
  SCMP_ACT_LOG: SECCOMP_RET_LOG,
};
/** Of these a profile says which number they answer. */
const WITH_NUMBER: readonly number[] = [SECCOMP_RET_ERRNO, SECCOMP_RET_TRACE];
/** Calls that are newer than a profile with one of these stay as they are. */
const PERMISSIVE: readonly number[] = [SECCOMP_RET_ALLOW, SECCOMP_RET_TRACE, SECCOMP_RET_LOG];

/** The init is one thread and nobody listens: they change nothing that a program could see. */
export const SECCOMP_FLAGS: Readonly<Record<string, number>> = {
  SECCOMP_FILTER_FLAG_TSYNC,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
};

const X32 = "SCMP_ARCH_X32";
export const SECCOMP_ARCHITECTURES: readonly string[] = [
  ..."X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE".split(
    " ",
  ),
  ..."RISCV64 S390 S390X PARISC PARISC64 LOONGARCH64 M68K SH SHEB".split(" "),
].map((name) => `SCMP_ARCH_${name}`);

const ARGUMENT_MAX = 5;
const U64_MAX = 2n ** 64n - 1n;

const action = z.enum(Object.keys(SECCOMP_ACTIONS));
const errnoNumber = z.nullish(z.number().check(z.int(), z.gte(0), z.lte(SECCOMP_RET_DATA)));
const word = z.custom<number | bigint>(
  (value) =>
    typeof value === "bigint" ? value <= U64_MAX : Number.isSafeInteger(value) && (value as number) >= 0,
  "must be an integer of 64 bits",
);
const ruleSchema = z.object({
  names: z.array(z.string().check(z.minLength(1))).check(z.minLength(1)),
  action,
  errnoRet: errnoNumber,
  args: z.nullish(z.array(z.object({
    index: z.number().check(z.int(), z.gte(0), z.lte(ARGUMENT_MAX)),
    value: word,
    valueTwo: z.optional(word),
    op: z.enum(COMPARISONS.map((name) => `SCMP_CMP_${name}`)),
  }))),
});
const profileSchema = z.object({
  defaultAction: action,
  defaultErrnoRet: errnoNumber,
  architectures: z.nullish(z.array(z.enum(SECCOMP_ARCHITECTURES))),
  flags: z.nullish(z.array(z.enum(Object.keys(SECCOMP_FLAGS)))),
  syscalls: z.nullish(z.array(ruleSchema)),
});

/** `document` is the field as it is in config.json, numbers of 64 bits exact. Throws with one line that names field and value. */
export function seccompOf(document: unknown): SeccompProfile | null {
  if (document === undefined || document === null) return null;
  const parsed = profileSchema.safeParse(document);
  if (!parsed.success) {
    const { path, message } = parsed.error.issues[0];
    const place = path.map((part) => typeof part === "number" ? `[${part}]` : `.${String(part)}`).join("");
    throw new Error(`linux.seccomp${place}: ${message}`);
  }
  const { defaultAction, defaultErrnoRet, architectures, syscalls } = parsed.data;
  const otherwise = answerOf(defaultAction, defaultErrnoRet);
  return {
    otherwise,
    // As runc: a program may try a call that the profile is too old for, and must hear that it is not there. A profile
    // that names a number for what it does not know has thought of them.
    isNewerUnknown: (defaultErrnoRet ?? null) === null && !PERMISSIVE.includes(otherwise & ~SECCOMP_RET_DATA),
    hasX32: (architectures ?? []).includes(X32),
    rules: (syscalls ?? []).map(({ names, action, errnoRet, args }) => ({
      names,
      answer: answerOf(action, errnoRet),
      conditions: (args ?? []).map(({ index, op, value, valueTwo }) => ({
        index,
        comparison: COMPARISONS.find((name) => op === `SCMP_CMP_${name}`)!,
        value: wordsOf(value),
        second: wordsOf(valueTwo ?? 0),
      })),
    })),
  };
}

function answerOf(action: string, number: number | null | undefined): number {
  const answer = SECCOMP_ACTIONS[action];
  return WITH_NUMBER.includes(answer) ? (answer | (number ?? EPERM)) >>> 0 : answer;
}

function wordsOf(value: number | bigint): Words {
  const exact = BigInt(value);
  return { low: Number(exact & 0xffff_ffffn), high: Number(exact >> 32n) };
}
