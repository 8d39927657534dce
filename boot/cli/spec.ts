// tsvisor spec: writes a config.json to start from.

import { defaultSpec } from "../oci/default_spec.ts";
import { type GlobalFlags, type Options, parse } from "./flags.ts";

export const SPEC_OPTIONS = {
  bundle: {
    type: "string",
    short: "b",
    value: "DIR",
    about: "where config.json goes (the current directory)",
  },
} as const satisfies Options;

export function specCommand(args: string[], _flags: GlobalFlags): number {
  const { values, words } = parse(args, SPEC_OPTIONS, true);
  const path = `${(values.bundle as string | undefined) ?? "."}/config.json`;
  const text = JSON.stringify(defaultSpec(words.length > 0 ? words : ["sh"]), null, 2);
  try {
    Deno.writeTextFileSync(path, `${text}\n`, { createNew: true });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) throw new Error(`Cannot write ${path}: it exists`);
    throw new Error(`Cannot write ${path}: ${(error as Error).message}`);
  }
  return 0;
}
