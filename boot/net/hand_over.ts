// Hands the interfaces in a container's network namespace to its sandbox, before its init runs: after the hooks, which may
// have put them there (CNI, Docker), and at `start`, as an engine may do so between `create` and `start`.

import { errnoName } from "../../kernel/abi/errno.ts";
import { O_CREAT, O_TRUNC, O_WRONLY } from "../../kernel/abi/file.ts";
import { openAt } from "../../native/directory.ts";
import { commandLineHost, type NativeHost } from "../../native/host.ts";
import { openNamespace } from "../../native/network_namespace.ts";
import type { CreateLinksAndRoutesArgs } from "../api/network.ts";
import { receive, send } from "../control/channel.ts";
import { jsonDescriptor } from "../descriptors.ts";
import { takeHostLinks } from "./host_links.ts";
import type { NetworkFlags } from "./namespace.ts";

const METHOD = "Network.CreateLinksAndRoutes";
/** Number of our only request over a connection of its own. */
const REQUEST = 1;
/** Longest a sentry may take to make the links, milliseconds. */
const ANSWER_MILLIS_MAX = 30_000;

/**
 * Has a sandbox take over what is in the namespace at `path`; `connect` gives a connection to its sentry, should there be
 * anything. Names of interfaces that stay the host's. Throws one line where it cannot.
 */
export function handOverNetwork(path: string, flags: NetworkFlags, connect: () => number): readonly string[] {
  const host = commandLineHost();
  if (isHostNamespace(path)) {
    throw new Error(
      `Cannot run with network enabled in root network namespace (${path}); see --network=none`,
    );
  }
  const namespace = openNamespace(path);
  if (namespace < 0) throw new Error(`Cannot open network namespace ${path}: ${errnoName(-namespace)}`);
  const fds: number[] = [];
  try {
    const links = takeHostLinks(host, namespace, flags);
    if (links === null) return [];
    fds.push(...links.fds);
    if (fds.length === 0) return links.ignored;
    if (flags.pcap !== "") fds.push(openPcap(flags.pcap));
    createLinks(host, { ...links.args, PCAP: flags.pcap !== "" }, fds, connect);
    return links.ignored;
  } finally {
    for (const fd of fds) host.close(fd);
    host.close(namespace);
  }
}

/** Has a sandbox make links over `fds`, which stay the caller's. Throws one line where it does not. */
export function createLinks(
  host: NativeHost,
  args: CreateLinksAndRoutesArgs,
  fds: readonly number[],
  connect: () => number,
): void {
  const argument = jsonDescriptor(host, args);
  try {
    const socket = connect();
    if (socket < 0) throw new Error(`Cannot set up the network: ${errnoName(-socket)}`);
    const request = { request: REQUEST, fds: Int32Array.of(argument, ...fds) };
    const isSent = send(host, socket, { kind: "query", method: METHOD }, request);
    const reply = isSent ? receive(host, socket, "role", ANSWER_MILLIS_MAX) : null;
    host.close(socket);
    if (reply === null) throw new Error("Cannot set up the network: the sandbox has ended");
    if (reply.frame === null) throw new Error(`Cannot set up the network: ${reply.reason}`);
    for (const fd of reply.fds) host.close(fd);
    const { message } = reply.frame;
    if (message.kind === "report") return;
    const reason = message.kind === "refusal" ? message.message : `the sandbox answers ${message.kind}`;
    throw new Error(`Cannot set up the network: ${reason}`);
  } finally {
    host.close(argument);
  }
}

/** The file of --pcap. */
export function openPcap(path: string): number {
  const fd = openAt(-1, path, O_WRONLY | O_CREAT | O_TRUNC, 0o600);
  if (fd < 0) throw new Error(`Cannot open --pcap ${path}: ${errnoName(-fd)}`);
  return fd;
}

/**
 * The namespace of the host's init: its interfaces are the host's own, and taking them would cut the host off. Where init's
 * cannot be seen, the one that we are in ourselves is taken for it.
 */
function isHostNamespace(path: string): boolean {
  const namespace = identityOf(path);
  return namespace !== null &&
    namespace === (identityOf("/proc/1/ns/net") ?? identityOf("/proc/self/ns/net"));
}

function identityOf(path: string): string | null {
  try {
    const { dev, ino } = Deno.statSync(path);
    return `${dev}:${ino}`;
  } catch {
    return null;
  }
}
