// How a role hears what it is to do. It starts with one socket and knows nothing. Whoever starts the sentry says at once in a
// byte what holds for certain, so that it can give up its rights and get ready. The command line sends the rest when it has
// read and checked everything: a configuration as JSON in a memfd, and descriptors. When the socket ends before that, nobody
// needs the role, and it goes quietly.

import type { NativeHost } from "../native/host.ts";
import { jsonDescriptor, readJson } from "./descriptors.ts";

/** A role's descriptors: 0 to 2 are stdio, of the container or nobody. */
export const ROLE_FDS = { control: 3, log: 4, first: 5 } as const;

/** Bits of the sentry's first byte; as in native/src/roles.rs. */
export const HELLO = {
  /** Its user namespace is its own: what is counted by user there, is the sandbox's alone. */
  USER_NAMESPACE: 1,
  /** The caller is not root: the sentry has one user id only and cannot become nobody. */
  ROOTLESS: 2,
  /** The platform is systrap for certain. */
  SYSTRAP: 4,
} as const;

/** Descriptors in one message. */
const BATCH_MAX = 32;
/** Descriptors of one role: each bind mount has a connection. */
const DESCRIPTORS_MAX = 1024;
const COUNT_BYTES = 4;

/** The sentry's first byte, null when nobody needs us. */
export function awaitHello(host: NativeHost): number | null {
  const bytes = new Uint8Array(1);
  const n = host.receiveMessage(ROLE_FDS.control, bytes, 0, 1, new Int32Array(1), -1);
  return n === 1 ? bytes[0] : null;
}

export interface Setup<T> {
  readonly config: T;
  readonly fds: number[];
}

/** Configuration and descriptors, null when nobody needs us. */
export function awaitSetup<T>(host: NativeHost): Setup<T> | null {
  const bytes = new Uint8Array(COUNT_BYTES);
  const batch = new Int32Array(BATCH_MAX);
  const fds: number[] = [];
  let count = 1;
  while (fds.length < count) {
    const n = host.receiveMessage(ROLE_FDS.control, bytes, 0, COUNT_BYTES, batch, -1);
    if (n !== COUNT_BYTES || host.receivedFds === 0) return null;
    count = Math.min(new DataView(bytes.buffer).getUint32(0, true), DESCRIPTORS_MAX);
    fds.push(...batch.subarray(0, host.receivedFds));
  }
  const [configFd, ...rest] = fds;
  const config = readJson(host, configFd) as T;
  host.close(configFd);
  return { config, fds: rest };
}

/** What awaitSetup() receives. The descriptors stay the caller's. False when the role is gone. */
export function sendSetup(
  host: NativeHost,
  socket: number,
  config: unknown,
  fds: readonly number[],
): boolean {
  const configFd = jsonDescriptor(host, config);
  const all = [configFd, ...fds];
  if (all.length > DESCRIPTORS_MAX - BATCH_MAX) {
    host.close(configFd);
    throw new Error(`Cannot serve ${fds.length} bind mounts: at most ${DESCRIPTORS_MAX - BATCH_MAX}`);
  }
  const bytes = new Uint8Array(COUNT_BYTES);
  new DataView(bytes.buffer).setUint32(0, all.length, true);
  let isSent = true;
  for (let at = 0; at < all.length && isSent; at += BATCH_MAX) {
    const batch = Int32Array.from(all.slice(at, at + BATCH_MAX));
    isSent = host.sendMessage(socket, bytes, 0, COUNT_BYTES, batch, batch.length) === COUNT_BYTES;
  }
  host.close(configFd);
  return isSent;
}
