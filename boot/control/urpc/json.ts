// JSON as Go writes and reads it on the URPC socket: where a document ends in a stream, and integers of 64 bits kept exact.
// A whole number that a double cannot hold is a bigint here, any other number a number.

/** Levels of arrays and objects. Go's decoder allows 10,000; no message of ours has more than ten. */
export const DEPTH_MAX = 256;

const OPEN_BRACE = 0x7b, CLOSE_BRACE = 0x7d, OPEN_BRACKET = 0x5b, CLOSE_BRACKET = 0x5d;
const QUOTE = 0x22, BACKSLASH = 0x5c;
const SPACE = 0x20, TAB = 0x09, NEWLINE = 0x0a, RETURN = 0x0d;

/** Why a stream cannot be a document any more. */
export const NOT_AN_OBJECT = -2;
export const TOO_DEEP = -3;
/** The document goes on. */
export const UNFINISHED = -1;

/** Finds the end of one object in a stream that comes in pieces. Whether it is JSON is for parse() to say. */
export class DocumentScanner {
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  /** Nothing but white space has come. */
  get isAtStart(): boolean {
    return this.#depth === 0;
  }

  /** Index after the end of the object in bytes[from, to), or UNFINISHED, NOT_AN_OBJECT, TOO_DEEP. */
  scan(bytes: Uint8Array, from: number, to: number): number {
    for (let at = from; at < to; at++) {
      const byte = bytes[at];
      if (this.#isInString) {
        if (this.#isEscaped) this.#isEscaped = false;
        else if (byte === BACKSLASH) this.#isEscaped = true;
        else if (byte === QUOTE) this.#isInString = false;
        continue;
      }
      if (byte === QUOTE && this.#depth > 0) this.#isInString = true;
      else if (byte === OPEN_BRACE || byte === OPEN_BRACKET && this.#depth > 0) {
        if (++this.#depth > DEPTH_MAX) return TOO_DEEP;
      } else if ((byte === CLOSE_BRACE || byte === CLOSE_BRACKET) && this.#depth > 0) {
        if (--this.#depth === 0) return at + 1;
      } else if (this.#depth === 0 && !isSpace(byte)) return NOT_AN_OBJECT;
    }
    return UNFINISHED;
  }
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === NEWLINE || byte === RETURN;
}

/** JSON.parse() gives a reviver the text of a number (ECMAScript proposal json-parse-with-source; V8 has it). */
type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown;

const LONG_NUMBER = /\d{16}/;
const INTEGER = /^-?\d+$/;
/** Digits of -2^63 and of 2^64 - 1; a longer number is no integer of Go's. */
const INTEGER_CHARACTERS_MAX = 20;

/** The value of a JSON text. Throws SyntaxError. */
export function parse(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  const exact: Reviver = (_key, value, { source }) => {
    if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
    const isInteger = source !== undefined && INTEGER.test(source) &&
      source.length <= INTEGER_CHARACTERS_MAX;
    return isInteger ? BigInt(source) : value;
  };
  return JSON.parse(text, exact as Parameters<typeof JSON.parse>[1]);
}

const { rawJSON } = JSON as typeof JSON & { rawJSON(text: string): unknown };

/** The JSON text of a value, in which a bigint is a number. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, (_key, one) => typeof one === "bigint" ? rawJSON(String(one)) : one);
}
