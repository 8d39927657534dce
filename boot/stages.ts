// When each stage of a process's start was reached: what --debug adds to --debug-log. Noting costs a microsecond and is always
// done, since a role hears late whether anybody wants to know.

export class Stages {
  readonly #role: string;
  #notes: { readonly millis: number; readonly stage: string }[];
  /** Of the last note that has become a line. */
  #before = 0;

  /** Its first stage is the start of the process, which the runtime remembers. */
  constructor(role: string) {
    this.#role = role;
    this.#notes = [{ millis: 0, stage: "runtime starts" }];
    this.reach("program is loaded");
  }

  reach(stage: string): void {
    this.#notes.push({ millis: performance.now(), stage });
  }

  /** A line for each stage since the last call: milliseconds since 1970, so that those of all processes sort; since the one before. */
  take(): string[] {
    const notes = this.#notes;
    this.#notes = [];
    return notes.map(({ millis, stage }) => {
      const passed = millis - this.#before;
      this.#before = millis;
      return `${(performance.timeOrigin + millis).toFixed(2)} ${this.#role}: ${stage} (+${
        passed.toFixed(2)
      } ms)`;
    });
  }
}
