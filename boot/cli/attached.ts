// Runs a sandbox with the caller's stdio and signals, to its end. Where the launcher is at hand this process becomes it as
// soon as the container runs (native/src/attend.rs), and comes back here for what that cannot do.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { becomeProgram, divertSignals, receiveSignals, waitProcess } from "../../native/process.ts";
import { finishController, serveController } from "../../native/controller.ts";
import { handOver, takeOver } from "../control/channel.ts";
import type { CgroupRecord } from "../cgroup/cgroup.ts";
import { removalFrom, removalOf } from "../cgroup/removal.ts";
import type { MessageFrom } from "../control/protocol.ts";
import { controllerProgram, type Launch, launch, RunningSandbox } from "../launch.ts";
import { Stages } from "../stages.ts";
import type { ContainerTerminal } from "../terminal.ts";
import type { GlobalFlags } from "./flags.ts";
import type { Outputs } from "./outputs.ts";

const stages = new Stages("command line");

/** Signals passed on to the container's init, by number. The launcher passes on SIGUSR1 as well. */
export const FORWARDED: readonly (readonly [Deno.Signal, number])[] = [
  ["SIGHUP", 1],
  ["SIGINT", 2],
  ["SIGQUIT", 3],
  ["SIGUSR2", 12],
  ["SIGTERM", 15],
  ["SIGWINCH", 28],
];

/** First argument of a process that waits for a container's end; then the descriptor of a message `attend`. */
export const ATTEND = "--attend";

/** What a container is run with besides its Launch. */
export interface Attachment {
  readonly terminal: ContainerTerminal | null;
  /** The record in the state directory that goes with the container; null = none. */
  readonly record: { readonly root: string; readonly id: string } | null;
  /** The cgroup that is removed at the end; null = none. */
  readonly cgroup?: CgroupRecord | null;
  /** Files that are copied out at the end. They have somebody here until then. */
  readonly outputs?: Outputs | null;
  readonly flags: Pick<GlobalFlags, "log" | "logFormat">;
  /** Where clients of the control API connect; -1 = nowhere. */
  readonly listener?: number;
  /** Called when the container is ready: it runs, or waits where it is to be held. */
  readonly onReady?: (pid: number, controlFd: number) => void | Promise<void>;
  /** Called when one that was held has been started. It has somebody here until its end, as what follows that is ours too. */
  readonly onStart?: (() => void | Promise<void>) | null;
}

/** Launches and waits; the exit code: the container's status, or 128 + signal. */
export async function runAttached(options: Launch, attachment: Attachment): Promise<number> {
  const { terminal } = attachment;
  stages.reach("arguments and bundle are read");
  const sandbox = await launch(options);
  stages.reach("sentry and gofer are told");
  if (terminal !== null) releaseOpened(terminal);
  const launcher = Deno.env.get("TSVISOR_LAUNCHER");
  // The launcher finds in the pipe what has come until then. In a checkout there is none, and we stay.
  const hasMoreToDo = (attachment.onStart ?? attachment.outputs ?? null) !== null;
  if (attachment.outputs) sandbox.onExported = (message) => attachment.outputs!.hear(message);
  const diverted = launcher === undefined || hasMoreToDo ? -1 : divertSignals();
  const stopListening = diverted >= 0 ? () => {} : passSignalsOn(sandbox, terminal !== null);
  try {
    terminal?.caller?.makeRawGuarded();
    await sandbox.ready();
    stages.reach("the container runs");
    await attachment.onReady?.(sandbox.sentryPid, sandbox.controlFd);
    if (options.sentry.isHeld) sandbox.start();
    await attachment.onStart?.();
    if (diverted >= 0) becomeLauncher(launcher!, diverted, sandbox, options, attachment);
    serveControlApi(attachment.listener ?? -1, sandbox);
    const status = await sandbox.exited();
    stages.reach("sentry and gofer have ended");
    return exitCode(status);
  } finally {
    sandbox.kill();
    finishController();
    logStages(options);
    terminal?.caller?.restore();
    stopListening();
  }
}

/** What becomeLauncher() has left in descriptor `fd`. */
export function attendance(fd: number): Attendance {
  return takeOver(fd, "attend");
}

export type Attendance = Extract<MessageFrom<"self">, { kind: "attend" }>;

/** Goes on where becomeLauncher() has left. */
export async function resumeAttached(attendance: Attendance): Promise<number> {
  const { control, sentry, gofer, guard, release, hasTerminal, root, id, cgroup } = attendance;
  const sandbox = new RunningSandbox(commandLineHost(), { sentry, gofer, control, goferControl: -1 });
  const stopListening = passSignalsOn(sandbox, hasTerminal);
  receiveSignals();
  serveControlApi(attendance.listener, sandbox);
  try {
    return exitCode(await sandbox.exited());
  } finally {
    sandbox.kill();
    finishController();
    stopListening();
    if (guard > 0) {
      commandLineHost().close(release);
      waitProcess(guard, true);
    }
    if (cgroup !== "") await (await import("./host_cgroup.ts")).removeCgroup(removalFrom(cgroup));
    // Loaded when it is needed: it reads documents, which `do` does not.
    if (id !== "") new (await import("../oci/state.ts")).StateDirectory(root).remove(id);
  }
}

/** A thread of ours starts a controller when somebody connects. */
function serveControlApi(listener: number, sandbox: RunningSandbox): void {
  if (listener < 0) return;
  const { argv, environment } = controllerProgram();
  serveController(listener, sandbox.controlFd, argv, environment);
}

export function exitCode(status: number): number {
  return (status & 0x7f) === 0 ? status >> 8 & 0xff : 128 + (status & 0x7f);
}

/** Gives back what ends it. */
function passSignalsOn(sandbox: RunningSandbox, hasTerminal: boolean): () => void {
  const listeners = FORWARDED.map(([name, number]) => {
    const isResize = name === "SIGWINCH" && hasTerminal;
    const listener = () => isResize ? sandbox.resized() : sandbox.signal(number);
    Deno.addSignalListener(name, listener);
    return { name, listener };
  });
  return () => {
    for (const { name, listener } of listeners) Deno.removeSignalListener(name, listener);
  };
}

function becomeLauncher(
  launcher: string,
  diverted: number,
  sandbox: RunningSandbox,
  options: Launch,
  attachment: Attachment,
): never {
  const { terminal, record, cgroup, flags, listener = -1 } = attachment;
  logStages(options);
  const guard = terminal?.caller?.guard ?? null;
  const fd = handOver(commandLineHost(), {
    kind: "attend",
    control: sandbox.controlFd,
    diverted,
    listener,
    sentry: sandbox.sentryPid,
    gofer: sandbox.goferPid,
    pid: 0,
    guard: guard?.pid ?? 0,
    release: guard?.release ?? -1,
    hasTerminal: terminal !== null,
    root: record?.root ?? "",
    id: record?.id ?? "",
    cgroup: removalOf(cgroup ?? undefined),
    log: flags.log,
    logFormat: flags.logFormat,
  });
  const kept = [sandbox.controlFd, fd];
  if (guard !== null) kept.push(guard.release);
  if (listener >= 0) kept.push(listener);
  const failure = becomeProgram([launcher, ATTEND, String(fd)], kept);
  throw new Error(`Cannot start ${launcher}: ${errnoName(-failure)}`);
}

function logStages(options: Launch): void {
  if (!options.sentry.isDebug) return;
  const lines = stages.take();
  if (options.debugLog === "") { for (const line of lines) console.error(line); }
  else Deno.writeTextFileSync(options.debugLog, lines.map((line) => `${line}\n`).join(""), { append: true });
}

/** The sentry has its own copies of them now. */
function releaseOpened(terminal: ContainerTerminal): void {
  const host = commandLineHost();
  for (const fd of terminal.opened) host.close(fd);
}
