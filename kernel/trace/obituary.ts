// Why a program has died, in one line for a person: the signal and what raised it, the address of a fault, a limit, calls that
// are not supported. A shell that ends with 128 + N after a child of its was killed is explained by that child's death.

import * as SIGNAL from "../abi/signal.ts";
import { instructionPointer } from "../arch/arch.ts";
import type { SignalInfo } from "../signal/signal_info.ts";
import type { Task } from "../task/task.ts";
import type { ThreadGroup } from "../task/thread_group.ts";
import type { Witness } from "../task/witness.ts";
import { byteStringToUtf8 } from "../util/bytes.ts";
import type { Coverage } from "../util/coverage.ts";
import { signalName } from "./signal_text.ts";

/** Calls that are named in one line. */
const CALLS_MAX = 4;

/** A process that was killed. */
interface Death {
  readonly pid: number;
  readonly name: string;
  readonly signal: number;
  readonly reason: string;
}

export class Obituary implements Witness {
  readonly #nameOf: (call: number) => string;
  /** What may be the death of a process that lives. */
  readonly #causes = new WeakMap<ThreadGroup, { readonly signal: number; readonly reason: string }>();
  #init: Death | null = null;
  /** The last of the other processes. */
  #other: Death | null = null;

  constructor(nameOf: (call: number) => string) {
    this.#nameOf = nameOf;
  }

  onSignal(task: Task, info: SignalInfo): void {
    const { threadGroup: group } = task, { signal } = info;
    if (group.actions.handler[signal] !== SIGNAL.SIG_DFL) return;
    this.#causes.set(group, { signal, reason: reasonOf(task, info, this.#nameOf) });
  }

  onLost({ threadGroup: group }: Task): void {
    const reason = "the host has killed it, as it does when memory is short, or it harmed its own stub";
    this.#causes.set(group, { signal: SIGNAL.SIGKILL, reason });
  }

  onTaskExit(task: Task, status: number): void {
    const { threadGroup: group } = task, signal = status & 0x7f;
    if (group.liveCount > 1 || signal === 0) return;
    const cause = this.#causes.get(group);
    const reason = cause?.signal === signal ? cause.reason : unseen(signal);
    const { container } = group;
    const pid = task.threadGroup.leader.pid.in(container.pids);
    const death = { pid, name: byteStringToUtf8(task.name), signal, reason };
    if (container.init === group) this.#init = death;
    else this.#other = death;
  }

  /** A sentence about how a container has ended with `status`, in wait(2) form; null where there is nothing to explain. */
  lineOf(status: number, coverage: Coverage): string | null {
    const code = status >> 8;
    if ((status & 0x7f) !== 0) return this.#init === null ? null : sentence(this.#init);
    if (code === 0) return null;
    if (this.#other !== null && code === 128 + this.#other.signal) {
      return `Exit code ${code}: ${sentence(this.#other)}`;
    }
    const calls = [...coverage.calls].toSorted(([, a], [, b]) => b - a);
    if (calls.length === 0) return null;
    const names = calls.slice(0, CALLS_MAX).map(([number]) => this.#nameOf(number));
    return `Exit code ${code}; calls that are not supported were made: ${names.join(", ")}` +
      (calls.length > CALLS_MAX ? ` and ${calls.length - CALLS_MAX} more` : "");
  }
}

function sentence({ name, pid, signal, reason }: Death): string {
  return `${name} (process ${pid}) was killed by ${signalName(signal)}${reason === "" ? "" : `: ${reason}`}`;
}

/** A deadly signal that is sent condemns the process at once, and no task takes it off its queue. */
function unseen(signal: number): string {
  return signal === SIGNAL.SIGKILL
    ? "a process has sent it, or a limit was reached"
    : "a process has sent it";
}

/** What says all of it by itself. */
const PLAIN: Readonly<Record<number, string>> = {
  [SIGNAL.SIGABRT]: "it gave up by abort(3); what it has printed says why",
  [SIGNAL.SIGPIPE]: "it wrote to a pipe or socket that nobody reads any more",
  [SIGNAL.SIGXCPU]: "its limit of CPU time (RLIMIT_CPU) is reached",
  [SIGNAL.SIGXFSZ]: "a file would have grown beyond its limit (RLIMIT_FSIZE)",
};

function reasonOf(task: Task, info: SignalInfo, nameOf: (call: number) => string): string {
  const { signal, code, address } = info;
  const plain = PLAIN[signal];
  if (plain !== undefined) return plain;
  if (code <= 0) return info.pid > 0 ? `process ${info.pid} has sent it` : "it was sent from outside";
  const at = ` (instruction at ${hex(instructionPointer(task.thread))})`;
  switch (signal) {
    case SIGNAL.SIGSEGV:
      if (code === SIGNAL.SI_KERNEL) return `an address that cannot be, or a forbidden instruction${at}`;
      return code === SIGNAL.SEGV_ACCERR
        ? `the memory at ${hex(address)} does not allow this access${at}`
        : `no memory is mapped at ${hex(address)}${at}`;
    case SIGNAL.SIGBUS:
      return `the page at ${hex(address)} has no content: it is behind the end of its file${at}`;
    case SIGNAL.SIGFPE:
      return code === 1 ? `a division by zero${at}` : `an arithmetic error${at}`;
    case SIGNAL.SIGILL:
      return `an instruction that this CPU does not have${at}`;
    case SIGNAL.SIGSYS:
      return `its seccomp filter forbids the call ${nameOf(info.syscall)}`;
    default:
      return "";
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
