// A container as it is now. Its record says "created" or "paused" until the process that changed that has written it, which it may not
// have lived to do: so the sentry is asked.

import { commandLineHost } from "../../native/host.ts";
import { ControlClient } from "../control/client.ts";
import type { ContainerState, StateDirectory } from "../oci/state.ts";
import { ANSWER_MILLIS_MAX, connectTo } from "./control_connection.ts";

/** Reads the record of `id` and makes it true. Throws when there is none. */
export async function currentState(states: StateDirectory, id: string): Promise<ContainerState> {
  return await trueState(states, states.read(id));
}

/** `state`, with the status that the sentry says. */
export async function trueState(states: StateDirectory, state: ContainerState): Promise<ContainerState> {
  if (state.status !== "created" && state.status !== "paused") return state;
  const socket = connectTo(state);
  const ask = { kind: "inquire" } as const;
  const reply = socket < 0
    ? socket
    : await new ControlClient(commandLineHost(), socket).ask(ask, ANSWER_MILLIS_MAX);
  // It has ended meanwhile, as its record will say.
  if (typeof reply === "number" || reply.message.kind !== "condition") return states.find(state.id) ?? state;
  const { isStarted, isPaused } = reply.message;
  return { ...state, status: !isStarted ? "created" : isPaused ? "paused" : "running" };
}
