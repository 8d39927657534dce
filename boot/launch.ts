// Starts the processes of a sandbox, gofer and sentry, and stays with them: readiness, signals, the exit status.

import { EACCES, EAGAIN, EINVAL, ENOSPC, EPERM, errnoName } from "../kernel/abi/errno.ts";
import { commandLineHost, type NativeHost } from "../native/host.ts";
import {
  killProcess,
  receiveLater,
  socketPair,
  type StartedRoles,
  startRoles,
  waitProcess,
} from "../native/process.ts";
import { childrenOf } from "./cgroup/files.ts";
import { guestScore, ownScore, setScore } from "./cgroup/oom_score.ts";
import { DIRECTORY, IS_BUNDLED, libraryOfRoles, runtimePath } from "./place.ts";
import { rememberCompiled, warmArguments } from "./code_cache.ts";
import type { Attendant } from "./attendant.ts";
import { receive, send, takeOver } from "./control/channel.ts";
import { decode, FRAME_BYTES_MAX, type MessageFrom, SCOPE } from "./control/protocol.ts";
import { memoryOf } from "./host_facts.ts";
import { type Role, roleArguments, roleEnvironment } from "./roles.ts";
import type { GoferConfig, SentryConfig } from "./sentry_config.ts";
import { sendGoferSetup } from "./gofer_setup.ts";
import { sendSetup } from "./setup.ts";
import { StartError } from "./start_error.ts";

const STDERR = 2;
const SIGKILL = 9;
const SIGSYS = 31;
/** Between two looks at a sandbox's memory, while it has promised more than it may use. */
const MEASURE_MILLIS = 100;
/** Sentences of one sandbox that the user hears; as many as an honest sentry sends. */
const NOTICES_MAX = 16;

/** Where this program stands, and whether as bundles (dist/) or as a checkout. */

/** What a sandbox is made of. */
export interface Launch {
  readonly sentry: SentryConfig;
  readonly gofer: GoferConfig;
  /** Descriptors of the container's stdio. */
  readonly stdio: readonly [number, number, number];
  /** File that sentry and gofer log to; "" = nowhere. */
  readonly debugLog: string;
  /** For /proc/PID/oom_score_adj of sentry, gofer and guests; null = the caller's. */
  readonly oomScoreAdj: number | null;
  /** Where the host ends the memory of the sandbox, bytes; 0 = nowhere. */
  readonly memoryLimitBytes?: number;
  /** Puts the sandbox's processes where the host limits them. They know nothing yet, and have no guest. */
  readonly enter?: (pids: readonly number[]) => Promise<void>;
  /** How a caller that is not root sees its files inside: as root's (a container), or as its own. */
  readonly isRootInside: boolean;
  /** What the container's first process gets from 3 on. */
  readonly passed?: readonly number[];
  /** Where the sentry copies `sentry.outputs`. */
  readonly outputs?: readonly number[];
}

export class RunningSandbox {
  readonly sentryPid: number;
  readonly goferPid: number;
  readonly #host: NativeHost;
  readonly #control: number;
  /** Until the container runs the gofer may say why it cannot; then -1. */
  #goferControl: number;
  /** A byte more than fits: a packet that is longer is cut, and would look whole. */
  readonly #buffer = new Uint8Array(FRAME_BYTES_MAX + 1);
  /** The parent of sentry and gofer; null: they are our children. */
  readonly #attendant: Attendant | null;
  /** What the user should hear. */
  onNotice: (sentence: string) => void = (sentence) => console.error(`tsvisor: ${sentence}`);
  /** How a file that is to be copied out has fared. */
  onExported: (message: Extract<MessageFrom<"role">, { kind: "exported" }>) => void = () => {};
  #noticeCount = 0;
  /** Of guests' processes, for the host that is short of memory; null = the caller's. */
  #guestScore: number | null = null;
  /** A sentence about what the caller may not do. */
  #unset = "";
  #isOver = false;
  #meter: ReturnType<typeof setInterval> | undefined = undefined;

  /** Of a sandbox that runs `goferControl` is -1. */
  constructor(
    host: NativeHost,
    { sentry, gofer, control, goferControl }: StartedRoles,
    attendant: Attendant | null = null,
  ) {
    this.#host = host;
    this.#attendant = attendant;
    this.sentryPid = sentry;
    this.goferPid = gofer;
    this.#control = control;
    this.#goferControl = goferControl;
  }

  /** Its processes of ours; what guests have, these make. */
  get pids(): readonly number[] {
    const own = [this.sentryPid, this.goferPid];
    return this.#attendant === null ? own : [this.#attendant.pid, ...own];
  }

  /**
   * Says whom the host is to end when memory is short: `score` (null = the caller's) for the sandbox, more for the guests where
   * its memory ends at `limitBytes` (0 = nowhere).
   */
  score(score: number | null, limitBytes: number): void {
    this.#guestScore = limitBytes === 0 ? score : guestScore(score ?? ownScore(), limitBytes);
    if (score !== null && !setScore([this.sentryPid, this.goferPid], score)) {
      this.#unset = `process.oomScoreAdj: ${score} is not the caller's to set (CAP_SYS_RESOURCE)`;
    }
  }

  /** Guests' processes have the score of the one that they are forked from; the first are there before we know it. */
  #scoreGuests(): void {
    if (this.#guestScore !== null) setScore(childrenOf(this.sentryPid), this.#guestScore);
    if (this.#unset !== "") this.onNotice(this.#unset);
  }

  /** Our end of the control socket. */
  get controlFd(): number {
    return this.#control;
  }

  /** As controlFd, to the gofer, until the container runs. */
  get goferControlFd(): number {
    return this.#goferControl;
  }

  /** Waits until the container runs. Throws StartError with the sentry's reason. */
  async ready(): Promise<void> {
    for (;;) {
      const message = await this.#next();
      if (message?.kind === "ready") break;
      if (message?.kind === "exit") {
        this.kill();
        throw new StartError("The sandbox has ended before the container ran", 128 + (message.status & 0x7f));
      }
      if (message === null || message.kind === "failed") {
        // The sentry cannot go on without the gofer, whose message has the reason.
        const failure = this.#goferFailure() ?? message;
        const status = this.kill();
        if (failure !== null) throw new StartError(failure.message, failure.code);
        throw new StartError(`The sentry ${endOf(status)} before the container ran`, 128);
      }
      this.#hear(message);
    }
    this.#closeGoferControl();
    this.#scoreGuests();
    if (IS_BUNDLED) await rememberCompiled(DIRECTORY);
  }

  #goferFailure(): Extract<MessageFrom<"role">, { kind: "failed" }> | null {
    if (this.#goferControl < 0) return null;
    const received = receive(this.#host, this.#goferControl, "role", 0);
    if (received === null || received.frame === null) return null;
    return received.frame.message.kind === "failed" ? received.frame.message : null;
  }

  #closeGoferControl(): void {
    if (this.#goferControl >= 0) this.#host.close(this.#goferControl);
    this.#goferControl = -1;
  }

  /** A container that was made held begins to run. */
  start(): void {
    if (!this.#isOver) send(this.#host, this.#control, { kind: "start" });
  }

  /** Sends a signal to the container's init. */
  signal(number: number): void {
    if (!this.#isOver) {
      send(this.#host, this.#control, { kind: "signal", signal: number, pid: 0, scope: SCOPE.PROCESS });
    }
  }

  /** The caller's terminal has changed its size. */
  resized(): void {
    if (!this.#isOver) send(this.#host, this.#control, { kind: "resized", pid: 0 });
  }

  /** Waits for the container's end: its wait(2) status. A sentry that was killed counts as SIGKILL. */
  async exited(): Promise<number> {
    for (;;) {
      const message = await this.#next();
      if (message === null) {
        const status = this.kill(), signal = status & 0x7f;
        if (signal === SIGKILL || signal === 0) return SIGKILL;
        throw new StartError(`The sentry ${endOf(status)}`, 128);
      }
      if (message.kind === "exit") {
        this.kill();
        return message.status;
      }
      this.#hear(message);
    }
  }

  /** What may come at any time. A sentry that says something else is not ours any more. */
  #hear(message: MessageFrom<"role">): void {
    switch (message.kind) {
      case "notice":
        if (this.#noticeCount++ < NOTICES_MAX) this.onNotice(message.message);
        return;
      case "exported":
        this.onExported(message);
        return;
      case "measure":
        this.#measure(message.isWanted);
        return;
      case "failed":
        this.kill();
        throw new StartError(message.message, message.code);
      default:
        this.#distrust(`${message.kind} out of its turn`);
    }
  }

  #distrust(reason: string): never {
    this.kill();
    throw new StartError(`The sentry sent what it never sends (${reason}): the sandbox is ended`, 128);
  }

  async #next(): Promise<MessageFrom<"role"> | null> {
    const { length, fds } = await receiveLater(this.#control, this.#buffer);
    for (const fd of fds) this.#host.close(fd);
    if (length <= 0) return null;
    const frame = decode(this.#buffer, length, "role", fds.length);
    if (typeof frame === "string") this.#distrust(frame);
    // Nothing has been asked.
    return frame.isReply ? this.#distrust(`${frame.message.kind} as a reply`) : frame.message;
  }

  /** Measures for as long as it is wanted: what is promised beyond the limit may be used at any time. */
  #measure(isWanted: boolean): void {
    clearInterval(this.#meter);
    if (!isWanted) return;
    this.#meter = setInterval(() => {
      const bytes = memoryOf(this.sentryPid);
      send(this.#host, this.#control, { kind: "memory", bytes });
    }, MEASURE_MILLIS);
  }

  /** Ends whatever still runs, and reaps it: wait(2) status of the sentry. Safe to call again. */
  kill(): number {
    if (this.#isOver) return 0;
    this.#isOver = true;
    clearInterval(this.#meter);
    let status = 0;
    if (this.#attendant !== null) {
      this.#attendant.dismiss();
    } else {
      const pids = [this.sentryPid, this.goferPid].filter((pid) => pid > 0);
      for (const pid of pids) killProcess(pid, SIGKILL);
      const [first = 0] = pids.map((pid) => waitProcess(pid, true));
      status = first;
    }
    this.#host.close(this.#control);
    this.#closeGoferControl();
    return Math.max(0, status);
  }
}

/** Starts gofer and sentry, or takes those that the launcher has started, and tells them what to do. */
export async function launch(options: Launch): Promise<RunningSandbox> {
  return await tell(options, new RunningSandbox(commandLineHost(), takeStarted(options) ?? start(options)));
}

/** As launch(), with roles that `attendant` has started and stays with. */
export async function launchAttended(
  options: Launch,
  attendant: Attendant,
): Promise<{ readonly sandbox: RunningSandbox; readonly controlFd: number }> {
  const { roles, controlFd } = attendant.takeRoles();
  const sandbox = new RunningSandbox(commandLineHost(), roles, attendant);
  return { sandbox: await tell(options, sandbox), controlFd };
}

/** A gofer for a container in another one's sandbox, as launch() starts one; the sentry that comes with it is ended. */
export function launchGofer(options: Launch): StartedRoles {
  const roles = takeStarted(options) ?? start(options);
  killProcess(roles.sentry, SIGKILL);
  waitProcess(roles.sentry, true);
  return roles;
}

/** Tells the roles of `sandbox` what to do; ends them where that fails. */
async function tell(options: Launch, sandbox: RunningSandbox): Promise<RunningSandbox> {
  const host = commandLineHost();
  const opened: number[] = [];
  try {
    await options.enter?.(sandbox.pids);
    const [client, server] = socketPair();
    opened.push(client, server);
    const logFd = openLog(host, options);
    opened.push(logFd);
    sandbox.score(options.oomScoreAdj, options.memoryLimitBytes ?? 0);
    sendGoferSetup(host, sandbox.goferControlFd, options.gofer, [logFd, server]);
    const given = [...options.passed ?? [], ...options.outputs ?? []];
    sendSetup(host, sandbox.controlFd, options.sentry, [...options.stdio, logFd, client, ...given]);
  } catch (error) {
    sandbox.kill();
    throw error;
  } finally {
    for (const fd of opened) host.close(fd);
  }
  return sandbox;
}

/** Set by the launcher (native/launcher) where it has started roles: the descriptor that says which. */
export const HANDOVER = "TSVISOR_HANDOVER";

/** What the launcher has started, if it is what `options` needs; otherwise it is ended. */
function takeStarted(options: Launch): StartedRoles | null {
  const roles = started();
  if (roles === null) return null;
  if (roles.isRootInside === options.isRootInside && !hasOwnTerminal(options)) return roles;
  end(roles);
  return null;
}

/** Ends what the launcher has started and nobody has taken. */
export function endStarted(): void {
  const roles = started();
  if (roles !== null) end(roles);
}

/** Can be taken once. */
function started(): StartedRoles & { readonly isRootInside: boolean } | null {
  const text = Deno.env.get(HANDOVER);
  if (text === undefined) return null;
  Deno.env.delete(HANDOVER);
  const roles = takeOver(Number(text), "started");
  commandLineHost().close(Number(text));
  return roles;
}

function end(roles: StartedRoles): void {
  const host = commandLineHost();
  const pids = [roles.sentry, roles.gofer];
  for (const pid of pids) killProcess(pid, SIGKILL);
  for (const pid of pids) waitProcess(pid, true);
  host.close(roles.control);
  host.close(roles.goferControl);
}

function hasOwnTerminal(options: Launch): boolean {
  return options.sentry.process.terminal?.isOwn === true;
}

/** How a controller is started. */
export function controllerProgram(): { readonly argv: string[]; readonly environment: string[] } {
  return { argv: roleCommand("controller"), environment: environmentOfRoles() };
}

/** How the net process of a sandbox with --network=user is started. */
export function relayProgram(): { readonly argv: string[]; readonly environment: string[] } {
  return { argv: roleCommand("relay"), environment: environmentOfRoles() };
}

function environmentOfRoles(): string[] {
  return roleEnvironment(libraryOfRoles(), denoDirectory());
}

function start(options: Launch): StartedRoles {
  const roles = startRoles({
    sentry: roleCommand("sentry"),
    gofer: roleCommand("gofer"),
    environment: environmentOfRoles(),
    isRootInside: options.isRootInside,
    terminal: hasOwnTerminal(options) ? options.stdio[0] : -1,
  });
  if (typeof roles !== "number") return roles;
  throw new StartError(`Cannot start the sandbox's processes: ${refusal(-roles)}`, 128);
}

/** Why the host does not let us have processes in namespaces, and what helps. */
export function refusal(errno: number): string {
  const name = errnoName(errno);
  if (errno === EAGAIN) return `the limit of processes is reached (${name}); see ulimit -u`;
  if (errno !== EPERM && errno !== ENOSPC && errno !== EACCES && errno !== EINVAL) return name;
  return Deno.uid() === 0
    ? `the host lets this root have no namespaces (${name}); it needs CAP_SYS_ADMIN, or to be allowed user namespaces`
    : `the caller is not root, and the host lets it have no user namespace (${name}); run it as root, or allow them ` +
      "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns); " +
      "in a chroot Linux gives none";
}

/** Bundled there is a file per role beside the command line's; in a checkout main.ts is all of them. */
function roleCommand(role: Role): string[] {
  const entry = DIRECTORY + (IS_BUNDLED ? `${role}.js` : "../main.ts");
  const own = IS_BUNDLED ? warmArguments(DIRECTORY) : [`--role=${role}`];
  return [...roleArguments(runtimePath(), entry, IS_BUNDLED), ...own];
}

function denoDirectory(): string {
  return Deno.env.get("DENO_DIR") ?? `${Deno.env.get("HOME") ?? "/root"}/.cache/deno`;
}

/** What --strace and --debug write is for the caller that has asked for it, with or without a file. */
export function openLog(host: NativeHost, { debugLog, sentry }: Pick<Launch, "debugLog" | "sentry">): number {
  if (debugLog === "" && (sentry.strace || sentry.isDebug)) return host.dup(STDERR);
  const path = debugLog === "" ? "/dev/null" : debugLog;
  const fd = host.openForAppend(path);
  if (fd < 0) throw new StartError(`Cannot open ${path}: ${errnoName(-fd)}`, 128);
  return fd;
}

/** How a process has ended, by its wait(2) status, and where to look. */
function endOf(status: number): string {
  const signal = status & 0x7f;
  const how = signal === SIGSYS
    ? "made a call that its seccomp list does not allow, and was killed"
    : signal !== 0
    ? `died of signal ${signal}`
    : `ended with code ${status >> 8}`;
  return `${how} (--debug-log keeps what it says; its limits are ours: ulimit -a)`;
}
