// A connection of our own to the sentry of a container that runs: the control socket of who runs it is borrowed to ask for
// one.

import { EALREADY, EPIPE, errnoName, ESRCH } from "../../kernel/abi/errno.ts";
import { borrowDescriptor } from "../../native/directory.ts";
import { commandLineHost } from "../../native/host.ts";
import { socketPair } from "../../native/process.ts";
import { send } from "../control/channel.ts";
import { ControlClient } from "../control/client.ts";
import type { MessageFrom } from "../control/protocol.ts";
import { readJson } from "../descriptors.ts";
import { type ContainerState, openRecorded } from "../oci/state.ts";
import { StartError } from "../start_error.ts";

/** Longest a sentry may take to answer, milliseconds. */
export const ANSWER_MILLIS_MAX = 60_000;

/** A socket to the sentry of `state`, ours to close; or -ERRNO. */
export function connectTo({ runner }: ContainerState): number {
  if (runner.controlFd < 0) return -ESRCH;
  const host = commandLineHost();
  const process = openRecorded(runner);
  if (process < 0) return process;
  const borrowed = borrowDescriptor(process, runner.controlFd);
  host.close(process);
  if (borrowed < 0) return borrowed;
  const socket = connectOver(borrowed);
  host.close(borrowed);
  return socket;
}

/** A further socket to the sentry whose first one is `controlFd`, ours to close; or -ERRNO. */
export function connectOver(controlFd: number): number {
  const host = commandLineHost();
  const [ours, theirs] = socketPair();
  const isSent = send(host, controlFd, { kind: "connect" }, { fds: Int32Array.of(theirs) });
  host.close(theirs);
  if (isSent) return ours;
  host.close(ours);
  return -ESRCH;
}

/** Asks the sentry of `state` for something to be done: 0 or -ERRNO. */
export async function requestOf(
  state: ContainerState,
  message: MessageFrom<"caller">,
  millis = ANSWER_MILLIS_MAX,
): Promise<number> {
  const socket = connectTo(state);
  if (socket < 0) return socket;
  const result = await new ControlClient(commandLineHost(), socket).request(message, millis);
  // It hung up instead of answering: it has ended meanwhile.
  return result === -EPIPE ? -ESRCH : result;
}

/** Asks it for an answer. Throws one line that begins with `what` where there is none. */
async function answerOf(
  state: ContainerState,
  message: MessageFrom<"caller">,
  what: string,
  millis: number | null = ANSWER_MILLIS_MAX,
) {
  const socket = connectTo(state);
  const host = commandLineHost();
  const reply = socket < 0 ? socket : await new ControlClient(host, socket).ask(message, millis);
  if (typeof reply === "number") {
    throw new Error(`${what}: ${reply === -EPIPE ? "it has ended" : errnoName(-reply)}`);
  }
  return reply;
}

/** Starts a container that has been made. Comes back when its hooks of its own have ended, which may take any time. */
export async function startWithHooks(state: ContainerState): Promise<void> {
  const socket = connectTo(state);
  const client = socket < 0 ? null : new ControlClient(commandLineHost(), socket);
  const reply = client === null ? socket : await client.ask({ kind: "start" }, null);
  if (typeof reply === "number") {
    // Somebody was quicker.
    const reason = reply === -EALREADY ? "in state running" : `: ${errnoName(-reply)}`;
    throw new Error(`Cannot start container "${state.id}" ${reason}`);
  }
  if (reply.message.kind === "failed") throw new StartError(reply.message.message, reply.message.code);
}

/** As answerOf(), of what is answered by a document. */
export async function documentOf(
  state: ContainerState,
  message: MessageFrom<"caller">,
  what: string,
): Promise<unknown> {
  const reply = await answerOf(state, message, what);
  const host = commandLineHost();
  if (reply.message.kind !== "document" || reply.fds.length !== 1) {
    throw new Error(`${what}: no document came`);
  }
  const value = readJson(host, reply.fds[0]);
  host.close(reply.fds[0]);
  return value;
}
