// Guest programs that try to get out (attack.c): whatever they do, the host sees none of their calls, they harm only
// themselves, and nothing of them is left when the sandbox has ended.

import { deepEqual, doesNotMatch, equal, ok } from "node:assert/strict";
import { childrenOf, gone, sandboxOf } from "../support/host_processes.ts";
import { COMMAND_BYTES, SLOT_COMMANDS, SLOT_SIGNAL } from "../../platform/slot.ts";
import { Bundle } from "../support/bundle.ts";
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

async function compile(flags: readonly string[] = [], path = `${directory}/attack`): Promise<string> {
  const places = { COMMANDS: SLOT_COMMANDS, COMMAND_BYTES, SIGNAL: SLOT_SIGNAL };
  const defined = Object.entries(places).map(([name, value]) => `-D${name}=${value}`);
  const own = [...defined, "-O1", "-w", "-mfsgsbase", "-pthread", "-o", path, `${HERE}attack.c`];
  const done = await command(["gcc", ...flags, ...own]);
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
    const log = `${directory}/log`;
    const argv = [`--platform=${platform}`, `--debug-log=${log}`, "do", "--", await program];
    const { code, stdout, stderr } = await tsvisor(argv, { timeoutMillis: 120_000 });
    judge(stdout);
    // No handler of ours has thrown.
    doesNotMatch(Deno.readTextFileSync(log), /^(Task|Failed)|^ +at /m);
    equal(stderr, "");
    equal(code, 0);
  });
}

for (const platform of PLATFORMS) {
  Deno.test(`attacks: who may read a file that others write does not come to write it, on ${platform}`, async () => {
    using bundle = new Bundle();
    await compile(["-static"], `${bundle.rootfs}/bin/attack`);
    const file = `${bundle.directory}/shared/file`;
    Deno.mkdirSync(`${bundle.directory}/shared`);
    Deno.writeTextFileSync(file, "x".repeat(4096), { mode: 0o644 });
    bundle.write("", (config) => {
      config.process.args = ["/bin/attack", "read_only", "/mnt/file", "/dev/shm/file"];
      for (const set of ["bounding", "effective", "permitted"]) {
        config.process.capabilities[set].push("CAP_SETUID", "CAP_SETGID");
      }
      const options = ["rbind", "rw"];
      config.mounts.push({
        destination: "/mnt",
        type: "bind",
        source: `${bundle.directory}/shared`,
        options,
      });
    });
    const { code, stdout, stderr } = await bundle.run([`--platform=${platform}`]);
    judge(stdout);
    equal(stderr, "");
    equal(code, 0);
    equal(Deno.readTextFileSync(file).slice(0, 5), "owner");
  });
}

Deno.test("attacks: garbage in the slot, seeded", async () => {
  const { stdout } = await tsvisor(["do", "--", await program, "slot", "1", String(SLOT_SEEDS)]);
  judge(stdout);
});

/** Stubs of a shell and what it runs: the first one, from which they are forked, theirs, and one that may be ending. */
const STUBS_MAX = 4;

Deno.test("attacks: a guest makes no host process behind the kernel's back, and all end with the sandbox", async () => {
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
  const stubs = processes.filter((process) => process.role === "stub").length;
  ok(stubs <= STUBS_MAX, `${stubs} stubs`);
  const sentry = processes.find((process) => process.role === "sentry")!;
  const all = [...processes.map((process) => process.pid), ...childrenOf(sentry.pid)];
  child.kill("SIGKILL");
  await reader.cancel();
  await child.status;
  deepEqual(await gone(all, 5000), []);
});
