// Careful edits of a TOML file of somebody else's: our lines have a mark, all others stay as they are, and what the text says
// afterwards is what it said before and our entry, or nothing is changed.

import { isSame, parseToml, type TomlTable, type TomlValue, valueAt, withValueAt } from "./toml.ts";

/** Ends each line of ours. */
const MARK = `# by "tsvisor install"`;

/** An entry: a table's path, its name in there, and its lines if the table is there (`key`) or as tables of its own. */
export interface TomlEntry {
  readonly path: readonly string[];
  readonly value: TomlValue;
}

/** The text with `entry`; as it is where that is in there. Throws one line where it cannot be put there, or another is. */
export function withEntry(text: string, entry: TomlEntry, isReplaced: (found: TomlValue) => boolean): string {
  const before = parseToml(text), { path, value } = entry;
  const found = valueAt(before, path);
  if (isSame(found, value)) return text;
  if (found !== undefined && !isReplaced(found)) {
    throw new Error(`${path.at(-1)} is there with other values; --clobber replaces it`);
  }
  const clean = found === undefined ? text : withoutEntry(text, path);
  return checked(added(clean, entry), withValueAt(before, path, value));
}

/** The text without what withEntry() has put there; as it is where that is not in there. */
export function withoutEntry(text: string, path: readonly string[]): string {
  const before = parseToml(text);
  if (valueAt(before, path) === undefined) return text;
  const expected = withValueAt(before, path, undefined);
  const lines = text.split("\n");
  const isOurs = (line: string) => line.endsWith(MARK);
  // With its tables, with the blank line before them; or, where others have put lines of theirs below, the entry alone.
  const isHeader = (line: string) => /^\s*\[/.test(line);
  const attempts = [
    lines.filter((line, i) => !isOurs(line) && !(line === "" && isOurs(lines[i + 1] ?? ""))),
    lines.filter((line) => !isOurs(line)),
    lines.filter((line) => !isOurs(line) || isHeader(line)),
  ];
  for (const attempt of attempts) {
    const after = attempt.join("\n");
    if (says(after, expected)) return after;
  }
  throw new Error(`${path.at(-1)} is not only ours any more: remove it by hand`);
}

/** A table that is there gets a line; otherwise tables of their own follow at the end. */
function added(text: string, { path, value }: TomlEntry): string {
  if (Array.isArray(value)) {
    const line = `${keyOf(path.slice(-1))} = ${literal(value)} ${MARK}`;
    const header = headerOf(path.slice(0, -1));
    const lines = text.split("\n");
    const at = lines.findIndex((candidate) => candidate.replace(/#.*/, "").replace(/\s/g, "") === header);
    if (at >= 0) return [...lines.slice(0, at + 1), line, ...lines.slice(at + 1)].join("\n");
    return `${ended(text)}${header} ${MARK}\n${line}\n`;
  }
  return ended(text) + tableLines(path, value as TomlTable).map((line) => `${line} ${MARK}\n`).join("");
}

/** A blank line between theirs and ours. */
function ended(text: string): string {
  return text === "" ? "" : text.endsWith("\n") ? `${text}\n` : `${text}\n\n`;
}

function tableLines(path: readonly string[], table: TomlTable): string[] {
  const lines = [headerOf(path)], below: string[] = [];
  for (const [key, value] of Object.entries(table)) {
    if (typeof value === "object" && !Array.isArray(value)) {
      below.push(...tableLines([...path, key], value as TomlTable));
    } else {
      lines.push(`${keyOf([key])} = ${literal(value)}`);
    }
  }
  return [...lines, ...below];
}

function headerOf(path: readonly string[]): string {
  return `[${keyOf(path)}]`;
}

function keyOf(path: readonly string[]): string {
  return path.map((key) => /^[\w-]+$/.test(key) ? key : JSON.stringify(key)).join(".");
}

/** Of what entries have: texts, booleans, numbers and lists of them. Texts of JSON are texts of TOML. */
function literal(value: TomlValue): string {
  return Array.isArray(value) ? `[${value.map(literal).join(", ")}]` : JSON.stringify(value);
}

function checked(text: string, expected: TomlTable): string {
  if (says(text, expected)) return text;
  throw new Error("it is written in a way that our lines do not fit into: add them by hand");
}

function says(text: string, expected: TomlTable): boolean {
  try {
    return isSame(parseToml(text), expected);
  } catch {
    return false;
  }
}
