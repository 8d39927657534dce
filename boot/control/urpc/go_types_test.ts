import { deepEqual, equal } from "node:assert/strict";
import * as go from "./go_types.ts";

const signal = go.struct("SignalArgs", { CID: go.string, Signo: go.int32, PID: go.int32, Mode: go.int32 });
const error = (type: go.GoType<unknown>, name: string, value: unknown) => {
  const result = go.unmarshal(type, name, value);
  return "error" in result ? result.error : "";
};

Deno.test("fields are found whatever their case, missing ones and null are zero, unknown ones are passed over", () => {
  deepEqual(go.unmarshal(signal, "SignalArgs", { cid: "a", SIGNO: 9, pid: null, Other: [1] }), {
    value: { CID: "a", Signo: 9, PID: 0, Mode: 0 },
  });
  deepEqual(go.unmarshal(signal, "SignalArgs", null), { value: { CID: "", Signo: 0, PID: 0, Mode: 0 } });
});

Deno.test("what does not fit is said as encoding/json says it", () => {
  equal(
    error(signal, "SignalArgs", { CID: 1 }),
    "json: cannot unmarshal number into Go struct field SignalArgs.CID of type string",
  );
  equal(
    error(signal, "SignalArgs", { signo: "9" }),
    "json: cannot unmarshal string into Go struct field SignalArgs.Signo of type int32",
  );
  equal(error(signal, "SignalArgs", "x"), "json: cannot unmarshal string into Go value of type SignalArgs");
  equal(error(go.string, "string", {}), "json: cannot unmarshal object into Go value of type string");
});

Deno.test("integers have Go's ranges, and 64 bits are exact", () => {
  equal(error(go.int32, "", 2 ** 31) === "", false);
  equal(error(go.int32, "", 1.5) === "", false);
  equal(error(go.uint16, "", -1) === "", false);
  equal(error(go.uint64, "", 2n ** 64n) === "", false);
  equal(error(go.int64, "", -(2n ** 63n) - 1n) === "", false);
  deepEqual(go.unmarshal(go.uint64, "", 2n ** 64n - 1n), { value: 2n ** 64n - 1n });
  deepEqual(go.unmarshal(go.int64, "", -(2n ** 63n)), { value: -(2n ** 63n) });
});

Deno.test("slices and pointers may be null", () => {
  const type = go.struct("T", { a: go.slice(go.string), p: go.pointer(signal), m: go.map(go.uint64) });
  deepEqual(go.unmarshal(type, "T", { a: null, p: null, m: { x: 1 } }), {
    value: { a: [], p: null, m: { x: 1 } },
  });
  deepEqual(go.unmarshal(type, "T", { a: ["x"], p: { cid: "c" } }), {
    value: { a: ["x"], p: { CID: "c", Signo: 0, PID: 0, Mode: 0 }, m: {} },
  });
  equal(
    error(type, "T", { a: [1] }),
    "json: cannot unmarshal number into Go struct field T.a of type string",
  );
});

Deno.test("addresses are text, masks and hardware addresses base64", () => {
  deepEqual(go.unmarshal(go.ipNet, "net.IPNet", { IP: "10.0.0.0", Mask: "/wAAAA==" }), {
    value: { IP: "10.0.0.0", Mask: "/wAAAA==" },
  });
  for (const text of ["", "1.2.3.4", "::1", "fe80::1", "::ffff:1.2.3.4"]) {
    equal(error(go.ip, "", text), "", text);
  }
  for (const text of ["1.2.3", "1.2.3.256", "x", "::g", "1.2.3.4/8"]) {
    equal(error(go.ip, "", text) === "", false, text);
  }
  equal(error(go.bytes, "", "AAE=") === "", true);
  equal(error(go.bytes, "", "AA") === "", false);
});

Deno.test("a name of Object's own is a field like any other", () => {
  const value = JSON.parse(`{"__proto__":{"CID":"x"},"constructor":1}`);
  deepEqual(go.unmarshal(signal, "SignalArgs", value), { value: { CID: "", Signo: 0, PID: 0, Mode: 0 } });
});
