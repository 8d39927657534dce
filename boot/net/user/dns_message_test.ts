import { deepEqual, equal } from "node:assert/strict";
import { addressesOf, questionOf } from "./dns_message.ts";
import { DNS_V4, DNS_V6 } from "./layout.ts";
import { RESOLVER_FILE } from "./start.ts";

const HEADER = [0x12, 0x34, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0];
const encoder = new TextEncoder();

function name(text: string): number[] {
  return [...text.split(".").flatMap((label) => [label.length, ...encoder.encode(label)]), 0];
}

/** A record of `type`, its owner as bytes. */
function record(owner: readonly number[], type: number, data: readonly number[]): number[] {
  return [...owner, 0, type, 0, 1, 0, 0, 0, 60, 0, data.length, ...data];
}

/** An answer about "api.example". */
function answer(...records: readonly (readonly number[])[]): Uint8Array {
  const header = [...HEADER];
  header[7] = records.length;
  return Uint8Array.from([...header, ...name("API.Example"), 0, 1, 0, 1, ...records.flat()]);
}

function found(message: Uint8Array): string[] {
  const question = questionOf(message, message.length);
  return question === null
    ? ["none"]
    : addressesOf(message, message.length, question).map((one) => `${one.address}`);
}

Deno.test("an answer gives the addresses of the name that was asked for, aliases followed", () => {
  const pointer = [0xc0, 12];
  equal(questionOf(answer(), answer().length)?.name, "api.example");
  deepEqual(found(answer(record(pointer, 1, [192, 0, 2, 1]))), ["192.0.2.1"]);
  const alias = record(pointer, 5, name("cdn.example"));
  deepEqual(found(answer(alias, record(name("cdn.EXAMPLE"), 1, [192, 0, 2, 2]))), ["192.0.2.2"]);
  deepEqual(found(answer(record(pointer, 28, [0x20, 1, 0xd, 0xb8, ...new Array(11).fill(0), 1]))), [
    "2001:db8::1",
  ]);
});

Deno.test("records of other names count for nothing", () => {
  deepEqual(found(answer(record(name("other.example"), 1, [192, 0, 2, 3]))), []);
  // An alias that comes after what it would lead to has not been followed.
  const alias = record([0xc0, 12], 5, name("cdn.example"));
  deepEqual(found(answer(record(name("cdn.example"), 1, [192, 0, 2, 4]), alias)), []);
});

Deno.test("a message that ends early, points forward or to itself, or lies about lengths is no harm", () => {
  const whole = answer(record([0xc0, 12], 1, [192, 0, 2, 1]), record([0xc0, 12], 5, name("a.b")));
  for (let length = 0; length < whole.length; length++) found(whole.slice(0, length));
  const loop = Uint8Array.from([...HEADER, 0xc0, 12, 0, 1, 0, 1]);
  equal(questionOf(loop, loop.length), null);
  const forward = Uint8Array.from([...HEADER, 0xc0, 20, 0, 1, 0, 1, 0, 0, 0]);
  equal(questionOf(forward, forward.length), null);
  const long = Uint8Array.from([
    ...HEADER,
    ...new Array(5).fill([63, ...new Array(63).fill(97)]).flat(),
    0,
    0,
    1,
    0,
    1,
  ]);
  equal(questionOf(long, long.length), null);
  // A dot inside a label would make another name of it.
  const dotted = Uint8Array.from([...HEADER, 3, 97, 46, 98, 0, 0, 1, 0, 1]);
  equal(questionOf(dotted, dotted.length), null);
  for (let seed = 1; seed < 3000; seed++) {
    const bytes = whole.slice();
    for (let i = 0, x = seed; i < 4; i++) {
      x = Math.imul(x, 1103515245) + 12345 >>> 0;
      bytes[12 + x % (bytes.length - 12)] = x >>> 16 & 255;
    }
    found(bytes);
  }
});

Deno.test("the resolver configuration names the addresses that are served", () => {
  equal(RESOLVER_FILE.text, `nameserver ${DNS_V4}\nnameserver ${DNS_V6}\n`);
});
