// Commands on a terminal through the library: spawn(..., { pty }).

import { deepEqual, equal, match, rejects, throws } from "node:assert/strict";
import type { ChildProcess } from "../../mod.ts";
import { isError, Root } from "./root.ts";

/** Types, and reads what is shown until something comes. */
class Screen {
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  shown = "";

  constructor(child: ChildProcess) {
    this.#reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#writer = child.stdin.getWriter();
  }

  async type(text: string): Promise<void> {
    await this.#writer.write(new TextEncoder().encode(text));
  }

  /** What is shown up to `text`, which is taken off. */
  async until(text: string): Promise<string> {
    while (!this.shown.includes(text)) {
      const { done, value } = await this.#reader.read();
      if (done) {
        throw new Error(`It ended after ${JSON.stringify(this.shown)}, before ${JSON.stringify(text)}`);
      }
      this.shown += value;
    }
    const end = this.shown.indexOf(text) + text.length;
    const before = this.shown.slice(0, end);
    this.shown = this.shown.slice(end);
    return before;
  }

  async close(): Promise<void> {
    await this.#writer.close();
  }
}

Deno.test("library pty: a shell with echo, ^C, a size that changes, and its exit code", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  await using child = sandbox.spawn("sh", { pty: { columns: 100, rows: 30 }, env: { PS1: "> " } });
  const screen = new Screen(child);
  await screen.until("> ");
  await screen.type("tty; stty size; echo $TERM\r");
  const first = await screen.until("xterm-256color\r\n");
  match(first, /^tty; stty size; echo \$TERM\r\n\/dev\/\S+\r\n30 100\r\n/);
  await screen.until("> ");
  child.resize({ columns: 120, rows: 40 });
  // The size is on its way beside what is typed.
  await screen.type("while [ \"$(stty size)\" != '40 120' ]; do sleep 0.05; done; echo resi''zed\r");
  await screen.until("resized\r\n");
  await screen.until("> ");
  await screen.type("(trap 'echo got''it; exit' WINCH; echo re''ady; while :; do sleep 0.05; done)\r");
  await screen.until("ready\r\n");
  child.resize({ columns: 90, rows: 20 });
  await screen.until("gotit\r\n");
  await screen.type("sh -c \"echo re''ady; exec sleep 1000\"\r");
  await screen.until("ready\r\n");
  await screen.type("\x03");
  await screen.until("> ");
  await screen.type("exit 7\r");
  equal((await child.status).code, 7);
});

Deno.test("library pty: the end of input, output that is large, signals, timeouts", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  const cat = sandbox.spawn("cat", { pty: true });
  const screen = new Screen(cat);
  await screen.type("word\r");
  await screen.until("word\r\nword\r\n");
  await screen.close();
  equal((await cat.status).code, 0);
  const lines = await sandbox.spawn("seq", { args: ["20000"], pty: true, stdin: "null" }).output();
  equal(
    lines.text().replaceAll("\r\n", "\n").replace("^D\b\b", ""),
    Array.from({ length: 20_000 }, (_, i) => `${i + 1}\n`).join(""),
  );
  const killed = sandbox.spawn("sleep", { args: ["1000"], pty: true });
  await killed.kill("SIGTERM");
  deepEqual(await killed.status, { success: false, code: 143, signal: "SIGTERM" });
  await rejects(
    sandbox.spawn("sleep", { args: ["1000"], pty: true, timeout: "200ms" }).status,
    isError("TIMED_OUT"),
  );
  equal((await sandbox.spawn("no-such-program", { pty: true }).status).code, 127);
  const plain = sandbox.spawn("true");
  throws(() => plain.resize({ columns: 1, rows: 1 }), isError("INVALID_ARGUMENT"));
  throws(() => sandbox.spawn("true", { pty: { columns: -1, rows: 1 } }), isError("INVALID_ARGUMENT"));
  await plain.status;
});

Deno.test("library pty: a command goes with the program that has its terminal", async () => {
  await using root = new Root();
  await using sandbox = await root.create();
  const place = JSON.stringify(await root.place());
  const program = `import { Sandbox } from "${new URL("../../mod.ts", import.meta.url)}";
    const sandbox = await Sandbox.connect("${sandbox.id}", ${place});
    const child = sandbox.spawn("sh", { args: ["-c", "echo up; exec sleep 1000"], pty: true });
    await child.stdout.getReader().read();
    console.log("up");
    await new Promise((resolve) => setTimeout(resolve, 1e9));`;
  Deno.writeTextFileSync(`${root.path}/program.ts`, program);
  const other = new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", "--quiet", `${root.path}/program.ts`],
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = other.stdout.getReader();
  equal(new TextDecoder().decode((await reader.read()).value), "up\n");
  equal(await sandbox.sh`pgrep -xc sleep || true`.text(), "1\n");
  other.kill("SIGKILL");
  await reader.cancel();
  await other.status;
  await sandbox.sh`while pgrep -x sleep; do sleep 0.05; done`;
});
