// Where packets go. A Route is the answer for one destination, kept by whoever sends there often.

import { Address } from "./address.ts";
import type { Nic } from "./nic.ts";

/** An answer of RouteTable.find(); refilled when `generation` is not the table's any more. */
export class Route {
  nic: Nic | null = null;
  readonly source = new Address();
  readonly destination = new Address();
  /** Gateway, or the destination itself. */
  readonly nextHop = new Address();
  /** Largest IP packet that goes this way: the NIC's, the route's or the path's, whichever is least. */
  mtu = 0;
  /** The destination is an address of this stack: packets come back in by the loopback path. */
  isLocal = false;
  isBroadcast = false;
  isMulticast = false;
  /** The table's generation when this was found; -1 = never. */
  generation = -1;
  /** The neighbour entry of nextHop, owned by neighbour.ts. */
  neighbour: unknown = null;
}
