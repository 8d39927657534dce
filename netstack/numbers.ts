// Numbers and tables of the stack's interface that an embedder may take by value without taking the stack: the kernel keeps
// the stack itself in a bundle of its own that it evaluates at first use.

export { TcpState } from "./tcp/state.ts";
export { TCP_SETTINGS } from "./tcp/settings.ts";

/** Directions of Endpoint.shutdown(), as bits (SHUT_ number + 1). */
export const SHUTDOWN_READ = 1;
export const SHUTDOWN_WRITE = 2;

/** Routing tables, ip-route(8). */
export const TABLE_DEFAULT = 253;
export const TABLE_MAIN = 254;

/** What a route or a rule says of a packet. */
export const enum RouteType {
  Unicast,
  /** -EHOSTUNREACH, -EACCES, -EINVAL: ip-route(8), unreachable, prohibit and blackhole. */
  Unreachable,
  Prohibit,
  Blackhole,
}

/** RFC 4861 section 7.3.2, and those that Linux adds (NUD_NONE, NUD_FAILED, NUD_PERMANENT). */
export const enum NeighbourState {
  None,
  Incomplete,
  Reachable,
  Stale,
  Delay,
  Probe,
  Failed,
  Permanent,
}
