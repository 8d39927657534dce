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

Deno.test("--version has the shape that engines read: name, commit, spec; then runtime and platforms", async () => {
  const { code, stdout } = await tsvisor(["--version"]);
  assert.equal(code, 0);
  assert.match(
    stdout,
    /^tsvisor version \d+\.\d+\.\d+\ncommit: \S+\nspec: \d+\.\d+\.\d+\ndeno: \S+\nplatforms: systrap, ptrace\n$/,
  );
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
    [["craete", "box"], 'Unknown command "craete"; did you mean "create"?'],
    [["checkpoint", "box"], 'Command "checkpoint" is not supported yet'],
    [["syscalls"], 'Command "syscalls" is tsvisor help syscalls here'],
    [["--debug-lgo=x", "list"], 'Unknown flag --debug-lgo; did you mean "--debug-log"?'],
    [["do", "--tiemout", "3", "true"], 'Unknown flag --tiemout; did you mean "--timeout"?'],
    [["help", "syscalls", "opnat"], 'Unknown system call "opnat"; did you mean "openat"?'],
    [["--nvproxy", "list"], '--nvproxy: "true" is not supported; false is what a sandbox does'],
    [["-host-uds=all", "list"], '--host-uds: "all" is not supported; none is what a sandbox does'],
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
  const state = Deno.makeTempDirSync({ prefix: "tsvisor-help-" });
  try {
    const flags = [`-root=${state}`, "-debug=true", "--strace=false", "-systemd-cgroup"];
    const { code, stdout, stderr } = await tsvisor([...flags, "list", "-q"]);
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
  } finally {
    Deno.removeSync(state, { recursive: true });
  }
});

Deno.test("Go's way with flags is understood behind a command too, and runsc's own flags are taken", async () => {
  const runsc = [
    "-host-uds=none",
    "-directfs=false",
    "-oci-seccomp=false",
    "-net-raw",
    "-panic-log",
    "/nowhere",
  ];
  const { code, stdout, stderr } = await tsvisor([
    ...runsc,
    "do",
    "-workdir",
    "/usr",
    "-env=A=-b",
    "--",
    "pwd",
  ]);
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: "/usr\n", stderr: "" });
  const shown = await tsvisor(["do", "-clear-env", "--env=W=-w", "--", "/usr/bin/env"]);
  assert.deepEqual([shown.code, shown.stdout], [0, "W=-w\n"], shown.stderr);
});

Deno.test("help syscalls NAME tells one call, by name or number", async () => {
  const named = await tsvisor(["help", "syscalls", "openat2"]);
  assert.equal(named.stderr, "");
  assert.match(
    named.stdout,
    /^openat2\(dirfd, pathname, how, size\)\nnumber 437, supported in part: .*RESOLVE_CACHED/,
  );
  assert.equal((await tsvisor(["help", "syscalls", "437"])).stdout, named.stdout);
  assert.match((await tsvisor(["help", "syscalls", "read"])).stdout, /\nnumber 0, supported in full\n$/);
});

Deno.test("help man is a manual page that names every command and flag", async () => {
  const { code, stdout } = await tsvisor(["help", "man"]);
  assert.equal(code, 0);
  assert.match(stdout, /^\.\\" .*\n\.TH TSVISOR 8 /);
  for (const [name, command] of Object.entries(COMMANDS)) {
    assert.match(stdout, new RegExp(`^\\.SS tsvisor ${name.replaceAll("-", "\\\\-")}\\b`, "m"));
    for (const flag of Object.keys((await command.load()).options)) {
      assert.ok(stdout.includes(`\\fB\\-\\-${flag.replaceAll("-", "\\-")}\\fR`), `${name} --${flag}`);
    }
  }
  // A line that begins with a dot or an apostrophe is roff's.
  const requests = stdout.split("\n").filter((line) => /^[.']/.test(line)).map((line) => line.split(" ")[0]);
  const known = ['.\\"', ".TH", ".SH", ".B", ".I", ".BR", ".IR", ".TP", ".SS", ".PP", ".EX", ".EE"];
  assert.deepEqual([...new Set(requests)].filter((request) => !known.includes(request)), []);
});
