// The sentry's end of the memory that it shares with the gofer, over native/src/gofer/client.rs.

import type { GoferChannel } from "../platform/platform.ts";
import { openLibrary } from "./library.ts";

const symbols = {
  tsv_gofer_connect: { parameters: ["i32", "u32", "i32"], result: "i32" },
  tsv_gofer_ask: { parameters: ["u32", "buffer", "u32", "buffer", "f64", "buffer"], result: "i32" },
  tsv_gofer_await: { parameters: ["u32", "u32", "buffer", "f64", "buffer"], result: "i32" },
  tsv_gofer_answered: { parameters: ["u32", "buffer"], result: "i32" },
  tsv_gofer_disconnect: { parameters: ["u32"], result: "i32" },
} as const;

type Calls = Deno.DynamicLibrary<typeof symbols>["symbols"];
type Bytes = Uint8Array<ArrayBuffer>;

/** As in native/src/gofer/channel.rs. */
const FRAME_BYTES_MAX = 64 * 1024;
const EFAULT = 14;
/**
 * Offers the gofer at the other end of `socket` a channel, and waits `millisMax` at most until it serves; `cpu` (-1 = any) is
 * where its answers are waited for. Or -ERRNO.
 */
export function connectGofer(socket: number, cpu: number, millisMax: number): GoferChannel | number {
  const calls = openLibrary(symbols, ["tsv_gofer_ask", "tsv_gofer_await"]);
  const handle = calls.tsv_gofer_connect(socket, cpu + 1, millisMax);
  return handle < 0 ? handle : new NativeGoferChannel(calls, handle);
}

class NativeGoferChannel implements GoferChannel {
  readonly #calls: Calls;
  readonly #handle: number;
  /** Time, descriptor, slot, whether others were told of, whether the gofer has begun. */
  readonly #more = new Float64Array(5);
  readonly #answered = new Uint32Array(1);
  donated = -1;
  answeredAtNanos = 0;
  slot = -1;
  hasOthers = false;
  hasBegun = false;

  constructor(calls: Calls, handle: number) {
    this.#calls = calls;
    this.#handle = handle;
  }

  ask(question: Uint8Array, length: number, answer: Uint8Array, micros: number): number {
    if (length > question.length || answer.length < FRAME_BYTES_MAX) return -EFAULT;
    const more = this.#more;
    more[1] = -1;
    more[3] = 0;
    const n = this.#calls.tsv_gofer_ask(
      this.#handle,
      question as Bytes,
      length,
      answer as Bytes,
      micros,
      more,
    );
    this.answeredAtNanos = more[0];
    this.donated = more[1];
    this.slot = more[2];
    this.hasOthers = more[3] !== 0;
    this.hasBegun = more[4] !== 0;
    return n;
  }

  take(slot: number, answer: Uint8Array): number {
    if (answer.length < FRAME_BYTES_MAX) return -EFAULT;
    const more = this.#more;
    more[1] = -1;
    const n = this.#calls.tsv_gofer_await(this.#handle, slot, answer as Bytes, 0, more);
    this.answeredAtNanos = more[0];
    this.donated = more[1];
    return n;
  }

  answered(): number {
    const result = this.#calls.tsv_gofer_answered(this.#handle, this.#answered);
    return result < 0 ? result : this.#answered[0];
  }

  close(): void {
    this.#calls.tsv_gofer_disconnect(this.#handle);
  }
}
