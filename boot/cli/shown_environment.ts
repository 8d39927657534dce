// What of the caller's environment `do` shows to the program: what says how to find programs, who one is and how to talk to a
// person. A shell's other variables hold keys and tokens as often as not; --env NAME passes one on.

import { UsageError } from "./flags.ts";

/** Variables that are passed on, and all that begin with LC_. */
const SHOWN = new Set(
  "PATH HOME USER LOGNAME SHELL TERM COLORTERM NO_COLOR LANG LANGUAGE TZ".split(" "),
);
/** Of the caller's person: another user has others. */
const PERSONAL = new Set(["HOME", "USER", "LOGNAME", "SHELL"]);

/** As the help tells it. */
export const SHOWN_TEXT = `${[...SHOWN].join(", ")}, LC_*`;

export interface EnvironmentRequest {
  /** --env, in the caller's order: NAME=VALUE, or NAME for the caller's own value. */
  readonly given: readonly string[];
  /** --clear-env: only what is given. */
  readonly isCleared: boolean;
  /** The program runs as somebody else. */
  readonly isOther: boolean;
}

/** NAME=VALUE strings for the program. `caller` is the caller's whole environment. */
export function shownEnvironment(caller: readonly string[], request: EnvironmentRequest): string[] {
  const values = new Map(caller.map((entry) => [nameOf(entry), entry]));
  const shown = new Map<string, string>();
  if (!request.isCleared) {
    for (const [name, entry] of values) {
      const isShown = SHOWN.has(name) || name.startsWith("LC_");
      if (isShown && !(request.isOther && PERSONAL.has(name))) shown.set(name, entry);
    }
  }
  for (const entry of request.given) {
    const name = nameOf(entry);
    if (name === "") throw new UsageError(`--env: "${entry}" has no name`);
    const value = entry.includes("=") ? entry : values.get(name);
    if (value !== undefined) shown.set(name, value);
  }
  return [...shown.values()];
}

function nameOf(entry: string): string {
  return entry.split("=", 1)[0];
}
