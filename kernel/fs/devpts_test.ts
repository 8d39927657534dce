// devpts: options, names that come and go, limits.

import { deepEqual, equal, ok } from "node:assert/strict";
import { EINVAL, ENOENT, ENOSPC } from "../abi/errno.ts";
import { O_RDWR } from "../abi/file.ts";
import { newCredentials, NO_CAPABILITIES } from "../task/credentials.ts";
import { VfsTask } from "../../tests/support/vfs_task.ts";
import { MasterFile } from "../tty/master_file.ts";
import type { File } from "../vfs/file.ts";
import type { Inode } from "../vfs/inode.ts";
import { DEVPTS_TYPE, DevptsFilesystem } from "./devpts.ts";

const { task } = new VfsTask();
task.credentials = newCredentials(1000, 100, [], NO_CAPABILITIES);

function mount(options: string): DevptsFilesystem {
  const fs = DEVPTS_TYPE.mount(task, "devpts", options);
  ok(fs instanceof DevptsFilesystem, `mount says ${fs}`);
  return fs;
}
function openMaster(fs: DevptsFilesystem): MasterFile {
  const file = (fs.find("ptmx") as Inode).open(task, O_RDWR) as File;
  ok(file instanceof MasterFile);
  return file;
}
function names(fs: DevptsFilesystem): string[] {
  return fs.entries().map(({ name }) => name);
}

Deno.test("options are checked, and shown as Linux does", () => {
  equal(mount("").options, "mode=600,ptmxmode=000");
  equal(mount("newinstance,ptmxmode=0666,mode=0620,gid=5").options, "gid=5,mode=620,ptmxmode=666");
  equal(mount("max=7").options, "mode=600,ptmxmode=000,max=7");
  for (const wrong of ["mode=9", "gid=x", "max=-1", "size=1", "max=9999999"]) {
    equal(DEVPTS_TYPE.mount(task, "devpts", wrong), -EINVAL, wrong);
  }
});

Deno.test("a slave's name comes with its master and goes with it, the lowest number first", () => {
  const fs = mount("mode=620,gid=5");
  deepEqual(names(fs), ["ptmx"]);
  const first = openMaster(fs), second = openMaster(fs);
  deepEqual(names(fs), ["ptmx", "0", "1"]);
  const slave = fs.find("1") as Inode;
  deepEqual([slave.mode & 0o777, slave.uid, slave.gid], [0o620, 1000, 5]);
  deepEqual([slave.rdevMajor, slave.rdevMinor], [136, 1]);
  first.drop();
  equal(fs.find("0"), -ENOENT);
  equal(openMaster(fs).terminal.index, 0);
  second.drop();
  deepEqual(names(fs), ["ptmx", "0"]);
  for (const wrong of ["01", "x", "-1", ""]) equal(fs.find(wrong), -ENOENT);
});

Deno.test("an instance has no more terminals than max", () => {
  const fs = mount("max=2");
  const file = openMaster(fs);
  openMaster(fs);
  equal((fs.find("ptmx") as Inode).open(task, O_RDWR), -ENOSPC);
  file.drop();
  openMaster(fs);
  equal(fs.count, 2);
});
