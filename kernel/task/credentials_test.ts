// What becomes of ids and capabilities: capabilities(7), setresuid(2), capset(2).

import { equal } from "node:assert/strict";
import { EPERM } from "../abi/errno.ts";
import {
  CAP_CHECKPOINT_RESTORE,
  CAP_CHOWN,
  CAP_KILL,
  CAP_SETUID,
  CAPABILITY_NAMES,
  SECBIT_KEEP_CAPS,
  SECBIT_NO_SETUID_FIXUP,
} from "../abi/task.ts";
import {
  changeCapabilities,
  changeFileUid,
  changeGids,
  changeRealUid,
  changeUid,
  changeUids,
  UNCHANGED,
} from "./credential_changes.ts";
import {
  ALL_CAPABILITIES,
  CapabilitySet,
  type Credentials,
  newCredentials,
  NO_CAPABILITIES,
} from "./credentials.ts";

const CAP_NET_RAW = CAPABILITY_NAMES.indexOf("CAP_NET_RAW");

const root = newCredentials(0, 0, [5, 3], ALL_CAPABILITIES);
const user = newCredentials(1000, 1000, [], NO_CAPABILITIES);

function ids(credentials: Credentials | number): string {
  if (typeof credentials === "number") return String(credentials);
  const { uid, euid, suid, fsuid } = credentials;
  return [uid, euid, suid, fsuid].join(" ");
}

Deno.test("capability sets know all 41 numbers", () => {
  equal(ALL_CAPABILITIES.has(CAP_CHOWN) && ALL_CAPABILITIES.has(CAP_CHECKPOINT_RESTORE), true);
  equal(ALL_CAPABILITIES.has(CAP_CHECKPOINT_RESTORE + 1), false);
  equal(ALL_CAPABILITIES.has(64), false);
  const some = CapabilitySet.of([CAP_KILL, CAP_CHECKPOINT_RESTORE]);
  equal(some.isSubsetOf(ALL_CAPABILITIES) && !ALL_CAPABILITIES.isSubsetOf(some), true);
  equal(ALL_CAPABILITIES.without(some).has(CAP_CHECKPOINT_RESTORE), false);
});

Deno.test("setuid sets all ids for root, the effective one for others", () => {
  equal(ids(changeUid(root, 7)), "7 7 7 7");
  equal(ids(changeUid(user, 7)), String(-EPERM));
  equal(ids(changeUid(user.with({ suid: 7 }), 7)), "1000 7 7 7");
});

Deno.test("setreuid takes the saved id along when the real one changes or the effective one differs from it", () => {
  equal(ids(changeRealUid(root, UNCHANGED, 7)), "0 7 7 7");
  equal(ids(changeRealUid(user.with({ euid: 7, suid: 7 }), 7, 1000)), "7 1000 1000 1000");
  equal(ids(changeRealUid(user, UNCHANGED, 7)), String(-EPERM));
});

Deno.test("root that becomes another for good loses its capabilities, unless it keeps them", () => {
  const plain = changeUids(root, 7, 7, 7) as Credentials;
  equal(plain.permitted.isEmpty && plain.effective.isEmpty, true);
  const kept = changeUids(root.with({ securebits: SECBIT_KEEP_CAPS }), 7, 7, 7) as Credentials;
  equal(kept.permitted.equals(ALL_CAPABILITIES) && kept.effective.isEmpty, true);
  const fixed = changeUids(root.with({ securebits: SECBIT_NO_SETUID_FIXUP }), 7, 7, 7) as Credentials;
  equal(fixed.effective.equals(ALL_CAPABILITIES), true);
});

Deno.test("root that goes away effectively gets its capabilities back", () => {
  const away = changeUids(root, UNCHANGED, 7, UNCHANGED) as Credentials;
  equal(away.effective.isEmpty && away.permitted.equals(ALL_CAPABILITIES), true);
  const back = changeUids(away, UNCHANGED, 0, UNCHANGED) as Credentials;
  equal(back.effective.equals(ALL_CAPABILITIES), true);
});

Deno.test("setfsuid takes only the file capabilities", () => {
  const away = changeFileUid(root, 7);
  equal(away.effective.has(CAP_CHOWN), false);
  equal(away.effective.has(CAP_SETUID), true);
  equal(changeFileUid(away, 0).effective.has(CAP_CHOWN), true);
  equal(changeFileUid(user, 7), user);
});

Deno.test("capset only takes away, and ambient follows", () => {
  const kill = CapabilitySet.of([CAP_KILL]);
  const less = changeCapabilities(root, kill, kill, kill) as Credentials;
  equal(less.effective.has(CAP_KILL) && !less.permitted.has(CAP_NET_RAW), true);
  equal(changeCapabilities(less, kill, ALL_CAPABILITIES, kill), -EPERM);
  equal(changeCapabilities(less, ALL_CAPABILITIES, kill, kill), -EPERM);
  const ambient = less.with({ ambient: kill });
  equal((changeCapabilities(ambient, kill, kill, NO_CAPABILITIES) as Credentials).ambient.isEmpty, true);
});

Deno.test("groups: membership by the file system group and the sorted list", () => {
  equal([3, 5, 0, 4].map((gid) => root.isInGroup(gid)).join(), "true,true,true,false");
  equal((changeGids(root, 1, 2, 3) as Credentials).fsgid, 2);
  equal(changeGids(user, 1, UNCHANGED, UNCHANGED), -EPERM);
});
