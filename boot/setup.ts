// How a role gets its orders. It starts with one socket and no configuration. The process that starts the sentry sends at once what
// holds for certain (`hello`), so that it can give up its rights and get ready. The command line sends the rest (`setup`) when
// it has read and checked everything: a configuration as JSON in a memfd, and descriptors. When the socket ends before that,
// nobody needs the role, and it goes quietly.

import type { NativeHost } from "../native/host.ts";
import { receive, type Received, send } from "./control/channel.ts";
import { FRAME_FDS_MAX, KINDS } from "./control/protocol.ts";
import { jsonDescriptor, readJson } from "./descriptors.ts";

/** A role's descriptors: 0 to 2 are stdio, of the container or nobody. */
export const ROLE_FDS = { control: 3, log: 4, first: 5 } as const;

/** Descriptors of one role, its configuration among them: each bind mount has a connection. */
export const DESCRIPTORS_MAX = KINDS.setup.fields.count.max;

/** What the sentry gets at its start (bits of HELLO), null when nobody needs us. */
export function awaitHello(host: NativeHost): number | null {
  const message = first(receive(host, ROLE_FDS.control, "caller", -1));
  if (message === null) return null;
  if (message.kind !== "hello") throw new Error(`Cannot start with a message ${message.kind}`);
  return message.facts;
}

export interface Setup<T> {
  readonly config: T;
  readonly fds: number[];
}

/** Configuration and descriptors, null when nobody needs us. */
export function awaitSetup<T>(host: NativeHost): Setup<T> | null {
  const fds: number[] = [];
  let count = 1;
  while (fds.length < count) {
    const received = receive(host, ROLE_FDS.control, "caller", -1);
    const message = first(received);
    if (message === null || received === null || received.frame === null) return null;
    if (message.kind !== "setup" || received.fds.length === 0) {
      throw new Error(`Cannot start with a message ${message.kind} of ${received.fds.length} descriptors`);
    }
    count = message.count;
    fds.push(...received.fds);
  }
  const [configFd, ...rest] = fds;
  const config = readJson(host, configFd) as T;
  host.close(configFd);
  return { config, fds: rest };
}

function first(received: Received<"caller">) {
  if (received === null) return null;
  if (received.frame === null) throw new Error(`Cannot start: ${received.reason}`);
  return received.frame.message;
}

/** What awaitSetup() receives. The descriptors stay the caller's. False when the role is gone. */
export function sendSetup(
  host: NativeHost,
  socket: number,
  config: unknown,
  fds: readonly number[],
): boolean {
  const count = 1 + fds.length;
  if (count > DESCRIPTORS_MAX) {
    throw new Error(`Cannot serve ${fds.length} bind mounts: at most ${DESCRIPTORS_MAX - 1}`);
  }
  const configFd = jsonDescriptor(host, config);
  const all = [configFd, ...fds];
  let isSent = true;
  for (let at = 0; at < count && isSent; at += FRAME_FDS_MAX) {
    const batch = Int32Array.from(all.slice(at, at + FRAME_FDS_MAX));
    isSent = send(host, socket, { kind: "setup", count }, { fds: batch });
  }
  host.close(configFd);
  return isSent;
}
