// What a guest takes behind our kernel's back (unseen.c) meets the limits of the host's cgroup, and the sandbox goes on.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { Bundle } from "../support/bundle.ts";
import { canHaveCgroups, cgroupOf, numberOf, pathsOf } from "../support/cgroups.ts";
import { command, delay, PLATFORMS, tsvisorPath } from "../support/tsvisor.ts";

const LIMIT_BYTES = 64 << 20;
const TASKS = 20;

/** Builds unseen.c into the bundle. */
async function withProgram(bundle: Bundle): Promise<void> {
  const path = `${bundle.rootfs}/bin/unseen`;
  const flags = ["-O1", "-Wall", "-Werror", "-static"];
  const built = await command(["gcc", ...flags, "-o", path, `${import.meta.dirname}/unseen.c`]);
  equal(built.code, 0, built.stderr);
}

/** Waits for the line that ends the script's output. */
async function outputOf(path: string): Promise<string> {
  for (let tries = 0; tries < 1200; tries++) {
    const text = Deno.readTextFileSync(path);
    if (text.includes("end\n")) return text;
    await delay(50);
  }
  throw new Error(`The script does not end: ${Deno.readTextFileSync(path)}`);
}

/** `tsvisor events` once it watches. */
async function eventsOf(bundle: Bundle) {
  const child = new Deno.Command(await tsvisorPath(), {
    args: ["--root", bundle.state, "events", "--interval", "600", "box"],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .getReader();
  const line = async (wanted: RegExp) => {
    for (;;) {
      const { value, done } = await lines.read();
      if (done) throw new Error(`events ends without ${wanted}`);
      if (wanted.test(value)) return;
    }
  };
  const end = async () => {
    child.kill("SIGKILL");
    await lines.cancel();
    await child.status;
  };
  await line(/^\{"type":"stats"/);
  return { line, end };
}

/** Lines of a text that comes in pieces. */
class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform: (piece, controller) => {
        const lines = (rest + piece).split("\n");
        rest = lines.pop()!;
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}

for (const platform of PLATFORMS) {
  Deno.test(`memory and processes that our kernel does not see meet the host's limits, on ${platform}`, async () => {
    using bundle = new Bundle();
    await withProgram(bundle);
    const output = `${bundle.rootfs}/output`;
    const script =
      "while [ ! -e /tmp/go ]; do sleep 0.1; done; (unseen memory 520; echo memory $?; unseen processes 1500; echo processes $?; echo end) >/output; sleep 1000";
    bundle.write(script, ({ linux }) => {
      linux.resources = { memory: { limit: LIMIT_BYTES, swap: LIMIT_BYTES }, pids: { limit: TASKS } };
    });
    Deno.writeTextFileSync(output, "");
    const flags = [`--platform=${platform}`, `--log=${bundle.directory}/log`];
    const started = await bundle.inBackground([
      ...flags,
      "run",
      "--detach",
      "--bundle",
      bundle.directory,
      "box",
    ]);
    equal(started.code, 0, started.stderr);
    try {
      if (!canHaveCgroups()) {
        match(Deno.readTextFileSync(`${bundle.directory}/log`), /No cgroup for the sandbox/);
        return;
      }
      const events = await eventsOf(bundle);
      equal((await bundle.tsvisor(["exec", "box", "/bin/touch", "/tmp/go"])).code, 0);
      const text = await outputOf(output);
      ok(!text.includes("has 520 MiB") && !text.includes("has 1500 processes"), text);
      const cgroup = cgroupOf(bundle.state, "box")!;
      equal(numberOf(cgroup, "memory", "memory.limit_in_bytes", "memory.max"), LIMIT_BYTES);
      ok(numberOf(cgroup, "memory", "memory.usage_in_bytes", "memory.current") <= LIMIT_BYTES);
      ok(numberOf(cgroup, "pids", "pids.current", "pids.current") <= TASKS + 128);
      // On ptrace our kernel sees all of it, and refuses it.
      if (platform === "systrap") await events.line(/^\{"type":"oom","id":"box"\}$/);
      await events.end();
      // The sandbox lives, and so does its first process.
      const alive = await bundle.tsvisor(["exec", "box", "/bin/echo", "alive"]);
      deepEqual([alive.code, alive.stdout], [0, "alive\n"]);
      const paths = pathsOf(cgroup);
      ok(paths.length > 0);
      equal((await bundle.tsvisor(["delete", "--force", "box"])).code, 0);
      deepEqual(pathsOf(cgroup), []);
    } finally {
      await bundle.tsvisor(["delete", "--force", "box"]);
    }
  });
}
