// Dates in UTC, without Date: its first use has the runtime look for the host's time zone, which a confined role may not.

export interface CivilTime {
  readonly year: number;
  /** 1 to 12, 1 to 31. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

const DAY_SECONDS = 86_400;
/** Days of 400 years, after which the Gregorian calendar repeats. */
const ERA_DAYS = 146_097;
/** From 0000-03-01 to 1970-01-01: years begin in March here, so that the leap day is the last. */
const EPOCH_DAYS = 719_468;

/** Of whole seconds since 1970. */
export function civilTime(seconds: number): CivilTime {
  const days = Math.floor(seconds / DAY_SECONDS), rest = seconds - days * DAY_SECONDS;
  const shifted = days + EPOCH_DAYS;
  const era = Math.floor(shifted / ERA_DAYS);
  const dayOfEra = shifted - era * ERA_DAYS;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const march = Math.floor((5 * dayOfYear + 2) / 153);
  const month = march < 10 ? march + 3 : march - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * march + 2) / 5) + 1,
    hour: Math.floor(rest / 3600),
    minute: Math.floor(rest / 60) % 60,
    second: rest % 60,
  };
}

/** RFC 3339, as Go's JSON has a time. */
export function rfc3339(seconds: number, nanos: number): string {
  const { year, month, day, hour, minute, second } = civilTime(seconds);
  const two = (value: number) => String(value).padStart(2, "0");
  const fraction = String(Math.floor(nanos)).padStart(9, "0");
  return `${String(year).padStart(4, "0")}-${two(month)}-${two(day)}T${two(hour)}:${two(minute)}:${
    two(second)
  }.${fraction}Z`;
}
