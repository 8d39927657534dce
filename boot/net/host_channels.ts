// An interface of the host as the sentry has it: packet sockets that somebody else has opened, one or several that share its
// frames, as one device of the network stack. Each is an owned descriptor that the kernel's loop watches.

import { HOST_READ, HOST_WRITE, type HostDescriptor } from "../../kernel/host/host_descriptor.ts";
import type { HostListener, HostWatch } from "../../kernel/host/host_watch.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { type Frame, HostPacketDevice } from "../../native/packet_device.ts";
import type { PacketDevice } from "../../netstack/mod.ts";

const POLLIN = 1;

/** What is known of an interface. */
export interface InterfaceFacts {
  readonly name: string;
  readonly mtu: number;
  readonly address: Uint8Array;
  /** Its frames have virtio-net headers. */
  readonly hasOffload: boolean;
}

export class HostChannels implements PacketDevice {
  readonly mtu: number;
  readonly address: Uint8Array;
  readonly virtioHeaderBytes: number;
  readonly #devices: HostPacketDevice[] = [];
  readonly #descriptors: HostDescriptor[] = [];
  readonly #watches: HostWatch[] = [];
  /** The channel that is asked first. */
  #turn = 0;

  /** `fds` are ours from now on. `listener` is called when one of them has frames. */
  constructor(kernel: Kernel, fds: readonly number[], facts: InterfaceFacts, listener: HostListener) {
    this.mtu = facts.mtu;
    this.address = facts.address;
    for (const fd of fds) {
      const purpose = `interface ${facts.name}`;
      const descriptor = kernel.descriptors.own(fd, "donated", HOST_READ | HOST_WRITE, purpose);
      this.#descriptors.push(descriptor);
      this.#devices.push(HostPacketDevice.ofSocket(fd, facts));
      this.#watches.push(kernel.watches.add(descriptor, POLLIN, listener));
    }
    this.virtioHeaderBytes = this.#devices[0].virtioHeaderBytes;
  }

  /** Frames of one channel; the next time another is asked first. */
  receive(packets: Frame[], count: number): number {
    const devices = this.#devices;
    for (let i = 0; i < devices.length; i++) {
      const device = devices[this.#turn];
      this.#turn = (this.#turn + 1) % devices.length;
      const n = device.receive(packets, count);
      if (n !== 0) return n;
    }
    return 0;
  }

  /** The order of a flow's frames stays, so one channel sends all. */
  send(packets: Frame[], from: number, count: number): number {
    return this.#devices[0].send(packets, from, count);
  }

  /** Nobody listens any more: the interface has failed. */
  unwatch(): void {
    for (const watch of this.#watches) watch.end();
  }

  close(): void {
    this.unwatch();
    for (const descriptor of this.#descriptors.splice(0)) descriptor.drop();
  }
}
