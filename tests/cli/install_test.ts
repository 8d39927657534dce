// tsvisor install and uninstall on files below a directory of the test's.

import { deepEqual, equal, match } from "node:assert/strict";
import { type Finished, tsvisor } from "../support/tsvisor.ts";

class Host implements Disposable {
  readonly root = Deno.makeTempDirSync({ prefix: "tsvisor-install-" });

  [Symbol.dispose](): void {
    Deno.removeSync(this.root, { recursive: true });
  }

  write(path: string, text: string): void {
    Deno.mkdirSync(`${this.root}${path.slice(0, path.lastIndexOf("/"))}`, { recursive: true });
    Deno.writeTextFileSync(`${this.root}${path}`, text, { mode: 0o640 });
  }

  read(path: string): string {
    return Deno.readTextFileSync(`${this.root}${path}`);
  }

  files(): string[] {
    const list = (path: string): string[] =>
      [...Deno.readDirSync(this.root + path)].flatMap(({ name, isDirectory }) =>
        isDirectory ? list(`${path}/${name}`) : [`${path}/${name}`]
      );
    return list("").sort();
  }

  async call(command: string, ...args: string[]): Promise<Finished> {
    return await tsvisor([command, "--root", this.root, ...args]);
  }
}

const DAEMON = "/etc/docker/daemon.json",
  CONF = "/etc/containers/containers.conf",
  TOML = "/etc/containerd/config.toml";
const BEFORE: Readonly<Record<string, string>> = {
  [DAEMON]: '{ "debug": true }',
  [CONF]: '[engine]\n  cgroup_manager = "cgroupfs"   # theirs\n',
  [TOML]: "version = 2\n",
};

Deno.test("install: what is there is told, keeps what it says, and is as before after uninstall", async () => {
  using host = new Host();
  for (const [path, text] of Object.entries(BEFORE)) host.write(path, text);
  const first = await host.call("install");
  equal(first.code, 0, first.stderr);
  deepEqual(first.stdout.trim().split("\n").map((line) => line.split(":")[0]), [
    "docker",
    "podman",
    "containerd",
  ]);
  for (const path of Object.keys(BEFORE)) {
    match(host.read(path), /tsvisor/);
    equal(host.read(`${path}~`), BEFORE[path]);
    equal(Deno.statSync(host.root + path).mode! & 0o777, 0o640);
  }
  match(host.read(DAEMON), /"debug": true/);
  const texts = Object.keys(BEFORE).map((path) => host.read(path));
  const again = await host.call("install");
  match(again.stdout, /has tsvisor already\n.*has tsvisor already\n.*has tsvisor already\n$/);
  deepEqual(Object.keys(BEFORE).map((path) => host.read(path)), texts);
  equal((await host.call("uninstall")).code, 0);
  deepEqual(host.files(), Object.keys(BEFORE).sort());
  for (const [path, text] of Object.entries(BEFORE)) equal(host.read(path), text);
});

Deno.test("install: files that were not there go again", async () => {
  using host = new Host();
  const none = await host.call("install");
  deepEqual([none.code, none.stderr], [
    128,
    "tsvisor: There is no engine: --engine names one to be installed later\n",
  ]);
  const engines = ["docker", "podman", "containerd"].flatMap((name) => ["--engine", name]);
  equal((await host.call("install", ...engines)).code, 0);
  deepEqual(host.files(), Object.keys(BEFORE).sort());
  equal((await host.call("uninstall", ...engines)).code, 0);
  deepEqual(host.files(), []);
});

Deno.test("install: an unreadable file stays as it is, byte for byte", async () => {
  using host = new Host();
  host.write(DAEMON, '{ "debug": ');
  const { code, stderr } = await host.call("install", "--engine", "docker");
  equal(code, 128);
  match(stderr, /^tsvisor: Cannot change \/\S+\/daemon\.json: it is not JSON: .+\n$/);
  deepEqual([host.read(DAEMON), host.files()], ['{ "debug": ', [DAEMON]]);
});

Deno.test("install: flags for each command, another name, and an entry that is not replaced unasked", async () => {
  using host = new Host();
  const words = ["--engine", "docker", "--runtime", "mine", "--", "--debug-log", "/var/log/x"];
  equal((await host.call("install", ...words)).code, 0);
  const { path, runtimeArgs } = JSON.parse(host.read(DAEMON)).runtimes.mine;
  match(path, /\/tsvisor$/);
  deepEqual(runtimeArgs, ["--debug-log", "/var/log/x"]);
  const other = await host.call("install", "--engine", "docker", "--runtime", "mine");
  equal(other.code, 128);
  match(other.stderr, /runtimes\.mine is there with other values; --clobber replaces it\n$/);
  equal((await host.call("install", "--engine", "docker", "--runtime", "mine", "--clobber")).code, 0);
  equal(JSON.parse(host.read(DAEMON)).runtimes.mine.runtimeArgs, undefined);
  const unknown = await host.call("install", "--engine", "lxc");
  match(unknown.stderr, /--engine: "lxc" is not one of docker, podman, containerd\n$/);
});
