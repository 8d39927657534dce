import { deepStrictEqual as same } from "node:assert/strict";
import { decodeMessage, encodeMessage, type Schema } from "./protobuf.ts";

const INNER: Schema = { name: [1, "string"], flag: [2, "bool"] };
const OUTER: Schema = {
  count: [1, "uint64"],
  signed: [2, "int64"],
  inner: [3, INNER],
  list: [4, ["string"]],
  data: [5, "bytes"],
  labels: [6, "map"],
};

Deno.test("messages have the bytes that the encoding guide gives them", () => {
  same([...encodeMessage(OUTER, { count: 150 })], [0x08, 0x96, 0x01]);
  const message = { inner: { name: "testing" }, list: ["a", ""] };
  same([...encodeMessage(OUTER, message)], [
    ...[0x1a, 9, 0x0a, 7],
    ...new TextEncoder().encode("testing"),
    ...[0x22, 1, 0x61, 0x22, 0],
  ]);
  same([...encodeMessage(OUTER, { signed: -1 })], [0x10, ...new Array(9).fill(0xff), 1]);
  same([...encodeMessage(OUTER, { count: 0, inner: undefined, labels: {} })], []);
});

Deno.test("what is written is read", () => {
  const message = {
    count: 2 ** 40,
    signed: -5,
    inner: { name: "é", flag: true },
    list: ["x", "y"],
    data: Uint8Array.of(0, 255),
    labels: { a: "b", c: "" },
  };
  same(decodeMessage(OUTER, encodeMessage(OUTER, message)), message);
  same(decodeMessage(INNER, encodeMessage(OUTER, { list: ["x"], labels: { a: "b" } })), {}, "unknown fields");
});
