// What the command line says of the host and to shells.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { COMMANDS } from "../../boot/cli/commands.ts";
import type { Finding } from "../../boot/cli/doctor.ts";
import { PLATFORM_NAMES } from "../../platform/names.ts";
import { command, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

/** A user without rights. */
const NOBODY = "65534";

Deno.test("doctor: both platforms run here, and what is missing has advice", async () => {
  const { code, stdout, stderr } = await tsvisor(["doctor", "--format=json"]);
  equal(code, 0, stderr);
  const findings = JSON.parse(stdout) as Finding[];
  for (const name of PLATFORM_NAMES) {
    deepEqual(findings.find((one) => one.name === name), {
      name,
      verdict: "ok",
      found: "a sandbox has run",
      advice: "",
    });
  }
  for (const { verdict, advice } of findings) equal(advice === "", verdict === "ok");
  const text = await tsvisor(["doctor"]);
  for (const { name, found } of findings) ok(text.stdout.includes(`${name.padEnd(15)} ${found}`), name);
});

Deno.test("doctor: a user has less, and limits that are low are named", async () => {
  const directory = Deno.makeTempDirSync({ prefix: "tsvisor-doctor-test-" });
  try {
    Deno.chmodSync(directory, 0o777);
    const argv = ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", "prlimit"];
    argv.push("--nofile=1000:1000", await tsvisorPath(), "doctor", "--format=json");
    const env = { XDG_RUNTIME_DIR: directory, TMPDIR: directory };
    const { stdout, stderr } = await command(argv, { env });
    const findings = new Map((JSON.parse(stdout || stderr) as Finding[]).map((one) => [one.name, one]));
    equal(findings.get("open files")!.found, "1000");
    match(findings.get("open files")!.advice, /^ulimit -n 4096/);
    equal(findings.get("network")!.verdict, "less");
    match(findings.get("network")!.found, /--network=user/);
    equal(findings.get("cgroups")!.verdict, "less");
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
});

Deno.test("completions: bash completes commands, flags of both kinds, and says nothing of values", async () => {
  const script = (await tsvisor(["completions", "bash"])).stdout;
  const complete = async (...words: string[]) => {
    const list = words.map((word) => `'${word}'`).join(" ");
    const { code, stdout, stderr } = await command([
      "bash",
      "--norc",
      "-c",
      `${script}
      compopt() { :; }
      COMP_WORDS=(tsvisor ${list}); COMP_CWORD=${words.length}
      _tsvisor; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]);
    equal(code, 0, stderr);
    return stdout.trim().split("\n");
  };
  deepEqual(await complete("cr"), ["create"]);
  deepEqual(await complete("--patch"), ["--patching="]);
  deepEqual(await complete("--platform", "=", "ptrace", "create", "--bun"), ["--bundle="]);
  deepEqual(await complete("--root", "/x", "delete", "--fo"), ["--force"]);
  deepEqual(await complete("create", "--nothing-like-it"), [""]);
});

Deno.test("completions: each shell is told every command", async () => {
  for (const shell of ["bash", "zsh", "fish"]) {
    const { code, stdout } = await tsvisor(["completions", shell]);
    equal(code, 0);
    for (const name of Object.keys(COMMANDS)) match(stdout, new RegExp(`\\b${name}\\b`), `${shell}: ${name}`);
  }
  const { code, stderr } = await tsvisor(["completions", "csh"]);
  deepEqual([code, stderr], [128, "tsvisor: completions takes one of bash, zsh, fish\n"]);
});
