import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { EINVAL, ENOSYS, EPERM } from "../kernel/abi/errno.ts";
import {
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_PROCESS,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_TRAP,
} from "../kernel/abi/task.ts";
import { AUDIT_ARCHITECTURE } from "../kernel/arch/arch.ts";
import { constantAnswer, DATA_WORDS, runProgram } from "../kernel/task/bpf.ts";
import { seccompOf } from "./oci/seccomp.ts";
import { compileSeccomp } from "./seccomp_profile.ts";

const NUMBERS = new Map([["read", 0], ["write", 1], ["open", 2], ["close", 3], ["socket", 41], [
  "clone",
  56,
]]);
const U64 = 2n ** 64n;

/** What the filter of `profile` answers to a call. */
function judge(profile: unknown) {
  const program = compileSeccomp(seccompOf(profile)!, (name) => NUMBERS.get(name));
  ok(program !== null);
  const data = new Uint32Array(DATA_WORDS);
  const answer = (number: number, ...args: bigint[]) => {
    data.fill(0);
    data[0] = number;
    data[1] = AUDIT_ARCHITECTURE;
    for (const [i, value] of args.entries()) {
      data[4 + 2 * i] = Number(value & 0xffff_ffffn);
      data[5 + 2 * i] = Number(value >> 32n);
    }
    return runProgram(program, data) >>> 0;
  };
  return { program, answer };
}

Deno.test("a profile answers with each action, and with its default where no rule is about a call", () => {
  const { answer } = judge({
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    syscalls: [
      { names: ["read", "no_such_call"], action: "SCMP_ACT_ALLOW" },
      { names: ["write"], action: "SCMP_ACT_ERRNO", errnoRet: EINVAL },
      { names: ["open"], action: "SCMP_ACT_TRAP" },
      { names: ["close"], action: "SCMP_ACT_KILL_PROCESS" },
      { names: ["socket"], action: "SCMP_ACT_TRACE" },
      { names: ["clone"], action: "SCMP_ACT_LOG" },
    ],
  });
  equal(answer(0), SECCOMP_RET_ALLOW);
  equal(answer(1), SECCOMP_RET_ERRNO | EINVAL);
  equal(answer(2), SECCOMP_RET_TRAP);
  equal(answer(3), SECCOMP_RET_KILL_PROCESS);
  equal(answer(41), SECCOMP_RET_TRACE | EPERM);
  equal(answer(56), SECCOMP_RET_LOG);
  equal(answer(999), SECCOMP_RET_ERRNO | EPERM);
  equal(judge({ defaultAction: "SCMP_ACT_KILL" }).answer(0), SECCOMP_RET_KILL_THREAD);
});

Deno.test("conditions compare all 64 bits of an argument", () => {
  const values = [
    0n,
    1n,
    2n ** 31n,
    2n ** 32n - 1n,
    2n ** 32n,
    2n ** 32n + 1n,
    2n ** 63n,
    U64 - 2n,
    U64 - 1n,
  ];
  const holds: Record<string, (a: bigint, b: bigint) => boolean> = {
    NE: (a, b) => a !== b,
    LT: (a, b) => a < b,
    LE: (a, b) => a <= b,
    EQ: (a, b) => a === b,
    GE: (a, b) => a >= b,
    GT: (a, b) => a > b,
  };
  for (const [name, isTrue] of Object.entries(holds)) {
    for (const value of values) {
      const args = [{ index: 2, value, op: `SCMP_CMP_${name}` }];
      const syscalls = [{ names: ["socket"], action: "SCMP_ACT_ALLOW", args }];
      const { answer } = judge({ defaultAction: "SCMP_ACT_ERRNO", syscalls });
      for (const given of values) {
        const expected = isTrue(given, value) ? SECCOMP_RET_ALLOW : SECCOMP_RET_ERRNO | EPERM;
        equal(answer(41, 0n, 0n, given), expected, `${given} ${name} ${value}`);
      }
    }
  }
  const mask = [{ index: 0, value: 0x7e02_0000, valueTwo: 0x2_0000, op: "SCMP_CMP_MASKED_EQ" }];
  const syscalls = [{ names: ["clone"], action: "SCMP_ACT_ALLOW", args: mask }];
  const { answer } = judge({ defaultAction: "SCMP_ACT_ERRNO", syscalls });
  equal(answer(56, 0x2_0011n), SECCOMP_RET_ALLOW);
  equal(answer(56, 0x1000_0011n), SECCOMP_RET_ERRNO | EPERM);
});

Deno.test("all conditions of a rule must hold; about one argument it is enough that one does", () => {
  const rule = (args: unknown[]) =>
    judge({
      defaultAction: "SCMP_ACT_ERRNO",
      syscalls: [{ names: ["socket"], action: "SCMP_ACT_ALLOW", args }],
    })
      .answer;
  const equals = (index: number, value: number) => ({ index, value, op: "SCMP_CMP_EQ" });
  const both = rule([equals(0, 16), equals(2, 9)]);
  equal(both(41, 16n, 0n, 9n), SECCOMP_RET_ALLOW);
  equal(both(41, 16n, 0n, 8n), SECCOMP_RET_ERRNO | EPERM);
  equal(both(41, 15n, 0n, 9n), SECCOMP_RET_ERRNO | EPERM);
  const either = rule([equals(0, 16), equals(0, 17)]);
  equal(either(41, 16n), SECCOMP_RET_ALLOW);
  equal(either(41, 17n), SECCOMP_RET_ALLOW);
  equal(either(41, 18n), SECCOMP_RET_ERRNO | EPERM);
});

Deno.test("several rules of a call: the first whose conditions hold, or else the one that has none", () => {
  const { answer } = judge({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [
      {
        names: ["socket"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 5,
        args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }],
      },
      {
        names: ["socket"],
        action: "SCMP_ACT_ERRNO",
        errnoRet: 6,
        args: [{ index: 0, value: 2, op: "SCMP_CMP_LE" }],
      },
      { names: ["clone"], action: "SCMP_ACT_ERRNO", args: [{ index: 0, value: 1, op: "SCMP_CMP_EQ" }] },
      { names: ["clone"], action: "SCMP_ACT_TRAP" },
    ],
  });
  equal(answer(41, 1n), SECCOMP_RET_ERRNO | 5);
  equal(answer(41, 2n), SECCOMP_RET_ERRNO | 6);
  equal(answer(41, 3n), SECCOMP_RET_ALLOW);
  equal(answer(56, 1n), SECCOMP_RET_TRAP);
});

Deno.test("a call newer than the profile is not there, unless the profile says what else", () => {
  const syscalls = [{ names: ["read", "clone"], action: "SCMP_ACT_ALLOW" }];
  const unknown = SECCOMP_RET_ERRNO | ENOSYS;
  equal(judge({ defaultAction: "SCMP_ACT_ERRNO", syscalls }).answer(57), unknown);
  equal(judge({ defaultAction: "SCMP_ACT_ERRNO", syscalls }).answer(55), SECCOMP_RET_ERRNO | EPERM);
  equal(judge({ defaultAction: "SCMP_ACT_KILL", syscalls }).answer(57), unknown);
  const said = { defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 1, syscalls };
  equal(judge(said).answer(57), SECCOMP_RET_ERRNO | EPERM);
  equal(judge({ defaultAction: "SCMP_ACT_LOG", syscalls }).answer(57), SECCOMP_RET_LOG);
});

Deno.test("calls of x32 are killed, or judged as their namesakes", () => {
  const syscalls = [{ names: ["read"], action: "SCMP_ACT_ALLOW" }];
  const x32 = 0x4000_0000;
  equal(judge({ defaultAction: "SCMP_ACT_ERRNO", syscalls }).answer(x32), SECCOMP_RET_KILL_THREAD);
  const both = { defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X32"], syscalls };
  equal(judge(both).answer(x32), SECCOMP_RET_ALLOW);
});

Deno.test("what is the same whatever the arguments are is known without them", () => {
  const args = [{ index: 0, value: 2, op: "SCMP_CMP_EQ" }];
  const { program } = judge({
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ALLOW" }, {
      names: ["socket"],
      action: "SCMP_ACT_ALLOW",
      args,
    }],
  });
  equal(constantAnswer(program, 0, AUDIT_ARCHITECTURE), SECCOMP_RET_ALLOW);
  equal(constantAnswer(program, 1, AUDIT_ARCHITECTURE), SECCOMP_RET_ERRNO | EPERM);
  equal(constantAnswer(program, 41, AUDIT_ARCHITECTURE), null);
  equal(constantAnswer(program, 0, 0), SECCOMP_RET_KILL_THREAD);
});

Deno.test("far bodies are reached, and what is longer than Linux allows is none", () => {
  const args = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ index: 0, value: i, op: "SCMP_CMP_EQ" }));
  const profile = (count: number) => ({
    defaultAction: "SCMP_ACT_ERRNO",
    syscalls: [
      { names: ["socket"], action: "SCMP_ACT_ALLOW", args: args(count) },
      { names: ["clone"], action: "SCMP_ACT_TRAP" },
    ],
  });
  const { answer } = judge(profile(500));
  equal(answer(41, 499n), SECCOMP_RET_ALLOW);
  equal(answer(41, 500n), SECCOMP_RET_ERRNO | EPERM);
  equal(answer(56), SECCOMP_RET_TRAP);
  equal(compileSeccomp(seccompOf(profile(1000))!, (name) => NUMBERS.get(name)), null);
});

Deno.test("what is no profile is refused in one line that names the field", () => {
  equal(seccompOf(undefined), null);
  const rule = (change: object) => ({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ names: ["read"], action: "SCMP_ACT_ERRNO", ...change }],
  });
  throws(() => seccompOf({ defaultAction: "SCMP_ACT_NOTIFY" }), /^Error: linux\.seccomp\.defaultAction: /);
  throws(() => seccompOf(rule({ names: [] })), /linux\.seccomp\.syscalls\[0\]\.names: /);
  throws(() => seccompOf(rule({ args: [{ index: 6, value: 0, op: "SCMP_CMP_EQ" }] })), /args\[0\]\.index: /);
  throws(() => seccompOf(rule({ args: [{ index: 0, value: -1, op: "SCMP_CMP_EQ" }] })), /args\[0\]\.value: /);
  throws(
    () => seccompOf({ defaultAction: "SCMP_ACT_ALLOW", architectures: ["SCMP_ARCH_VAX"] }),
    /architectures\[0\]/,
  );
  throws(() => seccompOf({ defaultAction: "SCMP_ACT_ALLOW", flags: ["FAST"] }), /flags\[0\]/);
  deepEqual(seccompOf({ defaultAction: "SCMP_ACT_ALLOW", syscalls: null })!.rules, []);
});
