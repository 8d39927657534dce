// A row of the option tables. A file of its own, as are the kinds of endpoints: the tables need it before the endpoints that
// need the tables.

export const enum OptionKind {
  /** An int of four bytes. */
  Int,
  /** An int that is 0 or not; read as 0 or 1. */
  Flag,
  /** An int that may also be given, and is then also read, as one byte (ip(7)). */
  Byte,
  /** struct linger: on/off and seconds; stored as seconds, -1 = off. */
  Linger,
  /** Anything else: the endpoint reads and writes it itself. */
  Other,
}

export interface OptionSpec {
  readonly level: number;
  readonly name: number;
  /** As in the manual: "TCP_NODELAY". */
  readonly label: string;
  readonly kind: OptionKind;
  /** Bits of ENDPOINT_*: which endpoints have it. */
  readonly endpoints: number;
  /** Range of a number; outside is -EINVAL. Limits are clamped to instead where `isClamped`. */
  readonly min: number;
  readonly max: number;
  readonly isClamped?: boolean;
  /** A number within the range that is -EINVAL all the same. */
  readonly gap?: number;
  readonly default: number;
  readonly access: "rw" | "ro" | "wo";
  /** "full", or what a program would notice. "none" answers -ENOPROTOOPT and stands here to say so. */
  readonly support: string;
}
