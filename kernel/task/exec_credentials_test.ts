import { EINVAL, ENODATA, EPERM } from "../abi/errno.ts";
import { MS_NOSUID } from "../abi/file.ts";
import { put32 } from "../abi/struct.ts";
import { CAP_SYS_ADMIN, CAPABILITY_NAMES, SECBIT_NOROOT } from "../abi/task.ts";
import type { Program } from "../loader/program.ts";
import { ok as assert } from "node:assert/strict";
import {
  ALL_CAPABILITIES,
  CapabilitySet,
  type Credentials,
  newCredentials,
  NO_CAPABILITIES,
} from "./credentials.ts";
import { credentialsAfterExec, parseCapabilities } from "./exec_credentials.ts";
import type { Task } from "./task.ts";

const CAP_NET_RAW = CAPABILITY_NAMES.indexOf("CAP_NET_RAW");

const RAW = CapabilitySet.of([CAP_NET_RAW]);
const USER = newCredentials(1000, 1000, [], NO_CAPABILITIES).with({ bounding: ALL_CAPABILITIES });
const ROOT = newCredentials(0, 0, [], ALL_CAPABILITIES);

interface FileOptions {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mountFlags?: number;
  readonly xattr?: Uint8Array;
  readonly sharedFs?: boolean;
}

function run(credentials: Credentials, options: FileOptions) {
  const fs = { references: options.sharedFs ? 2 : 1 };
  const task = { credentials, fs } as unknown as Task;
  task.threadGroup = { tasks: [task] } as unknown as Task["threadGroup"];
  const inode = {
    mode: options.mode ?? 0o100755,
    uid: options.uid ?? 0,
    gid: options.gid ?? 0,
    getXattr: () => options.xattr ?? -ENODATA,
    fs: { vfs: { indivisibly: <T>(action: () => T) => action() } },
  };
  const path = { mount: { flags: options.mountFlags ?? 0 } };
  return credentialsAfterExec(task, { file: { inode }, path } as unknown as Program);
}

function after(credentials: Credentials, options: FileOptions) {
  const result = run(credentials, options);
  assert(typeof result !== "number", `execve answers ${String(result)}`);
  return result;
}

/** security.capability, version 2. */
function capability(permitted: CapabilitySet, isEffective: boolean): Uint8Array {
  const bytes = new Uint8Array(20);
  put32(bytes, 0, 0x0200_0000 | (isEffective ? 1 : 0));
  put32(bytes, 4, permitted.low);
  put32(bytes, 12, permitted.high);
  return bytes;
}

Deno.test("an ordinary program changes nothing but the saved ids", () => {
  const { credentials, isSecure } = after(USER, {});
  assert(credentials.euid === 1000 && credentials.permitted.isEmpty && !isSecure, "as before");
});

Deno.test("a set-user-id root program gets the bounding set and AT_SECURE", () => {
  const { credentials, isSecure } = after(USER, { mode: 0o104755 });
  assert(credentials.uid === 1000 && credentials.euid === 0 && credentials.suid === 0, "ids");
  assert(credentials.effective.equals(ALL_CAPABILITIES) && isSecure, "capabilities");
});

Deno.test("nosuid, no_new_privs and a shared root directory keep set-user-id from working", () => {
  const options = { mode: 0o104755 };
  assert(after(USER, { ...options, mountFlags: MS_NOSUID }).credentials.euid === 1000, "nosuid");
  assert(after(USER.with({ noNewPrivs: true }), options).credentials.euid === 1000, "no_new_privs");
  const shared = after(USER, { ...options, sharedFs: true }).credentials;
  assert(shared.euid === 1000 && shared.permitted.isEmpty, "CLONE_FS with a stranger");
});

Deno.test("set-group-id counts only where the group may execute", () => {
  assert(after(USER, { mode: 0o102755, gid: 7 }).credentials.egid === 7, "with x");
  assert(after(USER, { mode: 0o102745, gid: 7 }).credentials.egid === 1000, "mandatory locking's old mark");
});

Deno.test("root keeps its bounding set, and no_new_privs gives it nothing back", () => {
  assert(after(ROOT, {}).credentials.effective.equals(ALL_CAPABILITIES), "root");
  const reduced = ROOT.with({ permitted: RAW, effective: RAW });
  assert(after(reduced, {}).credentials.permitted.equals(ALL_CAPABILITIES), "execve restores");
  const kept = after(reduced.with({ noNewPrivs: true }), {}).credentials;
  assert(kept.permitted.equals(RAW) && kept.effective.equals(RAW), "but not with no_new_privs");
  const noRoot = after(ROOT.with({ securebits: SECBIT_NOROOT }), {}).credentials;
  assert(noRoot.permitted.isEmpty, "nor with SECBIT_NOROOT");
});

Deno.test("the ambient set survives an ordinary program and not a privileged one", () => {
  const ambient = USER.with({ permitted: RAW, inheritable: RAW, ambient: RAW });
  const plain = after(ambient, {});
  assert(plain.credentials.effective.equals(RAW) && plain.credentials.ambient.equals(RAW), "kept");
  assert(!plain.isSecure, "and no secret");
  assert(after(ambient, { mode: 0o104755, uid: 5 }).credentials.ambient.isEmpty, "set-user-id");
  assert(
    after(ambient, { xattr: capability(NO_CAPABILITIES, false) }).credentials.ambient.isEmpty,
    "file caps",
  );
});

Deno.test("file capabilities are given within the bounding set, or execve is refused", () => {
  const { credentials, isSecure } = after(USER, { xattr: capability(RAW, true) });
  assert(credentials.effective.equals(RAW) && credentials.euid === 1000 && isSecure, "given");
  const bounded = USER.with({ bounding: CapabilitySet.of([CAP_SYS_ADMIN]) });
  assert(run(bounded, { xattr: capability(RAW, true) }) === -EPERM, "a program that cannot do without");
  assert(after(bounded, { xattr: capability(RAW, false) }).credentials.permitted.isEmpty, "one that can ask");
});

Deno.test("parseCapabilities() refuses what is no vfs_cap_data", () => {
  assert(parseCapabilities(new Uint8Array(20)) === -EINVAL, "no version");
  assert(parseCapabilities(capability(RAW, true).subarray(0, 12)) === -EINVAL, "cut short");
  const other = new Uint8Array(24);
  put32(other, 0, 0x0300_0000);
  put32(other, 20, 1000);
  assert(parseCapabilities(other) === -ENODATA, "another user namespace");
});
