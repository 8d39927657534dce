// Calls of the control API (gVisor's) by the command line, over a connection of its own to a sandbox's sentry.

import { EPIPE, errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import { ControlClient } from "../control/client.ts";
import { parse, stringify } from "../control/urpc/json.ts";
import { jsonDescriptor, readText } from "../descriptors.ts";
import type { ContainerState } from "../oci/state.ts";
import { ANSWER_MILLIS_MAX, connectTo } from "./control_connection.ts";

/** What a call answers; the descriptors are the caller's. */
export interface CallAnswer {
  readonly result: unknown;
  readonly files: readonly number[];
}

/**
 * Calls `method` of the sandbox of `state`; `files` go along and stay the caller's. Without `millis` it waits as long as the
 * sandbox runs. Throws one line where it is refused.
 */
export async function callWithFiles(
  state: ContainerState,
  method: string,
  argument: unknown,
  files: readonly number[] = [],
  millis: number | null = ANSWER_MILLIS_MAX,
): Promise<CallAnswer> {
  const host = commandLineHost();
  const socket = connectTo(state);
  const refuse = (reason: string) => new Error(`${method} of container "${state.id}": ${reason}`);
  if (socket < 0) throw refuse(errnoName(-socket));
  const document = jsonDescriptor(host, argument, stringify);
  const client = new ControlClient(host, socket);
  const reply = await client.ask({ kind: "query", method }, millis, [document, ...files]);
  host.close(document);
  if (typeof reply === "number") throw refuse(reply === -EPIPE ? "it has ended" : errnoName(-reply));
  const { message, fds: [result, ...rest] } = reply;
  if (message.kind === "refusal") throw refuse(message.message);
  if (message.kind !== "report" || result === undefined) throw refuse("no answer came");
  const value = parse(readText(host, result));
  host.close(result);
  return { result: value, files: rest };
}

/** As callWithFiles(), of a call without descriptors: its result. */
export async function callOf(state: ContainerState, method: string, argument: unknown): Promise<unknown> {
  const { result, files } = await callWithFiles(state, method, argument);
  for (const fd of files) commandLineHost().close(fd);
  return result;
}
