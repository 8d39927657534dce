// What a stub's thread is commanded, in memory that stubs do not have: its filter asks the notary for host calls
// (native/src/orders.rs), which lets just those go on that are in force here. The slot gets a copy, which the guest may change.

import { COMMANDS_COUNT, SLOT_THEN } from "../slot.ts";
import { copyCommands } from "./commands.ts";

// Words, as in native/src/orders.rs.
const IN_FORCE = 0, PASSED = 1, CLONED = 2;

export class Orders {
  /** Laid out as a slot. */
  readonly words: Uint32Array;
  #isInForce = false;

  constructor(memory: ArrayBuffer) {
    this.words = new Uint32Array(memory);
  }

  /** Puts the first `count` commands in force, and hands a copy to the stub, with what follows them (THEN_*). */
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
