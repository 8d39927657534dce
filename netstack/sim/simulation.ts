// One simulation: a world and a workload, all from one seed, run until everything is over and all time-outs have passed.
// What must hold is checked on the way and at the end.

import { EndpointAddress } from "../endpoint.ts";
import type { Impairment } from "../link/impairment.ts";
import { SeededRandom } from "../random.ts";
import type { TcpEndpoint } from "../tcp/endpoint.ts";
import { type Plan, startConnect, Worker } from "./workload.ts";
import { World } from "./world.ts";

const PORT = 80;
/** Virtual time that a workload may take, and what follows so that TIME_WAIT and orphans are over. */
const WORK_NANOS_MAX = 3600e9;
const REST_NANOS = 400e9;
const STEPS_MAX = 2_000_000;
/** Where nobody wants anything, time goes on this far at most before they are asked again. */
const IDLE_NANOS_MAX = 10e9;
/** Reads and writes of a workload are no oftener than this apart. */
const TICK_NANOS = 1e5;

export interface Outcome {
  /** What was wrong, in words; empty = all was well. */
  readonly complaints: readonly string[];
  readonly segments: number;
  readonly virtualSeconds: number;
  readonly bytes: number;
}

/** Runs the simulation of `seed`. */
export function simulate(seed: number): Outcome {
  const random = new SeededRandom(seed);
  const impairment = chooseImpairment(random);
  const world = new World({
    seed: random.word(),
    mtu: pick(random, [1500, 1500, 1280, 9000, 576]),
    impairment,
  });
  tuneStacks(world, random, isClean(impairment));
  const complaints: string[] = [];
  const workers = startWorkload(world, random, impairment, complaints);
  const pending = workers.pending;
  let isStuck = false;
  while (!isStuck && (pending.length > 0 || workers.all.some((worker) => !worker.isOver))) {
    acceptAll(workers, world);
    let next = Infinity;
    for (const worker of workers.all) {
      worker.act(world.now);
      if (!worker.isOver) next = Math.min(next, Math.max(worker.nextAt, world.now + TICK_NANOS));
      if (worker.complaint !== "") complaints.push(worker.complaint);
    }
    if (complaints.length > 0) break;
    world.step(Math.min(next, world.now + IDLE_NANOS_MAX));
    isStuck = world.now > WORK_NANOS_MAX || world.steps > STEPS_MAX;
    if (pending.length > 0 && workers.all.every((worker) => worker.isOver)) break;
  }
  if (isStuck) {
    complaints.push(`not over after ${world.now / 1e9} s and ${world.steps} steps: ${describe(workers.all)}`);
  }
  checkTransfers(workers, impairment, complaints);
  for (const listener of workers.listeners) listener.close();
  const end = world.now + REST_NANOS;
  while (world.now < end && world.steps < 2 * STEPS_MAX) world.step(end);
  for (const [i, stack] of world.stacks.entries()) {
    if (stack.tcp.count !== 0) complaints.push(`side ${i}: ${stack.tcp.count} connections are left`);
    if (stack.timers.size > 64) complaints.push(`side ${i}: ${stack.timers.size} timers are left`);
  }
  for (const monitor of world.monitors) complaints.push(...monitor.complaints.slice(0, 3));
  const segments = world.monitors[0].segments + world.monitors[1].segments;
  const bytes = workers.all.reduce((sum, worker) => sum + worker.received, 0);
  const virtualSeconds = world.now / 1e9;
  world.close();
  if (world.packetsOut !== 0) complaints.push(`${world.packetsOut} packets were not given back`);
  return { complaints, segments, virtualSeconds, bytes };
}

function pick<T>(random: SeededRandom, list: readonly T[]): T {
  return list[random.below(list.length)];
}

function chooseImpairment(random: SeededRandom): Partial<Impairment> {
  const isBad = random.below(3) > 0;
  return {
    delayNanos: pick(random, [0, 1e5, 2e6, 20e6, 150e6]),
    jitterNanos: pick(random, [0, 0, 1e5, 3e6]),
    lossPerMillion: isBad ? pick(random, [0, 1000, 10_000, 50_000, 150_000]) : 0,
    duplicatePerMillion: isBad ? pick(random, [0, 0, 10_000, 100_000]) : 0,
    reorderPerMillion: isBad ? pick(random, [0, 0, 10_000, 100_000]) : 0,
    corruptPerMillion: isBad ? pick(random, [0, 0, 5000, 50_000]) : 0,
    rateBytes: pick(random, [Infinity, Infinity, 125_000, 1_250_000]),
    packetsMax: pick(random, [1000, 1000, 64, 16]),
  };
}

/** Nothing is lost, changed or overtaken. */
function isClean(impairment: Partial<Impairment>): boolean {
  const { lossPerMillion = 0, corruptPerMillion = 0, reorderPerMillion = 0, packetsMax = 1000 } = impairment;
  return lossPerMillion + corruptPerMillion + reorderPerMillion === 0 && packetsMax >= 1000;
}

/** Settings of both sides, and sequence numbers that soon wrap. */
function tuneStacks(world: World, random: SeededRandom, isClean: boolean): void {
  for (const { tcp } of world.stacks) {
    tcp.setDefaultCongestion(pick(random, ["cubic", "reno"]));
    if (random.below(4) === 0) tcp.settings.set("sack", 0);
    if (random.below(4) === 0) tcp.settings.set("timestamps", 0);
    if (random.below(6) === 0) tcp.settings.set("window_scaling", 0);
    if (random.below(4) === 0) tcp.settings.set("ecn", 1);
    // Where the handshake's end and the first segment are both lost, the third finds no record and no cookie, and is
    // reset; that is so on Linux too. So cookies are for wires that lose nothing.
    if (isClean && random.below(3) === 0) tcp.settings.set("syncookies", 2);
    if (random.below(3) === 0) tcp.settings.set("rmem_default", pick(random, [4608, 16_384, 65_536]));
    const start = pick(random, [-1, -70_000, 0x7fff_ff00, 0, random.word()]);
    tcp.initialSequence = () => start + random.below(1000) | 0;
  }
}

class Workers {
  readonly all: Worker[] = [];
  readonly listeners: TcpEndpoint[] = [];
  /** Plans of those whose server side has not been accepted yet, by the client's port. */
  readonly pending: {
    readonly client: Worker;
    readonly endpoint: TcpEndpoint;
    readonly plans: readonly [Plan, Plan];
  }[] = [];
  readonly random: SeededRandom;
  constructor(random: SeededRandom) {
    this.random = random;
  }
}

function startWorkload(
  world: World,
  random: SeededRandom,
  impairment: Partial<Impairment>,
  complaints: string[],
): Workers {
  const workers = new Workers(random);
  const isV4 = world.stacks[0].nics[2]!.mtu < 1280 || random.below(2) === 0;
  const to = new EndpointAddress();
  to.address.copy((isV4 ? world.addresses : world.addressesV6)[1]);
  to.port = PORT;
  const listener = world.stacks[1].newTcpEndpoint(isV4);
  const bindTo = new EndpointAddress();
  bindTo.address.setUnspecified(isV4);
  bindTo.port = PORT;
  if (listener.bind(bindTo) < 0 || listener.listen(128) < 0) complaints.push("cannot listen");
  workers.listeners.push(listener);
  const most = impairment.rateBytes === 125_000 ? 30_000 : pick(random, [0, 1, 2000, 30_000, 200_000]);
  for (let i = 0, count = 1 + random.below(4); i < count; i++) {
    const plan = (stream: number): Plan => ({
      sends: most === 0 ? 0 : random.below(most + 1),
      stream,
      pauseNanos: pick(random, [0, 0, 1e6, 50e6, 400e6]),
      pieceBytes: pick(random, [1000, 10_000, 60_000]),
      isRude: random.below(8) === 0,
    });
    const plans = [plan(2 * i + 1), plan(2 * i + 2)] as const;
    const endpoint = world.stacks[0].newTcpEndpoint(isV4);
    if (!startConnect(endpoint, to)) {
      complaints.push("cannot connect");
      continue;
    }
    const client = new Worker(endpoint, new SeededRandom(random.word()), plans[0], plans[1]);
    workers.all.push(client);
    workers.pending.push({ client, endpoint, plans });
  }
  return workers;
}

const peer = new EndpointAddress();

function acceptAll(workers: Workers, _world: World): void {
  for (;;) {
    const accepted = workers.listeners[0].accept();
    if (typeof accepted === "number") return;
    accepted.peerAddress(peer);
    const i = workers.pending.findIndex((entry) => entry.endpoint.localPort === peer.port);
    if (i < 0) {
      accepted.close();
      continue;
    }
    const [{ plans }] = workers.pending.splice(i, 1);
    workers.all.push(new Worker(accepted, new SeededRandom(workers.random.word()), plans[1], plans[0]));
  }
}

/** Where nobody was rude and the wire was usable, everything has arrived. */
function checkTransfers(workers: Workers, impairment: Partial<Impairment>, complaints: string[]): void {
  const isUsable = (impairment.lossPerMillion ?? 0) <= 50_000 &&
    (impairment.corruptPerMillion ?? 0) <= 5000 &&
    (impairment.packetsMax ?? 0) > 16;
  if (!isUsable) return;
  for (const worker of workers.all) {
    if (worker.isPolite && worker.failure !== 0) complaints.push(`failed with errno ${worker.failure}`);
    if (worker.isPolite && worker.failure === 0 && !worker.isComplete) {
      complaints.push(`only ${worker.received} bytes have arrived`);
    }
  }
}

function describe(workers: readonly Worker[]): string {
  return workers.filter((worker) => !worker.isOver).map((worker) => {
    const endpoint = worker.endpoint as TcpEndpoint;
    return `state ${endpoint.state} sent ${worker.sent} received ${worker.received}`;
  }).join(", ");
}
