// Containers in one kernel, on a platform whose threads do what the test tells them. Their programs are loaded for real.

import { deepStrictEqual as same, match, strictEqual as equal, throws } from "node:assert/strict";
import { EAGAIN } from "../kernel/abi/errno.ts";
import { POLLIN } from "../kernel/abi/file.ts";
import { SIGKILL } from "../kernel/abi/signal.ts";
import { put16, put32, put64 } from "../kernel/abi/struct.ts";
import type { Container, ContainerGofer } from "../kernel/container.ts";
import { Tmpfs } from "../kernel/fs/tmpfs.ts";
import { HOST_READ, HOST_WRITE } from "../kernel/host/host_descriptor.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { SyscallTable } from "../kernel/syscalls/dispatch.ts";
import { FAMILIES } from "../kernel/syscalls/families.ts";
import { killContainer } from "../kernel/task/exit.ts";
import { turn } from "../kernel/task/run_loop.ts";
import type { Task } from "../kernel/task/task.ts";
import type { TmpfsInode } from "../kernel/fs/tmpfs.ts";
import { Waiter } from "../kernel/util/wait_queue.ts";
import type { Inode } from "../kernel/vfs/inode.ts";
import { EVENT, REG } from "../platform/platform.ts";
import { FakeHost, FakePlatform, type FakeThread } from "../tests/support/fake_platform.ts";
import { startContainer } from "./container.ts";
import { bootKernel, endKernel } from "./kernel.ts";
import { netstackOfCheckout } from "./netstack_checkout.ts";
import type { ContainerConfig } from "./sentry_config.ts";

const GETPID = 39, FORK = 57, EXIT_GROUP = 231;

/** An ELF program of one segment: static, at a fixed address. */
function program(): Uint8Array {
  const bytes = new Uint8Array(0x1000);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  put16(bytes, 16, 2); // ET_EXEC
  put16(bytes, 18, 62); // EM_X86_64
  put64(bytes, 24, 0x40_0100); // entry
  put64(bytes, 32, 64); // program headers
  put16(bytes, 54, 56);
  put16(bytes, 56, 1);
  put32(bytes, 64, 1); // PT_LOAD
  put32(bytes, 68, 5);
  put64(bytes, 64 + 16, 0x40_0000);
  put64(bytes, 64 + 32, 0x1000);
  put64(bytes, 64 + 40, 0x1000);
  put64(bytes, 64 + 48, 0x1000);
  return bytes;
}

function configOf(id: string, change: Partial<ContainerConfig> = {}): ContainerConfig {
  return {
    id,
    sharing: { pid: "", ipc: "", uts: "" },
    startHooks: [],
    gofers: [{ isReadOnly: false, isExclusive: true }],
    root: { isReadOnly: false, hasOverlay: false },
    overlayBytesMax: null,
    seccomp: null,
    mounts: [{ destination: "/proc", type: "proc", source: "proc", options: [], gofer: -1 }],
    maskedPaths: [],
    readonlyPaths: [],
    devices: [],
    sysctl: {},
    process: {
      args: ["/program"],
      env: [],
      cwd: "/",
      makesCwd: false,
      uid: 0,
      gid: 0,
      umask: 0o22,
      additionalGids: [],
      capabilities: null,
      rlimits: [],
      noNewPrivileges: false,
      ownsStdio: false,
      wantsHome: false,
      diesOfSignals: false,
      terminal: null,
    },
    hostname: id,
    domainname: "",
    tasksMax: 10,
    isHeld: false,
    ...change,
  };
}

class Sandbox {
  readonly host = new FakeHost(1e9, 1);
  readonly platform = new FakePlatform();
  readonly kernel: Kernel;
  readonly log: string[] = [];
  readonly #table = new SyscallTable(FAMILIES);

  constructor() {
    const config = {
      cpuCount: 2,
      memoryTotalBytes: 2 ** 30,
      tasksMax: 100,
      memoryBytesMax: Infinity,
      host: { cpuinfo: "", hwcap: 0, hwcap2: 0 },
    };
    this.kernel = bootKernel(
      config,
      this.host,
      this.platform,
      (text) => this.log.push(text),
      netstackOfCheckout(),
    );
  }

  /** Starts a container whose root has one file, /program. */
  start(id: string, change: Partial<ContainerConfig> = {}): Container {
    const { kernel, host, platform } = this;
    const thread = platform.createAddressSpace();
    const stdio = ["stdin", "stdout", "stderr"].map((name, i) =>
      kernel.descriptors.own(
        host.newPipe(),
        "donated",
        i === 0 ? HOST_READ : HOST_WRITE,
        `${id} ${name}`,
      )
    );
    const parts = { thread, stdio, gofer: this.#newGofer(id) };
    return startContainer(kernel, configOf(id, change), parts);
  }

  #newGofer(id: string): ContainerGofer {
    const { kernel } = this;
    const limits = { mode: 0o755, uid: 0, gid: 0, sizeBytes: Infinity, inodes: Infinity };
    const fs = new Tmpfs(kernel, limits, "");
    const file = fs.root.create("program", { mode: 0o100755, uid: 0, gid: 0 }) as Inode as TmpfsInode;
    const bytes = program();
    file.content!.write(bytes, 0, bytes.length, 0);
    file.size = bytes.length;
    fs.root.mkdir("proc", { mode: 0o40755, uid: 0, gid: 0 });
    const fd = this.host.newPipe();
    const socket = kernel.descriptors.own(fd, "donated", HOST_READ | HOST_WRITE, `${id} gofer`);
    const watch = kernel.watches.add(socket, 1, { onHostEvents() {} });
    const release = () => {
      watch.end();
      socket.drop();
    };
    return { mounts: [fs], release };
  }

  run(): void {
    for (let i = 0; i < 8 && this.kernel.exitStatus < 0; i++) turn(this.kernel, this.#table, false);
  }

  call(task: Task, number: number, argument = 0): number {
    this.run();
    const thread = task.thread as FakeThread;
    thread.set(REG.RDI, argument);
    thread.set(REG.ORIG_RAX, number);
    this.platform.post(thread, EVENT.SYSCALL);
    this.run();
    return thread.low(REG.RAX) | 0;
  }

  /** Descriptors of container `id` that are open, by what they are for. */
  openOf(id: string): string[] {
    const pattern = new RegExp(`: ${id} (.*) \\(`);
    return this.kernel.descriptors.describe().flatMap((line) => pattern.exec(line)?.[1] ?? []);
  }
}

Deno.test("two containers run in one kernel, each process 1 of its own", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first"), second = sandbox.start("second");
  equal(first.isRoot, true);
  equal(second.isRoot, false);
  same([...sandbox.kernel.containers.keys()], ["first", "second"]);
  const [one, two] = [first.initTask!, second.initTask!];
  equal(sandbox.call(one, GETPID), 1);
  equal(sandbox.call(two, GETPID), 1);
  same([one.tid, two.tid], [1, 2], "in the root namespace");
  equal(first.pids.task(2), two, "the root container's namespace sees both");
  equal(second.pids.task(2), null);
  same([one.namespaces.uts.hostname, two.namespaces.uts.hostname], ["first", "second"]);
  equal(one.fs.root.mount === two.fs.root.mount, false);
  equal(one.name, "program");
});

Deno.test("a container's end is its own, the root's is the sandbox's", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first"), second = sandbox.start("second");
  const child = sandbox.kernel.tasks.get(sandbox.call(second.initTask!, FORK) + 1)!;
  equal(child.threadGroup.container, second);
  const ended: string[] = [];
  second.onEnd = ({ id, exitStatus }) => ended.push(`${id} ${exitStatus}`);
  sandbox.call(second.initTask!, EXIT_GROUP, 3);
  same(ended, [`second ${3 << 8}`]);
  equal(sandbox.kernel.exitStatus, -1);
  same([...sandbox.kernel.tasks.values()], [first.initTask], "its processes went with it");
  equal(second.taskCount, 0);
  equal(sandbox.call(first.initTask!, GETPID), 1);
  same(sandbox.openOf("second"), ["gofer"], "its stdio are closed");
  second.forget();
  same(sandbox.openOf("second"), []);
  same([...sandbox.kernel.containers.keys()], ["first"]);
  sandbox.call(first.initTask!, EXIT_GROUP, 4);
  equal(sandbox.kernel.exitStatus, 4 << 8);
  first.forget();
  same(sandbox.kernel.descriptors.describe(), []);
  same([...sandbox.host.files.keys()], []);
  same(sandbox.log, []);
});

Deno.test("the end of another container tells the root's init nothing", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first"), second = sandbox.start("second");
  let told = 0;
  first.init!.childQueue.add(new Waiter({ onReady: () => void told++ }), POLLIN);
  sandbox.call(second.initTask!, FORK);
  sandbox.call(second.initTask!, EXIT_GROUP, 0);
  equal(told, 0);
  equal(first.init!.children.size, 0);
});

Deno.test("containers of a pod share what they are to share", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first");
  const second = sandbox.start("second", { sharing: { pid: "first", ipc: "first", uts: "first" } });
  const third = sandbox.start("third", { sharing: { pid: "", ipc: "first", uts: "" } });
  const [one, two, three] = [first, second, third].map((container) => container.initTask!.namespaces);
  same([one.net === two.net, one.net === three.net], [true, true], "the network is the sandbox's");
  same([one.ipc === two.ipc, one.ipc === three.ipc], [true, true]);
  same([two.uts.hostname, three.uts.hostname], ["first", "third"]);
  equal(sandbox.call(second.initTask!, GETPID), 2);
  equal(sandbox.call(third.initTask!, GETPID), 1);
  throws(
    () => sandbox.start("fourth", { sharing: { pid: "nobody", ipc: "", uts: "" } }),
    /Cannot start container fourth: there is no container nobody to join/,
  );
});

Deno.test("the end of a container that shares its PID namespace is the end of all its processes", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first");
  const second = sandbox.start("second", { sharing: { pid: "first", ipc: "", uts: "" } });
  const child = first.pids.task(sandbox.call(second.initTask!, FORK))!;
  equal(child.threadGroup.container, second);
  sandbox.call(second.initTask!, EXIT_GROUP, 3);
  sandbox.run();
  equal(second.exitStatus, 3 << 8);
  equal(child.hasExited, true);
  equal(sandbox.kernel.exitStatus, -1);
  equal(sandbox.call(first.initTask!, GETPID), 1);
  equal(sandbox.start("second").id, "second", "the name is free again");
  equal(second === sandbox.kernel.containers.get("second"), false);
});

Deno.test("tasks are counted by container", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first"), second = sandbox.start("second", { tasksMax: 2 });
  equal(sandbox.call(second.initTask!, FORK) > 0, true);
  equal(sandbox.call(second.initTask!, FORK), -EAGAIN);
  equal(sandbox.call(first.initTask!, FORK) > 0, true);
  same([first.taskCount, second.taskCount], [2, 2]);
});

Deno.test("a container that does not start leaves nothing", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first");
  sandbox.run();
  const before = sandbox.kernel.descriptors.describe();
  const { process } = configOf("second");
  throws(
    () => sandbox.start("second", { process: { ...process, args: ["/missing"] } }),
    /Cannot run \/missing: executable file not found in \$PATH/,
  );
  throws(
    () =>
      sandbox.start("second", { process: { ...process, rlimits: [{ type: "RLIMIT_X", soft: 1, hard: 1 }] } }),
    /Unknown rlimit RLIMIT_X/,
  );
  throws(() => sandbox.start("first"), /Cannot start container first: one of that name is there/);
  same(sandbox.kernel.descriptors.describe(), before);
  same([...sandbox.kernel.tasks.values()], [first.initTask]);
  same([...sandbox.kernel.containers.keys()], ["first"]);
  equal(sandbox.kernel.exitStatus, -1);
  equal(sandbox.start("second").initTask!.pid.own, 1, "a later one does");
});

Deno.test("a container is killed as a whole", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first"), second = sandbox.start("second");
  sandbox.call(second.initTask!, FORK);
  killContainer(second);
  sandbox.run();
  equal(second.exitStatus, SIGKILL);
  same([...sandbox.kernel.tasks.values()], [first.initTask]);
});

Deno.test("the end of a kernel gives back every descriptor of the host, whatever still runs", () => {
  const sandbox = new Sandbox();
  const first = sandbox.start("first");
  sandbox.start("second");
  sandbox.call(first.initTask!, FORK);
  const control = sandbox.kernel.descriptors.own(
    sandbox.host.newPipe(),
    "donated",
    HOST_READ,
    "control",
  );
  sandbox.kernel.descriptors.own(sandbox.host.newPipe(), "made", HOST_READ, "a leak");
  const left = endKernel(sandbox.kernel, [control]);
  equal(left.length, 1);
  match(left[0], /: a leak \(made\)$/);
  equal(sandbox.host.files.size, 2);
});
