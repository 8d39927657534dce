import { deepStrictEqual as same, strictEqual as equal, throws } from "node:assert/strict";
import { joinedNamespaces, PodHints, sandboxOf, sharingOf } from "./pod.ts";
import type { OciConfig } from "./spec.ts";
import type { ContainerState } from "./state.ts";

Deno.test("a container's annotations say which sandbox it is in, in containerd's words and in CRI-O's", () => {
  equal(sandboxOf({}), null);
  equal(
    sandboxOf({ "io.kubernetes.cri.container-type": "sandbox", "io.kubernetes.cri.sandbox-id": "p" }),
    null,
  );
  equal(
    sandboxOf({ "io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.sandbox-id": "p" }),
    "p",
  );
  equal(
    sandboxOf({ "io.kubernetes.cri-o.ContainerType": "container", "io.kubernetes.cri-o.SandboxID": "q" }),
    "q",
  );
  const byPodman = {
    "io.container.manager": "libpod",
    "io.kubernetes.cri-o.ContainerType": "container",
    "io.kubernetes.cri-o.SandboxID": "pod",
  };
  equal(sandboxOf(byPodman), null);
  throws(
    () => sandboxOf({ "io.kubernetes.cri.container-type": "container" }),
    /annotations: io.kubernetes.cri.container-type is "container", io.kubernetes.cri.sandbox-id is missing/,
  );
});

function configOf(namespaces: readonly { type: string; path?: string }[]): OciConfig {
  return { linux: { namespaces } } as unknown as OciConfig;
}

function stateOf(id: string, pid: number, sandboxId?: string): ContainerState {
  return { id, pid, runner: { pid: pid + 1, startTicks: "", controlFd: -1 }, sandboxId } as ContainerState;
}

Deno.test("namespaces are the sandbox's, a container's own, or those of another container of the pod", () => {
  const members = [stateOf("pod", 10), stateOf("side", 20, "pod"), stateOf("stranger", 30, "other")];
  const sharing = (...namespaces: { type: string; path?: string }[]) =>
    sharingOf(configOf(namespaces), "pod", members);
  same(sharing(), { pid: "pod", ipc: "pod", uts: "pod" });
  same(sharing({ type: "pid" }, { type: "ipc", path: "/proc/11/ns/ipc" }), {
    pid: "",
    ipc: "pod",
    uts: "pod",
  });
  same(sharing({ type: "pid", path: "/proc/21/ns/pid" }), { pid: "side", ipc: "pod", uts: "pod" });
  same(sharing({ type: "pid", path: "/proc/31/ns/pid" }).pid, "pod", "another pod's is none to join");
  same(
    joinedNamespaces(
      configOf([{ type: "network", path: "/run/netns/x" }, { type: "ipc", path: "/run/ipc/x" }]),
    ),
    [
      "linux.namespaces[1].path",
    ],
  );
});

Deno.test("mount hints of a pod decide how its containers' volumes are served", () => {
  const hint = (name: string, fields: Record<string, string>) =>
    Object.fromEntries(
      Object.entries(fields).map(([field, value]) => [`dev.gvisor.spec.mount.${name}.${field}`, value]),
    );
  const hints = new PodHints({
    ...hint("shm", { source: "/v/shm", type: "tmpfs", share: "pod", options: "ro" }),
    ...hint("own", { source: "/v/own", type: "bind", share: "container", lifecycle: "container" }),
    ...hint("all", { source: "/v/all", type: "bind", share: "shared" }),
    ...hint("bad", { source: "/v/bad", type: "bind", share: "everybody" }),
  });
  same(hints.of({ source: "/v/shm", options: ["ro"] }), {
    sharedAs: "shm",
    isExclusive: true,
    hasOverlay: false,
  });
  throws(() => hints.of({ source: "/v/shm", options: ["rw"] }), /without read-only: its master is read-only/);
  same(hints.of({ source: "/v/own" }), { sharedAs: null, isExclusive: true, hasOverlay: true });
  same(hints.of({ source: "/v/all" }), { sharedAs: null, isExclusive: false, hasOverlay: false });
  equal(hints.of({ source: "/v/bad" }), null);
  equal(hints.of({}), null);
  equal(hints.warnings.length, 2);
});
