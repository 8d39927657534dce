// The host's descriptors of sentry and gofer are counted by guest user: one who takes all he can get (descriptors.c) leaves
// fork, execve and open working for the others.

import { deepEqual, equal, ok } from "node:assert/strict";
import { command, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

/** What sentry and gofer may have each. The attacker tries to get more than both together. */
const DESCRIPTORS_MAX = 1500;
/** COUNT_MAX and DIRECTORIES of descriptors.c. */
const FILES = 4000, DIRECTORIES = 1000;

const directory = Deno.makeTempDirSync({ prefix: "tsvisor-descriptors-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));
const program = prepare();

async function prepare(): Promise<string> {
  const path = `${directory}/program`;
  const source = `${import.meta.dirname}/descriptors.c`;
  const built = await command(["gcc", "-O1", "-Wall", "-Wno-unused-result", "-o", path, source]);
  if (built.code !== 0) throw new Error(`gcc: ${built.stderr}`);
  Deno.chmodSync(directory, 0o755);
  Deno.mkdirSync(`${directory}/files`, { mode: 0o755 });
  for (let i = 0; i < FILES; i++) Deno.writeTextFileSync(`${directory}/files/${i}`, "x");
  for (let i = 0; i < DIRECTORIES; i++) Deno.mkdirSync(`${directory}/directories/${i}`, { recursive: true });
  return path;
}

for (const platform of PLATFORMS) {
  Deno.test(`directories that are read leave no descriptor behind, on ${platform}`, async () => {
    const argv = [await tsvisorPath(), `--platform=${platform}`, "do", "--", await program, "read"];
    const { stdout, stderr } = await command(
      ["prlimit", `--nofile=${DESCRIPTORS_MAX}:${DESCRIPTORS_MAX}`, ...argv, `${directory}/directories`],
      { timeoutMillis: 120_000 },
    );
    equal(stdout, "read\n", stderr);
  });

  for (const kind of ["memory", "files"]) {
    Deno.test(`one user who takes all ${kind} leaves descriptors to the others, on ${platform}`, async () => {
      const argv = [await tsvisorPath(), `--platform=${platform}`, "do", "--", await program];
      if (kind === "files") argv.push(`${directory}/files`);
      const { stdout, stderr } = await command(
        ["prlimit", `--nofile=${DESCRIPTORS_MAX}:${DESCRIPTORS_MAX}`, ...argv],
        { timeoutMillis: 120_000 },
      );
      const [taken, ...others] = stdout.trim().split("\n");
      const count = Number(taken.replace("taken ", ""));
      ok(count >= DESCRIPTORS_MAX / 3 && count < DESCRIPTORS_MAX, `${stdout}${stderr}`);
      deepEqual(others, [0, 1001, 1000].map((user) => `${user} opened 10, executed 0`), stderr);
    });
  }
}
