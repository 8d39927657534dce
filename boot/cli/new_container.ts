// What `create` and `run` have in common: a container from a bundle, its record, its terminal, its first process's number.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { ATTENDANCE, type Attendant, requireAttendant } from "../attendant.ts";
import { listenAt } from "../control/control_socket.ts";
import { type Launch, launchAttended } from "../launch.ts";
import { modeOf, namespacePathOf } from "../net/namespace.ts";
import { filesOf, networkFlagsOf, startUserNetwork } from "../net/user/start.ts";
import type { UserNetwork } from "../net/user/user_network.ts";
import { containerOf } from "../oci/container.ts";
import { missingMounts } from "../oci/guest_view.ts";
import { type HookStage, type HookState, runHooks, runHooksRegardless } from "../oci/hooks.ts";
import { ignoredLine, isEmpty } from "../oci/ignored.ts";
import { ALL_OVERLAID, joinedNamespaces, PodHints, sandboxOf, sharingOf } from "../oci/pod.ts";
import { TASKS_MAX } from "../oci/guest_view.ts";
import { openDirectory, writeWhole } from "../oci/own_directory.ts";
import { type OciConfig, readBundle } from "../oci/spec.ts";
import { type ContainerState, shownPid, startTicksOf, StateDirectory } from "../oci/state.ts";
import { type ContainerTerminal, terminalOfRun, terminalOfSocket } from "../terminal.ts";
import { type FDMapping, parseFDMapping } from "../api/fd_mapping.ts";
import { connectOver, startWithHooks } from "./control_connection.ts";
import { type GlobalFlags, IGNORED, type Options, UsageError } from "./flags.ts";
import { enterCgroup, type HostCgroup, madeCgroup, plannedCgroup, undoCgroup } from "./host_cgroup.ts";
import { initPod } from "./pod_init.ts";
import { reportBackgroundWarning, reportWarning } from "./report.ts";

export const NEW_OPTIONS = {
  bundle: { type: "string", short: "b", value: "DIR", about: "directory of config.json (the current one)" },
  "pid-file": { type: "string", value: "FILE", about: "write the pid that waits for the container to FILE" },
  "console-socket": {
    type: "string",
    value: "PATH",
    about: "Unix socket that gets the container's terminal",
  },
  "preserve-fds": {
    type: "string",
    value: "N",
    about: "the container's first process gets N more of the caller's descriptors, from 3 on",
  },
  "pass-fd": {
    type: "string",
    multiple: true,
    value: "FD:GUEST",
    about: "the first process gets the caller's descriptor FD as GUEST, 3 or more; may come again",
  },
  "user-log": { type: "string", value: "FILE", about: IGNORED },
  "no-pivot": { type: "boolean", about: IGNORED },
  "no-new-keyring": { type: "boolean", about: IGNORED },
} as const satisfies Options;

const PRESERVED_MAX = 256;

/** A container that is to be, with its record. */
export interface NewContainer {
  readonly states: StateDirectory;
  readonly record: ContainerState;
  readonly config: OciConfig;
  readonly launch: Omit<Launch, "stdio">;
  /** The host's, made; null = it has none. */
  readonly cgroup: HostCgroup | null;
  readonly pidFile: string | undefined;
  readonly consoleSocket: string | undefined;
}

/** Reads everything that may be wrong, then takes the id. */
export function prepareContainer(
  values: Record<string, unknown>,
  words: readonly string[],
  flags: GlobalFlags,
  command: "create" | "run",
): NewContainer {
  if (words.length !== 1) {
    throw new UsageError(`${command} takes one container id: tsvisor ${command} [--bundle DIR] ID`);
  }
  const id = words[0];
  const states = new StateDirectory(flags.root);
  states.check(id);
  const bundle = bundleOf((values.bundle as string | undefined) ?? ".");
  const { config, ignored } = readBundle(bundle);
  const consoleSocket = values["console-socket"] as string | undefined;
  if (config.process.terminal !== true && consoleSocket !== undefined) {
    throw new Error("--console-socket is given, but process.terminal is not true");
  }
  const annotations = config.annotations ?? {}, sandboxId = sandboxOf(annotations);
  const sandbox = sandboxId === null ? null : states.read(sandboxId);
  const hints = new PodHints(
    sandbox === null ? annotations : sandbox.annotations,
    flags.overlay.coversSubmounts ? ALL_OVERLAID : null,
  );
  const container = containerOf(bundle, config, { id, hints, ...flags });
  const warn = command === "create" || values.detach === true ? reportBackgroundWarning : reportWarning;
  // The processes of one that shares a sandbox are in the sandbox's.
  const planned = sandbox === null ? plannedCgroup(config, id, flags, (line) => warn(line, flags)) : null;
  const record: ContainerState = {
    id,
    pid: 0,
    bundle,
    created: new Date().toISOString(),
    owner: String(Deno.uid() ?? 0),
    annotations,
    status: "creating",
    startTicks: "",
    runner: { pid: Deno.pid, startTicks: startTicksOf(Deno.pid), controlFd: -1 },
    ...(sandboxId === null ? {} : { sandboxId }),
    // Before it is made: should we be killed meanwhile, `delete` finds in it what to remove.
    ...recordedCgroup(planned),
  };
  const passed = passedBy(values);
  states.create(record);
  const cgroup = makeCgroup(states, record, planned, (line) => warn(line, flags));
  const missing = cgroup?.cgroup.missing(cgroup.resources) ?? [];
  const withoutEffect = [...ignored, ...missing, ...missingMounts(config)];
  if (sandbox === null) withoutEffect.push(...joinedNamespaces(config));
  if (!flags.wantsSeccomp && !isEmpty(config.linux?.seccomp)) {
    withoutEffect.push("linux.seccomp (--oci-seccomp)");
  }
  if (withoutEffect.length > 0) warn(ignoredLine(withoutEffect), flags);
  for (const warning of hints.warnings) warn(warning, flags);
  const pidFile = values["pid-file"] as string | undefined;
  const files = sandboxId === null ? filesOf(config, flags.network) : [];
  const limit = cgroup === null ? 0 : Math.max(0, cgroup.resources.memory?.limit ?? 0);
  const process = { ...container.sentry.process, passedAs: passed.map(({ guest }) => guest) };
  const sentry = { ...container.sentry, process };
  const launch = {
    gofer: container.gofer,
    sentry: sandboxId === null
      ? { ...sentry, files, processesMax: processesMax(sentry, cgroup) }
      : { ...sentry, sharing: sharingOf(config, sandboxId, states.list().states) },
    debugLog: flags.debugLog,
    oomScoreAdj: config.process.oomScoreAdj ?? null,
    memoryLimitBytes: limit,
    ...(cgroup === null
      ? {}
      : { enter: (pids: readonly number[]) => enterCgroup(cgroup, pids, (line) => warn(line, flags)) }),
    isRootInside: true,
    passed: passed.map(({ host }) => host),
  };
  return {
    states,
    record: { ...record, ...recordedCgroup(cgroup) },
    config,
    launch,
    cgroup,
    pidFile,
    consoleSocket,
  };
}

/** A limit that the host keeps may be raised later. */
function processesMax({ tasksMax }: { readonly tasksMax: number }, cgroup: HostCgroup | null): number {
  const hasLimit = (cgroup?.resources.pids?.limit ?? 0) > 0;
  return hasLimit ? Math.max(tasksMax, TASKS_MAX) : tasksMax;
}

/** Where that fails nothing is left of the container. */
function makeCgroup(
  states: StateDirectory,
  record: ContainerState,
  planned: HostCgroup | null,
  warn: (line: string) => void,
): HostCgroup | null {
  if (planned === null) return null;
  try {
    const note = (cgroup: HostCgroup | null) => states.update({ ...record, ...recordedCgroup(cgroup) });
    const cgroup = madeCgroup(planned, record.id, warn, note);
    note(cgroup);
    return cgroup;
  } catch (error) {
    states.remove(record.id);
    throw error;
  }
}

/** What of a cgroup stands in its container's record. */
export function recordedCgroup(host: HostCgroup | null): Pick<ContainerState, "cgroup" | "systemdUnit"> {
  if (host === null) return { cgroup: undefined, systemdUnit: undefined };
  const { version, places } = host.cgroup.record;
  return {
    cgroup: { version, places: places.map((place) => ({ ...place, controllers: [...place.controllers] })) },
    systemdUnit: host.scope?.unit,
  };
}

/** First number of --preserve-fds, behind stdio. */
const FIRST_PASSED = 3;
const GUEST_MAX = 2 ** 16;

/** Descriptors of the caller that --preserve-fds and --pass-fd name, and the numbers they get. */
export function passedBy(values: Record<string, unknown>): FDMapping[] {
  const text = values["preserve-fds"] as string | undefined;
  const count = Number(text ?? "0");
  if (!Number.isInteger(count) || count < 0 || count > PRESERVED_MAX) {
    throw new UsageError(`--preserve-fds: "${text}" is not a number up to ${PRESERVED_MAX}`);
  }
  const preserved = Array.from(
    { length: count },
    (_, i) => ({ host: FIRST_PASSED + i, guest: FIRST_PASSED + i }),
  );
  for (const { host } of preserved) requireOpen(host, `--preserve-fds ${count}`);
  const mapped = ((values["pass-fd"] as string[] | undefined) ?? []).map(mappingOf);
  const passed = [...preserved, ...mapped];
  if (passed.length > PRESERVED_MAX) {
    throw new UsageError(`--pass-fd: more than ${PRESERVED_MAX} descriptors`);
  }
  const twice = passed.find(({ guest }, i) => passed.findIndex((other) => other.guest === guest) < i);
  if (twice !== undefined) throw new UsageError(`--pass-fd: two descriptors as ${twice.guest}`);
  return passed;
}

function mappingOf(text: string): FDMapping {
  let mapping: FDMapping;
  try {
    mapping = parseFDMapping(text);
  } catch (error) {
    throw new UsageError(`--pass-fd: ${(error as Error).message}`);
  }
  if (mapping.guest < FIRST_PASSED || mapping.guest > GUEST_MAX) {
    throw new UsageError(`--pass-fd: "${text}": the second number is ${FIRST_PASSED} to ${GUEST_MAX}`);
  }
  requireOpen(mapping.host, "--pass-fd");
  return mapping;
}

function requireOpen(fd: number, flag: string): void {
  const copy = commandLineHost().dup(fd);
  if (copy < 0) throw new Error(`${flag}: descriptor ${fd} is not open`);
  commandLineHost().close(copy);
}

function bundleOf(path: string): string {
  try {
    const bundle = Deno.realPathSync(path);
    if (Deno.statSync(bundle).isDirectory) return bundle;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error(`--bundle: "${path}" does not exist`);
    if (!(error instanceof Deno.errors.NotADirectory)) {
      throw new Error(`--bundle: cannot open "${path}": ${(error as Error).message.split(" (")[0]}`);
    }
  }
  throw new Error(`--bundle: "${path}" is not a directory`);
}

/** At once: who waits for the file reads the whole number. */
export function writePid(path: string, pid: number): void {
  const slash = path.lastIndexOf("/");
  const directory = openDirectory(slash < 0 ? "." : path.slice(0, slash + 1));
  const failure = directory < 0
    ? directory
    : writeWhole(directory, path.slice(slash + 1), String(pid), 0o644);
  if (directory >= 0) commandLineHost().close(directory);
  if (failure < 0) throw new Error(`Cannot write --pid-file ${path}: ${errnoName(-failure)}`);
}

/** A container's terminal as config.json and the command line ask for it; null = none. Throws one line for what cannot be. */
export function terminalOf(
  process: OciConfig["process"],
  socket: string | undefined,
): ContainerTerminal | null {
  if (process.terminal !== true) return null;
  const asked = process.consoleSize;
  const size = asked === undefined ? null : { rows: asked.height, columns: asked.width };
  return socket === undefined ? terminalOfRun(size) : terminalOfSocket(socket, size);
}

/** As the hooks of a container read of it. */
export function hookState(state: ContainerState, status: string): HookState {
  const { id, bundle, annotations, pid } = state;
  return { id, status, pid: status === "stopped" ? 0 : pid, bundle, annotations };
}

/**
 * Gives a container that waits for its start, whose sentry is `pid`, the network that its namespace has by now. `connect` makes
 * a connection to the sentry.
 */
export async function giveNetwork(
  config: OciConfig,
  pid: number,
  connect: () => number,
  flags: GlobalFlags,
): Promise<void> {
  const path = namespacePathOf(config, flags.network);
  if (path === null) return;
  // setns(2) is root's, also into a namespace of one's own sandbox; nobody else's hooks have put anything there either.
  if (path === "" && Deno.uid() !== 0) return;
  // Loaded when there is one: most containers that are run by hand have none.
  const { handOverNetwork } = await import("../net/hand_over.ts");
  const ignored = handOverNetwork(path === "" ? `/proc/${pid}/ns/net` : path, flags.network, connect);
  if (ignored.length === 0) return;
  reportBackgroundWarning(
    `Interfaces that carry no ethernet frames stay the host's: ${ignored.join(", ")}`,
    flags,
  );
}

/** The network that the command line's net process gives a container; null = it has another one. */
export async function userNetworkOf(
  config: OciConfig,
  launch: NewContainer["launch"],
  flags: GlobalFlags,
): Promise<UserNetwork | null> {
  if (modeOf(config, flags.network) !== "user") return null;
  return await startUserNetwork(launch, networkFlagsOf(config, flags.network));
}

/** Before its init runs: a failure means there is no container. `sentryPid` is the sandbox's, in whose namespaces it is. */
export async function runCreateHooks(
  config: OciConfig,
  state: ContainerState,
  sentryPid: number,
): Promise<void> {
  const stages: readonly HookStage[] = ["prestart", "createRuntime"];
  for (const stage of stages) await runHooks(config, stage, hookState(state, "creating"));
  const namespaces = hostNamespacesOf(config, sentryPid);
  await runHooks(config, "createContainer", hookState(state, "creating"), namespaces);
}

/**
 * What stands for the container's namespaces on the host. Linux: nobody but root may join those of its own sandbox, whose
 * processes are not its to look at; others' hooks run in the caller's.
 */
function hostNamespacesOf(config: OciConfig, pid: number): string[] {
  if (Deno.uid() !== 0) return [];
  const network = config.linux?.namespaces?.find(({ type }) => type === "network")?.path ?? "";
  return [network || `/proc/${pid}/ns/net`, `/proc/${pid}/ns/ipc`, `/proc/${pid}/ns/uts`];
}

/** After its init has begun, and after its end: failures there are logged. */
export async function runLateHooks(
  config: OciConfig,
  stage: "poststart" | "poststop",
  state: ContainerState,
  flags: GlobalFlags,
): Promise<void> {
  const status = stage === "poststart" ? "running" : "stopped";
  for (const failure of await runHooksRegardless(config, stage, hookState(state, status))) {
    reportWarning(failure, flags);
  }
}

/**
 * Makes the container in the background, held or running; an attendant stays with it. Where that fails nothing is left of it.
 */
export async function createInBackground(
  container: NewContainer,
  isHeld: boolean,
  flags: GlobalFlags,
): Promise<void> {
  const { states, record } = container;
  let attendant: Attendant | null = null;
  try {
    attendant = requireAttendant();
    if (record.sandboxId === undefined) await becomeContainer(container, attendant, isHeld, flags);
    else {
      const { joinInBackground } = await import("./new_subcontainer.ts");
      await joinInBackground(container, attendant, isHeld, flags);
    }
  } catch (error) {
    attendant?.dismiss();
    await undoCgroup(container.cgroup);
    states.remove(record.id);
    throw error;
  }
}

async function becomeContainer(
  { states, record, config, launch, cgroup, pidFile, consoleSocket }: NewContainer,
  attendant: Attendant,
  isHeld: boolean,
  flags: GlobalFlags,
): Promise<void> {
  const terminal = backgroundTerminal(config, consoleSocket);
  const ownTerminal = terminal === null ? null : { ...terminal.config, isOwn: false };
  const process = { ...launch.sentry.process, terminal: ownTerminal };
  const network = await userNetworkOf(config, launch, flags);
  const { sandbox, controlFd } = await launchAttended({
    ...launch,
    sentry: { ...launch.sentry, process, isHeld: true },
    stdio: terminal?.stdio ?? [0, 1, 2],
  }, attendant);
  sandbox.onNotice = (sentence) => reportBackgroundWarning(sentence, flags);
  await sandbox.ready();
  const runner = { pid: attendant.pid, startTicks: startTicksOf(attendant.pid), controlFd };
  const pid = sandbox.sentryPid;
  const created = {
    ...record,
    ...recordedCgroup(cgroup),
    pid,
    startTicks: startTicksOf(pid),
    status: "created" as const,
    runner,
    isDetached: true,
  };
  network?.handOver(() => connectOver(sandbox.controlFd));
  await runCreateHooks(config, created, pid);
  // It was deleted by force before it was there.
  if (!states.update(created)) throw new Error(`Container "${record.id}" was deleted while it started`);
  await initPod(created, flags);
  if (!isHeld) {
    await giveNetwork(config, pid, () => connectOver(sandbox.controlFd), flags);
    if ((config.hooks?.startContainer ?? []).length === 0) sandbox.start();
    else await startWithHooks(created);
    states.move(record.id, ["created"], "running");
  }
  if (pidFile !== undefined) writePid(pidFile, shownPid(created));
  const listener = listenAt(flags.root, record.id);
  const attendance = {
    ...ATTENDANCE,
    sentry: sandbox.sentryPid,
    listener,
    hasTerminal: terminal !== null,
    log: flags.log,
    logFormat: flags.logFormat,
  };
  attendant.attend(attendance, [listener, ...(terminal?.opened ?? [])]);
  if (!isHeld) await runLateHooks(config, "poststart", { ...created, status: "running" }, flags);
}

/** Nobody but an engine has the terminal of a container in the background. */
export function backgroundTerminal(config: OciConfig, socket: string | undefined): ContainerTerminal | null {
  if (config.process.terminal === true && socket === undefined) {
    throw new Error(
      "process.terminal: true, but there is no --console-socket for a container in the background",
    );
  }
  return terminalOf(config.process, socket);
}
