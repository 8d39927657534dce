// Two stacks over an impaired wire in virtual time: the ground of the simulator. Everything comes from one seed, so that a
// run can be had again. TigerBeetle's simulator is the model.

import { parseAddress, prefixBits } from "../address.ts";
import { ImpairmentLink } from "../link/impairment.ts";
import type { Impairment } from "../link/impairment.ts";
import { LoopbackLink } from "../link/loopback.ts";
import { SoftwareOffload } from "../link/offload.ts";
import { VethLink } from "../link/veth.ts";
import { WindowMonitor } from "./window_monitor.ts";
import { PacketPool } from "../packet.ts";
import { SeededRandom } from "../random.ts";
import { Stack } from "../stack.ts";

/** One pool a side for all worlds, one after the other: what a world has not given back shows in the next one's check. */
const POOLS = [PacketPool.inHeap(2048, 64), PacketPool.inHeap(2048, 64)] as const;
const START_NANOS = 1e9;

export interface WorldOptions {
  readonly seed: number;
  readonly mtu: number;
  readonly impairment: Partial<Impairment>;
}

export class World {
  readonly random: SeededRandom;
  now = START_NANOS;
  readonly stacks: readonly [Stack, Stack];
  readonly wires: readonly [ImpairmentLink, ImpairmentLink];
  readonly monitors: readonly [WindowMonitor, WindowMonitor];
  readonly addresses = ["10.0.0.1", "10.0.0.2"].map((text) => parseAddress(text)!);
  readonly addressesV6 = ["fd00::1", "fd00::2"].map((text) => parseAddress(text)!);
  steps = 0;

  constructor(options: WorldOptions) {
    this.random = new SeededRandom(options.seed);
    const ends = VethLink.pair(Uint8Array.of(2, 0, 0, 0, 0, 1), Uint8Array.of(2, 0, 0, 0, 0, 2), options.mtu);
    const make = (side: 0 | 1) => {
      const pool = POOLS[side];
      const wire = new ImpairmentLink(ends[side], new SeededRandom(this.random.word()), options.impairment);
      const monitor = new WindowMonitor(wire);
      const stack = new Stack({
        pool,
        random: new SeededRandom(this.random.word()),
        log() {},
        duplicateProbes: 0,
      });
      stack.now = START_NANOS;
      const loopback = stack.addNic("lo", new LoopbackLink());
      stack.setUp(loopback, true);
      stack.addAddress(loopback, parseAddress("127.0.0.1")!, prefixBits(8, true));
      const nic = stack.addNic("eth0", new SoftwareOffload(monitor, pool));
      stack.setUp(nic, true);
      stack.addAddress(nic, this.addresses[side], prefixBits(24, true));
      if (options.mtu >= 1280) stack.addAddress(nic, this.addressesV6[side], 64);
      return { stack, wire, monitor };
    };
    const left = make(0), right = make(1);
    this.stacks = [left.stack, right.stack];
    this.wires = [left.wire, right.wire];
    this.monitors = [left.monitor, right.monitor];
    left.monitor.peer = right.monitor;
    right.monitor.peer = left.monitor;
  }

  /** Does what is due now; then time goes on to the next thing, at most to `until`. */
  step(until: number): void {
    this.steps++;
    for (const stack of this.stacks) while (stack.poll(this.now)) this.steps++;
    const next = Math.min(until, this.stacks[0].pollAt(), this.stacks[1].pollAt());
    if (next > this.now) this.now = next;
  }

  /** Packets that neither side has given back. */
  get packetsOut(): number {
    return POOLS[0].used + POOLS[1].used;
  }

  close(): void {
    for (const stack of this.stacks) stack.close();
  }
}
