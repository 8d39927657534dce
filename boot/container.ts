// Starts a container in a kernel that runs: namespaces, root and mounts, stdio, credentials, limits, program.

import { GoferClient, GoferConnection } from "../gofer/client.ts";
import { ENOENT, ENOTDIR, errnoName } from "../kernel/abi/errno.ts";
import { AT_FDCWD, MS_RDONLY, MS_RELATIME } from "../kernel/abi/file.ts";
import { SIGKILL } from "../kernel/abi/signal.ts";
import { CAPABILITY_NAMES } from "../kernel/abi/task.ts";
import { CALL_NUMBERS } from "../kernel/arch/arch.ts";
import { Container, type ContainerGofer } from "../kernel/container.ts";
import { GoferFilesystem } from "../kernel/fs/gofer/filesystem.ts";
import { LateRequests } from "../kernel/fs/gofer/late_requests.ts";
import { HOST_READ, HOST_WRITE, type HostDescriptor } from "../kernel/host/host_descriptor.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { MemoryMap } from "../kernel/mm/address_space.ts";
import { FAMILIES } from "../kernel/syscalls/families.ts";
import type { BpfProgram } from "../kernel/task/bpf.ts";
import { createInitTask } from "../kernel/task/clone.ts";
import {
  ALL_CAPABILITIES,
  CapabilitySet,
  type Credentials,
  newCredentials,
} from "../kernel/task/credentials.ts";
import { exitKilled, killContainer } from "../kernel/task/exit.ts";
import {
  IpcNamespace,
  NetNamespace,
  PidNamespace,
  TaskNamespaces,
  UtsNamespace,
} from "../kernel/task/namespaces.ts";
import { newRlimits, RLIMIT_NAMES, type Rlimits } from "../kernel/task/rlimits.ts";
import { addFilter } from "../kernel/task/seccomp.ts";
import type { Task } from "../kernel/task/task.ts";
import { utf8ToByteString } from "../kernel/util/bytes.ts";
import { FdTable } from "../kernel/vfs/fd_table.ts";
import { FsContext } from "../kernel/vfs/fs_context.ts";
import { MountNamespace, newMount } from "../kernel/vfs/mount.ts";
import { Path } from "../kernel/vfs/path.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import { connectGofer } from "../native/gofer_channel.ts";
import type { GuestThread } from "../platform/platform.ts";
import { compileSeccomp } from "./seccomp_profile.ts";
import { StartError } from "./start_error.ts";
import { addMounts, mountPoint, overlaid } from "./mounts.ts";
import { hidePasswords } from "./passwords.ts";
import { homeOf, loadProgram } from "./program.ts";
import type { ContainerConfig, ProcessConfig, RunExtras } from "./sentry_config.ts";
import { bindConsole, type Console, openConsole, openPassed, openStdio, STDIO_COUNT } from "./stdio.ts";
import { killGroup } from "../kernel/task/kill.ts";

/** How long the root container's gofer may take until it serves: it opens what it serves first. */
const GOFER_MILLIS_MAX = 60_000;
const POLLIN = 1;
const POLLRDHUP = 0x2000;
/** Wait status of a container that cannot go on: exit code 128, the runtime's own failure. */
const STATUS_FAILED = 128 << 8;

/** What a container is given besides its configuration; it takes all of it over. */
export interface ContainerParts {
  /** First thread of an address space of its own. */
  readonly thread: GuestThread;
  /** Stdin, stdout, stderr, and what its init gets from 3 on. */
  readonly stdio: readonly HostDescriptor[];
  readonly gofer: ContainerGofer;
}

/**
 * Starts `config` in `kernel`: its init runs in the kernel's next turn, or after startHeld() where it is to be held. The first container is the root one, whose end ends the
 * sandbox. Throws StartError with one sentence for the user; nothing of the container is left then.
 */
export function startContainer(
  kernel: Kernel,
  config: ContainerConfig & Partial<RunExtras>,
  parts: ContainerParts,
): Container {
  const former = kernel.containers.get(config.id);
  if (former !== undefined && (former.isRoot || former.exitStatus < 0)) {
    discard(parts);
    throw new StartError(`Cannot start container ${config.id}: one of that name is there`, 128);
  }
  for (const id of Object.values(config.sharing)) {
    if (id === "" || kernel.containers.has(id)) continue;
    discard(parts);
    throw new StartError(`Cannot start container ${config.id}: there is no container ${id} to join`, 128);
  }
  former?.forget();
  const served = parts.gofer.mounts[0];
  const rootFs = config.root.hasOverlay ? overlaid(kernel, served, config.overlayBytesMax) : served;
  const rootMount = newMount(rootFs, "none", config.root.isReadOnly ? MS_RDONLY | MS_RELATIME : MS_RELATIME);
  const mounts = new MountNamespace(rootMount, kernel.namespaceInodes.next());
  const limits = { tasksMax: config.tasksMax };
  const isRoot = kernel.rootContainer === null;
  const namespaces = namespacesOf(kernel, config, mounts);
  const container = new Container(kernel, config.id, limits, namespaces, parts.gofer);
  kernel.containers.set(config.id, container);
  if (isRoot) kernel.rootContainer = container;
  try {
    container.seccomp = filterOf(config);
    const task = newInit(container, config, parts.thread, new Path(rootMount, rootMount.root));
    furnish(task, config, parts);
  } catch (error) {
    // Without its root container the sandbox goes as a whole; another one leaves without a trace.
    if (!isRoot) abandon(container, parts);
    throw error;
  } finally {
    for (const descriptor of parts.stdio) descriptor.drop();
  }
  return container;
}

/** Mounts, stdio and program of a container whose init has been made. */
function furnish(task: Task, config: ContainerConfig & Partial<RunExtras>, parts: ContainerParts): void {
  const { process } = config, mounts = task.namespaces.mount;
  if (process.diesOfSignals) task.threadGroup.isUnkillable = false;
  // Until its program starts the first task is root, whoever it will be: it builds the container.
  const { credentials } = task;
  task.credentials = newCredentials(0, 0, [], ALL_CAPABILITIES);
  if (config.hidesPasswords === true) hidePasswords(task);
  addMounts(task, mounts, config, parts.gofer.mounts);
  if (process.makesCwd) makeDirectory(task, process.cwd);
  const home = process.wantsHome ? homeOf(task, process.uid) : "";
  task.credentials = credentials;
  const console = openConsole(task, parts.stdio, process.terminal);
  if (console !== null) {
    const { container } = task.threadGroup;
    container.terminal = console.terminal;
    container.hostConsole = console.host;
    if (console.file.path !== null) bindConsole(task, console.file.path);
  }
  prepare(task, process, parts.stdio, console, home);
  if (config.isHeld) task.threadGroup.container.isHeld = true;
  else {
    task.kernel.life?.onContainerStart(task.threadGroup.container);
    task.kernel.ready.push(task);
  }
}

/** Stdio, working directory and program of a process that boot starts. */
function prepare(
  task: Task,
  process: ProcessConfig,
  stdio: readonly HostDescriptor[],
  console: Console | null,
  home: string,
): void {
  const owner = process.ownsStdio ? process.uid : -1;
  openStdio(
    task,
    stdio.slice(0, STDIO_COUNT),
    process.terminal,
    console === null ? null : console.file,
    owner,
  );
  openPassed(task, stdio.slice(STDIO_COUNT), process.passedAs, owner);
  enterDirectory(task, process.cwd);
  loadProgram(task, process, home);
  const { seccomp } = task.threadGroup.container;
  if (seccomp !== null) addFilter(task, seccomp);
}

/** The filter of its seccomp profile; null = none. */
function filterOf({ seccomp, id }: ContainerConfig): BpfProgram | null {
  if (seccomp === null) return null;
  const numbers = new Map<string, number>();
  for (const family of FAMILIES) {
    for (const [name, { nr }] of Object.entries(family)) numbers.set(name, nr[CALL_NUMBERS]);
  }
  const program = compileSeccomp(seccomp, (name) => numbers.get(name));
  if (program !== null) return program;
  throw new StartError(`Cannot start container ${id}: linux.seccomp is longer than a filter may be`, 128);
}

/** The init of a container that has been held runs from now on. False when nothing holds it. */
export function startHeld(container: Container): boolean {
  if (!container.isHeld || container.initTask === null) return false;
  container.isHeld = false;
  container.kernel.life?.onContainerStart(container);
  container.kernel.ready.push(container.initTask);
  return true;
}

/** A further process of a container, and its terminal. */
export interface Executed {
  readonly task: Task;
  readonly console: Console | null;
}

/**
 * Starts one more process in `container`, in its namespaces and root; it runs in the kernel's next turn. Descriptors of
 * `stdio` beyond the third are its own from 3 on. Takes thread and stdio over. Throws StartError; nothing is left of it then.
 */
export function executeIn(
  container: Container,
  process: ProcessConfig,
  thread: GuestThread,
  stdio: readonly HostDescriptor[],
): Executed {
  const { kernel } = container, init = container.initTask;
  let task: Task | null = null, console: Console | null = null;
  try {
    if (init === null || init.hasExited) {
      throw new StartError(`Cannot execute in container ${container.id}: it has ended`, 128);
    }
    if (container.taskCount >= container.limits.tasksMax) {
      throw new StartError(`Cannot execute in container ${container.id}: its limit of tasks is reached`, 128);
    }
    const { uts, ipc, net, mount } = init.namespaces;
    const place = new Path(mount.root, mount.root.root);
    task = createInitTask(container, {
      thread,
      mm: new MemoryMap(thread.addressSpace, kernel.host, kernel.account.heap),
      credentials: credentialsOf(process),
      files: new FdTable(),
      fs: new FsContext(place, place, process.umask),
      namespaces: new TaskNamespaces(uts, ipc, net, mount, container.pids),
      limits: limitsOf(process, kernel.memoryTotalBytes),
    });
    const { credentials } = task;
    task.credentials = newCredentials(0, 0, [], ALL_CAPABILITIES);
    const home = process.wantsHome ? homeOf(task, process.uid) : "";
    task.credentials = credentials;
    console = openConsole(task, stdio, process.terminal);
    prepare(task, process, stdio, console, home);
    kernel.ready.push(task);
    return { task, console };
  } catch (error) {
    if (task === null) thread.addressSpace.release();
    else killGroup(task.threadGroup, SIGKILL);
    exitKilled(kernel);
    console?.host.close();
    throw error;
  } finally {
    for (const descriptor of stdio) descriptor.drop();
  }
}

/** Gives back what a container was to be made of. */
export function discard(parts: ContainerParts): void {
  parts.thread.addressSpace.release();
  for (const descriptor of parts.stdio) descriptor.drop();
  parts.gofer.release();
}

/** Gives back what had been made of a container that does not start; its stdio aside. */
function abandon(container: Container, parts: ContainerParts): void {
  if (container.init === null) parts.thread.addressSpace.release();
  killContainer(container);
  exitKilled(container.kernel);
  container.forget();
}

/** What its init begins with: what it shares is that of other containers. Its network is the sandbox's. */
function namespacesOf(kernel: Kernel, config: ContainerConfig, mounts: MountNamespace): TaskNamespaces {
  const { sharing } = config, inodes = kernel.namespaceInodes;
  const root = kernel.rootContainer;
  const whose = (id: string) => id === "" ? undefined : kernel.containers.get(id)?.namespaces;
  const names = () => [utf8ToByteString(config.hostname), utf8ToByteString(config.domainname)] as const;
  return new TaskNamespaces(
    whose(sharing.uts)?.uts ?? new UtsNamespace(inodes.next(), ...names()),
    whose(sharing.ipc)?.ipc ?? new IpcNamespace(inodes.next()),
    root?.namespaces.net ?? new NetNamespace(inodes.next(), { isLoopbackUp: true }),
    mounts,
    root === null
      ? kernel.rootPids
      : whose(sharing.pid)?.pidForChildren ?? new PidNamespace(inodes.next(), kernel.rootPids),
  );
}

/**
 * Connects to the gofer of container `config` over `socketFd`, which is taken over. Its loss is the end of the container,
 * which may not be there yet.
 */
export function connectToGofer(
  kernel: Kernel,
  config: ContainerConfig,
  socketFd: number,
  millisMax = GOFER_MILLIS_MAX,
): ContainerGofer {
  const socket = kernel.descriptors.own(socketFd, "donated", HOST_READ | HOST_WRITE, "the gofer's socket");
  const channel = connectGofer(socket.fd, kernel.platform.ownCpu, millisMax);
  if (typeof channel === "number") {
    socket.drop();
    throw new StartError(`Cannot connect to the gofer: ${errnoName(-channel)}`, 128);
  }
  const connection = new GoferConnection(channel);
  connection.onLost = (reason) => onGoferLost(kernel, config.id, reason);
  const late = new LateRequests(kernel, connection);
  connection.late = late;
  // A container that asks for no files would not notice its loss.
  const watch = kernel.watches.add(socket, POLLIN | POLLRDHUP, { onHostEvents: () => late.collect() });
  const mounts = config.gofers.map(({ isReadOnly, isExclusive }, i) =>
    new GoferFilesystem(kernel, new GoferClient(connection, i), kernel.descriptors, isReadOnly, isExclusive)
  );
  const release = () => {
    watch.end();
    channel.close();
    socket.drop();
  };
  return { mounts, release };
}

/** A container cannot go on without its gofer. One of several ends as if it had been killed. */
function onGoferLost(kernel: Kernel, id: string, reason: string): void {
  const container = kernel.containers.get(id);
  if (container === undefined || container.exitStatus >= 0) return;
  if (container.isRoot) {
    kernel.notice(reason);
    container.end(STATUS_FAILED);
  }
  killContainer(container);
}

/** The init of `container`, on `thread`, with nothing in its memory. */
function newInit(container: Container, config: ContainerConfig, thread: GuestThread, root: Path): Task {
  const { kernel, namespaces } = container;
  return createInitTask(container, {
    thread,
    mm: new MemoryMap(thread.addressSpace, kernel.host, kernel.account.heap),
    credentials: credentialsOf(config.process),
    files: new FdTable(),
    fs: new FsContext(root, root, config.process.umask),
    namespaces,
    limits: limitsOf(config.process, kernel.memoryTotalBytes),
  });
}

function credentialsOf(process: ProcessConfig): Credentials {
  const plain = newCredentials(process.uid, process.gid, process.additionalGids, ALL_CAPABILITIES);
  const sets = process.capabilities;
  if (sets === null) return process.noNewPrivileges ? plain.with({ noNewPrivs: true }) : plain;
  return plain.with({
    bounding: capabilitySet(sets.bounding),
    effective: capabilitySet(sets.effective),
    inheritable: capabilitySet(sets.inheritable),
    permitted: capabilitySet(sets.permitted),
    ambient: capabilitySet(sets.ambient),
    noNewPrivs: process.noNewPrivileges,
  });
}

function capabilitySet(names: readonly string[]): CapabilitySet {
  return CapabilitySet.of(names.map((name) => {
    const number = CAPABILITY_NAMES.indexOf(name);
    if (number < 0) throw new StartError(`Unknown capability ${name}`, 128);
    return number;
  }));
}

function limitsOf(process: ProcessConfig, memoryBytes: number): Rlimits {
  const limits = newRlimits(memoryBytes);
  for (const { type, soft, hard } of process.rlimits) {
    const number = RLIMIT_NAMES.indexOf(type);
    if (number < 0) throw new StartError(`Unknown rlimit ${type}`, 128);
    limits.set(number, soft, hard);
  }
  return limits;
}

function makeDirectory(task: Task, path: string): void {
  if (resolve(task, AT_FDCWD, utf8ToByteString(path), FOLLOW) === -ENOENT) {
    mountPoint(task, task.namespaces.mount, path, true);
  }
}

function enterDirectory(task: Task, cwd: string): void {
  const path = resolve(task, AT_FDCWD, utf8ToByteString(cwd), FOLLOW);
  if (typeof path === "number") throw new StartError(`Cannot enter ${cwd}: ${errnoName(-path)}`, 128);
  if (!path.inode.isDirectory) throw new StartError(`Cannot enter ${cwd}: ${errnoName(ENOTDIR)}`, 128);
  task.fs.cwd = path;
}
