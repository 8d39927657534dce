// The system call table as a C header for fuzz.c: number, name, and per argument what it is and what it counts. A call that
// is declared is tried out without another word here.

import { FAMILIES } from "../../kernel/syscalls/families.ts";
import type { ArgKind, SyscallSpec } from "../../kernel/syscalls/table.ts";

/** Calls that end the sandbox itself when root makes them, as they shall. */
const LEFT_OUT = new Set(["reboot"]);

/** Kinds that fuzz.c knows by name; to it, others are words that may be addresses. */
const KINDS = new Set(
  "int uint long size offset fd dirfd pid uid gid mode signal clock path string".split(" "),
);

/** Text of the header. */
export function fuzzTable(): string {
  const values: string[] = [];
  const calls: string[] = [];
  for (const family of FAMILIES) {
    for (const [name, spec] of Object.entries(family)) {
      if (LEFT_OUT.has(name)) continue;
      const args = Object.keys(spec.args).map((argument) => describe(spec, argument, values));
      calls.push(`  {"${name}", ${spec.nr.x64}, ${args.length}, {${args.join(", ")}}},`);
    }
  }
  return [
    ...values.map((list, n) => `static const long values_${n}[] = {${list}};`),
    "static const struct call calls[] = {",
    ...calls,
    "};",
    "",
  ].join("\n");
}

/** One argument as an initializer of struct argument: name, kind, argument that counts, bytes a unit, values. */
function describe(spec: SyscallSpec, name: string, values: string[]): string {
  const kind: ArgKind = spec.args[name];
  if (typeof kind === "string") return initializer(name, KINDS.has(kind) ? kind : "word");
  if ("flags" in kind || "values" in kind) {
    const list = Object.values("flags" in kind ? kind.flags : kind.values);
    values.push(list.join(", "));
    const source = `values_${values.length - 1}, ${list.length}`;
    return `{"${name}", ${"flags" in kind ? "K_flags" : "K_values"}, -1, 1, ${source}}`;
  }
  if ("inBuffer" in kind) return initializer(name, "buffer", indexOf(spec, kind.inBuffer), kind.unit ?? 1);
  if ("outBuffer" in kind) return initializer(name, "buffer", indexOf(spec, kind.outBuffer));
  if ("inIovec" in kind) return initializer(name, "buffer", indexOf(spec, kind.inIovec), 16);
  if ("message" in kind) return initializer(name, "struct", -1, 56);
  if ("ahead" in kind) return initializer(name, "word");
  const bytes = "in" in kind ? kind.in : "out" in kind ? kind.out : kind.inOut;
  return initializer(name, "struct", -1, bytes);
}

function initializer(name: string, kind: string, count = -1, bytes = 1): string {
  return `{"${name}", K_${kind}, ${count}, ${bytes}, 0, 0}`;
}

function indexOf(spec: SyscallSpec, name: string): number {
  return Object.keys(spec.args).indexOf(name);
}
