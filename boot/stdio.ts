// Stdin, stdout and stderr of a container: the donated descriptors, or a terminal of its own that is copied to and from them.

import { AT_FDCWD } from "../kernel/abi/file.ts";
import { DEVPTS_TYPE, DevptsFilesystem, openTerminal } from "../kernel/fs/devpts.ts";
import { isHostTerminal, newHostStdio } from "../kernel/fs/host_stdio.ts";
import { HOST_READ, HOST_WRITE, type HostDescriptor } from "../kernel/host/host_descriptor.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { Task } from "../kernel/task/task.ts";
import { HostConsole } from "../kernel/tty/host_console.ts";
import { setTerminal } from "../kernel/tty/job_control.ts";
import type { Terminal } from "../kernel/tty/terminal.ts";
import { termiosOf } from "../kernel/tty/termios.ts";
import type { File } from "../kernel/vfs/file.ts";
import { bind } from "../kernel/vfs/mounting.ts";
import type { Path } from "../kernel/vfs/path.ts";
import { FOLLOW, resolve } from "../kernel/vfs/path_walk.ts";
import { mountPoint } from "./mounts.ts";
import type { TerminalConfig } from "./sentry_config.ts";

const STDIO_NAMES = ["stdin", "stdout", "stderr"];
export const STDIO_COUNT = STDIO_NAMES.length;

/** The donated descriptors of stdio. A terminal is used both ways, as programs expect. */
export function ownStdio(kernel: Kernel, fds: readonly number[]): HostDescriptor[] {
  return STDIO_NAMES.map((name, i) => {
    const rights = isHostTerminal(kernel.host, fds[i])
      ? HOST_READ | HOST_WRITE
      : i === 0
      ? HOST_READ
      : HOST_WRITE;
    return kernel.descriptors.own(fds[i], "donated", rights, name);
  });
}

/** Descriptors that a process is given from 3 on, whatever they are. */
export function ownPassed(kernel: Kernel, fds: readonly number[]): HostDescriptor[] {
  return fds.map((fd) =>
    kernel.descriptors.own(fd, "donated", HOST_READ | HOST_WRITE, "passed by the caller")
  );
}

/** A terminal that a process has been given, and what copies it to and from the host. */
export interface Console {
  readonly terminal: Terminal;
  readonly host: HostConsole;
  readonly file: File;
}

/**
 * A terminal for `task`: the next of the container's devpts, or of one that is mounted nowhere; its controlling terminal.
 * null = it has none.
 */
export function openConsole(
  task: Task,
  stdio: readonly HostDescriptor[],
  config: TerminalConfig | null,
): Console | null {
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
  else console.setSize(config.size.rows, config.size.columns);
  setTerminal(task.threadGroup, terminal);
  console.start();
  return { terminal, host: console, file: openTerminal(task, fs as DevptsFilesystem, terminal) };
}

/** /dev/console is the terminal too, where there is a /dev to have it. */
export function bindConsole(task: Task, terminal: Path): void {
  const directory = resolve(task, AT_FDCWD, "/dev", FOLLOW);
  if (typeof directory === "number") return;
  const existing = resolve(task, AT_FDCWD, "/dev/console", FOLLOW);
  const namespace = task.namespaces.mount;
  const at = typeof existing !== "number" ? existing : mountPoint(task, namespace, "/dev/console", false);
  bind(namespace, terminal, at, false);
}

/**
 * Descriptors 0 to 2 of a process that boot starts: its console, files over `stdio` where that is not. They belong to user
 * `owner`, who may open /dev/stdin and its like (-1 = to whom they belong on the host). runc changes the owner at the host
 * for that (fixStdioPermissions); ours is seen inside alone.
 */
export function openStdio(
  task: Task,
  stdio: readonly HostDescriptor[],
  config: TerminalConfig | null,
  console: File | null,
  owner: number,
): void {
  for (let fd = 0; fd < stdio.length; fd++) {
    if (console !== null && config!.fds.includes(fd)) {
      console.hold();
      task.files.allocate(task, console, false);
      continue;
    }
    const file = newHostStdio(task.kernel, stdio[fd]);
    if (owner >= 0) file.inode.uid = owner;
    task.files.allocate(task, file, false);
  }
  console?.drop();
}

/** What it is given besides: each of `passed` has its number in `passedAs`, or the next one. It belongs to `owner` as stdio does. */
export function openPassed(
  task: Task,
  passed: readonly HostDescriptor[],
  passedAs: readonly number[] | undefined,
  owner: number,
): void {
  for (const [i, descriptor] of passed.entries()) {
    const file = newHostStdio(task.kernel, descriptor);
    if (owner >= 0) file.inode.uid = owner;
    task.files.replace(task, passedAs?.[i] ?? STDIO_COUNT + i, file, false);
  }
}
