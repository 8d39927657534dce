// The table by address against a plain map.

import { deepEqual as equal } from "node:assert/strict";
import { Address } from "./address.ts";
import { AddressMap } from "./address_map.ts";
import { SeededRandom } from "./random.ts";

Deno.test("AddressMap holds what a Map holds, in the order of use", () => {
  const random = new SeededRandom(5);
  const map = new AddressMap<number>(7);
  const plain = new Map<string, number>();
  for (let i = 0; i < 20_000; i++) {
    const address = new Address().setWords(0, random.below(2), 0, random.below(200));
    const key = address.toString();
    switch (random.below(4)) {
      case 0:
        map.set(address, i);
        plain.delete(key);
        plain.set(key, i);
        break;
      case 1:
        equal(map.delete(address), plain.delete(key));
        break;
      case 2:
        map.touch(address);
        if (plain.has(key)) {
          const value = plain.get(key)!;
          plain.delete(key);
          plain.set(key, value);
        }
        break;
      default:
        equal(map.get(address), plain.get(key) ?? null);
    }
    equal(map.size, plain.size);
    if (i % 1000 === 0) equal([...map.values()], [...plain.values()]);
  }
  for (const value of map.values()) if (value % 2 === 0) map.delete(find(plain, value));
  equal([...map.values()], [...plain.values()].filter((value) => value % 2 === 1));
});

function find(plain: Map<string, number>, value: number): Address {
  for (const [key, known] of plain) {
    if (known !== value) continue;
    for (let b = 0; b < 2; b++) {
      for (let d = 0; d < 200; d++) {
        const address = new Address().setWords(0, b, 0, d);
        if (address.toString() === key) return address;
      }
    }
  }
  throw new Error("not there");
}
