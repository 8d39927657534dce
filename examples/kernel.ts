// A kernel as notebooks have it: a Python interpreter that lives on in a sandbox, runs one cell after the other, and keeps its
// variables.
//
//     echo 'x = 20
//     x + 1' | deno run -A examples/kernel.ts

import { type ChildProcess, Sandbox } from "../mod.ts";

/** What a cell has done. */
export interface CellResult {
  readonly printed: string;
  /** repr() of its last expression, "" without one. */
  readonly value: string;
  /** The traceback, "" where nothing was raised. */
  readonly error: string;
}

/** Reads a cell a line, as JSON, and answers in a line. What cells print goes into the answer. */
const LOOP = `
import ast, contextlib, io, json, sys, traceback
names = {"__name__": "__main__"}
for line in sys.stdin:
    out, value, error = io.StringIO(), "", ""
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            tree = ast.parse(json.loads(line), "cell")
            last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
            exec(compile(tree, "cell", "exec"), names)
            if last is not None:
                value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
                value = "" if value is None else repr(value)
        except BaseException:
            value, error = "", traceback.format_exc()
    print(json.dumps({"printed": out.getvalue(), "value": value, "error": error}), flush=True)
`;

export class Kernel implements AsyncDisposable {
  readonly #sandbox: Sandbox;
  readonly #child: ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  private constructor(sandbox: Sandbox) {
    this.#sandbox = sandbox;
    this.#child = sandbox.spawn("python3", { args: ["-u", "-c", LOOP], stdin: "piped", stderr: "null" });
    this.#writer = this.#child.stdin.getWriter();
    const decoder: TransformStream<Uint8Array, string> = new TextDecoderStream();
    this.#reader = this.#child.stdout.pipeThrough(decoder).getReader();
  }

  static async start(): Promise<Kernel> {
    return new Kernel(await Sandbox.create({ user: 1000, cwd: "/tmp" }));
  }

  /** Runs a cell to its end. Rejects where the interpreter has ended. */
  async run(cell: string): Promise<CellResult> {
    await this.#writer.write(new TextEncoder().encode(`${JSON.stringify(cell)}\n`));
    while (!this.#rest.includes("\n")) {
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`The interpreter ended with ${(await this.#child.status).code}`);
      this.#rest += value;
    }
    const end = this.#rest.indexOf("\n");
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return JSON.parse(line);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sandbox.kill();
  }
}

if (import.meta.main) {
  await using kernel = await Kernel.start();
  const { printed, value, error } = await kernel.run(await new Response(Deno.stdin.readable).text());
  console.log(`${printed}${value}${error}`.trimEnd());
}
