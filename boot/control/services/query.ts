// A call of the control API as the sentry carries it out. The controller has checked the argument's type; it may have been
// taken over, so what is wrong with an argument is refused here too, in the words of the API.

import type { Kernel } from "../../../kernel/kernel.ts";
import type { SyscallTable } from "../../../kernel/syscalls/dispatch.ts";
import type { NativeHost } from "../../../native/host.ts";
import type { CallTimes } from "./call_times.ts";
import type { Services as Lifecycle } from "../../services.ts";
import type { SandboxNetwork } from "../../net/sandbox_network.ts";
import type { SandboxLog } from "../../sandbox_log.ts";

/** What the services work on. */
export interface Sandbox {
  readonly kernel: Kernel;
  readonly host: NativeHost;
  readonly table: SyscallTable;
  readonly log: SandboxLog;
  /** Processes that are started in containers, and their ends. */
  readonly lifecycle: Lifecycle;
  /** Links of the sandbox's stack beside loopback. */
  readonly network: SandboxNetwork;
  /** Of calls that have been answered. */
  readonly callTimes: CallTimes;
}

/** Why a call is not carried out: the text of its error. */
export class Refusal {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

/** A result with descriptors, which stay the sandbox's. */
export class ResultWithFiles {
  readonly result: unknown;
  readonly files: readonly number[];
  constructor(result: unknown, files: readonly number[]) {
    this.result = result;
    this.files = files;
  }
}

/** The call is answered later, by its reply. */
export const LATER = Symbol("later");

/** Carries a call out: the result as the API's JSON has it, a Refusal, a ResultWithFiles, or LATER. */
export type Service = (sandbox: Sandbox, query: Query) => unknown;

/** By receiver and method. */
export type Services = Readonly<Record<string, Service>>;

export class Query {
  readonly #argument: unknown;
  /** Descriptors that came along; they are closed when it is answered. */
  readonly files: readonly number[];
  /** Answers a call whose service has said LATER. */
  readonly reply: (result: unknown) => void;
  /** Nobody waits for the answer any more; set by a service that answers later. */
  onForgotten: () => void = () => {};

  constructor(argument: unknown, files: readonly number[], reply: (result: unknown) => void) {
    this.#argument = argument;
    this.files = files;
    this.reply = reply;
  }

  /** The argument, where it is a string. */
  get text(): string {
    return typeof this.#argument === "string" ? this.#argument : "";
  }

  string(field: string): string {
    const value = this.#field(field);
    return typeof value === "string" ? value : "";
  }

  /** The struct as it came. */
  get record(): Readonly<Record<string, unknown>> {
    const argument = this.#argument;
    return typeof argument === "object" && argument !== null ? argument as Record<string, unknown> : {};
  }

  /** A part of the argument as it came: the door has checked its type. */
  value(field: string): unknown {
    return this.#field(field);
  }

  flag(field: string): boolean {
    return this.#field(field) === true;
  }

  /** A whole number; beyond 2^53 the nearest double. */
  number(field: string): number {
    const value = this.#field(field);
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : 0;
  }

  numbers(field: string): readonly number[] {
    return this.#list(field).filter((one) => typeof one === "number");
  }

  /** The argument, or this part of it, is not there. */
  get isNull(): boolean {
    return this.#argument === null || this.#argument === undefined;
  }

  strings(field: string): readonly string[] {
    return this.#list(field).filter((one) => typeof one === "string");
  }

  /** A list of structs. */
  list(field: string): readonly Query[] {
    return this.#list(field).map((one) => new Query(one, [], this.reply));
  }

  /** A struct within the argument. */
  struct(field: string): Query {
    return new Query(this.#field(field), [], this.reply);
  }

  #list(field: string): readonly unknown[] {
    const value = this.#field(field);
    return Array.isArray(value) ? value : [];
  }

  #field(field: string): unknown {
    const argument = this.#argument;
    return typeof argument === "object" && argument !== null && Object.hasOwn(argument, field)
      ? (argument as Record<string, unknown>)[field]
      : undefined;
  }
}
