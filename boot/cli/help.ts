// tsvisor help, help syscalls.

import type { GlobalFlags } from "./flags.ts";

const TEXT = `tsvisor runs Linux programs in a sandbox whose kernel is ours.

Usage: tsvisor [flags] COMMAND [arguments]

Commands
  do [--cwd DIR] [--env N=V] -- CMD ...  run a host program over the host's root, read-only below a memory overlay
  run [--bundle DIR] ID                  run an OCI container until it ends
  spec [--bundle DIR]                    write a config.json to start from
  state ID                               print a container's state as JSON
  list [--quiet] [--format json]         list containers
  kill ID [SIGNAL]                       send a signal to a container's init
  delete [--force] ID                    delete a stopped container
  help [syscalls]                        this text, or the table of system calls

Flags
  --root DIR            state directory (default /run/tsvisor)
  --platform NAME       systrap (default) or ptrace
  --overlay2 MODE       root:memory (default: writes to the root stay in memory) or none
  --log FILE            append errors to FILE; --log-format text or json
  --debug-log FILE      log of sentry and gofer; --strace adds every system call
  --version
`;

export async function help(args: string[], _flags: GlobalFlags): Promise<number> {
  if (args[0] === "syscalls") {
    const { FAMILIES } = await import("../../kernel/syscalls/families.ts");
    const { SyscallTable } = await import("../../kernel/syscalls/dispatch.ts");
    for (const [number, named] of new SyscallTable(FAMILIES).specs.entries()) {
      if (named === null) continue;
      const { level, note } = named.spec.support;
      console.log(
        `${String(number).padStart(3)}  ${named.name.padEnd(24)} ${level.padEnd(8)} ${note}`.trimEnd(),
      );
    }
    return 0;
  }
  console.log(TEXT);
  return 0;
}
