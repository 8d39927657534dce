// A row of the table of runtimes, and how its numbers are shown.

/** A row of the table: one number a runtime, in its unit; NaN where a runtime has failed. */
export interface Row {
  readonly name: string;
  readonly unit: string;
  readonly values: Map<string, number>;
}

/** Three digits are what such a measurement holds. */
export function show(value: number | undefined): string {
  if (value === undefined) return "-";
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3);
}

export function ratio(own: number | undefined, peer: number | undefined): string {
  if (own === undefined || peer === undefined || peer === 0) return "-";
  const quotient = own / peer;
  return quotient >= 10 ? quotient.toFixed(0) : quotient.toPrecision(2);
}
