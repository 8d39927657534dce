// The state directory: whose it is, what is believed of it, what is left of a write that fails; and who gets signals.

import { deepEqual, equal, match, ok } from "node:assert/strict";
import { startTicksOf } from "../../boot/oci/state.ts";
import { Bundle } from "../support/bundle.ts";
import { isAlive } from "../support/host_processes.ts";
import { command, type Finished, tsvisor } from "../support/tsvisor.ts";

const NOBODY = 65534;

/** A directory that goes with the test, and processes too. */
class Scene {
  readonly directory = Deno.makeTempDirSync({ prefix: "tsvisor-state-" });
  readonly #children: Deno.ChildProcess[] = [];

  /** A process that does nothing: its pid. */
  sleeper(): number {
    const child = new Deno.Command("sleep", { args: ["100"] }).spawn();
    this.#children.push(child);
    return child.pid;
  }

  /** A record of a container that runs as process `pid`; fields may be changed. */
  record(directory: string, id: string, pid: number, change: Record<string, unknown> = {}): string {
    const path = `${directory}/${id}.json`;
    const startTicks = startTicksOf(pid);
    const record = {
      id,
      pid,
      bundle: "/b",
      created: "2026-01-01T00:00:00Z",
      owner: "0",
      annotations: {},
      status: "running",
      startTicks,
      runner: { pid, startTicks, controlFd: 3 },
    };
    Deno.writeTextFileSync(path, JSON.stringify({ ...record, ...change }), { mode: 0o600 });
    return path;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      try {
        child.kill("SIGKILL");
      } catch {
        // The test has.
      }
      await child.status;
    }
    Deno.removeSync(this.directory, { recursive: true });
  }
}

function refused({ code, stdout, stderr }: Finished, words: RegExp): void {
  match(stderr, /^tsvisor: [^\n]+\n$/);
  match(stderr, words);
  deepEqual([code, stdout], [128, ""]);
}

Deno.test("state: root does not take its state from XDG_RUNTIME_DIR", async () => {
  await using scene = new Scene();
  const planted = `${scene.directory}/tsvisor`;
  Deno.mkdirSync(planted);
  const victim = scene.sleeper();
  scene.record(planted, "victim", victim);
  for (const path of [`${planted}/victim.json`, planted, scene.directory]) {
    Deno.chownSync(path, NOBODY, NOBODY);
  }
  const env = { XDG_RUNTIME_DIR: scene.directory };
  equal((await tsvisor(["delete", "--force", "victim"], { env })).code, 0);
  ok(isAlive(victim));
  ok(!(await tsvisor(["list", "-q"], { env })).stdout.includes("victim"));
});

Deno.test("state: a directory that others own, may write or lead elsewhere is refused", async () => {
  await using scene = new Scene();
  const victim = scene.sleeper();
  const directory = `${scene.directory}/state`;
  Deno.mkdirSync(directory);
  scene.record(directory, "victim", victim);
  const commands = [["list"], ["state", "victim"], ["kill", "victim", "KILL"], [
    "delete",
    "--force",
    "victim",
  ]];
  const all = async (root: string, words: RegExp) => {
    for (const args of commands) refused(await tsvisor(["--root", root, ...args]), words);
  };
  Deno.chownSync(directory, NOBODY, NOBODY);
  await all(directory, /Cannot use the state directory \S+: it belongs to user 65534; --root names another/);
  Deno.chownSync(directory, 0, 0);
  Deno.chmodSync(directory, 0o1777);
  await all(directory, /: others may write there \(mode 1777\)/);
  Deno.chmodSync(directory, 0o700);
  Deno.symlinkSync(directory, `${scene.directory}/link`);
  await all(`${scene.directory}/link`, /: it is a link or no directory/);
  await all(`${scene.directory}/link/`, /: it is a link or no directory/);
  ok(isAlive(victim));
});

Deno.test("state: the directory is made for the caller alone", async () => {
  using bundle = new Bundle();
  equal((await bundle.script("echo fine")).code, 0);
  equal(Deno.statSync(bundle.state).mode! & 0o7777, 0o700);
});

Deno.test("state: a record that is damaged, or not the caller's, does not hide the others", async () => {
  await using scene = new Scene();
  const { directory } = scene;
  const victim = scene.sleeper();
  scene.record(directory, "fine", victim);
  Deno.writeTextFileSync(`${directory}/cut.json`, '{"id":"cut","pid":1');
  Deno.writeTextFileSync(`${directory}/empty.json`, "");
  scene.record(directory, "fields", victim, { pid: "1; rm" });
  scene.record(directory, "other-name", victim, { id: "fine" });
  Deno.chownSync(scene.record(directory, "planted", victim), NOBODY, NOBODY);
  Deno.chmodSync(scene.record(directory, "open", victim), 0o666);
  Deno.symlinkSync("fine.json", `${directory}/link.json`);
  Deno.mkdirSync(`${directory}/directory.json`);
  await command(["mkfifo", `${directory}/fifo.json`]);
  Deno.writeTextFileSync(`${directory}/big.json`, " ".repeat(2 ** 20 + 1));
  const { code, stdout, stderr } = await tsvisor(["--root", directory, "list", "-q"], {
    timeoutMillis: 5000,
  });
  deepEqual([code, stdout], [0, "fine\n"]);
  const reasons = Object.fromEntries(
    stderr.trimEnd().split("\n").map((line) =>
      /^tsvisor: Cannot read \S+\/([\w-]+)\.json: (.+)$/.exec(line)!.slice(1)
    ),
  );
  deepEqual(reasons, {
    big: "1048577 bytes, at most 1048576",
    cut: "it is not JSON",
    directory: "it is no file",
    empty: "it is not JSON",
    fields: "it is no record of a container (pid)",
    fifo: "it is no file",
    link: "it is a link",
    open: "others may write it",
    "other-name": 'it is the record of "fine"',
    planted: "it belongs to user 65534",
  });
  refused(
    await tsvisor(["--root", directory, "kill", "planted", "KILL"]),
    /planted\.json: it belongs to user 65534/,
  );
  // By force it goes, and nothing is killed for it.
  for (const id of ["planted", "cut", "link"]) {
    equal((await tsvisor(["--root", directory, "delete", "--force", id])).code, 0);
  }
  const names = [...Deno.readDirSync(directory)].map(({ name }) => name);
  ok(!["planted.json", "cut.json", "link.json"].some((name) => names.includes(name)));
  ok(isAlive(victim));
});

Deno.test("state: a number that another process has by now is not signalled", async () => {
  await using scene = new Scene();
  const { directory } = scene;
  const victim = scene.sleeper();
  const before = { startTicks: "1", runner: { pid: victim, startTicks: "1", controlFd: 0 } };
  scene.record(directory, "old", victim, before);
  const root = ["--root", directory];
  equal(JSON.parse((await tsvisor([...root, "state", "old"])).stdout).status, "stopped");
  refused(await tsvisor([...root, "kill", "old", "KILL"]), /in state stopped/);
  refused(await tsvisor([...root, "kill", "old"]), /in state stopped/);
  // The sentry is the one that was noted, its runner is not.
  const ticks = startTicksOf(victim);
  scene.record(directory, "half", victim, { startTicks: ticks, runner: before.runner });
  refused(await tsvisor([...root, "kill", "half"]), /Cannot signal container "half": ESRCH/);
  equal((await tsvisor([...root, "delete", "--force", "old"])).code, 0);
  ok(isAlive(victim));
});

Deno.test("state: a full disk leaves no file behind", async () => {
  using bundle = new Bundle();
  Deno.mkdirSync(bundle.state, { mode: 0o700 });
  const mounted = await command(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", bundle.state]);
  equal(mounted.code, 0, mounted.stderr);
  try {
    await command(["dd", "if=/dev/zero", `of=${bundle.state}/fill`, "bs=4k"]);
    refused(await bundle.script("echo no"), /Cannot write \S+\/box\.json: ENOSPC/);
    deepEqual([...Deno.readDirSync(bundle.state)].map(({ name }) => name), ["fill"]);
    // Elsewhere for the record, here for the pid.
    bundle.write("sleep 100");
    const args = ["--root", `${bundle.directory}/other`, "run", "--pid-file", `${bundle.state}/pid`];
    refused(
      await tsvisor([...args, "--bundle", bundle.directory, "box"]),
      /Cannot write --pid-file \S+\/pid: ENOSPC/,
    );
    deepEqual([...Deno.readDirSync(bundle.state)].map(({ name }) => name), ["fill"]);
    deepEqual([...Deno.readDirSync(`${bundle.directory}/other`)], []);
  } finally {
    await command(["umount", bundle.state]);
  }
});

Deno.test("state: what a killed command has left half written goes with the next", async () => {
  using bundle = new Bundle();
  Deno.mkdirSync(bundle.state, { mode: 0o700 });
  Deno.writeTextFileSync(`${bundle.state}/.new-0123`, "{");
  equal((await bundle.script("echo fine")).code, 0);
  deepEqual([...Deno.readDirSync(bundle.state)], []);
});

Deno.test("state: a pid file is put in the place of a link, not through it", async () => {
  using bundle = new Bundle();
  Deno.writeTextFileSync(`${bundle.directory}/precious`, "old");
  Deno.symlinkSync("precious", `${bundle.directory}/pid`);
  bundle.write("exit 3");
  const args = ["run", "--pid-file", `${bundle.directory}/pid`, "--bundle", bundle.directory, "box"];
  equal((await bundle.tsvisor(args)).code, 3);
  equal(Deno.readTextFileSync(`${bundle.directory}/precious`), "old");
  match(Deno.readTextFileSync(`${bundle.directory}/pid`), /^\d+$/);
});

Deno.test("run: a root that is a link, or behind one, is refused as runc does", async () => {
  using bundle = new Bundle();
  Deno.symlinkSync("rootfs", `${bundle.directory}/link`);
  Deno.symlinkSync(".", `${bundle.directory}/here`);
  for (const path of ["link", "here/rootfs", `${bundle.directory}/link`, "link/../link"]) {
    refused(
      await bundle.script("echo no", ({ root }) => root.path = path),
      /root\.path: "\S+" is a symlink or behind one/,
    );
  }
  for (const path of ["./rootfs", "rootfs/", "rootfs/../rootfs", bundle.rootfs]) {
    equal((await bundle.script("exit 3", ({ root }) => root.path = path)).code, 3, path);
  }
});
