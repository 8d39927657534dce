// From a SentryConfig to a kernel with its first task: file systems, mounts, credentials, limits, stdio, program.

import { errnoName } from "../kernel/abi/errno.ts";
import { EACCES, ENOENT, ENOTDIR } from "../kernel/abi/errno.ts";
import { AT_FDCWD, MS_RDONLY, MS_RELATIME, O_RDONLY, S_IFREG } from "../kernel/abi/file.ts";
import { GoferClient } from "../gofer/client.ts";
import { FILE_REGISTRY } from "../kernel/fs/registry.ts";
import { DEVPTS_TYPE, DevptsFilesystem, openTerminal } from "../kernel/fs/devpts.ts";
import { GoferFilesystem } from "../kernel/fs/gofer/filesystem.ts";
import { isHostTerminal, newHostStdio } from "../kernel/fs/host_stdio.ts";
import { OverlayFilesystem } from "../kernel/fs/overlay/overlay.ts";
import { Tmpfs } from "../kernel/fs/tmpfs.ts";
import { HOST_READ, HOST_WRITE, type HostDescriptor } from "../kernel/host/host_descriptor.ts";
import { Kernel } from "../kernel/kernel.ts";
import { MemoryMap } from "../kernel/mm/address_space.ts";
import { createInitTask } from "../kernel/task/clone.ts";
import {
  ALL_CAPABILITIES,
  CapabilitySet,
  type Credentials,
  newCredentials,
} from "../kernel/task/credentials.ts";
import { executeFirst } from "../kernel/task/exec.ts";
import {
  IpcNamespace,
  NetNamespace,
  PidNamespace,
  TaskNamespaces,
  UtsNamespace,
} from "../kernel/task/namespaces.ts";
import { newRlimits, RLIMIT_NAMES, type Rlimits } from "../kernel/task/rlimits.ts";
import type { Task } from "../kernel/task/task.ts";
import { HostConsole } from "../kernel/tty/host_console.ts";
import { setTerminal } from "../kernel/tty/job_control.ts";
import type { Terminal } from "../kernel/tty/terminal.ts";
import { termiosOf } from "../kernel/tty/termios.ts";
import { HostClock } from "../kernel/time/clock.ts";
import { bytesToLatin1, utf8ToByteString } from "../kernel/util/bytes.ts";
import { FdTable } from "../kernel/vfs/fd_table.ts";
import type { File } from "../kernel/vfs/file.ts";
import { bind } from "../kernel/vfs/mounting.ts";
import type { Filesystem } from "../kernel/vfs/filesystem.ts";
import { FsContext } from "../kernel/vfs/fs_context.ts";
import { MountNamespace, newMount } from "../kernel/vfs/mount.ts";
import { Path } from "../kernel/vfs/path.ts";
import { openPath } from "../kernel/vfs/open.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import type { GuestThread, Host, Platform } from "../platform/platform.ts";
import { CAPABILITY_NAMES } from "../kernel/abi/task.ts";
import { StartError } from "./start_error.ts";
import { addMounts, mountPoint } from "./mounts.ts";
import type { ProcessConfig, SentryConfig, TerminalConfig } from "./sentry_config.ts";

const POLLRDHUP = 0x2000;
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * The kernel of `config` with its init task, on `thread`, ready to run; `stdioFds` are its three descriptors and `goferSockets` its
 * connections. Throws StartError with one sentence for the user.
 */
export function loadContainer(
  config: SentryConfig,
  stdioFds: readonly number[],
  goferSockets: readonly number[],
  host: Host,
  platform: Platform,
  thread: GuestThread,
): Kernel {
  const limits = { tasksMax: config.tasksMax, memoryBytesMax: config.memoryBytesMax };
  const clock = new HostClock(host);
  const kernel = new Kernel(
    host,
    platform,
    clock,
    limits,
    FILE_REGISTRY,
    config.cpuCount,
    config.memoryTotalBytes,
  );
  kernel.hardware = { hwcap: config.host.hwcap, hwcap2: config.host.hwcap2, minSignalStackBytes: 3632 };
  kernel.cpuinfo = config.host.cpuinfo;
  const { files, heap } = kernel.account;
  files.onRefusal = () =>
    kernel.notice(
      `Limit of memory reached: ${files.limitBytes} bytes of files in memory; they get ENOSPC`,
    );
  heap.onRefusal = () =>
    kernel.notice(
      `Limit of kernel memory reached: ${heap.limitBytes} bytes; calls get ENOMEM or its like`,
    );

  const stdio = ownStdio(kernel, stdioFds);
  const gofers = connectGofers(config, goferSockets, host, kernel);
  const rootFs = rootFilesystem(config, kernel, gofers);
  const rootMount = newMount(rootFs, "none", config.root.isReadOnly ? MS_RDONLY | MS_RELATIME : MS_RELATIME);
  const mounts = new MountNamespace(rootMount, kernel.namespaceInodes.next());
  // The sandbox's own goes with the sandbox: nothing of it is put away before.
  mounts.hold();
  const rootPath = new Path(rootMount, rootMount.root);
  const task = firstTask(config, kernel, thread, mounts, rootPath);
  if (config.process.diesOfSignals) task.threadGroup.isUnkillable = false;
  // Until its program starts the first task is root, whoever it will be: it builds the container.
  const { credentials } = task;
  task.credentials = newCredentials(0, 0, [], ALL_CAPABILITIES);
  addMounts(task, mounts, config, gofers);
  if (config.process.makesCwd) makeDirectory(task, config.process.cwd);
  const home = config.process.wantsHome ? homeOf(task, config.process.uid) : "";
  task.credentials = credentials;
  openStdio(task, config, stdio, openConsole(task, stdio, config.process.terminal));
  for (const descriptor of stdio) descriptor.drop();
  enterDirectory(task, config.process.cwd);
  startProgram(task, config.process, home);
  return kernel;
}

function connectGofers(
  config: SentryConfig,
  sockets: readonly number[],
  host: Host,
  kernel: Kernel,
): GoferFilesystem[] {
  return config.gofers.map((gofer, i) => {
    const client = new GoferClient(host, sockets[i], kernel.platform.ownCpu);
    client.onLost = (reason) => {
      // All of its connections end with the gofer.
      if (kernel.exitStatus < 0) kernel.notice(reason);
      kernel.exitStatus = 128 << 8;
    };
    // A container that asks for no files would not notice.
    const socket = kernel.descriptors.own(
      sockets[i],
      "donated",
      HOST_READ | HOST_WRITE,
      "a gofer connection",
    );
    kernel.watches.add(socket, POLLRDHUP, { onHostEvents: () => client.hangUp() });
    return new GoferFilesystem(kernel.vfs, client, host, gofer.isReadOnly, gofer.isExclusive);
  });
}

function rootFilesystem(
  config: SentryConfig,
  kernel: Kernel,
  gofers: readonly GoferFilesystem[],
): Filesystem {
  if (!config.root.hasOverlay) return gofers[0];
  // As a tmpfs of its own: what is written to it must not take all memory of the host.
  const sizeBytes = Math.floor(kernel.limits.memoryBytesMax / 2);
  const limits = { mode: 0o755, uid: 0, gid: 0, sizeBytes, inodes: Infinity };
  const upper = new Tmpfs(kernel, limits, "");
  return new OverlayFilesystem(upper.root, [gofers[0].root], "lowerdir=host,upperdir=memory");
}

function firstTask(
  config: SentryConfig,
  kernel: Kernel,
  thread: GuestThread,
  mounts: MountNamespace,
  root: Path,
): Task {
  const inodes = kernel.namespaceInodes;
  const pids = new PidNamespace(inodes.next(), null);
  kernel.rootPids = pids;
  const namespaces = new TaskNamespaces(
    new UtsNamespace(inodes.next(), utf8ToByteString(config.hostname), utf8ToByteString(config.domainname)),
    new IpcNamespace(inodes.next()),
    new NetNamespace(inodes.next()),
    mounts,
    pids,
  );
  return createInitTask(kernel, {
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

const STDIO_NAMES = ["stdin", "stdout", "stderr"];

/** The donated descriptors of stdio. A terminal is used both ways, as programs expect. */
function ownStdio(kernel: Kernel, fds: readonly number[]): HostDescriptor[] {
  return STDIO_NAMES.map((name, i) => {
    const rights = isHostTerminal(kernel.host, fds[i])
      ? HOST_READ | HOST_WRITE
      : i === 0
      ? HOST_READ
      : HOST_WRITE;
    return kernel.descriptors.own(fds[i], "donated", rights, name);
  });
}

/**
 * The container's terminal: pts/0 of its devpts, or of one that is mounted nowhere; the init's controlling terminal, and
 * /dev/console. null = it has none.
 */
function openConsole(
  task: Task,
  stdio: readonly HostDescriptor[],
  config: TerminalConfig | null,
): File | null {
  if (config === null) return null;
  const { kernel } = task;
  let fs = [...task.namespaces.mount.mounts()].map((mount) => mount.fs).find((fs) =>
    fs instanceof DevptsFilesystem
  );
  fs ??= DEVPTS_TYPE.mount(task, "devpts", "") as DevptsFilesystem;
  const { uid, gid } = task.credentials;
  const terminal = (fs as DevptsFilesystem).newTerminal(uid, gid) as Terminal;
  terminal.isLocked = false;
  if (config.settings !== null) terminal.setTermios(termiosOf(Uint8Array.from(config.settings), 0));
  const console = new HostConsole(kernel, terminal, stdio);
  if (config.size === null || config.size.rows === 0) console.resize();
  else terminal.setWindowSize(config.size.rows, config.size.columns, 0, 0);
  setTerminal(task.threadGroup, terminal);
  kernel.console = terminal;
  kernel.hostConsole = console;
  console.start();
  const file = openTerminal(task, fs as DevptsFilesystem, terminal);
  if (file.path !== null) bindConsole(task, file.path);
  return file;
}

/** /dev/console is the terminal too, where there is a /dev to have it. */
function bindConsole(task: Task, terminal: Path): void {
  const directory = resolve(task, AT_FDCWD, "/dev", FOLLOW);
  if (typeof directory === "number") return;
  const existing = resolve(task, AT_FDCWD, "/dev/console", FOLLOW);
  const namespace = task.namespaces.mount;
  const at = typeof existing !== "number" ? existing : mountPoint(task, namespace, "/dev/console", false);
  bind(namespace, terminal, at, false);
}

function openStdio(
  task: Task,
  config: SentryConfig,
  stdio: readonly HostDescriptor[],
  console: File | null,
): void {
  for (let fd = 0; fd < stdio.length; fd++) {
    if (console !== null && config.process.terminal!.fds.includes(fd)) {
      console.hold();
      task.files.allocate(task, console, false);
      continue;
    }
    task.files.allocate(task, newHostStdio(task.kernel, stdio[fd]), false);
  }
  console?.drop();
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

/** Bytes of the container's /etc/passwd that are looked at. */
const PASSWD_BYTES_MAX = 1024 * 1024;

/** Home directory of `uid` by the container's /etc/passwd, "/" where it says nothing. */
function homeOf(task: Task, uid: number): string {
  const path = resolve(task, AT_FDCWD, "/etc/passwd", FOLLOW);
  // A FIFO or a device of that name would have us wait.
  if (typeof path === "number" || path.inode.type !== S_IFREG) return "/";
  const file = openPath(task, path, O_RDONLY);
  if (typeof file === "number") return "/";
  const bytes = new Uint8Array(PASSWD_BYTES_MAX);
  let length = 0;
  while (length < bytes.length) {
    const n = file.read(task, bytes, length, bytes.length - length, length);
    if (n <= 0) break;
    length += n;
  }
  file.drop();
  for (const line of bytesToLatin1(bytes, 0, length).split("\n")) {
    const fields = line.split(":");
    if (fields.length >= 6 && fields[2] === String(uid)) return fields[5] === "" ? "/" : fields[5];
  }
  return "/";
}

function startProgram(task: Task, process: ProcessConfig, home: string): void {
  const argv = process.args.map(utf8ToByteString);
  const envp = process.env.map(utf8ToByteString);
  if (home !== "" && !envp.some((entry) => entry.startsWith("HOME="))) envp.push(`HOME=${home}`);
  const name = findProgram(task, argv[0], envp);
  const failure = executeFirst(task, name, argv, envp);
  if (failure !== null) throw new StartError(failure.reason, failure.errno === ENOENT ? 127 : 126);
  if (task.hasExited) throw new StartError(`Cannot run ${process.args[0]}: its image does not load`, 126);
  task.kernel.ready.push(task);
}

/** Looks argv[0] up along PATH, as execvp(3). */
function findProgram(task: Task, name: string, envp: readonly string[]): string {
  if (name === "") throw new StartError("Cannot run the program: its name is empty", 127);
  const variable = envp.find((entry) => entry.startsWith("PATH="))?.slice(5) ?? DEFAULT_PATH;
  const candidates = name.includes("/")
    ? [name]
    : variable.split(":").map((part) => `${part === "" ? "." : part}/${name}`);
  let refusal = -ENOENT;
  for (const candidate of candidates) {
    const path = resolve(task, AT_FDCWD, candidate, FOLLOW);
    if (typeof path === "number") {
      if (path === -EACCES) refusal = path;
      continue;
    }
    if (path.inode.isDirectory || (path.inode.mode & 0o111) === 0) {
      refusal = -EACCES;
      continue;
    }
    return candidate;
  }
  if (refusal === -ENOENT) throw new StartError(`Cannot run ${name}: command not found`, 127);
  throw new StartError(`Cannot run ${name}: permission denied`, 126);
}
