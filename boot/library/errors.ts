// What fails in the library.

/**
 * A sandbox or command that could not be made, reached or used.
 *
 * `code` is for programs: "NOT_FOUND" (no such sandbox, or no executable), "INVALID_ARGUMENT" (an option that makes no sense),
 * "EXISTS" (a file that was to be made is there), "FAILED" (what tsvisor answered is in the message), "TIMED_OUT", "ABORTED", "COMMAND_FAILED" (a shell command that ended with
 * another code than 0).
 */
export class SandboxError extends Error {
  /** Always the same. */
  override readonly name = "SandboxError";
  /** What has failed, for programs. */
  readonly code: SandboxErrorCode;
  /** What helps, where that is known. */
  readonly hint?: string;
  /** Linux' name for what a call on a file has failed with, as "ENOSPC"; where there is one. */
  readonly errno?: string;

  /** An error of this code; `hint` says what helps. */
  constructor(code: SandboxErrorCode, message: string, hint?: string, errno?: string) {
    super(message);
    this.code = code;
    if (hint !== undefined) this.hint = hint;
    if (errno !== undefined) this.errno = errno;
  }
}

/** See {@link SandboxError}. */
export type SandboxErrorCode =
  | "NOT_FOUND"
  | "EXISTS"
  | "INVALID_ARGUMENT"
  | "FAILED"
  | "TIMED_OUT"
  | "ABORTED"
  | "COMMAND_FAILED";
