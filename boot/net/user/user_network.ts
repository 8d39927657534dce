// A sandbox's network by --network=user, as the command line sets it up: it binds the published ports with the caller's rights,
// starts the net process (boot/relay.ts), and gives each side its end of the link between them. Afterwards it has no part in it:
// the net process ends with that link, whichever end has died.

import { errnoName } from "../../../kernel/abi/errno.ts";
import { commandLineHost } from "../../../native/host.ts";
import { linkPair, NativeSockets, SocketKind } from "../../../native/host_sockets.ts";
import { socketPair, startRelay } from "../../../native/process.ts";
import { type Address, parseAddress } from "../../../netstack/mod.ts";
import { receive } from "../../control/channel.ts";
import { refusal, relayProgram } from "../../launch.ts";
import { sendSetup } from "../../setup.ts";
import { createLinks, openPcap } from "../hand_over.ts";
import type { NetworkFlags } from "../namespace.ts";
import { addressBlock } from "./context.ts";
import { guestLinks } from "./layout.ts";
import { EgressPolicy, PolicyError } from "./policy.ts";
import type { PublishedPort, RelayConfig } from "./relay_network.ts";

/** Longest a net process may take to get ready, milliseconds. */
const READY_MILLIS_MAX = 60_000;
const PORT_MAX = 65_535;
const PUBLISHED_MAX = 64;
/** As glibc's MAXNS. */
const SERVERS_MAX = 3;
const DNS_PORT = 53;
const RESOLVER_FILE = "/etc/resolv.conf";

export class UserNetwork {
  readonly #flags: NetworkFlags;
  /** Our end of the net process' socket, on which it says that it is ready, and the sandbox's end of the link; -1 = closed. */
  #control: number;
  #link: number;

  private constructor(flags: NetworkFlags, control: number, link: number) {
    this.#flags = flags;
    this.#control = control;
    this.#link = link;
  }

  /** Binds ports and starts the net process, which says to `log` (a descriptor) what is wrong. Throws one line. */
  static start(flags: NetworkFlags, log: number, isLenient: boolean): UserNetwork {
    checkEgress(flags.egress);
    const host = commandLineHost(), opened: number[] = [];
    try {
      const published = publish(flags.published, opened);
      const config: RelayConfig = {
        egress: flags.egress,
        servers: nameServers(flags.nameServers),
        published,
        isLenient,
      };
      const [ours, theirs] = socketPair();
      const network = new UserNetwork(flags, ours, -1);
      opened.push(theirs);
      const [guestEnd, relayEnd] = linkPair();
      network.#link = guestEnd;
      opened.push(relayEnd);
      const { argv, environment } = relayProgram();
      const pid = startRelay(argv, environment, theirs);
      if (pid < 0) {
        network.close();
        throw new Error(`Cannot start the net process: ${refusal(-pid)}`);
      }
      sendSetup(host, ours, config, [log, relayEnd, ...opened.slice(0, published.length)]);
      return network;
    } finally {
      for (const fd of opened) host.close(fd);
    }
  }

  /** Gives a sandbox its end; `connect` gives a connection to its sentry. Throws one line where that fails. */
  handOver(connect: () => number): void {
    const host = commandLineHost(), fds = [this.#link];
    const { pcap } = this.#flags;
    try {
      const received = receive(host, this.#control, "role", READY_MILLIS_MAX);
      const message = received?.frame?.message;
      if (message?.kind !== "ready") {
        const reason = message?.kind === "failed" ? message.message : "it has ended";
        throw new Error(`Cannot start the net process: ${reason}`);
      }
      if (pcap !== "") fds.push(openPcap(pcap));
      createLinks(host, guestLinks(pcap !== ""), fds, connect);
    } finally {
      for (const fd of fds.slice(1)) host.close(fd);
      this.close();
    }
  }

  /** The net process ends unless a sandbox has the link. */
  close(): void {
    const host = commandLineHost();
    for (const fd of [this.#control, this.#link]) if (fd >= 0) host.close(fd);
    this.#control = this.#link = -1;
  }
}

function checkEgress(text: string): void {
  try {
    EgressPolicy.parse(text);
  } catch (error) {
    if (error instanceof PolicyError) throw new Error(`--egress: ${error.message}`);
    throw error;
  }
}

/** Binds a socket for each; they go to `opened`. */
function publish(texts: readonly string[], opened: number[]): PublishedPort[] {
  if (texts.length > PUBLISHED_MAX) {
    throw new Error(`--publish: ${texts.length} ports, at most ${PUBLISHED_MAX}`);
  }
  const sockets = new NativeSockets(false);
  return texts.map((text) => {
    const { address, hostPort, port, isDatagram } = publishedOf(text);
    const kind = isDatagram ? SocketKind.Datagram : SocketKind.Stream;
    const fd = sockets.listen(kind, addressBlock(address, hostPort));
    if (fd < 0) throw new Error(`--publish: cannot bind ${text}: ${errnoName(-fd)}`);
    opened.push(fd);
    return { port, isDatagram, isV4: address.isV4 };
  });
}

/** "[HOSTIP:]HOSTPORT:PORT[/tcp|/udp]", as Docker has it. */
export function publishedOf(
  text: string,
): {
  readonly address: Address;
  readonly hostPort: number;
  readonly port: number;
  readonly isDatagram: boolean;
} {
  const match = /^(?:(?:\[([^\]]*)\]|([^:]*)):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(text);
  const address = match === null ? null : parseAddress(match[1] ?? match[2] ?? "0.0.0.0");
  const hostPort = Number(match?.[3]), port = Number(match?.[4]);
  if (
    match === null || address === null || hostPort < 1 || hostPort > PORT_MAX || port < 1 || port > PORT_MAX
  ) {
    throw new Error(`--publish: "${text}" is not [HOSTIP:]HOSTPORT:PORT[/udp]`);
  }
  return { address, hostPort, port, isDatagram: match[5] === "udp" };
}

/** Those of --dns ("ADDRESS", "ADDRESS:PORT", "[V6]:PORT"), or else the host's. */
function nameServers(given: readonly string[]): RelayConfig["servers"] {
  if (given.length > 0) return given.map(nameServerOf);
  let text = "";
  try {
    text = Deno.readTextFileSync(RESOLVER_FILE);
  } catch {
    // A host without it asks itself: resolv.conf(5).
    return [{ address: "127.0.0.1", port: DNS_PORT }];
  }
  const found = [...text.matchAll(/^[ \t]*nameserver[ \t]+(\S+)/gm)].map(([, address]) => address);
  return found.filter((address) => parseAddress(address) !== null).slice(0, SERVERS_MAX)
    .map((address) => ({ address, port: DNS_PORT }));
}

function nameServerOf(text: string): { readonly address: string; readonly port: number } {
  const match = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(text);
  const address = parseAddress(text) !== null ? text : match?.[1] ?? match?.[2] ?? "";
  const port = parseAddress(text) !== null ? DNS_PORT : Number(match?.[3] ?? DNS_PORT);
  if (parseAddress(address) === null || port < 1 || port > PORT_MAX) {
    throw new Error(`--dns: "${text}" is not ADDRESS[:PORT]`);
  }
  return { address, port };
}
