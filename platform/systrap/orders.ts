// The commands of a stub's thread, in memory that stubs do not have: the stub's filter asks the notary about host
// calls (native/src/orders.rs), which permits only those in force here. The slot gets a copy, which the guest may
// change.

import { COMMANDS_COUNT, SLOT_THEN } from "../slot.ts";
import { copyCommands } from "./commands.ts";

// Words, as in native/src/orders.rs.
const IN_FORCE = 0, PASSED = 1, CLONED = 2;

export class Orders {
  /** Laid out as in a slot. */
  readonly words: Uint32Array;
  #isInForce = false;

  constructor(memory: ArrayBuffer) {
    this.words = new Uint32Array(memory);
  }

  /** Puts the first `count` commands in force, and copies them to the stub, with what follows them (THEN_*). */
  handOver(count: number, slot: Uint32Array, then: number): void {
    const words = this.words;
    copyCommands(words, slot, count);
    slot[SLOT_THEN >> 2] = then;
    slot[COMMANDS_COUNT >> 2] = count;
    words[PASSED] = words[CLONED] = 0;
    Atomics.store(words, IN_FORCE, count);
    this.#isInForce = count !== 0;
  }

  /** Nothing is commanded any more. */
  withdraw(): void {
    if (!this.#isInForce) return;
    this.#isInForce = false;
    Atomics.store(this.words, IN_FORCE, 0);
  }
}
