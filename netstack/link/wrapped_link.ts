// A link that stands before another and passes everything on; links that queue, log or impair override what they change.

import type { Packet } from "../packet.ts";
import type { Link, LinkReceiver } from "./link.ts";

export abstract class WrappedLink implements Link, LinkReceiver {
  protected readonly inner: Link;
  protected receiver: LinkReceiver | null = null;

  constructor(inner: Link) {
    this.inner = inner;
  }

  get kind(): string {
    return this.inner.kind;
  }
  get hardwareType(): number {
    return this.inner.hardwareType;
  }
  get address(): Uint8Array {
    return this.inner.address;
  }
  get mtu(): number {
    return this.inner.mtu;
  }
  get features(): number {
    return this.inner.features;
  }
  get gsoBytesMax(): number {
    return this.inner.gsoBytesMax;
  }
  get room(): number {
    return this.inner.room;
  }
  attach(receiver: LinkReceiver): void {
    this.receiver = receiver;
    this.inner.attach(this);
  }
  receive(packet: Packet): void {
    this.receiver?.receive(packet);
  }
  setMtu(mtu: number): number {
    return this.inner.setMtu(mtu);
  }
  send(packet: Packet): void {
    this.inner.send(packet);
  }
  poll(now: number, budget: number): number {
    return this.inner.poll(now, budget);
  }
  pollAt(): number {
    return this.inner.pollAt();
  }
  flush(): void {
    this.inner.flush();
  }
  close(): void {
    this.inner.close();
  }
}
