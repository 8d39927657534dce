// Guest programs that try to get out (attack.c): whatever they do, the host sees none of their calls, they harm only
// themselves, and nothing of them is left when the sandbox has ended.

import { deepEqual, equal, ok } from "node:assert/strict";
import { childrenOf, gone, sandboxOf } from "../support/host_processes.ts";
import { command, PLATFORMS, tsvisor, tsvisorPath } from "../support/tsvisor.ts";

const HERE = `${import.meta.dirname}/`;
const directory = Deno.makeTempDirSync({ prefix: "tsvisor-attack-" });
globalThis.addEventListener("unload", () => Deno.removeSync(directory, { recursive: true }));

/** Results that are not 1. Calls that the stub may not make are the guest's own: user 0, no such program. */
const EXPECTED: Readonly<Record<string, readonly string[]>> = {
  "geteuid": ["0", "-38"],
  "execve": ["-2"],
  "signal": ["4", "11", "31"],
};
const SLOT_SEEDS = 12;

async function compile(): Promise<string> {
  const path = `${directory}/attack`;
  const done = await command(["gcc", "-O1", "-w", "-mfsgsbase", "-pthread", "-o", path, `${HERE}attack.c`]);
  if (done.code !== 0) throw new Error(`gcc: ${done.stderr}`);
  return path;
}

/** Fails where a check has another result than it must. */
function judge(stdout: string): void {
  const wrong: string[] = [];
  let attack = "";
  for (const line of stdout.split("\n")) {
    const match = /^ {2}(.*): (.*)$/.exec(line);
    if (match === null) {
      if (line !== "") attack = line.trim();
      continue;
    }
    const [, name, result] = match;
    const allowed = name === "ended" ? ["yes"] : EXPECTED[name] ?? ["1"];
    if (!allowed.includes(result)) wrong.push(`${attack}: ${name}: ${result}`);
  }
  deepEqual(wrong, []);
  ok(!stdout.includes("ESCAPED"), stdout);
  ok(stdout.endsWith("done\n"), `It did not come to its end: ${stdout.slice(-300)}`);
}

const program = compile();

for (const platform of PLATFORMS) {
  Deno.test(`attacks harm only the attacker on ${platform}`, async () => {
    const { code, stdout, stderr } = await tsvisor([`--platform=${platform}`, "do", "--", await program], {
      timeoutMillis: 120_000,
    });
    judge(stdout);
    equal(stderr, "");
    equal(code, 0);
  });
}

Deno.test("attacks: garbage in the slot, seeded", async () => {
  const { stdout } = await tsvisor(["do", "--", await program, "slot", "1", String(SLOT_SEEDS)]);
  judge(stdout);
});

Deno.test("attacks: host processes that a guest has made behind the kernel's back end with the sandbox", async () => {
  const script = `${await program} rogue_processes; echo; sleep 60`;
  const child = new Deno.Command(await tsvisorPath(), {
    args: ["do", "--", "sh", "-c", script],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  for (let text = ""; !text.includes("done");) {
    const { value, done } = await reader.read();
    if (done) throw new Error(`It ended: ${text}`);
    text += value;
  }
  const processes = await sandboxOf(child.pid);
  const sentry = processes.find((process) => process.role === "sentry")!;
  const all = [...processes.map((process) => process.pid), ...childrenOf(sentry.pid)];
  child.kill("SIGKILL");
  await reader.cancel();
  await child.status;
  deepEqual(await gone(all, 5000), []);
});
