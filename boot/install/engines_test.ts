import { deepEqual, equal, match, throws } from "node:assert/strict";
import { ENGINES, type Registration } from "./engines.ts";
import { parseToml, valueAt } from "./toml.ts";

const [docker, podman, containerd] = ENGINES;
const OURS: Registration = { name: "tsvisor", program: "/opt/tsvisor", flags: [], replaces: false };
const ELSEWHERE: Registration = { ...OURS, program: "/usr/local/bin/tsvisor" };

Deno.test("docker: an entry beside the others, indented as they are", () => {
  const before = '{\n  "debug": true,\n  "runtimes": {\n    "kata": { "path": "/k" }\n  }\n}\n';
  const after = docker.install(before, { ...OURS, flags: ["--debug"] });
  match(after, /^ {2}"debug": true,$/m);
  deepEqual(JSON.parse(after).runtimes, {
    kata: { path: "/k" },
    tsvisor: { path: "/opt/tsvisor", runtimeArgs: ["--debug"] },
  });
  deepEqual(JSON.parse(docker.uninstall(after, "tsvisor")), JSON.parse(before));
  equal(docker.uninstall(before, "tsvisor"), before);
  deepEqual(JSON.parse(docker.install("", OURS)), { runtimes: { tsvisor: { path: "/opt/tsvisor" } } });
});

Deno.test("docker: what cannot be read, or is another's, is refused", () => {
  throws(() => docker.install("{", OURS), /^Error: it is not JSON/);
  throws(() => docker.install("[]", OURS), /^Error: it is not an object of JSON/);
  throws(() => docker.install('{"runtimes": 5}', OURS), /^Error: runtimes is not an object/);
  const installed = docker.install("", ELSEWHERE);
  throws(
    () => docker.install(installed, OURS),
    /runtimes\.tsvisor is there with other values; --clobber replaces it/,
  );
  deepEqual(JSON.parse(docker.install(installed, { ...OURS, replaces: true })).runtimes.tsvisor, {
    path: "/opt/tsvisor",
  });
  equal(docker.install(installed, ELSEWHERE), installed);
});

const CONTAINERS_CONF = `# A comment of somebody's.
[containers]
pids_limit = 2048 # another

[engine]
cgroup_manager = "cgroupfs"
`;

Deno.test("podman: every line of somebody else's stays as it is", () => {
  const after = podman.install(CONTAINERS_CONF, OURS);
  equal(after.startsWith(CONTAINERS_CONF), true);
  deepEqual(valueAt(parseToml(after), ["engine", "runtimes", "tsvisor"]), ["/opt/tsvisor"]);
  equal(podman.install(after, OURS), after);
  equal(podman.uninstall(after, "tsvisor"), CONTAINERS_CONF);
});

Deno.test("podman: a table of runtimes that is there gets a line more", () => {
  const before =
    `${CONTAINERS_CONF}\n[ engine . runtimes ] # theirs\ncrun = ["/usr/bin/crun"]\n\n[network]\nx = 1\n`;
  const after = podman.install(before, OURS);
  deepEqual(Object.keys(valueAt(parseToml(after), ["engine", "runtimes"]) as object).sort(), [
    "crun",
    "tsvisor",
  ]);
  equal(podman.uninstall(after, "tsvisor"), before);
});

Deno.test("podman: what others have put below our table stays in it", () => {
  const mixed = `${podman.install(CONTAINERS_CONF, OURS)}crun = ["/usr/bin/crun"]\n`;
  const after = podman.uninstall(mixed, "tsvisor");
  deepEqual(valueAt(parseToml(after), ["engine", "runtimes"]), { crun: ["/usr/bin/crun"] });
});

Deno.test("podman: a file that our lines do not fit into is left alone", () => {
  throws(() => podman.install("[engine\n", OURS), /^Error: it is not TOML: line \d+/);
  const inline = '[engine]\nruntimes = { crun = ["/usr/bin/crun"] }\n';
  throws(() => podman.install(inline, OURS), /written in a way that our lines do not fit into/);
  const theirs = '[engine.runtimes]\ntsvisor = ["/other"]\n';
  throws(() => podman.install(theirs, OURS), /tsvisor is there with other values; --clobber replaces it/);
  throws(() => podman.uninstall(theirs, "tsvisor"), /is not only ours any more/);
});

Deno.test("containerd: a handler in files of version 2 and 3, and in one that was not there", () => {
  const handler = (text: string, plugin: string) =>
    valueAt(parseToml(text), ["plugins", plugin, "containerd", "runtimes", "tsvisor"]);
  const expected = { runtime_type: "io.containerd.runc.v2", options: { BinaryName: "/opt/tsvisor" } };
  const second = containerd.install("", OURS);
  deepEqual(handler(second, "io.containerd.grpc.v1.cri"), expected);
  equal(second.startsWith("version = 2\n"), true);
  equal(containerd.isSame(containerd.uninstall(second, "tsvisor"), ""), true);
  const before = `version = 3 # theirs\n[plugins.'io.containerd.cri.v1.images']\nsnapshotter = "overlayfs"`;
  const third = containerd.install(before, OURS);
  deepEqual(handler(third, "io.containerd.cri.v1.runtime"), expected);
  equal(containerd.uninstall(third, "tsvisor").trimEnd(), before);
  throws(() => containerd.install("[plugins]\n", OURS), /version 1 of the file is of an old containerd/);
});
