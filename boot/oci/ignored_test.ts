import { deepEqual, equal } from "node:assert/strict";
import { ignoredFields, ignoredLine } from "./ignored.ts";

Deno.test("fields that nobody reads are named as high up as nothing of them is read", () => {
  const document = {
    ociVersion: "1.2.0",
    hooks: { prestart: [{ path: "/bin/x" }], poststop: [] },
    mounts: [{ destination: "/a" }, { destination: "/b", idmap: { uid: 1 } }],
    linux: {
      resources: { cpu: { shares: 0 }, memory: { limit: 1, swap: 2 } },
      seccomp: { rules: [] },
      uids: null,
    },
    extra: "",
  };
  const read = {
    ociVersion: "1.2.0",
    mounts: [{ destination: "/a" }, { destination: "/b" }],
    linux: { resources: { memory: { limit: 1 } } },
  };
  deepEqual(ignoredFields(document, read), [
    "hooks",
    "mounts[1].idmap",
    "linux.resources.cpu",
    "linux.resources.memory.swap",
  ]);
  deepEqual(ignoredFields(read, read), []);
});

Deno.test("the line that tells of them is bounded", () => {
  equal(ignoredLine(["hooks", "vm"]), "Fields of config.json without effect: hooks, vm");
  const many = Array.from({ length: 20 }, (_, i) => `f${i}`);
  equal(ignoredLine(many).endsWith(", f10, f11 and 8 more"), true);
});
