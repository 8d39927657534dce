// Bytes, flags and numbers as strace(1) writes them.

/** Bytes as a C string: what is not printable in octal, as short as the next character allows. */
export function quoted(bytes: Uint8Array, length: number): string {
  let text = '"';
  for (let i = 0; i < length; i++) {
    const byte = bytes[i], escape = ESCAPES[byte];
    if (escape !== undefined) text += escape;
    else if (byte >= 0x20 && byte < 0x7f) text += String.fromCharCode(byte);
    else {
      const next = i + 1 < length ? bytes[i + 1] : 0;
      const isDigitNext = next >= 0x30 && next <= 0x37;
      text += `\\${byte.toString(8).padStart(isDigitNext ? 3 : 1, "0")}`;
    }
  }
  return `${text}"`;
}

const ESCAPES: Readonly<Record<number, string>> = {
  9: "\\t",
  10: "\\n",
  11: "\\v",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

/** As quoted(), of a byte string. */
export function quotedString(text: string): string {
  return quoted(Uint8Array.from(text, (c) => c.charCodeAt(0)), text.length);
}

export function pointer(value: number): string {
  return value === 0 ? "NULL" : `0x${value.toString(16)}`;
}

/** Bits by name, the largest first where one holds another; `zero` is the name of none. */
export function flagsText(value: number, flags: Readonly<Record<string, number>>, zero = "0"): string {
  if (value === 0) return zero;
  const names: string[] = [];
  let left = value;
  for (const [name, flag] of ordered(flags)) {
    if (flag === 0 || (left & flag) !== flag) continue;
    names.push(name);
    left &= ~flag;
  }
  if (left !== 0) names.push(`0x${(left >>> 0).toString(16)}`);
  return names.join("|");
}

/** O_SYNC has O_DSYNC's bit: names of several bits come before those of one that they hold. */
function ordered(flags: Readonly<Record<string, number>>): (readonly [string, number])[] {
  const entries = Object.entries(flags);
  return entries.toSorted(([, a], [, b]) => (a & b) === b && a !== b ? -1 : (a & b) === a && a !== b ? 1 : 0);
}

/** The name of one of several values, or the number. */
export function valueText(value: number, values: Readonly<Record<string, number>>): string {
  return Object.entries(values).find(([, known]) => known === value)?.[0] ?? String(value);
}
