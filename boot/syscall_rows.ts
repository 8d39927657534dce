// The table of system calls as rows, for `tsvisor help syscalls` and docs/SYSCALLS.md (tests/syscalls_test.ts writes it).

export interface SyscallRow {
  /** x86-64. */
  readonly number: number;
  readonly name: string;
  readonly support: "full" | "partial" | "none";
  /** What is missing; "" when nothing is. */
  readonly note: string;
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
