// What the netlink sockets of one network namespace share: Network.netlink.

import { NetlinkWriter } from "./message.ts";
import type { NetlinkSocket } from "./netlink_socket.ts";

export class NetlinkRoom {
  readonly sockets = new Set<NetlinkSocket>();
  #writer: NetlinkWriter | null = null;
  /** The port id that the next socket without a name of its own gets: they count down from beyond all process ids. */
  nextPort = 0xffff_f000;

  /** For the answer at work; made once somebody asks. */
  get writer(): NetlinkWriter {
    return this.#writer ??= new NetlinkWriter();
  }

  /** Tells those who listen to `group` of `protocol`. */
  multicast(protocol: number, group: number, bytes: Uint8Array): void {
    for (const socket of this.sockets) {
      if (socket.protocol === protocol && socket.groups.has(group)) socket.deliver(bytes, group);
    }
  }
}
