import { deepEqual, equal, throws } from "node:assert/strict";
import { DEPTH_MAX, DocumentScanner, NOT_AN_OBJECT, parse, stringify, TOO_DEEP, UNFINISHED } from "./json.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const scan = (text: string) => new DocumentScanner().scan(bytes(text), 0, text.length);

Deno.test("a document ends with the bracket that it began with", () => {
  equal(scan(`{"a":[1,{"b":"}"}]} {`), 19);
  equal(scan(`  {"a":"\\"}"}`), 13);
  equal(scan(`{"a":"\\\\"}x`), 10);
});

Deno.test("a document that comes byte by byte is found too", () => {
  const text = bytes(`{"method":"a\\"}{","arg":[{}]}`);
  const scanner = new DocumentScanner();
  for (let at = 0; at < text.length - 1; at++) equal(scanner.scan(text, at, at + 1), UNFINISHED);
  equal(scanner.scan(text, text.length - 1, text.length), text.length);
});

Deno.test("what is no object is refused at its first byte", () => {
  equal(scan(`[1]`), NOT_AN_OBJECT);
  equal(scan(` "x"`), NOT_AN_OBJECT);
  equal(scan(`}`), NOT_AN_OBJECT);
});

Deno.test("nesting has an end", () => {
  equal(scan(`{"a":${"[".repeat(DEPTH_MAX - 1)}`), UNFINISHED);
  equal(scan(`{"a":${"[".repeat(DEPTH_MAX)}`), TOO_DEEP);
});

Deno.test("integers of 64 bits come through exactly", () => {
  const text = `{"a":18446744073709551615,"b":-9223372036854775808,"c":9007199254740993,"d":1.5,"e":[3]}`;
  const value = parse(text) as Record<string, unknown>;
  deepEqual(value, { a: 2n ** 64n - 1n, b: -(2n ** 63n), c: 9007199254740993n, d: 1.5, e: [3] });
  equal(stringify(value), text);
});

Deno.test("fractions and huge exponents are no bigints", () => {
  deepEqual(parse(`{"a":0.1234567890123456789,"b":12345678901234567890123456789}`), {
    a: 0.12345678901234568,
    b: 12345678901234567890123456789,
  });
});

Deno.test("what is no JSON is an error, with long numbers too", () => {
  throws(() => parse(`{"a":}`), SyntaxError);
  throws(() => parse(`{"a":1234567890123456789,}`), SyntaxError);
});
