// The boot module's types against shared/features/boot.md, sections 1.6 to 1.9.

import { deepEqual, equal, throws } from "node:assert/strict";
import { METHODS } from "../control/urpc/methods/all.ts";
import { formatFDMapping, parseFDMapping } from "./fd_mapping.ts";
import * as methods from "./methods.ts";
import {
  checkCompatible,
  fileAccessOf,
  isSharedMount,
  MountPrefix,
  PodMountHints,
  shouldOverlay,
} from "./mount_hints.ts";
import { Bind, Nonefs, parseMountOptions } from "./mount_options.ts";
import { DefaultLoopbackLink, ipNet, IPWithPrefix, QueueingDiscipline, Route } from "./network.ts";
import {
  isBackedByHostFile,
  isEnabled,
  OverlayMedium,
  OverlayMediumFlags,
  parseOverlay2,
  selfOverlayFilestorePath,
  toOverlayMediumFlags,
} from "./overlay_medium.ts";
import { describeSignalMode, SIGNAL_MODE } from "./signal_mode.ts";

Deno.test("every constant is a method that the API has, and every method has a constant", () => {
  deepEqual(Object.values(methods).sort(), [...METHODS.keys()].sort());
});

Deno.test("signal modes and their text", () => {
  deepEqual(Object.values(SIGNAL_MODE).map(describeSignalMode), [
    "Process",
    "All",
    "Foreground Process Group",
    "Process Group",
  ]);
  equal(describeSignalMode(7), "unknown signal delivery mode: 7");
});

Deno.test("a descriptor mapping is HOST:GUEST", () => {
  deepEqual(parseFDMapping("7:3"), { host: 7, guest: 3 });
  equal(formatFDMapping({ host: 7, guest: 3 }), "7:3");
  for (const text of ["", "7", "7:", ":3", "a:b", "1:2:3", "-1:2", "01:2"]) {
    throws(() => parseFDMapping(text));
  }
});

Deno.test("mount options: four set something, five nothing, others are named", () => {
  deepEqual([Bind, Nonefs], ["bind", "none"]);
  deepEqual(parseMountOptions(["ro", "noexec", "rbind", "mode=755", "rw"]), {
    isReadOnly: true,
    hasNoAccessTime: false,
    hasNoExecute: true,
    hasNoSetuid: false,
    isInternal: true,
    unknown: ["mode=755"],
  });
  deepEqual(parseMountOptions(["noatime", "nosuid", "atime", "exec", "bind"]).unknown, []);
});

const hintsOf = (fields: Record<string, string>) =>
  new PodMountHints(
    Object.fromEntries(Object.entries(fields).map(([key, value]) => [MountPrefix + key, value])),
  );

Deno.test("mount hints are found by source", () => {
  const hints = hintsOf({
    "a.source": "/a",
    "a.type": "tmpfs",
    "a.share": "pod",
    "a.options": "ro,unknown,noexec",
    "b.source": "/b",
    "b.type": "bind",
    "b.share": "container",
    "b.lifecycle": "pod",
  });
  deepEqual(hints.findMount("/a"), {
    name: "a",
    source: "/a",
    type: "tmpfs",
    share: "pod",
    lifecycle: "shared",
    options: ["ro", "noexec"],
  });
  equal(hints.findMount("/c"), null);
  deepEqual(hints.warnings, []);
});

Deno.test("a hint that is wrong or lacks something is passed over with a warning, a wrong key is an error", () => {
  const hints = hintsOf({
    "a.source": "",
    "a.type": "ext4",
    "b.source": "/b",
    "c.share": "all",
    "d.lifecycle": "x",
    "e.f": "1",
  });
  equal(hints.mounts.size, 0);
  // Five values or fields, and five hints without source, type or share.
  equal(hints.warnings.length, 10);
  for (const key of ["a", ".source", "a.b.source", ""]) {
    throws(() => hintsOf({ [key]: "x" }), /invalid mount annotation/);
  }
  const same = { "a.source": "/a", "a.type": "bind", "a.share": "pod" };
  throws(
    () => hintsOf({ ...same, "b.source": "/a", "b.type": "bind", "b.share": "pod" }),
    /"a" and "b" have the same source "\/a"/,
  );
});

Deno.test("what a hint decides: overlay, sharing, file access", () => {
  const hint = { name: "a", source: "/a", options: [], lifecycle: "shared" } as const;
  const rows = [
    // type, share, lifecycle: overlay, shared, access
    ["bind", "container", "container", true, false, "exclusive"],
    ["bind", "container", "pod", true, false, "exclusive"],
    ["bind", "container", "shared", false, false, "exclusive"],
    ["bind", "pod", "pod", false, false, "shared"],
    ["bind", "shared", "container", false, false, "shared"],
    ["tmpfs", "container", "container", false, false, "exclusive"],
    ["tmpfs", "pod", "pod", false, true, "exclusive"],
    ["tmpfs", "shared", "pod", false, false, "shared"],
  ] as const;
  for (const [type, share, lifecycle, overlay, shared, access] of rows) {
    const one = { ...hint, type, share, lifecycle };
    deepEqual([shouldOverlay(one), isSharedMount(one), fileAccessOf(one)], [overlay, shared, access]);
  }
});

Deno.test("a container's mount may not be laxer than the pod's", () => {
  const hint = {
    name: "a",
    source: "/a",
    type: "tmpfs",
    share: "pod",
    lifecycle: "pod",
    options: ["ro", "noexec"],
  } as const;
  checkCompatible(hint, { options: ["ro", "noexec", "nosuid"] });
  throws(() => checkCompatible(hint, { options: ["ro"] }), /without noexec/);
  throws(() => checkCompatible(hint, {}), /without read-only/);
});

Deno.test("overlay media, and their flag", () => {
  deepEqual(Object.values(OverlayMedium), [0, 1, 2, 3]);
  deepEqual(Object.values(OverlayMedium).map(isEnabled), [false, true, true, true]);
  deepEqual(Object.values(OverlayMedium).map(isBackedByHostFile), [false, false, true, true]);
  const flags = new OverlayMediumFlags();
  flags.set("1,0");
  flags.set("3");
  deepEqual([flags.get(), flags.getArray(), String(flags)], [[1, 0, 3], [1, 0, 3], "1,0,3"]);
  for (const text of ["4", "-1", "x", "", "1,,2"]) {
    throws(() => flags.set(text), /invalid OverlayMedium value/);
  }
  equal(String(flags), "1,0,3");
  equal(toOverlayMediumFlags([2, 1]), "2,1");
  equal(selfOverlayFilestorePath("/src", "box"), "/src/.gvisor.overlay.img.box");
});

Deno.test("--overlay2", () => {
  equal(parseOverlay2("none").medium, OverlayMedium.NoOverlay);
  deepEqual(parseOverlay2("root:self"), {
    coversRoot: true,
    coversSubmounts: false,
    medium: OverlayMedium.SelfMedium,
    directory: "",
    sizeBytes: null,
  });
  deepEqual(parseOverlay2("all:dir=/x,size=2g"), {
    coversRoot: true,
    coversSubmounts: true,
    medium: OverlayMedium.AnonDirMedium,
    directory: "/x",
    sizeBytes: 2 ** 31,
  });
  const wrong = [
    "",
    "all",
    "some:memory",
    "root:disk",
    "root:dir=x",
    "root:memory,size=x",
    "root:memory,a,b",
  ];
  for (const text of wrong) throws(() => parseOverlay2(text));
});

Deno.test("networks: masks are base64, the loopback link has both families", () => {
  deepEqual(ipNet("10.0.0.0", 12), { IP: "10.0.0.0", Mask: "//AAAA==" });
  equal(ipNet("::1", 128).Mask, "/////////////////////w==");
  equal(String(new IPWithPrefix("10.0.0.1", 24)), "10.0.0.1/24");
  equal(new Route().empty(), true);
  equal(new Route(ipNet("0.0.0.0", 0)).empty(), false);
  equal(new Route(undefined, "10.0.0.1").empty(), false);
  deepEqual(Object.values(QueueingDiscipline), [0, 1, 2]);
  equal(
    JSON.stringify(DefaultLoopbackLink),
    '{"Name":"lo","Addresses":[{"Address":"127.0.0.1","PrefixLen":8},{"Address":"::1","PrefixLen":128}],' +
      '"Routes":[{"Destination":{"IP":"127.0.0.0","Mask":"/wAAAA=="},"Gateway":""},' +
      '{"Destination":{"IP":"::1","Mask":"/////////////////////w=="},"Gateway":""}],"GvisorGROTimeout":0}',
  );
  equal(
    "error" in
      METHODS.get(methods.NetworkCreateLinksAndRoutes)!.check({ LoopbackLinks: [DefaultLoopbackLink] }, 0),
    false,
  );
});
