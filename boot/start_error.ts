// A failure of the start that is the caller's to see.

/** One sentence without its period, and the exit code that the command line ends with. */
export class StartError extends Error {
  readonly code: number;
  constructor(message: string, code: number) {
    super(message);
    this.code = code;
  }
}
