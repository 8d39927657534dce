// Settings of a stack as Linux keeps them in /proc/sys/net: the class of their values. The tables stand with their layers.

/** One row of a table. */
export interface Setting {
  readonly min: number;
  readonly max: number;
  readonly default: number;
  /** What it means, as in the manual. */
  readonly text: string;
}

/** The values of one stack. */
export class Settings<Name extends string> {
  readonly #table: Readonly<Record<Name, Setting>>;
  readonly #values: Record<Name, number>;
  /** Changes with every change: the owner of a copy compares it. */
  generation = 0;

  constructor(table: Readonly<Record<Name, Setting>>) {
    const values: Partial<Record<Name, number>> = {};
    for (const name of Object.keys(table) as Name[]) values[name] = table[name].default;
    this.#table = table;
    this.#values = values as Record<Name, number>;
  }

  get(name: Name): number {
    return this.#values[name];
  }
  /** False where `value` is out of range, or no whole number. */
  set(name: Name, value: number): boolean {
    const { min, max } = this.#table[name];
    if (!Number.isInteger(value) || value < min || value > max) return false;
    this.#values[name] = value;
    this.generation++;
    return true;
  }
}
