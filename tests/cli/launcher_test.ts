// What the launcher makes of a command line: whether it starts roles, how, and what it hands over. In the place of the runtime
// stand programs that show it.

import { deepEqual, equal, ok } from "node:assert/strict";
import { decode } from "../../boot/control/protocol.ts";
import { command, tsvisorPath } from "../support/tsvisor.ts";

/** What is started for these words: "none", or whether root is root inside. */
const LINES: readonly (readonly [readonly string[], "none" | "root inside" | "as outside"])[] = [
  [["do", "--", "true"], "as outside"],
  [["do", "true"], "as outside"],
  [["do", "--cwd", "/", "-e", "A=1", "--", "run"], "as outside"],
  [["do", "sh", "--help"], "as outside"],
  [["do", "--", "--help"], "as outside"],
  [["--root", "run", "do", "true"], "as outside"],
  [["--root=run", "-debug", "do", "true"], "as outside"],
  [["run", "box"], "root inside"],
  [["run", "--bundle", "do", "box"], "root inside"],
  [["run", "box", "--bundle", "b"], "root inside"],
  [["--log", "do", "--strace", "run", "-b", "--console-socket", "box"], "root inside"],
  [["run", "--console-socket", "/s", "box"], "none"],
  [["run", "box", "--console-socket=/s"], "none"],
  [["run", "--", "--console-socket"], "root inside"],
  [["run", "--help"], "none"],
  [["do", "-h"], "none"],
  [["--help", "do", "true"], "none"],
  [["-v"], "none"],
  [["run"], "none"],
  [["do"], "none"],
  [[], "none"],
  [["list", "--help"], "none"],
  [["kill", "run"], "none"],
  [["spec", "do", "true"], "none"],
  [["--root", "do"], "none"],
  [["unknown", "do", "true"], "none"],
];

Deno.test("launcher: roles are started for the commands that need them, and not for others", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-launcher-" });
  try {
    Deno.mkdirSync(`${directory}/lib`);
    Deno.copyFileSync(await tsvisorPath(), `${directory}/tsvisor`);
    const put = (name: string, lines: readonly string[]) =>
      Deno.writeTextFileSync(`${directory}/lib/${name}`, lines.map((line) => `${line}\n`).join(""));
    put("cli.argv", [
      "/bin/sh",
      "-c",
      'test -z "$TSVISOR_HANDOVER" || cat "/proc/self/fd/$TSVISOR_HANDOVER"',
      "cli",
    ]);
    put("sentry.argv", ["/bin/true"]);
    put("gofer.argv", ["/bin/true"]);
    put("roles.envp", ["PATH=/bin"]);
    for (const [words, expected] of LINES) {
      const { stdout } = await new Deno.Command(`${directory}/tsvisor`, {
        args: [...words],
        // Nobody but the launcher says what has been started.
        env: { TSVISOR_HANDOVER: "0" },
        stdin: "null",
        stderr: "inherit",
      }).output();
      let found = "none";
      if (stdout.length > 0) {
        const frame = decode(stdout, stdout.length, "self");
        ok(typeof frame !== "string" && frame.message.kind === "started", String(frame));
        ok(frame.message.sentry !== frame.message.gofer);
        found = frame.message.isRootInside ? "root inside" : "as outside";
      }
      deepEqual([words, found], [words, expected]);
    }
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("launcher: a handover that is none is refused in one line", async () => {
  for (const words of [["--attend"], ["--attend", "0"], ["--attend", "x"], ["--attend", "999"]]) {
    const { code, stderr } = await command([await tsvisorPath(), ...words]);
    equal(code, 128);
    ok(/^tsvisor: [^\n]+\n$/.test(stderr), stderr);
  }
});
