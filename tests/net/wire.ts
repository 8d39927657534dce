// A wire that is as bad as asked, between two interfaces of one namespace: our bridge with an impaired port each way. This
// kernel has no netem. Usage: wire.ts LEFT RIGHT [--loss=PPM] [--reorder=PPM] [--duplicate=PPM] [--corrupt=PPM]
// [--delay=MILLIS] [--rate=BYTES_PER_SECOND] [--seed=N]

import { NativeHost } from "../../native/host.ts";
import { HostPacketDevice } from "../../native/packet_device.ts";
import { BridgeLink, EthernetLink, ImpairmentLink, PacketPool, SeededRandom } from "../../netstack/mod.ts";

const [left, right, ...flags] = Deno.args;
const values = new Map(flags.map((flag) => flag.replace(/^--/, "").split("=") as [string, string]));
const number = (name: string, preset: number) => Number(values.get(name) ?? preset);

const host = new NativeHost();
const now = () => host.clockNanos(1);
const pool = PacketPool.inHeap(4096, 512);
const bridge = new BridgeLink(Uint8Array.of(2, 0, 0, 0, 0, 9));
const devices = [left, right].map((name, i) => {
  const device = HostPacketDevice.openInterface(name, { hasOffload: false });
  if (typeof device === "number") throw new Error(`Cannot open ${name}: errno ${-device}`);
  bridge.addPort(
    new ImpairmentLink(new EthernetLink(device, pool), new SeededRandom(number("seed", 1) + i), {
      lossPerMillion: number("loss", 0),
      reorderPerMillion: number("reorder", 0),
      duplicatePerMillion: number("duplicate", 0),
      corruptPerMillion: number("corrupt", 0),
      delayNanos: number("delay", 0) * 1e6,
      rateBytes: number("rate", Infinity),
      packetsMax: 10_000,
    }),
  );
  return device;
});

console.log("Wire is up");
for (;;) {
  const handed = bridge.poll(now(), 256);
  bridge.flush();
  if (handed > 0) continue;
  const micros = (bridge.pollAt() - now()) / 1000;
  if (micros > 0) devices[0].wait(devices[1].fd, Math.min(micros, 100_000));
}
