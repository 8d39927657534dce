// tsvisor state, list, kill, delete: commands on the state directory.

import { errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { signalProcess } from "../../native/directory.ts";
import { printable } from "../control/printable.ts";
import { SCOPE } from "../control/protocol.ts";
import { type ContainerState, openRecorded, shownPid, startTicksOf, StateDirectory } from "../oci/state.ts";
import { signalNumber } from "../signals.ts";
import { OCI_VERSION } from "../version.ts";
import { currentState, trueState } from "./condition.ts";
import { requestOf } from "./control_connection.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";

const SIGKILL = 9;
/** Longest a forced delete waits for the processes to go, milliseconds: they take some ten, on a machine that has the time. */
const DELETE_MILLIS_MAX = 60_000;
const POLL_MILLIS = 5;

export const LIST_OPTIONS = {
  quiet: { type: "boolean", short: "q", about: "ids only" },
  format: { type: "string", short: "f", value: "table|json", about: "of the list" },
  sandbox: { type: "boolean", about: "no containers that are in the sandbox of another one" },
} as const satisfies Options;

export const KILL_OPTIONS = {
  all: { type: "boolean", short: "a", about: "to every process of the container" },
  pid: { type: "string", value: "PID", about: "to process PID of the container instead of its first" },
  pgid: { type: "string", value: "PID", about: "to all of the process group of process PID" },
} as const satisfies Options;

export const DELETE_OPTIONS = {
  force: { type: "boolean", short: "f", about: "kill it first if it runs; no error if there is none" },
} as const satisfies Options;

function onlyId(words: readonly string[], command: string): string {
  if (words.length !== 1) throw new UsageError(`${command} takes one container id`);
  return words[0];
}

export async function stateCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const id = onlyId(parse(args, {}, false).words, "state");
  const state = await currentState(new StateDirectory(flags.root), id);
  const { status, bundle, annotations, created, owner } = state, pid = shownPid(state);
  console.log(
    JSON.stringify(
      { ociVersion: OCI_VERSION, id, status, pid, bundle, annotations, created, owner },
      null,
      2,
    ),
  );
  return 0;
}

export async function listCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values } = parse(args, LIST_OPTIONS, false);
  const format = values.format ?? "table";
  if (format !== "table" && format !== "json") {
    throw new UsageError(`--format: "${format}" is not table or json`);
  }
  const directory = new StateDirectory(flags.root);
  const { states: recorded, damaged } = directory.list();
  const states: ContainerState[] = [];
  for (const state of recorded) {
    if (values.sandbox === true && state.sandboxId !== undefined) continue;
    states.push(values.quiet === true ? state : await trueState(directory, state));
  }
  for (const sentence of damaged) console.error(`tsvisor: ${printable(sentence)}`);
  if (values.quiet === true) {
    for (const { id } of states) console.log(id);
  } else if (format === "json") {
    const entries = states.map((state) => {
      const { id, status, bundle, created, annotations, owner } = state;
      const pid = shownPid(state);
      return { ociVersion: OCI_VERSION, id, pid, status, bundle, rootfs: "", created, annotations, owner };
    });
    console.log(JSON.stringify(entries));
  } else {
    printTable([
      ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
      ...states.map((s) => [s.id, String(shownPid(s)), s.status, s.bundle, s.created, s.owner]),
    ]);
  }
  return 0;
}

/** Columns as runc's: as wide as their widest cell and two spaces, at least 12. */
export function printTable(rows: readonly string[][]): void {
  const widths = rows[0].map((_, i) => Math.max(12, 2 + Math.max(...rows.map((row) => row[i].length))));
  for (const row of rows) {
    console.log(printable(row.map((cell, i) => cell.padEnd(widths[i])).join("").trimEnd()));
  }
}

export async function killCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, KILL_OPTIONS, false);
  if (words.length < 1 || words.length > 2) throw new UsageError("kill takes a container id and a signal");
  const number = signalNumber(words[1] ?? "TERM");
  if (number < 0) throw new UsageError(`Unknown signal "${words[1]}"`);
  const targets = ["all", "pid", "pgid"].filter((name) =>
    values[name] !== undefined && values[name] !== false
  );
  if (targets.length > 1) throw new UsageError("kill takes one of --all, --pid and --pgid");
  const pid = processOf(values, "pid") || processOf(values, "pgid");
  const state = new StateDirectory(flags.root).read(words[0]);
  // With --all whoever is left would be meant, and nobody is.
  if (state.status === "stopped" && values.all === true) return 0;
  if (state.status === "stopped" || state.status === "creating") {
    throw new Error(`Cannot signal container "${state.id}" in state ${state.status}`);
  }
  const scope = values.all === true
    ? SCOPE.ALL
    : values.pgid === undefined
    ? SCOPE.PROCESS
    : SCOPE.PROCESS_GROUP;
  // The sentry is init of its namespace: SIGKILL ends it and all.
  const result = number === SIGKILL && pid === 0 && state.sandboxId === undefined
    ? killSentry(state)
    : await requestOf(state, { kind: "signal", signal: number, pid, scope });
  if (result < 0) throw new Error(`Cannot signal container "${state.id}": ${errnoName(-result)}`);
  return 0;
}

/** 0 = none is named. */
function processOf(values: Record<string, unknown>, flag: string): number {
  const text = values[flag];
  if (text === undefined || /^\d{1,9}$/.test(String(text))) return Number(text ?? 0);
  throw new UsageError(`--${flag}: "${text}" is not a process id`);
}

/** All that is in a record may be old: the process it names has the number and the start time, or is not signalled. */
function killSentry(state: ContainerState): number {
  const process = openRecorded(state);
  if (process < 0) return process;
  const result = signalProcess(process, SIGKILL);
  commandLineHost().close(process);
  return result;
}

export async function deleteCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, DELETE_OPTIONS, false);
  if (words.length === 0) throw new UsageError("delete takes container ids");
  const states = new StateDirectory(flags.root);
  // As runsc: the first that cannot be deleted ends it.
  for (const id of words) {
    if (values.force === true) await deleteByForce(states, id, flags);
    else await deleteStopped(states, id, flags);
  }
  return 0;
}

async function deleteByForce(states: StateDirectory, id: string, flags: GlobalFlags): Promise<void> {
  let state: ContainerState | null;
  try {
    state = states.find(id);
  } catch (error) {
    // A record that says nothing: there is nothing to kill, and nobody else would remove it.
    states.remove(id);
    console.error(`tsvisor: ${printable((error as Error).message)}`);
    return;
  }
  if (state === null) {
    // Its creator may have been killed before there was a record.
    states.remove(id);
    return;
  }
  if (state.status !== "stopped") await endSandbox(state);
  await forgetInSandbox(states, state);
  await removeCgroupOf(state);
  if (states.remove(id)) await afterwards(state, flags);
}

/** Removes the container from the sandbox that it was in, if that still runs. */
async function forgetInSandbox(states: StateDirectory, state: ContainerState): Promise<void> {
  if (state.sandboxId === undefined) return;
  const sandbox = states.find(state.sandboxId);
  if (sandbox === null || sandbox.status === "stopped") return;
  const [{ callOf }, { ContMgrDestroySubcontainer }] = await Promise.all([
    import("./control_call.ts"),
    import("../api/methods.ts"),
  ]);
  // It may be gone meanwhile, and the container with it.
  await callOf(sandbox, ContMgrDestroySubcontainer, state.id).catch(() => {});
}

/** Before the record goes, which alone says what there is to remove. */
async function removeCgroupOf(state: ContainerState): Promise<void> {
  if (state.cgroup === undefined) return;
  const { removeCgroup } = await import("./host_cgroup.ts");
  const left = await removeCgroup(state.cgroup, state.systemdUnit);
  if (left !== null) console.error(`tsvisor: ${printable(left)}`);
}

/** Kills it, and waits for its end and that of the attendant. */
async function endSandbox(state: ContainerState): Promise<void> {
  if (state.pid > 0) killSentry(state);
  const end = Date.now() + DELETE_MILLIS_MAX;
  const isThere = (recorded: { readonly pid: number; readonly startTicks: string }) =>
    recorded.pid > 0 && startTicksOf(recorded.pid) === recorded.startTicks;
  while (Date.now() < end && (isThere(state) || state.isDetached === true && isThere(state.runner))) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MILLIS));
  }
}

async function deleteStopped(states: StateDirectory, id: string, flags: GlobalFlags): Promise<void> {
  const state = await currentState(states, id);
  // As runc: one that has never run is ended.
  if (state.status === "created") await endSandbox(state);
  else if (state.status !== "stopped") {
    throw new Error(`Cannot delete container "${id}" in state ${state.status} without --force`);
  }
  await forgetInSandbox(states, state);
  await removeCgroupOf(state);
  if (!states.remove(id)) throw new Error(`Container "${id}" does not exist`);
  await afterwards(state, flags);
}

/** Its bundle may be gone by now, and has said what was to be done after its end. */
async function afterwards(state: ContainerState, flags: GlobalFlags): Promise<void> {
  if (state.isDetached !== true || !mentionsHooks(state.bundle)) return;
  const [{ readBundle }, { runLateHooks }] = await Promise.all([
    import("../oci/spec.ts"),
    import("./new_container.ts"),
  ]);
  await runLateHooks(readBundle(state.bundle).config, "poststop", state, flags);
}

/** Reading a bundle properly takes longer than all else that delete does. */
function mentionsHooks(bundle: string): boolean {
  try {
    return Deno.readTextFileSync(`${bundle}/config.json`).includes('"poststop"');
  } catch {
    return false;
  }
}
