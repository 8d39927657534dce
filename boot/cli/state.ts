// tsvisor state, list, kill, delete: commands on the state directory.

import { EPIPE, errnoName, ESRCH } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { borrowDescriptor, signalProcess } from "../../native/directory.ts";
import { socketPair } from "../../native/process.ts";
import { send } from "../control/channel.ts";
import { ControlClient } from "../control/client.ts";
import { printable } from "../control/printable.ts";
import { type ContainerState, openRecorded, StateDirectory } from "../oci/state.ts";
import { signalNumber } from "../signals.ts";
import { OCI_VERSION } from "../version.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";

const SIGKILL = 9;
/** Longest a sentry may take to answer, milliseconds. */
const ANSWER_MILLIS_MAX = 10_000;
/** Longest a forced delete waits for the processes to go, milliseconds. */
const DELETE_MILLIS_MAX = 5000;

export const LIST_OPTIONS = {
  quiet: { type: "boolean", short: "q", about: "ids only" },
  format: { type: "string", short: "f", value: "table|json", about: "of the list" },
} as const satisfies Options;

export const KILL_OPTIONS = {
  all: { type: "boolean", short: "a", about: IGNORED },
} as const satisfies Options;

export const DELETE_OPTIONS = {
  force: { type: "boolean", short: "f", about: "kill it first if it runs; no error if there is none" },
} as const satisfies Options;

function onlyId(words: readonly string[], command: string): string {
  if (words.length !== 1) throw new UsageError(`${command} takes one container id`);
  return words[0];
}

export function stateCommand(args: string[], flags: GlobalFlags): number {
  const id = onlyId(parse(args, {}, false).words, "state");
  const { status, pid, bundle, annotations, created, owner } = new StateDirectory(flags.root).read(id);
  console.log(
    JSON.stringify(
      { ociVersion: OCI_VERSION, id, status, pid, bundle, annotations, created, owner },
      null,
      2,
    ),
  );
  return 0;
}

export function listCommand(args: string[], flags: GlobalFlags): number {
  const { values } = parse(args, LIST_OPTIONS, false);
  const format = values.format ?? "table";
  if (format !== "table" && format !== "json") {
    throw new UsageError(`--format: "${format}" is not table or json`);
  }
  const { states, damaged } = new StateDirectory(flags.root).list();
  for (const sentence of damaged) console.error(`tsvisor: ${printable(sentence)}`);
  if (values.quiet === true) {
    for (const { id } of states) console.log(id);
  } else if (format === "json") {
    const entries = states.map(({ id, pid, status, bundle, created, annotations, owner }) => (
      { ociVersion: OCI_VERSION, id, pid, status, bundle, rootfs: "", created, annotations, owner }
    ));
    console.log(JSON.stringify(entries));
  } else {
    printTable([
      ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"],
      ...states.map((s) => [s.id, String(s.pid), s.status, s.bundle, s.created, s.owner]),
    ]);
  }
  return 0;
}

/** Columns as runc's: as wide as their widest cell and two spaces, at least 12. */
function printTable(rows: readonly string[][]): void {
  const widths = rows[0].map((_, i) => Math.max(12, 2 + Math.max(...rows.map((row) => row[i].length))));
  for (const row of rows) {
    console.log(printable(row.map((cell, i) => cell.padEnd(widths[i])).join("").trimEnd()));
  }
}

export async function killCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { words } = parse(args, KILL_OPTIONS, false);
  if (words.length < 1 || words.length > 2) throw new UsageError("kill takes a container id and a signal");
  const number = signalNumber(words[1] ?? "TERM");
  if (number < 0) throw new UsageError(`Unknown signal "${words[1]}"`);
  const state = new StateDirectory(flags.root).read(words[0]);
  if (state.status !== "running") {
    throw new Error(`Cannot signal container "${state.id}" in state ${state.status}`);
  }
  // The sentry is init of its namespace: SIGKILL ends it and all.
  const result = number === SIGKILL ? killSentry(state) : await sendSignal(state, number);
  if (result < 0) throw new Error(`Cannot signal container "${state.id}": ${errnoName(-result)}`);
  return 0;
}

/** All that is in a record may be old: the process it names has the number and the start time, or is not signalled. */
function killSentry(state: ContainerState): number {
  const process = openRecorded(state);
  if (process < 0) return process;
  const result = signalProcess(process, SIGKILL);
  commandLineHost().close(process);
  return result;
}

/** Over a connection of our own, for which the control socket of the command that runs it is borrowed. */
async function sendSignal(state: ContainerState, signal: number): Promise<number> {
  const { runner } = state;
  if (runner.controlFd < 0) return -ESRCH;
  const host = commandLineHost();
  const process = openRecorded(runner);
  if (process < 0) return process;
  const borrowed = borrowDescriptor(process, runner.controlFd);
  host.close(process);
  if (borrowed < 0) return borrowed;
  const [ours, theirs] = socketPair();
  const isSent = send(host, borrowed, { kind: "connect" }, { fds: Int32Array.of(theirs) });
  host.close(theirs);
  host.close(borrowed);
  if (!isSent) return -ESRCH;
  const result = await new ControlClient(host, ours).request({ kind: "signal", signal }, ANSWER_MILLIS_MAX);
  // It hung up instead of answering: it has ended meanwhile.
  return result === -EPIPE ? -ESRCH : result;
}

export async function deleteCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, DELETE_OPTIONS, false);
  const id = onlyId(words, "delete");
  const states = new StateDirectory(flags.root);
  if (values.force !== true) return deleteStopped(states, id);
  let state: ContainerState | null;
  try {
    state = states.find(id);
  } catch (error) {
    // A record that says nothing: there is nothing to kill, and nobody else would remove it.
    states.remove(id);
    console.error(`tsvisor: ${printable((error as Error).message)}`);
    return 0;
  }
  if (state === null) return 0;
  if (state.status !== "stopped") {
    if (state.pid > 0) killSentry(state);
    const end = Date.now() + DELETE_MILLIS_MAX;
    while (Date.now() < end && states.find(id)?.status === "running") {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  states.remove(id);
  return 0;
}

function deleteStopped(states: StateDirectory, id: string): number {
  const { status } = states.read(id);
  if (status !== "stopped") {
    throw new Error(`Cannot delete container "${id}" in state ${status} without --force`);
  }
  states.remove(id);
  return 0;
}
