// docs/SYSCALLS.md, from the one table. `deno task docs` writes it; tests/syscalls_test.ts says when it is old.

import { type SyscallRow, syscallRows } from "../../boot/syscall_rows.ts";

export const SYSCALLS_DOCUMENT = `${import.meta.dirname}/../../docs/SYSCALLS.md`;

export async function syscallsDocument(): Promise<string> {
  const rows = await syscallRows();
  const count = (level: SyscallRow["support"]) => rows.filter((row) => row.support === level).length;
  return `# System calls

Made from the system call table by \`deno task docs\`; the same as \`tsvisor help syscalls\`. Numbers are x86-64's. Of
${rows.length} calls ${count("full")} are supported in full, ${count("partial")} in part, and ${
    count("none")
  } answer the errno that their note tells. A number that is not here answers ENOSYS.

| number | name | support | note |
| -----: | ---- | ------- | ---- |
${rows.map(line).join("\n")}
`;
}

function line({ number, name, support, note }: SyscallRow): string {
  return `| ${number} | ${name} | ${support} | ${note.replaceAll("|", "\\|")} |`;
}

if (import.meta.main) {
  Deno.writeTextFileSync(SYSCALLS_DOCUMENT, await syscallsDocument());
  const { code } = await new Deno.Command(Deno.execPath(), { args: ["fmt", "--quiet", SYSCALLS_DOCUMENT] })
    .output();
  Deno.exit(code);
}
