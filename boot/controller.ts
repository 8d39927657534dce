// The controller role: the control API's door. It accepts clients, checks what they send, has the sentry carry it out and
// answers. It starts when somebody connects and ends when nobody is connected any more, so an idle container has none. It holds
// the listening socket and its connection to the sentry, and nothing else of the host's.

import { NativeHost } from "../native/host.ts";
import { NativeStreams } from "../native/stream.ts";
import { confineController } from "./confinement.ts";
import { printable } from "./control/printable.ts";
import type { Call } from "./control/urpc/connection.ts";
import { UNKNOWN_METHOD } from "./control/urpc/connection.ts";
import { METHODS } from "./control/urpc/methods/all.ts";
import { SentryLink } from "./control/urpc/sentry_link.ts";
import { UrpcServer } from "./control/urpc/server.ts";

/** Descriptors of the process; 2 is its log. */
export const CONTROLLER_FDS = { link: 3, listener: 4, first: 5 } as const;

const CLOCK_MONOTONIC = 1;
/** Without a client it stays this long, for the next one: most ask several times. */
const IDLE_MILLIS = 3000;
/** Answers have this long to leave once the sandbox has ended. Go's server drains for 15 s; nothing new comes here. */
const DRAIN_MILLIS_MAX = 2000;
const STDERR = 2;

/** Serves until nobody is there, or the sandbox has ended. Ends the process. */
export function runController(): never {
  const host = new NativeHost();
  try {
    const streams = new NativeStreams();
    confineController(CONTROLLER_FDS.first);
    serve(host, streams);
  } catch (error) {
    const text = `Controller: ${error instanceof Error ? error.stack : error}`;
    const bytes = new TextEncoder().encode(`${text.split("\n").map(printable).join("\n  ")}\n`);
    host.write(STDERR, bytes, 0, bytes.length);
    Deno.exit(1);
  }
  Deno.exit(0);
}

function serve(host: NativeHost, streams: NativeStreams): void {
  const now = () => host.clockNanos(CLOCK_MONOTONIC) / 1e6;
  const link = new SentryLink(host, CONTROLLER_FDS.link);
  const handle = (call: Call) => forward(link, call);
  const server = new UrpcServer(host, streams, CONTROLLER_FDS.listener, link, now, handle);
  let idleSince = now();
  while (!link.hasEnded) {
    server.turn(IDLE_MILLIS);
    if (server.connectionCount > 0) idleSince = now();
    if (now() - idleSince >= IDLE_MILLIS) return;
  }
  const end = now() + DRAIN_MILLIS_MAX;
  server.stop();
  for (let left = DRAIN_MILLIS_MAX; server.connectionCount > 0 && left > 0; left = end - now()) {
    server.turn(left);
    server.stop();
  }
}

function forward(link: SentryLink, call: Call): void {
  const method = METHODS.get(call.method);
  if (method === undefined) return call.fail(UNKNOWN_METHOD);
  const checked = method.check(call.argument, call.files.length);
  if ("error" in checked) return call.fail(checked.error);
  link.query(call, checked.value);
}
