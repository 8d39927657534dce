// tsvisor state, list, kill, delete: commands on the state directory.

import { killProcess } from "../../native/process.ts";
import { StateDirectory } from "../oci/state.ts";
import { signalNumber } from "../signals.ts";
import { OCI_VERSION } from "../version.ts";
import { type GlobalFlags, IGNORED, type Options, parse, UsageError } from "./flags.ts";

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
  const states = new StateDirectory(flags.root).list();
  if (values.quiet === true) {
    for (const { id } of states) console.log(id);
  } else if (values.format === "json") {
    console.log(JSON.stringify(states.map((state) => ({ ociVersion: OCI_VERSION, ...state }))));
  } else {
    console.log("ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER");
    for (const s of states) {
      console.log(`${s.id}\t${s.pid}\t${s.status}\t${s.bundle}\t${s.created}\t${s.owner}`);
    }
  }
  return 0;
}

export function killCommand(args: string[], flags: GlobalFlags): number {
  const { words } = parse(args, KILL_OPTIONS, false);
  if (words.length < 1 || words.length > 2) throw new UsageError("kill takes a container id and a signal");
  const number = signalNumber(words[1] ?? "TERM");
  if (number < 0) throw new UsageError(`Unknown signal "${words[1]}"`);
  const state = new StateDirectory(flags.root).read(words[0]);
  if (state.status !== "running") {
    throw new Error(`Cannot signal container "${state.id}" in state ${state.status}`);
  }
  // The sentry is init of its namespace: SIGKILL ends it and all; others reach the container's init through its CLI.
  const result = number === 9 ? killProcess(state.pid, 9) : signalThroughParent(state.pid, number);
  if (result < 0) throw new Error(`Cannot signal container "${state.id}": errno ${-result}`);
  return 0;
}

/** The CLI that runs the container attached forwards what it gets. */
function signalThroughParent(pid: number, signal: number): number {
  const text = Deno.readTextFileSync(`/proc/${pid}/stat`);
  const parent = Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
  return parent > 1 ? killProcess(parent, signal) : -3;
}

export async function deleteCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, DELETE_OPTIONS, false);
  const id = onlyId(words, "delete");
  const states = new StateDirectory(flags.root);
  const state = values.force === true ? readOrNull(states, id) : states.read(id);
  if (state === null) return 0;
  if (state.status === "running" || state.status === "creating") {
    if (values.force !== true) {
      throw new Error("cannot delete container that is not stopped without --force flag");
    }
    if (state.pid > 0) killProcess(state.pid, 9);
    const end = Date.now() + DELETE_MILLIS_MAX;
    while (Date.now() < end && readOrNull(states, id)?.status === "running") {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
  states.remove(id);
  return 0;
}

function readOrNull(states: StateDirectory, id: string): ReturnType<StateDirectory["read"]> | null {
  try {
    return states.read(id);
  } catch {
    return null;
  }
}
