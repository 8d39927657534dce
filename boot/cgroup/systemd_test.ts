import { deepEqual, equal, throws } from "node:assert/strict";
import { guestScore } from "./oom_score.ts";
import { scopeOf, startArguments } from "./systemd.ts";

Deno.test("a scope by slice:prefix:name", () => {
  deepEqual(scopeOf("system.slice:docker:abc", "id", true), {
    unit: "docker-abc.scope",
    slice: "system.slice",
    path: "/system.slice/docker-abc.scope",
  });
  equal(scopeOf("a-b-c.slice:cri:x", "id", true).path, "/a.slice/a-b.slice/a-b-c.slice/cri-x.scope");
  equal(scopeOf("-.slice::x", "id", true).path, "/x.scope");
  equal(scopeOf("", "box", true).path, "/system.slice/tsvisor-box.scope");
  equal(scopeOf("", "box", false).path, "/user.slice/tsvisor-box.scope");
  throws(() => scopeOf("/a/b", "id", true), /"\/a\/b" is not slice:prefix:name/);
  throws(() => scopeOf("../x.slice:a:b", "id", true), /is not the name of a slice/);
  throws(() => scopeOf("system.slice:a:b/../../c", "id", true), /is not the name of a unit/);
});

Deno.test("what busctl is asked: signature and count of each value", () => {
  const scope = scopeOf("system.slice:docker:abc", "id", true);
  const resources = { memory: { limit: 1 << 20 }, pids: { limit: 10 }, cpu: { quota: 50_000 } };
  const words = startArguments(scope, [7, 8], resources, 2);
  deepEqual(words.slice(4, 9), ["StartTransientUnit", "ssa(sv)a(sa(sv))", "docker-abc.scope", "fail", "11"]);
  const text = words.join(" ");
  for (
    const part of [
      "PIDs au 2 7 8",
      "Delegate b true",
      "MemoryMax t 1048576",
      "TasksMax t 138",
      "CPUQuotaPerSecUSec t 500000",
    ]
  ) {
    equal(text.includes(part), true, part);
  }
  equal(words.at(-1), "0");
});

Deno.test("guests come before the sentry where memory is scarce", () => {
  equal(guestScore(0, 0), 0);
  equal(guestScore(100, 64 << 20), 1000);
  equal(guestScore(-500, 2 ** 30), -250);
});
