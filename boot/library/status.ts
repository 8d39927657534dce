// How something that runs ends, or why it was made to.

import { SandboxError } from "./errors.ts";
import { signalName } from "./host.ts";
import { type Duration, durationOf } from "./options.ts";

/** How a command has ended. */
export interface CommandStatus {
  /** Whether `code` is 0. */
  readonly success: boolean;
  /** Its exit code; 128 + N where signal N has ended it, as shells tell it. */
  readonly code: number;
  /** The signal that has ended it, as far as `code` tells. */
  readonly signal: string | null;
}

/** What ends something before its time. */
export interface Limits {
  readonly timeout?: Duration;
  readonly signal?: AbortSignal;
}

/**
 * The status of `what`, whose exit code is `ended`. Past its timeout, or when it is aborted, it is killed, and this rejects with
 * TIMED_OUT or ABORTED once it has ended.
 */
export async function statusOf(
  what: "command" | "sandbox",
  ended: Promise<number>,
  { timeout, signal }: Limits,
  kill: () => Promise<unknown>,
): Promise<CommandStatus> {
  let reason: SandboxError | null = null;
  const stop = (error: SandboxError) => {
    reason ??= error;
    kill().catch(() => {});
  };
  const onAbort = () => stop(new SandboxError("ABORTED", `The ${what} was aborted`));
  const timer = timeout === undefined ? undefined : setTimeout(
    () => stop(new SandboxError("TIMED_OUT", `The ${what} took longer than ${timeout}`)),
    durationOf(timeout),
  );
  if (signal?.aborted === true) onAbort();
  signal?.addEventListener("abort", onAbort);
  try {
    const code = await ended;
    if (reason !== null) throw reason;
    return { success: code === 0, code, signal: code > 128 ? signalName(code - 128) : null };
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}
