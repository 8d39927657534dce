// tsvisor run: an OCI container, attached, to its end.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { containerOf, missingMounts } from "../oci/container.ts";
import { ignoredLine } from "../oci/ignored.ts";
import { openDirectory, writeWhole } from "../oci/own_directory.ts";
import { type OciConfig, readBundle } from "../oci/spec.ts";
import { type ContainerState, startTicksOf, StateDirectory } from "../oci/state.ts";
import { type ContainerTerminal, terminalOfRun, terminalOfSocket } from "../terminal.ts";
import { listenAt } from "../control/control_socket.ts";
import { runAttached } from "./attached.ts";
import { reportWarning } from "./report.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";

export const RUN_OPTIONS = {
  bundle: { type: "string", short: "b", value: "DIR", about: "directory of config.json (the current one)" },
  "pid-file": { type: "string", value: "FILE", about: "write the sentry's pid to FILE" },
  "console-socket": {
    type: "string",
    value: "PATH",
    about: "Unix socket that gets the container's terminal",
  },
  keep: { type: "boolean", about: "keep the container's state after its end" },
  "no-pivot": { type: "boolean", about: IGNORED },
  "preserve-fds": { type: "string", value: "N", about: IGNORED },
  detach: { type: "boolean", short: "d", about: "not here yet: the container ends with the command" },
  "no-new-keyring": { type: "boolean", about: IGNORED },
  "no-subreaper": { type: "boolean", about: IGNORED },
} as const satisfies Options;

export async function runCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, RUN_OPTIONS, false);
  if (words.length !== 1) throw new UsageError("run takes one container id: tsvisor run [--bundle DIR] ID");
  if (values.detach === true) {
    throw new UsageError("--detach cannot be given yet: run stays with its container");
  }
  const id = words[0];
  const states = new StateDirectory(flags.root);
  states.check(id);
  const bundle = bundleOf((values.bundle as string | undefined) ?? ".");
  const { config, ignored } = readBundle(bundle);
  const container = containerOf(bundle, config, { id, ...flags });
  const runner = { pid: Deno.pid, startTicks: startTicksOf(Deno.pid), controlFd: -1 };
  const first: ContainerState = {
    id,
    pid: 0,
    bundle,
    created: new Date().toISOString(),
    owner: String(Deno.uid() ?? 0),
    annotations: config.annotations ?? {},
    status: "creating",
    startTicks: "",
    runner,
  };
  states.create(first);
  const withoutEffect = [...ignored, ...missingMounts(config)];
  if (withoutEffect.length > 0) reportWarning(ignoredLine(withoutEffect), flags);
  const pidFile = values["pid-file"] as string | undefined;
  try {
    const terminal = terminalOf(config, values["console-socket"] as string | undefined);
    const process = { ...container.sentry.process, terminal: terminal?.config ?? null };
    const launch = {
      sentry: { ...container.sentry, process },
      gofer: container.gofer,
      stdio: terminal?.stdio ?? [0, 1, 2] as const,
      debugLog: flags.debugLog,
      oomScoreAdj: config.process.oomScoreAdj ?? null,
      isRootInside: true,
    };
    const onStart = (pid: number, controlFd: number) => {
      const startTicks = startTicksOf(pid);
      const running = {
        ...first,
        pid,
        startTicks,
        status: "running" as const,
        runner: { ...runner, controlFd },
      };
      // It was deleted by force before it ran.
      if (!states.update(running)) throw new Error(`Container "${id}" was deleted while it started`);
      if (pidFile !== undefined) writePid(pidFile, pid);
    };
    const record = values.keep === true ? null : { root: flags.root, id };
    const listener = listenAt(flags.root, id);
    return await runAttached(launch, { terminal, record, flags, onStart, listener });
  } finally {
    if (values.keep !== true) states.remove(id);
  }
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
function writePid(path: string, pid: number): void {
  const slash = path.lastIndexOf("/");
  const directory = openDirectory(slash < 0 ? "." : path.slice(0, slash + 1));
  const failure = directory < 0
    ? directory
    : writeWhole(directory, path.slice(slash + 1), String(pid), 0o644);
  if (directory >= 0) commandLineHost().close(directory);
  if (failure < 0) throw new Error(`Cannot write --pid-file ${path}: ${errnoName(-failure)}`);
}

/** The container's terminal as config.json and the command line ask for it. Throws one line for what cannot be. */
function terminalOf(config: OciConfig, socket: string | undefined): ContainerTerminal | null {
  if (config.process.terminal !== true) {
    if (socket === undefined) return null;
    throw new Error("--console-socket is given, but process.terminal is not true");
  }
  const asked = config.process.consoleSize;
  const size = asked === undefined ? null : { rows: asked.height, columns: asked.width };
  return socket === undefined ? terminalOfRun(size) : terminalOfSocket(socket, size);
}
