// Patterns by which metrics are chosen. They come from outside and are matched in the sentry, by an engine that goes back and
// tries again: so only those are taken that cannot cost more than a little on names as short as ours.

const CHARACTERS_MAX = 256;
/** Repetitions in one pattern: what is tried is at most the length of a name to this power. */
const REPETITIONS_MAX = 3;
/** Alternatives: what is tried doubles with each. */
const ALTERNATIVES_MAX = 8;

/** Whether `pattern` is a regular expression that is cheap on a name of some 40 characters. "" is one, which all match. */
export function isSafePattern(pattern: string): boolean {
  if (pattern.length > CHARACTERS_MAX) return false;
  // Neither engine nor RE2's grammar: what looks around or back.
  if (/\(\?|\\[1-9k]/.test(pattern)) return false;
  // A group that is repeated may itself repeat: the cost would have no bound.
  if (/\)[*+{?]/.test(pattern)) return false;
  const bare = pattern.replace(/\\./g, "").replace(/\[[^\]]*\]/g, "x");
  if ((bare.match(/[*+?{]/g) ?? []).length > REPETITIONS_MAX) return false;
  if ((bare.match(/\|/g) ?? []).length > ALTERNATIVES_MAX) return false;
  try {
    new RegExp(pattern);
    return true;
  } catch {
    return false;
  }
}
