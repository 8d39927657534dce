// Counts in kernel.coverage the calls that the table does not have or refuses on purpose.

import type { SyscallTable } from "../syscalls/dispatch.ts";
import { SYSCALLS_MAX } from "../syscalls/table.ts";
import type { CallHooks, CallListener } from "../task/call_hooks.ts";
import type { Task } from "../task/task.ts";

export class UnsupportedCalls implements CallListener {
  constructor(hooks: CallHooks, table: SyscallTable) {
    hooks.listen(this, (number) => !table.isSupported(number));
  }

  onEnter(task: Task): void {
    // Numbers beyond the table count as one, since a guest can use four thousand million of them.
    task.kernel.coverage.noteCall(Math.min(task.call.number, SYSCALLS_MAX));
  }
}
