// How an error that is thrown in the kernel is written to the log: it is a bug of ours, so with its stack.

/** `where`: what the kernel was at. */
export function bugText(where: string, error: unknown): string {
  return `${where}: ${error instanceof Error ? error.stack ?? error.message : String(error)}`;
}
