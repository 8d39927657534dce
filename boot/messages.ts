// What CLI and sentry tell each other over the control socket while a container runs attached: one JSON object a message.

/** Sentry to CLI. */
export type SentryMessage =
  | { readonly kind: "ready" }
  /** It could not start, or could not go on: one sentence, and the exit code the CLI ends with. */
  | { readonly kind: "failed"; readonly message: string; readonly code: number }
  /** The user should hear of it: one sentence. */
  | { readonly kind: "notice"; readonly message: string }
  /** Whether the command line is to measure the sandbox's memory now and then. */
  | { readonly kind: "measure"; readonly isWanted: boolean }
  /** The container has ended, wait(2) status. */
  | { readonly kind: "exit"; readonly status: number };

/** CLI to sentry. */
export type CliMessage =
  | { readonly kind: "signal"; readonly signal: number }
  /** The caller's terminal has another size. */
  | { readonly kind: "resized" }
  /** What the sandbox's processes use, as asked for. */
  | { readonly kind: "memory"; readonly bytes: number };

/** Bytes of one message. */
export const MESSAGE_BYTES_MAX = 16 * 1024;

/** The sentry's failures that are the caller's to see. */
export class StartError extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}
