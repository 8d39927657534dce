// Numbers given out one after the other: ids, cookies, inode numbers.

export class Sequence {
  #next: number;

  constructor(first: number) {
    this.#next = first;
  }

  next(): number {
    return this.#next++;
  }
}
