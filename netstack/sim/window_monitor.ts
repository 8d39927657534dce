// Looks at every TCP segment that a stack sends: the right edge of the window never moves back (RFC 9293 section 3.8.6), no
// acknowledgement goes back, and nothing is sent beyond what the peer has allowed.

import { WrappedLink } from "../link/wrapped_link.ts";
import type { Packet } from "../packet.ts";
import { get16, get32 } from "../wire/bytes.ts";
import { IPPROTO_TCP } from "../wire/numbers.ts";
import {
  ACK,
  FIN,
  RST,
  SYN,
  TCP_ACK_AT,
  TCP_DESTINATION_AT,
  TCP_FLAGS_AT,
  TCP_OFFSET_AT,
  TCP_SEQUENCE_AT,
  TCP_SOURCE_AT,
  TCP_WINDOW_AT,
  TcpOptions,
} from "../wire/tcp.ts";

/** One direction of a connection. */
class Flow {
  scale = -1;
  hasSent = false;
  edge = 0;
  ack = 0;
}

export class WindowMonitor extends WrappedLink {
  readonly #flows = new Map<string, Flow>();
  readonly #options = new TcpOptions();
  /** What was wrong, in words. */
  readonly complaints: string[] = [];
  segments = 0;
  /** The monitor at the other end. */
  peer: WindowMonitor | null = null;

  /** What the SYN of `key` offered, -1 = no scaling. */
  scaleOf(key: string): number {
    return this.#flows.get(key)?.scale ?? -1;
  }

  override send(packet: Packet): void {
    if (packet.protocol === IPPROTO_TCP && packet.transportAt >= 0) this.#look(packet);
    this.inner.send(packet);
  }

  #look(packet: Packet): void {
    const { bytes, transportAt: at } = packet;
    this.segments++;
    const flags = bytes[at + TCP_FLAGS_AT];
    const ports = `${get16(bytes, at + TCP_SOURCE_AT)}-${get16(bytes, at + TCP_DESTINATION_AT)}`;
    const key = `${packet.destination.isV4 ? 4 : 6} ${ports}`;
    if ((flags & SYN) !== 0) {
      // A new connection may use the same ports.
      const flow = new Flow();
      this.#options.parse(bytes, at, (bytes[at + TCP_OFFSET_AT] >> 4) * 4, true);
      flow.scale = this.#options.scale;
      this.#flows.set(key, flow);
      return;
    }
    const flow = this.#flows.get(key);
    if (flow === undefined || (flags & RST) !== 0 || (flags & ACK) === 0) return;
    const ack = get32(bytes, at + TCP_ACK_AT);
    const back = `${packet.destination.isV4 ? 4 : 6} ${get16(bytes, at + TCP_DESTINATION_AT)}-${
      get16(bytes, at + TCP_SOURCE_AT)
    }`;
    // Windows are scaled only where both have offered it (RFC 7323 section 2.2).
    const offered = this.peer?.scaleOf(back) ?? -1;
    const scale = flow.scale < 0 || offered < 0 ? 0 : flow.scale;
    const edge = ack + get16(bytes, at + TCP_WINDOW_AT) * 2 ** scale | 0;
    if (flow.hasSent) {
      if ((ack - flow.ack | 0) < 0) {
        this.complaints.push(`${key}: acknowledgement went back by ${flow.ack - ack | 0}`);
      }
      // The peer's FIN takes one number behind the window.
      if ((edge - flow.edge | 0) < -1 && (flags & FIN) === 0) {
        this.complaints.push(
          `${key}: window's edge went back by ${flow.edge - edge | 0} at sequence ${
            get32(bytes, at + TCP_SEQUENCE_AT)
          }`,
        );
      }
    }
    flow.hasSent = true;
    flow.ack = ack;
    if ((edge - flow.edge | 0) > 0 || flow.edge === 0) flow.edge = edge;
  }
}
