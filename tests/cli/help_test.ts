// Help, version and wrong command lines, as a user and as Docker meet them.

import assert from "node:assert/strict";
import { COMMANDS } from "../../boot/cli/commands.ts";
import { tsvisor } from "../support/tsvisor.ts";

Deno.test("help lists every command, and each tells usage, flags and an example", async () => {
  const overview = await tsvisor(["help"]);
  assert.equal(overview.code, 0, overview.stderr);
  for (const name of Object.keys(COMMANDS)) {
    assert.match(overview.stdout, new RegExp(`^  ${name} `, "m"));
    const { code, stdout, stderr } = await tsvisor([name, "--help"]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, new RegExp(`^Usage: tsvisor \\[flags\\] ${name}\\b`, "m"));
    assert.match(stdout, /^Example\n {2}tsvisor /m);
    const { options } = await COMMANDS[name].load();
    for (const flag of Object.keys(options)) {
      assert.match(stdout, new RegExp(`--${flag}\\b`), `${name} --${flag}`);
    }
    assert.equal((await tsvisor(["help", name])).stdout, stdout);
  }
});

Deno.test("without a command, and with --help before one, the overview comes", async () => {
  const { stdout } = await tsvisor(["help"]);
  assert.equal((await tsvisor([])).stdout, stdout);
  assert.equal((await tsvisor(["--help"])).stdout, stdout);
});

Deno.test("--help behind a program's name is the program's", async () => {
  const { code, stdout, stderr } = await tsvisor(["do", "/bin/echo", "--help", "-h"]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "--help -h\n", stderr: "" });
});

Deno.test("--version has the shape that Docker reads: name, commit, spec", async () => {
  const { code, stdout } = await tsvisor(["--version"]);
  assert.equal(code, 0);
  assert.match(stdout, /^tsvisor version \d+\.\d+\.\d+\ncommit: \S+\nspec: \d+\.\d+\.\d+\n$/);
});

Deno.test("help syscalls prints the table as text and as JSON", async () => {
  const text = await tsvisor(["help", "syscalls"]);
  assert.match(text.stdout, /^ {2}0 {2}read +full$/m);
  const rows = JSON.parse((await tsvisor(["help", "syscalls", "--format=json"])).stdout) as {
    number: number;
    name: string;
    support: string;
    note: string;
  }[];
  assert.equal(rows.length, text.stdout.trimEnd().split("\n").length);
  assert.deepEqual(rows[0], { number: 0, name: "read", support: "full", note: "" });
});

Deno.test("a wrong command line gets one line and 128", async () => {
  const wrong: [string[], string][] = [
    [["nope"], 'Unknown command "nope"; see tsvisor help'],
    [["--nope", "list"], "Unknown flag --nope"],
    [["--platform=nope", "list"], 'Unknown platform "nope": it is one of systrap, ptrace'],
    [["run", "--nope", "x"], "Unknown flag --nope"],
    [["run", "--bundle"], "Flag --bundle needs a value"],
    [["help", "nope"], 'Unknown command "nope"; see tsvisor help'],
    [["help", "syscalls", "--format=xml"], 'Unknown format "xml": it is text or json'],
  ];
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await tsvisor(args);
    assert.deepEqual({ code, stdout, stderr }, { code: 128, stdout: "", stderr: `tsvisor: ${message}\n` });
  }
});

Deno.test("Go's way with flags is understood: -flag, --flag=false", async () => {
  const { code, stdout, stderr } = await tsvisor([
    "-debug=true",
    "--strace=false",
    "-systemd-cgroup",
    "list",
    "-q",
  ]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
});
