// Duplicate address detection, RFC 4862 section 5.4: a new IPv6 address is asked for before it is used.

import { Address } from "../address.ts";
import type { InterfaceAddress, Nic } from "../nic.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import { sendDuplicateProbe, solicitedNode } from "./ndp_send.ts";

/** RetransTimer of RFC 4861 section 10. */
const RETRANSMIT_NANOS = 1e9;

class Detection implements TimerOwner {
  readonly #nic: Nic;
  readonly #entry: InterfaceAddress;
  readonly #timer = new Timer(this, 0);
  #left: number;

  constructor(nic: Nic, entry: InterfaceAddress, probes: number) {
    this.#nic = nic;
    this.#entry = entry;
    this.#left = probes;
    this.onTimer(0, nic.stack.now);
  }

  onTimer(_kind: number, now: number): void {
    const nic = this.#nic, entry = this.#entry;
    if (entry.isDuplicate || nic.find(entry.address) !== entry) return;
    if (this.#left > 0) {
      this.#left--;
      sendDuplicateProbe(nic, entry.address);
      nic.stack.timers.set(this.#timer, now + RETRANSMIT_NANOS);
      return;
    }
    entry.isTentative = false;
    nic.stack.routes.generation++;
  }
}

/** Joins the group of `entry`'s address and, with `probes` > 0, keeps it tentative until nobody has answered. */
export function startDetection(nic: Nic, entry: InterfaceAddress, probes: number): void {
  if (!nic.hasNeighbours) return;
  nic.joinGroup(solicitedNode(entry.address, new Address()));
  if (probes === 0) return;
  entry.isTentative = true;
  new Detection(nic, entry, probes);
}

/** Somebody else has, or asks for, an address that is still tentative. */
export function duplicateSeen(nic: Nic, entry: InterfaceAddress): void {
  entry.isTentative = false;
  entry.isDuplicate = true;
  nic.stack.log(`${nic.name}: IPv6 address ${entry.address} is already in use on the link`);
}
