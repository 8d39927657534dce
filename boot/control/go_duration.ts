// Durations as Go's time.Duration prints and reads them: "1h2m3.5s", "12.5ms", "0s".
// https://pkg.go.dev/time#Duration.String, https://pkg.go.dev/time#ParseDuration

/** Text of whole nanoseconds. */
export function goDuration(nanos: number): string {
  const whole = Math.trunc(nanos);
  if (whole === 0) return "0s";
  const sign = whole < 0 ? "-" : "";
  const size = Math.abs(whole);
  if (size < 1e3) return `${sign}${size}ns`;
  if (size < 1e6) return `${sign}${decimal(size, 3)}µs`;
  if (size < 1e9) return `${sign}${decimal(size, 6)}ms`;
  const seconds = decimal(size % 60e9, 9);
  const minutes = Math.floor(size / 60e9);
  if (minutes === 0) return `${sign}${seconds}s`;
  const hours = Math.floor(minutes / 60);
  return `${sign}${hours === 0 ? "" : `${hours}h`}${minutes % 60}m${seconds}s`;
}

/** `value` with the point `digits` from its end, without trailing zeros. */
function decimal(value: number, digits: number): string {
  const text = String(value).padStart(digits + 1, "0");
  const fraction = text.slice(-digits).replace(/0+$/, "");
  const integer = text.slice(0, -digits);
  return fraction === "" ? integer : `${integer}.${fraction}`;
}

const UNITS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3,
  "\u03bcs": 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** Nanoseconds of "1h2m3.5s"; null where it is none. */
export function parseGoDuration(text: string): number | null {
  if (text === "0") return 0;
  const match = /^([+-]?)((?:\d{1,15}(?:\.\d{0,15})?(?:ns|us|\u00b5s|\u03bcs|ms|s|m|h))+)$/.exec(text);
  if (match === null) return null;
  let nanos = 0;
  for (const [, number, unit] of match[2].matchAll(/([\d.]+)(\D+)/g)) nanos += Number(number) * UNITS[unit];
  return match[1] === "-" ? -nanos : nanos;
}
