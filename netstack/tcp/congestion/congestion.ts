// How fast a connection may send: the algorithms and the written list of them. Windows are bytes, as RFC 5681 counts.

import { Cubic } from "./cubic.ts";
import { Reno } from "./reno.ts";

/** What an algorithm sees and sets of its connection. */
export interface Window {
  /** Congestion window and slow-start threshold, bytes. */
  window: number;
  threshold: number;
  /** Payload of a full segment. */
  segmentBytes: number;
  /** Smoothed and least round-trip times, nanoseconds; 0 = unknown. */
  readonly smoothedRtt: number;
  readonly minRtt: number;
}

export interface CongestionControl {
  readonly name: string;
  /** `acked` new bytes were acknowledged outside of recovery, with a sample of `rtt` (0 = none), while the window was full. */
  onAck(window: Window, acked: number, rtt: number, now: number): void;
  /** Something was lost, `inFlight` bytes being out: the new threshold. */
  onLoss(window: Window, inFlight: number, now: number): number;
  /** The timeout came; the window starts again from one segment. */
  onTimeout(window: Window, now: number): void;
  /** The loss was none: what onLoss has changed is taken back. */
  onUndo(): void;
  /** A round trip has begun whose end is at `sequence`: HyStart counts rounds. */
  onRound(now: number): void;
}

/** Initial window, RFC 6928: ten segments. */
export const INITIAL_SEGMENTS = 10;
export const THRESHOLD_NONE = 0x7fff_ffff;

/** By the names of TCP_CONGESTION; the first is the default. */
export const CONGESTION_CONTROLS: Readonly<Record<string, () => CongestionControl>> = {
  cubic: () => new Cubic(),
  reno: () => new Reno(),
};
