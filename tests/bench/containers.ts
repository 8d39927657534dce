// The commands that engines call on containers in the background, timed: from the command to its end.

import type { Bundles } from "./runtimes.ts";

/** Each command that changes nothing is timed this often, and the best counts. */
const CALLS = 5;
const COMMAND_MILLIS_MAX = 60_000;

export class Containers {
  readonly #runtime: readonly string[];
  readonly #bundles: Bundles;
  readonly #ids: string[] = [];

  /** `runtime`: words before a command. */
  constructor(runtime: readonly string[], bundles: Bundles) {
    this.#runtime = runtime;
    this.#bundles = bundles;
  }

  /** Milliseconds by the name of the row. */
  async lifeMillis(): Promise<Map<string, number>> {
    const millis = new Map<string, number>();
    const { bundle, id } = this.#make();
    millis.set("create", await this.#call("create", "--bundle", bundle, id));
    millis.set("start", await this.#call("start", id));
    const questions = {
      "exec-true": ["exec", id, "/bin/true"],
      state: ["state", id],
      list: ["list"],
      ps: ["ps", id],
    };
    for (const [name, words] of Object.entries(questions)) {
      let best = Infinity;
      for (let n = 0; n < CALLS; n++) best = Math.min(best, await this.#call(...words));
      millis.set(name, best);
    }
    millis.set("kill", await this.#call("kill", id, "KILL"));
    await this.#stopped(id);
    millis.set("delete", await this.#call("delete", id));
    const other = this.#make();
    const begin = performance.now();
    await this.#call("create", "--bundle", other.bundle, other.id);
    await this.#call("start", other.id);
    await this.#call("delete", "--force", other.id);
    return millis.set("create-start-delete", performance.now() - begin);
  }

  /** Starts `count` at once: until the last of them runs. */
  async crowdMillis(count: number): Promise<number> {
    const made = Array.from({ length: count }, () => this.#make());
    const begin = performance.now();
    await Promise.all(made.map(({ bundle, id }) => this.#call("run", "--detach", "--bundle", bundle, id)));
    return performance.now() - begin;
  }

  async remove(): Promise<void> {
    for (const id of this.#ids) await this.#call("delete", "--force", id).catch(() => {});
  }

  #make(): { bundle: string; id: string } {
    const made = this.#bundles.make(["/bin/sleep", "1000"]);
    this.#ids.push(made.id);
    return made;
  }

  /** Milliseconds of a command that has to succeed. */
  async #call(...words: string[]): Promise<number> {
    const [program, ...args] = [...this.#runtime, ...words];
    const begin = performance.now();
    const signal = AbortSignal.timeout(COMMAND_MILLIS_MAX);
    const stdio = { stdin: "null", stdout: "null", stderr: "null" } as const;
    const { success } = await new Deno.Command(program, { args, signal, ...stdio }).spawn().status;
    if (!success) throw new Error(`${words[0]} failed`);
    return performance.now() - begin;
  }

  /** Waits until its end has been seen. */
  async #stopped(id: string): Promise<void> {
    const [program, ...args] = [...this.#runtime, "state", id];
    for (let tries = 0; tries < 500; tries++) {
      const { stdout } = await new Deno.Command(program, { args }).output();
      if (/"status": *"stopped"/.test(new TextDecoder().decode(stdout))) return;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    throw new Error("kill does not end it");
  }
}
