// The network of one namespace: its stack, and its place in the kernel's loop. Linux: struct net. It is made at first use,
// so that a sandbox without network sockets neither waits for it nor keeps its memory.

import type { Nic, Stack } from "../../../netstack/mod.ts";
import type { LoopService } from "../../host/loop_service.ts";
import type { Kernel } from "../../kernel.ts";
import type { NetNamespace } from "../../task/namespaces.ts";
import { NetlinkRoom } from "../netlink/room.ts";
import { PacketFilterRoom } from "./packet_filter.ts";
import type { SharedNetstack } from "./room.ts";

/** What a network counts in the kernel's account, with its tables and its loopback. */
const NETWORK_COST = 64 * 1024;
/** Turns of the stack within one call: a handshake over loopback takes three, more is left to the loop. */
const TURNS_MAX = 8;
/** ip_unprivileged_port_start as Linux boots. */
const UNPRIVILEGED_PORT_FIRST = 1024;
/** ping_group_range as Linux boots: nobody. */
const PING_GROUPS_NONE = [1, 0] as const;

export class Network implements LoopService {
  readonly name = "network stack";
  readonly stack: Stack;
  readonly shared: SharedNetstack;
  readonly namespace: NetNamespace;
  readonly netlink = new NetlinkRoom();
  readonly packetFilter = new PacketFilterRoom();
  readonly #kernel: Kernel;
  /** The last turn has left something to do at once. */
  #isBusy = false;
  /** net.ipv4.ip_unprivileged_port_start: ports below want CAP_NET_BIND_SERVICE. */
  unprivilegedPortFirst = UNPRIVILEGED_PORT_FIRST;
  /** net.ipv4.ping_group_range: groups that may have ping sockets. */
  pingGroupFirst: number = PING_GROUPS_NONE[0];
  pingGroupLast: number = PING_GROUPS_NONE[1];

  constructor(kernel: Kernel, namespace: NetNamespace) {
    this.#kernel = kernel;
    this.namespace = namespace;
    const { host } = kernel;
    kernel.account.heap.force(NETWORK_COST);
    this.shared = kernel.inet.shared;
    const { netstack, packets } = this.shared;
    this.stack = new netstack.Stack({
      pool: packets,
      memory: kernel.account.heap,
      random: { fill: (bytes) => host.random(bytes, 0, bytes.length) },
      log: (text) => kernel.log(`Network: ${text}`),
    });
    this.touch();
    const loopback = this.stack.addNic("lo", new netstack.LoopbackLink());
    if (namespace.isLoopbackUp) setInterfaceUp(this, loopback, true);
  }

  pollAt(): number {
    return this.#isBusy ? 0 : this.stack.pollAt();
  }
  poll(now: number): void {
    this.#isBusy = this.stack.poll(now);
  }

  /** Has it take its turn soon: a link has something. */
  wake(): void {
    this.#isBusy = true;
  }

  /** Tells the stack the time: before every call that may start a timer. */
  touch(): void {
    this.stack.now = this.#kernel.clock.monotonic();
  }

  /**
   * Does what a call has caused, as Linux does on the way out of it (softirq): over loopback a datagram is there when
   * send(2) returns, and a connection is made when connect(2) does.
   */
  settle(): void {
    if (this.stack.pollAt() > 0) return;
    const now = this.#kernel.clock.monotonic();
    for (let turn = 0; turn < TURNS_MAX; turn++) {
      this.#isBusy = this.stack.poll(now);
      if (!this.#isBusy && this.stack.pollAt() > 0) return;
    }
  }

  /** The namespace has gone. */
  release(): void {
    this.#kernel.services.remove(this);
    this.#kernel.inet.networks.delete(this);
    this.stack.close();
    this.packetFilter.release(this.#kernel.account.heap);
    this.#kernel.account.heap.give(NETWORK_COST);
  }
}

/** The network of `namespace`, made when it is first asked for. */
export function networkOf(kernel: Kernel, namespace: NetNamespace): Network {
  const found = namespace.network;
  if (found !== null) return found;
  const made = new Network(kernel, namespace);
  namespace.network = made;
  kernel.services.add(made);
  kernel.inet.networks.add(made);
  return made;
}

/** `ip link set NAME up` or down. Loopback gets and loses its addresses by that: inetdev_event(), addrconf_notify(). */
export function setInterfaceUp(network: Network, nic: Nic, isUp: boolean): void {
  const { stack } = network;
  if (nic.isUp === isUp) return;
  stack.setUp(nic, isUp);
  if (!nic.isLoopback) {
    if (isUp) addLinkLocal(network, nic);
    return;
  }
  const { parseAddress, prefixBits } = network.shared.netstack;
  const loopbackV6 = parseAddress("::1")!;
  if (!isUp) {
    stack.removeAddress(nic, loopbackV6);
    return;
  }
  if (!nic.addresses.some((entry) => entry.address.isV4)) {
    stack.addAddress(nic, parseAddress("127.0.0.1")!, prefixBits(8, true));
  }
  stack.addAddress(nic, loopbackV6, prefixBits(128, false));
}

/** The link-local address of the hardware's (RFC 4291 appendix A), as addr_gen_mode 0 makes it. */
function addLinkLocal({ stack, shared }: Network, nic: Nic): void {
  const hardware = nic.link.address;
  if (!nic.hasNeighbours || nic.addresses.some((entry) => !entry.address.isV4)) return;
  const high = (hardware[0] ^ 0x02) << 24 | hardware[1] << 16 | hardware[2] << 8 | 0xff;
  const low = 0xfe << 24 | hardware[3] << 16 | hardware[4] << 8 | hardware[5];
  const { Address, prefixBits } = shared.netstack;
  stack.addAddress(nic, new Address().setWords(0xfe80_0000, 0, high, low), prefixBits(64, false));
}
