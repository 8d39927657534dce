// tsvisor create and start: a container in the background, in two steps.

import { readBundle } from "../oci/spec.ts";
import { StateDirectory } from "../oci/state.ts";
import { currentState } from "./condition.ts";
import { connectTo, startWithHooks } from "./control_connection.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import {
  createInBackground,
  giveNetwork,
  NEW_OPTIONS,
  prepareContainer,
  runLateHooks,
} from "./new_container.ts";

export const CREATE_OPTIONS = NEW_OPTIONS satisfies Options;

export async function createCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, CREATE_OPTIONS, false);
  await createInBackground(prepareContainer(values, words, flags, "create"), true, flags);
  return 0;
}

export async function startCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { words } = parse(args, {}, false);
  if (words.length !== 1) throw new UsageError("start takes one container id");
  const states = new StateDirectory(flags.root);
  const state = await currentState(states, words[0]);
  const refuse = (reason: string) => new Error(`Cannot start container "${state.id}" ${reason}`);
  if (state.status !== "created") throw refuse(`in state ${state.status}`);
  const { config } = readBundle(state.bundle);
  // A container of a pod is in the network of its sandbox.
  if (state.sandboxId === undefined) await giveNetwork(config, state.pid, () => connectTo(state), flags);
  await startWithHooks(state);
  states.move(state.id, ["created"], "running");
  await runLateHooks(config, "poststart", state, flags);
  return 0;
}
