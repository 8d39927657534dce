// The parts of a connection by themselves: records of what was sent, round trips, congestion windows, cookies, hashes.

import { deepEqual as equal, notDeepEqual as differ, ok, throws } from "node:assert/strict";
import { HalfSipHash } from "../half_siphash.ts";
import { RandomWords, SeededRandom } from "../random.ts";
import { address } from "../test_support.ts";
import { CONGESTION_CONTROLS, THRESHOLD_NONE, type Window } from "./congestion/congestion.ts";
import { RANGES_MAX, ReceiveBuffer } from "./receive_buffer.ts";
import { RoundTrip, RTO_MAX_NANOS } from "./rtt.ts";
import { LOST, RETRANSMITTED, SACKED, SENT_MAX, SentList } from "./sent_list.ts";
import { RingMemory } from "./ring.ts";
import { SendBuffer } from "./send_buffer.ts";
import { SynCookies } from "./syn_cookie.ts";
import { mayMove, STATE_NAMES, TcpState } from "./state.ts";

const random = (seed: number) => new RandomWords(new SeededRandom(seed));

Deno.test("SentList: sums follow flags, splits, trims and joins", () => {
  const words = new SeededRandom(3);
  const list = new SentList();
  for (let i = 0; i < 50; i++) list.push(i * 1000, (i + 1) * 1000, i);
  for (let step = 0; step < 3000; step++) {
    let record = list.first;
    for (let n = words.below(list.count || 1); n > 0 && record !== null; n--) record = record.next;
    if (record === null) break;
    switch (words.below(6)) {
      case 0:
        if (record.bytes > 1) list.split(record, record.sequence + 1 + words.below(record.bytes - 1));
        break;
      case 1:
        list.setFlags(record, SACKED);
        list.joinSacked(record);
        break;
      case 2:
        list.setFlags(record, LOST);
        break;
      case 3:
        list.setFlags(record, record.flags | RETRANSMITTED);
        break;
      case 4:
        if (words.below(10) === 0) list.shift();
        break;
      default:
        if (record === list.first && record.bytes > 1) list.trim(record, record.sequence + 1);
    }
    let sacked = 0, lost = 0, repeated = 0, count = 0, end = list.first?.sequence ?? 0;
    for (let one = list.first; one !== null; one = one.next) {
      equal(one.sequence, end, "there is a hole in the list");
      end = one.end;
      count++;
      if ((one.flags & SACKED) !== 0) sacked += one.bytes;
      if ((one.flags & LOST) !== 0) lost += one.bytes;
      if ((one.flags & RETRANSMITTED) !== 0) repeated += one.bytes;
    }
    equal([list.sackedBytes, list.lostBytes, list.retransmittedBytes, list.count], [
      sacked,
      lost,
      repeated,
      count,
    ]);
  }
});

Deno.test("SentList: whatever blocks a peer reports, there are so many records at most", () => {
  const list = new SentList();
  list.push(0, 1_000_000, 1);
  let at = 1;
  for (let record = list.first; record !== null && list.split(record, at); record = record.next) at++;
  equal(list.count, SENT_MAX);
  list.clear();
  equal([list.count, list.first], [0, null]);
});

Deno.test("RoundTrip: RFC 6298's arithmetic with Linux' bounds", () => {
  const rtt = new RoundTrip();
  equal(rtt.timeout, 1e9);
  rtt.sample(100e6, 1);
  equal([rtt.smoothed, rtt.variation, rtt.timeout], [100e6, 50e6, 300e6]);
  for (let i = 0; i < 100; i++) rtt.sample(100e6, 2 + i);
  equal(Math.round(rtt.timeout / 1e6), 300, "the spread has a least of 200 ms");
  equal(rtt.backedOff(3), rtt.timeout * 8);
  equal(rtt.backedOff(30), RTO_MAX_NANOS);
  rtt.sample(20e6, 200);
  equal(rtt.min, 20e6);
  rtt.sample(90e6, 400e9);
  equal(rtt.min, 90e6, "a minimum is forgotten after five minutes");
});

function windowOf(mss: number): Window {
  return {
    window: 10 * mss,
    threshold: THRESHOLD_NONE,
    segmentBytes: mss,
    smoothedRtt: 100e6,
    minRtt: 100e6,
  };
}

Deno.test("reno: slow start doubles, avoidance adds a segment a round trip, loss halves", () => {
  const w = windowOf(1000);
  const reno = CONGESTION_CONTROLS.reno();
  for (let i = 0; i < 10; i++) reno.onAck(w, 1000, 100e6, i);
  equal(w.window, 20_000);
  w.threshold = 20_000;
  for (let i = 0; i < 20; i++) reno.onAck(w, 1000, 100e6, i);
  ok(Math.abs(w.window - 21_000) < 100, `${w.window}`);
  equal(Math.round(reno.onLoss(w, w.window, 1) / 100), 105);
});

Deno.test("cubic: falls to 0.7, is back at its plateau after K, and probes beyond", () => {
  const w = windowOf(1000);
  const cubic = CONGESTION_CONTROLS.cubic();
  w.window = 100_000;
  w.threshold = cubic.onLoss(w, w.window, 0);
  equal(w.threshold, 70_000);
  w.window = w.threshold;
  // K = cbrt(30 / 0.4) = 4.2 s.
  let now = 1e9;
  const after = (seconds: number) => {
    for (const until = now + seconds * 1e9; now < until; now += 1e8) {
      const segments = Math.floor(w.window / 1000);
      for (let i = 0; i < segments; i++) cubic.onAck(w, 1000, 100e6, now);
    }
    return w.window;
  };
  const early = after(1), plateau = after(3.3), later = after(4);
  ok(early > 75_000 && early < 97_000, `${early}`);
  ok(plateau > 97_000 && plateau < 104_000, `${plateau}`);
  ok(later > 110_000, `${later}`);
});

Deno.test("cubic: fast convergence gives way when the plateau sinks", () => {
  const w = windowOf(1000);
  const cubic = CONGESTION_CONTROLS.cubic();
  w.window = 100_000;
  cubic.onLoss(w, w.window, 0);
  w.window = 80_000;
  equal(Math.round(cubic.onLoss(w, w.window, 1e9)), 56_000);
});

Deno.test("SYN cookies: only for the same four, the same ISN, two minutes", () => {
  const cookies = new SynCookies(random(1)), foreign = new SynCookies(random(2));
  const own = address("10.0.0.1"), peer = address("10.0.0.2"), now = 1000e9;
  const cookie = cookies.make(own, 80, peer, 4000, 77, 1460, now);
  const check = (of: SynCookies, port: number, isn: number, at: number) =>
    of.check(cookie, own, 80, peer, port, isn, at);
  equal(check(cookies, 4000, 77, now + 1e9), 1460);
  equal(check(cookies, 4001, 77, now + 1e9), 0);
  equal(check(cookies, 4000, 78, now + 1e9), 0);
  equal(check(foreign, 4000, 77, now + 1e9), 0);
  equal(check(cookies, 4000, 77, now + 200e9), 0);
  let guessed = 0;
  for (let i = 0; i < 20_000; i++) {
    if (cookies.check(cookie + 1 + i * 7919 | 0, own, 80, peer, 4000, 77, now) > 0) guessed++;
  }
  ok(guessed <= 2, `${guessed} of 20,000 guesses`);
});

Deno.test("HalfSipHash is keyed, and each bit of the input counts", () => {
  const one = new HalfSipHash(random(1)), other = new HalfSipHash(random(2));
  const words = Int32Array.from([1, 2, 3]);
  differ(one.hash(words, 3), other.hash(words, 3));
  equal(one.hash(words, 3), one.hash(words, 3));
  let changed = 0;
  for (let bit = 0; bit < 96; bit++) {
    const flipped = words.slice();
    flipped[bit >> 5] ^= 1 << (bit & 31);
    let difference = one.hash(words, 3) ^ one.hash(flipped, 3);
    for (; difference !== 0; difference &= difference - 1) changed++;
  }
  ok(changed > 96 * 12 && changed < 96 * 20, `${changed / 96} bits change on average`);
});

Deno.test("ReceiveBuffer keeps a bounded number of ranges", () => {
  const buffer = new ReceiveBuffer(new RingMemory());
  const byte = Uint8Array.of(1);
  for (let i = 0; i < RANGES_MAX; i++) equal(buffer.write(2 + 2 * i, byte, 0, 1), 0);
  equal(buffer.write(2 + 2 * RANGES_MAX, byte, 0, 1), -1);
  // What joins ranges is still taken.
  equal(buffer.write(3, byte, 0, 1), 0);
  equal(buffer.ranges.length, 2 * RANGES_MAX - 2);
});

Deno.test("Buffers refuse a number of bytes that is none", () => {
  throws(() => new SendBuffer(new RingMemory()).push(new Uint8Array(10), 0, 1.5), /1\.5/);
  throws(() => new ReceiveBuffer(new RingMemory()).write(0.5, new Uint8Array(10), 0, 2), /0\.5/);
});

Deno.test("states: every move of RFC 9293 figure 5, and no other", () => {
  const moves = [
    "CLOSED SYN-SENT",
    "CLOSED SYN-RECEIVED",
    "CLOSED ESTABLISHED",
    "SYN-SENT SYN-RECEIVED",
    "SYN-SENT ESTABLISHED",
    "SYN-RECEIVED ESTABLISHED",
    "SYN-RECEIVED FIN-WAIT-1",
    "SYN-RECEIVED CLOSE-WAIT",
    "ESTABLISHED FIN-WAIT-1",
    "ESTABLISHED CLOSE-WAIT",
    "FIN-WAIT-1 FIN-WAIT-2",
    "FIN-WAIT-1 CLOSING",
    "FIN-WAIT-1 TIME-WAIT",
    "FIN-WAIT-2 TIME-WAIT",
    "CLOSING TIME-WAIT",
    "CLOSE-WAIT LAST-ACK",
  ];
  const allowed: string[] = [];
  for (let from = 1; from <= TcpState.Closing; from++) {
    for (let to = 1; to <= TcpState.Closing; to++) {
      if (to !== TcpState.Closed && mayMove(from, to)) {
        allowed.push(`${STATE_NAMES[from]} ${STATE_NAMES[to]}`);
      }
    }
  }
  equal(allowed.sort(), moves.sort());
});
