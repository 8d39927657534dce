// Profiles in the form that `go tool pprof` and its kin open: profile.proto, not compressed.
// https://github.com/google/pprof/blob/main/proto/profile.proto

import { encodeMessage, type Schema } from "../protobuf.ts";

const VALUE_TYPE: Schema = { type: [1, "int64"], unit: [2, "int64"] };
const PROFILE: Schema = {
  sample_type: [1, [VALUE_TYPE]],
  sample: [2, [{ location_id: [1, ["uint64"]], value: [2, ["int64"]] }]],
  location: [4, [{ id: [1, "uint64"], line: [4, [{ function_id: [1, "uint64"] }]] }]],
  function: [5, [{ id: [1, "uint64"], name: [2, "int64"], system_name: [3, "int64"] }]],
  string_table: [6, ["string"]],
  time_nanos: [9, "int64"],
  duration_nanos: [10, "int64"],
};

/** A quantity: "delay" in "nanoseconds". */
export interface Quantity {
  readonly name: string;
  readonly unit: string;
}

/** Stacks of one profile at most; what comes after is added to one that says so. */
const STACKS_MAX = 10_000;
const OTHERS = "(others)";

/** Adds up values by stack. */
export class Profile {
  readonly #quantities: readonly Quantity[];
  readonly #values = new Map<string, { readonly stack: readonly string[]; readonly values: number[] }>();

  constructor(quantities: readonly Quantity[]) {
    this.#quantities = quantities;
  }

  /** `stack` is a name per frame, the innermost first. */
  add(stack: readonly string[], values: readonly number[]): void {
    let key = stack.join("\0");
    let sample = this.#values.get(key);
    if (sample === undefined && this.#values.size >= STACKS_MAX) {
      stack = [OTHERS];
      key = OTHERS;
      sample = this.#values.get(key);
    }
    if (sample === undefined) {
      sample = { stack, values: this.#quantities.map(() => 0) };
      this.#values.set(key, sample);
    }
    values.forEach((value, i) => sample.values[i] += value);
  }

  /** Times are nanoseconds; the first since 1970. */
  encode(timeNanos: number, durationNanos: number): Uint8Array<ArrayBuffer> {
    const strings = new Map<string, number>([["", 0]]), frames = new Map<string, number>();
    const string = (text: string) => indexOf(strings, text, 0),
      frame = (name: string) => indexOf(frames, name, 1);
    const sample_type = this.#quantities.map(({ name, unit }) => ({
      type: string(name),
      unit: string(unit),
    }));
    const sample = [...this.#values.values()].map(({ stack, values }) => ({
      location_id: stack.map(frame),
      value: values.map(Math.round),
    }));
    const ids = [...frames.entries()];
    return encodeMessage(PROFILE, {
      sample_type,
      sample,
      location: ids.map(([, id]) => ({ id, line: [{ function_id: id }] })),
      function: ids.map(([name, id]) => ({ id, name: string(name), system_name: string(name) })),
      string_table: [...strings.keys()],
      time_nanos: timeNanos,
      duration_nanos: durationNanos,
    });
  }
}

/** Number of `key`, the next one after `first` where it is new. */
function indexOf(table: Map<string, number>, key: string, first: number): number {
  let index = table.get(key);
  if (index === undefined) table.set(key, index = table.size + first);
  return index;
}
