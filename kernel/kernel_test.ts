// Kernels of one process share nothing: what happens in one is not seen in another, not even in the numbers it gives out.

import { deepEqual, equal, notEqual } from "node:assert/strict";
import { BASE, Processes, WAITS } from "../tests/support/processes.ts";
import { VfsTask } from "../tests/support/vfs_task.ts";
import { AT_FDCWD, IN_CREATE } from "./abi/file.ts";
import { CLONE_NEWUTS } from "./abi/task.ts";
import { TMPFS_TYPE } from "./fs/tmpfs.ts";
import { FAMILIES } from "./syscalls/families.ts";
import type { SyscallHandler } from "./syscalls/table.ts";
import { changedNamespaces } from "./task/namespace_changes.ts";
import type { TaskNamespaces } from "./task/namespaces.ts";
import { FOLLOW, resolve } from "./vfs/path_walk.ts";
import type { Path } from "./vfs/path.ts";

const calls = new Map<string, SyscallHandler>();
const numbers = new Map<string, number>();
for (const family of FAMILIES) {
  for (const [name, spec] of Object.entries(family)) {
    calls.set(name, spec.run);
    numbers.set(name, spec.nr.x64);
  }
}

/** A kernel with one task that makes file calls. */
class FileKernel {
  readonly t = new VfsTask(null, [TMPFS_TYPE]);

  call(name: string, ...values: (number | string | Uint8Array)[]): number {
    return this.t.make(calls.get(name)!, ...values);
  }
  place(name: string): Path {
    return resolve(this.t.task, AT_FDCWD, name, FOLLOW) as Path;
  }
  info(fd: number): string {
    return this.t.files.get(fd)!.infoText;
  }
}

/** A kernel with processes. */
class ProcessKernel {
  readonly p = new Processes(FAMILIES);
  readonly task = this.p.fork(this.p.init);

  call(name: string, ...values: number[]): number | typeof WAITS {
    return this.p.syscall(this.task, numbers.get(name)!, ...values);
  }
  put(at: number, bytes: Uint8Array): void {
    const memory = this.p.memory(this.task);
    bytes.forEach((byte, i) => memory.setUint8(at - BASE + i, byte));
  }
}

Deno.test("two kernels have their own mounts, and give out the same numbers", () => {
  const a = new FileKernel(), b = new FileKernel();
  for (const kernel of [a, b]) equal(kernel.call("mkdirat", AT_FDCWD, "/m", 0o755), 0);
  equal(a.call("mount", "none", "/m", "tmpfs", 0, 0), 0);
  equal(a.call("mkdirat", AT_FDCWD, "/m/inside", 0o755), 0);
  equal(typeof resolve(b.t.task, AT_FDCWD, "/m/inside", FOLLOW), "number");
  equal(b.place("/m").mount, b.place("/").mount);
  equal(b.call("mount", "none", "/m", "tmpfs", 0, 0), 0);
  equal(a.place("/m").mount.id, b.place("/m").mount.id);
  equal(a.place("/m").inode.fs.device, b.place("/m").inode.fs.device);
});

Deno.test("two kernels count their own files and memory", () => {
  const a = new FileKernel(), b = new FileKernel();
  const { vfs, account } = b.t.kernel;
  const files = vfs.openFiles, bytes = account.heap.usedBytes;
  for (let i = 0; i < 10; i++) a.call("eventfd2", 0, 0);
  equal(a.t.kernel.vfs.openFiles, files + 10);
  equal(vfs.openFiles, files);
  equal(account.heap.usedBytes, bytes);
  notEqual(a.t.kernel.account.heap.usedBytes, bytes);
  // The eleventh of one is the first of the other.
  equal(/eventfd-id: (\d+)/.exec(b.info(b.call("eventfd2", 0, 0)))![1], "0");
  equal(/eventfd-id: (\d+)/.exec(a.info(a.call("eventfd2", 0, 0)))![1], "10");
});

Deno.test("two kernels have their own names in the cache", () => {
  const a = new FileKernel(), b = new FileKernel();
  for (let i = 0; i < 100; i++) a.place("/").dentry.lookup(`none${i}`);
  const { clock } = b.t.kernel.vfs.dentries;
  equal(b.place("/").dentry.child("none1"), null);
  b.t.kernel.vfs.dentries.shrink();
  notEqual(a.place("/").dentry.child("none1"), null);
  equal(b.t.kernel.vfs.dentries.clock, clock);
});

Deno.test("a watch of one kernel costs another one nothing and hears nothing of it", () => {
  const a = new FileKernel(), b = new FileKernel();
  const fd = a.call("inotify_init1", 0);
  equal(a.call("inotify_add_watch", fd, "/", IN_CREATE), 1);
  deepEqual([a.t.kernel.vfs.watchCount, b.t.kernel.vfs.watchCount], [1, 0]);
  equal(b.call("mkdirat", AT_FDCWD, "/d", 0o755), 0);
  equal(a.t.files.get(fd)!.readiness(a.t.task), 0);
  equal(a.call("mkdirat", AT_FDCWD, "/d", 0o755), 0);
  notEqual(a.t.files.get(fd)!.readiness(a.t.task), 0);
});

Deno.test("two kernels have their own abstract names, autobind names and socket cookies", () => {
  const a = new ProcessKernel(), b = new ProcessKernel();
  const name = new TextEncoder().encode("\x01\0\0same"), length = name.length;
  for (const kernel of [a, b]) {
    const first = kernel.call("socket", 1, 1, 0) as number, second = kernel.call("socket", 1, 1, 0) as number;
    kernel.put(BASE, name);
    equal(kernel.call("bind", first, BASE, length), 0);
    // Two bytes, the family alone: the kernel chooses.
    equal(kernel.call("bind", second, BASE, 2), 0);
    kernel.put(BASE, new Uint8Array([110, 0, 0, 0]));
    equal(kernel.call("getsockname", second, BASE + 8, BASE), 0);
    const memory = kernel.p.memory(kernel.task);
    equal(String.fromCharCode(...[3, 4, 5, 6, 7].map((i) => memory.getUint8(8 + i))), "00001");
    kernel.put(BASE, new Uint8Array([8, 0, 0, 0]));
    equal(kernel.call("getsockopt", second, 1, 57, BASE + 8, BASE), 0);
    equal(memory.getUint32(8, true), 1);
  }
});

Deno.test("nobody wakes a waiter of another kernel", () => {
  const a = new ProcessKernel(), b = new ProcessKernel();
  const thread = a.p.thread(a.task);
  const futex = numbers.get("futex")!;
  equal(a.p.syscall(thread, futex, BASE + 256, 0, 0), WAITS);
  equal(b.call("futex", BASE + 256, 1, 9), 0);
  equal(a.p.answer(thread), WAITS);
  equal(a.call("futex", BASE + 256, 1, 9), 1);
  equal(a.p.answer(thread), 0);
});

Deno.test("two kernels number processes and namespaces for themselves", () => {
  const a = new ProcessKernel(), b = new ProcessKernel();
  for (let i = 0; i < 3; i++) a.p.fork(a.task);
  equal(b.p.fork(b.task).tid, b.task.tid + 1);
  equal(a.p.kernel.tasks.size, b.p.kernel.tasks.size + 2);
  const inoOf = ({ task }: ProcessKernel) =>
    (changedNamespaces(task, CLONE_NEWUTS, new Map()) as TaskNamespaces).uts.ino;
  equal(inoOf(a) + 1, inoOf(a));
  equal(inoOf(b) + 2, inoOf(a));
});

Deno.test("what one kernel lacks is asked of it alone", () => {
  const a = new ProcessKernel(), b = new ProcessKernel();
  a.p.syscall(a.task, 400);
  deepEqual([...a.p.kernel.coverage.calls], [[400, 1]]);
  equal(b.p.kernel.coverage.calls.size, 0);
});
