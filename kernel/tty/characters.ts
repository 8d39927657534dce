// Kinds of bytes as a terminal sees them. Linux: lib/ctype.c, which is Latin-1.

/** C0 controls and DEL. */
export function isControl(c: number): boolean {
  return c < 0x20 || c === 0x7f;
}

/** What a word is made of (VWERASE). */
export function isLetterOrDigit(c: number): boolean {
  if (c === 0x5f || (c >= 0x30 && c <= 0x39)) return true;
  const lower = c | 0x20;
  if (c < 0x80) return lower >= 0x61 && lower <= 0x7a;
  return c >= 0xc0 && c !== 0xd7 && c !== 0xf7;
}

/** IUCLC: tolower(). */
export function toLower(c: number): number {
  return (c >= 0x41 && c <= 0x5a) || (c >= 0xc0 && c <= 0xde && c !== 0xd7) ? c + 0x20 : c;
}

/** OLCUC: toupper(), to which 0xdf and 0xff are lower case like their neighbours. */
export function toUpper(c: number): number {
  return (c >= 0x61 && c <= 0x7a) || (c >= 0xdf && c !== 0xf7) ? c - 0x20 : c;
}
