// A container of a pod: it runs in the sandbox of another container, with a gofer of its own. Who waits for it is connected to
// that sandbox's sentry; the container ends with that connection, and with its gofer.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost, type NativeHost } from "../../native/host.ts";
import { killProcess, socketPair, type StartedRoles, waitProcess } from "../../native/process.ts";
import { Cgroup } from "../cgroup/cgroup.ts";
import { setScore } from "../cgroup/oom_score.ts";
import { ATTENDANCE, type Attendant } from "../attendant.ts";
import { receive, send } from "../control/channel.ts";
import { WAIT_REQUEST } from "../control/protocol.ts";
import { jsonDescriptor } from "../descriptors.ts";
import { type Launch, launchGofer, openLog } from "../launch.ts";
import { shownPid, startTicksOf } from "../oci/state.ts";
import type { ContainerConfig } from "../sentry_config.ts";
import { sendGoferSetup } from "../gofer_setup.ts";
import { StartError } from "../start_error.ts";
import type { ContainerTerminal } from "../terminal.ts";
import { attachedTo } from "./attached_process.ts";
import { currentState } from "./condition.ts";
import { connectTo } from "./control_connection.ts";
import type { GlobalFlags } from "./flags.ts";
import {
  backgroundTerminal,
  type NewContainer,
  runCreateHooks,
  runLateHooks,
  terminalOf,
  writePid,
} from "./new_container.ts";

const SIGKILL = 9;
/** Longest a gofer may take until it serves, and a sentry to make a container, milliseconds: files may be on a slow disk. */
const START_MILLIS_MAX = 60_000;

/** As createInBackground(), in the sandbox that the container names; `attendant` stays with it. */
export async function joinInBackground(
  container: NewContainer,
  attendant: Attendant,
  isHeld: boolean,
  flags: GlobalFlags,
): Promise<void> {
  const { states, record, config, pidFile } = container;
  const terminal = backgroundTerminal(config, container.consoleSocket);
  const { roles, controlFd } = attendant.takeRoles();
  const host = commandLineHost();
  const { socket, sandboxPid } = await join(container, roles, terminal, [attendant.pid]);
  host.close(roles.control);
  host.close(roles.goferControl);
  const startTicks = startTicksOf(attendant.pid);
  const runner = { pid: attendant.pid, startTicks, controlFd };
  const created = {
    ...record,
    pid: attendant.pid,
    startTicks,
    status: "created" as const,
    runner,
    isDetached: true,
  };
  await runCreateHooks(config, created, sandboxPid);
  send(host, socket, { kind: "wait", pid: 0 }, { request: WAIT_REQUEST });
  const attendance = {
    ...ATTENDANCE,
    gofer: roles.gofer,
    hasTerminal: terminal !== null,
    log: flags.log,
    logFormat: flags.logFormat,
  };
  if (!isHeld) send(host, socket, { kind: "start" });
  attendant.attend(attendance, [socket, ...(terminal?.opened ?? [])]);
  host.close(socket);
  // It was deleted by force before it was there.
  if (!states.update({ ...created, status: isHeld ? "created" : "running" })) {
    killProcess(attendant.pid, SIGKILL);
    throw new Error(`Container "${record.id}" was deleted while it started`);
  }
  if (pidFile !== undefined) writePid(pidFile, shownPid(created));
  if (!isHeld) await runLateHooks(config, "poststart", { ...created, status: "running" }, flags);
}

/** As run without --detach: the exit code of a container in the sandbox that it names. */
export async function joinInForeground(
  container: NewContainer,
  keepsRecord: boolean,
  flags: GlobalFlags,
): Promise<number> {
  const { states, record, config, launch, pidFile } = container;
  const host = commandLineHost();
  const terminal = terminalOf(config.process, container.consoleSocket);
  const roles = launchGofer({ ...launch, stdio: [0, 1, 2] });
  try {
    const { socket, sandboxPid } = await join(container, roles, terminal);
    host.close(roles.control);
    host.close(roles.goferControl);
    const startTicks = startTicksOf(Deno.pid);
    const runner = { pid: Deno.pid, startTicks, controlFd: socket };
    const created = { ...record, pid: Deno.pid, startTicks, status: "created" as const, runner };
    await runCreateHooks(config, created, sandboxPid);
    send(host, socket, { kind: "wait", pid: 0 }, { request: WAIT_REQUEST });
    if (!states.update({ ...created, status: "running" })) {
      throw new Error(`Container "${record.id}" was deleted while it started`);
    }
    if (pidFile !== undefined) writePid(pidFile, Deno.pid);
    send(host, socket, { kind: "start" });
    await runLateHooks(config, "poststart", { ...created, status: "running" }, flags);
    const recorded = keepsRecord ? { root: "", id: "" } : { root: flags.root, id: record.id };
    return await attachedTo(socket, { ...ATTENDANCE, ...recorded, gofer: roles.gofer }, terminal, flags);
  } finally {
    killProcess(roles.gofer, SIGKILL);
    waitProcess(roles.gofer, true);
    if (!keepsRecord) states.remove(record.id);
  }
}

/** The connection to the sentry over which the container has been made. Throws StartError with the reason of the refusal. */
async function join(
  { states, config, launch, record }: NewContainer,
  roles: StartedRoles,
  terminal: ContainerTerminal | null,
  attendants: readonly number[] = [],
): Promise<{ readonly socket: number; readonly sandboxPid: number }> {
  const host = commandLineHost();
  const sandbox = await currentState(states, record.sandboxId!);
  if (sandbox.status !== "running") {
    throw new Error(`Cannot join sandbox "${sandbox.id}" in state ${sandbox.status}`);
  }
  const opened: number[] = [];
  let socket = -1;
  try {
    const [client, server] = socketPair();
    opened.push(client, server);
    const logFd = openLog(host, launch);
    opened.push(logFd);
    const score = config.process.oomScoreAdj ?? null;
    if (score !== null) setScore([roles.gofer], score);
    // It is one sandbox for the host, in one cgroup.
    if (sandbox.cgroup !== undefined) new Cgroup(sandbox.cgroup).join([...attendants, roles.gofer]);
    sendGoferSetup(host, roles.goferControl, launch.gofer, [logFd, server]);
    awaitGofer(host, roles.goferControl);
    socket = connectTo(sandbox);
    if (socket < 0) throw new Error(`Cannot join sandbox "${sandbox.id}": ${errnoName(-socket)}`);
    const configFd = jsonDescriptor(host, containerConfig(launch, terminal));
    opened.push(configFd);
    const fds = [configFd, ...(terminal?.stdio ?? [0, 1, 2]), client, ...(launch.passed ?? [])];
    send(host, socket, { kind: "join" }, { request: 1, fds: Int32Array.from(fds) });
    const message = receive(host, socket, "role", START_MILLIS_MAX)?.frame?.message;
    if (message?.kind === "done") return { socket, sandboxPid: sandbox.pid };
    if (message?.kind === "failed") throw new StartError(message.message, message.code);
    const reason = message?.kind === "refused" ? errnoName(message.errno) : "it does not answer";
    throw new StartError(`Cannot join sandbox "${sandbox.id}": ${reason}`, 128);
  } catch (error) {
    if (socket >= 0) host.close(socket);
    throw error;
  } finally {
    for (const fd of opened) host.close(fd);
  }
}

/** It hangs up when it serves, so that the sandbox need not wait for it. */
function awaitGofer(host: NativeHost, control: number): void {
  const received = receive(host, control, "role", START_MILLIS_MAX);
  if (received === null) return;
  const message = received.frame?.message;
  if (message?.kind === "failed") throw new StartError(message.message, message.code);
  throw new StartError("Cannot start the gofer: it does not serve", 128);
}

/** What is the container's own of a configuration for a sandbox. */
function containerConfig(
  { sentry }: Omit<Launch, "stdio">,
  terminal: ContainerTerminal | null,
): ContainerConfig {
  const { id, sharing, gofers, root, mounts, maskedPaths, readonlyPaths, sysctl, devices } = sentry;
  const { hostname, domainname, tasksMax, overlayBytesMax, seccomp, startHooks } = sentry;
  const process = {
    ...sentry.process,
    terminal: terminal === null ? null : { ...terminal.config, isOwn: false },
  };
  return {
    ...{ id, sharing, gofers, root, mounts, maskedPaths, readonlyPaths, sysctl, devices },
    ...{ hostname, domainname, tasksMax, overlayBytesMax, process, seccomp, startHooks },
    isHeld: true,
  };
}
