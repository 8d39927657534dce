// A container in the background, as engines have one, that goes with the test.

import { deepEqual, equal } from "node:assert/strict";
import { Bundle, type Config } from "./bundle.ts";
import { command, eventually, type Finished, tsvisorPath } from "./tsvisor.ts";

/** A bundle whose container goes with the test. */
export class Life extends Bundle {
  readonly pidFile = `${this.directory}/pid`;
  readonly output = `${this.directory}/output`;
  readonly #flags: readonly string[];

  constructor(flags: readonly string[] = []) {
    super();
    this.#flags = flags;
  }

  async call(...args: string[]): Promise<Finished> {
    return await this.tsvisor([...this.#flags, ...args]);
  }

  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.call(...args);
    deepEqual([code, stderr], [0, ""], `${args.join(" ")}: ${stderr}`);
    return stdout;
  }

  /** A command whose stdio stays with what it leaves running: not with pipes of ours, of which we would await the end. */
  async background(...args: string[]): Promise<void> {
    const errors = `${this.directory}/stderr`;
    const words = [await tsvisorPath(), "--root", this.state, ...this.#flags, ...args];
    const { code } = await command(["sh", "-c", `exec "$0" "$@" >/dev/null 2>${errors}`, ...words]);
    deepEqual(
      [code, Deno.readTextFileSync(errors)],
      [0, ""],
      `${args.join(" ")}: ${Deno.readTextFileSync(errors)}`,
    );
  }

  /** Its output goes to `printed`. The pid that engines know. */
  async create(script: string, id = "box", change: (config: Config) => void = () => {}): Promise<number> {
    this.write(`exec >/output 2>&1\n${script}`, change);
    await this.background("create", "--bundle", this.directory, "--pid-file", this.pidFile, id);
    return Number(Deno.readTextFileSync(this.pidFile));
  }

  async status(id = "box"): Promise<string> {
    return JSON.parse(await this.must("state", id)).status;
  }

  async reaches(status: string, id = "box"): Promise<void> {
    await eventually(async () => await this.status(id) === status);
    equal(await this.status(id), status);
  }

  /** Waits until there is such a file. */
  async shows(path: string): Promise<boolean> {
    return await eventually(() => exists(path));
  }

  /** What the container has printed; its root is written through. */
  get printed(): string {
    return Deno.readTextFileSync(`${this.rootfs}/output`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const id of await exists(this.state) ? [...Deno.readDirSync(this.state)] : []) {
      if (id.name.endsWith(".json")) await this.call("delete", "--force", id.name.slice(0, -5));
    }
    this[Symbol.dispose]();
  }
}

export async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).then(() => true, () => false);
}
