// A connection that asks: requests with ids of their own, as many at a time as are wanted, each answered in its turn or out
// of it. `tsvisor kill` has one; a controller will have one for all its clients.

import { EBUSY, EPIPE, EPROTO, ETIMEDOUT } from "../../kernel/abi/errno.ts";
import type { NativeHost } from "../../native/host.ts";
import { receiveLater } from "../../native/process.ts";
import { send } from "./channel.ts";
import { decode, FRAME_BYTES_MAX, type MessageFrom } from "./protocol.ts";

/** Requests that wait for their answers. */
export const IN_FLIGHT_MAX = 256;

export class ControlClient {
  readonly #host: NativeHost;
  readonly #socket: number;
  readonly #waiting = new Map<number, (result: number) => void>();
  #lastRequest = 0;
  /** -ERRNO once no answer will come any more. */
  #end = 0;

  /** `socket` is ours from now on. */
  constructor(host: NativeHost, socket: number) {
    this.#host = host;
    this.#socket = socket;
    this.#read();
  }

  /** Asks: 0 or -ERRNO, which is -ETIMEDOUT after `millis`. */
  async request(message: MessageFrom<"caller">, millis: number): Promise<number> {
    if (this.#end < 0) return this.#end;
    if (this.#waiting.size >= IN_FLIGHT_MAX) return -EBUSY;
    const request = this.#lastRequest = this.#lastRequest % 0xffff_ffff + 1;
    let timer: ReturnType<typeof setTimeout> | undefined = undefined;
    const result = await new Promise<number>((resolve) => {
      this.#waiting.set(request, resolve);
      timer = setTimeout(() => resolve(-ETIMEDOUT), millis);
      if (!send(this.#host, this.#socket, message, { request })) resolve(-EPIPE);
    });
    clearTimeout(timer);
    this.#waiting.delete(request);
    return result;
  }

  /** Until the other end hangs up, or sends what is no answer to anything. */
  async #read(): Promise<void> {
    const bytes = new Uint8Array(FRAME_BYTES_MAX + 1);
    while (this.#end === 0) {
      const { length, fds } = await receiveLater(this.#socket, bytes);
      for (const fd of fds) this.#host.close(fd);
      if (length <= 0) this.#end = -EPIPE;
      else this.#end = this.#resolve(bytes, length, fds.length);
    }
    for (const resolve of this.#waiting.values()) resolve(this.#end);
    this.#host.close(this.#socket);
  }

  #resolve(bytes: Uint8Array<ArrayBuffer>, length: number, fdCount: number): number {
    const frame = decode(bytes, length, "role", fdCount);
    if (typeof frame === "string" || !frame.isReply) return -EPROTO;
    const { message, request } = frame;
    const resolve = this.#waiting.get(request);
    if (message.kind !== "done" && message.kind !== "refused") return -EPROTO;
    // One that has waited too long is not there any more.
    if (resolve === undefined) return request <= this.#lastRequest ? 0 : -EPROTO;
    resolve(message.kind === "done" ? 0 : -message.errno);
    return 0;
  }
}
