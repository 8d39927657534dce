// Numbers for objects, so that they can be told apart and put in order without showing where they are. Linux: kptr_obfuscate()
// of kernel/kcmp.c.

export class ObjectOrder {
  readonly #numbers = new WeakMap<object, number>();
  #next = 1;

  /** The same for the same object, as long as it lives. */
  numberOf(object: object): number {
    let number = this.#numbers.get(object);
    if (number === undefined) this.#numbers.set(object, number = this.#next++);
    return number;
  }
}
