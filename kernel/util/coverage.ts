// What guests asked for in vain: kernel.coverage. The command line's --debug writes it to the log at the end.

export class Coverage {
  /** Calls that nobody declares or that we refuse on purpose, by number, with how often. */
  readonly calls = new Map<number, number>();
  /** Features that we lack, with how often. */
  readonly features = new Map<string, number>();

  noteCall(number: number): void {
    this.calls.set(number, (this.calls.get(number) ?? 0) + 1);
  }

  /** Counts a feature that the guest asked for and we lack, and gives back `errno` negated to answer it with. */
  unfinished(feature: string, errno: number): number {
    this.features.set(feature, (this.features.get(feature) ?? 0) + 1);
    return -errno;
  }

  /** A sentence each, the most frequent first; `nameOf` gives the name of a call. */
  report(nameOf: (number: number) => string): string[] {
    const counts = [
      ...[...this.calls].map(([number, count]) => ({ text: nameOf(number), count })),
      ...[...this.features].map(([text, count]) => ({ text, count })),
    ];
    counts.sort((a, b) => b.count - a.count);
    return counts.map(({ text, count }) => `Not supported: ${text}, asked for ${count} times`);
  }
}
