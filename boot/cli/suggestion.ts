// "Did you mean": the known word that a mistyped one is nearest to.

/** Known words are short, and so are those that are worth a guess. */
const LENGTH_MAX = 40;

/** '; did you mean "known"?', or "" where nothing is near. */
export function suggestion(word: string, known: Iterable<string>): string {
  const nearest = nearestOf(word, known);
  return nearest === null ? "" : `; did you mean "${nearest}"?`;
}

/** One slip in three characters, at most three: a swap, a letter too many, too few, or another one. */
export function nearestOf(word: string, known: Iterable<string>): string | null {
  if (word.length > LENGTH_MAX) return null;
  let best: string | null = null, least = Math.min(3, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const slips = distance(word, candidate);
    if (slips > 0 && slips < least) [best, least] = [candidate, slips];
  }
  return best;
}

/** Edits from `a` to `b`, a swap of neighbours as one (optimal string alignment). */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i], above = rows[i - 1];
    for (let j = 1; j <= b.length; j++) {
      const isSame = a[i - 1] === b[j - 1];
      let least = Math.min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (isSame ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, rows[i - 2][j - 2] + 1);
      }
      row.push(least);
    }
    rows.push(row);
  }
  return rows[a.length][b.length];
}
