// The receive buffer follows what the reader takes in a round trip (dynamic right-sizing; Linux: tcp_rcv_space_adjust()).

import type { Connection } from "./connection.ts";
import type { Segment } from "./segment.ts";

/** Before the first measurement, and the least that counts as one. */
const RTT_NANOS_MIN = 1e6;

/** In-order data has come: the round trip as a receiver sees it, by the timestamps the peer echoes. */
export function tuneReceiveBuffer(connection: Connection, segment: Segment, now: number): void {
  const { options } = segment;
  if (!connection.hasTimestamps || !options.hasTimestamps || options.timestampEcho === 0) return;
  const millis = connection.timestamp(now) - options.timestampEcho | 0;
  if (millis < 0 || millis > 60_000) return;
  const sample = Math.max(millis * 1e6, RTT_NANOS_MIN);
  connection.receiveRtt = connection.receiveRtt === 0
    ? sample
    : Math.min(connection.receiveRtt * 1.01, sample);
}

/** The reader has taken `length` bytes. */
export function noteRead(connection: Connection, length: number, now: number): void {
  connection.tunedBytes += length;
  const wait = connection.receiveRtt || connection.rtt.smoothed || RTT_NANOS_MIN;
  if (now - connection.tuneAt < wait) return;
  const wanted = 2 * connection.tunedBytes + 16 * connection.mss;
  connection.tunedBytes = 0;
  connection.tuneAt = now;
  const { settings } = connection.tcp;
  if (connection.isReceiveFixed || settings.get("moderate_rcvbuf") === 0) return;
  // Two round trips' worth, twice: the peer's window may double in each.
  const bytes = Math.min(Math.max(2 * wanted, settings.get("rmem_min")), settings.get("rmem_max"));
  if (bytes > connection.receiveBytesMax) connection.receiveBytesMax = bytes;
}
