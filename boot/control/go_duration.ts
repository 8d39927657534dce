// Durations as Go's time.Duration prints them: "1h2m3.5s", "12.5ms", "0s". https://pkg.go.dev/time#Duration.String

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
