// Assertions for our own bugs: kept on in every build. Guest input never reaches one; it gets an errno.

/** Throws when an invariant of ours is broken. The run loop kills the task, logs the stack, and the sandbox lives. */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Assertion failed: ${message}`);
}

/** Marks a place that the types say cannot be reached. */
export function unreachable(value: never, what: string): never {
  throw new Error(`Unreachable ${what}: ${String(value)}`);
}

const unfinishedCounts = new Map<string, number>();

/** Counts a feature that the guest asked for and we lack, and gives back `errno` negated to answer it with. */
export function unfinished(what: string, errno: number): number {
  unfinishedCounts.set(what, (unfinishedCounts.get(what) ?? 0) + 1);
  return -errno;
}

/** What the guests of this sandbox asked for in vain, with how often. */
export function unfinishedReport(): ReadonlyMap<string, number> {
  return unfinishedCounts;
}
