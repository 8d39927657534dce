// Guest programs whose threads work against each other inside calls (races.c): each ends as it does on Linux, which is asked
// first, nothing of ours throws, and the sandbox goes on.

import { deepEqual, doesNotMatch, equal } from "node:assert/strict";
import { command, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

/** A hundred times what it takes on an idle machine. */
const TIMEOUT_MILLIS = 900_000;

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-races-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
const program = compile();

async function compile(): Promise<string> {
  const path = `${directory}/races`;
  const built = await command([
    "gcc",
    "-O1",
    "-w",
    "-pthread",
    "-o",
    path,
    `${import.meta.dirname}/races.c`,
  ]);
  if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
  return path;
}

/** Each check must hold but `exempt`. */
function judge(stdout: string, exempt = ""): void {
  const checks = stdout.split("\n").filter((line) => line.includes(":"));
  const wrong = checks.filter((line) => !line.endsWith(": 1") && line !== exempt);
  deepEqual(wrong, []);
  equal(stdout.endsWith("done\n"), true, stdout);
}

Deno.test("races: they end so on Linux", async () => {
  const { stdout, code } = await command([await program], { timeoutMillis: TIMEOUT_MILLIS });
  // There is no stub whose memory is not to be had.
  judge(stdout, "  none is mapped there: 0");
  equal(code, 0);
});

for (const platform of PLATFORMS) {
  Deno.test(`races: threads that work against each other harm themselves only, on ${platform}`, async () => {
    const log = `${directory}/${platform}.log`;
    const { stdout, stderr, code } = await command(
      [await tsvisorPath(), `--platform=${platform}`, `--debug-log=${log}`, "do", "--", await program],
      { timeoutMillis: TIMEOUT_MILLIS },
    );
    judge(stdout);
    doesNotMatch(Deno.readTextFileSync(log), /^(Task|Failed)|^ +at /m);
    equal(stderr, "");
    equal(code, 0);
  });
}
