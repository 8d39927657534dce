// A method of the control API as its door sees it: the type of its argument, and what can be said of argument and descriptors
// without asking the sandbox.

import { type GoType, struct, unmarshal } from "./go_types.ts";

export interface Method {
  /** The argument as a value of its type, or why it is none. */
  check(argument: unknown, fileCount: number): { readonly value: unknown } | { readonly error: string };
}

/** `refuse` says what is wrong with an argument of the type; "" = nothing. */
export function method<T>(
  name: string,
  type: GoType<T>,
  refuse: (argument: T, fileCount: number) => string = () => "",
): Method {
  return {
    check(argument, fileCount) {
      // encoding/json is given no bytes then.
      if (argument === undefined) return { error: "unexpected end of JSON input" };
      const result = unmarshal(type, name, argument);
      if ("error" in result) return result;
      const error = refuse(result.value, fileCount);
      return error === "" ? result : { error };
    },
  };
}

/** Takes no argument: null, or an object whose fields do not matter. */
export const nothing: Method = method("struct {}", struct("struct {}", {}));
