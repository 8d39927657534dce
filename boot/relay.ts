// The relay role: the net process of a sandbox with --network=user. It alone has rights on the host's network. It hears the
// sandbox's packets over one socket, and carries what they say to sockets of the host, as far as the egress policy lets it:
// the policy is applied here, so that a sentry that has been taken over gets no further. It ends with that socket.

import { NativeHost } from "../native/host.ts";
import { NativeSockets } from "../native/host_sockets.ts";
import { HostPacketDevice } from "../native/packet_device.ts";
import { copyDescriptor } from "../native/process.ts";
import { EthernetLink, FifoLink, type Link, PacketPool, SoftwareOffload } from "../netstack/mod.ts";
import { HostLoop } from "../platform/host/host_loop.ts";
import type { PlatformEvents } from "../platform/platform.ts";
import { confineRelay } from "./confinement.ts";
import { send } from "./control/channel.ts";
import { printable } from "./control/printable.ts";
import { MTU, RELAY_HARDWARE } from "./net/user/layout.ts";
import { type RelayConfig, RelayNetwork } from "./net/user/relay_network.ts";
import { awaitSetup, ROLE_FDS } from "./setup.ts";

const STDERR = 2;
const CLOCK_MONOTONIC = 1;
const POLLIN = 1;
/** Packets under way, of one segment and of 64 KiB. */
const SMALL_PACKETS = 4096;
const LARGE_PACKETS = 384;
/** Descriptors that come with the configuration: log, link, then a listener for each published port. */
const FDS = { log: 0, link: 1, listeners: 2 } as const;

/** Runs until the sentry is gone. Ends the process. */
export function runRelay(): never {
  const host = new NativeHost();
  const log = (text: string) => {
    const bytes = new TextEncoder().encode(`${text.split("\n").map(printable).join("\n  ")}\n`);
    host.write(STDERR, bytes, 0, bytes.length);
  };
  try {
    const setup = awaitSetup<RelayConfig>(host);
    if (setup === null) Deno.exit(0);
    const { config, fds } = setup;
    copyDescriptor(fds[FDS.log], STDERR);
    serve(host, config, fds, log);
  } catch (error) {
    log(`Relay: ${error instanceof Error ? error.stack : error}`);
    const message = error instanceof Error ? error.message : String(error);
    send(host, ROLE_FDS.control, { kind: "failed", code: 128, message });
    Deno.exit(1);
  }
}

function serve(
  host: NativeHost,
  config: RelayConfig,
  fds: readonly number[],
  log: (text: string) => void,
): never {
  const now = () => host.clockNanos(CLOCK_MONOTONIC);
  const loop = new HostLoop(() => {});
  const pool = PacketPool.inHeap(SMALL_PACKETS, LARGE_PACKETS);
  const linkFd = fds[FDS.link];
  const ethernet = linkOf(linkFd, pool);
  const link: Link = new FifoLink(new SoftwareOffload(ethernet, pool));
  const relayHost = {
    sockets: new NativeSockets(true),
    poller: loop,
    random: { fill: (bytes: Uint8Array) => host.random(bytes, 0, bytes.length) },
    log,
    descriptorsMax: host.descriptorsMax(),
  };
  const network = new RelayNetwork(relayHost, pool, link, now(), config, fds.slice(FDS.listeners));
  // The stack reads it in its turn; a hang-up makes reading fail.
  network.watches.add(linkFd, POLLIN, { onHost() {} });
  const events: PlatformEvents = {
    threads: [],
    threadCount: 0,
    hostFdCookies: [],
    hostFdEvents: [],
    hostFdCount: 0,
  };
  confineRelay(Math.max(...fds) + 1, config.isLenient);
  send(host, ROLE_FDS.control, { kind: "ready" });
  host.close(ROLE_FDS.control);
  for (;;) {
    network.turn(now());
    if (ethernet.failure !== 0) Deno.exit(0);
    loop.take(loop.sleep(network.turnAt()), events);
    for (let i = 0; i < events.hostFdCount; i++) {
      network.watches.dispatch(events.hostFdCookies[i], events.hostFdEvents[i]);
    }
  }
}

function linkOf(fd: number, pool: PacketPool): EthernetLink {
  const facts = { hasOffload: true, mtu: MTU, address: RELAY_HARDWARE };
  return new EthernetLink(HostPacketDevice.ofSocket(fd, facts), pool, RELAY_HARDWARE);
}
