// The table of system calls as rows, for `tsvisor help syscalls` and docs/SYSCALLS.md (tests/syscalls_test.ts writes it).

export interface SyscallRow {
  /** x86-64. */
  readonly number: number;
  readonly name: string;
  readonly support: "full" | "partial" | "none";
  /** What is missing; "" when nothing is. */
  readonly note: string;
}

/** As a man page's synopsis: the call with the names of its arguments. "" for a name that no call has. */
export async function syscallSynopsis(name: string): Promise<string> {
  const { FAMILIES } = await import("../kernel/syscalls/families.ts");
  const spec = FAMILIES.find((family) => name in family)?.[name];
  return spec === undefined ? "" : `${name}(${Object.keys(spec.args).join(", ")})`;
}

/** By number. Loads the kernel's families only here: no other command needs them. */
export async function syscallRows(): Promise<SyscallRow[]> {
  const { FAMILIES } = await import("../kernel/syscalls/families.ts");
  const { SyscallTable } = await import("../kernel/syscalls/dispatch.ts");
  const rows: SyscallRow[] = [];
  for (const [number, named] of new SyscallTable(FAMILIES).specs.entries()) {
    if (named === null) continue;
    const { level, note } = named.spec.support;
    rows.push({ number, name: named.name, support: level, note });
  }
  return rows;
}
