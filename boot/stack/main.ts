// The network stack as a program of its own: opens an interface of the host by AF_PACKET (or a TAP), answers on it with
// our own stack, serves echo, discard and chargen, or is a client. The interface must carry no address of its own and have
// IPv6 disabled, so that the host never answers.

import { errnoName } from "../../kernel/abi/errno.ts";
import { NativeHost } from "../../native/host.ts";
import { HostPacketDevice } from "../../native/packet_device.ts";
import {
  type Endpoint,
  EndpointAddress,
  EthernetLink,
  FifoLink,
  GroLink,
  type Link,
  LoopbackLink,
  PacketLogLink,
  PacketPool,
  parseAddress,
  parseHardwareAddress,
  parsePrefix,
  PcapWriter,
  prefixBits,
  SoftwareOffload,
  Stack,
} from "../../netstack/mod.ts";
import { parse, UsageError } from "../cli/flags.ts";
import { ServiceLoop, startServices, Transfer } from "./services.ts";

const USAGE =
  `Usage: deno task stack --device=IF|--tap=IF --address=A/P [--address=...] [--gateway=A] [--mac=M]
  [--mtu=N] [--pcap=FILE] [--congestion=cubic|reno] [--no-offload] [--stats]
  [--connect=HOST:PORT --send=N|--receive=N]`;

const OPTIONS = {
  device: { type: "string", about: "interface to open by AF_PACKET" },
  tap: { type: "string", about: "TAP to open or make" },
  address: { type: "string", multiple: true, about: "own address with prefix length" },
  gateway: { type: "string", multiple: true, about: "default gateway" },
  mac: { type: "string", about: "own hardware address" },
  mtu: { type: "string", about: "largest packet" },
  pcap: { type: "string", about: "write all packets to this file" },
  congestion: { type: "string", about: "cubic or reno" },
  "no-offload": { type: "boolean", about: "no checksum and segmentation offload" },
  stats: { type: "boolean", about: "print all counters at the end" },
  connect: { type: "string", about: "be a client of ADDRESS:PORT" },
  send: { type: "string", about: "bytes to send" },
  receive: { type: "string", about: "bytes to receive" },
} as const;

const SMALL_PACKETS = 8192;
const LARGE_PACKETS = 512;
const CLOCK_MONOTONIC = 1;
const CLOCK_REALTIME = 0;
const SETTLE_MILLIS = 20;
const SETTLE_TURNS_MAX = 250;
/** Turns without a look at signals. */
const TURNS_MAX = 2000;
/** A wait so long blocks the thread, which is cheap; longer ones let the event loop run, so that signals are heard. */
const BLOCKING_MICROS_MAX = 5000;
/** Longest wait for the device: with nothing to do it may as well be an hour, signals end it. */
const WAIT_MICROS_MAX = 3600e6;

interface Values {
  readonly device?: string;
  readonly tap?: string;
  readonly address?: readonly string[];
  readonly gateway?: readonly string[];
  readonly mac?: string;
  readonly mtu?: string;
  readonly pcap?: string;
  readonly congestion?: string;
  readonly "no-offload"?: boolean;
  readonly stats?: boolean;
  readonly connect?: string;
  readonly send?: string;
  readonly receive?: string;
}

/** Everything that runs: the stack, its device, and the file it logs to. */
interface Running {
  readonly host: NativeHost;
  readonly device: HostPacketDevice;
  readonly stack: Stack;
  readonly now: () => number;
}

function start(values: Values): Running {
  const host = new NativeHost();
  const now = () => host.clockNanos(CLOCK_MONOTONIC);
  const address = hardwareAddress(values);
  const device = openDevice(values, address);
  const pool = new PacketPool(
    new Uint8Array(PacketPool.arenaBytes(SMALL_PACKETS, LARGE_PACKETS)),
    SMALL_PACKETS,
    LARGE_PACKETS,
  );
  const stack = new Stack({
    pool,
    random: { fill: (bytes) => host.random(bytes, 0, bytes.length) },
    log: (text) => console.error(text),
  });
  stack.now = now();
  const ethernet = new EthernetLink(device, pool, address ?? device.address);
  let link: Link = new FifoLink(new SoftwareOffload(ethernet, pool));
  // Where the host joins no segments we do.
  if (values["no-offload"] === true) link = new GroLink(link);
  if (values.pcap !== undefined) link = new PacketLogLink(link, pcapWriter(values.pcap, host));
  if (values.mtu !== undefined && link.setMtu(number(values.mtu, "mtu")) < 0) {
    throw new UsageError(`--mtu=${values.mtu}: the interface takes up to ${device.mtu}`);
  }
  const loopback = stack.addNic("lo", new LoopbackLink());
  stack.setUp(loopback, true);
  stack.addAddress(loopback, parseAddress("127.0.0.1")!, prefixBits(8, true));
  stack.addAddress(loopback, parseAddress("::1")!, 128);
  const nic = stack.addNic(values.device ?? values.tap!, link);
  stack.setUp(nic, true);
  for (const text of values.address ?? []) {
    const prefix = parsePrefix(text);
    if (prefix === null) throw new UsageError(`--address=${text}: not an address with a prefix length`);
    stack.addAddress(nic, prefix.address, prefixBits(prefix.length, prefix.address.isV4));
  }
  for (const text of values.gateway ?? []) {
    const gateway = parseAddress(text);
    if (gateway === null) throw new UsageError(`--gateway=${text}: not an address`);
    stack.addDefaultRoute(nic, gateway);
  }
  if (values.congestion !== undefined && stack.tcp.setDefaultCongestion(values.congestion) < 0) {
    throw new UsageError(`--congestion=${values.congestion}: it is cubic or reno`);
  }
  return { host, device, stack, now };
}

function hardwareAddress(values: Values): Uint8Array | null {
  if (values.mac === undefined) return null;
  const address = parseHardwareAddress(values.mac);
  if (address === null) throw new UsageError(`--mac=${values.mac}: not a hardware address`);
  return address;
}

function openDevice(values: Values, address: Uint8Array | null): HostPacketDevice {
  const hasOffload = values["no-offload"] !== true;
  const name = values.device ?? values.tap;
  if (name === undefined || (values.device !== undefined && values.tap !== undefined)) {
    throw new UsageError("One of --device=IF and --tap=IF is needed");
  }
  const device = values.device !== undefined
    ? HostPacketDevice.openInterface(name, { hasOffload })
    : HostPacketDevice
      .openTap(name, {
        hasOffload,
        mtu: values.mtu === undefined ? 1500 : number(values.mtu, "mtu"),
        address: address ?? Uint8Array.of(2, 0, 0, 0, 0, 1),
      });
  if (typeof device === "number") throw new Error(`Cannot open ${name}: ${errnoName(-device)}`);
  return device;
}

function pcapWriter(path: string, host: NativeHost): PcapWriter {
  const file = Deno.openSync(path, { write: true, create: true, truncate: true });
  let whole = 0;
  return new PcapWriter({ write: (bytes) => void file.writeSync(bytes) }, {
    seconds() {
      whole = host.clockSeconds(CLOCK_REALTIME);
      return whole;
    },
    nanoseconds: () => host.clockFraction,
  });
}

function number(text: string, name: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new UsageError(`--${name}=${text}: not a number`);
  }
  return value;
}

/** Runs until `isOver` says so. Signal handlers have their turn after every long wait and every so many turns. */
async function run(running: Running, loop: ServiceLoop, isOver: () => boolean): Promise<void> {
  const { stack, device, now } = running;
  let turns = 0;
  while (!isOver()) {
    const isBusy = stack.poll(now());
    loop.turn();
    if (++turns >= TURNS_MAX) {
      turns = 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (isBusy || !loop.isIdle) continue;
    // What the services have just written goes out before we sleep.
    stack.poll(now());
    if (!loop.isIdle) continue;
    const micros = (stack.pollAt() - now()) / 1000;
    if (micros <= 0 || device.wait(-1, Math.min(micros, BLOCKING_MICROS_MAX))) continue;
    if (micros <= BLOCKING_MICROS_MAX) continue;
    turns = 0;
    await device.waitLater(-1, Math.min(micros - BLOCKING_MICROS_MAX, WAIT_MICROS_MAX));
  }
}

/** IPv6 addresses are of no use until nobody has said that they are taken (duplicate detection, about a second). */
async function settle(running: Running): Promise<void> {
  const { stack, now } = running;
  const isTentative = () =>
    stack.nics.some((nic) => nic?.addresses.some((entry) => entry.isTentative) === true);
  for (let turn = 0; turn < SETTLE_TURNS_MAX && isTentative(); turn++) {
    stack.poll(now());
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MILLIS));
  }
}

async function serve(running: Running, values: Values): Promise<number> {
  const loop = new ServiceLoop(running.stack);
  startServices(loop);
  let isOver = false;
  // The wait for the device cannot be called off: the process ends from the handler, once the loop stands still.
  const stop = () => {
    isOver = true;
    if (values.stats === true) console.error(running.stack.statisticsText());
    running.stack.close();
    Deno.exit(0);
  };
  for (const name of ["SIGTERM", "SIGINT"] as const) Deno.addSignalListener(name, stop);
  Deno.addSignalListener("SIGUSR2", () => console.error(running.stack.statisticsText()));
  console.log(`Serving on ${values.device ?? values.tap}`);
  await run(running, loop, () => isOver);
  return 0;
}

async function connect(running: Running, values: Values): Promise<number> {
  const to = endpointOf(values.connect!);
  if ((values.send === undefined) === (values.receive === undefined)) {
    throw new UsageError("--connect goes with one of --send=N and --receive=N");
  }
  const bytes = number(values.send ?? values.receive!, values.send === undefined ? "receive" : "send");
  const loop = new ServiceLoop(running.stack);
  const endpoint: Endpoint = running.stack.newTcpEndpoint(to.address.isV4);
  const begin = running.now();
  const result = endpoint.connect(to);
  if (result < 0 && result !== -115) {
    throw new Error(`Cannot connect to ${values.connect}: ${errnoName(-result)}`);
  }
  const transfer = new Transfer(endpoint, bytes, values.send !== undefined);
  loop.add(transfer);
  await run(running, loop, () => transfer.isOver);
  const seconds = (running.now() - begin) / 1e9;
  // The last acknowledgements leave before the device closes.
  running.stack.poll(running.now());
  if (transfer.failure !== 0) {
    throw new Error(`Connection to ${values.connect} failed: ${errnoName(transfer.failure)}`);
  }
  const rate = transfer.done * 8 / seconds / 1e9;
  console.log(`${transfer.done} bytes in ${seconds.toFixed(3)} s: ${rate.toFixed(3)} Gbit/s`);
  return transfer.done === bytes ? 0 : 1;
}

/** "10.0.0.2:7", "[fd00::2]:7". */
function endpointOf(text: string): EndpointAddress {
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const address = match === null ? null : parseAddress(match[1] ?? match[2]);
  if (match === null || address === null || Number(match[3]) > 65_535) {
    throw new UsageError(`--connect=${text}: not ADDRESS:PORT`);
  }
  const to = new EndpointAddress();
  to.address.copy(address);
  to.port = Number(match[3]);
  return to;
}

async function main(args: readonly string[]): Promise<number> {
  try {
    if (args.includes("--help")) {
      console.log(USAGE);
      return 0;
    }
    const values = parse(args, OPTIONS, false).values as Values;
    const running = start(values);
    await settle(running);
    const code = values.connect === undefined ? await serve(running, values) : await connect(running, values);
    if (values.stats === true) console.error(running.stack.statisticsText());
    running.stack.close();
    return code;
  } catch (error) {
    console.error(`stack: ${(error as Error).message}`);
    if (error instanceof UsageError) console.error(USAGE);
    return error instanceof UsageError ? 2 : 1;
  }
}

Deno.exit(await main(Deno.args));
