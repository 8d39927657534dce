// Go's types as schemas of JSON, with the rules of encoding/json: null and a missing field are the type's zero value, names of
// fields are matched without regard to case, unknown fields are passed over, bytes are base64, an error says which field of
// which struct does not fit. https://pkg.go.dev/encoding/json#Unmarshal

import * as z from "../../schema.ts";

/** The schema of a Go type, whose values are T's here. */
export type GoType<T> = z.Schema<T>;

/** A type without parts: what its zero value is, and which JSON values it takes. */
function leaf<T>(name: string, zero: T, fits: (value: unknown) => boolean): GoType<T> {
  const present = z.transform((value: unknown): unknown =>
    value === null || value === undefined ? zero : value
  );
  return z.pipe(present, z.custom<unknown>(fits, { error: name })) as GoType<T>;
}

function integer(name: string, min: number, max: number): GoType<number> {
  return leaf(
    name,
    0,
    (value) => Number.isInteger(value) && value as number >= min && value as number <= max,
  );
}

export const string: GoType<string> = leaf("string", "", (value) => typeof value === "string");
export const bool: GoType<boolean> = leaf("bool", false, (value) => typeof value === "boolean");
export const int32 = integer("int32", -(2 ** 31), 2 ** 31 - 1);
export const uint16 = integer("uint16", 0, 0xffff);
export const uint32 = integer("uint32", 0, 0xffff_ffff);

function long(name: string, min: bigint, max: bigint): GoType<number | bigint> {
  return leaf<number | bigint>(name, 0, (value) => {
    if (typeof value === "bigint") return value >= min && value <= max;
    return Number.isSafeInteger(value) && BigInt(value as number) >= min && BigInt(value as number) <= max;
  });
}

/** Exact: a bigint where a double would not do. */
export const int64 = long("int64", -(2n ** 63n), 2n ** 63n - 1n);
export const uint64 = long("uint64", 0n, 2n ** 64n - 1n);
/** Whole nanoseconds. */
export const duration = long("time.Duration", -(2n ** 63n), 2n ** 63n - 1n);

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** []byte, kept in base64 as it came. */
export const bytes: GoType<string> = leaf(
  "[]uint8",
  "",
  (value) => typeof value === "string" && BASE64.test(value),
);
/** net.HardwareAddr and net.IPMask are byte slices. */
export const hardwareAddress = bytes;

/** net.IP: text; "" = none. */
export const ip: GoType<string> = leaf(
  "net.IP",
  "",
  (value) => typeof value === "string" && (value === "" || isAddress(value)),
);

function isAddress(text: string): boolean {
  if (/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return text.split(".").every((part) => Number(part) <= 255);
  return text.includes(":") && URL.canParse(`http://[${text}]/`);
}

/** Anything, as it came. */
export const any: GoType<unknown> = leaf("interface {}", null, () => true);

/** A slice; nil where it is null. */
export function slice<T>(element: GoType<T>): GoType<T[]> {
  const present = z.transform((value: unknown) => value === null || value === undefined ? [] : value);
  return z.pipe(present, z.array(element, { error: "slice" })) as GoType<T[]>;
}

export function map<T>(element: GoType<T>): GoType<Record<string, T>> {
  const present = z.transform((value: unknown) => value === null || value === undefined ? {} : value);
  return z.pipe(present, z.record(z.string(), element, { error: "map" })) as GoType<Record<string, T>>;
}

/** A pointer: null where it is nil. */
export function pointer<T>(to: GoType<T>): GoType<T | null> {
  return z.pipe(z.nullish(to), z.transform((value: T | null | undefined) => value ?? null)) as GoType<
    T | null
  >;
}

type Fields = Readonly<Record<string, GoType<unknown>>>;
export type StructOf<F extends Fields> = {
  readonly [K in keyof F]: F[K] extends GoType<infer T> ? T : never;
};

/** A struct by the names of its fields in JSON. */
export function struct<F extends Fields>(name: string, fields: F): GoType<StructOf<F>> {
  const names = new Map(Object.keys(fields).map((key) => [key.toLowerCase(), key]));
  const rename = z.transform((value: unknown) => {
    if (value === null || value === undefined) return {};
    if (typeof value !== "object" || Array.isArray(value)) return value;
    const renamed: Record<string, unknown> = {};
    for (const [key, field] of Object.entries(value)) {
      const known = names.get(key.toLowerCase());
      if (known !== undefined) renamed[known] = field;
    }
    return renamed;
  });
  return z.pipe(rename, z.object(fields, { error: name })) as unknown as GoType<StructOf<F>>;
}

/** net.IPNet: its mask is bytes. */
export const ipNet = struct("net.IPNet", { IP: ip, Mask: bytes });

interface Issue {
  readonly path: readonly PropertyKey[];
  /** Name of the Go type that was asked for. */
  readonly message: string;
}

/** `value` as a `type`, or what is wrong with it; `name` is the struct's. */
export function unmarshal<T>(
  type: GoType<T>,
  name: string,
  value: unknown,
): { readonly value: T } | { readonly error: string } {
  const result = type.safeParse(value);
  return result.success
    ? { value: result.data }
    : { error: unmarshalError(name, value, result.error.issues[0]) };
}

/** What is wrong with `value`, in the words of encoding/json; `name` is the type that was asked for. */
function unmarshalError(name: string, value: unknown, issue: Issue): string {
  let found = value;
  for (const key of issue.path) found = fieldOf(found, String(key));
  const kind = found === null || found === undefined
    ? "null"
    : Array.isArray(found)
    ? "array"
    : typeof found === "boolean"
    ? "bool"
    : typeof found === "bigint"
    ? `number ${found}`
    : typeof found;
  const path = issue.path.filter((key) => typeof key === "string").join(".");
  const place = path === "" ? "Go value" : `Go struct field ${name}.${path}`;
  return `json: cannot unmarshal ${kind} into ${place} of type ${issue.message}`;
}

function fieldOf(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  const record = value as Record<string, unknown>;
  if (Object.hasOwn(record, key)) return record[key];
  const other = Object.keys(record).find((name) => name.toLowerCase() === key.toLowerCase());
  return other === undefined ? undefined : record[other];
}
