// What the library's tests share.

import { deepEqual } from "node:assert/strict";
import { Sandbox, SandboxError, type SandboxOptions } from "../../mod.ts";
import { tsvisorPath } from "../support/tsvisor.ts";

/** A state directory that goes with the test, when nothing is left in it. */
export class Root implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "tsvisor-library-" });
  readonly #below: string;

  /** `below` goes before the state directory's name. */
  constructor(below = "") {
    this.#below = below;
    if (below !== "") Deno.mkdirSync(`${this.path}/${below}`);
  }

  async create(options: SandboxOptions = {}): Promise<Sandbox> {
    return await Sandbox.create({ ...await this.place(), ...options });
  }

  async place(): Promise<{ root: string; executable: string }> {
    return { root: `${this.path}/${this.#below}state`, executable: await tsvisorPath() };
  }

  async ids(): Promise<string[]> {
    const ids: string[] = [];
    for await (const { id } of Sandbox.list(await this.place())) ids.push(id);
    return ids;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    deepEqual(await this.ids(), []);
    await Deno.remove(this.path, { recursive: true });
  }
}

export function isError(code: string, message = /./): (error: unknown) => boolean {
  return (error) => error instanceof SandboxError && error.code === code && message.test(error.message);
}
