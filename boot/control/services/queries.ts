// The sentry's side of the control API: takes queries of a connection, has a service carry each out, answers.

import { LOG_LEVEL } from "../../sandbox_log.ts";
import { jsonDescriptor, readText } from "../../descriptors.ts";
import type { MessageFrom } from "../protocol.ts";
import { parse, stringify } from "../urpc/json.ts";
import { SERVICES } from "./all.ts";
import { LATER, Query, Refusal, ResultWithFiles, type Sandbox } from "./query.ts";

/** Sends an answer; the descriptors stay the sender's. */
export type SendAnswer = (message: MessageFrom<"role">, fds: readonly number[]) => void;

/** Calls of one connection that wait for their answers. */
const PENDING_MAX = 1024;

/** Those of one connection. */
export class Queries {
  readonly #sandbox: Sandbox;
  readonly #pending = new Map<number, Query>();

  constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
  }

  /** Carries out `method`; `fds`, its argument and what came along, are taken over. */
  serve(request: number, method: string, fds: readonly number[], send: SendAnswer): void {
    const { host, kernel, log, callTimes } = this.#sandbox;
    const start = kernel.clock.monotonic();
    if (log.level >= LOG_LEVEL.DEBUG) kernel.log(`Control: ${method}`);
    const [document = -1, ...files] = fds;
    const service = Object.hasOwn(SERVICES, method) ? SERVICES[method] : undefined;
    let isAnswered = false;
    const reply = (result: unknown) => {
      if (isAnswered) return;
      isAnswered = true;
      this.#pending.delete(request);
      for (const fd of files) host.close(fd);
      if (service !== undefined) callTimes.note(method, kernel.clock.monotonic() - start);
      this.#answer(result, send);
    };
    try {
      const argument = document < 0 ? null : this.#take(document);
      if (service === undefined) return reply(new Refusal("unknown method"));
      if (this.#pending.size >= PENDING_MAX) {
        return reply(new Refusal("too many calls wait for their answers"));
      }
      const query = new Query(argument, files, reply);
      this.#pending.set(request, query);
      const result = service(this.#sandbox, query);
      if (result !== LATER) reply(result);
    } catch (error) {
      kernel.log(`${method}: ${error instanceof Error ? error.stack : error}`);
      reply(new Refusal(`${method}: ${error instanceof Error ? error.message : error}`));
    }
  }

  /** Nobody waits for the answer to `request`. */
  forget(request: number): void {
    const query = this.#pending.get(request);
    if (query === undefined) return;
    query.onForgotten();
    query.reply(new Refusal("forgotten"));
  }

  /** The connection has ended. */
  end(): void {
    for (const request of [...this.#pending.keys()]) this.forget(request);
  }

  #answer(result: unknown, send: SendAnswer): void {
    if (result instanceof Refusal) return send({ kind: "refusal", message: result.text }, []);
    const { host } = this.#sandbox;
    const [value, files] = result instanceof ResultWithFiles ? [result.result, result.files] : [result, []];
    const fd = jsonDescriptor(host, value ?? null, stringify);
    send({ kind: "report" }, [fd, ...files]);
    host.close(fd);
  }

  #take(document: number): unknown {
    try {
      return parse(readText(this.#sandbox.host, document));
    } finally {
      this.#sandbox.host.close(document);
    }
  }
}
