// A connection that a peer has begun and not finished: a small record until the handshake is over, so that a flood of SYNs
// costs little. RFC 4987 section 3.3; Linux: struct request_sock.

import { Address } from "../address.ts";
import { Route } from "../route.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import type { Listener } from "./listener.ts";
import { RTO_INITIAL_NANOS, RTO_MAX_NANOS } from "./rtt.ts";

export class HalfOpen implements TimerOwner {
  readonly listener: Listener;
  readonly local = new Address();
  readonly remote = new Address();
  localPort = 0;
  remotePort = 0;
  hash = 0;
  nextInBucket: HalfOpen | null = null;
  readonly route = new Route();
  nicId = 0;
  initialSend = 0;
  initialReceive = 0;
  /** Of the peer's SYN. */
  peerMss = 0;
  /** -1 = no scaling. */
  sendScale = -1;
  receiveScale = 0;
  hasSack = false;
  hasTimestamps = false;
  timestampRecent = 0;
  timestampOffset = 0;
  hasEcn = false;
  sends = 0;
  sentAt = 0;
  /** The acknowledgement has come, data has not: TCP_DEFER_ACCEPT. */
  isAcked = false;
  readonly timer = new Timer(this, 0);
  isGone = false;

  constructor(listener: Listener) {
    this.listener = listener;
  }

  onTimer(_kind: number, now: number): void {
    const { tcp } = this.listener;
    const limit = this.listener.endpoint.synCount(tcp.settings.get("synack_retries"));
    if (this.sends > limit) {
      this.listener.drop(this);
      return;
    }
    if (!this.isAcked) {
      tcp.statistics.RetransSegs++;
      this.listener.sendSynAck(this, now);
    } else if (this.sends >= this.listener.deferRetries) {
      // Waited long enough for data: it is accepted without, at the next acknowledgement.
      this.isAcked = false;
      this.listener.sendSynAck(this, now);
    } else {
      this.sends++;
      this.arm(now);
    }
  }
  arm(now: number): void {
    const wait = Math.min(RTO_INITIAL_NANOS * 2 ** Math.max(0, this.sends - 1), RTO_MAX_NANOS);
    this.listener.tcp.stack.timers.set(this.timer, now + wait);
  }
}
