// Reading TOML, behind one file: the npm package smol-toml. Nothing is written by it, since it does not keep comments and
// order; boot/install/tables.ts edits the text, and asks here what the text then says.

import { parse, TomlError } from "smol-toml";

export type TomlTable = { [key: string]: TomlValue };
export type TomlValue = string | number | bigint | boolean | Date | TomlValue[] | TomlTable;

/** Throws one line for what is no TOML. */
export function parseToml(text: string): TomlTable {
  try {
    return parse(text, { integersAsBigInt: true }) as TomlTable;
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    throw new Error(`it is not TOML: line ${error.line}: ${error.message.split("\n")[0]}`);
  }
}

/** The value at `path`; undefined where there is none. */
export function valueAt(document: TomlTable, path: readonly string[]): TomlValue | undefined {
  let value: TomlValue | undefined = document;
  for (const key of path) {
    if (!isTable(value)) return undefined;
    value = Object.hasOwn(value, key) ? value[key] : undefined;
  }
  return value;
}

/** A copy of `document` with `value` at `path`; undefined: without it, and without tables that are empty then. */
export function withValueAt(
  document: TomlTable,
  path: readonly string[],
  value: TomlValue | undefined,
): TomlTable {
  const [key, ...rest] = path;
  const copy = { ...document };
  const below = rest.length === 0
    ? value
    : withValueAt(isTable(copy[key]) ? copy[key] as TomlTable : {}, rest, value);
  if (below === undefined || value === undefined && isTable(below) && Object.keys(below).length === 0) {
    delete copy[key];
  } else {
    copy[key] = below;
  }
  return copy;
}

/** Whether two say the same, in whatever order. */
export function isSame(one: TomlValue | undefined, other: TomlValue | undefined): boolean {
  if (isTable(one) && isTable(other)) {
    const keys = Object.keys(one);
    return keys.length === Object.keys(other).length &&
      keys.every((key) => Object.hasOwn(other, key) && isSame(one[key], other[key]));
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((value, i) => isSame(value, other[i]));
  }
  return typeof one === typeof other && String(one) === String(other) && !isTable(one) && !isTable(other);
}

function isTable(value: TomlValue | undefined): value is TomlTable {
  return typeof value === "object" && !Array.isArray(value) && !(value instanceof Date);
}
