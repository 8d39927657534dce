import { equal } from "node:assert/strict";
import { AT_FDCWD, O_CREAT, O_RDWR } from "../abi/file.ts";
import { VfsTask } from "../../tests/support/vfs_task.ts";
import { hashOf } from "./child_table.ts";
import { makeDirectory } from "./create.ts";
import type { Dentry } from "./dentry.ts";
import { DENTRIES_UNUSED_MAX } from "./dentry_cache.ts";
import { openByName } from "./open.ts";
import { type Path, pathName } from "./path.ts";
import { resolve } from "./path_walk.ts";
import { removeDirectory, renamePath } from "./remove.ts";

Deno.test("names with equal hashes are kept apart", () => {
  equal(hashOf("Aa", 0, 2), hashOf("BB", 0, 2));
  const t = new VfsTask();
  for (const name of ["/Aa", "/BB", "/AaAa", "/BBBB", "/AaBB"]) makeDirectory(t.task, AT_FDCWD, name, 0o755);
  const at = (name: string) => resolve(t.task, AT_FDCWD, name, 0);
  for (const name of ["/Aa", "/BB", "/AaAa", "/BBBB", "/AaBB"]) {
    equal(pathName(at(name) as Path, t.fs.root), name);
  }
  equal(removeDirectory(t.task, AT_FDCWD, "/AaAa"), 0);
  equal(at("/AaAa"), -2);
  equal(pathName(at("/AaBB") as Path, t.fs.root), "/AaBB");
  equal(renamePath(t.task, AT_FDCWD, "/Aa", AT_FDCWD, "/BB", 0), 0);
  equal(at("/Aa"), -2);
  equal(pathName(at("/BB") as Path, t.fs.root), "/BB");
});

Deno.test("unused dentries are bounded, used ones and their parents stay", () => {
  const t = new VfsTask();
  makeDirectory(t.task, AT_FDCWD, "/d", 0o755);
  const file = openByName(t.task, AT_FDCWD, "/d/open", O_CREAT | O_RDWR, 0o644);
  if (typeof file === "number") throw new Error(`Cannot open: ${file}`);
  const { dentry } = file.path!;
  const root = t.fs.root.dentry;
  for (let i = 0; i < 2 * DENTRIES_UNUSED_MAX; i++) root.lookup(`none${i}`);
  equal(root.child("none0"), null);
  equal(root.child("d")?.child("open"), dentry);
  equal(dentry.inode, file.inode);
  for (let i = 0; i < 10; i++) t.task.kernel.vfs.dentries.shrink();
  equal(root.child("none20000"), null);
  equal((root.lookup("d") as Dentry).lookup("open"), dentry);
});

Deno.test("with little room for them, what a call looks up stays for as long as it needs it", () => {
  const t = new VfsTask();
  const { dentries } = t.task.kernel.vfs;
  const names = Array.from({ length: 200 }, (_, i) => `/d${i}`);
  for (const name of names) makeDirectory(t.task, AT_FDCWD, name, 0o755);
  for (let i = 0; i < 4; i++) dentries.shrink();
  dentries.unusedMax = 8;
  const root = t.fs.root.dentry;
  for (const name of names) {
    const first = root.lookup(name.slice(1)) as Dentry;
    // The second path of the same call, or a script's interpreter.
    for (let i = 0; i < 10; i++) root.lookup(`missing${name}${i}`);
    equal(first.isNegative, false, name);
  }
  const left = names.filter((name) => root.child(name.slice(1)) !== null).length;
  equal(left < 100, true, `${left} are left`);
});
