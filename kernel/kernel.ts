// The root object: what a sandbox's kernel is made of, without logic. The run loop is in task/run_loop.ts, boot puts
// the parts together in boot/kernel.ts. What belongs to one container hangs at that (container.ts).

import type { Host, Platform } from "../platform/platform.ts";
import type { Container } from "./container.ts";
import type { Clock } from "./time/clock.ts";
import type { LifeListener } from "./task/life_listener.ts";
import type { Witness } from "./task/witness.ts";
import type { Task } from "./task/task.ts";
import { descriptorUsers, type UserAccount } from "./task/user_account.ts";
import type { HardwareCapabilities } from "./loader/stack.ts";
import { HostFiles } from "./fs/gofer/host_files.ts";
import { LoadAverage } from "./fs/proc/load.ts";
import { PseudoFilesystems } from "./fs/pseudo.ts";
import { HostDescriptors } from "./host/host_descriptor.ts";
import { HostWatches } from "./host/host_watch.ts";
import { LoopServices } from "./host/loop_service.ts";
import { CallHooks } from "./task/call_hooks.ts";
import { Heartbeat } from "./task/heartbeat.ts";
import { MemoryPressure } from "./mm/pressure.ts";
import { InetRoom } from "./socket/inet/room.ts";
import { UnixRoom } from "./socket/unix/room.ts";
import { FutexRoom } from "./task/futex_queue.ts";
import { NAMESPACE_INODE_FIRST, PidNamespace } from "./task/namespaces.ts";
import { SAMPLED_CALLS } from "./task/usage.ts";
import { Coverage } from "./util/coverage.ts";
import { DeadlineHeap } from "./util/deadline_heap.ts";
import { KernelMemory } from "./util/kernel_memory.ts";
import type { Parameters } from "./util/parameters.ts";
import { ObjectOrder } from "./util/object_order.ts";
import { Sequence } from "./util/sequence.ts";
import type { Filesystem } from "./vfs/filesystem.ts";
import { type FileRegistry, Vfs } from "./vfs/vfs.ts";

/** Limits of the whole sandbox, from the OCI resources or the command line; `update` changes them. */
export interface KernelLimits {
  /** Live tasks; clone answers EAGAIN beyond. */
  tasksMax: number;
  /** Bytes of guest memory; Infinity = the host's. */
  memoryBytesMax: number;
}

export class Kernel {
  readonly host: Host;
  readonly platform: Platform;
  readonly clock: Clock;
  readonly limits: KernelLimits;
  /** Memory of ours that guests make us hold. */
  readonly account: KernelMemory;
  /** What guests asked for in vain. */
  readonly coverage = new Coverage();
  readonly vfs: Vfs;
  /** What root may write in /proc/sys. */
  readonly parameters: Parameters;
  readonly pseudo: PseudoFilesystems;
  readonly hostFiles: HostFiles;
  readonly unix: UnixRoom;
  readonly futexes = new FutexRoom();
  readonly inet = new InetRoom();
  /** SO_COOKIE of sockets. */
  readonly socketCookies = new Sequence(1);
  readonly namespaceInodes = new Sequence(NAMESPACE_INODE_FIRST);
  /** Load averages, worked out when somebody asks. */
  readonly load: LoadAverage;
  /** Containers by id; those that have ended, but the root one, until somebody forgets them. */
  readonly containers = new Map<string, Container>();
  /** File systems that containers of the pod share, by the name that their mounts have for them. */
  readonly sharedFilesystems = new Map<string, Filesystem>();
  /** How many of them are paused. */
  pausedCount = 0;
  /** The first: its end is the sandbox's. */
  rootContainer: Container | null = null;
  /** Every task that is not Dead, by its tid in the root PID namespace. */
  readonly tasks = new Map<number, Task>();
  /** Blocked tasks that something has woken; their continuations run in the next turn. */
  readonly woken: Task[] = [];
  /** Tasks that are to go back to guest code in this turn. */
  readonly ready: Task[] = [];
  /** Tasks that a group exit or SIGKILL has condemned; they exit at the start of the next turn (task/exit.ts). */
  readonly killed: Task[] = [];
  /** Processor time of processes that have been reaped. */
  reapedCpuNanos = 0;
  /** Counts by real user id (task/user_account.ts). */
  readonly users = new Map<number, UserAccount>();
  /** Of blocked tasks, timers, timerfds: the first of the services. */
  readonly deadlines = new DeadlineHeap();
  /** The PID namespace that sees all others: the root container's. */
  readonly rootPids: PidNamespace;
  /** Number of processors shown to guests. */
  readonly cpuCount: number;
  /** Total memory shown to guests, bytes. */
  readonly memoryTotalBytes: number;
  /** What the auxiliary vector tells of the CPU; boot reads it from the host. */
  hardware: HardwareCapabilities = { hwcap: 0x078b_fbff, hwcap2: 0, minSignalStackBytes: 2048 };
  /** Text of the host's /proc/cpuinfo, read by the CLI: the guest sees the real processors. */
  cpuinfo = "";
  /** The task whose call is being served: what /proc/self is. null between calls. Set by the run loop. */
  currentTask: Task | null = null;
  /** Calls until one is timed: see SAMPLED_CALLS. */
  callsToSample = SAMPLED_CALLS;
  /** Status that the sandbox ends with, -1 while it runs: its root container's, or why it cannot go on. */
  exitStatus = -1;
  /** Who hears of births and ends of tasks; null = nobody. */
  life: LifeListener | null = null;
  /** Who hears of signals and ends; most often nobody. */
  readonly witnesses: Witness[] = [];
  /** Who hears of system calls. */
  readonly callHooks = new CallHooks(this.tasks);
  /** The sentry's own log: bugs of ours, dead stubs. One line or a stack. */
  log: (text: string) => void = () => {};
  /** What the user should hear of: a limit that was met. One sentence. */
  notice: (text: string) => void = () => {};
  /** Use of memory against limits.memoryBytesMax. */
  readonly memory: MemoryPressure;
  /** Descriptors of the host that are ours. */
  readonly descriptors: HostDescriptors;
  /** What is waited for on them. */
  readonly watches: HostWatches;
  /** What kcmp(2) orders objects by. */
  readonly objectOrder = new ObjectOrder();
  /** For a watchdog; boot puts a StepMeter there where steps are to be measured. */
  heartbeat: Heartbeat = new Heartbeat();
  /** What has work of its own in the loop. */
  readonly services = new LoopServices();
  /** Monotonic nanoseconds at boot of the sandbox, for uptime and start times. */
  readonly bootNanos: number;

  constructor(
    host: Host,
    platform: Platform,
    clock: Clock,
    limits: KernelLimits,
    registry: FileRegistry,
    cpuCount: number,
    memoryTotalBytes: number,
  ) {
    this.host = host;
    this.platform = platform;
    this.clock = clock;
    this.descriptors = new HostDescriptors(host, descriptorUsers(this));
    this.hostFiles = new HostFiles(host.descriptorsMax(), descriptorUsers(this));
    this.watches = new HostWatches(platform);
    this.services.add(this.deadlines);
    this.services.add(this.descriptors.releases);
    this.limits = limits;
    this.memory = new MemoryPressure(limits.memoryBytesMax);
    this.account = new KernelMemory(memoryTotalBytes);
    this.vfs = new Vfs(this.account, registry);
    this.parameters = this.vfs.parameters;
    this.vfs.dentries.unusedMax = Math.min(this.vfs.dentries.unusedMax, host.descriptorsMax() >> 2);
    this.services.add(this.vfs.releases);
    this.pseudo = new PseudoFilesystems(this.vfs, clock);
    this.unix = new UnixRoom(this.account.heap);
    this.services.add(this.unix.rights);
    this.rootPids = new PidNamespace(this.namespaceInodes.next(), null);
    this.cpuCount = cpuCount;
    this.memoryTotalBytes = memoryTotalBytes;
    this.bootNanos = clock.monotonic();
    this.load = new LoadAverage(this.bootNanos);
  }
}
