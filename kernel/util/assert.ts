// Assertions for our own bugs: kept on in every build. Guest input never reaches one; it gets an errno.

/** Throws when an invariant of ours is broken. The run loop kills the task, logs the stack, and the sandbox lives. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`);
}
