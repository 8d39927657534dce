// tsvisor port-forward: connections to a local port, or one stream of an engine's, to a port or Unix socket in a container. The
// sandbox copies the bytes itself: it is given the connected sockets.

import { EAGAIN, errnoName } from "../../kernel/abi/errno.ts";
import { commandLineHost } from "../../native/host.ts";
import {
  connectToPath,
  listenLocally,
  NativeStreams,
  portOf,
  setPollEntry,
  SOCK_STREAM,
} from "../../native/stream.ts";
import { ContMgrPortForward } from "../api/methods.ts";
import type { ContainerState } from "../oci/state.ts";
import { callWithFiles } from "./control_call.ts";
import { type GlobalFlags, type Options, parse, UsageError } from "./flags.ts";
import { runningState } from "./inspect.ts";

export const PORT_FORWARD_OPTIONS = {
  stream: { type: "string", value: "PATH", about: "forward one stream, of the Unix socket at PATH" },
} as const satisfies Options;

const POLLIN = 1;
const PORT_MAX = 65535;
/** Between two looks at the sandbox, milliseconds: it may end without a connection. */
const LOOK_MILLIS = 500;

interface Ports {
  readonly local: number;
  /** As the control API has it. */
  readonly target: { readonly Port: number; readonly Path: string };
}

export async function portForwardCommand(args: string[], flags: GlobalFlags): Promise<number> {
  const { values, words } = parse(args, PORT_FORWARD_OPTIONS, false);
  if (words.length !== 2) throw new UsageError("port-forward takes a container id and [LOCAL:]REMOTE");
  const ports = portsOf(words[1]);
  const state = await runningState(words, "port-forward", flags);
  if (values.stream === undefined) return await serve(state, ports, flags);
  const path = String(values.stream), stream = connectToPath(path, SOCK_STREAM);
  if (stream < 0) throw new Error(`Cannot connect to ${path}: ${errnoName(-stream)}`);
  await forward(state, ports, stream);
  return 0;
}

/** "LOCAL:REMOTE", "REMOTE"; a remote end that begins with a slash is a Unix socket in the container. */
function portsOf(text: string): Ports {
  const colon = text.indexOf(":"), slash = text.indexOf("/");
  const isSplit = colon >= 0 && (slash < 0 || colon < slash);
  const local = isSplit ? text.slice(0, colon) : "", remote = isSplit ? text.slice(colon + 1) : text;
  if (remote.startsWith("/")) return { local: portOrZero(local, text), target: { Port: 0, Path: remote } };
  const port = portOrZero(remote, text);
  if (port === 0) throw new UsageError(`"${text}" is not [LOCAL:]REMOTE`);
  return { local: local === "" ? port : portOrZero(local, text), target: { Port: port, Path: "" } };
}

function portOrZero(text: string, whole: string): number {
  if (/^\d{0,5}$/.test(text) && Number(text) <= PORT_MAX) return Number(text);
  throw new UsageError(`"${whole}" is not [LOCAL:]REMOTE`);
}

/** Until the sandbox ends. */
async function serve(state: ContainerState, ports: Ports, flags: GlobalFlags): Promise<number> {
  const listener = listenLocally(ports.local);
  if (listener < 0) throw new Error(`Cannot listen on port ${ports.local}: ${errnoName(-listener)}`);
  console.log(`Forwarding 127.0.0.1:${portOf(listener)} to ${ports.target.Path || ports.target.Port}`);
  const streams = new NativeStreams(), entries = new Int32Array(2);
  for (;;) {
    setPollEntry(entries, 0, listener, POLLIN);
    if (streams.poll(entries, 1, LOOK_MILLIS) <= 0) {
      const { status } = await runningState([state.id], "port-forward", flags).catch(() => ({
        status: "stopped",
      }));
      if (status === "stopped") return 0;
      continue;
    }
    const connection = streams.accept(listener);
    if (connection === -EAGAIN) continue;
    if (connection < 0) throw new Error(`Cannot accept a connection: ${errnoName(-connection)}`);
    try {
      await forward(state, ports, connection);
    } catch (error) {
      console.error(`tsvisor: ${(error as Error).message}`);
    }
  }
}

/** Gives `stream` away. */
async function forward(state: ContainerState, { target }: Ports, stream: number): Promise<void> {
  try {
    await callWithFiles(state, ContMgrPortForward, { ContainerID: state.id, ...target }, [stream]);
  } finally {
    commandLineHost().close(stream);
  }
}
