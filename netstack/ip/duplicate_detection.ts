// Duplicate address detection, RFC 4862 section 5.4: a new IPv6 address is asked for before it is used. Our own questions
// that come back over a looped link are known by their nonce (RFC 7527).

import { Address } from "../address.ts";
import type { InterfaceAddress, Nic } from "../nic.ts";
import { Timer, type TimerOwner } from "../timer.ts";
import { sendDuplicateProbe, solicitedNode } from "./ndp_send.ts";

/** MAX_RTR_SOLICITATION_DELAY: the first question waits up to so long, that stations of one start do not ask at once. */
const DELAY_NANOS = 1e9;

class Detection implements TimerOwner {
  readonly #nic: Nic;
  readonly #entry: InterfaceAddress;
  readonly #timer = new Timer(this, 0);
  #left: number;

  constructor(nic: Nic, entry: InterfaceAddress, probes: number) {
    this.#nic = nic;
    this.#entry = entry;
    this.#left = probes;
    const { stack } = nic;
    stack.timers.set(this.#timer, stack.now + DELAY_NANOS * stack.random.below(1000) / 1000);
  }

  onTimer(_kind: number, now: number): void {
    const nic = this.#nic, entry = this.#entry;
    if (entry.isDuplicate || entry.detection !== this || nic.find(entry.address) !== entry) return;
    const { stack } = nic;
    if (this.#left > 0) {
      this.#left--;
      entry.nonceHigh = stack.random.word() & 0xffff;
      entry.nonceLow = stack.random.word();
      sendDuplicateProbe(nic, entry.address, entry.nonceHigh, entry.nonceLow);
      stack.timers.set(this.#timer, now + nic.neighbours.retransmitNanos);
      return;
    }
    entry.detection = null;
    entry.isTentative = false;
    stack.routes.generation++;
    nic.membership.onAddressReady();
  }
}

/** Joins the group of `entry`'s address and, with `probes` > 0, keeps it tentative until nobody has answered. */
export function startDetection(nic: Nic, entry: InterfaceAddress, probes: number): void {
  if (!nic.hasNeighbours) return;
  nic.joinGroup(solicitedNode(entry.address, new Address()));
  restartDetection(nic, entry, probes);
}

/** The link came up: who had the address before may not have been heard (RFC 4862 section 5.4). */
export function restartDetection(nic: Nic, entry: InterfaceAddress, probes: number): void {
  if (!nic.hasNeighbours || probes === 0 || entry.isDuplicate) return;
  entry.isTentative = true;
  // Questions into a link that is down are none: setUp() begins anew.
  entry.detection = nic.isUp ? new Detection(nic, entry, probes) : null;
}

/** Somebody else has, or asks for, an address that is still tentative. */
export function duplicateSeen(nic: Nic, entry: InterfaceAddress): void {
  entry.isTentative = false;
  entry.isDuplicate = true;
  entry.detection = null;
  nic.stack.log(`${nic.name}: IPv6 address ${entry.address} is already in use on the link`);
  entry.onDuplicate?.();
}
